//! `sealpost suggest`: rules that what was delivered bears out, and what stricter settings would have blocked.
//!
//! Exit codes: 0 well, 1 nothing to suggest, 2 usage or configuration, or what was delivered cannot be read.

mod evidence;
mod report;
mod text;

use super::maillog::{complain, put};
use super::print::json;
use super::{EXIT_NOTHING, EXIT_USAGE};
use crate::config::{Config, DEFAULT_PATH};
use crate::suggest::{Reason, Terms, Version, propose};
use clap::builder::{BoolValueParser, TypedValueParser};
use clap::{ArgAction, Args, ValueEnum};
use report::Report;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) const EXIT: &str = "What is printed can be appended to the configuration as it is. Destinations that have a rule \
    are left out, and those that publish DANE or MTA-STS, which protects them already. Exit: 0 well, 1 nothing to \
    suggest, 2 usage or configuration, or what was delivered cannot be read.";

/// `sealpost suggest`
#[derive(Debug, Args)]
pub struct SuggestArgs {
    /// From these mail logs of Postfix (`-`: the standard input) instead of Sealpost's history
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub maillog: Vec<PathBuf>,

    /// What was delivered in the last N days counts
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub days: u32,

    /// Deliveries to a destination, at least
    #[arg(long, value_name = "M", default_value_t = 10)]
    pub min: u64,

    /// Demand this version of TLS wherever all deliveries had it
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = MinVersion::V1_2)]
    pub min_version: MinVersion,

    /// Rules that are only watched: counted, logged and shown, but not enforced
    #[arg(
        long,
        action = ArgAction::SetTrue,
        value_parser = BoolValueParser::new().map(|yes| if yes { Trial::Yes } else { Trial::No })
    )]
    pub dry_run: Trial,

    /// One rule for all domains of a requirement
    #[arg(
        long,
        action = ArgAction::SetTrue,
        value_parser = BoolValueParser::new().map(|yes| if yes { Grouping::ByRequirement } else { Grouping::None })
    )]
    pub group: Grouping,

    /// Also for destinations that what they publish protects already
    #[arg(
        long = "all",
        action = ArgAction::SetTrue,
        value_parser = BoolValueParser::new().map(|yes| if yes { Published::Propose } else { Published::LeaveOut })
    )]
    pub published: Published,

    /// How many destinations are named of those that would have been blocked
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// For whom it is written
    #[arg(long, value_enum, default_value_t = SuggestFormat::Text)]
    pub format: SuggestFormat,
}

/// `--min-version`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MinVersion {
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

/// `--dry-run`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    No,
    Yes,
}

/// `--group`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    None,
    ByRequirement,
}

/// `--all`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    LeaveOut,
    Propose,
}

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SuggestFormat {
    /// TOML with comments
    Text,
    /// For programs
    Json,
}

pub(super) fn run(config: &Path, args: &SuggestArgs) -> ExitCode {
    let config = match load(config, args) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let evidence = match evidence::gather(config.as_ref(), args) {
        Ok(evidence) => evidence,
        Err(problem) => {
            complain("suggest", &problem);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let terms = Terms {
        least: args.min,
        min_version: match args.min_version {
            MinVersion::V1_2 => Version::V1_2,
            MinVersion::V1_3 => Version::V1_3,
        },
        published: match args.published {
            Published::LeaveOut => Reason::LeaveOut,
            Published::Propose => Reason::Propose,
        },
    };
    let found = propose(&evidence.lately, terms);
    let report = Report::new(&evidence, &found, args);
    let written = match args.format {
        SuggestFormat::Text => text::render(&report, args),
        SuggestFormat::Json => json(&report) + "\n",
    };
    let done = put("suggest", &written);
    if found.rules.is_empty() && done == ExitCode::SUCCESS {
        complain("suggest", "nothing to suggest");
        return ExitCode::from(EXIT_NOTHING);
    }
    done
}

/// The configuration; none is needed for a mail log, where Sealpost is not set up yet.
fn load(path: &Path, args: &SuggestArgs) -> Result<Option<Config>, String> {
    if !args.maillog.is_empty() && path == Path::new(DEFAULT_PATH) && !path.exists() {
        return Ok(None);
    }
    Config::load(path)
        .map(Some)
        .map_err(|errors| errors.to_string())
}
