//! The settings of `dns.dnssec`, and what the probe makes of servers.

use super::testing::{Responder, a, cname, dns_for, response_to, soa};
use super::validated::ask;
use super::world::{Answers, World};
use super::{
    Dns, DnsSettings, DnsSetupError, Dnssec, DnssecStatus, DnssecUnavailable, RemoteAd, Validation,
};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Record, RecordType};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ADDRESS: &str = "192.0.2.1";

/// What a resolver of the tests does with the flags of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As unbound, BIND: AD only to who asks for it, never for class CH.
    Validating,
    /// No DNSSEC at all.
    Plain,
    /// AD on everything.
    AlwaysAd,
    /// The flag comes back.
    EchoesAd,
    /// Hands on its upstream's AD.
    Dnsmasq,
    /// Finds everything bogus.
    WrongClock,
}

/// `a.test.` is secure, `plain.test.` insecure, `bogus.test.` bogus.
fn reply(kind: Kind, query: &Message) -> Message {
    let question = &query.queries[0];
    let owner = question.name().to_ascii();
    let is_version = owner == "version.bind.";
    let asked = query.authentic_data || query.edns.as_ref().is_some_and(|e| e.flags().dnssec_ok);
    let is_bogus = owner == "bogus.test." || kind == Kind::WrongClock;
    if is_bogus && kind != Kind::Plain && !query.checking_disabled {
        return response_to(query, ResponseCode::ServFail);
    }
    let mut message = response_to(query, ResponseCode::NoError);
    if question.query_type() == RecordType::A {
        message.add_answer(a(&owner, ADDRESS, 60));
    } else if is_version && kind == Kind::Dnsmasq {
        let text = [&[12], &b"dnsmasq-2.90"[..]].concat();
        let mut version = super::world::raw(question.name(), RecordType::TXT, 0, text);
        version.dns_class = question.query_class();
        message.add_answer(version);
    } else {
        message.add_authority(soa("test.", 60, 60));
    }
    message.metadata.authentic_data = match kind {
        Kind::Validating | Kind::Dnsmasq => {
            asked && !is_version && !owner.starts_with("plain.") && !is_bogus
        }
        Kind::AlwaysAd => true,
        Kind::EchoesAd => query.authentic_data,
        Kind::Plain | Kind::WrongClock => false,
    };
    message
}

async fn resolver(kind: Kind) -> Responder {
    Responder::start(move |query, _| vec![reply(kind, query).to_vec().unwrap()]).await
}

fn settings(server: SocketAddr, dnssec: Dnssec) -> DnsSettings {
    DnsSettings {
        servers: vec![server],
        timeout: Duration::from_secs(10),
        dnssec,
        ..DnsSettings::default()
    }
}

fn dns(settings: &DnsSettings) -> Dns {
    Dns::new(settings, Arc::new(|_, _| {})).unwrap()
}

/// `works in process`, `works by servers`, `broken: why`, `no answer: why`; the server is `@`.
fn say(status: DnssecStatus, server: SocketAddr) -> String {
    let said = match status {
        DnssecStatus::Off => "off".to_owned(),
        DnssecStatus::Works(Validation::InProcess) => "works in process".into(),
        DnssecStatus::Works(Validation::Servers) => "works by servers".into(),
        DnssecStatus::Broken(why) => format!("broken: {why}"),
        DnssecStatus::Untimely(why) => format!("untimely: {why}"),
        DnssecStatus::NoAnswer(why) => format!("no answer: {why}"),
    };
    said.replace(&server.to_string(), "@")
}

#[tokio::test]
async fn off_asks_for_nothing() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = Responder::start(move |query, _| {
        let wants = query.edns.as_ref().unwrap().flags().dnssec_ok;
        log.lock()
            .unwrap()
            .push((wants, query.authentic_data, query.checking_disabled));
        vec![reply(Kind::AlwaysAd, query).to_vec().unwrap()]
    })
    .await;
    let dns = dns_for(vec![server.address], Duration::from_secs(10));
    assert_eq!(ask(&dns, "A a.test").await, "1 insecure a.test");
    assert_eq!(*seen.lock().unwrap(), [(false, false, false)]);
    assert_eq!(dns.probe().await, DnssecStatus::Off);
    assert_eq!(dns.dnssec(), DnssecStatus::Off);
}

#[tokio::test]
async fn the_servers_ad_is_believed_where_they_validate() {
    let server = resolver(Kind::Validating).await;
    let dns = dns(&settings(server.address, Dnssec::TrustAd));
    assert_eq!(
        say(dns.dnssec(), server.address),
        "no answer: not probed yet"
    );
    for (question, expected) in [
        ("A a.test", "1 secure a.test"),
        ("MX a.test", "no data secure a.test"),
        ("A plain.test", "1 insecure plain.test"),
        ("MX plain.test", "no data insecure plain.test"),
    ] {
        assert_eq!(ask(&dns, question).await, expected, "{question}");
    }
    let bogus = ask(&dns, "A bogus.test").await;
    assert!(
        bogus.starts_with("bogus: bogus.test.: server failure (SERVFAIL"),
        "{bogus}"
    );
    assert_eq!(say(dns.dnssec(), server.address), "works by servers");
}

/// A chain that takes two questions is secure only if both answers are.
#[tokio::test]
async fn every_part_of_a_chain_needs_ad() {
    for (first, second, expected) in [
        (true, true, "1 secure b.test"),
        (true, false, "1 insecure b.test"),
        (false, true, "1 insecure b.test"),
    ] {
        let server = Responder::start(move |query, _| {
            let mut message = reply(Kind::Validating, query);
            if query.queries[0].name().to_ascii() == "a.test." {
                message.answers = vec![cname("a.test.", "b.test.", 60)];
                message.metadata.authentic_data = first;
            } else if query.queries[0].query_type() == RecordType::A {
                message.metadata.authentic_data = second;
            }
            vec![message.to_vec().unwrap()]
        })
        .await;
        let dns = dns(&settings(server.address, Dnssec::TrustAd));
        assert_eq!(ask(&dns, "A a.test").await, expected);
    }
}

#[tokio::test]
async fn without_ad_nothing_is_believed_insecure() {
    let broken = "DNSSEC does not work with these resolvers; see dns.dnssec";
    for (kind, status) in [
        (
            Kind::Plain,
            "broken: @: the AD bit is not set, so it does not validate",
        ),
        (
            Kind::WrongClock,
            "untimely: @: bogus to the server; are its clock and its trust anchor right?",
        ),
    ] {
        let server = resolver(kind).await;
        let mut settings = settings(server.address, Dnssec::TrustAd);
        let distrusting = dns(&settings);
        assert_eq!(say(distrusting.probe().await, server.address), status);
        let said = ask(&distrusting, "A a.test").await;
        assert_eq!(said, broken, "{kind:?}");
        settings.unavailable = DnssecUnavailable::WithoutDane;
        if kind == Kind::Plain {
            assert_eq!(ask(&dns(&settings), "A a.test").await, "1 insecure a.test");
        }
    }
}

/// A server that does not let itself be probed is none that validates: what it says without AD counts for
/// nothing, and the next one is asked.
#[tokio::test]
async fn a_good_server_does_not_vouch_for_another() {
    for code in [
        ResponseCode::Refused,
        ResponseCode::NotImp,
        ResponseCode::ServFail,
    ] {
        let bad = Responder::start(move |query, _| {
            if query.queries[0].query_type() == RecordType::DNSKEY {
                return vec![response_to(query, code).to_vec().unwrap()];
            }
            vec![reply(Kind::Plain, query).to_vec().unwrap()]
        })
        .await;
        let good = resolver(Kind::Validating).await;
        let settings = DnsSettings {
            servers: vec![bad.address, good.address],
            ..settings(good.address, Dnssec::TrustAd)
        };
        let dns = dns(&settings);
        let status = dns.probe().await;
        assert_eq!(say(status, good.address), "works by servers", "{code}");
        assert_eq!(ask(&dns, "A a.test").await, "1 secure a.test", "{code}");
        let plain = ask(&dns, "A plain.test").await;
        assert_eq!(plain, "1 insecure plain.test", "{code}");
    }
}

/// One that says nothing costs the others no time.
#[tokio::test]
async fn a_silent_server_does_not_keep_a_good_one_from_being_believed() {
    let good = resolver(Kind::Validating).await;
    let silent = Responder::start(|_, _| vec![]).await;
    let settings = DnsSettings {
        servers: vec![good.address, silent.address],
        timeout: Duration::from_secs(2),
        ..settings(good.address, Dnssec::TrustAd)
    };
    let dns = dns(&settings);
    assert_eq!(say(dns.probe().await, good.address), "works by servers");
    let begun = std::time::Instant::now();
    assert_eq!(ask(&dns, "A plain.test").await, "1 insecure plain.test");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn auto_believes_only_who_proves_to_validate() {
    for (kind, expected) in [
        (Kind::Validating, "works by servers"),
        (
            Kind::Plain,
            "broken: @: the keys of . are not proven: no DNSKEY records",
        ),
        (
            Kind::AlwaysAd,
            "broken: @: the keys of . are not proven: no DNSKEY records",
        ),
        (
            Kind::EchoesAd,
            "broken: @: the keys of . are not proven: no DNSKEY records",
        ),
        (
            Kind::Dnsmasq,
            "broken: @: the keys of . are not proven: no DNSKEY records",
        ),
        (
            Kind::WrongClock,
            "broken: @: the keys of . are not proven: no DNSKEY records",
        ),
    ] {
        let server = resolver(kind).await;
        let dns = dns(&settings(server.address, Dnssec::Auto));
        let said = say(dns.probe().await, server.address);
        assert_eq!(said, expected, "{kind:?}");
        assert_eq!(dns.dnssec(), dns.probe().await, "{kind:?}");
    }
}

#[tokio::test]
async fn auto_validates_what_does_not() {
    let served = World::new().serve(|_, _, _| {}).await;
    let settings = DnsSettings {
        dnssec: Dnssec::Auto,
        ..served.settings()
    };
    let dns = dns(&settings);
    let server = served.responder.address;
    assert_eq!(say(dns.probe().await, server), "works in process");
    assert_eq!(ask(&dns, "A mx.ec.test").await, "1 secure mx.ec.test");
    assert_eq!(
        ask(&dns, "A mx.plain.test").await,
        "1 insecure mx.plain.test"
    );
}

#[tokio::test]
async fn no_answer_is_not_broken() {
    let silent = Responder::start(|_, _| vec![]).await;
    let failing = Responder::start(|query, _| {
        vec![response_to(query, ResponseCode::Refused).to_vec().unwrap()]
    })
    .await;
    for mode in [Dnssec::Validate, Dnssec::TrustAd, Dnssec::Auto] {
        for (server, expected) in [
            (silent.address, "no answer: @: time-out"),
            (
                failing.address,
                "no answer: @: server failure (REFUSED from @)",
            ),
        ] {
            let settings = DnsSettings {
                timeout: Duration::from_millis(200),
                ..settings(server, mode)
            };
            let dns = dns(&settings);
            assert_eq!(say(dns.probe().await, server), expected, "{mode:?}");
        }
    }
}

/// Strips signatures while it is told to.
async fn flickering() -> (super::world::Served, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let strip = move |_: &World, _: &str, said: &mut Answers| {
        let keep = |r: &Record| r.record_type() != RecordType::RRSIG;
        if is_broken.load(Ordering::Relaxed) {
            said.answers.retain(keep);
            said.authorities.retain(keep);
        }
    };
    (World::new().serve(strip).await, broken)
}

#[tokio::test]
async fn while_the_root_fails_nothing_is_downgraded() {
    let (served, broken) = flickering().await;
    let server = served.responder.address;
    let dns = served.dns();
    // Not probed: the answers themselves tell.
    let said = ask(&dns, "A mx.ec.test").await;
    assert_eq!(said, "bogus: . DNSKEY: no signature");
    let status =
        "broken: @: the keys of . are not proven: no signature: answers come without signatures";
    assert_eq!(say(dns.probe().await, server), status);
    let said = ask(&dns, "A mx.plain.test").await;
    assert_eq!(
        said,
        "DNSSEC does not work with these resolvers; see dns.dnssec"
    );
    broken.store(false, Ordering::Relaxed);
    assert_eq!(say(dns.probe().await, server), "works in process");
    assert_eq!(say(dns.dnssec(), server), "works in process");
    // What failed is kept for a few seconds only.
    tokio::time::sleep(super::FAILURE + Duration::from_millis(200)).await;
    assert_eq!(
        ask(&dns, "A mx.plain.test").await,
        "1 insecure mx.plain.test"
    );
    assert_eq!(ask(&dns, "A mx.ec.test").await, "1 secure mx.ec.test");
}

#[tokio::test]
async fn without_dane_the_mail_flows_as_long_as_it_lasts() {
    let (served, broken) = flickering().await;
    let settings = DnsSettings {
        unavailable: DnssecUnavailable::WithoutDane,
        ..served.settings()
    };
    let dns = dns(&settings);
    dns.probe().await;
    assert_eq!(ask(&dns, "A mx.ec.test").await, "1 insecure mx.ec.test");
    let host = super::testing::domain("mx.ec.test");
    let kept = dns.addresses(&host, super::Family::V4).await.unwrap();
    assert!(kept.expires <= std::time::Instant::now() + Duration::from_secs(30));
    broken.store(false, Ordering::Relaxed);
    dns.probe().await;
    assert_eq!(ask(&dns, "A mx.n3.test").await, "1 secure mx.n3.test");
}

#[test]
fn ad_over_the_network_is_refused() {
    let remote = "192.0.2.53:53".parse().unwrap();
    let mut settings = settings(remote, Dnssec::TrustAd);
    let observer: super::QueryObserver = Arc::new(|_, _| {});
    let refused = Dns::new(&settings, Arc::clone(&observer)).unwrap_err();
    assert_eq!(refused, DnsSetupError::RemoteAd(remote));
    settings.remote_ad = RemoteAd::Believe;
    assert!(Dns::new(&settings, Arc::clone(&observer)).is_ok());
    settings.trust_anchor = Some("/nowhere".into());
    let refused = Dns::new(&settings, observer).unwrap_err();
    assert!(
        matches!(refused, DnsSetupError::TrustAnchor(_)),
        "{refused}"
    );
}
