//! The levels of TLS and the keys of rules: what each lets through, what it asks of the certificate, what it says
//! and counts.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::{Ca, Cert};
use lab::client::Reply;
use lab::mx::{Channel, ClientCert, Tls, Versions};
use support::{Daemon, Script, World};

fn said(reply: &Reply) -> (u16, &str) {
    (reply.code, reply.enhanced().unwrap_or(""))
}

/// Sends to a recipient in each domain at once, and compares: domain, code, enhanced code, words of the text. Where
/// the code is not 250, nothing of the message was seen by the host, if there is one.
async fn expect(world: &World, table: &[(&str, u16, &str, &str)]) {
    let recipients: Vec<String> = table.iter().map(|row| format!("x@{}", row.0)).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let replies = world.send_lmtp(&recipients).await;
    let mut wrong = Vec::new();
    for ((domain, code, enhanced, words), reply) in table.iter().zip(replies) {
        if said(&reply) != (*code, *enhanced) || !reply.contains(words) {
            wrong.push(format!("{domain}: {reply}"));
        }
        let host = format!("mx.{domain}");
        if let Some(mx) = world
            .net
            .hosts()
            .find(|mx| mx.name() == host && *code != 250)
        {
            assert!(
                !mx.mail_octets_in_clear() && mx.messages().is_empty(),
                "{domain}"
            );
            assert!(!mx.wire_contains("secret-marker"), "{domain}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn named(names: &'static [&'static str]) -> impl FnOnce(&Ca) -> Script + Send {
    |ca| Script::with_identity(ca.issue(&Cert::new(names.iter().copied())))
}

fn self_signed(host: &'static str) -> impl FnOnce(&Ca) -> Script + Send {
    move |ca| Script::with_identity(ca.issue(&Cert::new([host]).self_signed()))
}

fn only12() -> Script {
    let tls = Tls {
        versions: Versions::Only12,
        ..Tls::default()
    };
    Script {
        tls,
        ..Script::default()
    }
}

fn rule(domain: &str, rest: &str) -> String {
    format!("[[rule]]\ndomains = ['{domain}']\n{rest}\n")
}

fn channels(world: &World, domain: &str) -> Vec<Channel> {
    world
        .mx(domain)
        .messages()
        .iter()
        .map(|m| m.channel)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn level_none_never_tries_tls() {
    let world = World::new()
        .domain("a.test", Script::default())
        .config(&rule("a.test", "require = 'none'"))
        .start()
        .await;
    expect(&world, &[("a.test", 250, "2.0.0", "plaintext, none")]).await;
    let connection = &world.mx("a.test").connections()[0];
    assert!(!connection.commands.iter().any(|c| c == "STARTTLS"));
    assert_eq!(channels(&world, "a.test"), [Channel::Clear]);
    let metrics = world.daemon.metrics().await;
    assert_eq!(
        metrics.get("plaintext_total", &[("cause", "policy_none")]),
        1.0
    );
    let labels = [
        ("level", "none"),
        ("policy", "rule"),
        ("tls", "none"),
        ("result", "delivered"),
    ];
    assert_eq!(metrics.get("deliveries_total", &labels), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn level_may_takes_what_the_host_offers() {
    let refused = Script {
        starttls: (454, "4.7.0 not now").into(),
        ..Script::default()
    };
    let world = World::new()
        .domain("tls.test", Script::default())
        .domain("old.test", only12())
        .domain("clear.test", Script::no_starttls())
        .domain("refused.test", refused)
        .config("tls.min_version = '1.3'") // does not bind at this level
        .start()
        .await;
    expect(
        &world,
        &[
            ("tls.test", 250, "2.0.0", "TLSv1.3, may"),
            ("old.test", 250, "2.0.0", "TLSv1.2, may"),
            ("clear.test", 250, "2.0.0", "plaintext, may"),
            ("refused.test", 250, "2.0.0", "plaintext, may"),
        ],
    )
    .await;
    assert_eq!(channels(&world, "tls.test"), [Channel::Tls]);
    assert_eq!(channels(&world, "clear.test"), [Channel::Clear]);
    let metrics = world.daemon.metrics().await;
    assert_eq!(
        metrics.get("plaintext_total", &[("cause", "no_starttls")]),
        2.0
    );
    for (tls, count) in [("none", 2.0), ("1.2", 1.0), ("1.3", 1.0)] {
        let labels = [("tls", tls), ("policy", "default"), ("level", "may")];
        assert_eq!(metrics.get("deliveries_total", &labels), count, "{tls}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn level_encrypt_asks_for_no_certificate_in_particular() {
    let world = World::new()
        .certified("a.test", self_signed("elsewhere.test"))
        .config(&rule("a.test", "require = 'encrypt'"))
        .start()
        .await;
    expect(&world, &[("a.test", 250, "2.0.0", "TLSv1.3, encrypt")]).await;
    assert_eq!(channels(&world, "a.test"), [Channel::Tls]);
    let line = &world.daemon.deliveries()[0];
    let problem = Daemon::field(line, "certificate_problem").and_then(|p| p.as_str());
    assert_eq!(problem, Some("certificate is self-signed"));
    let labels = [
        ("level", "encrypt"),
        ("policy", "rule"),
        ("authenticated", "none"),
    ];
    assert_eq!(world.daemon.metric("deliveries_total", &labels).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_goes_by_the_host_and_secure_by_the_domain() {
    let world = World::new()
        .domain("verify.test", Script::default())
        .domain("secure.test", Script::default()) // its MX is below it
        .certified("apex.test", named(&["apex.test"]))
        .certified("wild.test", named(&["*.wild.test"]))
        .certified("second.test", named(&["one.test", "MX.Second.test"]))
        .host("mx.provider.test", Script::default())
        .dns(|dns| {
            for domain in ["hosted-v.test", "hosted-s.test"] {
                dns.mx(domain, 10, "mx.provider.test");
            }
        })
        .config(&rule("verify.test", "require = 'verify'"))
        .config(&rule("secure.test", "require = 'secure'"))
        .config(&rule("apex.test", "require = 'secure'"))
        .config(&rule("wild.test", "require = 'verify'"))
        .config(&rule("second.test", "require = 'verify'"))
        .config(&rule("hosted-v.test", "require = 'verify'"))
        .config(&rule("hosted-s.test", "require = 'secure'"))
        .start()
        .await;
    expect(
        &world,
        &[
            ("verify.test", 250, "2.0.0", "webpki"),
            ("secure.test", 250, "2.0.0", "webpki"),
            ("apex.test", 250, "2.0.0", "webpki"),
            ("wild.test", 250, "2.0.0", "webpki"),
            ("second.test", 250, "2.0.0", "webpki"),
            ("hosted-v.test", 250, "2.0.0", "webpki"),
            // The MX record was found in unsigned DNS: its name proves nothing at this level.
            (
                "hosted-s.test",
                451,
                "4.7.5",
                "rule policy of hosted-s.test: mx.provider.test[",
            ),
        ],
    )
    .await;
    assert_eq!(world.mx("mx.provider.test").messages().len(), 1);
    let labels = [("authenticated", "webpki"), ("result", "delivered")];
    assert_eq!(world.daemon.metric("deliveries_total", &labels).await, 6.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_match_mean_what_they_mean_in_postfix() {
    let words = [
        ("w1.test", "verify", "'mx.provider.test'", 250),
        ("w2.test", "secure", "'.provider.test'", 250),
        ("w3.test", "secure", "'hostname'", 250),
        ("w4.test", "secure", "'nexthop', 'hostname'", 250),
        ("w5.test", "verify", "'other.test'", 451), // in place of the host name, not beside it
        ("w6.test", "verify", "'provider.test'", 451), // exactly
        ("w7.test", "verify", "'.mx.provider.test'", 451), // below it, not itself
        ("w8.test", "verify", "'nexthop'", 451),
        ("w9.test", "secure", "'dot-nexthop'", 451),
        ("apex.test", "verify", "'nexthop'", 250),
        ("below.test", "verify", "'dot-nexthop'", 250),
        ("apex2.test", "verify", "'dot-nexthop'", 451),
    ];
    let mut builder = World::new()
        .host("mx.provider.test", Script::default())
        .certified("apex.test", named(&["apex.test"]))
        .certified("apex2.test", named(&["apex2.test"]))
        .certified("below.test", named(&["any.below.test"]));
    for (domain, level, words, _) in words {
        if domain.starts_with('w') {
            builder = builder.dns(move |dns| {
                dns.mx(domain, 10, "mx.provider.test");
            });
        }
        builder = builder.config(&rule(
            domain,
            &format!("require = '{level}'\nmatch = [{words}]"),
        ));
    }
    let world = builder.start().await;
    let enhanced = |code| if code == 250 { "2.0.0" } else { "4.7.5" };
    let table = words.map(|(domain, _, _, code)| (domain, code, enhanced(code), ""));
    expect(&world, &table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_those_of_the_rules_next_hop() {
    let world = World::new()
        .host("smart.test", Script::default())
        .host("mx.pool.test", Script::default())
        .host("mx.elsewhere.test", Script::default())
        .dns(|dns| {
            dns.mx("pool.test", 10, "mx.pool.test")
                .mx("pool2.test", 10, "mx.elsewhere.test");
        })
        .config_with(|net| {
            let ip = net.mx("smart.test").address().ip();
            [
                rule("v1.test", "require = 'verify'\nnext_hop = '[smart.test]'"),
                rule("s1.test", "require = 'secure'\nnext_hop = '[smart.test]'"),
                rule("s2.test", "require = 'secure'\nnext_hop = 'pool.test'"),
                rule("s3.test", "require = 'secure'\nnext_hop = 'pool2.test'"),
                rule("v3.test", "require = 'verify'\nnext_hop = 'pool2.test'"),
                rule(
                    "a1.test",
                    &format!("require = 'verify'\nmatch = ['smart.test']\nnext_hop = '[{ip}]'"),
                ),
                rule(
                    "a2.test",
                    &format!("require = 'verify'\nmatch = ['a2.test']\nnext_hop = '[{ip}]'"),
                ),
            ]
            .concat()
        })
        .start()
        .await;
    expect(
        &world,
        &[
            ("v1.test", 250, "2.0.0", "webpki"),
            ("s1.test", 250, "2.0.0", "webpki"),
            ("s2.test", 250, "2.0.0", "webpki"),
            (
                "s3.test",
                451,
                "4.7.5",
                "certificate is for mx.elsewhere.test",
            ),
            ("v3.test", 250, "2.0.0", "webpki"),
            ("a1.test", 250, "2.0.0", "webpki"),
            ("a2.test", 451, "4.7.5", "certificate is for smart.test"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn min_version_binds_where_tls_is_required() {
    let world = World::new()
        .domain("a.test", only12())
        .domain("b.test", only12())
        .domain("c.test", only12())
        .domain("d.test", Script::default())
        .config("tls.min_version = '1.3'")
        .config(&rule("a.test", "require = 'encrypt'"))
        .config(&rule("b.test", "require = 'verify'\nmin_version = '1.3'"))
        .config(&rule("c.test", "require = 'verify'\nmin_version = '1.2'"))
        .config(&rule("d.test", "require = 'verify'"))
        .start()
        .await;
    expect(
        &world,
        &[
            ("a.test", 451, "4.7.5", "TLS version is below TLSv1.3"),
            ("b.test", 451, "4.7.5", "TLS version is below TLSv1.3"),
            ("c.test", 250, "2.0.0", "TLSv1.2, webpki"),
            ("d.test", 250, "2.0.0", "TLSv1.3, webpki"),
        ],
    )
    .await;
    let labels = [("reason", "no_common_parameters"), ("enforced", "yes")];
    assert_eq!(
        world.daemon.metric("tls_failures_total", &labels).await,
        2.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_failure_reject_bounces_at_once() {
    let rest = "require = 'verify'\non_failure = 'reject'";
    let world = World::new()
        .domain("a.test", Script::no_starttls())
        .certified("b.test", self_signed("mx.b.test"))
        .domain("c.test", Script::refused())
        .config(&rule("a.test", rest))
        .config(&rule("b.test", rest))
        .config(&rule("c.test", rest))
        .start()
        .await;
    expect(
        &world,
        &[
            ("a.test", 554, "5.7.4", "rule policy of a.test: mx.a.test["),
            ("b.test", 554, "5.7.5", "certificate is self-signed"),
            ("c.test", 451, "4.4.1", "cannot connect"), // no failure of TLS
        ],
    )
    .await;
    let labels = [("result", "rejected")];
    assert_eq!(world.daemon.metric("deliveries_total", &labels).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_with_a_name_has_metrics_of_its_own() {
    let world = World::new()
        .domain("a.test", Script::default())
        .domain("b.test", Script::no_starttls())
        .domain("c.test", Script::default())
        .config(
            "[[rule]]\ndomains = ['a.test', 'b.test']\nrequire = 'encrypt'\nname = 'partner-bank'",
        )
        .start()
        .await;
    let metrics = world.daemon.metrics().await;
    assert!(
        metrics.names().contains(&"sealpost_rule_deliveries_total"),
        "announced at zero"
    );
    expect(
        &world,
        &[
            ("a.test", 250, "2.0.0", ""),
            ("b.test", 451, "4.7.4", ""),
            ("c.test", 250, "2.0.0", ""),
        ],
    )
    .await;
    let metrics = world.daemon.metrics().await;
    for (result, tls, count) in [("delivered", "1.3", 1.0), ("deferred", "none", 1.0)] {
        let labels = [("rule", "partner-bank"), ("result", result), ("tls", tls)];
        assert_eq!(
            metrics.get("rule_deliveries_total", &labels),
            count,
            "{result}"
        );
    }
    assert_eq!(metrics.get("rule_deliveries_total", &[]), 2.0);
    assert!(
        !metrics
            .label_values()
            .iter()
            .any(|value| value.contains(".test"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_counted_and_not_enforced() {
    let dry = "require = 'verify'\nenforce = 'dry-run'\nname = 'watched'";
    let world = World::new()
        .certified("a.test", self_signed("mx.a.test"))
        .domain("b.test", Script::no_starttls())
        .domain("c.test", Script::default())
        .config(&rule("a.test", dry))
        .config(&rule("b.test", &dry.replace("watched", "watched2")))
        .config(&rule("c.test", &dry.replace("watched", "watched3")))
        .start()
        .await;
    expect(
        &world,
        &[
            ("a.test", 250, "2.0.0", "may"),
            ("b.test", 250, "2.0.0", "may"),
            ("c.test", 250, "2.0.0", "may"),
        ],
    )
    .await;
    let metrics = world.daemon.metrics().await;
    for reason in ["certificate-not-trusted", "starttls-not-supported"] {
        let labels = [("reason", reason), ("enforced", "no"), ("policy", "rule")];
        assert_eq!(metrics.get("tls_failures_total", &labels), 1.0, "{reason}");
    }
    assert_eq!(metrics.get("tls_failures_total", &[]), 2.0);
    let log = world.daemon.log();
    for (rule, reason) in [
        ("watched", "self-signed"),
        ("watched2", "STARTTLS is not offered"),
    ] {
        let told = |line: &&support::Log| {
            let text = |name| {
                Daemon::field(line, name)
                    .and_then(|v| v.as_str())
                    .unwrap_or("")
            };
            text("message") == "dry-run" && text("rule") == rule && text("reason").contains(reason)
        };
        assert_eq!(log.iter().filter(told).count(), 1, "{rule}");
    }
    assert_eq!(metrics.get("policy_blocked_total", &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_where_a_rule_says_so_and_nowhere_else() {
    let asking = |client_cert| {
        let tls = Tls {
            client_cert,
            ..Tls::default()
        };
        Script {
            tls,
            ..Script::default()
        }
    };
    let world = World::new()
        .domain("a.test", asking(ClientCert::Required))
        .domain("b.test", asking(ClientCert::Asked))
        .dns(|dns| {
            dns.mx("c.test", 10, "mx.b.test");
        })
        .config_with(|net| {
            let files = net.ca.files(&net.ca.identity("relay.test"));
            let (cert, key) = (files.cert.display(), files.key.display());
            format!(
                "tls.client_cert = {{ cert = '{cert}', key = '{key}' }}\noutbound.messages_per_connection = 1\n{}{}",
                rule("a.test", "require = 'encrypt'\nclient_cert = true"),
                rule("c.test", "client_cert = true"),
            )
        })
        .start()
        .await;
    // Resumption must not carry one domain's identity to the other's session.
    for _ in 0..2 {
        for domain in ["a.test", "b.test", "c.test"] {
            expect(&world, &[(domain, 250, "2.0.0", "TLSv1.3")]).await;
        }
    }
    let shown = |host: &str| {
        let connections = world.mx(host).connections();
        let tls = connections.iter().filter_map(|c| c.tls.clone());
        tls.map(|tls| (!tls.client_chain.is_empty(), tls.resumed))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown("a.test"), [(true, false), (true, true)]);
    assert_eq!(
        shown("b.test"),
        [(false, false), (true, false), (false, true), (true, true)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_rule_wins() {
    let domains = [
        "x.test",
        "a.x.test",
        "b.x.test",
        "c.a.x.test",
        "d.c.a.x.test",
    ];
    let mut builder = World::new();
    for domain in domains {
        builder = builder.domain(domain, Script::no_starttls());
    }
    let world = builder
        .config(&rule("*.x.test", "require = 'encrypt'"))
        .config(&rule("a.x.test", "require = 'may'"))
        .config(&rule("*.a.x.test", "require = 'none'"))
        .config(&rule(
            "d.c.a.x.test",
            "require = 'verify'\non_failure = 'reject'",
        ))
        .start()
        .await;
    expect(
        &world,
        &[
            ("x.test", 250, "2.0.0", "may"), // not a name below itself
            ("a.x.test", 250, "2.0.0", "may"),
            ("b.x.test", 451, "4.7.4", "rule policy of b.x.test"),
            ("c.a.x.test", 250, "2.0.0", "none"),
            ("d.c.a.x.test", 554, "5.7.4", "rule policy of d.c.a.x.test"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_binds_whoever_has_no_rule_address_literals_too() {
    let world = World::new()
        .domain("a.test", Script::no_starttls())
        .domain("b.test", Script::no_starttls())
        .certified("c.test", self_signed("mx.c.test"))
        .config("policy.default = 'encrypt'")
        .config(&rule("b.test", "require = 'may'"))
        .start()
        .await;
    let clear = format!("[{}]", world.mx("a.test").address().ip());
    let tls = format!("[{}]", world.mx("c.test").address().ip());
    expect(
        &world,
        &[
            (
                "a.test",
                451,
                "4.7.4",
                "default policy of a.test: mx.a.test[",
            ),
            ("b.test", 250, "2.0.0", "plaintext, may"), // a rule is the floor, also a lower one
            ("c.test", 250, "2.0.0", "encrypt"),
            (&clear, 451, "4.7.4", "default policy of [127."),
            (&tls, 250, "2.0.0", "encrypt"),
        ],
    )
    .await;
    assert!(!world.mx("a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_verify_accepts_no_address_literal() {
    let world = World::new()
        .domain("a.test", Script::default())
        .config("policy.default = 'verify'")
        .start()
        .await;
    let literal = format!("[{}]", world.mx("a.test").address().ip());
    expect(
        &world,
        &[
            ("a.test", 250, "2.0.0", "webpki"),
            (&literal, 451, "4.7.5", "default policy of [127."),
        ],
    )
    .await;
    assert_eq!(world.mx("a.test").messages().len(), 1);
}

/// Writes a Postfix map beside the roots; the configuration that names it.
fn with_map(net: &lab::Internet, text: &str) -> String {
    let file = net.ca.roots_file().with_file_name("tls_policy");
    std::fs::write(&file, text).unwrap();
    format!("policy.tls_policy_map = '{}'\n", file.display())
}

const MAP: &str = "# from Postfix
a.test encrypt
.b.test encrypt
none.test none
v.test verify match=hostname
s1.test secure match=.provider.test:nexthop
s2.test secure
old.test encrypt
  protocols=>=TLSv1.3
exact.c.test may
[smart.test] encrypt
";

#[tokio::test(flavor = "multi_thread")]
async fn a_postfix_map_means_what_it_means_in_postfix() {
    let clear = || Script::no_starttls();
    let world = World::new()
        .domain("a.test", clear())
        .domain("sub.b.test", clear())
        .domain("b.test", clear())
        .domain("none.test", Script::default())
        .certified("pin.test", self_signed("mx.pin.test"))
        .domain("v.test", Script::default())
        .host("mx.provider.test", Script::default())
        .domain("old.test", only12())
        .domain("exact.c.test", clear())
        .domain("other.c.test", clear())
        .host("smart.test", clear())
        .dns(|dns| {
            dns.mx("s1.test", 10, "mx.provider.test")
                .mx("s2.test", 10, "mx.provider.test");
        })
        .config_with(|net| {
            let pin = format!("pin.test fingerprint match={}\n", "ab".repeat(32));
            with_map(net, &(MAP.to_owned() + &pin))
                + &rule("*.c.test", "require = 'encrypt'")
                + &rule("routed.test", "next_hop = '[smart.test]'")
        })
        .start()
        .await;
    expect(
        &world,
        &[
            ("a.test", 451, "4.7.4", "rule policy of a.test"),
            ("sub.b.test", 451, "4.7.4", "rule policy of sub.b.test"),
            ("b.test", 250, "2.0.0", "plaintext, may"), // `.b.test` is what is below
            ("none.test", 250, "2.0.0", "plaintext, none"),
            ("v.test", 250, "2.0.0", "webpki"),
            ("s1.test", 250, "2.0.0", "webpki"),
            (
                "s2.test",
                451,
                "4.7.5",
                "certificate is for mx.provider.test",
            ),
            ("old.test", 451, "4.7.5", "TLS version is below TLSv1.3"),
            ("pin.test", 451, "4.7.5", "none of the fingerprints"),
            ("exact.c.test", 250, "2.0.0", "plaintext, may"), // more specific than the TOML rule
            ("other.c.test", 451, "4.7.4", "rule policy of other.c.test"),
            ("routed.test", 451, "4.7.4", "smart.test["), // found by the next hop, as Postfix does
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_contradicts_a_rule_is_refused_with_its_place() {
    let (net, config) = World::new()
        .config_with(|net| {
            with_map(net, "b.test may\na.test encrypt\n") + &rule("a.test", "require = 'verify'")
        })
        .prepare()
        .await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sealpost.toml");
    std::fs::write(&file, config.replace("STATE", "/tmp/unused")).unwrap();
    let arguments = ["config", "check", "--config", file.to_str().unwrap()];
    let exit = Daemon::command(&arguments);
    assert_eq!(exit.code, Some(2), "{exit:?}");
    let map = net.ca.roots_file().with_file_name("tls_policy");
    assert!(
        exit.stderr.contains(&format!("{}:2", map.display())),
        "{}",
        exit.stderr
    );
    assert!(exit.stderr.contains("a.test"), "{}", exit.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_binds_the_next_message_and_no_kept_connection_escapes_it() {
    let world = World::new()
        .certified("a.test", self_signed("mx.a.test"))
        .start()
        .await;
    expect(&world, &[("a.test", 250, "2.0.0", "may")]).await;
    world.reload(&rule("a.test", "require = 'verify'"));
    world
        .daemon
        .wait_log(|line| line.to_string().contains("reload"))
        .await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let reply = loop {
        let reply = world.send("x@a.test").await;
        if reply.code != 250 || std::time::Instant::now() > until {
            break reply;
        }
    };
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(reply.contains("rule policy of a.test"), "{reply}");
}
