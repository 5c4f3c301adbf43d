//! `sealpost maillog`: logs of every form through the real binary, with exact counts.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

const SESSION: &str = "with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256";

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// `sealpost maillog`, in UTC, to its end.
fn maillog(arguments: &[&str], input: &[u8]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sealpost"))
        .arg("maillog")
        .args(arguments)
        .env("TZ", "UTC")
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn json(arguments: &[&str], input: &[u8]) -> Value {
    let said = maillog(&[&["--format", "json"], arguments].concat(), input);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    serde_json::from_str(&said.stdout).unwrap()
}

/// Files of these contents, in one directory.
fn files(contents: &[(&str, &[u8])]) -> (TempDir, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let write = |(name, content): &(&str, &[u8])| {
        let path: PathBuf = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let paths = contents.iter().map(write).collect();
    (directory, paths)
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Four messages to others, of which one in the clear, and three from others and users.
fn usual() -> String {
    let session = |pid: u32, trust: &str, mx: &str, version: &str| {
        format!(
            "2026-11-25T07:00:00+00:00 mail postfix/smtp[{pid}]: {trust} TLS connection established to {mx}: {version} {SESSION}\n"
        )
    };
    let sent = |pid: u32, id: &str, to: &str, mx: &str| {
        format!(
            "2026-11-25T07:00:00+00:00 mail postfix/smtp[{pid}]: {id}: to=<{to}>, relay={mx}, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)\n"
        )
    };
    let smtpd = |service: &str, text: &str| {
        format!("2026-11-26T09:30:00+00:00 mail postfix/{service}[9]: {text}\n")
    };
    let secured = format!(
        "Anonymous TLS connection established from c.example[198.51.100.7]: TLSv1.2 {SESSION}"
    );
    [
        session(1, "Verified", "mx.a.example[192.0.2.1]:25", "TLSv1.3"),
        sent(1, "AAAAA1", "x@a.example", "mx.a.example[192.0.2.1]:25"),
        sent(1, "AAAAA1", "y@a.example", "mx.a.example[192.0.2.1]:25"),
        session(2, "Untrusted", "mx.b.example[192.0.2.2]:25", "TLSv1"),
        sent(2, "AAAAA2", "x@b.example", "mx.b.example[192.0.2.2]:25"),
        session(3, "Trusted", "mx.b.example[192.0.2.2]:25", "TLSv1.2"),
        sent(3, "AAAAA3", "x@b.example", "mx.b.example[192.0.2.2]:25"),
        sent(4, "AAAAA4", "x@c.example", "mx.c.example[192.0.2.3]:25"),
        sent(5, "AAAAA5", "x@d.example", "127.0.0.1[127.0.0.1]:10024"),
        smtpd("smtpd", "connect from c.example[198.51.100.7]"),
        smtpd("smtpd", &secured),
        smtpd("smtpd", "AAAAA6: client=c.example[198.51.100.7]"),
        smtpd("smtpd", "disconnect from c.example[198.51.100.7]"),
        smtpd("smtpd", "connect from d.example[198.51.100.8]"),
        smtpd("smtpd", "AAAAA7: client=d.example[198.51.100.8]"),
        smtpd("submission/smtpd", "connect from u[198.51.100.9]"),
        smtpd("submission/smtpd", &secured),
        smtpd(
            "submission/smtpd",
            "AAAAA8: client=u[198.51.100.9], sasl_method=PLAIN, sasl_username=u",
        ),
    ]
    .iter()
    .enumerate()
    .map(|(second, line)| line.replacen(":00+", &format!(":{second:02}+"), 1))
    .collect()
}

fn counts(value: &Value) -> [u64; 4] {
    ["total", "tls", "verified", "plaintext"].map(|key| value[key].as_u64().unwrap())
}

fn named(list: &Value) -> Vec<(String, u64)> {
    let entry = |e: &Value| {
        (
            e["name"].as_str().unwrap().to_owned(),
            e["count"].as_u64().unwrap(),
        )
    };
    list.as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn everything_is_counted() {
    let report = json(&["-"], usual().as_bytes());
    let (out, inn, users) = (
        &report["outbound"],
        &report["inbound"],
        &report["submitted"],
    );
    assert_eq!(counts(&out["messages"]), [4, 3, 1, 1]);
    assert_eq!(counts(&out["connections"]), [4, 3, 1, 1]);
    assert_eq!(out["messages"]["tls_share"], 0.75);
    assert_eq!(counts(&inn["messages"]), [2, 1, 0, 1]);
    assert_eq!(counts(&inn["connections"]), [2, 1, 0, 1]);
    assert_eq!(counts(&users["messages"]), [1, 1, 0, 0]);
    assert_eq!(
        (&report["handed_over"], &report["lines"]["read"]),
        (&1.into(), &18.into())
    );
    let versions: Vec<_> = ["TLSv1.3", "TLSv1.2", "TLSv1"]
        .map(|v| (v.to_owned(), 1))
        .into();
    assert_eq!(named(&out["versions"]), versions);
    let ciphers = [("TLS_AES_256_GCM_SHA384".to_owned(), 3)];
    assert_eq!(named(&out["ciphers"]), ciphers);
    assert_eq!(named(&out["key_exchanges"]), [("X25519".to_owned(), 3)]);
    let destinations = report["destinations"]["shown"].as_array().unwrap();
    let of = |d: &Value| {
        (
            d["domain"].as_str().unwrap().to_owned(),
            counts(&d["recipients"]),
        )
    };
    let seen: Vec<_> = destinations.iter().map(of).collect();
    let expected = [
        ("a.example", [2, 2, 2, 0]),
        ("b.example", [2, 2, 0, 0]),
        ("c.example", [1, 0, 0, 1]),
    ];
    assert_eq!(
        seen,
        expected.map(|(name, counts)| (name.to_owned(), counts))
    );
    assert_eq!(report["from"], "2026-11-25T07:00:00Z");
    let impact = report["impact"].as_array().unwrap();
    let kinds: Vec<_> = impact
        .iter()
        .map(|i| {
            (
                i["kind"].as_str().unwrap(),
                i["recipients"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("plaintext", 1),
        ("old-tls", 1),
        ("unauthenticated", 1),
        ("authenticated", 2),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn the_table_says_the_same() {
    let said = maillog(&["--top", "1", "-"], usual().as_bytes());
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (Some(0), ""),
        "{}",
        said.stderr
    );
    let lines: Vec<String> = said
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "18 lines, 18 of mail; 2026-11-25 07:00 UTC to 2026-11-26 09:30 UTC",
        "MAIL TO OTHERS messages connections",
        "encrypted, host proven 1 25.0 % 1 25.0 %",
        "encrypted 2 50.0 % 2 50.0 %",
        "in the clear 1 25.0 % 1 25.0 %",
        "a.example 2 100 % 100 % 0 0 TLSv1.3",
        "and 2 more destinations (--top N)",
        "1 recipients were handed to filters or mailboxes here, and are not counted above",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}\n{}",
            said.stdout
        );
    }
}

/// Rotated, compressed, in any order: read as if they were one.
#[test]
fn files_are_read_in_the_order_of_their_lines() {
    let log = usual();
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    // The session is in the first file, its deliveries are in the second.
    let (first, rest) = lines.split_at(1);
    let (second, third) = rest.split_at(9);
    let middle = gzip(second[..4].concat().as_bytes());
    let multi = [middle, gzip(second[4..].concat().as_bytes())].concat();
    let (first, third) = (first.concat(), third.concat());
    let (_directory, paths) = files(&[
        ("mail.log", third.as_bytes()),
        ("mail.log.1.gz", &multi),
        ("mail.log.2.gz", &gzip(first.as_bytes())),
    ]);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let whole = json(&["-"], log.as_bytes());
    assert_eq!(json(&paths, b""), whole);
    let backwards: Vec<&str> = paths.iter().rev().copied().collect();
    assert_eq!(json(&backwards, b""), whole);
}

#[test]
fn a_log_without_tls_lines_is_unknown_and_not_plaintext() {
    let log: String = usual()
        .lines()
        .filter(|line| !line.contains(" TLS "))
        .map(|line| format!("{line}\n"))
        .collect();
    let said = maillog(&["--format", "json", "-"], log.as_bytes());
    assert!(
        said.stderr.contains("smtp_tls_loglevel=1"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr.contains("smtpd_tls_loglevel=1"),
        "{}",
        said.stderr
    );
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    let messages = &report["outbound"]["messages"];
    assert_eq!(messages["total"], 4);
    for key in ["tls", "plaintext", "tls_share"] {
        assert_eq!(messages[key], Value::Null, "{key}");
    }
    assert_eq!(report["impact"], serde_json::json!([]));
    let table = maillog(&["-"], log.as_bytes()).stdout;
    assert!(
        table.contains("unknown") && !table.contains("100 %"),
        "{table}"
    );
    let page = maillog(&["--format", "html", "-"], log.as_bytes()).stdout;
    assert!(page.contains("smtp_tls_loglevel = 1"), "{page}");
}

#[test]
fn exit_codes() {
    let (directory, paths) = files(&[
        ("empty", b""),
        ("truncated.gz", &gzip(usual().as_bytes())[..300]),
    ]);
    let here = directory.path().display().to_string();
    for (arguments, input, code, words) in [
        (&["-"][..], &b""[..], 1, "there is no mail in it"),
        (
            &["-"],
            b"Nov 26 07:00:00 mail sshd[1]: x\n",
            1,
            "journalctl",
        ),
        (&[&paths[0]], b"", 1, "there is no mail in it"),
        (&["/nonexistent"], b"", 2, "/nonexistent: No such file"),
        (&[&here], b"", 2, "is a directory"),
        (&["--format", "csv", "-"], b"", 2, "csv"),
        (&["--days", "0", "-"], b"", 2, "0"),
        // What there is of a file that was cut is told, and that it was.
        (&[&paths[1]], b"", 0, "read in part"),
    ] {
        let said = maillog(arguments, input);
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.stderr);
        assert!(
            said.stderr.contains(words),
            "{arguments:?}: {}",
            said.stderr
        );
    }
}

#[test]
fn days_are_the_last_ones() {
    let now = jiff::Timestamp::now();
    let at = |hours: i64| now - jiff::SignedDuration::from_hours(hours);
    let sent = |hours, to: &str| {
        format!(
            "{} mail postfix/smtp[1]: AAAAA1: to=<x@{to}>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)\n",
            at(hours)
        )
    };
    let log = sent(49, "old.example") + &sent(47, "new.example");
    let report = json(&["--days", "2", "-"], log.as_bytes());
    assert_eq!(report["destinations"]["total"], 1);
    assert_eq!(report["destinations"]["shown"][0]["domain"], "new.example");
    assert_eq!(report["lines"]["older"], 1);
    assert_eq!(json(&["-"], log.as_bytes())["destinations"]["total"], 2);
}

/// What strangers write into a log neither moves the cursor nor marks up a page, and never ends the program.
#[test]
fn hostile_logs() {
    let evil = "\u{1b}[2J\u{9b}31m<script>alert(1)</script>\u{202e}";
    let mut log = usual().into_bytes();
    for line in [
        format!(
            "2026-11-25T07:00:00+00:00 mail postfix/smtp[6]: AAAAA9: to=<x@e.example>, relay=mx{evil}[192.0.2.9]:25, delay=1, delays=0/0/1/0, dsn=4.7.5, status=deferred (TLS is required, but host {evil} refused to start TLS: {evil})\n"
        ),
        format!(
            "2026-11-25T07:00:00+00:00 mail postfix/smtp[6]: AAAAA9: to=<x@{evil}.example>, relay=mx[192.0.2.9]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent ({evil})\n"
        ),
        format!(
            "2026-11-25T07:00:00+00:00 mail postfix/smtp[6]: Trusted TLS connection established to mx[192.0.2.9]:25: TLS{evil} with cipher {evil} (1/1 bits) key-exchange {evil}\n"
        ),
    ] {
        log.extend_from_slice(line.as_bytes());
    }
    log.extend((0..=255).cycle().take(100_000));
    log.push(b'\n');
    log.extend(std::iter::repeat_n(b'x', 10_000_000));
    log.extend_from_slice(b"\nNov 26 07:00:00 mail postfix/smtp[7]: \xff\xfe: to=<\n");
    log.extend_from_slice(b"Nov 26 07:00:00 mail postfix/smtp[7]: AAAAA9: to=<x@f.example>, relay=mx[192.0.2.9]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)\n");
    for format in ["table", "json", "html"] {
        let said = maillog(&["--format", format, "-"], &log);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let moved = said
            .stdout
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(moved, None, "{format}");
        assert!(said.stdout.contains("f.example"), "{format}");
        if format == "html" {
            assert!(!said.stdout.contains("<script>alert"), "{}", said.stdout);
            assert!(
                said.stdout.contains("&lt;script&gt;alert"),
                "the words are there, as words"
            );
        }
    }
    let report = json(&["-"], &log);
    assert_eq!(report["lines"]["too_long"], 1);
    assert!(report["lines"]["unreadable"].as_u64().unwrap() > 0);
    assert!(named(&report["outbound"]["ciphers"]).contains(&("other".to_owned(), 1)));
}

#[test]
fn the_page_needs_nothing_else() {
    let page = maillog(&["--format", "html", "-"], usual().as_bytes()).stdout;
    for part in [
        "<!DOCTYPE html>",
        "Content-Security-Policy",
        "a.example",
        "TLS_AES_256_GCM_SHA384",
        "<svg",
        "75.0 %",
        "What Sealpost would change",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for absent in ["http://", "https://", "src=", " style=", "onclick"] {
        assert!(!page.contains(absent), "{absent}");
    }
}
