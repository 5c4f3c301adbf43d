//! DANE (RFC 7672) through the real binary, over signed zones: what is proven is demanded, and only a proven absence
//! allows less.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::{Cert, Intermediate};
use lab::dns::{Fault, RecordType};
use support::dane::{half, said, saw_nothing, signed, sni, tlsa_owner, with_tlsa, wrong_tlsa};
use support::{CONTENT, Daemon, Script, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_matches_is_authenticated_and_counted() {
    let world = with_tlsa("3 1 1").start().await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    assert!(reply.contains("TLSv1.3, dane)"), "{reply}");
    assert_eq!(sni(world.mx("a.test")).as_deref(), Some("mx.a.test"));
    let metrics = world.daemon.metrics().await;
    let labels = [
        ("result", "delivered"),
        ("policy", "dane"),
        ("level", "dane"),
        ("tls", "1.3"),
        ("authenticated", "dane"),
    ];
    assert_eq!(metrics.get("deliveries_total", &labels), 1.0);
    let lookup = [("source", "dane"), ("result", "usable")];
    assert_eq!(metrics.get("policy_lookups_total", &lookup), 1.0);
    assert_eq!(metrics.get("dnssec_working", &[]), 1.0);
    let secure = [("type", "TLSA"), ("result", "secure")];
    assert!(metrics.get("dns_queries_total", &secure) >= 1.0);
    let event = &world.daemon.deliveries()[0];
    for (field, value) in [
        ("authenticated", "dane"),
        ("policy", "dane"),
        ("level", "dane"),
    ] {
        assert_eq!(Daemon::field(event, field).unwrap(), value, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_never_gets_mail() {
    let world = signed(Script::default())
        .net(|net| wrong_tlsa(net, "mx.a.test"))
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    for words in ["dane policy of a.test", "mx.a.test[", "TLSA"] {
        assert!(reply.contains(words), "{reply}");
    }
    assert!(saw_nothing(world.mx("a.test")));
    let metrics = world.daemon.metrics().await;
    let failure = [
        ("reason", "tlsa-invalid"),
        ("policy", "dane"),
        ("enforced", "yes"),
    ];
    assert_eq!(metrics.get("tls_failures_total", &failure), 1.0);
    let blocked = [("policy", "dane"), ("reason", "tlsa-invalid")];
    assert_eq!(metrics.get("policy_blocked_total", &blocked), 1.0);
    let deferred = [
        ("result", "deferred"),
        ("policy", "dane"),
        ("level", "dane"),
    ];
    assert_eq!(metrics.get("deliveries_total", &deferred), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_starttls_there_is_no_delivery() {
    let world = signed(Script::no_starttls())
        .net(|net| {
            net.tlsa("mx.a.test", "3 1 1");
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.4"), "{reply}");
    assert!(saw_nothing(world.mx("a.test")));
}

/// RFC 7672 §3.1.1: neither names nor dates count under DANE-EE.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_self_signed_certificate_for_another_name_will_do_under_dane_ee() {
    let world = World::new()
        .certified("a.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["else.test"]).self_signed_ca().expired()))
        })
        .net(|net| {
            net.dns.secure("a.test");
            net.tlsa("mx.a.test", "3 1 1");
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert!(reply.code == 250 && reply.contains("dane)"), "{reply}");
}

/// RFC 7672 §3.1.2, §3.2.2.
#[tokio::test(flavor = "multi_thread")]
async fn under_dane_ta_the_name_of_the_next_hop_will_do_and_another_will_not() {
    for (name, code) in [("mx.a.test", 250), ("a.test", 250), ("b.test", 451)] {
        let world = World::new()
            .certified("a.test", move |ca| {
                let cert = Cert::new([name]).with_intermediate(Intermediate::Sent);
                Script::with_identity(ca.issue(&cert))
            })
            .net(|net| {
                net.dns.secure("a.test");
                net.tlsa("mx.a.test", "2 1 1");
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{name}: {reply}");
        if code == 451 {
            assert_eq!(said(&reply).1, "4.7.5", "{reply}");
            assert!(reply.contains("certificate is for b.test"), "{reply}");
            assert!(saw_nothing(world.mx("a.test")));
            let labels = [("reason", "certificate-host-mismatch"), ("policy", "dane")];
            assert_eq!(
                world.daemon.metric("tls_failures_total", &labels).await,
                1.0
            );
        }
    }
}

/// RFC 7672 §2.1.2: an error is not "no".
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_tlsa_lookup_defers_and_never_downgrades() {
    for fault in [
        Fault::ServFail,
        Fault::Timeout,
        Fault::Refused,
        Fault::NotImp,
        Fault::Garbage,
    ] {
        let what = format!("{fault:?}");
        let world = signed(Script::default())
            .net(move |net| {
                let owner = format!("_{}._tcp.mx.a.test", net.ports.port());
                net.dns.fault(&owner, RecordType::TLSA, fault);
            })
            .config("dns.timeout = '2s'")
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), (451, "4.4.3"), "{what}: {reply}");
        assert!(
            reply.contains("dane policy of a.test: mx.a.test["),
            "{reply}"
        );
        assert!(saw_nothing(world.mx("a.test")), "{what}");
        assert_eq!(world.mx("a.test").connections().len(), 0, "{what}");
        let labels = [("policy", "dane"), ("reason", "tlsa-lookup-failed")];
        assert_eq!(
            world.daemon.metric("policy_blocked_total", &labels).await,
            1.0
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_lookup_fails_is_skipped_for_the_next() {
    let world = World::new()
        .domain_with(
            "a.test",
            vec![
                ("mx1.a.test", 10, Script::default()),
                ("mx2.a.test", 20, Script::default()),
            ],
        )
        .net(|net| {
            net.dns.secure("a.test");
            let owner = format!("_{}._tcp.mx1.a.test", net.ports.port());
            net.dns.fault(&owner, RecordType::TLSA, Fault::ServFail);
            net.tlsa("mx2.a.test", "3 1 1");
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert!(reply.code == 250 && reply.contains("dane)"), "{reply}");
    assert_eq!(world.mx("mx1.a.test").connections().len(), 0);
}

/// RFC 7672 §2.2.2: servers of unsigned zones may choke on TLSA questions; nobody asks them.
#[tokio::test(flavor = "multi_thread")]
async fn an_insecure_host_is_not_asked_for_tlsa() {
    let world = World::new()
        .domain("a.test", Script::default())
        .net(|net| {
            let owner = format!("_{}._tcp.mx.a.test", net.ports.port());
            net.dns.fault(&owner, RecordType::TLSA, Fault::Timeout);
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert!(
        reply.code == 250 && reply.contains("TLSv1.3, may)"),
        "{reply}"
    );
    let owner = tlsa_owner(&world, "mx.a.test");
    assert_eq!(world.net.dns.queries(&owner, RecordType::TLSA), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proven_absence_leaves_the_default() {
    let world = signed(Script::no_starttls()).start().await;
    let reply = world.send("x@a.test").await;
    assert!(
        reply.code == 250 && reply.contains("plaintext, may)"),
        "{reply}"
    );
    let labels = [("source", "dane"), ("result", "absent")];
    assert_eq!(
        world.daemon.metric("policy_lookups_total", &labels).await,
        1.0
    );
    let owner = tlsa_owner(&world, "mx.a.test");
    assert_eq!(world.send("y@a.test").await.code, 250);
    assert_eq!(
        world.net.dns.queries(&owner, RecordType::TLSA),
        1,
        "the commonest answer is kept"
    );
}

/// RFC 7672 §2.2, RFC 7671 §10.1: unusable is not absent.
#[tokio::test(flavor = "multi_thread")]
async fn unusable_records_still_mean_tls() {
    let records: [&[u8]; 6] = [
        &[],
        &[3, 1],
        &[3, 1, 1],
        &[3, 1, 1, 1, 2, 3],
        &[1, 1, 1, 7, 7, 7],
        &[3, 1, 255, 9],
    ];
    for (script, code) in [
        (Script::default(), (250, "2.0.0")),
        (Script::no_starttls(), (451, "4.7.4")),
    ] {
        let world = signed(script)
            .net(move |net| {
                for record in records {
                    net.dns.tlsa_raw("mx.a.test", net.ports.port(), record);
                }
                // What WebPKI usages would accept is no reason to accept anything (RFC 7672 §3.1.3).
                net.tlsa("mx.a.test", "1 1 1");
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), code, "{reply}");
        if code.0 == 250 {
            assert!(reply.contains("TLSv1.3, encrypt)"), "{reply}");
        } else {
            assert!(saw_nothing(world.mx("a.test")));
        }
        let labels = [("source", "dane"), ("result", "none_usable")];
        assert_eq!(
            world.daemon.metric("policy_lookups_total", &labels).await,
            1.0
        );
        let labels = [("policy", "dane"), ("level", "encrypt")];
        assert_eq!(world.daemon.metric("deliveries_total", &labels).await, 1.0);
    }
}

/// One malformed record does not spoil the good one, nor the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_judged_one_by_one() {
    let world = with_tlsa("3 1 1")
        .net(|net| {
            let port = net.ports.port();
            net.dns.tlsa_raw("mx.a.test", port, &[3, 1]);
            net.dns.tlsa_raw("mx.a.test", port, &[2, 0, 0, 1, 2, 3]);
            wrong_tlsa(net, "mx.a.test");
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert!(reply.code == 250 && reply.contains("dane)"), "{reply}");
}

/// RFC 7671 §9: a matching weaker digest does not help where a stronger one is published.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_strongest_digest_counts() {
    let world = with_tlsa("3 1 1")
        .net(|net| {
            let other = net.ca.identity("other.test");
            net.dns
                .tlsa("mx.a.test", net.ports.port(), "3 1 2", other.leaf());
        })
        .start()
        .await;
    assert_eq!(said(&world.send("x@a.test").await), (451, "4.7.5"));
}

/// RFC 7672 §2.2.1.
#[tokio::test(flavor = "multi_thread")]
async fn an_insecure_mx_rrset_with_a_secure_host_is_half_dane() {
    let world = half(Script::default())
        .net(|net| {
            net.tlsa("mx.s.test", "3 1 1");
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert!(reply.code == 250 && reply.contains("half-dane)"), "{reply}");
    let labels = [("authenticated", "half-dane"), ("policy", "dane")];
    assert_eq!(world.daemon.metric("deliveries_total", &labels).await, 1.0);
    let labels = [("authenticated", "dane")];
    assert_eq!(world.daemon.metric("deliveries_total", &labels).await, 0.0);

    let world = half(Script::default())
        .net(|net| wrong_tlsa(net, "mx.s.test"))
        .start()
        .await;
    assert_eq!(said(&world.send("x@a.test").await), (451, "4.7.5"));
    assert!(saw_nothing(world.mx("mx.s.test")));
}

/// RFC 7672 §3.2.2: with an insecure MX RRset the recipient's domain is no reference identifier.
#[tokio::test(flavor = "multi_thread")]
async fn under_half_dane_only_the_hosts_name_counts() {
    for (name, code) in [("mx.s.test", 250), ("a.test", 451)] {
        let world = World::new()
            .certified("s.test", move |ca| {
                let cert = Cert::new([name]).with_intermediate(Intermediate::Sent);
                Script::with_identity(ca.issue(&cert))
            })
            .net(|net| {
                net.dns.secure("s.test").mx("a.test", 10, "mx.s.test");
                net.tlsa("mx.s.test", "2 1 1");
            })
            .start()
            .await;
        assert_eq!(world.send("x@a.test").await.code, code, "{name}");
    }
}

/// RFC 7672 §2.2.2, §2.2.3: the name after aliases first, then the one before.
#[tokio::test(flavor = "multi_thread")]
async fn tlsa_is_sought_at_the_alias_s_target_and_then_at_the_alias() {
    for (at_target, at_alias, name, code) in [
        ("right", "", "host.s.test", 250),
        ("", "right", "mx.a.test", 250),
        ("wrong", "right", "", 451),
        ("right", "wrong", "host.s.test", 250),
        ("unusable", "right", "mx.a.test", 250), // encrypted; see below
    ] {
        let world = World::new()
            .host("host.s.test", Script::default())
            .net(move |net| {
                net.dns
                    .secure("a.test")
                    .secure("s.test")
                    .mx("a.test", 10, "mx.a.test")
                    .cname("mx.a.test", "host.s.test");
                let port = net.ports.port();
                let leaf = net.mx("host.s.test").identity().leaf().clone();
                for (name, what) in [("host.s.test", at_target), ("mx.a.test", at_alias)] {
                    match what {
                        "right" => {
                            net.dns.tlsa(name, port, "3 1 1", &leaf);
                        }
                        "wrong" => wrong_tlsa(net, name),
                        "unusable" => {
                            net.dns.tlsa_raw(name, port, &[3, 1]);
                        }
                        _ => {}
                    }
                }
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        let what = format!("{at_target}/{at_alias}: {reply}");
        assert_eq!(reply.code, code, "{what}");
        if at_target == "unusable" {
            // Unusable records do not fall through to the alias's own.
            assert!(reply.contains("encrypt)"), "{what}");
        } else if code == 250 {
            assert!(reply.contains("dane)"), "{what}");
            let seen = sni(world.mx("host.s.test"));
            assert_eq!(seen.as_deref(), Some(name), "{what}");
        }
    }
}

/// RFC 7672 §2.2.2: the alias is signed, its target is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_secure_alias_of_an_insecure_host_may_have_tlsa_itself() {
    let world = World::new()
        .host("host.plain.test", Script::default())
        .net(|net| {
            net.dns
                .secure("a.test")
                .mx("a.test", 10, "mx.a.test")
                .cname("mx.a.test", "host.plain.test");
            let port = net.ports.port();
            let owner = format!("_{port}._tcp.host.plain.test");
            net.dns.fault(&owner, RecordType::TLSA, Fault::Timeout);
            wrong_tlsa(net, "mx.a.test");
        })
        .start()
        .await;
    assert_eq!(said(&world.send("x@a.test").await), (451, "4.7.5"));
}

/// Where the alias is known to be unsigned, nobody is asked for it again: such servers are the ones that choke.
#[tokio::test(flavor = "multi_thread")]
async fn an_insecure_alias_is_not_asked_for_once_more() {
    let world = World::new()
        .host("host.plain.test", Script::default())
        .dns(|dns| {
            dns.mx("a.test", 10, "mx.a.test")
                .cname("mx.a.test", "host.plain.test")
                .fault("mx.a.test", RecordType::CNAME, Fault::ServFail);
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert!(reply.code == 250 && reply.contains(", may)"), "{reply}");
    assert_eq!(world.net.dns.queries("mx.a.test", RecordType::CNAME), 0);
}

/// RFC 7672 §2.2.2: an error at the target does not send us to the alias.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_at_the_alias_s_target_is_not_absence_there() {
    let world = World::new()
        .host("host.s.test", Script::default())
        .net(|net| {
            net.dns
                .secure("a.test")
                .secure("s.test")
                .mx("a.test", 10, "mx.a.test")
                .cname("mx.a.test", "host.s.test");
            let port = net.ports.port();
            let leaf = net.mx("host.s.test").identity().leaf().clone();
            net.dns.tlsa("mx.a.test", port, "3 1 1", &leaf);
            let owner = format!("_{port}._tcp.host.s.test");
            net.dns.fault(&owner, RecordType::TLSA, Fault::ServFail);
        })
        .start()
        .await;
    assert_eq!(said(&world.send("x@a.test").await), (451, "4.4.3"));
}

/// RFC 7671 §5.3, RFC 1034 §4.3.3: TLSA owners are aliases, even of a name with a `*` label, or wildcards.
#[tokio::test(flavor = "multi_thread")]
async fn tlsa_owners_may_be_aliases_and_wildcards() {
    for how in ["alias", "alias to a star", "wildcard"] {
        let world = signed(Script::default())
            .net(move |net| {
                let port = net.ports.port();
                let owner = format!("_{port}._tcp.mx.a.test");
                let leaf = net.mx("mx.a.test").identity().leaf().clone();
                let data = lab::dns::tlsa_data("3 1 1", &leaf);
                match how {
                    "alias" => {
                        net.dns.cname(&owner, "tlsa.a.test");
                        net.dns.raw("tlsa.a.test", RecordType::TLSA, &data);
                    }
                    "alias to a star" => {
                        net.dns.cname(&owner, "*._tcp.a.test");
                        net.dns.raw("*._tcp.a.test", RecordType::TLSA, &data);
                    }
                    _ => {
                        net.dns.raw("*._tcp.mx.a.test", RecordType::TLSA, &data);
                    }
                }
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert!(
            reply.code == 250 && reply.contains("dane)"),
            "{how}: {reply}"
        );
    }
}

/// RFC 7672 §2.2.1: no MX record, and its absence is proven; the domain itself is the host.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_mx_records_has_tlsa_itself() {
    for (right, code) in [(true, 250), (false, 451)] {
        let world = World::new()
            .host("a.test", Script::default())
            .net(move |net| {
                net.dns.secure("a.test");
                if right {
                    net.tlsa("a.test", "3 1 1");
                } else {
                    wrong_tlsa(net, "a.test");
                }
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(reply.code, code, "{reply}");
        if right {
            assert!(reply.contains(", dane)"), "{reply}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bogus_answers_defer_and_say_so() {
    for record_type in [RecordType::MX, RecordType::A, RecordType::TLSA] {
        let world = with_tlsa("3 1 1")
            .net(move |net| {
                let zone = lab::dnssec::Zone::secure().altered_only([record_type]);
                net.dns.zone("a.test", zone);
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), (451, "4.4.3"), "{record_type}: {reply}");
        assert!(reply.contains("bogus"), "{record_type}: {reply}");
        assert!(saw_nothing(world.mx("a.test")), "{record_type}");
        let bogus = [("result", "bogus")];
        assert!(world.daemon.metric("dns_queries_total", &bogus).await >= 1.0);
    }
}

/// RFC 8689 §3, and what such a message leaves behind does not serve others.
#[tokio::test(flavor = "multi_thread")]
async fn tls_required_no_looks_nothing_up_and_keeps_its_connection_to_itself() {
    let world = signed(Script::default())
        .net(|net| {
            let owner = format!("_{}._tcp.mx.a.test", net.ports.port());
            net.dns.fault(&owner, RecordType::TLSA, Fault::ServFail);
        })
        .start()
        .await;
    let content = [b"TLS-Required: No\r\n", CONTENT].concat();
    let mut client = world.smtp().await;
    let reply = client
        .mail("sender@client.test", &["x@a.test"], &content)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let owner = tlsa_owner(&world, "mx.a.test");
    assert_eq!(world.net.dns.queries(&owner, RecordType::TLSA), 0);
    // The same host, the same requirement, but another wish.
    world.net.dns.mend(&owner);
    assert_eq!(world.send("y@a.test").await.code, 250);
    assert_eq!(world.mx("a.test").connections().len(), 2);
    let again = client
        .mail("sender@client.test", &["z@a.test"], &content)
        .await
        .unwrap();
    assert_eq!(again.code, 250, "{again}");
    assert_eq!(
        world.mx("a.test").connections().len(),
        2,
        "each kept for its own"
    );

    let rule = "[[rule]]\ndomains = ['a.test']\nrequire = 'dane-only'";
    let bound = signed(Script::default()).config(rule).start().await;
    let mut client = bound.smtp().await;
    let reply = client
        .mail("sender@client.test", &["x@a.test"], &content)
        .await
        .unwrap();
    assert_eq!(said(&reply), (451, "4.7.5"), "a rule binds it all the same");
}

/// Neither a kept connection nor a resumed session satisfies records that came later.
#[tokio::test(flavor = "multi_thread")]
async fn changed_records_are_never_satisfied_by_an_old_connection() {
    for idle in ["30s", "0s"] {
        let world = World::new()
            .dns(|dns| {
                dns.ttl(1).negative_ttl(1).secure("a.test");
            })
            .domain("a.test", Script::default())
            .net(|net| {
                net.tlsa("mx.a.test", "3 1 1");
            })
            .config(&format!("outbound.idle_connection_timeout = '{idle}'"))
            .start()
            .await;
        assert_eq!(world.send("x@a.test").await.code, 250);
        let owner = tlsa_owner(&world, "mx.a.test");
        world.net.dns.remove(&owner, RecordType::TLSA);
        wrong_tlsa(&world.net, "mx.a.test");
        let asked = world.net.dns.queries(&owner, RecordType::TLSA);
        // Whatever is delivered before the old answer has expired is right by it.
        let until = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while world.net.dns.queries(&owner, RecordType::TLSA) == asked {
            assert!(
                tokio::time::Instant::now() < until,
                "the answer never expires"
            );
            let _ = world.send("y@a.test").await;
        }
        let reply = world.send("z@a.test").await;
        assert_eq!(said(&reply), (451, "4.7.5"), "{idle}: {reply}");
        assert!(
            !world
                .mx("a.test")
                .messages()
                .iter()
                .any(|m| m.addresses() == ["z@a.test"])
        );
    }
}

/// A new record beside the old one, as during a key rollover.
#[tokio::test(flavor = "multi_thread")]
async fn either_record_of_a_rollover_will_do() {
    let world = with_tlsa("3 1 1")
        .net(|net| wrong_tlsa(net, "mx.a.test"))
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert!(reply.code == 250 && reply.contains("dane)"), "{reply}");
    let metrics = world.daemon.metrics().await;
    assert_eq!(
        metrics.get("tls_failures_total", &[]),
        0.0,
        "one mismatch is no failure"
    );
}

/// The levels of DANE know nothing of clear text, whatever `plaintext_fallback` says after a failed handshake.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_handshake_never_leads_to_clear_text_where_there_are_records() {
    for parameters in ["3 1 1", "1 1 1"] {
        let broken = Script {
            handshake: lab::mx::Handshake::Alert(80),
            ..Script::default()
        };
        let world = signed(broken)
            .net(move |net| {
                net.tlsa("mx.a.test", parameters);
            })
            .config("relay.plaintext_fallback = 'immediate'")
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), (451, "4.7.5"), "{parameters}: {reply}");
        assert!(saw_nothing(world.mx("a.test")), "{parameters}");
    }
}

/// A man in the middle has the certificate, which is public, but not its key (RFC 8446 §4.4.3).
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_key_is_worth_nothing() {
    for parameters in [
        "3 1 1", "3 0 1", "3 0 0", "3 1 2", "2 1 1", "2 0 1", "2 0 0",
    ] {
        let world = World::new()
            .certified("a.test", |ca| {
                let cert = Cert::new(["mx.a.test"]).with_intermediate(Intermediate::Sent);
                let real = ca.issue(&cert);
                let mut stolen = ca.identity("thief.test");
                stolen.chain = real.chain;
                Script::with_identity(stolen)
            })
            .net(move |net| {
                net.dns.secure("a.test");
                net.tlsa("mx.a.test", parameters);
            })
            .start()
            .await;
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), (451, "4.7.5"), "{parameters}: {reply}");
        assert!(reply.contains("BadSignature"), "{reply}");
        assert!(saw_nothing(world.mx("a.test")), "{parameters}");
    }
}
