//! `sealpost check` where DNSSEC and DANE have a say: each step with its proof, and the same in JSON.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::{Cert, Intermediate};
use lab::dns::{Fault, RecordType};
use serde_json::Value;
use support::{Bench, Script, World, WorldBuilder};

/// Exit code and report of one domain.
async fn json(bench: &Bench, domain: &str) -> (i32, Value) {
    let (code, mut reports) = bench.json(&[domain]).await;
    (code.unwrap(), reports.remove(0))
}

/// good.test matches, bad.test does not, ta.test has an intermediate, odd.test has all kinds of records.
fn world() -> WorldBuilder {
    World::new()
        .domain("good.test", Script::default())
        .domain("bad.test", Script::default())
        .domain("odd.test", Script::default())
        .domain("fails.test", Script::default())
        .domain("plain.test", Script::default())
        .domain("forged.test", Script::default())
        .certified("ta.test", |ca| {
            let cert = Cert::new(["mx.ta.test"]).with_intermediate(Intermediate::Sent);
            Script::with_identity(ca.issue(&cert))
        })
        .net(|net| {
            let port = net.ports.port();
            for zone in ["good", "bad", "odd", "fails", "ta"] {
                net.dns.secure(&format!("{zone}.test"));
            }
            net.dns
                .zone("forged.test", lab::dnssec::Zone::secure().altered());
            let other = net.ca.identity("other.test");
            let odd = net.mx("mx.odd.test").identity();
            net.tlsa("mx.good.test", "3 1 1")
                .tlsa("mx.ta.test", "2 1 1");
            net.dns
                .tlsa("mx.bad.test", port, "3 1 1", other.leaf())
                .tlsa("mx.odd.test", port, "3 1 1", odd.leaf())
                .tlsa("mx.odd.test", port, "3 1 2", odd.leaf())
                .tlsa_raw("mx.odd.test", port, &[3, 1])
                .tlsa("mx.odd.test", port, "1 1 1", odd.leaf());
            let owner = format!("_{port}._tcp.mx.fails.test");
            net.dns.fault(&owner, RecordType::TLSA, Fault::ServFail);
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_there_with_its_proof() {
    let bench = Bench::of(world()).await;
    let (code, report) = json(&bench, "good.test").await;
    let host = &report["hosts"][0];
    let asked = &host["tlsa"]["asked"][0];
    let visit = &host["visits"][0];
    let port = bench.net.ports.port();
    for (is, should) in [
        (&report["mx_proof"], "secure"),
        (&report["dnssec"], "works, validated here"),
        (&host["address_proof"], "secure"),
        (&host["tlsa"]["finding"], "usable"),
        (&asked["name"], &format!("_{port}._tcp.mx.good.test")),
        (&asked["answer"], "secure"),
        (&asked["records"][0]["state"], "usable"),
        (&host["policy"]["level"], "dane"),
        (&host["policy"]["source"], "dane"),
        (&host["policy"]["dane"], "dane"),
        (&host["policy"]["plaintext"], "never"),
        (&visit["authenticated"], "dane"),
        (&visit["tlsa_matches"][0]["stands_for"], "presented"),
        (&report["verdict"], "deliverable"),
    ] {
        assert_eq!(is, should, "{report:#}");
    }
    assert_eq!(visit["tlsa_matches"][0]["depth"], 0, "{report:#}");
    assert_eq!(
        visit["tlsa_matches"][0]["problem"],
        Value::Null,
        "{report:#}"
    );
    assert_eq!(code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_is_what_delivery_would_say() {
    let bench = Bench::of(world()).await;
    for (domain, code, finding, words) in [
        ("good.test", 0, "usable", ""),
        ("ta.test", 0, "usable", ""),
        ("odd.test", 0, "usable", ""),
        ("plain.test", 0, "insecure", ""),
        ("bad.test", 1, "usable", "451 4.7.5 dane policy of bad.test"),
        (
            "fails.test",
            3,
            "lookup_failed",
            "451 4.4.3 dane policy of fails.test",
        ),
    ] {
        let (got, report) = json(&bench, domain).await;
        assert_eq!(got, code, "{domain}: {report:#}");
        let host = &report["hosts"][0];
        assert_eq!(host["tlsa"]["finding"], finding, "{domain}: {report:#}");
        assert!(report.to_string().contains(words), "{domain}: {report:#}");
    }
    let (code, report) = json(&bench, "forged.test").await;
    assert_eq!(code, 3, "{report:#}");
    let reply = report["reply"].as_str().unwrap();
    assert!(
        reply.starts_with("451 4.4.3") && reply.contains("bogus"),
        "{reply}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_say_whether_they_count_and_what_they_match() {
    let bench = Bench::of(world()).await;
    let (_, report) = json(&bench, "odd.test").await;
    let records = report["hosts"][0]["tlsa"]["asked"][0]["records"]
        .as_array()
        .unwrap();
    let mut states: Vec<(&str, &str)> = records
        .iter()
        .map(|r| {
            (
                r["state"].as_str().unwrap(),
                r["reason"].as_str().unwrap_or(""),
            )
        })
        .collect();
    states.sort_unstable();
    assert_eq!(
        states,
        [
            ("outranked", "a stronger digest is published"),
            ("unusable", "malformed: 2 octets"),
            (
                "unusable",
                "usage 1 is not for SMTP (RFC 7672 section 3.1.3)"
            ),
            ("usable", ""),
        ]
    );
    let text = bench
        .check(&["odd.test", "ta.test", "bad.test"])
        .await
        .stdout;
    for words in [
        "MX records   secure",
        "outranked, a stronger digest is published",
        "unusable, malformed: 2 octets",
        "certificate 0 (",
        "certificate 1 (",
        "no certificate of the chain; certificate matches none of the TLSA records",
        "dane (dane of ta.test)",
        "=> mail would flow",
        "=> mail would NOT flow",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_without_dnssec_is_named_and_nothing_is_said_to_flow() {
    let bench = Bench::of(world()).await;
    bench.net.dns.strips_dnssec();
    let exit = bench.check(&["good.test"]).await;
    assert_eq!(exit.code, Some(3), "{exit:?}");
    assert!(exit.stdout.contains("does NOT work"), "{}", exit.stdout);
    assert!(exit.stdout.contains("451 4.4.3"), "{}", exit.stdout);
}
