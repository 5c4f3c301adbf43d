//! `sealpost suggest` through the real binary: from mail logs and from the history; what it prints is a configuration.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::path::Path;
use std::sync::Arc;

use sealpost::store::Store;
use sealpost::store::history::{Facet, HourCount, LastAttempt, LastDelivery, Sighting, Way};
use serde_json::Value;
use support::{Daemon, Exit};
use tempfile::TempDir;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap()
}

/// Deliveries of an hour ago: by such TLS (empty: none) to such a domain, so many.
fn log(deliveries: &[(&str, &str, usize)]) -> String {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let mut log = String::new();
    for (pid, (tls, domain, count)) in deliveries.iter().enumerate() {
        let mx = format!("mx.{domain}[192.0.2.1]:25");
        for message in 0..*count {
            if let Some((trust, version)) = tls.split_once(' ') {
                log += &format!(
                    "{at} mail postfix/smtp[{pid}]: {trust} TLS connection established to {mx}: {version} with cipher X (1/1 bits)\n"
                );
            }
            log += &format!(
                "{at} mail postfix/smtp[{pid}]: A{pid:03}{message:04}: to=<x@{domain}>, relay={mx}, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)\n"
            );
        }
    }
    log
}

fn usual() -> String {
    log(&[
        ("Verified TLSv1.3", "verified.example", 12),
        ("Trusted TLSv1.3", "trusted.example", 11),
        ("Untrusted TLSv1.2", "untrusted.example", 10),
        ("Trusted TLSv1.3", "few.example", 9),
        ("", "clear.example", 20),
        ("Trusted TLSv1.3", "mixed.example", 30),
        ("", "mixed.example", 1),
        ("Anonymous TLSv1", "old.example", 15),
    ])
}

/// A directory with a configuration, which has this in addition.
fn place(extra: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().display();
    let config = format!("hostname = \"relay.example.net\"\nstate_dir = \"{here}\"\n{extra}");
    let path = directory.path().join("sealpost.toml");
    std::fs::write(&path, config).unwrap();
    (directory, path.display().to_string())
}

/// `sealpost suggest` from a log.
fn from_log(log: &str, extra: &str, words: &[&str]) -> Exit {
    let (directory, config) = place(extra);
    let file = directory.path().join("mail.log");
    std::fs::write(&file, log).unwrap();
    let file = file.display().to_string();
    let all = [&["suggest", "--config", &config, "--maillog", &file], words].concat();
    Daemon::command(&all)
}

fn json(said: &Exit) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// Domain, level and version of each rule of a configuration.
fn rules(toml: &str) -> Vec<(String, String, Option<String>)> {
    let table: toml::Table = toml.parse().unwrap();
    let rules = table
        .get("rule")
        .and_then(|rules| rules.as_array().cloned());
    let word = |rule: &toml::Value, key| {
        rule.get(key)
            .map(|v: &toml::Value| v.as_str().unwrap().to_owned())
    };
    let mut all = Vec::new();
    for rule in rules.unwrap_or_default() {
        for domain in rule["domains"].as_array().unwrap() {
            let domain = domain.as_str().unwrap().to_owned();
            all.push((
                domain,
                word(&rule, "require").unwrap(),
                word(&rule, "min_version"),
            ));
        }
    }
    all
}

fn expected(rules: &[(&str, &str, Option<&str>)]) -> Vec<(String, String, Option<String>)> {
    let own = |(domain, level, version): &(&str, &str, Option<&str>)| {
        (
            (*domain).to_owned(),
            (*level).to_owned(),
            version.map(str::to_owned),
        )
    };
    rules.iter().map(own).collect()
}

#[test]
fn rules_from_a_log_are_a_configuration() {
    let plain = [
        ("verified.example", "verify", None),
        ("trusted.example", "encrypt", None),
        ("untrusted.example", "encrypt", None),
    ];
    let strict = [
        ("verified.example", "verify", Some("1.3")),
        ("trusted.example", "encrypt", Some("1.3")),
        ("untrusted.example", "encrypt", None),
    ];
    for (words, suggested) in [
        (&[][..], &plain),
        (&["--dry-run"], &plain),
        (&["--group"], &plain),
        (&["--min-version", "1.3"], &strict),
        (&["--min-version", "1.3", "--group", "--dry-run"], &strict),
    ] {
        let said = from_log(&usual(), "", words);
        assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{words:?}");
        let mut found = rules(&said.stdout);
        let mut suggested = expected(suggested);
        found.sort();
        suggested.sort();
        assert_eq!(found, suggested, "{words:?}\n{}", said.stdout);
        let dry = said.stdout.matches("enforce = \"dry-run\"\n").count();
        let blocks = said.stdout.matches("[[rule]]").count();
        assert_eq!(
            dry,
            if words.contains(&"--dry-run") {
                blocks
            } else {
                0
            }
        );
        // It is appended as it is.
        let (_directory, config) = place(&said.stdout);
        let checked = Daemon::command(&["config", "check", "--config", &config]);
        assert_eq!(checked.code, Some(0), "{checked:?}\n{}", said.stdout);
        let again = from_log(&usual(), &said.stdout, &[]);
        assert_eq!(again.code, Some(1), "{again:?}");
        assert!(again.stderr.contains("nothing to suggest"), "{again:?}");
        assert!(
            again
                .stdout
                .contains("Left out: 3 that have a rule already"),
            "{again:?}"
        );
    }
}

#[test]
fn what_would_have_been_blocked_is_told_by_destination() {
    let report = json(&from_log(&usual(), "", &["--format", "json", "--top", "2"]));
    assert_eq!(
        (&report["deliveries"], &report["destinations"]),
        (&108.into(), &7.into())
    );
    let left = serde_json::json!({"have_a_rule": 0, "publish_a_policy": 0, "too_few_deliveries": 1, "not_always_tls": 3});
    assert_eq!(report["left_out"], left);
    let effects: Vec<_> = report["what_if"]
        .as_array()
        .unwrap()
        .iter()
        .map(|effect| {
            let first = effect["shown"][0]["domain"].as_str().unwrap_or("");
            (
                effect["blocked"].as_u64().unwrap(),
                effect["unknown"].as_u64().unwrap(),
                first,
            )
        })
        .collect();
    let expected = [
        // verified.example, by nobody knows what.
        (0, 12, "verified.example"),
        // In the clear, and TLS 1.0.
        (36, 0, "clear.example"),
        // And TLS 1.2.
        (46, 0, "clear.example"),
        // And what was untrusted, which this Postfix can tell; of what was trusted the name is not known.
        (46, 62, "clear.example"),
        (0, 0, ""),
    ];
    assert_eq!(effects, expected);
    let text = from_log(&usual(), "", &["--top", "1"]).stdout;
    for words in [
        "#   policy.default = \"encrypt\": 36 of 108 deliveries (33.3 %)\n#       clear.example  20\n",
        "#       and 2 more destinations (--top N)",
        "try it first",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn what_a_log_does_not_say_is_not_guessed() {
    // Postfix without authorities calls all untrusted.
    let rootless = log(&[("Untrusted TLSv1.3", "a.example", 10)]);
    let report = json(&from_log(&rootless, "", &["--format", "json"]));
    let verify = &report["what_if"][3];
    assert_eq!(
        (&verify["blocked"], &verify["unknown"]),
        (&0.into(), &10.into()),
        "{verify}"
    );
    // Without TLS lines nothing is known at all.
    let silent = from_log(&log(&[("", "a.example", 10)]), "", &[]);
    assert_eq!(silent.code, Some(2));
    assert!(silent.stderr.contains("smtp_tls_loglevel=1"), "{silent:?}");
    // Blocked mail is no evidence.
    let blocked = rootless.replace(
        "status=sent (250 ok)",
        "status=deferred (Server certificate not trusted)",
    );
    let said = from_log(&blocked, "", &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
}

#[test]
fn a_rule_says_its_version_where_the_configuration_has_another() {
    let said = from_log(&usual(), "[tls]\nmin_version = \"1.3\"\n", &[]);
    let found = rules(&said.stdout);
    let untrusted = expected(&[("untrusted.example", "encrypt", Some("1.2"))]);
    assert!(found.contains(&untrusted[0]), "{}", said.stdout);
    assert!(found.contains(&expected(&[("trusted.example", "encrypt", None)])[0]));
}

#[test]
fn usage() {
    let (_directory, config) = place("");
    for words in [
        &["--maillog", "/nonexistent"][..],
        &["--days", "0"],
        &["--min-version", "1.1"],
        &["--format", "xml"],
        // There is no store yet.
        &[],
    ] {
        let all = [&["suggest", "--config", &config], words].concat();
        let said = Daemon::command(&all);
        assert_eq!(said.code, Some(2), "{words:?}: {said:?}");
        assert!(!said.stderr.is_empty(), "{words:?}");
    }
}

fn facet(
    way: Way,
    authenticated: &'static str,
    version: &'static str,
    problem: &'static str,
) -> Facet {
    Facet {
        way,
        authenticated: authenticated.into(),
        version: version.into(),
        cipher: "".into(),
        group: "".into(),
        problem: problem.into(),
        key: "".into(),
        policy: "default".into(),
        level: "may".into(),
        why: "".into(),
        dry_run: "".into(),
    }
}

async fn remember(directory: &Path, sightings: &[(&str, Facet, u64, u64)]) {
    let store = Store::open(&directory.join("sealpost.db")).unwrap();
    for (name, facet, days_ago, count) in sightings {
        let at = now() - days_ago * DAY;
        let name: Arc<str> = (*name).into();
        let sighting = Sighting {
            name: name.clone(),
            first: at,
            last: at,
            counts: vec![HourCount {
                at: at - at % HOUR,
                facet: facet.clone(),
                rule: None,
                count: *count,
            }],
            attempt: LastAttempt {
                facet: facet.clone(),
                rule: None,
            },
            delivery: facet.way.is_delivered().then(|| LastDelivery {
                at,
                facet: facet.clone(),
                mx: name,
            }),
            refusal: None,
            secured: facet.way.is_secured().then_some(at),
            clear: None,
        };
        store.record_history(vec![sighting], now()).await.unwrap();
    }
    store.close().await;
}

/// Name, way, days ago, deliveries.
fn sightings() -> Vec<(&'static str, Facet, u64, u64)> {
    let sound = facet(Way::Encrypted, "none", "1.3", "none");
    let unsound = facet(Way::Encrypted, "none", "1.3", "certificate-not-trusted");
    let published = |policy: &'static str, level: &'static str| Facet {
        policy: policy.into(),
        level: level.into(),
        ..facet(Way::Verified, "dane", "1.2", "certificate-not-trusted")
    };
    vec![
        ("sound.example", sound.clone(), 2, 20),
        ("unsound.example", unsound.clone(), 2, 15),
        // What was blocked is no evidence, neither for nor against.
        (
            "unsound.example",
            facet(Way::Blocked, "none", "", ""),
            2,
            50,
        ),
        ("old.example", sound.clone(), 40, 20),
        // Sound lately, but not always.
        ("mended.example", unsound, 60, 3),
        ("mended.example", sound.clone(), 2, 12),
        ("dane.example", published("dane", "dane"), 2, 30),
        ("mx.ruled.example", sound.clone(), 2, 30),
        ("[192.0.2.1]", sound, 2, 30),
        (
            "clear.example",
            facet(Way::Plaintext, "none", "", ""),
            2,
            10,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_from_the_history() {
    let (directory, config) =
        place("[[rule]]\ndomains = [\"*.ruled.example\"]\nrequire = \"encrypt\"\n");
    remember(directory.path(), &sightings()).await;
    let suggest =
        |words: &[&str]| Daemon::command(&[&["suggest", "--config", &config], words].concat());
    let said = suggest(&[]);
    assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{said:?}");
    let suggested = expected(&[
        ("sound.example", "verify", None),
        ("unsound.example", "encrypt", None),
        ("mended.example", "verify", None),
    ]);
    assert_eq!(rules(&said.stdout), suggested, "{}", said.stdout);
    // Held against all that is remembered.
    assert!(
        said.stdout.contains("#   these rules: 3 of "),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("#       mended.example  3\n"),
        "{}",
        said.stdout
    );
    let all = rules(&suggest(&["--all"]).stdout);
    assert_eq!(all[0], expected(&[("dane.example", "dane-only", None)])[0]);
    let report = json(&suggest(&["--format", "json"]));
    assert_eq!(report["source"], "the history");
    let min_version = &report["what_if"][4];
    assert_eq!(min_version["blocked"], 30, "{min_version}");
    assert_eq!(min_version["shown"][0]["domain"], "dane.example");
    let checked = suggest(&["--days", "100", "--min", "1"]);
    let names: Vec<String> = rules(&checked.stdout)
        .into_iter()
        .map(|rule| rule.0)
        .collect();
    assert!(names.contains(&"old.example".to_owned()), "{names:?}");
}
