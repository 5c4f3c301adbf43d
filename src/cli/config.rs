//! `sealpost config check` and `sealpost config show`.

use crate::config::Config;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Everything that would keep the daemon from starting, and what an operator should know besides.
pub(super) fn check(path: &Path) -> ExitCode {
    super::with_config(path, |config| {
        for notice in config.notices.iter().chain(&config.replacements) {
            eprintln!("{notice}");
        }
        match config.check_files(&path.display().to_string()) {
            Ok(()) => {
                eprintln!("{}: valid", path.display());
                ExitCode::SUCCESS
            }
            Err(errors) => {
                eprintln!("{errors}");
                ExitCode::from(super::EXIT_USAGE)
            }
        }
    })
}

pub(super) fn show(path: &Path) -> ExitCode {
    super::with_config(path, print)
}

// By value, since that is what `with_config` hands out.
fn print(config: Config) -> ExitCode {
    match std::io::stdout().write_all(config.show().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealpost: {error}");
            ExitCode::FAILURE
        }
    }
}
