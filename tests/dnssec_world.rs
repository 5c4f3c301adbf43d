//! The validator against the lab's world of zones in every state. The lab's table of verdicts is compared with that of
//! unbound elsewhere (`lab/tests/unbound.rs`), so that three agree here on every question.

#![allow(clippy::unwrap_used, reason = "it is test code")]

use futures_util::stream::{self, StreamExt};
use lab::dns::{DnsServer, RecordType};
use lab::dnssec::Verdict;
use lab::world::{self, Found, Question};
use sealpost::dns::{
    Answer, Dns, DnsSettings, Dnssec, DnssecStatus, Existence, Family, LookupFailure, Proof,
    Validation,
};
use sealpost::names::{DomainName, TlsaBaseDomain};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Questions in flight.
const AT_ONCE: usize = 16;

fn resolver(server: &DnsServer) -> Dns {
    let settings = DnsSettings {
        servers: vec![server.address()],
        timeout: Duration::from_secs(3),
        dnssec: Dnssec::Validate,
        trust_anchor: Some(server.trust_anchor_file()),
        ..DnsSettings::default()
    };
    Dns::new(&settings, Arc::new(|_, _| {})).unwrap()
}

/// What an answer comes to; [`Found::Nothing`] where there is none.
type Said = (Verdict, Found);

fn said<T>(outcome: Result<Arc<Answer<T>>, LookupFailure>) -> (Said, String) {
    match outcome {
        Ok(answer) => {
            let verdict = match answer.proof {
                Proof::Secure => Verdict::Secure,
                Proof::Insecure => Verdict::Insecure,
            };
            let found = match answer.existence {
                Existence::Present => Found::Records,
                Existence::NoData => Found::NoType,
                Existence::NxDomain => Found::NoName,
            };
            ((verdict, found), String::new())
        }
        Err(failure @ LookupFailure::Bogus(_)) => {
            ((Verdict::Bogus, Found::Nothing), failure.to_string())
        }
        Err(failure) => ((Verdict::ServFail, Found::Nothing), failure.to_string()),
    }
}

/// Asks, if it is a question that Sealpost ever asks.
async fn ask(dns: &Dns, name: &str, record_type: RecordType) -> Option<(Said, String)> {
    let domain = |text: &str| DomainName::from_dns(text).ok();
    if record_type == RecordType::TLSA {
        let (port, rest) = name.strip_prefix('_')?.split_once("._tcp.")?;
        let base = TlsaBaseDomain(domain(rest)?);
        return Some(said(dns.tlsa(&base, port.parse().ok()?).await));
    }
    let name = domain(name)?;
    if record_type == RecordType::MX {
        return Some(said(dns.mx(&name).await));
    }
    if record_type == RecordType::CNAME {
        return Some(said(dns.alias(&name).await));
    }
    let families = [(RecordType::A, Family::V4), (RecordType::AAAA, Family::V6)];
    let (_, family) = families.into_iter().find(|(of, _)| *of == record_type)?;
    Some(said(dns.addresses(&name, family).await))
}

/// Where Sealpost says something else than unbound: a server that fails when asked for keys is a failing server, not
/// a forger. Both hold mail back.
const DIFFERENCES: &[(&str, Verdict)] = &[
    ("mx.no-keys.test", Verdict::ServFail),
    ("mx.child.no-ds.test", Verdict::ServFail),
];

fn expected(question: &Question) -> Said {
    let other = DIFFERENCES.iter().find(|(name, _)| *name == question.name);
    let verdict = other.map_or(question.verdict, |(_, verdict)| *verdict);
    match verdict {
        Verdict::Secure | Verdict::Insecure => (verdict, question.found),
        Verdict::Bogus | Verdict::ServFail => (verdict, Found::Nothing),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_is_that_of_the_table() {
    let server = DnsServer::start().await.unwrap();
    world::build(&server);
    let dns = resolver(&server);
    assert_eq!(
        dns.probe().await,
        DnssecStatus::Works(Validation::InProcess)
    );
    let questions = world::questions();
    let answers: Vec<_> = stream::iter(&questions)
        .map(async |question| {
            let answer = ask(&dns, &question.name, question.record_type).await;
            (question, answer)
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|(question, answer)| async move { Some((question, answer?)) })
        .collect()
        .await;
    let mut wrong = Vec::new();
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    for (question, (got, why)) in &answers {
        *tally.entry(format!("{:?}", question.verdict)).or_default() += 1;
        if *got != expected(question) {
            wrong.push(format!("{question:?}: {got:?} {why}"));
        }
    }
    eprintln!("{} questions: {tally:?}", answers.len());
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(answers.len() > 100 && tally.len() > 2, "{tally:?}");
}

/// A lie about a name may hold an answer back. It never makes of what is published something weaker.
#[tokio::test(flavor = "multi_thread")]
async fn no_lie_is_believed() {
    let attacks = world::attacks();
    assert!(attacks.len() >= 20, "{}", attacks.len());
    let server = DnsServer::start().await.unwrap();
    world::build(&server);
    let mut wrong = Vec::new();
    for attack in &attacks {
        attack.start(&server);
        // Nothing is known beforehand, and everything is asked of the liar.
        let dns = resolver(&server);
        let asked = ask(&dns, &attack.victim, attack.record_type).await;
        let ((verdict, found), why) = asked.expect("it is a question of Sealpost's");
        server.tell_the_truth();
        eprintln!("{:<50} {verdict:?} {why}", attack.name);
        let held_back = matches!(verdict, Verdict::Bogus | Verdict::ServFail);
        if !held_back {
            wrong.push(format!(
                "{} in {}: {verdict:?} {found:?}",
                attack.name, attack.zone
            ));
        }
    }
    assert!(wrong.is_empty(), "believed:\n{}", wrong.join("\n"));
}

/// Where the administrator has put an anchor, the zones above it have nothing to say (RFC 4035 §4.4): nobody there can
/// deny what is below.
#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_below_the_root_governs_its_names() {
    let server = DnsServer::start().await.unwrap();
    server.mx("other.test", 10, "mx.other.test");
    // As it was before corp.test existed.
    let denial = server.honest("_25._tcp.mx.corp.test", RecordType::TLSA);
    server
        .secure("corp.test")
        .tlsa_raw("mx.corp.test", 25, &[3, 1, 1, 7]);
    let keys = server.honest("corp.test", RecordType::DNSKEY);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("anchors");
    let root = std::fs::read_to_string(server.trust_anchor_file()).unwrap();
    std::fs::write(&file, root + &anchor_of("corp.test.", &keys)).unwrap();
    let settings = DnsSettings {
        servers: vec![server.address()],
        dnssec: Dnssec::Validate,
        trust_anchor: Some(file),
        ..DnsSettings::default()
    };
    let ask_new = || async {
        let dns = Dns::new(&settings, Arc::new(|_, _| {})).unwrap();
        ask(&dns, "_25._tcp.mx.corp.test", RecordType::TLSA)
            .await
            .unwrap()
    };
    assert_eq!(ask_new().await.0, (Verdict::Secure, Found::Records));
    server.lie(move |question, response| {
        if question.record_type == RecordType::TLSA {
            lab::dns::lie::replace(response, &denial);
        }
    });
    let (said, why) = ask_new().await;
    assert_eq!(said, (Verdict::Bogus, Found::Nothing), "{why}");
}

/// Nor can they lead away from it: a DNAME record above the anchor is no answer for a name below it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_zone_above_an_anchor_leads_nobody_away() {
    let server = DnsServer::start().await.unwrap();
    server
        .a("www.plain.test", "192.0.2.1")
        .zone("isle.plain.test", lab::dnssec::Zone::secure().no_ds())
        .a("mx.isle.plain.test", "192.0.2.2");
    let keys = server.honest("isle.plain.test", RecordType::DNSKEY);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("anchors");
    let root = std::fs::read_to_string(server.trust_anchor_file()).unwrap();
    std::fs::write(&file, root + &anchor_of("isle.plain.test.", &keys)).unwrap();
    let settings = DnsSettings {
        servers: vec![server.address()],
        dnssec: Dnssec::Validate,
        trust_anchor: Some(file),
        ..DnsSettings::default()
    };
    let ask_new = || async {
        let dns = Dns::new(&settings, Arc::new(|_, _| {})).unwrap();
        ask(&dns, "mx.isle.plain.test", RecordType::A)
            .await
            .unwrap()
    };
    assert_eq!(ask_new().await.0, (Verdict::Secure, Found::Records));
    server.a("mx.isle.e.plain.test", "192.0.2.66");
    let stolen = server.honest("mx.isle.e.plain.test", RecordType::A);
    server.lie(move |question, response| {
        if question.record_type == RecordType::A && question.name == "mx.isle.plain.test" {
            lab::dns::lie::replace(response, &stolen);
            let target = b"\x01e\x05plain\x04test\x00";
            let dname = RecordType::from(39);
            let dname = lab::dns::lie::record("plain.test", dname, 60, target);
            response.answers.insert(0, dname);
        }
    });
    let (said, why) = ask_new().await;
    assert_eq!(said, (Verdict::Bogus, Found::Nothing), "{why}");
}

/// The first key as a line of an anchor file.
fn anchor_of(zone: &str, keys: &lab::dns::Message) -> String {
    let mut all = keys.answers.iter();
    let key = all.find(|r| r.record_type() == RecordType::DNSKEY).unwrap();
    let data = lab::dns::lie::data(key);
    let flags = u16::from_be_bytes([data[0], data[1]]);
    let base64 = base64_of(&data[4..]);
    format!("{zone} IN DNSKEY {flags} 3 {} {base64}\n", data[3])
}

fn base64_of(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in data.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(*chunk.get(at).unwrap_or(&0)));
        let bits = a << 16 | b << 8 | c;
        for place in 0..4 {
            let letter = (bits >> (18 - 6 * place) & 63) as usize;
            text.push(if place <= chunk.len() {
                ALPHABET[letter].into()
            } else {
                '='
            });
        }
    }
    text
}

/// One forged answer for a child's DS must not be kept: a wildcard's alias proves nothing of a name that exists
/// (RFC 4035 §5.3.4).
#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_s_alias_does_not_hide_a_zone_cut() {
    let server = DnsServer::start().await.unwrap();
    server
        .secure("a.test")
        .cname("*.a.test", "elsewhere.test")
        .secure("sub.a.test")
        .a("mx.sub.a.test", "192.0.2.1");
    let oracle = server.oracle();
    server.lie(move |question, response| {
        if question.name == "sub.a.test" && question.record_type == RecordType::DS {
            // What the wildcard makes of a name that does not exist, under a name that does.
            let mut made = oracle.honest("nobody.a.test", RecordType::CNAME);
            let owner = response.queries[0].name().clone();
            for record in &mut made.answers {
                record.name = owner.clone();
            }
            lab::dns::lie::replace(response, &made);
        }
    });
    let dns = resolver(&server);
    let lied = ask(&dns, "mx.sub.a.test", RecordType::A).await.unwrap();
    assert_eq!(lied.0.0, Verdict::Bogus, "{}", lied.1);
    server.tell_the_truth();
    // As soon as the failure is forgotten.
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let ((verdict, _), why) = ask(&dns, "mx.sub.a.test", RecordType::A).await.unwrap();
        if verdict == Verdict::Secure {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "{why}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
