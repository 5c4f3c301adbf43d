//! Addresses that are down are remembered, and only what is the address's own fault is.
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use futures_util::future::join_all;
use lab::mx::Handshake;
use std::time::{Duration, Instant};
use support::{Act, Script, Stage, World};

fn at(stage: Stage, act: impl Into<Act>) -> Script {
    let act = act.into();
    Script::default().on(move |moment| {
        if moment.stage == stage {
            act.clone()
        } else {
            Act::Normal
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addresss_own_fault_is_remembered() {
    let cases: Vec<(&str, Script)> = vec![
        ("silent", Script::silent()),
        ("greet554", at(Stage::Greeting, (554, "5.7.1 no"))),
        ("greet421", at(Stage::Greeting, (421, "4.3.2 busy"))),
        ("greetclose", at(Stage::Greeting, Act::Close)),
        ("greetgarbage", at(Stage::Greeting, Act::raw("hello\r\n"))),
        ("ehlo421", at(Stage::Ehlo, (421, "4.3.2 busy"))),
        ("ehloclose", at(Stage::Ehlo, Act::Close)),
        ("starttls421", at(Stage::StartTls, (421, "4.3.2 busy"))),
        ("tlsehlo", at(Stage::TlsEhlo, (451, "4.3.0 broken"))),
        ("mail421", at(Stage::Mail, (421, "4.3.2 busy"))),
        ("dot421", at(Stage::Dot, (421, "4.3.2 busy"))),
        (
            "stall",
            Script {
                handshake: Handshake::Close,
                ..Script::default()
            },
        ),
        (
            "alert",
            Script {
                handshake: Handshake::Alert(40),
                ..Script::default()
            },
        ),
    ];
    let mut builder = World::new();
    for (name, script) in &cases {
        builder = builder.domain(&format!("{name}.test"), script.clone());
    }
    let world = builder
        .config("[relay]\nreach_timeout = '2s'\n[[rule]]\ndomains = ['stall.test', 'alert.test']\nrequire = 'encrypt'")
        .start()
        .await;
    for (name, _) in &cases {
        let to = format!("r@{name}.test");
        let first = world.send(&to).await;
        assert_eq!(first.code, 451, "{name}: {first}");
        let mx = world.mx(&format!("{name}.test"));
        let connections = mx.connections().len();
        assert!(connections >= 1, "{name}");
        let started = Instant::now();
        let second = world.send(&to).await;
        assert_eq!(
            (second.code, second.text()),
            (first.code, first.text()),
            "{name}"
        );
        assert!(
            started.elapsed() < Duration::from_millis(900),
            "{name}: {:?}",
            started.elapsed()
        );
        assert_eq!(
            mx.connections().len(),
            connections,
            "{name}: it was tried again"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_a_message_or_recipient_is_not_the_addresss() {
    let cases: Vec<(&str, Script)> = vec![
        ("mail450", at(Stage::Mail, (450, "4.1.8 later"))),
        ("mail550", at(Stage::Mail, (550, "5.1.8 no"))),
        ("mail354", at(Stage::Mail, (354, "what"))),
        ("mailclose", at(Stage::Mail, Act::Close)),
        ("rcpt450", at(Stage::Rcpt, (450, "4.2.0 later"))),
        ("rcpt550", at(Stage::Rcpt, (550, "5.1.1 no"))),
        ("rcptgarbage", at(Stage::Rcpt, Act::raw("hello\r\n"))),
        ("data451", at(Stage::Data, (451, "4.3.0 later"))),
        ("data554", at(Stage::Data, (554, "5.7.1 no"))),
        ("dataclose", at(Stage::Data, Act::Close)),
        ("dot451", at(Stage::Dot, (451, "4.7.1 later"))),
        ("dot554", at(Stage::Dot, (554, "5.7.1 no"))),
        ("dotclose", at(Stage::Dot, Act::Close)),
    ];
    let mut builder = World::new();
    for (name, script) in &cases {
        builder = builder.domain(&format!("{name}.test"), script.clone());
    }
    let world = builder.start().await;
    for (name, _) in &cases {
        for nth in 1..=2 {
            assert!(
                world.send(&format!("r@{name}.test")).await.code >= 400,
                "{name}"
            );
            let mails = |record: &lab::mx::Record| {
                record
                    .connections
                    .iter()
                    .flat_map(lab::mx::Connection::verbs)
                    .filter(|verb| verb == "MAIL")
                    .count()
            };
            assert_eq!(
                mails(&world.mx(&format!("{name}.test")).record()),
                nth,
                "{name}"
            );
        }
        world
            .mx(&format!("{name}.test"))
            .set_script(Script::default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_address_costs_the_next_message_no_time() {
    let world = World::new()
        .domain_with(
            "a.test",
            vec![
                ("mx1.a.test", 10, Script::silent()),
                ("mx2.a.test", 20, Script::default()),
            ],
        )
        .config("[relay]\nreach_timeout = '4s'")
        .start()
        .await;
    let started = Instant::now();
    assert_eq!(world.send("r@a.test").await.code, 250);
    let first = started.elapsed();
    assert!(first > Duration::from_millis(1_500), "{first:?}");
    for _ in 0..3 {
        let started = Instant::now();
        assert_eq!(world.send("r@a.test").await.code, 250);
        assert!(
            started.elapsed() < first / 3,
            "{:?} after {first:?}",
            started.elapsed()
        );
    }
    assert_eq!(world.mx("mx1.a.test").connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_is_of_the_address_not_of_the_domain() {
    let world = World::new()
        .domain(
            "a.test",
            Script {
                greeting: (421, "4.3.2 busy").into(),
                ..Script::default()
            },
        )
        .dns(|dns| {
            dns.mx("b.test", 10, "mx.a.test");
        })
        .start()
        .await;
    let first = world.send("r@a.test").await;
    let second = world.send("r@b.test").await;
    assert_eq!(
        (first.code, second.code, second.text()),
        (451, 451, first.text())
    );
    assert_eq!(world.mx("a.test").connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_fault_concerns_those_who_need_tls_only() {
    let world = World::new()
        .domain("a.test", Script { handshake: Handshake::Close, ..Script::default() })
        .dns(|dns| {
            dns.mx("clear.test", 10, "mx.a.test");
        })
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'\n[[rule]]\ndomains = ['clear.test']\nrequire = 'none'")
        .start()
        .await;
    let reply = world.send("r@a.test").await;
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.7.5")),
        "{reply}"
    );
    assert_eq!(world.send("r@clear.test").await.code, 250);
    assert_eq!(world.send("r@a.test").await.code, 451);
    let mx = world.mx("a.test");
    assert_eq!(mx.connections().len(), 2, "one for each");
    assert!(
        mx.messages()
            .iter()
            .all(|m| m.addresses() == ["r@clear.test"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_one_policy_refuses_is_good_for_another() {
    let world = World::new()
        .certified("a.test", |ca| {
            Script::with_identity(ca.issue(&lab::ca::Cert::new(["other.test"])))
        })
        .dns(|dns| {
            dns.mx("may.test", 10, "mx.a.test");
        })
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'verify'")
        .start()
        .await;
    assert_eq!(world.send("r@a.test").await.code, 451);
    assert_eq!(world.send("r@may.test").await.code, 250);
    let mx = world.mx("a.test");
    assert!(
        mx.messages()
            .iter()
            .all(|m| m.addresses() == ["r@may.test"])
            && !mx.mail_octets_in_clear()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_hosts_do_not_occupy_the_clients_sessions() {
    let world = World::new()
        .domain("silent.test", Script::silent())
        .domain("good.test", Script::default())
        .config("[relay]\nreach_timeout = '2s'")
        .start()
        .await;
    let started = Instant::now();
    // Ten sessions, each with ten messages for a host that never answers: two seconds, not twenty.
    let session = |_| async {
        let mut client = world.smtp().await;
        for _ in 0..10 {
            let reply = client
                .mail("s@client.test", &["r@silent.test"], support::CONTENT)
                .await
                .unwrap();
            assert_eq!(
                (reply.code, reply.enhanced()),
                (451, Some("4.4.1")),
                "{reply}"
            );
        }
    };
    join_all((0..10).map(session)).await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert!(world.mx("silent.test").connections().len() <= 10);
    assert_eq!(world.send("r@good.test").await.code, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_was_cut_is_no_reason_to_bounce_whatever_the_rule_says() {
    let script = || Script {
        handshake: Handshake::Close,
        ..Script::default()
    };
    let rule = "[[rule]]\ndomains = ['a.test']\nrequire = 'verify'\non_failure = 'reject'";
    let world = World::new()
        .domain("a.test", script())
        .config(rule)
        .start()
        .await;
    for _ in 0..2 {
        let reply = world.send("r@a.test").await;
        assert_eq!(
            (reply.code, reply.enhanced()),
            (451, Some("4.7.5")),
            "{reply}"
        );
    }
    assert!(!world.mx("a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_another_name_at_the_same_address_is_not_taken_down_with_the_first() {
    // Who has the certificate for one name may well fail at another.
    let world = World::new()
        .domain("a.test", Script::default())
        .dns(|dns| {
            dns.mx("evil.test", 10, "mx.evil.test");
        })
        .config("[[rule]]\ndomains = ['evil.test', 'a.test']\nrequire = 'encrypt'")
        .start()
        .await;
    let ip = world.mx("a.test").address().ip();
    world.net.dns.a("mx.evil.test", &ip.to_string());
    let mx = world.mx("a.test");
    mx.set_script(Script {
        handshake: Handshake::Alert(112), // unrecognized_name
        ..Script::default()
    });
    assert_eq!(world.send("r@evil.test").await.code, 451);
    mx.set_script(Script::with_identity(world.net.ca.identity("mx.a.test")));
    assert_eq!(world.send("r@a.test").await.code, 250);
}
