//! `sealpost scan` among hosts that mean ill: what they cost is bounded, and the others are told as they are.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

use lab::ca::Cert;
use lab::mx::{Act, Handshake, Script};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::{Bench, World, WorldBuilder};

const GOOD: usize = 200;
const HOSTILE: usize = 50;
/// Seconds for one connection.
const TIMEOUT: usize = 2;
/// Connections at a time: fewer than there are hosts that hold on to one.
const PLACES: usize = 20;
/// A host that holds on is left after two visits and two hellos, and there are not so many of them at a time.
const MOST: Duration = Duration::from_secs((TIMEOUT * 4 * HOSTILE / PLACES + 20) as u64);

/// A way to mean ill.
type Evil = fn(&str, &lab::ca::Ca) -> Script;

/// A way to mean ill, and what may be said of TLS there: STARTTLS was offered, or nobody knows.
const EVILS: [(&str, Evil, &[&str]); 10] = [
    (
        "endless greeting",
        |_, _| Script {
            greeting: Act::Endless(b"220-come in\r\n".to_vec()),
            ..Script::default()
        },
        &["could-not-test"],
    ),
    (
        "endless line",
        |_, _| Script {
            greeting: Act::Endless(b"2200000000".to_vec()),
            ..Script::default()
        },
        &["could-not-test"],
    ),
    (
        "endless EHLO",
        |_, _| Script {
            ehlo: Act::Endless(b"250-STARTTLS\r\n".to_vec()),
            ..Script::default()
        },
        &["could-not-test"],
    ),
    (
        "an octet a second",
        |_, _| Script {
            drip: Some(Duration::from_secs(1)),
            ..Script::default()
        },
        &["could-not-test"],
    ),
    ("silence", |_, _| Script::silent(), &["could-not-test"]),
    (
        "a huge chain",
        |name, ca| Script::with_identity(ca.issue(&Cert::new([name]).padded(300))),
        &["broken", "works"],
    ),
    (
        "reset after STARTTLS",
        |_, _| Script {
            handshake: Handshake::Reset,
            ..Script::default()
        },
        &["broken"],
    ),
    (
        "garbage for TLS",
        |_, _| Script {
            handshake: Handshake::Garbage([&[22, 3, 3, 0x40, 0][..], &[0xFF; 20_000]].concat()),
            ..Script::default()
        },
        &["broken"],
    ),
    (
        "no answer to a hello",
        |_, _| Script {
            handshake: Handshake::Stall,
            ..Script::default()
        },
        &["broken"],
    ),
    (
        "no end",
        |_, _| Script {
            quit: Act::Silence,
            ..Script::default()
        },
        &["works"],
    ),
];

/// Hostile hosts come first, and between the others.
fn world() -> WorldBuilder {
    let mut world = World::new();
    for number in 0..GOOD {
        world = world.domain(&format!("good{number}.test"), Script::default());
    }
    for number in 0..HOSTILE {
        let (_, evil, _) = EVILS[number % EVILS.len()];
        let domain = format!("evil{number}.test");
        let host = format!("mx.{domain}");
        world = world.certified(&domain, move |ca| evil(&host, ca));
    }
    world
}

fn list() -> String {
    let good = (0..GOOD).map(|number| format!("good{number}.test\n"));
    let mut lines: Vec<String> = good.collect();
    for number in 0..HOSTILE {
        // The first of them at once, so that they hold as many places as they can.
        lines.insert(number * 3, format!("evil{number}.test\n"));
    }
    lines.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hosts_cost_bounded_time_and_change_nothing_for_others() {
    let bench = Bench::of(world()).await;
    let file = bench.directory.path().join("domains");
    std::fs::write(&file, list()).unwrap();
    let (timeout, places) = (TIMEOUT.to_string(), PLACES.to_string());
    let file = file.display().to_string();
    let words = [
        "--format",
        "json",
        "--timeout",
        &timeout,
        "--concurrency",
        &places,
        "--file",
        &file,
    ];
    let begin = Instant::now();
    let exit = bench.scan(&words).await;
    let took = begin.elapsed();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(took < MOST, "{took:?}");
    let records: BTreeMap<String, Value> = exit.stdout.lines().map(record).collect();
    assert_eq!(records.len(), GOOD + HOSTILE);
    for number in 0..GOOD {
        let record = &records[&format!("good{number}.test")];
        let address = &record["hosts"][0]["addresses"][0];
        let said = [
            &record["class"],
            &address["certificate"]["verification"],
            &address["versions"]["1.2"],
            &address["versions"]["1.3"],
            &record["verdict"]["flow"],
        ];
        let expected = ["starttls-on-all", "valid", "yes", "yes", "deliverable"];
        assert_eq!(said, expected, "{record:#}");
    }
    for number in 0..HOSTILE {
        let (evil, _, expected) = EVILS[number % EVILS.len()];
        let record = &records[&format!("evil{number}.test")];
        let tls = record["hosts"][0]["tls"].as_str().unwrap();
        assert!(expected.contains(&tls), "{evil}: {tls}: {record:#}");
    }
    for mx in bench.net.hosts() {
        let verbs = mx.connections().into_iter().flat_map(|seen| seen.verbs());
        assert!(
            verbs.into_iter().all(|verb| verb != "MAIL"),
            "{}",
            mx.name()
        );
    }
}

/// A line of the survey: bounded, and nothing in it that a terminal obeys.
fn record(line: &str) -> (String, Value) {
    assert!(line.len() < 20_000, "{} octets", line.len());
    assert!(
        line.bytes().all(|octet| matches!(octet, b' '..=b'~')),
        "{line}"
    );
    let record: Value = serde_json::from_str(line).unwrap();
    (record["domain"].as_str().unwrap().to_owned(), record)
}
