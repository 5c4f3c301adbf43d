//! `[[socketmap]]`: what Postfix is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

use std::time::{Duration, Instant};

use lab::dns::{Fault, RecordType};
use support::dane::{half, signed, with_tlsa};
use support::socketmap::MapClient;
use support::sts::{WEEK, with_policy};
use support::{Answer, Daemon, Script, World, WorldBuilder, policy};

/// Last octet of the address at which the daemon answers.
const MAP: u8 = 249;

fn mapped(world: WorldBuilder) -> WorldBuilder {
    world.config_with(|net| format!("[[socketmap]]\nlisten = '{}'", net.ports.at(MAP)))
}

async fn client(world: &World) -> MapClient {
    MapClient::tcp(world.net.ports.at(MAP)).await
}

/// The answer for one key, in a connection of its own.
async fn ask(world: &World, key: &str) -> String {
    client(world).await.ask("postfix", key).await
}

async fn answers(world: &World, answer: &str) -> f64 {
    let labels = [("answer", answer)];
    world
        .daemon
        .metric("socketmap_answers_total", &labels)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_domain_publishes_is_answered() {
    let world = World::new()
        .domain("plain.test", Script::default())
        .domain("a.test", Script::default())
        .sts(
            "a.test",
            "1",
            policy("enforce", &["mx.a.test", "*.b.test"], WEEK),
        )
        .domain("trying.test", Script::default())
        .sts(
            "trying.test",
            "1",
            policy("testing", &["mx.other.test"], WEEK),
        )
        .domain("dane.test", Script::default())
        .dns(|dns| {
            dns.secure("dane.test");
        })
        .net(|net| {
            net.tlsa("mx.dane.test", "3 1 1");
        });
    let world = mapped(world).start().await;
    let mut client = client(&world).await;
    let secure = "OK secure match=mx.a.test:.b.test servername=hostname";
    for (key, expected) in [
        ("plain.test", "NOTFOUND "),
        ("a.test", secure),
        ("A.Test.", secure),
        (".test", "NOTFOUND "),
        (".a.test", "NOTFOUND "),
        ("", "NOTFOUND "),
        ("trying.test", "NOTFOUND "),
        ("dane.test", "OK dane-only"),
        ("[mx.dane.test]", "OK dane-only"),
        ("[mx.a.test]", "NOTFOUND "), // no MX lookup, so no policy domain
        ("missing.test", "NOTFOUND "),
        ("192.0.2.1", "NOTFOUND "),
        ("[192.0.2.1]:25", "NOTFOUND "),
        ("no name at all", "NOTFOUND "),
        ("/var/run/lmtp", "NOTFOUND "),
        (
            "plain.test:nonsense",
            "TEMP which port is nonsense? write its number",
        ),
    ] {
        assert_eq!(client.ask("any", key).await, expected, "{key}");
    }
    for (answer, count) in [
        ("secure", 2.0),
        ("dane-only", 2.0),
        ("notfound", 11.0),
        ("temp", 1.0),
    ] {
        assert_eq!(answers(&world, answer).await, count, "{answer}");
    }
    let said = world
        .daemon
        .wait_log(|line| Daemon::field(line, "key").is_some_and(|key| key == "dane.test"))
        .await;
    assert_eq!(Daemon::field(&said, "reply").unwrap(), "OK dane-only");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrator_s_rules_are_answered() {
    let digest = "ab".repeat(32);
    let rules = format!(
        "[[rule]]\ndomains = ['plain.test', '*.plain.test']\nrequire = 'encrypt'\nmin_version = '1.3'\n\
         [[rule]]\ndomains = ['clear.test']\nrequire = 'none'\n\
         [[rule]]\ndomains = ['pinned.test']\nrequire = 'fingerprint'\nfingerprints = ['spki-sha256:{digest}']\n\
         [[rule]]\ndomains = ['named.test']\nrequire = 'secure'\nmatch = ['mx.named.test', '.far.test']\n\
         [[rule]]\ndomains = ['routed.test']\nrequire = 'verify'\nnext_hop = '[mx.other.test]:587'\n\
         [[rule]]\ndomains = ['tried.test']\nrequire = 'verify'\nenforce = 'dry-run'"
    );
    let map = "[smart.test]:587 secure match=mx.smart.test\nmap.test encrypt\n.map.test may\n";
    let world = mapped(World::new().domain("plain.test", Script::default()))
        .config(&rules)
        .config_with(move |net| {
            let path = net.ca.roots_file().with_file_name("tls_policy");
            std::fs::write(&path, map).unwrap();
            format!("[policy]\ntls_policy_map = '{}'", path.display())
        })
        .start()
        .await;
    let newest = "protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1:!TLSv1.2";
    let digest = ["AB"; 32].join(":");
    for (key, expected) in [
        ("plain.test", format!("OK encrypt {newest}")),
        ("x.y.plain.test", format!("OK encrypt {newest}")), // the wildcard is resolved here
        (".plain.test", "NOTFOUND ".into()),
        ("clear.test", "OK none".into()),
        ("pinned.test", format!("OK fingerprint match={digest}")),
        (
            "named.test",
            "OK secure match=mx.named.test:.far.test".into(),
        ),
        ("routed.test", "OK verify match=hostname".into()),
        ("tried.test", "NOTFOUND ".into()),
        ("map.test", "OK encrypt".into()),
        ("x.map.test", "OK may".into()),
        ("[smart.test]:587", "OK secure match=mx.smart.test".into()),
        ("[smart.test]", "NOTFOUND ".into()),
    ] {
        assert_eq!(ask(&world, key).await, expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_temporary() {
    let world = World::new()
        .domain("mx.test", Script::default())
        .dns(|dns| {
            dns.fault("mx.test", RecordType::MX, Fault::ServFail);
        });
    let world = mapped(world.domain("a.test", Script::default()).dns(|dns| {
        dns.secure("a.test");
    }))
    .net(|net| {
        let owner = format!("_{}._tcp.mx.a.test", net.ports.port());
        net.dns.fault(&owner, RecordType::TLSA, Fault::ServFail);
    })
    .start()
    .await;
    let lost = ask(&world, "mx.test").await;
    assert!(
        lost.starts_with("TEMP DNS lookup of mx.test: server failure"),
        "{lost}"
    );
    let lost = ask(&world, "a.test").await;
    assert!(lost.starts_with("TEMP mx.a.test: TLSA lookup: _"), "{lost}");
    assert_eq!(answers(&world, "temp").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_answers_are_temporary() {
    let world = mapped(signed(Script::default()))
        .dns(|dns| {
            let zone = lab::dnssec::Zone::secure().altered_only([RecordType::MX]);
            dns.zone("a.test", zone);
        })
        .start()
        .await;
    let answer = ask(&world, "a.test").await;
    assert!(
        answer.starts_with("TEMP ") && answer.contains("bogus"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn insecure_mx_records_of_secure_hosts_are_no_dane_only() {
    let world = mapped(half(Script::default()))
        .net(|net| {
            net.tlsa("mx.s.test", "3 1 1");
        })
        .start()
        .await;
    assert_eq!(ask(&world, "a.test").await, "OK dane");
}

#[tokio::test(flavor = "multi_thread")]
async fn dane_decides_where_both_are_published() {
    let world = with_tlsa("3 1 1").sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK));
    let world = mapped(world).start().await;
    assert_eq!(ask(&world, "a.test").await, "OK dane-only");
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_for_reports_are_sent_to_those_who_ask() {
    let world = with_policy("enforce", Script::default()).config_with(|net| {
        let (plain, full) = (net.ports.at(MAP), net.ports.at(MAP - 1));
        format!(
            "[[socketmap]]\nlisten = '{plain}'\n[[socketmap]]\nlisten = '{full}'\ntlsrpt = true"
        )
    });
    let world = world.start().await;
    let plain = "OK secure match=mx.a.test servername=hostname";
    let full = format!(
        "{plain} policy_type=sts policy_domain=a.test mx_host_pattern=mx.a.test \
         {{ policy_string = version: STSv1 }} {{ policy_string = mode: enforce }} \
         {{ policy_string = mx: mx.a.test }} {{ policy_string = max_age: 604800 }}"
    );
    for (octet, map, expected) in [
        (MAP, "QUERY", plain),
        (MAP, "QUERYwithTLSRPT", &full),
        (MAP, "querywithtlsrpt", &full),
        (MAP, "QUERYwithTLSRPTs", plain),
        (MAP - 1, "QUERY", &full),
    ] {
        let mut client = MapClient::tcp(world.net.ports.at(octet)).await;
        assert_eq!(client.ask(map, "a.test").await, expected, "{octet} {map}");
    }
}

/// A policy host that does not answer holds nobody up for long, and mail that would flow flows.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_contact_is_waited_for_as_long_as_mail_would_wait() {
    let world = World::new()
        .domain("a.test", Script::default())
        .policy_host("a.test", Answer::Hang)
        .net(|net| {
            net.sts_record("a.test", "v=STSv1; id=1;");
        });
    let world = mapped(world).start().await;
    let began = Instant::now();
    assert_eq!(ask(&world, "a.test").await, "NOTFOUND ");
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(8) && took < Duration::from_secs(20),
        "{took:?}"
    );
}
