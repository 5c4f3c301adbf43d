//! `sealpost scan` puts earlier surveys out anew and compares them: no network is needed for that.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use support::{Daemon, Exit};
use tempfile::TempDir;

/// What a stranger writes into a certificate or a reply.
const HOSTILE: &str = "\u{1b}[2J\u{9b}31m</td><script>alert(1)</script>\r\n=calc";

/// An MX host that can be tested, with one address.
fn host(name: &str, version: &str, key: &str) -> Value {
    json!({
        "name": name, "preference": 10, "dnssec": "insecure", "tls": "works", "ipv4": "yes", "ipv6": "no",
        "tlsa": {"state": "insecure"},
        "addresses": [{
            "address": "192.0.2.1", "reach": "reached", "starttls": "offered", "requiretls": "no",
            "tls": {"version": version, "cipher": "TLS13_AES_256_GCM_SHA384", "group": "X25519",
                    "forward_secrecy": "yes", "post_quantum": "no"},
            "versions": {"1.2": "yes", "1.3": if version == "1.3" { "yes" } else { "no" }},
            "post_quantum": "no",
            "certificate": {"key": "rsa", "key_bits": 2048, "signature": "sha256WithRSAEncryption",
                            "days_left": 60, "not_after": "2027-01-01T00:00:00Z", "verification": "valid",
                            "spki_sha256": key, "key_strength": "phase-out", "signature_strength": "good"},
        }],
    })
}

fn record(domain: &str, group: &str, class: &str, hosts: &[Value]) -> Value {
    let flows = class == "starttls-on-all" || class == "no-starttls";
    json!({
        "format": 1, "domain": domain, "group": group, "surveyed": "2026-11-26T08:00:00Z", "class": class,
        "mx": {"state": "present", "dnssec": "insecure", "published": hosts.len()},
        "hosts": hosts,
        "mta_sts": {"state": "none"}, "tlsrpt": {"state": "none"},
        "verdict": if flows {
            json!({"flow": "deliverable", "level": "may", "source": "default", "authenticated": "none",
                   "encrypted": if class == "starttls-on-all" { "yes" } else { "no" }})
        } else {
            json!({"flow": "temporary"})
        },
        "findings": if class == "no-starttls" {
            json!([{"severity": "error", "code": "no-starttls", "text": "No MX host offers STARTTLS."}])
        } else {
            json!([])
        },
    })
}

fn survey() -> Vec<Value> {
    let shared = host("mx.provider.example", "1.3", "aa");
    let mut clear = host("mx.clear.example", "1.3", "bb");
    clear["tls"] = json!("not-offered");
    clear["addresses"] =
        json!([{"address": "192.0.2.2", "reach": "reached", "starttls": "not-offered"}]);
    vec![
        record(
            "one.example",
            "nl",
            "starttls-on-all",
            std::slice::from_ref(&shared),
        ),
        record("two.example", "de", "starttls-on-all", &[shared]),
        record("clear.example", "nl", "no-starttls", &[clear]),
        record("down.example", "nl", "could-not-test", &[]),
    ]
}

struct Desk {
    directory: TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file of these records; the path as text.
    fn write(&self, name: &str, records: &[Value]) -> String {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        fs::write(self.file(name), lines).unwrap();
        self.file(name).display().to_string()
    }
}

/// There is no configuration where this runs, and none is needed.
fn scan(words: &[&str]) -> Exit {
    Daemon::command(&[&["scan", "--config", "/nonexistent"], words].concat())
}

fn well(words: &[&str]) -> String {
    let exit = scan(words);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert_eq!(exit.stderr, "", "{exit:?}");
    exit.stdout
}

/// Part and count of a chart.
fn chart(
    statistics: &Value,
    group: Option<&str>,
    subject: &str,
    property: &str,
) -> Vec<(String, u64)> {
    let of = match group {
        Some(group) => &statistics["groups"][group],
        None => &statistics["all"],
    };
    let charts = of["charts"].as_array().unwrap().iter();
    let mut found = charts.filter(|c| c["subject"] == subject && c["property"] == property);
    let parts = found
        .next()
        .map(|chart| chart["parts"].as_array().unwrap().clone());
    let parts = parts.unwrap_or_default();
    parts
        .iter()
        .map(|part| {
            (
                part["label"].as_str().unwrap().to_owned(),
                part["count"].as_u64().unwrap(),
            )
        })
        .collect()
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    let owned = expected.iter().map(|(label, n)| ((*label).to_owned(), *n));
    owned.collect()
}

#[test]
fn statistics_are_split_by_group_and_count_a_host_once() {
    let desk = Desk::new();
    let file = desk.write("s.json", &survey());
    let text = well(&["--from", &file, "--format", "statistics"]);
    let statistics: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(statistics["complete"], true);
    assert_eq!(
        (
            &statistics["all"]["domains"],
            &statistics["all"]["mx_hosts"]
        ),
        (&json!(4), &json!(2))
    );
    for (group, subject, property, expected) in [
        (
            None,
            "domains",
            "starttls",
            &[("on all MX", 2), ("on no MX", 1), ("could not test", 1)][..],
        ),
        (
            Some("nl"),
            "domains",
            "starttls",
            &[("on all MX", 1), ("on no MX", 1), ("could not test", 1)],
        ),
        (Some("de"), "domains", "starttls", &[("on all MX", 1)]),
        (
            None,
            "hosts",
            "starttls",
            &[("works", 1), ("not offered", 1)],
        ),
        (None, "domains", "best-version", &[("TLS 1.3", 2)]),
        (None, "hosts", "best-version", &[("TLS 1.3", 1)]),
        (None, "domains", "findings", &[("no-starttls", 1)]),
        (Some("de"), "domains", "findings", &[]),
    ] {
        assert_eq!(
            chart(&statistics, group, subject, property),
            pairs(expected),
            "{group:?} {property}"
        );
    }
}

#[test]
fn a_table_is_plain_where_nobody_looks_and_has_lines_when_asked() {
    let desk = Desk::new();
    let file = desk.write("s.json", &survey());
    let table = well(&["--from", &file]);
    assert!(table.contains("\n4 domains, 2 MX hosts\n"), "{table}");
    assert!(
        table.contains("STARTTLS") && table.contains("By group"),
        "{table}"
    );
    for (words, times) in [("on all MX", 1), ("one.example", 0)] {
        assert_eq!(table.matches(words).count(), times, "{words}: {table}");
    }
    assert!(!table.contains('\u{1b}'), "{table}");
    assert!(
        table.lines().all(|line| line.chars().count() <= 120),
        "{table}"
    );
}

#[test]
fn json_is_what_was_read() {
    let desk = Desk::new();
    let file = desk.write("s.json", &survey());
    let once = well(&["--from", &file, "--format", "json"]);
    fs::write(desk.file("again.json"), &once).unwrap();
    let again = well(&[
        "--from",
        &desk.file("again.json").display().to_string(),
        "--format",
        "json",
    ]);
    assert_eq!(once, again);
    let domains: Vec<Value> = once
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(domains.len(), 4);
    assert_eq!(domains[2]["findings"][0]["code"], "no-starttls");
}

/// The head and the rows.
fn rows(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).from_reader(csv.as_bytes());
    let rows = reader
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect());
    rows.collect()
}

#[test]
fn csv_has_a_row_for_each_domain() {
    let desk = Desk::new();
    let file = desk.write("s.json", &survey());
    let csv = well(&["--from", &file, "--format", "csv"]);
    let rows = rows(&csv);
    let at = |column: &str| rows[0].iter().position(|name| name == column).unwrap();
    assert_eq!(rows.len(), 5);
    for (row, column, expected) in [
        (1, "domain", "one.example"),
        (1, "group", "nl"),
        (1, "class", "starttls-on-all"),
        (1, "tls_best", "TLS 1.3"),
        (1, "verification", "valid"),
        (1, "days_left", "60"),
        (1, "keys", "RSA 2048"),
        (1, "encrypted", "yes"),
        (3, "findings", "no-starttls"),
        (3, "errors", "1"),
        (3, "tls_best", ""),
        (4, "class", "could-not-test"),
    ] {
        assert_eq!(rows[row][at(column)], expected, "{column}");
    }
}

#[test]
fn what_strangers_wrote_harms_no_output() {
    let desk = Desk::new();
    let mut hostile = record(
        "a.example",
        HOSTILE,
        "no-starttls",
        &[host(HOSTILE, HOSTILE, "aa")],
    );
    hostile["reason"] = json!("=calc");
    hostile["verdict"] =
        json!({"flow": "not-deliverable", "reply": HOSTILE, "level": HOSTILE, "source": HOSTILE});
    hostile["findings"] =
        json!([{"severity": "error", "code": "no-starttls", "text": HOSTILE, "host": HOSTILE}]);
    hostile["hosts"][0]["addresses"][0]["certificate"]["signature"] = json!(HOSTILE);
    hostile["hosts"][0]["addresses"][0]["certificate"]["problem"] = json!(HOSTILE);
    hostile["hosts"][0]["addresses"][0]["certificate"]["spki_sha256"] = json!(HOSTILE);
    let mut other = hostile.clone();
    other["hosts"][0]["addresses"][0]["certificate"]["spki_sha256"] = json!("bb");
    let (new, old) = (
        desk.write("s.json", &[hostile]),
        desk.write("old.json", &[other]),
    );
    for format in ["table", "json", "csv", "html", "statistics"] {
        for compare in [&[][..], &["--compare", &old]] {
            let words = [
                &["--from", &new, "--verbose", "--format", format][..],
                compare,
            ]
            .concat();
            let out = well(&words);
            let harmless = |c: char| !c.is_control() || c == '\n';
            assert!(out.chars().all(harmless), "{format}: {out:?}");
            match format {
                "html" => assert!(!out.contains("<script>alert"), "{format}"),
                "csv" => {
                    let cells = rows(&out).concat();
                    assert!(cells.iter().any(|cell| cell.contains("calc")), "{out}");
                    assert!(
                        cells.iter().all(|cell| !cell.starts_with(['=', '+', '@'])),
                        "{out}"
                    );
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_page_is_whole_refers_to_nothing_and_appears_at_once() {
    let desk = Desk::new();
    let (file, page) = (desk.write("s.json", &survey()), desk.file("report.html"));
    fs::write(&page, "the old report").unwrap();
    let told = well(&[
        "--from",
        &file,
        "--format",
        "html",
        "--output",
        &page.display().to_string(),
    ]);
    assert_eq!(told, "");
    let html = fs::read_to_string(&page).unwrap();
    assert!(
        html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>"),
        "{html}"
    );
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("style="));
    for words in [
        "one.example",
        "No MX host offers STARTTLS.",
        "could not test",
        "MTA-STS",
        "X25519",
    ] {
        assert!(html.contains(words), "{words}");
    }
    let left: Vec<_> = fs::read_dir(desk.directory.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "no temporary file is left: {left:?}");
    // What fails leaves the old file as it was.
    let nothing = desk.write("none.json", &[]);
    let exit = scan(&[
        "--from",
        &nothing,
        "--format",
        "html",
        "--output",
        &page.display().to_string(),
    ]);
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert_eq!(fs::read_to_string(&page).unwrap(), html);
}

#[test]
fn changes_are_told_the_worst_first() {
    let desk = Desk::new();
    let old = desk.write("old.json", &survey());
    let mut records = survey();
    records[0]["class"] = json!("no-starttls");
    records[1]["hosts"][0]["addresses"][0]["certificate"]["spki_sha256"] = json!("cc");
    records[1]["mta_sts"] = json!({"state": "valid", "mode": "enforce"});
    records[3]["domain"] = json!("new.example");
    let new = desk.write("new.json", &records);
    let json = well(&["--input", &new, "--compare", &old, "--format", "json"]);
    let told: Vec<String> = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|change| {
            let word = |key: &str| change[key].as_str().unwrap().to_owned();
            format!("{} {} {}", word("grade"), word("domain"), word("change"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "worse one.example starttls-lost",
            "other down.example domain-gone",
            "other two.example key-changed",
            "other new.example domain-new",
            "better two.example mta-sts-gained",
        ]
    );
    let table = well(&["--from", &new, "--compare", &old]);
    assert!(
        table.contains("2 of 3 domains that both have changed"),
        "{table}"
    );
    assert!(
        table.contains("one.example: STARTTLS lost: starttls-on-all -> no-starttls"),
        "{table}"
    );
    let page = well(&["--from", &new, "--compare", &old, "--format", "html"]);
    assert!(page.contains("Changes since the old survey") && page.contains("key changed"));
    let nothing = well(&["--from", &old, "--compare", &old, "--format", "json"]);
    assert_eq!(nothing, "");
}

#[test]
fn files_of_other_versions_and_cut_off_ones_are_read() {
    let desk = Desk::new();
    let file = desk.write("s.json", &survey()[..2]);
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("{\"domain\":\"later.example\",\"class\":\"no-starttls\",\"unheard\":[1]}\n{\"format\":1,\"dom");
    fs::write(&file, text).unwrap();
    let exit = scan(&["--from", &file, "--format", "statistics"]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(
        exit.stderr.contains("line 4: the last line is cut off"),
        "{exit:?}"
    );
    let statistics: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!(
        (&statistics["all"]["domains"], &statistics["complete"]),
        (&json!(3), &json!(false))
    );
    let exit = scan(&["--from", &file, "--compare", &file]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert_eq!(
        exit.stderr.matches("the last line is cut off").count(),
        2,
        "{exit:?}"
    );
}

#[test]
fn mistakes_are_told_and_write_nothing() {
    let desk = Desk::new();
    let file = desk.write("s.json", &survey());
    let list = desk.file("domains.txt");
    fs::write(&list, "a.example\nb.example\n").unwrap();
    let list = list.display().to_string();
    for (words, told) in [
        (&["--from", "/nonexistent"][..], "No such file"),
        (&["--from", &list], "there is no record of a survey in it"),
        (
            &["--from", &file, "--compare", "/nonexistent"],
            "No such file",
        ),
        (
            &["--from", &file, "--compare", &list],
            "there is no record of a survey in it",
        ),
        (
            &["--from", &file, "--output", "/nonexistent/x"],
            "No such file",
        ),
        (&["--from", &file, "--format", "xml"], "invalid value"),
        (&["--from", &file, "--resume", &list], "cannot be used with"),
    ] {
        let exit = scan(words);
        assert_eq!(exit.code, Some(2), "{words:?}: {exit:?}");
        assert!(exit.stderr.contains(told), "{words:?}: {exit:?}");
        assert_eq!(exit.stdout, "", "{words:?}");
    }
    assert_eq!(
        fs::read_to_string(Path::new(&list)).unwrap(),
        "a.example\nb.example\n"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    let desk = Desk::new();
    let many: Vec<Value> = (0..5000)
        .map(|i| record(&format!("d{i}.example"), "nl", "could-not-test", &[]))
        .collect();
    let file = desk.write("s.json", &many);
    for format in ["json", "csv", "html"] {
        let line = format!(
            "{{ {} scan --config /nonexistent --from {file} --format {format}; echo code $? >&2; }} | head -c 10",
            env!("CARGO_BIN_EXE_sealpost")
        );
        let out = std::process::Command::new("sh")
            .args(["-c", &line])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stderr), "code 0\n", "{format}");
    }
}

#[test]
fn the_documentation_names_every_column_change_and_property() {
    use sealpost::survey::compare::What;
    use sealpost::survey::stats::word;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_to_string(root.join("docs/scan.md")).unwrap();
    let desk = Desk::new();
    let file = desk.write("s.json", &survey());
    let columns = rows(&well(&["--from", &file, "--format", "csv"])).swap_remove(0);
    let statistics = well(&["--from", &file, "--format", "statistics"]);
    let statistics: Value = serde_json::from_str(&statistics).unwrap();
    let charts = statistics["all"]["charts"].as_array().unwrap().iter();
    let properties = charts.map(|chart| chart["property"].as_str().unwrap().to_owned());
    let changes = What::ALL.iter().map(word);
    for name in columns.into_iter().chain(properties).chain(changes) {
        assert!(docs.contains(&format!("`{name}`")), "{name}");
    }
}
