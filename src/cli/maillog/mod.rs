//! `sealpost maillog`: what Postfix's logs say of TLS, for who wants to know what Sealpost would change.
//!
//! Exit codes: 0 well, 1 there is no mail in it, 2 usage, or a file cannot be read.

mod html;
mod impact;
mod read;
mod report;
mod text;
mod words;

use super::print::json;
use super::{EXIT_NOTHING, EXIT_USAGE};
use clap::{Args, ValueEnum};
pub(super) use read::{all, complain};
use report::Report;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
pub(super) use words::NO_OUTBOUND;

pub(super) const EXIT: &str = "The logs are those of Postfix with smtp_tls_loglevel = 1 and smtpd_tls_loglevel = 1. Nothing is \
    changed and nobody is asked; no configuration is needed. Exit: 0 well, 1 there is no mail in them, 2 usage, or a \
    file cannot be read.";

/// `sealpost maillog`
#[derive(Debug, Args)]
pub struct MaillogArgs {
    /// Mail logs, in any order: as they are or compressed with gzip, of syslog or of `journalctl -o export`; `-` is the
    /// standard input. Without: /var/log/mail.log or /var/log/maillog
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// For whom it is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// How many destinations are shown
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,

    /// The last N days only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub days: Option<u32>,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal
    Table,
    /// For programs
    Json,
    /// A page that needs nothing else
    Html,
}

pub(super) fn run(args: &MaillogArgs) -> ExitCode {
    let files = match read::files(&args.files) {
        Ok(files) => files,
        Err(problem) => return usage(&problem),
    };
    let summary = match all("maillog", &files, args.days) {
        Ok(summary) => summary,
        Err(problem) => return usage(&problem),
    };
    if summary.is_empty() {
        complain("maillog", words::NOTHING);
        return ExitCode::from(EXIT_NOTHING);
    }
    for hint in words::hints(&summary) {
        complain("maillog", hint);
    }
    let report = Report::new(&summary, args.top);
    let written = match args.format {
        Format::Table => text::render(&report),
        Format::Json => json(&report) + "\n",
        Format::Html => html::render(&report),
    };
    put("maillog", &written)
}

/// Writes a result; a reader that has gone away, such as `head`, has seen enough.
pub(super) fn put(command: &str, text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(command, &format!("stdout: {error}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn usage(problem: &str) -> ExitCode {
    complain("maillog", problem);
    ExitCode::from(EXIT_USAGE)
}
