//! The program: arguments in, exit code out.

use sealpost::cli::{self, CheckArgs, Parts};
use sealpost::config::Config;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(&Parts { run, check })
}

// The daemon and `check` are connected here.

fn run(_config: Config, _path: &Path) -> ExitCode {
    eprintln!("sealpost: run: not connected");
    ExitCode::FAILURE
}

fn check(_config: Config, _args: &CheckArgs) -> ExitCode {
    eprintln!("sealpost: check: not connected");
    ExitCode::FAILURE
}
