//! The resolver against a server that misbehaves in every way.

use super::testing::{
    Over, Responder, a, cname, dns_for, domain, mx, name, ns, ptr, response_to, soa,
};
use super::{Dns, DnsSettings, Existence, Family, LookupFailure};
use futures_util::FutureExt;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::Record;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn with_answers(query: &Message, answers: Vec<Record>) -> Vec<u8> {
    let mut message = response_to(query, ResponseCode::NoError);
    message.answers = answers;
    message.to_vec().unwrap()
}

/// `existence canonical records`, or the failure's kind.
async fn addresses(dns: &Dns, host: &str) -> String {
    match dns.addresses(&domain(host), Family::V4).await {
        Ok(answer) => format!(
            "{:?} {} {:?}",
            answer.existence, answer.canonical, answer.records
        ),
        Err(failure) => kind(&failure).into(),
    }
}

fn kind(failure: &LookupFailure) -> &'static str {
    match failure {
        LookupFailure::Bogus(_) => "bogus",
        LookupFailure::ServerFailure(_) => "server failure",
        LookupFailure::TimedOut => "time-out",
        LookupFailure::Unreachable(_) => "unreachable",
        LookupFailure::TooManyAliases => "too many aliases",
        LookupFailure::Malformed(_) => "malformed",
        LookupFailure::DnssecBroken => "dnssec broken",
    }
}

#[tokio::test]
async fn what_is_there_and_what_is_not() {
    let server = Responder::zone(vec![
        a("a.test.", "192.0.2.1", 60),
        a("v6.test.", "2001:db8::1", 60),
        cname("alias.test.", "other.test.", 60),
        cname("other.test.", "A.test.", 60),
        cname("empty.test.", "v6.test.", 60),
        cname("dangling.test.", "gone.test.", 60),
        cname("loop.test.", "pool.test.", 60),
        cname("pool.test.", "loop.test.", 60),
        a("mx_1.test.", "192.0.2.9", 60),
    ])
    .await;
    let dns = server.dns(PATIENT);
    for (host, expected) in [
        ("a.test", "Present a.test [192.0.2.1]"),
        ("v6.test", "NoData v6.test []"),
        ("none.test", "NxDomain none.test []"),
        ("alias.test", "Present a.test [192.0.2.1]"),
        ("empty.test", "NoData v6.test []"),
        ("dangling.test", "NxDomain gone.test []"),
        ("loop.test", "too many aliases"),
        ("mx_1.test", "Present mx_1.test [192.0.2.9]"),
    ] {
        assert_eq!(addresses(&dns, host).await, expected, "{host}");
    }
}

#[tokio::test]
async fn half_a_chain_is_asked_on_but_not_for_ever() {
    let server = Responder::start(|query, _| {
        let owner = query.queries[0].name().to_ascii();
        let answer = match &owner[..] {
            "www.test." => cname("www.test.", "a.test.", 60),
            "a.test." => a("a.test.", "192.0.2.1", 60),
            _ => cname(&owner, &format!("x{owner}"), 60),
        };
        vec![with_answers(query, vec![answer])]
    })
    .await;
    let dns = server.dns(PATIENT);
    assert_eq!(
        addresses(&dns, "www.test").await,
        "Present a.test [192.0.2.1]"
    );
    assert_eq!(addresses(&dns, "endless.test").await, "too many aliases");
    assert_eq!(server.asked().len(), 2 + super::MAX_ALIASES + 1);
}

#[tokio::test]
async fn errors_of_servers_are_temporary_failures() {
    for (code, asked) in [
        (ResponseCode::ServFail, 1),
        (ResponseCode::Refused, 1),
        (ResponseCode::NotImp, 2), // once more without EDNS
        (ResponseCode::FormErr, 2),
        (ResponseCode::YXDomain, 1),
    ] {
        let server =
            Responder::start(move |query, _| vec![response_to(query, code).to_vec().unwrap()])
                .await;
        let dns = server.dns(PATIENT);
        assert_eq!(addresses(&dns, "a.test").await, "server failure", "{code}");
        assert_eq!(server.asked().len(), asked, "{code}");
        assert_eq!(addresses(&dns, "a.test").await, "server failure", "{code}");
        assert_eq!(server.asked().len(), asked, "{code}: kept for a while");
    }
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without() {
    let server = Responder::start(|query, _| {
        if query.edns.is_some() {
            return vec![response_to(query, ResponseCode::FormErr).to_vec().unwrap()];
        }
        vec![with_answers(query, vec![a("a.test.", "192.0.2.1", 60)])]
    })
    .await;
    let found = addresses(&server.dns(PATIENT), "a.test").await;
    assert_eq!(found, "Present a.test [192.0.2.1]");
}

#[tokio::test]
async fn silence_ends_at_the_time_out_and_lost_datagrams_are_sent_again() {
    let server = Responder::start(|_, _| vec![]).await;
    let begun = Instant::now();
    assert_eq!(addresses(&server.dns(SHORT), "a.test").await, "time-out");
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < SHORT * 20);
    assert_eq!(server.asked().len(), 2);

    let seen = AtomicUsize::new(0);
    let server = Responder::start(move |query, _| {
        if seen.fetch_add(1, Ordering::Relaxed) == 0 {
            return vec![];
        }
        vec![with_answers(query, vec![a("a.test.", "192.0.2.1", 60)])]
    })
    .await;
    let dns = server.dns(Duration::from_secs(4));
    assert_eq!(
        addresses(&dns, "a.test").await,
        "Present a.test [192.0.2.1]"
    );
}

#[tokio::test]
async fn the_next_server_is_asked_and_then_preferred() {
    let good = Responder::zone(vec![a("a.test.", "192.0.2.1", 60)]).await;
    let bad = Responder::start(|query, _| {
        vec![response_to(query, ResponseCode::Refused).to_vec().unwrap()]
    })
    .await;
    let silent = Responder::start(|_, _| vec![]).await;
    let closed: SocketAddr = {
        let gone = Responder::zone(vec![]).await;
        gone.address
    };
    for first in [bad.address, silent.address, closed] {
        let dns = dns_for(vec![first, good.address], Duration::from_secs(4));
        let found = addresses(&dns, "a.test").await;
        assert_eq!(found, "Present a.test [192.0.2.1]", "after {first}");
    }
    let dns = dns_for(vec![bad.address, good.address], PATIENT);
    let before = bad.asked().len();
    for host in ["a.test", "b.test", "c.test"] {
        addresses(&dns, host).await;
    }
    assert_eq!(bad.asked().len(), before + 1);
}

#[tokio::test]
async fn nobody_there_is_noticed_at_once() {
    let closed = {
        let gone = Responder::zone(vec![]).await;
        gone.address
    };
    let begun = Instant::now();
    let dns = dns_for(vec![closed], Duration::from_secs(60));
    assert_eq!(addresses(&dns, "a.test").await, "unreachable");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn what_is_truncated_is_fetched_over_tcp() {
    let over = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&over);
    let server = Responder::start(move |query, transport| {
        log.lock().unwrap().push(transport);
        let mut message = response_to(query, ResponseCode::NoError);
        let count = match transport {
            Over::Udp => 1,
            Over::Tcp => 60,
        };
        message.metadata.truncation = transport == Over::Udp;
        for last in 0..count {
            message.add_answer(a("a.test.", &format!("192.0.2.{last}"), 60));
        }
        vec![message.to_vec().unwrap()]
    })
    .await;
    let answer = server
        .dns(PATIENT)
        .addresses(&domain("a.test"), Family::V4)
        .await;
    assert_eq!(answer.unwrap().records.len(), 60);
    assert_eq!(*over.lock().unwrap(), [Over::Udp, Over::Tcp]);
}

#[tokio::test]
async fn truncation_without_end_and_cut_tcp_answers_fail() {
    for tcp_bytes in [None, Some(3), Some(usize::MAX)] {
        let server = Responder::start(move |query, transport| {
            let mut message = response_to(query, ResponseCode::NoError);
            message.metadata.truncation = true;
            let mut bytes = message.to_vec().unwrap();
            if transport == Over::Tcp {
                match tcp_bytes {
                    None => return vec![],
                    Some(length) => bytes.truncate(length),
                }
            }
            vec![bytes]
        })
        .await;
        let found = addresses(&server.dns(PATIENT), "a.test").await;
        assert!(
            ["unreachable", "malformed"].contains(&&found[..]),
            "{found}"
        );
    }
}

#[tokio::test]
async fn forged_datagrams_are_passed_over() {
    let server = Responder::start(|query, _| {
        let forged = |change: fn(&mut Message)| {
            let mut message = response_to(query, ResponseCode::NoError);
            message.answers = vec![a("a.test.", "203.0.113.66", 60)];
            change(&mut message);
            message.to_vec().unwrap()
        };
        vec![
            forged(|m| m.metadata.id = m.metadata.id.wrapping_add(1)),
            forged(|m| m.queries[0].name = name("b.test.")),
            vec![],
            vec![0; 5],
            with_answers(query, vec![a("a.test.", "192.0.2.1", 60)]),
        ]
    })
    .await;
    let found = addresses(&server.dns(PATIENT), "a.test").await;
    assert_eq!(found, "Present a.test [192.0.2.1]");
}

#[tokio::test]
async fn garbage_is_a_failure_and_never_a_panic() {
    for round in 0..200 {
        let mut random = fastrand::Rng::with_seed(round);
        let length = random.usize(0..800);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect();
        let server = Responder::start(move |query, _| {
            let mut bytes = with_answers(query, vec![a("a.test.", "192.0.2.1", 60)]);
            // Round by round later in the message: header, question, record, after the record.
            bytes.truncate(2 + round as usize % bytes.len());
            bytes.extend(&noise);
            if let Some(flags) = bytes.get_mut(2) {
                *flags |= 0x80; // a response, or it would be passed over unread
            }
            vec![bytes]
        })
        .await;
        let dns = server.dns(Duration::from_millis(40));
        if let Err(failure) = dns.addresses(&domain("a.test"), Family::V4).await {
            // What a panic of the lookup would look like.
            assert!(!failure.to_string().contains("aborted"), "round {round}");
        }
    }
}

#[tokio::test]
async fn mx_records_and_the_null_mx() {
    let server = Responder::zone(vec![
        mx("a.test.", 20, "b.test.", 60),
        mx("a.test.", 10, "mx_a.test.", 60),
        mx("a.test.", 5, "192.0.2.1.", 60),
        mx("null.test.", 0, ".", 60),
        mx("bad.test.", 0, "192.0.2.1.", 60),
    ])
    .await;
    let dns = server.dns(PATIENT);
    let hosts = async |domain_name: &str| {
        let answer = dns.mx(&domain(domain_name)).await.unwrap();
        assert_eq!(answer.existence, Existence::Present);
        let hosts = answer.records.iter().map(|mx| mx.host.clone());
        hosts.collect::<Vec<_>>()
    };
    assert_eq!(
        hosts("a.test").await,
        [Some(domain("mx_a.test")), Some(domain("b.test"))]
    );
    assert_eq!(hosts("null.test").await, [None]);
    assert_eq!(hosts("bad.test").await, []);
}

#[tokio::test]
async fn addresses_point_to_names() {
    let reverse = format!("1{}ip6.arpa.", ".0".repeat(23) + ".8.b.d.0.1.0.0.2.");
    let server = Responder::zone(vec![
        ptr("1.2.0.192.in-addr.arpa.", "mx.test."),
        ptr(&reverse, "six.test."),
    ])
    .await;
    let dns = server.dns(PATIENT);
    for (address, expected) in [
        ("192.0.2.1", vec![domain("mx.test")]),
        ("::ffff:192.0.2.1", vec![domain("mx.test")]),
        ("2001:db8::1", vec![domain("six.test")]),
        ("192.0.2.2", vec![]),
    ] {
        let answer = dns.pointer(ip(address)).await.unwrap();
        assert_eq!(answer.records, expected, "{address}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_recurse_proves_no_absence() {
    let server = Responder::start(|query, _| {
        let mut message = response_to(query, ResponseCode::NoError);
        message.metadata.recursion_available = false;
        message.add_authority(ns("test.", "ns.test."));
        vec![message.to_vec().unwrap()]
    })
    .await;
    let found = addresses(&server.dns(PATIENT), "a.test").await;
    assert_eq!(found, "server failure");
}

#[tokio::test]
async fn answers_and_absences_are_kept_by_their_ttl() {
    let server = Responder::start(|query, _| {
        let mut message = response_to(query, ResponseCode::NoError);
        match &query.queries[0].name().to_ascii()[..] {
            "long.test." => message.add_answer(a("long.test.", "192.0.2.1", 1_000_000)),
            "zero.test." => message.add_answer(a("zero.test.", "192.0.2.1", 0)),
            "none.test." => message.add_authority(soa("test.", 600, 300)),
            "never.test." => message.add_authority(soa("test.", 90_000, 90_000)),
            _ => &mut message,
        };
        vec![message.to_vec().unwrap()]
    })
    .await;
    let dns = server.dns(PATIENT);
    for (host, seconds) in [
        ("long.test", 86_400),
        ("zero.test", 1),
        ("none.test", 300),
        ("never.test", 3600),
        ("nothing.test", 5), // no SOA
    ] {
        let before = Instant::now();
        let answer = dns.addresses(&domain(host), Family::V4).await.unwrap();
        let ttl = answer.expires - before;
        assert!(ttl >= Duration::from_secs(seconds), "{host} {ttl:?}");
        assert!(ttl < Duration::from_secs(seconds + 20), "{host} {ttl:?}");
    }
    let asked = server.asked().len();
    addresses(&dns, "long.test").await;
    addresses(&dns, "none.test").await;
    assert_eq!(server.asked().len(), asked);
}

#[tokio::test]
async fn one_question_serves_all_who_ask_even_if_the_first_leaves() {
    let server =
        Responder::start(|query, _| vec![with_answers(query, vec![a("a.test.", "192.0.2.1", 60)])])
            .await;
    let dns = server.dns(PATIENT);
    let host = domain("a.test");
    {
        // Polled once: the question is under way, and its asker gone.
        let first = dns.addresses(&host, Family::V4);
        assert!(first.now_or_never().is_none());
    }
    let asking = (0..50).map(|_| dns.addresses(&host, Family::V4));
    for found in futures_util::future::join_all(asking).await {
        assert_eq!(found.unwrap().records, [ip("192.0.2.1")]);
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn every_question_to_a_server_is_reported_once() {
    let server = Responder::start(|query, _| {
        let code = match &query.queries[0].name().to_ascii()[..] {
            "bad.test." => ResponseCode::ServFail,
            "silent.test." => return vec![],
            _ => ResponseCode::NXDomain,
        };
        vec![response_to(query, code).to_vec().unwrap()]
    })
    .await;
    let reports = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&reports);
    let settings = DnsSettings {
        servers: vec![server.address],
        timeout: SHORT,
        ..DnsSettings::default()
    };
    let observer = Arc::new(move |kind, result| log.lock().unwrap().push((kind, result)));
    let dns = Dns::new(&settings, observer).unwrap();
    for host in ["none.test", "none.test", "bad.test", "silent.test"] {
        let _ = dns.mx(&domain(host)).await;
    }
    let _ = dns.addresses(&domain("none.test"), Family::V6).await;
    assert_eq!(
        *reports.lock().unwrap(),
        [
            ("MX", "insecure"),
            ("MX", "servfail"),
            ("MX", "timeout"),
            ("AAAA", "insecure"),
        ]
    );
}
