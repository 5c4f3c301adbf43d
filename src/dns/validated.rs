//! Lookups in a signed world that is honest, ill, or lying.

use super::testing::{domain, name};
use super::world::{Answers, Voice, Window, World};
use super::{Dns, Existence, Family, LookupFailure, Proof};
use crate::names::TlsaBaseDomain;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// `existence proof canonical records`, or the failure.
pub(super) async fn ask(dns: &Dns, question: &str) -> String {
    let (kind, host) = question.split_once(' ').unwrap();
    let said = match kind {
        "A" => told(dns.addresses(&domain(host), Family::V4).await),
        "AAAA" => told(dns.addresses(&domain(host), Family::V6).await),
        "MX" => told(dns.mx(&domain(host)).await),
        "CNAME" => told(dns.alias(&domain(host)).await),
        _ => told(dns.tlsa(&TlsaBaseDomain(domain(host)), 25).await),
    };
    said.unwrap_or_else(|failure| {
        if let LookupFailure::Bogus(why) = failure {
            return format!("bogus: {why}");
        }
        failure.to_string()
    })
}

fn told<T>(
    answer: Result<std::sync::Arc<super::Answer<T>>, LookupFailure>,
) -> Result<String, LookupFailure> {
    let answer = answer?;
    let existence = match answer.existence {
        Existence::Present => answer.records.len().to_string(),
        Existence::NoData => "no data".into(),
        Existence::NxDomain => "no name".into(),
    };
    let proof = match answer.proof {
        Proof::Secure => "secure",
        Proof::Insecure => "insecure",
    };
    Ok(format!("{existence} {proof} {}", answer.canonical))
}

/// Collects what is wrong, so that a failing table is seen whole.
async fn check(dns: &Dns, cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (question, expected) in cases {
        let said = ask(dns, question).await;
        if said != *expected {
            wrong.push(format!("{question}: {said}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn honest(_: &World, _: &str, _: &mut Answers) {}

#[tokio::test]
async fn an_honest_world() {
    let served = World::new().serve(honest).await;
    let dns = served.dns();
    let cases = [
        ("MX ec.test", "1 secure ec.test"),
        ("A mx.ec.test", "1 secure mx.ec.test"),
        ("TLSA mx.ec.test", "1 secure _25._tcp.mx.ec.test"),
        ("AAAA mx.ec.test", "no data secure mx.ec.test"),
        ("A none.ec.test", "no name secure none.ec.test"),
        ("A ent.ec.test", "no data secure ent.ec.test"),
        ("A er.ent.ec.test", "no data secure er.ent.ec.test"),
        ("A x.wild.ec.test", "1 secure x.wild.ec.test"),
        ("A y.x.wild.ec.test", "1 secure y.x.wild.ec.test"),
        ("AAAA x.wild.ec.test", "no data secure x.wild.ec.test"),
        ("A alias.ec.test", "1 secure mx.ec.test"),
        ("AAAA alias.ec.test", "no data secure mx.ec.test"),
        ("CNAME alias.ec.test", "1 secure alias.ec.test"),
        ("CNAME mx.ec.test", "no data secure mx.ec.test"),
        ("A dangling.ec.test", "no name secure gone.ec.test"),
        ("A x.walias.ec.test", "1 secure mx.ec.test"),
        ("AAAA x.walias.ec.test", "no data secure mx.ec.test"),
        ("A in.ec.test", "1 secure mx.n3.test"),
        ("A out.ec.test", "1 insecure mx.plain.test"),
        ("AAAA out.ec.test", "no data insecure mx.plain.test"),
        ("CNAME out.ec.test", "1 secure out.ec.test"),
        ("TLSA shared.ec.test", "1 secure shared.ec.test"),
        ("TLSA wildmx.ec.test", "1 secure _25._tcp.wildmx.ec.test"),
        ("TLSA none.ec.test", "no name secure _25._tcp.none.ec.test"),
        ("A mx.dn.ec.test", "1 secure mx.n3.test"),
        ("AAAA mx.dn.ec.test", "no data secure mx.n3.test"),
        ("A gone.dn.ec.test", "no name secure gone.n3.test"),
        ("CNAME mx.dn.ec.test", "1 secure mx.dn.ec.test"),
    ];
    check(&dns, &cases).await;
}

#[tokio::test]
async fn zones_of_other_kinds() {
    let served = World::new().serve(honest).await;
    let dns = served.dns();
    let cases = [
        ("A mx.n3.test", "1 secure mx.n3.test"),
        ("TLSA mx.n3.test", "1 secure _25._tcp.mx.n3.test"),
        ("AAAA mx.n3.test", "no data secure mx.n3.test"),
        ("A none.n3.test", "no name secure none.n3.test"),
        ("A ent.n3.test", "no data secure ent.n3.test"),
        ("A y.x.wild.n3.test", "1 secure y.x.wild.n3.test"),
        ("AAAA x.wild.n3.test", "no data secure x.wild.n3.test"),
        ("A mx.opt.test", "1 secure mx.opt.test"),
        ("TLSA mx.opt.test", "1 secure _25._tcp.mx.opt.test"),
        ("AAAA mx.opt.test", "no data secure mx.opt.test"),
        ("A none.opt.test", "no name insecure none.opt.test"),
        ("A mx.child.opt.test", "1 insecure mx.child.opt.test"),
        (
            "AAAA mx.child.opt.test",
            "no data insecure mx.child.opt.test",
        ),
        ("A mx.iter.test", "1 secure mx.iter.test"),
        ("AAAA mx.iter.test", "no data insecure mx.iter.test"),
        ("A mx.plain.test", "1 insecure mx.plain.test"),
        ("TLSA mx.plain.test", "1 insecure _25._tcp.mx.plain.test"),
        ("A none.plain.test", "no name insecure none.plain.test"),
        ("A in.plain.test", "1 insecure mx.n3.test"),
        ("AAAA in.plain.test", "no data insecure mx.n3.test"),
        ("A mx.unknown.test", "1 insecure mx.unknown.test"),
        ("A mx.nods.test", "1 insecure mx.nods.test"),
        ("A mx.sha1.test", "1 secure mx.sha1.test"),
        ("A mx.sha384.test", "1 secure mx.sha384.test"),
        ("A nowhere.test", "no name secure nowhere.test"),
        ("A nowhere", "no name secure nowhere"),
    ];
    check(&dns, &cases).await;
}

#[tokio::test]
async fn zones_that_are_ill() {
    let served = World::new().serve(honest).await;
    let dns = served.dns();
    let cases = [
        (
            "A mx.expired.test",
            "bogus: expired.test. DNSKEY: a signature that has expired",
        ),
        (
            "A none.future.test",
            "bogus: future.test. DNSKEY: a signature that is not valid yet",
        ),
        (
            "TLSA mx.badds.test",
            "bogus: badds.test. DNSKEY: no DNSKEY record matches the DS records",
        ),
    ];
    check(&dns, &cases).await;
}

/// Only what has not been found out before is asked for.
#[tokio::test]
async fn the_walk_is_made_once() {
    let served = World::new().serve(honest).await;
    let dns = served.dns();
    let asked = || served.responder.asked();
    let hosts = ["A mx.ec.test", "A alias.ec.test", "AAAA mx.ec.test"];
    let all = hosts.iter().map(|question| ask(&dns, question));
    futures_util::future::join_all(all).await;
    let mut first = asked();
    first.sort();
    let expected = [
        "A alias.ec.test.",
        "A mx.ec.test.",
        "AAAA mx.ec.test.",
        "DNSKEY .",
        "DNSKEY ec.test.",
        "DNSKEY test.",
        "DS ec.test.",
        "DS test.",
    ];
    assert_eq!(first, expected);
    ask(&dns, "TLSA mx.ec.test").await;
    ask(&dns, "A mx.plain.test").await;
    ask(&dns, "A none.plain.test").await;
    let more = asked().split_off(expected.len());
    let expected = [
        "TLSA _25._tcp.mx.ec.test.",
        "A mx.plain.test.",
        "DS plain.test.",
        "A none.plain.test.",
    ];
    assert_eq!(more, expected);
}

#[tokio::test]
async fn trouble_on_the_way_down_is_temporary() {
    for (at, voice, expected) in [
        ("DS ec.test.", Voice::Silent, "time-out"),
        ("DNSKEY ec.test.", Voice::Silent, "time-out"),
        ("DNSKEY .", Voice::Silent, "time-out"),
        (
            "DS ec.test.",
            Voice::Speaks,
            "server failure (SERVFAIL from @)",
        ),
        (
            "DNSKEY ec.test.",
            Voice::Speaks,
            "server failure (SERVFAIL from @)",
        ),
    ] {
        let served = World::new()
            .serve(move |_, question, said| {
                if question == at {
                    said.voice = voice;
                    said.code = ResponseCode::ServFail;
                }
            })
            .await;
        let mut settings = served.settings();
        settings.timeout = Duration::from_millis(500);
        let dns = Dns::new(&settings, Arc::new(|_, _| {})).unwrap();
        for question in ["TLSA mx.ec.test", "AAAA mx.ec.test"] {
            let said = ask(&dns, question).await;
            let said = said.replace(&served.responder.address.to_string(), "@");
            assert_eq!(said, expected, "{at}");
        }
    }
}

#[tokio::test]
async fn a_server_that_knows_no_dnssec_beside_one_that_does() {
    let good = World::new().serve(honest).await;
    let strip = |world: &World, question: &str, said: &mut Answers| {
        let (kind, owner) = question.split_once(' ').unwrap();
        *said = world.answer(owner, kind.parse().unwrap());
        said.answers
            .retain(|r| r.record_type() != RecordType::RRSIG);
        said.authorities.clear();
    };
    let bad = World::new().serve(strip).await;
    let mut settings = good.settings();
    settings.servers = vec![bad.responder.address, good.responder.address];
    let dns = Dns::new(&settings, Arc::new(|_, _| {})).unwrap();
    for (question, expected) in [
        ("TLSA mx.ec.test", "1 secure _25._tcp.mx.ec.test"),
        ("AAAA mx.ec.test", "no data secure mx.ec.test"),
        ("A mx.plain.test", "1 insecure mx.plain.test"),
    ] {
        assert_eq!(ask(&dns, question).await, expected, "{question}");
    }
    // And the one that does is asked first from then on.
    let before = bad.responder.asked().len();
    ask(&dns, "A mx.n3.test").await;
    assert_eq!(bad.responder.asked().len(), before);
}

/// A validating server that is told CD=1 hands out what it has; without, it looks elsewhere for better.
#[tokio::test]
async fn what_is_bogus_is_asked_for_again_without_cd() {
    let strip = |_: &World, question: &str, said: &mut Answers| {
        let poisoned = ["TLSA _25._tcp.mx.ec.test.", "DNSKEY n3.test."];
        if said.checking_disabled && poisoned.contains(&question) {
            said.answers
                .retain(|r| r.record_type() != RecordType::RRSIG);
        }
    };
    let served = World::new().serve(strip).await;
    let cases = [
        ("TLSA mx.ec.test", "1 secure _25._tcp.mx.ec.test"),
        ("A mx.n3.test", "1 secure mx.n3.test"),
    ];
    check(&served.dns(), &cases).await;
}

/// Each part of a chain that is asked for by itself has its own proof.
#[tokio::test]
async fn servers_that_do_not_follow_aliases_or_prove_their_end() {
    let half = |world: &World, question: &str, said: &mut Answers| {
        let Some(owner) = question.strip_prefix("A ") else {
            return;
        };
        let first = world.answer(owner, RecordType::CNAME);
        if !first.answers.is_empty() {
            *said = first;
        }
    };
    let unproven = |_: &World, _: &str, said: &mut Answers| {
        if !said.answers.is_empty() {
            said.authorities
                .retain(|r| r.record_type() == RecordType::SOA);
        }
    };
    let cases = [
        ("A alias.ec.test", "1 secure mx.ec.test"),
        ("A in.ec.test", "1 secure mx.n3.test"),
        ("A out.ec.test", "1 insecure mx.plain.test"),
        ("A mx.dn.ec.test", "1 secure mx.n3.test"),
        ("A dangling.ec.test", "no name secure gone.ec.test"),
        ("AAAA alias.ec.test", "no data secure mx.ec.test"),
    ];
    let served = World::new().serve(half).await;
    check(&served.dns(), &cases).await;
    let served = World::new().serve(unproven).await;
    check(&served.dns(), &cases).await;
}

#[tokio::test]
async fn nothing_is_kept_longer_than_its_signature() {
    let mut world = World::new();
    let soon = Window { from: -10, to: 40 };
    for zone in &mut world.zones {
        if let Some(signer) = &mut zone.signer
            && zone.name.to_ascii() == "ec.test."
        {
            signer.window = soon;
        }
    }
    let served = world.serve(honest).await;
    let dns = served.dns();
    for (family, host) in [(Family::V4, "mx"), (Family::V6, "mx"), (Family::V4, "none")] {
        let host = domain(&format!("{host}.ec.test"));
        let answer = dns.addresses(&host, family).await.unwrap();
        let left = answer.expires.saturating_duration_since(Instant::now());
        assert!(left <= Duration::from_secs(41), "{left:?}");
        assert!(left >= Duration::from_secs(20), "{left:?}");
    }
}

/// What was published badly is signed all the same, and comes through.
#[tokio::test]
async fn malformed_tlsa_records_are_handed_on() {
    let mut world = World::new();
    let owner = name("_25._tcp.odd.ec.test.");
    for zone in &mut world.zones {
        if zone.name.to_ascii() == "ec.test." {
            for data in [&[3][..], &[3, 1], &[3, 1, 1], &[3, 1, 1, 9]] {
                zone.add(&owner, RecordType::TLSA, data.to_vec());
            }
        }
    }
    let served = world.serve(honest).await;
    let base = TlsaBaseDomain(domain("odd.ec.test"));
    let answer = served.dns().tlsa(&base, 25).await.unwrap();
    let lengths: Vec<usize> = answer.records.iter().map(|tlsa| tlsa.0.len()).collect();
    assert_eq!((answer.proof, lengths), (Proof::Secure, vec![1, 2, 3, 4]));
}

/// A name with very many labels in a signed zone costs a bounded number of questions.
#[tokio::test]
async fn deep_names_do_not_lead_down_for_ever() {
    let mut world = World::new();
    let deep = format!("{}ec.test.", "x.".repeat(100));
    for zone in &mut world.zones {
        if zone.name.to_ascii() == "ec.test." {
            zone.add(&name(&deep), RecordType::A, vec![192, 0, 2, 1]);
        }
    }
    let served = world
        .serve(|_, question, said| {
            if question.starts_with("A ") {
                said.answers
                    .retain(|r| r.record_type() != RecordType::RRSIG);
            }
        })
        .await;
    let question = format!("A {}", deep.trim_end_matches('.'));
    let said = ask(&served.dns(), &question).await;
    assert!(
        said.ends_with("too many signatures, keys or hashes"),
        "{said}"
    );
    let asked = served.responder.asked().len();
    assert!((40..50).contains(&asked), "{asked}");
}

#[tokio::test]
async fn every_question_is_counted_with_what_it_brought() {
    let served = World::new().serve(honest).await;
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let log = Arc::clone(&counts);
    let observer = move |kind, result| *log.lock().unwrap().entry((kind, result)).or_insert(0) += 1;
    let dns = Dns::new(&served.settings(), Arc::new(observer)).unwrap();
    for question in ["TLSA mx.ec.test", "A mx.plain.test", "MX expired.test"] {
        ask(&dns, question).await;
    }
    let counts: Vec<_> = counts.lock().unwrap().clone().into_iter().collect();
    let expected = [
        (("A", "insecure"), 1),
        // What is bogus is asked for twice.
        (("DNSKEY", "bogus"), 2),
        (("DNSKEY", "secure"), 3),
        (("DS", "insecure"), 1),
        (("DS", "secure"), 3),
        (("MX", "bogus"), 2),
        (("TLSA", "secure"), 1),
    ];
    assert_eq!(counts, expected);
}
