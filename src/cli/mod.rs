//! What an operator types: the one definition that gives parser, help, completions and man pages, and
//! the commands that are not the daemon. Messages go to stderr, results to stdout.
//!
//! Exit codes: 0 well, 1 not deliverable (`check`) or no such thing (`policy`, `queue`), 2 usage or configuration, 3
//! temporary (`check`) or no answer of the daemon (`policy`, `queue`).

pub mod check;
mod config;
mod maillog;
mod manual;
mod policy;
mod print;
mod queue;
mod scan;
mod suggest;
mod surveyor;

pub use maillog::{Format as MaillogFormat, MaillogArgs};
pub use queue::{QueueCommand, QueueFilter, QueueWhich, Scope};
pub use scan::{DepthWord, Format as ScanFormat, Lines, OutputArgs, Retry, ScanArgs};
pub use suggest::{Grouping, MinVersion, Published, SuggestArgs, SuggestFormat, Trial};

use crate::config::{Config, DEFAULT_PATH};
use clap::builder::{BoolValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Usage or configuration is wrong, or the command is not in this version.
pub const EXIT_USAGE: u8 = 2;
/// There is nothing to tell.
const EXIT_NOTHING: u8 = 1;
/// Another time it may work.
const EXIT_TEMPORARY: u8 = 3;

/// Outbound SMTP relay that enforces TLS policy.
#[derive(Debug, Parser)]
#[command(name = "sealpost", version, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SEALPOST_CONFIG",
        default_value = DEFAULT_PATH
    )]
    pub config: PathBuf,

    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The daemon
    Run,
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Explain the policy for a destination, and connect to every MX without sending mail
    Check(CheckArgs),
    /// Survey many domains: how their MX hosts do TLS, and what Sealpost would do with mail for them
    #[command(after_help = scan::EXIT)]
    Scan(ScanArgs),
    /// How much mail was encrypted, from Postfix's logs: in and out, versions, ciphers, destinations
    #[command(after_help = maillog::EXIT)]
    Maillog(MaillogArgs),
    /// The MTA-STS policies that the running daemon remembers
    #[command(subcommand, after_help = POLICY_EXIT)]
    Policy(PolicyCommand),
    /// The messages that the running daemon keeps until they are delivered
    #[command(subcommand, after_help = queue::EXIT)]
    Queue(QueueCommand),
    /// TLS reports (not in this version)
    Report(Later),
    /// Rules that what was delivered bears out, and what stricter settings would have blocked
    #[command(after_help = suggest::EXIT)]
    Suggest(SuggestArgs),
    /// Print completions for a shell
    #[command(hide = true)]
    Completions { shell: clap_complete::Shell },
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man { dir: PathBuf },
}

/// `sealpost config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Exit 0 if the configuration is valid; else say what is wrong, where, and how to mend it
    Check,
    /// Print the effective configuration with all defaults
    Show,
    /// Print what each key means, as Markdown
    Reference,
}

/// `sealpost check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Domains, or addresses of recipients
    #[arg(required = true, value_name = "DOMAIN|ADDRESS")]
    pub destinations: Vec<String>,

    /// Say what the policy is, but connect to no MX
    #[arg(
        long = "no-connect",
        action = ArgAction::SetTrue,
        value_parser = BoolValueParser::new().map(|no| if no { Connect::No } else { Connect::Yes })
    )]
    pub connect: Connect,

    /// How much is tried at each address
    #[arg(long, value_enum, default_value_t = DepthWord::Visit)]
    pub depth: DepthWord,

    /// Print JSON
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = output())]
    pub output: Output,
}

const POLICY_EXIT: &str = "Asks the daemon over admin.socket. Exit: 0 well, 1 no such policy or not refreshed, \
    2 usage or configuration, 3 the daemon cannot be reached or does not answer.";

/// `sealpost policy`
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// List all policies, in the order of their domains
    #[command(after_help = POLICY_EXIT)]
    List {
        /// Print JSON: an array, an element a line
        #[arg(long = "json", action = ArgAction::SetTrue, value_parser = output())]
        output: Output,
    },
    /// Tell everything about policies, and why they could not be fetched anew
    #[command(after_help = POLICY_EXIT)]
    Show(PolicyDomains),
    /// Look records up and fetch policies now, even if that failed lately
    ///
    /// What is fetched is in force at once. If nothing can be fetched, an older policy stays in force. Takes a minute
    /// and a half for a domain at most.
    #[command(after_help = POLICY_EXIT)]
    Refresh(PolicyDomains),
    /// Forget policies, also those that are in force
    ///
    /// The next message fetches a policy again, if the domain still publishes one. For a domain that has published a
    /// policy by mistake and cannot take it back.
    #[command(after_help = POLICY_EXIT)]
    Forget(PolicyDomains),
}

/// Whose policies.
#[derive(Debug, Args)]
pub struct PolicyDomains {
    /// Domains, or addresses of recipients
    #[arg(required = true, value_name = "DOMAIN")]
    pub domains: Vec<String>,

    /// Print JSON: an array, an element a domain
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = output())]
    pub output: Output,
}

fn output() -> impl TypedValueParser<Value = Output> {
    BoolValueParser::new().map(|json| if json { Output::Json } else { Output::Text })
}

/// Whether `check` connects to the MX hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connect {
    No,
    Yes,
}

/// For whom a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Text,
    Json,
}

/// What a command will take that is not there yet.
#[derive(Debug, Args)]
pub struct Later {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// The commands that other parts of the program are.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub run: fn(Config, &Path) -> ExitCode,
    pub check: fn(Config, &CheckArgs) -> ExitCode,
}

/// Does what the process's arguments say.
pub fn run(parts: &Parts) -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => obey(&cli, parts),
        Err(error) => {
            // Help and version are no errors and go to stdout; nobody is left to tell if that fails.
            let _ = error.print();
            if error.use_stderr() {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::SUCCESS
            }
        }
    }
}

fn obey(cli: &Cli, parts: &Parts) -> ExitCode {
    match &cli.command {
        Command::Run => with_config(&cli.config, |config| (parts.run)(config, &cli.config)),
        Command::Config(ConfigCommand::Check) => config::check(&cli.config),
        Command::Config(ConfigCommand::Show) => config::show(&cli.config),
        Command::Config(ConfigCommand::Reference) => {
            manual::write(crate::config::reference().as_bytes())
        }
        Command::Check(args) => with_config(&cli.config, |config| (parts.check)(config, args)),
        Command::Scan(args) => match &args.output.from {
            Some(file) => scan::earlier(file, &args.output),
            None => with_config(&cli.config, |config| scan::run(&config, args)),
        },
        Command::Maillog(args) => maillog::run(args),
        Command::Policy(command) => {
            with_config(&cli.config, |config| policy::run(&config, command))
        }
        Command::Queue(command) => with_config(&cli.config, |config| queue::run(&config, command)),
        Command::Report(_) => not_in_this_version("report"),
        Command::Suggest(args) => suggest::run(&cli.config, args),
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man { dir } => manual::man(dir),
    }
}

fn with_config(path: &Path, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match Config::load(path) {
        Ok(config) => then(config),
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn not_in_this_version(command: &str) -> ExitCode {
    eprintln!("sealpost: {command}: not in this version");
    ExitCode::from(EXIT_USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_check() {
        for (words, connect, output) in [
            (&["a.example"][..], Connect::Yes, Output::Text),
            (&["--no-connect", "a.example"], Connect::No, Output::Text),
            (&["a.example", "--json"], Connect::Yes, Output::Json),
        ] {
            let words = ["sealpost", "check"].iter().chain(words);
            let cli = Cli::try_parse_from(words).unwrap();
            let Command::Check(args) = cli.command else {
                panic!("{cli:?}")
            };
            assert_eq!((args.connect, args.output), (connect, output));
            assert_eq!(args.destinations, ["a.example"]);
        }
    }

    #[test]
    fn words_of_policy() {
        for (words, sound) in [
            (&["list"][..], true),
            (&["list", "--json"], true),
            (&["list", "a.example"], false),
            (&["show", "a.example", "user@b.example", "--json"], true),
            (&["refresh", "a.example"], true),
            (&["refresh"], false),
            (&["forget"], false),
            (&[], false),
        ] {
            let words = ["sealpost", "policy"].iter().chain(words);
            assert_eq!(
                Cli::try_parse_from(words.clone()).is_ok(),
                sound,
                "{words:?}"
            );
        }
    }

    #[test]
    fn commands_to_come_take_anything() {
        for words in [&["report"][..], &["report", "--json", "a.example"]] {
            let words = ["sealpost"].iter().chain(words);
            assert!(Cli::try_parse_from(words.clone()).is_ok(), "{words:?}");
        }
    }
}
