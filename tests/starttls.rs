//! STARTTLS (RFC 3207) with hosts that get it wrong: where TLS is required, nothing of envelope or content is ever
//! seen in the clear, and the reply says which policy, which host and what was wrong.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use lab::ca::{Ca, Cert, Identity, Intermediate};
use lab::mx::{Channel, ClientCert, Handshake, Offer, Tls, Versions};
use sha2::{Digest, Sha256};
use support::{Act, CONTENT, Daemon, Mx, Reply, Script, World};

fn said(reply: &Reply) -> (u16, &str) {
    (reply.code, reply.enhanced().unwrap_or(""))
}

/// Nothing of a message was ever readable on the way to this host, and it took none.
fn assert_saw_nothing(mx: &Mx, what: &str) {
    assert!(!mx.mail_octets_in_clear(), "{what}: commands in the clear");
    for secret in ["secret-marker", "sender@client.test", ".test>"] {
        assert!(!mx.wire_contains(secret), "{what}: {secret} in the clear");
    }
    assert!(mx.messages().is_empty(), "{what}: a message was accepted");
}

fn handshake(handshake: Handshake) -> Script {
    Script {
        handshake,
        ..Script::default()
    }
}

fn tls(tls: Tls) -> Script {
    Script {
        tls,
        ..Script::default()
    }
}

/// Hosts that do not bring any TLS channel about: name, enhanced code's detail, words of the reply.
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn without_channel() -> Vec<(&'static str, &'static str, &'static str, Script)> {
    let refuse = |code: u16, text: &str| Script {
        starttls: (code, text).into(),
        ..Script::default()
    };
    let stripped = Script {
        offer: Offer::NoStartTls,
        ..Script::default()
    };
    let surplus = b"250 mx.evil.test\r\n250 ok\r\n".to_vec();
    vec![
        ("stripped", "4.7.4", "STARTTLS is not offered", stripped),
        (
            "no-ehlo",
            "4.0.0",
            "502 what",
            Script {
                ehlo: (502, "what").into(),
                ..Script::default()
            },
        ),
        (
            "temporary",
            "4.7.4",
            "STARTTLS was refused: 454",
            refuse(454, "4.7.0 not now"),
        ),
        (
            "unknown",
            "4.7.4",
            "STARTTLS was refused: 502",
            refuse(502, "5.5.1 what"),
        ),
        (
            "permanent",
            "4.7.4",
            "STARTTLS was refused: 554",
            refuse(554, "5.7.3 never"),
        ),
        (
            "surplus",
            "4.7.5",
            "octets after the reply to STARTTLS",
            handshake(Handshake::Surplus(surplus)),
        ),
        (
            "garbage",
            "4.7.5",
            "TLS handshake failed",
            handshake(Handshake::Garbage(b"500 what is this\r\n".to_vec())),
        ),
        (
            "stall",
            "4.7.5",
            "TLS handshake timed out",
            handshake(Handshake::Stall),
        ),
        (
            "close",
            "4.7.5",
            "connection lost during the TLS handshake",
            handshake(Handshake::Close),
        ),
        (
            "reset",
            "4.7.5",
            "connection lost during the TLS handshake",
            handshake(Handshake::Reset),
        ),
        // In TLS 1.3 the host is done after us: if it then leaves, it has not agreed.
        (
            "leave",
            "4.7.5",
            "connection lost during the TLS handshake",
            handshake(Handshake::CloseAfter),
        ),
        (
            "alert",
            "4.7.5",
            "no common version or cipher",
            handshake(Handshake::Alert(40)),
        ),
        (
            "internal",
            "4.7.5",
            "TLS handshake failed",
            handshake(Handshake::Alert(80)),
        ),
        // In TLS 1.3 the client learns it at its first read after the handshake.
        (
            "wants-cert",
            "4.7.5",
            "TLS handshake failed",
            tls(Tls {
                client_cert: ClientCert::Required,
                ..Tls::default()
            }),
        ),
        (
            "wants-cert12",
            "4.7.5",
            "TLS handshake failed",
            tls(Tls {
                client_cert: ClientCert::Required,
                versions: Versions::Only12,
                ..Tls::default()
            }),
        ),
    ]
}

/// Certificates that prove nothing: name, words of the reply under `verify`, how it is made.
type Bad = (&'static str, &'static str, fn(&Ca, &str) -> Identity);
const BAD_CERTIFICATES: [Bad; 12] = [
    ("wrong-name", "certificate is for other.test", |ca, _| {
        ca.issue(&Cert::new(["other.test"]))
    }),
    ("parent-name", "certificate is for verify.test", |ca, _| {
        ca.issue(&Cert::new(["verify.test"]))
    }),
    ("part-wildcard", "certificate is for m*.", |ca, host| {
        ca.issue(&Cert::new([host.replacen("mx", "m*", 1)]))
    }),
    ("high-wildcard", "certificate is for *.test", |ca, _| {
        ca.issue(&Cert::new(["*.test"]))
    }),
    ("expired", "certificate has expired", |ca, host| {
        ca.issue(&Cert::new([host]).expired())
    }),
    ("future", "certificate is not yet valid", |ca, host| {
        ca.issue(&Cert::new([host]).not_yet_valid())
    }),
    ("self-signed", "certificate is self-signed", |ca, host| {
        ca.issue(&Cert::new([host]).self_signed())
    }),
    (
        "self-signed-ca",
        "certificate is self-signed",
        |ca, host| ca.issue(&Cert::new([host]).self_signed_ca()),
    ),
    (
        "untrusted",
        "not signed by a trusted authority",
        |_, host| Ca::new("stranger").identity(host),
    ),
    (
        "no-intermediate",
        "not signed by a trusted authority",
        |ca, host| ca.issue(&Cert::new([host]).with_intermediate(Intermediate::Omitted)),
    ),
    ("cn-only", "certificate is for no name", |ca, host| {
        ca.issue(&Cert::new([host]).cn_only())
    }),
    ("client-only", "not meant for servers", |ca, host| {
        ca.issue(&Cert::new([host]).client_only())
    }),
];

/// The chain of a good certificate in the hands of somebody without its key.
fn replayed(ca: &Ca, host: &str) -> Identity {
    let good = ca.identity(host);
    let thief = ca.identity("thief.test");
    Identity {
        chain: good.chain,
        key: thief.key,
    }
}

/// One world for a level: a domain for every fault.
#[expect(clippy::too_many_lines, reason = "a table is built, sent and compared")]
async fn refuses_everything(level: &'static str, rule: &str) {
    let mut builder = World::new();
    let mut table: Vec<(String, &str, &str)> = Vec::new();
    for (fault, detail, mut words, script) in without_channel() {
        let domain = format!("{fault}.{level}.test");
        if level == "fingerprint" && ["wants-cert", "leave"].contains(&fault) {
            words = "none of the fingerprints"; // seen before the host's alert
        }
        builder = builder.domain(&domain, script);
        table.push((domain, detail, words));
    }
    let domain = format!("replay.{level}.test");
    let host = format!("mx.{domain}");
    builder = builder.certified(&domain, move |ca| {
        Script::with_identity(replayed(ca, &host))
    });
    table.push((domain, "4.7.5", "TLS handshake failed"));
    if level != "encrypt" {
        for (fault, words, make) in BAD_CERTIFICATES {
            let domain = format!("{fault}.{level}.test");
            let host = format!("mx.{domain}");
            builder = builder.certified(&domain, move |ca| Script::with_identity(make(ca, &host)));
            let words = if level == "fingerprint" {
                "none of the fingerprints"
            } else {
                words
            };
            table.push((domain, "4.7.5", words));
        }
    }
    let rule = format!("[[rule]]\ndomains = ['*.{level}.test']\nrequire = '{level}'\n{rule}");
    let world = builder
        .config("relay.reach_timeout = '6s'")
        .config(&rule)
        .start()
        .await;
    let recipients: Vec<String> = table.iter().map(|row| format!("x@{}", row.0)).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let replies = world.send_lmtp(&recipients).await;
    let mut wrong = Vec::new();
    for ((domain, detail, words), reply) in table.iter().zip(&replies) {
        let ip = world.mx(domain).address().ip();
        let policy = format!("rule policy of {domain}: mx.{domain}[{ip}]: ");
        let names_all = *detail == "4.0.0" || reply.contains(&policy);
        if said(reply) != (451, *detail) || !reply.contains(words) || !names_all {
            wrong.push(format!("{domain}: {reply}"));
        }
        assert_saw_nothing(world.mx(domain), domain);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The remembered answer is the same, and nothing is seen either.
    let again = world.send_lmtp(&recipients).await;
    for ((domain, detail, _), reply) in table.iter().zip(&again) {
        assert_eq!(said(reply), (451, *detail), "{domain}: {reply}");
        assert_saw_nothing(world.mx(domain), domain);
    }
    let counted = [("enforced", "yes"), ("policy", "rule")];
    let metrics = world.daemon.metrics().await;
    assert!(metrics.get("tls_failures_total", &counted) >= table.len() as f64 - 1.0);
    assert_eq!(
        metrics.get("tls_failures_total", &[("enforced", "no")]),
        0.0
    );
    assert_eq!(metrics.get("plaintext_total", &[]), 0.0);
    assert_eq!(
        metrics.get("deliveries_total", &[("result", "delivered")]),
        0.0
    );
    let blocked = metrics.get("policy_blocked_total", &[("policy", "rule")]);
    assert_eq!(blocked, 2.0 * (table.len() as f64 - 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypt_never_yields_to_a_host_without_tls() {
    refuses_everything("encrypt", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fingerprint_accepts_nothing_but_the_pinned_certificate() {
    let pin = "ab".repeat(32);
    refuses_everything(
        "fingerprint",
        &format!("fingerprints = ['cert-sha256:{pin}', 'spki-sha256:{pin}']"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_accepts_no_certificate_that_proves_nothing() {
    refuses_everything("verify", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secure_accepts_no_certificate_that_proves_nothing() {
    refuses_everything("secure", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_certificate_of_a_trusted_root_is_no_server() {
    // The root itself as leaf: in every trust store, and meant for nobody's mail.
    let world = World::new()
        .certified("a.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.a.test"]).version_1()))
        })
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'verify'")
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert_saw_nothing(world.mx("a.test"), "version 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_mx_is_tried_when_tls_fails_and_the_reply_stays_soft() {
    let no = || Script {
        starttls: (554, "5.7.3 never").into(),
        ..Script::default()
    };
    let world = World::new()
        .domain_with(
            "a.test",
            vec![
                ("bad.a.test", 10, no()),
                ("clear.a.test", 20, Script::no_starttls()),
                ("good.a.test", 30, Script::default()),
            ],
        )
        .domain_with(
            "b.test",
            vec![
                ("bad.b.test", 10, no()),
                ("clear.b.test", 20, Script::no_starttls()),
            ],
        )
        .config("[[rule]]\ndomains = ['a.test', 'b.test']\nrequire = 'encrypt'")
        .start()
        .await;
    let replies = world.send_lmtp(&["x@a.test", "x@b.test"]).await;
    assert_eq!(said(&replies[0]), (250, "2.0.0"), "{}", replies[0]);
    assert_eq!(said(&replies[1]), (451, "4.7.4"), "{}", replies[1]);
    assert!(
        replies[1].contains("2 hosts tried; rule policy of b.test: clear.b.test["),
        "{}",
        replies[1]
    );
    for host in ["bad.a.test", "clear.a.test", "bad.b.test", "clear.b.test"] {
        assert_saw_nothing(world.mx(host), host);
    }
    assert!(!world.mx("good.a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_that_is_not_offered_is_not_tried() {
    let world = World::new()
        .domain("a.test", Script::no_starttls())
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'")
        .start()
        .await;
    assert_eq!(said(&world.send("x@a.test").await), (451, "4.7.4"));
    let commands = world.mx("a.test").connections()[0].commands.clone();
    assert!(
        !commands.iter().any(|c| c.starts_with("STARTTLS")),
        "{commands:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn helo_is_said_only_where_no_tls_is_required() {
    let old = || Script {
        ehlo: (502, "5.5.1 what").into(),
        ..Script::default()
    };
    let world = World::new()
        .domain("a.test", old())
        .domain("b.test", old())
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'")
        .start()
        .await;
    let replies = world.send_lmtp(&["x@a.test", "x@b.test"]).await;
    assert_eq!(replies[0].code, 451, "{}", replies[0]);
    assert_eq!(said(&replies[1]), (250, "2.0.0"), "{}", replies[1]);
    let verbs = world.mx("a.test").connections()[0].verbs();
    assert!(!verbs.contains(&"HELO".to_owned()), "{verbs:?}");
    assert_saw_nothing(world.mx("a.test"), "a.test");
    assert!(
        world.mx("b.test").connections()[0]
            .commands
            .contains(&"HELO relay.test".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_before_tls_is_forgotten() {
    let keywords = |list: &[&str]| list.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>();
    let lying = |clear: &[&str], tls: &[&str]| Script {
        keywords: keywords(clear),
        tls_keywords: Some(keywords(tls)),
        ..Script::default()
    };
    let all = ["PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN"];
    let world = World::new()
        // Announced in the clear, by whomever, and not within TLS.
        .domain("boast.test", lying(&all, &[]))
        // The other way round: a size that nothing fits in.
        .domain("humble.test", lying(&["SIZE 10"], &all))
        .start()
        .await;
    let content = [CONTENT, "caf\u{e9}\r\n".as_bytes()].concat();
    let mut client = world.lmtp().await;
    let mut send = async |domain: &str| {
        client
            .command("MAIL FROM:<s@client.test> BODY=8BITMIME")
            .await
            .unwrap();
        client
            .command(&format!("RCPT TO:<x@{domain}> NOTIFY=NEVER"))
            .await
            .unwrap();
        client.command("DATA").await.unwrap();
        client.send(lab::client::stuffed(&content)).await.unwrap();
        client.reply().await.unwrap()
    };
    let (boast, humble) = (send("boast.test").await, send("humble.test").await);
    assert_eq!(said(&boast), (554, "5.6.3"), "{boast}");
    assert_eq!(said(&humble), (250, "2.0.0"), "{humble}");
    let message = &world.mx("humble.test").messages()[0];
    assert!(
        message.params.iter().any(|p| p == "BODY=8BITMIME"),
        "{message:?}"
    );
    let reply = world.send("x@boast.test").await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    let message = &world.mx("boast.test").messages()[0];
    assert_eq!(message.params, Vec::<String>::new());
    for domain in ["boast.test", "humble.test"] {
        let connection = &world.mx(domain).connections()[0];
        assert_eq!(
            connection.commands,
            ["EHLO relay.test", "STARTTLS"],
            "{domain}"
        );
        assert_eq!(connection.tls_commands[0], "EHLO relay.test", "{domain}");
        assert_eq!(
            world.mx(domain).violations(),
            Vec::<String>::new(),
            "{domain}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_injected_before_the_handshake_are_never_read_after_it() {
    // Whoever sits in between answers EHLO, MAIL, RCPT and DATA in advance (CVE-2011-0411).
    let advance = b"250 mx.a.test\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n".to_vec();
    let script = || handshake(Handshake::Surplus(advance.clone()));
    let world = World::new()
        .domain("a.test", script())
        .domain("b.test", script())
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'")
        .start()
        .await;
    let replies = world.send_lmtp(&["x@a.test", "x@b.test"]).await;
    assert_eq!(said(&replies[0]), (451, "4.7.5"), "{}", replies[0]);
    assert_eq!(said(&replies[1]), (451, "4.7.5"), "{}", replies[1]);
    for domain in ["a.test", "b.test"] {
        assert_saw_nothing(world.mx(domain), domain);
        let connection = &world.mx(domain).connections()[0];
        assert!(connection.tls.is_none(), "{domain}: the handshake went on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_at_the_first_read_is_a_tls_failure_and_not_a_lost_connection() {
    let demand = || {
        tls(Tls {
            client_cert: ClientCert::Required,
            versions: Versions::Only13,
            ..Tls::default()
        })
    };
    let world = World::new()
        .domain("a.test", demand())
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'")
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(reply.contains("alert"), "{reply}");
    let failures = [("reason", "validation-failure"), ("enforced", "yes")];
    assert_eq!(
        world.daemon.metric("tls_failures_total", &failures).await,
        1.0
    );
    assert_saw_nothing(world.mx("a.test"), "a.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn sni_is_the_mx_host_as_published() {
    let world = World::new()
        .host("real.test", Script::default())
        .dns(|dns| {
            dns.mx("a.test", 10, "alias.a.test")
                .cname("alias.a.test", "real.test");
        })
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let tls = world.mx("real.test").connections()[0].tls.clone().unwrap();
    assert_eq!(tls.sni.as_deref(), Some("alias.a.test"));
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table is built, sent and compared")]
async fn opportunistic_delivery_takes_every_certificate_and_records_what_is_wrong() {
    let mut builder = World::new().domain("good.test", Script::default());
    let mut labels: BTreeMap<String, &str> = BTreeMap::from([("good.test".to_owned(), "none")]);
    for (fault, _, make) in BAD_CERTIFICATES {
        let domain = format!("{fault}.test");
        let host = format!("mx.{domain}");
        builder = builder.certified(&domain, move |ca| Script::with_identity(make(ca, &host)));
        let label = match fault {
            "wrong-name" | "parent-name" | "part-wildcard" | "high-wildcard" | "cn-only" => {
                "name_mismatch"
            }
            "expired" => "expired",
            "future" => "not_yet_valid",
            "self-signed" | "self-signed-ca" => "self_signed",
            "untrusted" | "no-intermediate" => "untrusted",
            _ => "wrong_usage",
        };
        labels.insert(domain, label);
    }
    for (domain, cert) in [
        ("v1.test", 1),
        ("rsa.test", 2),
        ("p384.test", 3),
        ("long.test", 4),
    ] {
        let host = format!("mx.{domain}");
        builder = builder.certified(domain, move |ca| {
            let good = Cert::new([host]);
            Script::with_identity(ca.issue(&match cert {
                1 => good.version_1(),
                2 => good.key(lab::ca::Key::Rsa2048),
                3 => good.key(lab::ca::Key::P384),
                _ => good.padded(50),
            }))
        });
        labels.insert(
            domain.to_owned(),
            if cert == 1 { "self_signed" } else { "none" },
        );
    }
    let world = builder.start().await;
    let recipients: Vec<String> = labels.keys().map(|domain| format!("x@{domain}")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    for (domain, reply) in labels.keys().zip(world.send_lmtp(&recipients).await) {
        assert_eq!(said(&reply), (250, "2.0.0"), "{domain}: {reply}");
        assert!(reply.contains("TLSv1.3, may"), "{domain}: {reply}");
        let mx = world.mx(domain);
        assert_eq!(mx.messages()[0].channel, Channel::Tls, "{domain}");
        assert!(!mx.mail_octets_in_clear(), "{domain}");
    }
    let metrics = world.daemon.metrics().await;
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for label in labels.values() {
        *counts.entry(label).or_default() += 1.0;
    }
    for (label, count) in counts {
        assert_eq!(
            metrics.get("certificates_total", &[("problem", label)]),
            count,
            "{label}"
        );
    }
    assert_eq!(
        metrics.get("certificates_total", &[("key", "rsa2048")]),
        1.0
    );
    assert_eq!(metrics.get("certificates_total", &[("key", "p384")]), 1.0);
    let shaken = [("version", "1.3"), ("resumed", "no")];
    assert_eq!(
        metrics.get("tls_handshakes_total", &shaken),
        labels.len() as f64
    );
    assert_eq!(
        metrics.get("tls_failures_total", &[("enforced", "yes")]),
        0.0
    );
    let told = [
        ("reason", "certificate-expired"),
        ("enforced", "no"),
        ("policy", "default"),
    ];
    assert_eq!(metrics.get("tls_failures_total", &told), 1.0);
    for line in world.daemon.deliveries() {
        let text = |name: &str| {
            Daemon::field(&line, name)
                .and_then(|v| v.as_str())
                .unwrap_or("")
                .to_owned()
        };
        let domain = text("domain");
        assert_eq!(
            text("certificate_problem") == "none",
            labels[&domain] == "none",
            "{line}"
        );
        assert_eq!(
            (
                text("tls").as_str(),
                text("resumed").as_str(),
                text("authenticated").as_str()
            ),
            ("1.3", "no", "none"),
            "{line}"
        );
        assert!(
            text("cipher").starts_with("TLS_") && !text("group").is_empty(),
            "{line}"
        );
        assert_eq!(
            (text("policy").as_str(), text("level").as_str()),
            ("default", "may"),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_certificate_is_no_tls_at_any_level() {
    let world = World::new()
        .certified("a.test", |ca| {
            Script::with_identity(replayed(ca, "mx.a.test"))
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(
        reply.contains("TLS failed, plaintext not before "),
        "{reply}"
    );
    assert_saw_nothing(world.mx("a.test"), "a.test");
    let told = [("enforced", "no"), ("policy", "default")];
    assert_eq!(world.daemon.metric("tls_failures_total", &told).await, 1.0);
    assert_eq!(world.daemon.metric("certificates_total", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_is_judged_like_a_full_one() {
    // Two domains on one host: what one accepted opportunistically must not let the other's rule be met.
    let world = World::new()
        .certified("a.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.a.test"]).self_signed()))
        })
        .dns(|dns| {
            dns.mx("b.test", 10, "mx.a.test");
        })
        .config("outbound.messages_per_connection = 1\n[[rule]]\ndomains = ['b.test']\nrequire = 'verify'")
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert_eq!(world.send("x@a.test").await.code, 250);
    let reply = world.send("x@b.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(reply.contains("self-signed"), "{reply}");
    let mx = world.mx("a.test");
    // We may have judged and left before the host has seen its handshake through.
    let all_shaken = mx.wait_for(|record| {
        record.connections.len() == 3 && record.connections.iter().all(|c| c.tls.is_some())
    });
    assert!(all_shaken.await, "{:?}", mx.connections());
    let resumed: Vec<_> = mx
        .connections()
        .iter()
        .map(|c| c.tls.as_ref().map(|t| t.resumed))
        .collect();
    assert_eq!(resumed, [Some(false), Some(true), Some(true)]);
    let judged = &mx.connections()[2];
    assert_eq!(judged.tls_commands, Vec::<String>::new());
    assert_eq!(mx.messages().len(), 2);
    let labels = [("resumed", "yes")];
    assert_eq!(
        world.daemon.metric("tls_handshakes_total", &labels).await,
        2.0
    );
}

async fn fifty(world: &World) {
    let sessions = (0..50).map(|_| world.send("x@a.test"));
    for reply in futures_util::future::join_all(sessions).await {
        assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_sessions_that_reconnect_together_all_resume() {
    for versions in [Versions::Only13, Versions::Only12] {
        // Nobody may finish before all have connected, so that no connection serves two messages.
        let script = Script {
            mail: Act::Normal.after(Duration::from_millis(700)),
            ..tls(Tls {
                versions,
                ..Tls::default()
            })
        };
        let world = World::new()
            .domain("a.test", script)
            .config("outbound.messages_per_connection = 1\noutbound.max_connections_per_mx = 60")
            .start()
            .await;
        fifty(&world).await;
        fifty(&world).await;
        let mx = world.mx("a.test");
        let connections = mx.connections();
        assert_eq!(connections.len(), 100);
        let resumed = connections[50..]
            .iter()
            .filter(|c| c.tls.as_ref().is_some_and(|t| t.resumed))
            .count();
        assert_eq!(resumed, 50, "{versions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_never_share_a_connection_and_equals_do() {
    let world = World::new()
        .domain("a.test", Script::default())
        .dns(|dns| {
            for domain in ["b.test", "c.test", "d.test", "e.test", "f.test", "g.test"] {
                dns.mx(domain, 10, "mx.a.test");
            }
        })
        .config(
            "[[rule]]\ndomains = ['b.test']\nrequire = 'encrypt'\n\
             [[rule]]\ndomains = ['c.test', 'f.test']\nrequire = 'verify'\n\
             [[rule]]\ndomains = ['d.test']\nrequire = 'none'\n\
             [[rule]]\ndomains = ['g.test']\nrequire = 'secure'\nmatch = ['hostname']",
        )
        .start()
        .await;
    let mx = world.mx("a.test");
    for (domain, connections) in [
        ("a.test", 1),
        ("a.test", 1),
        ("e.test", 1), // by default, as a.test
        ("b.test", 2),
        ("c.test", 3),
        ("f.test", 3), // the same rule
        ("d.test", 4),
        ("g.test", 4), // another rule that proves the same
        ("a.test", 4),
        ("b.test", 4),
        ("c.test", 4),
        ("d.test", 4),
    ] {
        let reply = world.send(&format!("x@{domain}")).await;
        assert_eq!(said(&reply), (250, "2.0.0"), "{domain}: {reply}");
        assert_eq!(mx.connections().len(), connections, "{domain}");
    }
    for message in mx.messages() {
        let clear = message.addresses() == ["x@d.test"];
        assert_eq!(
            message.channel == Channel::Clear,
            clear,
            "{:?}",
            message.addresses()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_with_tls_required_no_have_connections_of_their_own() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let free = [b"TLS-Required: No\r\n".as_slice(), CONTENT].concat();
    let mut client = world.smtp().await;
    for (content, connections) in [(CONTENT, 1), (&free[..], 2), (CONTENT, 2), (&free[..], 2)] {
        let reply = client
            .mail("s@client.test", &["x@a.test"], content)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        assert_eq!(world.mx("a.test").connections().len(), connections);
    }
    let mx = world.mx("a.test");
    let on: Vec<_> = mx.messages().iter().map(|m| m.connection).collect();
    assert_eq!(on, [0, 1, 0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_required_no_does_not_loosen_a_rule() {
    let world = World::new()
        .domain("a.test", Script::no_starttls())
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'")
        .start()
        .await;
    let free = [b"TLS-Required: No\r\n".as_slice(), CONTENT].concat();
    let mut client = world.smtp().await;
    let reply = client
        .mail("sender@client.test", &["x@a.test"], &free)
        .await
        .unwrap();
    assert_eq!(said(&reply), (451, "4.7.4"), "{reply}");
    assert_saw_nothing(world.mx("a.test"), "a.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_the_certificate_or_its_key() {
    let strangers = Ca::new("stranger");
    let identity = strangers.issue(&Cert::new(["whoever.test"]).expired());
    let hex = |octets: &[u8]| {
        Sha256::digest(octets)
            .iter()
            .map(|o| format!("{o:02x}"))
            .collect::<String>()
    };
    let (cert, key) = (hex(identity.leaf()), hex(&identity.spki()));
    let colons = cert
        .as_bytes()
        .chunks(2)
        .map(|c| String::from_utf8_lossy(c).to_uppercase())
        .collect::<Vec<_>>()
        .join(":");
    let script = || Script::with_identity(identity.clone());
    let rule = |domain: &str, pin: &str| {
        format!(
            "[[rule]]\ndomains = ['{domain}']\nrequire = 'fingerprint'\nfingerprints = ['cert-sha256:{}', '{pin}']\n",
            "00".repeat(32)
        )
    };
    let rules = [
        rule("cert.test", &format!("cert-sha256:{cert}")),
        rule("colons.test", &format!("cert-sha256:{colons}")),
        rule("key.test", &format!("spki-sha256:{key}")),
        rule("crossed.test", &format!("spki-sha256:{cert}")),
        rule("crossed2.test", &format!("cert-sha256:{key}")),
    ]
    .concat();
    let world = World::new()
        .domain("cert.test", script())
        .domain("colons.test", script())
        .domain("key.test", script())
        .domain("crossed.test", script())
        .domain("crossed2.test", script())
        .config(&rules)
        .start()
        .await;
    let recipients = [
        "x@cert.test",
        "x@colons.test",
        "x@key.test",
        "x@crossed.test",
        "x@crossed2.test",
    ];
    let replies = world.send_lmtp(&recipients).await;
    for (to, reply) in recipients.iter().zip(&replies).take(3) {
        assert_eq!(said(reply), (250, "2.0.0"), "{to}: {reply}");
        assert!(reply.contains("fingerprint)"), "{to}: {reply}");
    }
    for (domain, reply) in ["crossed.test", "crossed2.test"].iter().zip(&replies[3..]) {
        assert_eq!(said(reply), (451, "4.7.5"), "{domain}: {reply}");
        assert_saw_nothing(world.mx(domain), domain);
    }
    let labels = [("authenticated", "fingerprint"), ("result", "delivered")];
    assert_eq!(world.daemon.metric("deliveries_total", &labels).await, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_addresses_of_a_host_are_tried_over_tls_before_anything_else() {
    let broken = || handshake(Handshake::Alert(80));
    let mut builder = World::new()
        .host("mx.a.test", Script::default())
        .config("relay.plaintext_fallback = 'immediate'")
        .config("[[rule]]\ndomains = ['b.test']\nrequire = 'encrypt'");
    for n in 0..5 {
        builder = builder.host(&format!("bad{n}.test"), broken());
    }
    let world = builder
        .net(|net| {
            for n in 0..5 {
                let ip = net.mx(&format!("bad{n}.test")).address().ip();
                net.dns.address_of("mx.a.test", ip);
            }
            net.dns
                .mx("a.test", 10, "mx.a.test")
                .mx("b.test", 10, "mx.a.test");
        })
        .start()
        .await;
    for domain in ["a.test", "b.test"] {
        let reply = world.send(&format!("x@{domain}")).await;
        assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
        assert!(reply.contains("TLSv1.3"), "{reply}");
    }
    for n in 0..5 {
        assert_saw_nothing(world.mx(&format!("bad{n}.test")), "bad");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_handshakes_leave_time_for_the_next_mx() {
    let stall = || handshake(Handshake::Stall);
    let hosts = |domain: &str| {
        ["one", "two", "three"]
            .map(|name| format!("{name}.{domain}"))
            .to_vec()
    };
    let mut builder = World::new()
        .config("relay.reach_timeout = '8s'")
        .config("[[rule]]\ndomains = ['b.test']\nrequire = 'encrypt'");
    for domain in ["a.test", "b.test"] {
        for (host, preference) in hosts(domain).iter().zip([10, 20, 30]) {
            builder = builder.domain_with(domain, vec![(host.as_str(), preference, stall())]);
        }
        let good = format!("good.{domain}");
        builder = builder.domain_with(domain, vec![(good.as_str(), 40, Script::default())]);
    }
    let world = builder.start().await;
    for reply in world.send_lmtp(&["x@a.test", "x@b.test"]).await {
        assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
        assert!(reply.contains("host good."), "{reply}");
    }
    for host in [hosts("a.test"), hosts("b.test")].concat() {
        assert_saw_nothing(world.mx(&host), &host);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_down_for_one_policy_is_up_for_another() {
    // Its TLS is broken: that concerns whoever needs TLS, and not who never tries it.
    let world = World::new()
        .domain("a.test", handshake(Handshake::Alert(80)))
        .dns(|dns| {
            dns.mx("b.test", 10, "mx.a.test");
        })
        .config(
            "[[rule]]\ndomains = ['a.test']\nrequire = 'verify'\n\
             [[rule]]\ndomains = ['b.test']\nrequire = 'none'",
        )
        .start()
        .await;
    let reply = world.send("bound@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    let reply = world.send("free@b.test").await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    // What is remembered answers at once, without a connection.
    let connections = world.mx("a.test").connections().len();
    let reply = world.send("bound@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(reply.contains("rule policy of a.test"), "{reply}");
    assert_eq!(world.mx("a.test").connections().len(), connections);
    assert!(!world.mx("a.test").wire_contains("bound@a.test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_refused_host_name_reaches_the_reply_raw() {
    let evil = "454 4.7.0 \x1b[2J\u{e9}vil \x07\x00 text\r\n";
    let world = World::new()
        .domain(
            "a.test",
            Script {
                starttls: Act::raw(evil),
                ..Script::default()
            },
        )
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'")
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.4"), "{reply}");
    let printable = |c: char| c.is_ascii_graphic() || c == ' ';
    assert!(
        reply.lines.iter().all(|line| line.chars().all(printable)),
        "{reply:?}"
    );
    assert!(reply.contains("vil"), "{reply}");
}
