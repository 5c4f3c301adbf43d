//! The real binary's `config` commands, and what it says of commands to come.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::path::Path;
use std::process::{Command, Output};

fn sealpost(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealpost"))
        .args(words)
        .env_remove("SEALPOST_CONFIG")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A configuration file in a directory of its own.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sealpost.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path.display().to_string())
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_exit_code_2() {
    let (_dir, path) = file(
        "hostname = \"relay.example.net\"\n[client]\nnetwork = []\n[relay]\ncustody = \"quue\"\n",
    );
    for words in [
        &["config", "check", "--config", &path][..],
        &["--config", &path, "config", "show"],
        &["run", "--config", &path],
        &["check", "example.com", "--config", &path],
    ] {
        let output = sealpost(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert_eq!(text(&output.stdout), "");
        assert_eq!(
            text(&output.stderr),
            format!(
                "{path}:3:1: client.network: there is no key \"network\"; did you mean \"networks\"?\n\
                 {path}:5:11: relay.custody: cannot be \"quue\"; did you mean \"queue\"?\n"
            ),
            "{words:?}"
        );
    }
}

#[test]
fn show_prints_the_whole_configuration_and_reads_it_again() {
    let (_dir, path) = file("hostname = \"relay.example.net\"\n");
    let first = sealpost(&["config", "show", "--config", &path]);
    assert!(first.status.success());
    let shown = text(&first.stdout);
    assert!(shown.contains("reach_timeout = \"1m30s\"\n"), "{shown}");
    let (_dir, path) = file(&shown);
    let second = sealpost(&["config", "show", "--config", &path]);
    assert_eq!(text(&second.stdout), shown);
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let (_dir, path) = file("hostname = \"from.environment.example\"\n");
    let output = Command::new(env!("CARGO_BIN_EXE_sealpost"))
        .args(["config", "show"])
        .env("SEALPOST_CONFIG", &path)
        .output()
        .unwrap();
    assert!(text(&output.stdout).starts_with("hostname = \"from.environment.example\"\n"));
}

#[test]
fn what_this_version_lacks_says_so() {
    let output = sealpost(&["report", "list", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "sealpost: report: not in this version\n"
    );
}

#[test]
fn usage_errors_are_exit_code_2_and_help_is_0() {
    for (words, code) in [
        (&["frobnicate"][..], 2),
        (&["check"], 2), // no destination
        (&["run", "--verbose"], 2),
        (&["--help"], 0),
        (&["config", "check", "--help"], 0),
        (&["--version"], 0),
    ] {
        assert_eq!(sealpost(words).status.code(), Some(code), "{words:?}");
    }
}

#[test]
fn completions_and_man_pages_come_from_the_same_definition() {
    let output = sealpost(&["completions", "bash"]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("no-connect"));
    let dir = tempfile::tempdir().unwrap();
    let output = sealpost(&["man", &dir.path().display().to_string()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(Path::exists(&dir.path().join("sealpost-check.1")));
}
