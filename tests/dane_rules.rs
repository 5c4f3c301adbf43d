//! DANE and the administrator's rules: floors, levels `dane` and `dane-only`, dry runs, next hops, Postfix's entries.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::Internet;
use lab::ca::Cert;
use lab::dns::{Fault, RecordType};
use support::dane::{half, said, signed, tlsa_owner, with_tlsa, wrong_tlsa};
use support::{Script, World};

#[tokio::test(flavor = "multi_thread")]
async fn dane_only_wants_secure_records_of_a_secure_host() {
    let rule = "[[rule]]\ndomains = ['a.test']\nrequire = 'dane-only'\nname = 'partner'";
    let unusable = |net: &Internet| {
        net.dns.tlsa_raw("mx.a.test", net.ports.port(), &[3, 1]);
    };
    for (what, builder, code, words) in [
        ("right", with_tlsa("3 1 1"), (250, "2.0.0"), "dane)"),
        (
            "absent",
            signed(Script::default()),
            (451, "4.7.5"),
            "no TLSA records",
        ),
        (
            "insecure",
            World::new().domain("a.test", Script::default()),
            (451, "4.7.5"),
            "not secured by DNSSEC",
        ),
        (
            "unusable",
            signed(Script::default()).net(unusable),
            (451, "4.7.5"),
            "can be used",
        ),
        (
            "half",
            half(Script::default()).net(|net| {
                net.tlsa("mx.s.test", "3 1 1");
            }),
            (451, "4.7.5"),
            "MX records",
        ),
    ] {
        let world = builder.config(rule).start().await;
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), code, "{what}: {reply}");
        assert!(reply.contains(words), "{what}: {reply}");
        let result = if code.0 == 250 {
            "delivered"
        } else {
            "deferred"
        };
        let labels = [("rule", "partner"), ("result", result)];
        assert_eq!(
            world.daemon.metric("rule_deliveries_total", &labels).await,
            1.0,
            "{what}"
        );
        if code.0 != 250 {
            assert_eq!(
                world
                    .daemon
                    .metric("policy_blocked_total", &[("policy", "rule")])
                    .await,
                1.0
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_may_reject_what_dane_only_does_not_find() {
    let world = signed(Script::default())
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'dane-only'\non_failure = 'reject'")
        .start()
        .await;
    assert_eq!(said(&world.send("x@a.test").await), (554, "5.7.5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn level_dane_is_may_only_where_absence_or_insecurity_is_proven() {
    let rule = "[[rule]]\ndomains = ['a.test']\nrequire = 'dane'";
    for (what, builder, code, words) in [
        ("right", with_tlsa("3 1 1"), 250, "dane)"),
        (
            "absent",
            signed(Script::no_starttls()),
            250,
            "plaintext, may)",
        ),
        (
            "insecure",
            World::new().domain("a.test", Script::no_starttls()),
            250,
            "plaintext, may)",
        ),
        // Nobody validates: nothing is proven.
        (
            "off",
            World::new()
                .without_dnssec()
                .domain("a.test", Script::no_starttls()),
            451,
            "STARTTLS is not offered",
        ),
    ] {
        let world = builder.config(rule).start().await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{what}: {reply}");
        assert!(reply.contains(words), "{what}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dane_can_be_turned_off_and_ignored() {
    for config in [
        "policy.dane = false",
        "[[rule]]\ndomains = ['a.test']\nrequire = 'may'\npublished = 'ignore'",
        "[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'\npublished = 'ignore'",
    ] {
        let world = signed(Script::default())
            .net(|net| wrong_tlsa(net, "mx.a.test"))
            .config(config)
            .start()
            .await;
        assert_eq!(world.send("x@a.test").await.code, 250, "{config}");
        let owner = tlsa_owner(&world, "mx.a.test");
        assert_eq!(
            world.net.dns.queries(&owner, RecordType::TLSA),
            0,
            "{config}"
        );
    }
}

/// `policy.default` is for domains that publish nothing: DANE takes its place, and never less than it.
#[tokio::test(flavor = "multi_thread")]
async fn dane_takes_the_place_of_a_default_that_authenticates() {
    let self_signed =
        |ca: &lab::ca::Ca| Script::with_identity(ca.issue(&Cert::new(["mx.a.test"]).self_signed()));
    for (tlsa, code, words) in [
        (true, 250, ", dane)"),
        (false, 451, "default policy of a.test"),
    ] {
        let world = World::new()
            .certified("a.test", self_signed)
            .net(move |net| {
                net.dns.secure("a.test");
                if tlsa {
                    net.tlsa("mx.a.test", "3 1 1");
                }
            })
            .config("policy.default = 'verify'")
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{reply}");
        assert!(reply.contains(words), "{reply}");
    }
}

/// What is published comes on top of a rule: both must hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_and_dane_must_both_hold() {
    let rule = "[[rule]]\ndomains = ['a.test']\nrequire = 'verify'";
    let self_signed =
        |ca: &lab::ca::Ca| Script::with_identity(ca.issue(&Cert::new(["mx.a.test"]).self_signed()));
    for (what, builder, code, words) in [
        ("both", with_tlsa("3 1 1"), 250, "webpki)"),
        (
            "TLSA alone",
            World::new().certified("a.test", self_signed).net(|net| {
                net.dns.secure("a.test");
                net.tlsa("mx.a.test", "3 1 1");
            }),
            451,
            "rule policy of a.test",
        ),
        (
            "WebPKI alone",
            signed(Script::default()).net(|net| wrong_tlsa(net, "mx.a.test")),
            451,
            "dane policy of a.test",
        ),
    ] {
        let world = builder.config(rule).start().await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{what}: {reply}");
        assert!(reply.contains(words), "{what}: {reply}");
    }
}

/// CONTRACT: records are sought at the port of a rule's next hop; the policy domain's own do not apply.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_s_next_hop_has_its_own_records() {
    for (right, code) in [(true, 250), (false, 451)] {
        let world = World::new()
            .host("relay.b.test", Script::default())
            .domain("a.test", Script::default())
            .net(move |net| {
                net.dns.secure("a.test").secure("b.test");
                wrong_tlsa(net, "mx.a.test");
                if right {
                    net.tlsa("relay.b.test", "3 1 1");
                } else {
                    wrong_tlsa(net, "relay.b.test");
                }
            })
            .config_with(|net| {
                let port = net.ports.port();
                format!("[[rule]]\ndomains = ['a.test']\nnext_hop = '[relay.b.test]:{port}'")
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{reply}");
        if right {
            assert!(reply.contains(", dane)"), "{reply}");
        }
        assert_eq!(world.mx("a.test").connections().len(), 0);
    }
}

/// A partner whose DNS fails is a partner whose mail is held back.
#[tokio::test(flavor = "multi_thread")]
async fn a_named_rule_is_counted_whatever_becomes_of_dns() {
    let rule = "[[rule]]\ndomains = ['a.test']\nrequire = 'dane-only'\nname = 'partner'";
    for record_type in [RecordType::MX, RecordType::A, RecordType::TLSA] {
        let world = with_tlsa("3 1 1")
            .net(move |net| {
                let zone = lab::dnssec::Zone::secure().altered_only([record_type]);
                net.dns.zone("a.test", zone);
            })
            .config(rule)
            .start()
            .await;
        assert_eq!(said(&world.send("x@a.test").await), (451, "4.4.3"));
        let labels = [("rule", "partner"), ("result", "deferred")];
        let counted = world.daemon.metric("rule_deliveries_total", &labels).await;
        assert_eq!(counted, 1.0, "{record_type}");
    }
}

/// Who tries a rule out learns where it would have held mail back, before there is a connection or after.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_in_dry_run_tells_where_it_would_defer() {
    let rule = "[[rule]]\ndomains = ['a.test']\nrequire = 'dane-only'\nenforce = 'dry-run'\nname = 'trial'";
    for (what, builder, reason) in [
        ("absent", signed(Script::default()), "dane-required"),
        (
            "insecure",
            World::new().domain("a.test", Script::default()),
            "dane-required",
        ),
        (
            "half",
            half(Script::default()).net(|net| {
                net.tlsa("mx.s.test", "3 1 1");
            }),
            "dane-required",
        ),
        ("right", with_tlsa("3 1 1"), ""),
    ] {
        let world = builder.config(rule).start().await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, 250, "{what}: {reply}");
        let told = world.daemon.log().iter().any(|line| {
            let text = line.to_string();
            text.contains("dry-run") && text.contains("dane-only") && text.contains("mx.")
        });
        assert_eq!(told, !reason.is_empty(), "{what}");
        let labels = [("policy", "rule"), ("enforced", "no"), ("reason", reason)];
        let counted = world.daemon.metric("tls_failures_total", &labels).await;
        assert_eq!(counted > 0.5, !reason.is_empty(), "{what}");
    }
}

/// What only a rule in dry-run wants to know holds no mail back, not even by taking time.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_in_dry_run_costs_no_delivery() {
    let world = signed(Script::default())
        .net(|net| {
            let owner = format!("_{}._tcp.mx.a.test", net.ports.port());
            net.dns.fault(&owner, RecordType::TLSA, Fault::Timeout);
        })
        .config("policy.dane = false\nrelay.reach_timeout = '5s'\ndns.timeout = '5s'")
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'dane'\nenforce = 'dry-run'")
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert!(reply.code == 250 && reply.contains(", may)"), "{reply}");
}

/// Postfix's entries replace what is published, but the two levels of DANE look TLSA records up.
#[tokio::test(flavor = "multi_thread")]
async fn entries_of_a_postfix_map_mean_what_they_mean_there() {
    for (entry, right, code, words) in [
        ("dane", true, 250, ", dane)"),
        ("dane", false, 451, "rule policy of a.test"),
        ("dane-only", true, 250, ", dane)"),
        ("dane-only", false, 451, "rule policy of a.test"),
        ("may", false, 250, ", may)"),
        ("encrypt", false, 250, ", encrypt)"),
    ] {
        let world = signed(Script::default())
            .net(move |net| {
                if right {
                    net.tlsa("mx.a.test", "3 1 1");
                } else {
                    wrong_tlsa(net, "mx.a.test");
                }
            })
            .config_with(move |net| {
                let file = net.ca.roots_file().with_file_name("tls_policy");
                std::fs::write(&file, format!("a.test {entry}\n")).unwrap();
                format!("policy.tls_policy_map = '{}'", file.display())
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{entry} {right}: {reply}");
        assert!(reply.contains(words), "{entry} {right}: {reply}");
    }
}
