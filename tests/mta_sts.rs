//! What an MTA-STS policy does to mail (RFC 8461 §4, §5), through the real binary.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::Cert;
use lab::dns::{Fault, RecordType};
use lab::mx::Handshake;
use support::dane::{said, saw_nothing, sni, wrong_tlsa};
use support::sts::{WEEK, listing, with_policy};
use support::{Act, Daemon, Script, World, policy};

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_to_a_listed_host_that_the_authorities_vouch_for() {
    let world = with_policy("enforce", Script::default()).start().await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    assert!(reply.contains("TLSv1.3, webpki)"), "{reply}");
    let labels = [
        ("result", "delivered"),
        ("policy", "mta-sts"),
        ("level", "verify"),
        ("tls", "1.3"),
        ("authenticated", "webpki"),
    ];
    let metrics = world.daemon.metrics().await;
    assert_eq!(metrics.get("deliveries_total", &labels), 1.0);
    assert_eq!(metrics.get("mta_sts_cache_entries", &[]), 1.0);
    assert_eq!(world.sts_lookups("fetched").await, 1.0);
    assert_eq!(world.sts_fetches("ok").await, 1.0);
    let event = &world.daemon.deliveries()[0];
    for (field, value) in [
        ("policy", "mta-sts"),
        ("level", "verify"),
        ("authenticated", "webpki"),
    ] {
        assert_eq!(Daemon::field(event, field).unwrap(), value, "{field}");
    }
    // The next message asks nobody anything.
    world.make_contact().await;
    assert_eq!(world.sts_lookups("cached").await, 1.0);
    let host = world.sts("a.test");
    assert_eq!((host.requests().len(), host.violations()), (1, Vec::new()));
    let lookups = world.net.dns.queries("_mta-sts.a.test", RecordType::TXT);
    assert_eq!(lookups, 1);
}

/// RFC 8461 §7.1: hosts with several certificates show the right one only to who asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn sni_is_the_name_of_the_mx_host() {
    let world = listing("enforce", &["*.a.test"]).start().await;
    world.make_contact().await;
    assert_eq!(sni(world.mx("a.test")).as_deref(), Some("mx.a.test"));
}

/// RFC 8461 §4.2: the certificate is for the MX host, whatever the pattern that lists it.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_proves_nothing_gets_no_mail() {
    type Change = fn(Cert) -> Cert;
    let certificates: [(&str, Change, &str, &str); 4] = [
        (
            "mx.a.test",
            Cert::expired,
            "has expired",
            "certificate-expired",
        ),
        (
            "mx.a.test",
            Cert::self_signed,
            "self-signed",
            "certificate-not-trusted",
        ),
        (
            "other.test",
            |cert| cert,
            "is for other.test",
            "certificate-host-mismatch",
        ),
        (
            "a.test",
            |cert| cert,
            "is for a.test",
            "certificate-host-mismatch",
        ), // the domain is no MX host
    ];
    for (name, change, words, reason) in certificates {
        let world = World::new()
            .certified("a.test", move |ca| {
                Script::with_identity(ca.issue(&change(Cert::new([name]))))
            })
            .sts("a.test", "1", policy("enforce", &["*.a.test"], WEEK))
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
        assert!(
            reply.contains("mta-sts policy of a.test: mx.a.test["),
            "{reply}"
        );
        assert!(reply.contains(words), "{reply}");
        assert!(saw_nothing(world.mx("a.test")), "{name}");
        let blocked = [("policy", "mta-sts"), ("reason", reason)];
        let metrics = world.daemon.metrics().await;
        assert_eq!(
            metrics.get("policy_blocked_total", &blocked),
            1.0,
            "{reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_there_is_no_delivery() {
    let garbage = Script {
        handshake: Handshake::Garbage(b"what\r\n".to_vec()),
        ..Script::default()
    };
    for (script, status) in [(Script::no_starttls(), "4.7.4"), (garbage, "4.7.5")] {
        let world = with_policy("enforce", script)
            .config("[relay]\nplaintext_fallback = 'immediate'")
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), (451, status), "{reply}");
        assert!(reply.contains("mta-sts policy of a.test"), "{reply}");
        assert!(saw_nothing(world.mx("a.test")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mx_forged_to_an_unlisted_host_gets_nothing() {
    let world = listing("enforce", &["real.a.test", "*.b.a.test"])
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(
        reply.contains("mta-sts policy of a.test: mx.a.test["),
        "{reply}"
    );
    assert!(
        reply.contains("not among the MX hosts that the policy lists"),
        "{reply}"
    );
    // It is not even called.
    assert!(world.mx("a.test").connections().is_empty());
    let blocked = [("policy", "mta-sts"), ("reason", "validation-failure")];
    let metrics = world.daemon.metrics().await;
    assert_eq!(metrics.get("policy_blocked_total", &blocked), 1.0);
}

/// RFC 8461 §4.1: exactly one label.
#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_is_one_label() {
    for (host, code) in [("mx.a.test", 250), ("a.b.a.test", 451), ("a.test", 451)] {
        let world = World::new()
            .domain_with("a.test", vec![(host, 10, Script::default())])
            .sts("a.test", "1", policy("enforce", &["*.a.test"], WEEK))
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{host}: {reply}");
        assert_eq!(saw_nothing(world.mx(host)), code != 250, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unlisted_hosts_are_passed_over() {
    let hosts = vec![
        ("evil.test", 5, Script::default()),
        ("mx.a.test", 10, Script::default()),
        ("evil2.test", 20, Script::default()),
    ];
    let world = World::new()
        .domain_with("a.test", hosts)
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
        .config("[outbound]\nmessages_per_connection = 1")
        .start()
        .await;
    world.make_contact().await;
    assert!(world.mx("evil.test").connections().is_empty());
    // What the listed one says is the answer: the others are not there.
    let refusing = Script::default().rcpt("x@a.test", (550, "5.1.1 nobody"));
    world.mx("mx.a.test").set_script(refusing);
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (550, "5.1.1"), "{reply}");
    let greylisting = Script::greylisting();
    world.mx("mx.a.test").set_script(greylisting);
    let reply = world.send("x@a.test").await;
    assert_eq!(reply.code / 100, 4, "{reply}");
    assert!(
        !reply.contains("hosts tried") && !reply.contains("evil"),
        "{reply}"
    );
    assert!(world.mx("evil2.test").connections().is_empty());
}

/// The listed host is known to have no address: that may be the forgery, and mail is not returned for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_listed_host_without_address_beside_an_unlisted_one_is_a_deferral() {
    let world = World::new()
        .domain_with("a.test", vec![("evil.test", 20, Script::default())])
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
        .dns(|dns| {
            dns.mx("a.test", 10, "mx.a.test");
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(world.mx("evil.test").connections().is_empty());
}

/// A forged MX returns no mail for good, however it is made.
#[tokio::test(flavor = "multi_thread")]
async fn an_mx_forged_to_a_host_without_address_is_a_deferral() {
    for (mx, address) in [
        ("evil.test", None),
        ("evil.test", Some("192.0.2.1")), // in blocked_networks
        ("relay.test", None),             // the relay itself
    ] {
        let world = World::new()
            .domain("a.test", Script::default())
            .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
            .dns(move |dns| {
                dns.remove("a.test", RecordType::MX).mx("a.test", 0, mx);
                if let Some(address) = address {
                    dns.a(mx, address);
                }
            })
            .config("[outbound]\nblocked_networks = ['192.0.2.0/24']")
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, 451, "{mx} {address:?}: {reply}");
    }
    // Beside a host that is there, and is not listed either.
    let world = World::new()
        .domain_with("a.test", vec![("evil.test", 10, Script::default())])
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
        .dns(|dns| {
            dns.mx("a.test", 20, "empty.test");
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(reply.contains("policy lists"), "{reply}");
}

/// RFC 8461 §5: as if there were no policy, plaintext and all; its failures are counted.
#[tokio::test(flavor = "multi_thread")]
async fn testing_delivers_whatever_the_host_is_like_and_counts() {
    let garbage = || Script {
        handshake: Handshake::Garbage(b"what\r\n".to_vec()),
        ..Script::default()
    };
    for (mx, script, reason) in [
        (
            "mx.a.test",
            Script::no_starttls(),
            Some("starttls-not-supported"),
        ),
        ("mx.a.test", garbage(), Some("validation-failure")),
        ("other.test", Script::default(), Some("validation-failure")),
        ("mx.a.test", Script::default(), None),
    ] {
        let world = World::new()
            .domain("a.test", script)
            .sts("a.test", "1", policy("testing", &[mx], WEEK))
            .config("[relay]\nplaintext_fallback = 'immediate'")
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
        let metrics = world.daemon.metrics().await;
        let failures = |extra: &[(&str, &str)]| {
            let labels = [&[("policy", "mta-sts"), ("enforced", "no")], extra].concat();
            metrics.get("tls_failures_total", &labels)
        };
        match reason {
            Some(reason) => assert_eq!(failures(&[("reason", reason)]), 1.0, "{reason}"),
            None => assert_eq!(failures(&[]), 0.0),
        }
        let labels = [("result", "delivered"), ("policy", "default")];
        assert_eq!(metrics.get("deliveries_total", &labels), 1.0);
        assert_eq!(world.sts_lookups("fetched").await, 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn testing_counts_a_bad_certificate_once_and_delivers() {
    let world = World::new()
        .certified("a.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.a.test"]).expired()))
        })
        .sts("a.test", "1", policy("testing", &["mx.a.test"], WEEK))
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert!(
        reply.code == 250 && reply.contains("TLSv1.3, may)"),
        "{reply}"
    );
    let metrics = world.daemon.metrics().await;
    let of = |policy: &str| {
        let labels = [("reason", "certificate-expired"), ("policy", policy)];
        metrics.get("tls_failures_total", &labels)
    };
    assert_eq!((of("mta-sts"), of("default")), (1.0, 0.0));
}

/// Neither weaker nor stricter than the administrator's word.
#[tokio::test(flavor = "multi_thread")]
async fn testing_leaves_a_rule_as_it_is() {
    for (mode, level, script, code) in [
        ("testing", "encrypt", Script::default(), 250),
        ("testing", "encrypt", Script::no_starttls(), 451),
        ("testing", "secure", Script::default(), 451), // the certificate is not for a.test
        ("none", "encrypt", Script::no_starttls(), 451),
    ] {
        let mut rule = format!("[[rule]]\ndomains = ['a.test']\nrequire = '{level}'");
        if level == "secure" {
            rule.push_str("\nmatch = ['nexthop']");
        }
        let world = with_policy(mode, script).config(&rule).start().await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{mode} {level}: {reply}");
        if code == 451 {
            assert!(reply.contains("rule policy of a.test"), "{reply}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_none_is_no_policy() {
    let world = with_policy("none", Script::no_starttls()).start().await;
    let reply = world.send("x@a.test").await;
    assert_eq!(reply.code, 250, "{reply}");
    assert_eq!(world.daemon.metric("plaintext_total", &[]).await, 1.0);
}

/// RFC 8461 §2: DANE comes first, and what it refuses no policy makes good.
#[tokio::test(flavor = "multi_thread")]
async fn dane_that_fails_is_not_rescued() {
    let wrong = with_policy("enforce", Script::default())
        .net(|net| {
            net.dns.secure("a.test");
            wrong_tlsa(net, "mx.a.test");
        })
        .start()
        .await;
    let reply = wrong.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(reply.contains("dane policy of a.test"), "{reply}");
    assert!(saw_nothing(wrong.mx("a.test")));

    let unknown = with_policy("enforce", Script::default())
        .net(|net| {
            net.dns.secure("a.test");
            let owner = format!("_{}._tcp.mx.a.test", net.ports.port());
            net.dns.fault(&owner, RecordType::TLSA, Fault::ServFail);
        })
        .start()
        .await;
    let reply = unknown.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.4.3"), "{reply}");
    assert!(saw_nothing(unknown.mx("a.test")));
}

#[tokio::test(flavor = "multi_thread")]
async fn dane_decides_and_the_list_of_hosts_still_binds() {
    // The certificate is nobody's but DANE's.
    for (mx, code) in [("mx.a.test", 250), ("other.test", 451)] {
        let world = World::new()
            .certified("a.test", |ca| {
                Script::with_identity(ca.issue(&Cert::new(["else.test"]).self_signed()))
            })
            .sts("a.test", "1", policy("enforce", &[mx], WEEK))
            .net(|net| {
                net.dns.secure("a.test");
                net.tlsa("mx.a.test", "3 1 1");
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{mx}: {reply}");
        let words = if code == 250 {
            "dane)"
        } else {
            "mta-sts policy of a.test"
        };
        assert!(reply.contains(words), "{reply}");
        assert_eq!(saw_nothing(world.mx("a.test")), code != 250);
    }
}

/// RFC 7672 §2.2: records that cannot be used still demand TLS; who is at its other end the authorities say.
#[tokio::test(flavor = "multi_thread")]
async fn unusable_tlsa_records_leave_it_to_the_authorities() {
    for (expired, code) in [(false, 250), (true, 451)] {
        let world = World::new()
            .certified("a.test", move |ca| {
                let cert = Cert::new(["mx.a.test"]);
                Script::with_identity(ca.issue(&if expired { cert.expired() } else { cert }))
            })
            .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
            .net(|net| {
                net.dns.secure("a.test");
                let port = net.ports.port();
                net.dns.tlsa_raw("mx.a.test", port, &[9, 9, 9, 1]);
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{reply}");
        let words = if code == 250 {
            "webpki)"
        } else {
            "mta-sts policy of a.test"
        };
        assert!(reply.contains(words), "{reply}");
    }
}

/// Signed hosts that an unsigned MX RRset names prove nothing of the domain.
#[tokio::test(flavor = "multi_thread")]
async fn half_dane_does_not_switch_a_policy_off() {
    for (certificate, listed, code) in [
        ("mx.s.test", "mx.s.test", 250),
        ("else.test", "mx.s.test", 451), // DANE-EE would do; the authorities do not vouch
        ("mx.s.test", "mx.a.test", 451),
    ] {
        let world = World::new()
            .certified("s.test", move |ca| {
                Script::with_identity(ca.issue(&Cert::new([certificate])))
            })
            .sts("a.test", "1", policy("enforce", &[listed], WEEK))
            .net(|net| {
                net.dns.secure("s.test").mx("a.test", 10, "mx.s.test");
                net.tlsa("mx.s.test", "3 1 1");
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{certificate} {listed}: {reply}");
        let words = if code == 250 {
            "webpki)"
        } else {
            "mta-sts policy of a.test"
        };
        assert!(reply.contains(words), "{reply}");
        assert_eq!(saw_nothing(world.mx("mx.s.test")), code != 250);
    }
}

/// Two domains with one MX host: what the one demands, and what is wrong with its policy, is none of the other's.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_one_domains_and_not_its_hosts() {
    let world = World::new()
        .certified("a.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.a.test"]).expired()))
        })
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
        .sts("c.test", "1", policy("enforce", &["mx.c.test"], WEEK))
        .dns(|dns| {
            dns.mx("b.test", 10, "mx.a.test")
                .mx("c.test", 10, "mx.a.test");
        })
        .start()
        .await;
    for _ in 0..2 {
        for (to, code) in [("x@b.test", 250), ("x@a.test", 451), ("x@c.test", 451)] {
            let reply = world.send(to).await;
            assert_eq!(reply.code, code, "{to}: {reply}");
        }
    }
    let messages = world.mx("a.test").messages();
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|m| m.addresses() == ["x@b.test"]));
}

/// RFC 8461 §3.4: of the recipient's address, not of what its name is an alias of; where a rule routes the mail, of
/// the next hop.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_domain_is_the_recipients_or_the_next_hops() {
    let world = World::new()
        .domain("a.test", Script::no_starttls())
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
        .dns(|dns| {
            dns.cname("alias.test", "a.test");
        })
        .config_with(|net| {
            let port = net.ports.port();
            format!(
                "[[rule]]\ndomains = ['routed.test']\nnext_hop = 'a.test'\n\
                 [[rule]]\ndomains = ['direct.test']\nnext_hop = '[mx.a.test]:{port}'\n\
                 [[rule]]\ndomains = ['careless.test']\nnext_hop = 'a.test'\npublished = 'ignore'"
            )
        })
        .start()
        .await;
    for (to, code) in [
        ("x@a.test", 451),
        ("x@alias.test", 250),
        ("x@routed.test", 451),
        ("x@direct.test", 250), // no MX lookup, no policy domain
        ("x@careless.test", 250),
    ] {
        let reply = world.send(to).await;
        assert_eq!(reply.code, code, "{to}: {reply}");
        if code == 451 {
            assert!(reply.contains("mta-sts policy of a.test"), "{to}: {reply}");
        }
    }
    for other in ["routed.test", "direct.test", "careless.test"] {
        let name = format!("_mta-sts.{other}");
        assert_eq!(world.net.dns.queries(&name, RecordType::TXT), 0, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_nothing_is_looked_up() {
    for (config, to) in [
        ("[policy]\nmta_sts = false", "x@a.test"),
        (
            "[[rule]]\ndomains = ['a.test']\npublished = 'ignore'",
            "x@a.test",
        ),
        (
            "[[rule]]\ndomains = ['a.test']\nrequire = 'none'",
            "x@a.test",
        ),
    ] {
        let world = with_policy("enforce", Script::no_starttls())
            .config(config)
            .start()
            .await;
        let reply = world.send(to).await;
        assert_eq!(reply.code, 250, "{config}: {reply}");
        let lookups = world.net.dns.queries("_mta-sts.a.test", RecordType::TXT);
        assert_eq!(lookups, 0, "{config}");
    }
}

/// RFC 8689 §3: such a message wants to arrive; what is published is not looked up for it.
#[tokio::test(flavor = "multi_thread")]
async fn tls_required_no_is_not_held_back() {
    let world = with_policy("enforce", Script::no_starttls()).start().await;
    let content = b"From: a@client.test\r\nTLS-Required: No\r\n\r\nhello\r\n";
    let mut client = world.smtp().await;
    let reply = client
        .mail("sender@client.test", &["x@a.test"], content)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let lookups = world.net.dns.queries("_mta-sts.a.test", RecordType::TXT);
    assert_eq!(lookups, 0);
    assert_eq!(world.send("x@a.test").await.code, 451);
}

/// What a message was allowed when it came, it is not when the administrator has thought better of it.
#[tokio::test(flavor = "multi_thread")]
async fn tls_required_no_in_the_queue_obeys_the_configuration_of_its_next_attempt() {
    let closed = Script {
        greeting: Act::reply(421, "4.3.2 closed").then_close(),
        ..Script::no_starttls()
    };
    let world = with_policy("enforce", closed)
        .config("[relay]\ncustody = 'queue'")
        .config("[queue]\nretry = ['1s']")
        .start()
        .await;
    let content = b"From: a@client.test\r\nTLS-Required: No\r\n\r\nhello\r\n";
    let mut client = world.smtp().await;
    let mail = client.mail("sender@client.test", &["x@a.test"], content);
    assert_eq!(mail.await.unwrap().code, 250);
    world.reload("[relay]\ntls_required_no = 'ignore'");
    let reloaded = |line: &support::Log| line["message"] == "configuration reloaded";
    world.daemon.wait_log(reloaded).await;
    let held = |line: &support::Log| {
        line["reply"]
            .as_str()
            .is_some_and(|reply| reply.contains("mta-sts policy of a.test"))
    };
    world.mx("a.test").set_script(Script::no_starttls());
    world.daemon.wait_log(held).await;
    assert!(!world.mx("a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_and_a_policy_both_hold() {
    for (level, certificate, code, words) in [
        ("secure", vec!["mx.a.test", "a.test"], 250, "webpki)"),
        ("secure", vec!["mx.a.test"], 451, "rule policy of a.test"),
        ("secure", vec!["a.test"], 451, "mta-sts policy of a.test"),
        ("encrypt", vec!["a.test"], 451, "mta-sts policy of a.test"),
        ("verify", vec!["mx.a.test"], 250, "webpki)"),
    ] {
        let names = certificate.clone();
        let mut rule = format!("[[rule]]\ndomains = ['a.test']\nrequire = '{level}'");
        if level == "secure" {
            rule.push_str("\nmatch = ['nexthop']");
        }
        let world = World::new()
            .certified("a.test", move |ca| {
                Script::with_identity(ca.issue(&Cert::new(certificate)))
            })
            .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
            .config(&rule)
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{level} {names:?}: {reply}");
        assert!(reply.contains(words), "{level} {names:?}: {reply}");
    }
}

/// `on_failure = "reject"` is final for an unlisted host too.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_may_make_it_final() {
    let world = listing("enforce", &["other.test"])
        .config("[[rule]]\ndomains = ['a.test']\non_failure = 'reject'")
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (554, "5.7.5"), "{reply}");
    assert!(reply.contains("mta-sts policy of a.test"), "{reply}");
}
