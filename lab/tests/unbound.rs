//! The world of zones against unbound's validator: two who share nothing agree on every question.
#![allow(clippy::unwrap_used, reason = "it is test code")]

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use lab::dns::{DnsServer, RecordType};
use lab::dnssec::Verdict;
use lab::world::{self, Found, Question};

/// How many run at a time.
const PROCESSES: usize = 4;

/// Algorithms are not to be downgraded: else it would take SHA-1 in DS records for as good as SHA-256.
fn configuration(dns: &DnsServer) -> String {
    let (address, anchor) = (dns.address(), dns.trust_anchor_file());
    format!(
        r#"server:
  do-not-query-localhost: no
  do-ip6: no
  local-zone: "test." nodefault
  module-config: "validator iterator"
  harden-algo-downgrade: yes
  trust-anchor-file: "{anchor}"
forward-zone:
  name: "."
  forward-addr: {ip}@{port}
"#,
        anchor = anchor.display(),
        ip = address.ip(),
        port = address.port(),
    )
}

fn unbound(configuration: &Path, name: &str, record_type: RecordType) -> io::Result<String> {
    let output = Command::new("unbound-host")
        .arg("-C")
        .arg(configuration)
        .args(["-v", "-t", &record_type.to_string()])
        .arg(format!("{name}."))
        .output()?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What unbound says, in the words of the table.
fn read(output: &str) -> (Verdict, Found) {
    let verdict = if output.contains("(secure)") {
        Verdict::Secure
    } else if output.contains("BOGUS") || output.contains("validation failure") {
        Verdict::Bogus
    } else if output.contains("(insecure)") {
        Verdict::Insecure
    } else {
        Verdict::ServFail
    };
    let found = if verdict > Verdict::Insecure {
        Found::Nothing
    } else if output.contains("(NXDOMAIN)") {
        Found::NoName
    } else if output.contains(" has no ") {
        Found::NoType
    } else {
        Found::Records
    };
    (verdict, found)
}

fn expected(question: &Question) -> (Verdict, Found) {
    match question.verdict {
        Verdict::Secure | Verdict::Insecure => (question.verdict, question.found),
        Verdict::Bogus | Verdict::ServFail => (question.verdict, Found::Nothing),
    }
}

fn installed() -> bool {
    let tried = Command::new("unbound-host").arg("-h").output();
    if let Err(error) = &tried {
        eprintln!("SKIPPED: unbound-host cannot be run here: {error}");
    }
    tried.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_believes_no_lie() {
    if !installed() {
        return;
    }
    let dns = DnsServer::start().await.unwrap();
    world::build(&dns);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("unbound.conf");
    std::fs::write(&file, configuration(&dns)).unwrap();
    let mut wrong = Vec::new();
    for attack in world::attacks() {
        let truth = dns.verdict(&attack.victim, attack.record_type);
        attack.start(&dns);
        let output = unbound(&file, &attack.victim, attack.record_type).unwrap();
        if read(&output).0 != attack.verdict || truth > Verdict::Insecure {
            wrong.push(format!("{attack:?}: {output}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_agrees_on_every_question() {
    let dns = DnsServer::start().await.unwrap();
    world::build(&dns);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("unbound.conf");
    std::fs::write(&file, configuration(&dns)).unwrap();
    let questions = world::questions();
    assert!(questions.len() > 500);
    if !installed() {
        return;
    }
    let left = Mutex::new(questions.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PROCESSES {
            scope.spawn(|| {
                loop {
                    let Some(question) = left.lock().unwrap().next() else {
                        return;
                    };
                    let output = unbound(&file, &question.name, question.record_type).unwrap();
                    if read(&output) != expected(question) {
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{question:?}: {output}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lab_knows_the_verdicts_by_its_declarations() {
    let dns = DnsServer::start().await.unwrap();
    world::build(&dns);
    for question in world::questions() {
        let verdict = dns.verdict(&question.name, question.record_type);
        assert_eq!(verdict, question.verdict, "{question:?}");
    }
}
