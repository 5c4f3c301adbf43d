//! A survey that is ended in the middle goes on where it was: nothing is lost but what was in work.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{Bench, Script, World, WorldBuilder};

const DOMAINS: usize = 40;
/// Of these a scan is let do so many before it is ended.
const BEFORE: usize = 8;

/// Hosts that take their time, so that a scan can be ended in the middle; one cannot be reached.
fn world() -> WorldBuilder {
    let slow = || Script {
        delay_per_reply: Duration::from_millis(20),
        ..Script::default()
    };
    let world = (0..DOMAINS).fold(World::new(), |world, at| world.domain(&name(at), slow()));
    world.domain("down.test", Script::refused())
}

fn name(at: usize) -> String {
    format!("d{at}.test")
}

struct Desk {
    bench: Bench,
}

impl Desk {
    async fn new() -> Self {
        let bench = Bench::of(world()).await;
        let list: String = (0..DOMAINS).map(|at| name(at) + ",nl\n").collect();
        fs::write(
            bench.directory.path().join("domains.csv"),
            list + "down.test\n",
        )
        .unwrap();
        Self { bench }
    }

    fn file(&self, name: &str) -> String {
        self.bench.directory.path().join(name).display().to_string()
    }

    fn words(&self) -> Vec<String> {
        let fixed = ["--concurrency", "2", "--depth", "visit", "--resume"];
        let mut words = vec![self.file("domains.csv")];
        words.extend(fixed.map(str::to_owned));
        words.push(self.file("kept.json"));
        words
    }

    /// A scan that is running, with so many domains done.
    fn begin(&self, done: usize) -> (Child, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sealpost"))
            .args([
                "scan",
                "--config",
                &self.file("sealpost.toml"),
                "--format",
                "csv",
            ])
            .args(self.words())
            .args(["--retry-after", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut rows = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        // The head of the table comes with the first row.
        for _ in 0..=done {
            assert!(rows.read_line(&mut text).unwrap() > 0, "{text}");
        }
        child.stdout = Some(rows.into_inner());
        (child, text)
    }

    async fn scan(&self, more: &[&str]) -> support::Exit {
        let words = self.words();
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        self.bench.scan(&words).await
    }

    /// How often each domain is in the file, each line of which is a record.
    fn kept(&self) -> BTreeMap<String, (usize, String)> {
        let text = fs::read_to_string(self.file("kept.json")).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        let mut kept = BTreeMap::new();
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let word = |key: &str| record[key].as_str().unwrap().to_owned();
            let entry = kept.entry(word("domain")).or_insert((0, word("class")));
            entry.0 += 1;
        }
        kept
    }

    fn connections(&self) -> Vec<usize> {
        (0..DOMAINS)
            .map(|at| self.bench.net.mx(&name(at)).connections().len())
            .collect()
    }
}

fn domains(statistics: &str) -> u64 {
    let statistics: Value = serde_json::from_str(statistics).unwrap();
    statistics["all"]["domains"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_is_killed_loses_what_was_in_work_and_no_more() {
    let desk = Desk::new().await;
    let (mut child, _) = desk.begin(BEFORE);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = desk.kept();
    assert!((BEFORE..DOMAINS).contains(&before.len()), "{before:?}");
    let connections = desk.connections();
    // As a kill in the middle of a write leaves it.
    let mut file = fs::File::options()
        .append(true)
        .open(desk.file("kept.json"))
        .unwrap();
    file.write_all(b"{\"format\":1,\"domain\":\"d").unwrap();

    let exit = desk.scan(&["--format", "statistics"]).await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(exit.stderr.contains("the last line is cut off"), "{exit:?}");
    let after = desk.kept();
    assert_eq!(after.len(), DOMAINS + 1);
    assert!(after.values().all(|(times, _)| *times == 1), "{after:?}");
    assert_eq!(
        domains(&exit.stdout),
        (DOMAINS + 1) as u64,
        "statistics are of both scans"
    );
    for (at, (now, then)) in desk.connections().into_iter().zip(connections).enumerate() {
        let done = before.contains_key(&name(at));
        assert_eq!(now - then, usize::from(!done), "{at}: {done}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_tested_is_tried_again_if_asked_for() {
    let desk = Desk::new().await;
    assert_eq!(desk.scan(&["--format", "json"]).await.code, Some(0));
    let (whole, connections) = (desk.kept(), desk.connections());
    assert_eq!(whole["down.test"], (1, "could-not-test".to_owned()));
    let text = fs::read(desk.file("kept.json")).unwrap();

    let exit = desk.scan(&["--format", "statistics"]).await;
    assert_eq!(
        (exit.code, domains(&exit.stdout)),
        (Some(0), whole.len() as u64)
    );
    assert_eq!(
        fs::read(desk.file("kept.json")).unwrap(),
        text,
        "nothing is left to do"
    );

    // Its MX record now leads to a host that is there.
    desk.bench
        .net
        .dns
        .remove("down.test", lab::dns::RecordType::MX)
        .mx("down.test", 10, "mx.d0.test");
    let exit = desk.scan(&["--retry", "--format", "statistics"]).await;
    assert_eq!(
        (exit.code, domains(&exit.stdout)),
        (Some(0), whole.len() as u64),
        "{exit:?}"
    );
    let again = desk.kept();
    assert_eq!(again["down.test"], (1, "starttls-on-all".to_owned()));
    assert_eq!(again.len(), whole.len());
    let more: usize = desk.connections().iter().sum();
    assert_eq!(
        more - connections.iter().sum::<usize>(),
        1,
        "nothing else is tried again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_scans_do_not_write_to_one_file() {
    let desk = Desk::new().await;
    let (mut child, _) = desk.begin(1);
    let exit = desk.scan(&[]).await;
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert!(
        exit.stderr.contains("another scan is writing to it"),
        "{exit:?}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_with_what_was_done() {
    let desk = Desk::new().await;
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (child, mut csv) = desk.begin(BEFORE);
        let process = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &process])
                .status()
                .unwrap()
                .success()
        );
        let output = child.wait_with_output().unwrap();
        csv.push_str(&String::from_utf8(output.stdout).unwrap());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{told}");
        let kept = desk.kept();
        assert!((BEFORE..DOMAINS).contains(&kept.len()), "{kept:?}");
        assert_eq!(
            csv.lines().count(),
            kept.len() + 1,
            "each that is kept is put out: {csv}"
        );
        let expected = format!(
            "interrupted after {} domains; the same command goes on from",
            kept.len()
        );
        assert!(told.contains(&expected), "{told}");
        fs::remove_file(desk.file("kept.json")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_survey_is_not_written_to() {
    let desk = Desk::new().await;
    for text in ["a.example\nb.example\n", "a.example", "[]\n"] {
        fs::write(desk.file("kept.json"), text).unwrap();
        let exit = desk.scan(&[]).await;
        assert_eq!(exit.code, Some(2), "{text}: {exit:?}");
        assert!(
            exit.stderr.contains("not the JSON lines of a scan"),
            "{exit:?}"
        );
        assert_eq!(fs::read_to_string(desk.file("kept.json")).unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_nothing_that_answers_is_exit_code_1() {
    let desk = Desk::new().await;
    for (domain, code) in [("d0.test", 0), ("down.test", 1)] {
        let exit = desk.bench.scan(&[domain]).await;
        assert_eq!(exit.code, Some(code), "{exit:?}");
    }
}
