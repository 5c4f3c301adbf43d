//! The test: all servers are surveyed, and every field is held against what the oracles say.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::Internet;
use serde_json::Value;

use super::cases::{CASES, Published};
use super::fields;
use super::fingers::Finger;
use super::isolation::{Place, isolate};
use super::openssl::Findings;
use super::rules::explain;
use super::servers::{Host, Servers};
use super::table::{Outcome, Row, Rows, print};
use crate::support::postfix::skipped;

const TEST: &str = "interop_scan::compare::a_scan_agrees_with_openssl_and_posttls_finger";
/// For all of it.
const LIMIT: Duration = Duration::from_secs(150);
/// Servers that are looked at by the oracles at a time.
const AT_ONCE: usize = 3;

#[test]
fn a_scan_agrees_with_openssl_and_posttls_finger() {
    if skipped() || super::tools::find("openssl").is_none() {
        println!("SKIPPED: it takes root, Postfix and openssl");
        return;
    }
    let Some(place) = isolate(TEST) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let compared = tokio::time::timeout(LIMIT, compare(place)).await;
        compared.expect("it takes far less time than this");
    });
}

async fn compare(place: Place) {
    let net = Internet::new().await.unwrap();
    if place == Place::Inside {
        // Postfix believes a resolver that sets AD.
        net.dns.validates();
        let port_53 = "127.0.0.1:53".parse().unwrap();
        net.dns.resolve_also_at(port_53).await.unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    std::fs::write(path.join("sealpost.toml"), net.config_validating(&path)).unwrap();
    let main = "compatibility_level = 3.6\ninet_protocols = ipv4\nmyhostname = oracle.test\n";
    std::fs::write(path.join("main.cf"), main).unwrap();
    // All that follows waits for processes; the lab goes on meanwhile.
    let compared = tokio::task::spawn_blocking(move || {
        let servers = Servers::start(&net);
        let records = scan(&path, &servers.hosts);
        let rows = rows(place, (&net, &path), &servers.hosts, &records);
        judge(&rows, &servers.hosts);
    });
    compared.await.unwrap();
}

/// `sealpost scan`, by domain.
fn scan(directory: &Path, hosts: &[Host]) -> BTreeMap<String, Value> {
    let domains: String = hosts.iter().map(|host| host.case.domain() + "\n").collect();
    let list = directory.join("domains");
    std::fs::write(&list, domains).unwrap();
    let binary = std::env::var("SEALPOST_BINARY");
    let binary = binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_sealpost"));
    let output = Command::new(binary)
        .args(["scan", "--format", "json", "--depth", "deep", "--config"])
        .arg(directory.join("sealpost.toml"))
        .arg("--file")
        .arg(list)
        .env_remove("SEALPOST_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", super::tools::said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let records = text.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["domain"].as_str().unwrap().to_owned(), record)
    });
    let records: BTreeMap<_, _> = records.collect();
    assert_eq!(records.len(), hosts.len(), "a record for each domain");
    records
}

fn rows(
    place: Place,
    (net, directory): (&Internet, &Path),
    hosts: &[Host],
    records: &BTreeMap<String, Value>,
) -> Vec<Row> {
    let roots = net.ca.roots_file();
    let of = |host: &Host| {
        let findings = Findings::of(host, &roots);
        let record = &records[&host.case.domain()];
        let findings = match tlsa(record) {
            Some(published) => findings.by_dane(host, &published),
            None => findings,
        };
        let mut rows = Rows::new(host);
        let told = &record["hosts"][0]["addresses"][0];
        fields::tls(&mut rows, told, &findings);
        fields::deep(&mut rows, told, &findings, host);
        if let Some(seen) = &findings.certificate {
            fields::certificate(&mut rows, &told["certificate"], seen, &findings);
        }
        let finger = Finger::run(host, directory, "verify", &roots);
        fields::fingers(&mut rows, told, &finger);
        if host.case.tlsa != Published::Nothing {
            let finger =
                (place == Place::Inside).then(|| Finger::run(host, directory, "dane", &roots));
            fields::dane(&mut rows, record, &findings, finger.as_ref());
        }
        rows.rows
    };
    std::thread::scope(|scope| {
        let (of, share) = (&of, hosts.len().div_ceil(AT_ONCE));
        let shares = hosts.chunks(share);
        let running: Vec<_> = shares
            .map(|hosts| scope.spawn(move || hosts.iter().flat_map(of).collect::<Vec<Row>>()))
            .collect();
        running
            .into_iter()
            .flat_map(|share| share.join().unwrap())
            .collect()
    })
}

/// The one record that is published, as Sealpost tells it.
fn tlsa(record: &Value) -> Option<String> {
    let record = record["hosts"][0]["tlsa"]["records"][0]["record"].as_str()?;
    Some(record.to_owned())
}

fn judge(rows: &[Row], hosts: &[Host]) {
    println!("server, field, oracle, Sealpost, the oracle if it differs, outcome");
    let mut differing = Vec::new();
    let mut explained = 0;
    for row in rows {
        let outcome = explain(row, rows);
        print(row, outcome);
        match outcome {
            Outcome::Same => {}
            Outcome::Explained(_) => explained += 1,
            Outcome::Differ => differing.push(format!("{row:?}")),
        }
    }
    println!(
        "{} fields of {} servers, {explained} explained, {} differ",
        rows.len(),
        hosts.len(),
        differing.len()
    );
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    // Nothing was compared with nothing.
    assert!(hosts.len() >= 12 && hosts.len() <= CASES.len());
    assert!(rows.len() >= hosts.len() * 10, "{} fields", rows.len());
}
