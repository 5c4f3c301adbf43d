//! Completions and man pages, from the same definition as the parser.

use super::Cli;
use clap::CommandFactory as _;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn completions(shell: clap_complete::Shell) -> ExitCode {
    // Into memory first: the generator panics when the pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sealpost", &mut script);
    write(&script)
}

pub(super) fn write(text: &[u8]) -> ExitCode {
    report(std::io::Write::write_all(&mut std::io::stdout(), text))
}

pub(super) fn man(dir: &Path) -> ExitCode {
    let pages = std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .and_then(|()| std::fs::write(dir.join("sealpost.toml.5"), crate::config::manual()));
    report(pages)
}

fn report(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealpost: {error}");
            ExitCode::FAILURE
        }
    }
}
