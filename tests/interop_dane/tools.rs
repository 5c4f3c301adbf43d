//! The programs of others that take part.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Without one of them nothing here is tested.
const NEEDED: [&str; 7] = [
    "unbound",
    "unbound-control",
    "unbound-host",
    "dnssec-keygen",
    "dnssec-signzone",
    "dnssec-dsfromkey",
    "openssl",
];

/// Seconds after which a program is ended that ought to have ended long before.
const PATIENCE: &str = "20";

/// True, with a word on stderr, if this machine cannot run tests with real name servers.
pub(super) fn skipped() -> bool {
    let missing = NEEDED.into_iter().filter(|program| find(program).is_none());
    let missing = missing.collect::<Vec<_>>();
    if !missing.is_empty() {
        eprintln!("SKIPPED: not installed: {}", missing.join(", "));
    }
    !missing.is_empty()
}

/// Where a program is.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&path())
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Where programs are; those of administrators are not on everybody's path.
pub(super) fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// A program that is ended if it takes too long, and that speaks to machines.
pub(super) fn command(program: &str) -> Command {
    let file = find(program).unwrap_or_else(|| panic!("{program} is not installed"));
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "--kill-after=1", PATIENCE])
        .arg(file)
        .env("LC_ALL", "C")
        .stdin(std::process::Stdio::null());
    command
}

/// Runs a program that has to succeed; what it printed to stdout.
pub(super) fn run(program: &str, arguments: &[&str]) -> String {
    let output = command(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{}",
        output.status,
        said(&output)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that a program printed.
pub(super) fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}
