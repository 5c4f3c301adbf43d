//! Sealpost, Postfix and OpenSSL judge the same hosts by the same records.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lab::Internet;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::case::{Differs, Outcome};
use super::isolation::{Place, isolate};
use super::peers::{Finding, Matched, openssl, postfix, sealpost};
use super::prepared::Prepared;
use super::tools::skipped;
use super::unbound::Unbound;
use super::zones::Records;
use super::{by_certificate, by_dns, daemon};

/// Sealpost says the same whoever validates.
const MODES: [&str; 2] = ["validate", "trust-ad"];
/// Programs that run at a time.
const AT_ONCE: usize = 3;
/// For all of it.
const LIMIT: Duration = Duration::from_secs(150);

/// What all found out about a case.
struct Row {
    prepared: Prepared,
    sealpost: Finding,
    postfix: Option<Finding>,
    openssl: Option<Finding>,
}

#[test]
fn verdicts_are_those_of_postfix_and_openssl() {
    if skipped() {
        return;
    }
    let Some(place) = isolate("interop_dane::verdicts::verdicts_are_those_of_postfix_and_openssl")
    else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let compared = tokio::time::timeout(LIMIT, compare(place)).await;
        compared.expect("it takes far less time than this");
    });
}

async fn compare(place: Place) {
    let mut net = Internet::new().await.unwrap();
    let mut records = Records::default();
    let mut waiting = VecDeque::new();
    for case in [by_certificate::cases(), by_dns::cases()].concat() {
        waiting.push_back(Prepared::new(case, &mut net, &mut records).await);
    }
    assert!(waiting.len() >= 20);
    let at_53: &[SocketAddr] = match place {
        Place::Inside => &[SocketAddr::from(([127, 0, 0, 1], 53))],
        Place::Outside => &[],
    };
    let unbound = Unbound::start(&net.ports, at_53, &records);
    let directory = Arc::new(tempfile::tempdir().unwrap());
    write_configurations(&net, &unbound, &directory);
    let mut running = JoinSet::new();
    let mut rows = Vec::new();
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < AT_ONCE
            && let Some(prepared) = waiting.pop_front()
        {
            let directory = Arc::clone(&directory);
            running.spawn_blocking(move || judge(place, &directory, prepared));
        }
        rows.push(running.join_next().await.unwrap().unwrap());
    }
    rows.sort_by_key(|row| row.prepared.address);
    println!("domain, TLSA records, Sealpost, posttls-finger, s_client, why they differ");
    rows.iter().for_each(print);
    let wrong = rows.iter().flat_map(complaints).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn write_configurations(net: &Internet, unbound: &Unbound, directory: &TempDir) {
    let path = directory.path();
    for dnssec in MODES {
        let config = daemon::config(net, unbound, dnssec);
        let config = config.replace("STATE", &path.display().to_string());
        std::fs::write(path.join(format!("{dnssec}.toml")), config).unwrap();
    }
    let main = "compatibility_level = 3.6\ninet_protocols = ipv4\nmyhostname = relay.test\n";
    std::fs::write(path.join("main.cf"), main).unwrap();
}

fn judge(place: Place, directory: &TempDir, prepared: Prepared) -> Row {
    let path = directory.path();
    let [sealpost, other] =
        MODES.map(|mode| sealpost(&path.join(format!("{mode}.toml")), &prepared));
    assert_eq!(
        sealpost.outcome, other.outcome,
        "{MODES:?}: {}{}",
        sealpost.said, other.said
    );
    let postfix = (place == Place::Inside).then(|| postfix(path, &prepared));
    let openssl = openssl(&prepared);
    Row {
        prepared,
        sealpost,
        postfix,
        openssl,
    }
}

/// One line of the table: `@1` is the certificate at depth 1, `@dns` one that is in the record only.
fn print(row: &Row) {
    let of = |finding: Option<&Finding>| {
        let Some(finding) = finding else {
            return "-".to_owned();
        };
        let place = match finding.matched {
            Some(Matched::Sent(depth)) => format!(" @{depth}"),
            Some(Matched::Published) => " @dns".to_owned(),
            None => String::new(),
        };
        format!("{:?}{place}", finding.outcome)
    };
    let case = &row.prepared.case;
    let differs = case.openssl.or(case.postfix).map(|Differs(_, why)| why);
    println!(
        "{:34} {:15} {:13} {:13} {:10} {}",
        row.prepared.domain,
        parameters(&row.prepared),
        of(Some(&row.sealpost)),
        of(row.postfix.as_ref()),
        of(row.openssl.as_ref()),
        differs.or(case.depth).unwrap_or_default(),
    );
}

/// Of each record, usage, selector and matching type.
fn parameters(prepared: &Prepared) -> String {
    let parameters = prepared.rdata.iter().map(|rdata| {
        let numbers = rdata.iter().take(3).map(u8::to_string);
        numbers.collect::<Vec<_>>().join(" ")
    });
    match parameters.collect::<Vec<_>>() {
        few if few.len() <= 2 => few.join(", "),
        many => format!("{} records", many.len()),
    }
}

/// What is not as the case says.
fn complaints(row: &Row) -> Vec<String> {
    let case = &row.prepared.case;
    let half_is_whole = if case.expected == Outcome::HalfDane {
        Outcome::Dane
    } else {
        case.expected
    };
    let expected =
        |differs: Option<Differs>, usual| differs.map_or(usual, |Differs(outcome, _)| outcome);
    let judges = [
        ("sealpost", Some(&row.sealpost), case.expected),
        (
            "postfix",
            row.postfix.as_ref(),
            expected(case.postfix, case.expected),
        ),
        (
            "openssl",
            row.openssl.as_ref(),
            expected(case.openssl, half_is_whole),
        ),
    ];
    let mut complaints = Vec::new();
    for (who, finding, expected) in judges {
        let Some(finding) = finding else { continue };
        let same_place = case.depth.is_some()
            || finding.outcome != case.expected
            || finding.matched == row.sealpost.matched;
        if finding.outcome != expected || !same_place {
            complaints.push(format!(
                "{}: {who}: {:?} {:?}, not {expected:?}\n{}",
                row.prepared.domain, finding.outcome, finding.matched, finding.said
            ));
        }
    }
    complaints
}
