//! The program: arguments in, exit code out.

use sealpost::cli::{self, Parts, check};
use sealpost::daemon;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(&Parts {
        run: |_, path| daemon::run(path),
        check: |config, args| check::run(&config, args),
    })
}
