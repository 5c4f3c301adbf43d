//! Where mail goes (RFC 5321 §5): MX hosts, addresses, this host, next hops of rules, and what the reply says when
//! there is no way.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lab::client::SmtpClient;
use lab::dns::{DnsServer, Fault, RecordType};
use lab::mx::Listening;
use support::{Act, CONTENT, Mx, Reply, Script, World, ipv6};

/// Code and enhanced code.
fn said(reply: &Reply) -> (u16, &str) {
    (reply.code, reply.enhanced().unwrap_or(""))
}

/// Sends to a recipient in each domain at once, and compares: domain, code, enhanced code, words of the text.
async fn expect(world: &World, table: &[(&str, u16, &str, &str)]) {
    let recipients: Vec<String> = table.iter().map(|row| format!("x@{}", row.0)).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let replies = world.send_lmtp(&recipients).await;
    let mut wrong = Vec::new();
    for ((domain, code, enhanced, words), reply) in table.iter().zip(replies) {
        if said(&reply) != (*code, *enhanced) || !reply.contains(words) {
            wrong.push(format!("{domain}: {reply}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const FAST: &str = "dns.timeout = '1s'\nrelay.reach_timeout = '8s'";

/// Whose names were asked for, but for the root's, which is probed.
fn asked(world: &World) -> Vec<String> {
    let names = world.net.dns.questions().into_iter().map(|q| q.name);
    names.filter(|name| !name.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_proven_is_permanent() {
    let faulty = [
        ("servfail.test", Fault::ServFail),
        ("refused.test", Fault::Refused),
        ("notimp.test", Fault::NotImp),
        ("silent.test", Fault::Timeout),
        ("garbage.test", Fault::Garbage),
        ("forged.test", Fault::WrongId),
        ("cut.test", Fault::TruncatedAlways),
        ("loop.test", Fault::CnameLoop),
    ];
    // Each has an address of its own, which must not be taken for an implicit MX.
    let mut builder = World::new();
    for (domain, fault) in faulty.clone() {
        builder = builder.host(domain, Script::default()).dns(move |dns| {
            dns.fault(domain, RecordType::MX, fault);
        });
    }
    let world = builder
        .dns(|dns| {
            dns.txt("bare.test", "nothing else")
                .null_mx("null.test")
                .mx("lost.test", 10, "gone.lost.test")
                .mx("lost.test", 20, "empty.lost.test")
                .txt("empty.lost.test", "no address")
                .mx("dim.test", 10, "mx.dim.test")
                .fault_all("mx.dim.test", Fault::ServFail)
                .mx("half.test", 10, "gone.half.test")
                .mx("half.test", 20, "mx.half.test")
                .fault_all("mx.half.test", Fault::Timeout);
        })
        .config(FAST)
        .start()
        .await;
    expect(
        &world,
        &[
            ("nowhere.test", 550, "5.1.2", "does not exist"),
            ("bare.test", 550, "5.1.2", "neither MX nor address"),
            ("null.test", 556, "5.1.10", "null MX"),
            ("lost.test", 550, "5.4.4", "no MX host of lost.test"),
            ("dim.test", 451, "4.4.3", "mx.dim.test"),
            ("half.test", 451, "4.4.3", ""), // one MX may only have been unlucky
            ("servfail.test", 451, "4.4.3", "servfail.test"),
            ("refused.test", 451, "4.4.3", "refused.test"),
            ("notimp.test", 451, "4.4.3", "notimp.test"),
            ("silent.test", 451, "4.4.3", "silent.test"),
            ("garbage.test", 451, "4.4.3", "garbage.test"),
            ("forged.test", 451, "4.4.3", "forged.test"),
            ("cut.test", 451, "4.4.3", "cut.test"),
            ("loop.test", 451, "4.4.3", "loop.test"),
        ],
    )
    .await;
    for (domain, _) in faulty {
        assert!(world.mx(domain).connections().is_empty(), "{domain}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_finds_its_host_however_it_is_published() {
    let world = World::new()
        .host("implicit.test", Script::default())
        .domain("good.test", Script::default())
        .dns(|dns| {
            let good = "mx.good.test";
            dns.mx("besides.test", 5, ".").mx("besides.test", 10, good);
            dns.mx("partly.test", 1, "gone.test")
                .mx("partly.test", 2, "192.0.2.1")
                .mx("partly.test", 10, good);
            dns.mx("unlucky.test", 1, "dim.unlucky.test")
                .mx("unlucky.test", 10, good)
                .fault_all("dim.unlucky.test", Fault::ServFail);
            dns.cname("alias.test", "alias2.test")
                .cname("alias2.test", "good.test");
            dns.mx("chain.test", 10, "c1.chain.test")
                .cname("c1.chain.test", "c2.chain.test")
                .cname("c2.chain.test", good);
            dns.mx("circle.test", 1, "l1.circle.test")
                .cname("l1.circle.test", "l2.circle.test")
                .cname("l2.circle.test", "l1.circle.test")
                .mx("circle.test", 10, good);
            dns.mx("big.test", 10, good)
                .fault("big.test", RecordType::MX, Fault::Truncated);
            dns.mx("late.test", 10, good).fault(
                "late.test",
                RecordType::MX,
                Fault::Delay(Duration::from_millis(300)),
            );
        })
        .net(|net| {
            let ip = lab_address(net, "mx.good.test");
            net.dns
                .mx("odd.test", 10, "_mx_1.odd.test")
                .a("_mx_1.odd.test", &ip);
        })
        .config(FAST)
        .start()
        .await;
    expect(
        &world,
        &[
            ("implicit.test", 250, "2.0.0", "host implicit.test["),
            ("good.test", 250, "2.0.0", "host mx.good.test["),
            ("besides.test", 250, "2.0.0", ""), // a null MX beside others is ignored
            ("partly.test", 250, "2.0.0", "host mx.good.test["),
            ("unlucky.test", 250, "2.0.0", "host mx.good.test["),
            ("alias.test", 250, "2.0.0", "host mx.good.test["),
            ("chain.test", 250, "2.0.0", "host c1.chain.test["),
            ("circle.test", 250, "2.0.0", "host mx.good.test["),
            ("big.test", 250, "2.0.0", ""),
            ("late.test", 250, "2.0.0", ""),
            ("odd.test", 250, "2.0.0", "host _mx_1.odd.test["),
        ],
    )
    .await;
    let over_tcp =
        |q: &lab::dns::Question| q.name == "big.test" && q.transport == lab::dns::Transport::Tcp;
    assert!(world.net.dns.questions().iter().any(over_tcp));
}

fn lab_address(net: &lab::Internet, host: &str) -> String {
    net.mx(host).address().ip().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_names_no_host_beside_good_ones_is_ignored() {
    let world = World::new()
        .domain("good.test", Script::default())
        .dns(|dns| {
            let no_host = [&[0, 5, 9], b"two words".as_slice(), &[0]].concat();
            dns.mx("crooked.test", 10, "mx.good.test").raw(
                "crooked.test",
                RecordType::MX,
                &no_host,
            );
            dns.raw("blank.test", RecordType::MX, &no_host);
            dns.mx("torn.test", 10, "mx.good.test")
                .raw("torn.test", RecordType::MX, &[0]);
        })
        .config(FAST)
        .start()
        .await;
    expect(
        &world,
        &[
            ("crooked.test", 250, "2.0.0", "host mx.good.test["),
            ("blank.test", 550, "5.4.4", "no MX host of blank.test"),
            ("torn.test", 451, "4.4.3", "torn.test"), // no answer at all
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_are_obeyed_and_equal_ones_share_the_load() {
    let world = World::new()
        .domain_with(
            "a.test",
            vec![
                ("backup.a.test", 20, Script::default()),
                ("one.a.test", 10, Script::default()),
                ("two.a.test", 10, Script::default()),
            ],
        )
        .start()
        .await;
    let mut client = world.smtp().await;
    for _ in 0..40 {
        let reply = client.mail("s@client.test", &["x@a.test"], CONTENT).await;
        assert_eq!(reply.unwrap().code, 250);
    }
    // Both at once with all but one in 2^39.
    for (host, used) in [
        ("one.a.test", true),
        ("two.a.test", true),
        ("backup.a.test", false),
    ] {
        assert_eq!(!world.mx(host).messages().is_empty(), used, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_mx_is_tried_when_a_better_one_fails() {
    let world = World::new()
        .domain_with(
            "a.test",
            vec![
                ("down.a.test", 5, Script::refused()),
                (
                    "full.a.test",
                    10,
                    Script {
                        greeting: (554, "5.3.2 full").into(),
                        ..Script::default()
                    },
                ),
                (
                    "late.a.test",
                    15,
                    Script {
                        mail: (451, "4.3.0 later").into(),
                        ..Script::default()
                    },
                ),
                ("good.a.test", 20, Script::default()),
                ("idle.a.test", 30, Script::default()),
            ],
        )
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    assert!(reply.contains("host good.a.test["), "{reply}");
    assert!(world.mx("idle.a.test").connections().is_empty());
    assert_eq!(world.mx("late.a.test").connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_error_on_one_mx_dominates_a_later_hard_one() {
    let soft = || Script {
        rcpt: (450, "4.2.0 greylisted").into(),
        ..Script::default()
    };
    let hard = || Script {
        rcpt: (550, "5.1.1 no such user").into(),
        ..Script::default()
    };
    let world = World::new()
        .domain_with(
            "a.test",
            vec![("s.a.test", 10, soft()), ("h.a.test", 20, hard())],
        )
        .domain_with(
            "b.test",
            vec![("h.b.test", 10, hard()), ("s.b.test", 20, soft())],
        )
        .domain_with(
            "c.test",
            vec![
                ("d.c.test", 10, Script::refused()),
                ("h.c.test", 20, hard()),
            ],
        )
        .domain_with(
            "d.test",
            vec![
                ("s.d.test", 10, soft()),
                ("d.d.test", 20, Script::refused()),
            ],
        )
        .start()
        .await;
    expect(
        &world,
        &[
            (
                "a.test",
                450,
                "4.2.0",
                "2 hosts tried; 550 5.1.1 host h.a.test[",
            ),
            // The first refusal of the recipient is final: nobody asks on until one says yes.
            ("b.test", 550, "5.1.1", "host h.b.test["),
            (
                "c.test",
                451,
                "4.4.1",
                "2 hosts tried; 550 5.1.1 host h.c.test[",
            ),
            ("d.test", 451, "4.4.1", "2 hosts tried; host d.d.test["),
        ],
    )
    .await;
    assert!(world.mx("s.b.test").connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mx_list_is_cut_at_this_host() {
    let busy = || Script {
        mail: (451, "4.3.0 later").into(),
        ..Script::default()
    };
    let world = World::new()
        .domain_with(
            "named.test",
            vec![
                ("better.named.test", 10, busy()),
                ("worse.named.test", 30, Script::default()),
            ],
        )
        .domain_with("equal.test", vec![("mx.equal.test", 10, Script::default())])
        .host("relay.test", Script::default())
        .dns(|dns| {
            dns.mx("named.test", 20, "Relay.TEST");
            dns.mx("equal.test", 10, "relay.test");
            dns.mx("mine.test", 10, "relay.test");
            dns.mx("other.test", 10, "old-name.test");
            dns.mx("here.test", 10, "localhost.here.test")
                .a("localhost.here.test", "127.0.0.1");
            dns.mx("nat.test", 10, "mx.nat.test")
                .a("mx.nat.test", "198.51.100.7");
            dns.mx("via.test", 10, "alias.via.test")
                .cname("alias.via.test", "relay.test");
            dns.a("implicit.test", "127.0.0.1");
        })
        .config("relay.own_names = ['old-name.test']\noutbound.nat_addresses = ['198.51.100.7']")
        .start()
        .await;
    expect(
        &world,
        &[
            ("named.test", 451, "4.3.0", "host better.named.test["),
            ("equal.test", 554, "5.4.6", "loops back"),
            ("mine.test", 554, "5.4.6", "loops back"),
            ("other.test", 554, "5.4.6", "loops back"),
            ("here.test", 554, "5.4.6", "loops back"),
            ("nat.test", 554, "5.4.6", "loops back"),
            ("via.test", 554, "5.4.6", "loops back"),
            ("implicit.test", 554, "5.4.6", "loops back"),
            ("[127.0.0.1]", 554, "5.4.6", ""),
        ],
    )
    .await;
    for host in ["worse.named.test", "mx.equal.test", "relay.test"] {
        assert!(world.mx(host).connections().is_empty(), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_greets_with_our_name_is_this_host() {
    let ours = || Script {
        hostname: Some("relay.test".into()),
        ..Script::default()
    };
    let shy = || Script {
        greeting: (220, "hello there").into(),
        ..ours()
    };
    let world = World::new()
        .domain("a.test", ours())
        .domain("b.test", shy())
        .domain_with(
            "c.test",
            vec![
                ("me.c.test", 10, ours()),
                ("mx.c.test", 20, Script::default()),
            ],
        )
        .host("mx.routed.test", ours())
        .config("[[rule]]\ndomains = ['d.test']\nnext_hop = '[mx.routed.test]'")
        .start()
        .await;
    expect(
        &world,
        &[
            ("a.test", 554, "5.4.6", "loops back"),
            ("b.test", 554, "5.4.6", "loops back"),
            ("c.test", 250, "2.0.0", "host mx.c.test["),
            ("d.test", 250, "2.0.0", "host mx.routed.test["), // the MTA here has the same name
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_networks_bind_strangers_and_not_the_administrator() {
    let world = World::new()
        .domain("a.test", Script::default())
        .host("implicit.test", Script::default())
        .host("inside.test", Script::default())
        .dns(|dns| {
            dns.mx("mapped.test", 10, "mx.mapped.test")
                .aaaa("mx.mapped.test", "::ffff:127.0.0.9");
            dns.mx("link.test", 10, "mx.link.test")
                .a("mx.link.test", "169.254.1.1");
        })
        .config_with(|net| {
            let ip = net.mx("inside.test").address().ip();
            format!(
                "outbound.blocked_networks = ['127.0.0.0/8', '169.254.0.0/16']\n\
                 [[rule]]\ndomains = ['b.test']\nnext_hop = '[inside.test]'\n\
                 [[rule]]\ndomains = ['c.test']\nnext_hop = '[{ip}]'"
            )
        })
        .start()
        .await;
    let literal = format!("[{}]", world.mx("a.test").address().ip());
    expect(
        &world,
        &[
            ("a.test", 554, "5.4.6", "blocked_networks"),
            ("implicit.test", 554, "5.4.6", "blocked_networks"),
            ("mapped.test", 554, "5.4.6", "blocked_networks"),
            ("link.test", 554, "5.4.6", "blocked_networks"),
            (&literal, 554, "5.4.6", "blocked_networks"),
            ("b.test", 250, "2.0.0", "host inside.test["),
            ("c.test", 250, "2.0.0", "host ["),
        ],
    )
    .await;
    assert!(world.mx("a.test").connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_mx_does_not_hide_a_good_one() {
    let world = World::new()
        .domain("a.test", Script::default())
        .dns(|dns| {
            dns.mx("a.test", 5, "bad.a.test")
                .a("bad.a.test", "169.254.1.1");
        })
        .config("outbound.blocked_networks = ['169.254.0.0/16']")
        .start()
        .await;
    expect(&world, &[("a.test", 250, "2.0.0", "host mx.a.test[")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_literal_is_delivered_without_dns_and_without_sni() {
    let world = World::new()
        .host("mx.a.test", Script::default())
        .start()
        .await;
    let ip = world.mx("mx.a.test").address().ip();
    let reply = world.send(&format!("x@[{ip}]")).await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    assert!(reply.contains(&format!("host [{ip}] said:")), "{reply}");
    let mx = world.mx("mx.a.test");
    assert_eq!(mx.messages()[0].addresses(), [format!("x@[{ip}]")]);
    assert_eq!(mx.connections()[0].tls.as_ref().unwrap().sni, None);
    assert_eq!(asked(&world), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv6_literal_is_delivered() {
    if !ipv6() {
        return;
    }
    let world = World::new()
        .host_v6("mx.a.test", Script::default())
        .start()
        .await;
    let ip = world.mx("mx.a.test#v6").address().ip();
    let reply = world.send(&format!("x@[IPv6:{ip}]")).await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    assert_eq!(world.mx("mx.a.test#v6").messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_internationalised_domain_is_looked_up_by_its_a_labels() {
    let world = World::new()
        .domain("xn--bcher-kva.test", Script::default())
        .start()
        .await;
    let mut client = world.smtp().await;
    let lines = [
        "MAIL FROM:<s@client.test> SMTPUTF8",
        "RCPT TO:<x@BÜCHER.test>",
        "DATA",
    ];
    for line in lines {
        let reply = client.command(line).await.unwrap();
        assert!(reply.code < 400, "{line}: {reply}");
    }
    client.send(lab::client::stuffed(CONTENT)).await.unwrap();
    let reply = client.reply().await.unwrap();
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    let dns = &world.net.dns;
    assert!(dns.queries("xn--bcher-kva.test", RecordType::MX) > 0);
    assert!(dns.questions().iter().all(|q| q.name.is_ascii()));
    let mx = world.mx("xn--bcher-kva.test");
    let connection = &mx.connections()[0];
    assert_eq!(
        connection.tls.as_ref().unwrap().sni.as_deref(),
        Some("mx.xn--bcher-kva.test")
    );
    // RFC 6531 §3.7.1
    assert_eq!(connection.commands[0], "EHLO relay.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_for_an_internationalised_domain_are_found_in_either_form() {
    let world = World::new()
        .domain("xn--bcher-kva.test", Script::no_starttls())
        .config("[[rule]]\ndomains = ['Bücher.test']\nrequire = 'encrypt'")
        .start()
        .await;
    expect(
        &world,
        &[("xn--bcher-kva.test", 451, "4.7.4", "xn--bcher-kva.test")],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_ipv6_costs_a_moment_and_not_the_delivery() {
    if !ipv6() {
        return;
    }
    let world = World::new()
        .domain("silent.test", Script::default())
        .host_v6("mx.silent.test", Script::blackhole())
        .domain("refused.test", Script::default())
        .host_v6("mx.refused.test", Script::refused())
        .domain("mute.test", Script::default())
        .host_v6("mx.mute.test", Script::silent())
        .domain("many.test", Script::default())
        .dns(|dns: &DnsServer| {
            for n in 1..=12 {
                // Unique local addresses without a listener: refused or unreachable.
                dns.aaaa("mx.many.test", &format!("fd5e:a1ab:ffff::{n}"));
            }
        })
        .config("relay.reach_timeout = '10s'")
        .start()
        .await;
    for (domain, limit) in [
        ("silent.test", 4),
        ("refused.test", 4),
        ("many.test", 4),
        ("mute.test", 9),
    ] {
        let began = Instant::now();
        let reply = world.send(&format!("x@{domain}")).await;
        assert_eq!(said(&reply), (250, "2.0.0"), "{domain}: {reply}");
        assert!(
            began.elapsed() < Duration::from_secs(limit),
            "{domain}: {:?}",
            began.elapsed()
        );
        assert_eq!(world.mx(domain).messages().len(), 1, "{domain}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_family_does_not_hide_the_other() {
    let v6 = ipv6();
    let mut builder = World::new()
        .domain("four.test", Script::default())
        .domain("dim.test", Script::default())
        .dns(|dns| {
            dns.fault("mx.dim.test", RecordType::AAAA, Fault::ServFail);
        });
    if v6 {
        builder = builder
            .host_v6("mx.six.test", Script::default())
            .host_v6("mx.grey.test", Script::default())
            .dns(|dns| {
                dns.mx("six.test", 10, "mx.six.test")
                    .mx("grey.test", 10, "mx.grey.test")
                    .fault("mx.grey.test", RecordType::A, Fault::ServFail);
            });
    }
    let world = builder.config(FAST).start().await;
    let mut table = vec![
        ("four.test", 250, "2.0.0", ""),
        ("dim.test", 250, "2.0.0", ""),
    ];
    if v6 {
        table.extend([
            ("six.test", 250, "2.0.0", ""),
            ("grey.test", 250, "2.0.0", ""),
        ]);
    }
    expect(&world, &table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_that_is_not_in_use_is_not_tried() {
    if !ipv6() {
        return;
    }
    let world = World::new()
        .domain("a.test", Script::default())
        .host_v6("mx.a.test", Script::default())
        .host_v6("mx.six.test", Script::default())
        .dns(|dns| {
            dns.mx("six.test", 10, "mx.six.test");
        })
        .config("outbound.address_preference = 'ipv4-only'")
        .start()
        .await;
    expect(
        &world,
        &[
            ("a.test", 250, "2.0.0", ""),
            ("six.test", 451, "4.4.1", "family"),
        ],
    )
    .await;
    assert!(world.mx("mx.a.test#v6").connections().is_empty());
    assert!(world.mx("mx.six.test#v6").connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_addresses_tried_are_capped() {
    let world = World::new()
        .net(|net| {
            for n in 0..100 {
                let host = format!("mx{n}.many.test");
                net.dns.mx("many.test", 10, &host);
                net.dns.address_of(&host, net.ports.next().ip());
            }
            for _ in 0..100 {
                net.dns.address_of("mx.wide.test", net.ports.next().ip());
            }
            net.dns.mx("wide.test", 10, "mx.wide.test");
        })
        .start()
        .await;
    let reply = world.send("x@many.test").await;
    assert_eq!(said(&reply), (451, "4.4.1"), "{reply}");
    assert!(reply.contains("6 hosts tried;"), "{reply}");
    assert!(reply.contains("cannot connect"), "{reply}");
    let looked_up: BTreeSet<String> = world
        .net
        .dns
        .questions()
        .into_iter()
        .map(|q| q.name)
        .filter(|name| name.starts_with("mx"))
        .collect();
    // Twice: when the recipient came, and for the delivery, each with its own choice among equals.
    assert!(looked_up.len() <= 40, "{looked_up:?}");
    let reply = world.send("x@wide.test").await;
    assert_eq!(said(&reply), (451, "4.4.1"), "{reply}");
    let attempts: Vec<_> = world
        .daemon
        .deliveries()
        .iter()
        .map(|line| support::Daemon::field(line, "attempts").and_then(|a| a.as_u64()))
        .collect();
    assert_eq!(attempts, [Some(6), Some(8)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_without_address_do_not_count_as_tried() {
    let world = World::new()
        .domain("a.test", Script::default())
        .dns(|dns| {
            for n in 0..8 {
                dns.mx("a.test", 1, &format!("gone{n}.a.test"));
            }
        })
        .start()
        .await;
    expect(&world, &[("a.test", 250, "2.0.0", "host mx.a.test[")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_mx_leaves_time_for_the_next() {
    let world = World::new()
        .domain_with(
            "a.test",
            vec![
                ("mute.a.test", 10, Script::silent()),
                ("good.a.test", 20, Script::default()),
            ],
        )
        .domain("b.test", Script::silent())
        .config("relay.reach_timeout = '4s'")
        .start()
        .await;
    let began = Instant::now();
    expect(
        &world,
        &[
            ("a.test", 250, "2.0.0", "host good.a.test["),
            ("b.test", 451, "4.4.1", "mx.b.test["),
        ],
    )
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(7),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rules_next_hop_replaces_the_mx_lookup() {
    let world = World::new()
        .host("smart.test", Script::default())
        .domain_with(
            "pool.test",
            vec![
                ("one.pool.test", 10, Script::refused()),
                ("two.pool.test", 20, Script::default()),
            ],
        )
        .dns(|dns| {
            dns.null_mx("host.test").null_mx("port.test");
            dns.mx("pool2.test", 10, "two.pool.test");
            dns.mx("self.test", 10, "relay.test");
        })
        .config_with(|net| {
            let port = net.ports.port();
            let ip = net.mx("smart.test").address().ip();
            let rule = |domain: &str, hop: &str| {
                format!("[[rule]]\ndomains = ['{domain}']\nnext_hop = '{hop}'\n")
            };
            // Only the port in the rule leads anywhere.
            [
                "outbound.port = 9\n".to_owned(),
                rule("host.test", &format!("[smart.test]:{port}")),
                rule("port.test", &format!("pool.test:{port}")),
                rule("address.test", &format!("[{ip}]:{port}")),
                rule("*.below.test", &format!("pool2.test:{port}")),
                rule("plain.test", "[smart.test]"),
                rule("typo.test", "[nowhere.test]"),
                rule("typo2.test", "nowhere.test"),
                rule("loop.test", "self.test"),
                rule("nullhop.test", "port.test"),
            ]
            .concat()
        })
        .start()
        .await;
    expect(
        &world,
        &[
            ("host.test", 250, "2.0.0", "host smart.test["),
            ("port.test", 250, "2.0.0", "host two.pool.test["),
            ("address.test", 250, "2.0.0", "host ["),
            ("a.below.test", 250, "2.0.0", "host two.pool.test["),
            ("plain.test", 451, "4.4.1", "smart.test["),
            // The rule is at fault, not the recipient.
            ("typo.test", 451, "4.3.5", "next_hop [nowhere.test]"),
            ("typo2.test", 451, "4.3.5", "next_hop nowhere.test"),
            ("loop.test", 451, "4.3.5", "next_hop self.test"),
            ("nullhop.test", 451, "4.3.5", "next_hop port.test"),
        ],
    )
    .await;
    let dns = &world.net.dns;
    for domain in ["host.test", "a.below.test", "smart.test"] {
        assert_eq!(dns.queries(domain, RecordType::MX), 0, "{domain}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn port_465_of_a_next_hop_is_tls_from_the_first_octet() {
    let world = World::new()
        .config(
            "[[rule]]\ndomains = ['a.test']\nnext_hop = '[tls.test]:465'\nrequire = 'verify'\n\
             [[rule]]\ndomains = ['b.test']\nnext_hop = '[other.test]:465'\nrequire = 'verify'\n\
             [[rule]]\ndomains = ['c.test']\nnext_hop = '[clear.test]:465'",
        )
        .config("relay.reach_timeout = '3s'")
        .start()
        .await;
    let net = &world.net;
    let at = |name: &str| {
        let address = SocketAddr::new(net.ports.next().ip(), 465);
        net.dns.address_of(name, address.ip());
        address
    };
    let script = || Script {
        listening: Listening::ImplicitTls,
        ..Script::default()
    };
    let identity = net.ca.identity("tls.test");
    let started = Mx::start_with("tls.test", at("tls.test"), identity.clone(), script()).await;
    let Ok(mx) = started else {
        eprintln!(
            "skipped, port 465 cannot be bound: {}",
            started.unwrap_err()
        );
        return;
    };
    let other = Mx::start_with("other.test", at("other.test"), identity.clone(), script())
        .await
        .unwrap();
    let clear = Mx::start_with("clear.test", at("clear.test"), identity, Script::default())
        .await
        .unwrap();
    expect(
        &world,
        &[
            ("a.test", 250, "2.0.0", "webpki"),
            ("b.test", 451, "4.7.5", "certificate is for tls.test"),
            ("c.test", 451, "4.7.5", "TLS handshake"),
        ],
    )
    .await;
    let connection = &mx.connections()[0];
    assert_eq!(connection.commands, Vec::<String>::new());
    assert_eq!(connection.tls_commands[0], "EHLO relay.test");
    assert!(!connection.tls_commands.iter().any(|c| c == "STARTTLS"));
    assert_eq!(
        connection.tls.as_ref().unwrap().sni.as_deref(),
        Some("tls.test")
    );
    for mx in [&mx, &other, &clear] {
        assert!(
            !mx.mail_octets_in_clear() && !mx.wire_contains("secret-marker"),
            "{}",
            mx.name()
        );
    }
    assert_eq!((other.messages().len(), clear.messages().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_as_long_as_they_live_and_no_longer() {
    let world = World::new()
        .dns(|dns| {
            dns.ttl(3600);
        })
        .domain("long.test", Script::default())
        .dns(|dns| {
            dns.ttl(1);
        })
        .domain("short.test", Script::default())
        .start()
        .await;
    for domain in ["long.test", "short.test"] {
        let began = Instant::now();
        while world.net.dns.queries("short.test", RecordType::MX) < 2
            && began.elapsed() < Duration::from_secs(10)
        {
            assert_eq!(world.send(&format!("x@{domain}")).await.code, 250);
            if domain == "long.test" {
                break;
            }
        }
    }
    assert_eq!(world.send("x@long.test").await.code, 250);
    assert_eq!(world.net.dns.queries("long.test", RecordType::MX), 1);
    assert!(world.net.dns.queries("short.test", RecordType::MX) >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_failed_is_looked_up_again() {
    let world = World::new()
        .domain("a.test", Script::default())
        .dns(|dns| {
            dns.fault("a.test", RecordType::MX, Fault::ServFail);
        })
        .config(FAST)
        .start()
        .await;
    assert_eq!(said(&world.send("x@a.test").await), (451, "4.4.3"));
    world.net.dns.mend("a.test");
    let until = Instant::now() + Duration::from_secs(10);
    while world.send("x@a.test").await.code != 250 {
        assert!(
            Instant::now() < until,
            "the failure is remembered for too long"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_of_one_message_are_delivered_side_by_side() {
    let slow = || Script {
        greeting: Act::Normal.after(Duration::from_millis(1500)),
        ..Script::default()
    };
    let mut builder = World::new();
    let domains = ["a.test", "b.test", "c.test", "d.test", "e.test", "f.test"];
    for domain in domains {
        builder = builder.domain(domain, slow());
    }
    let world = builder.start().await;
    let began = Instant::now();
    let table = domains.map(|domain| (domain, 250, "2.0.0", ""));
    expect(&world, &table).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_cannot_be_one_is_refused_at_rcpt() {
    let world = World::new().start().await;
    let mut client: SmtpClient = world.smtp().await;
    client.command("MAIL FROM:<s@client.test>").await.unwrap();
    for address in ["x@a..test", "x@-", "x@[300.1.1.1]", "x@[IPv6:zz]"] {
        let reply = client
            .command(&format!("RCPT TO:<{address}>"))
            .await
            .unwrap();
        assert!((500..600).contains(&reply.code), "{address}: {reply}");
    }
    assert_eq!(asked(&world), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_name_is_said_in_a_labels() {
    let world = World::new()
        .domain("a.test", Script::default())
        .config("hostname = 'rélay.Test'")
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let mx = world.mx("a.test");
    assert_eq!(mx.connections()[0].commands[0], "EHLO xn--rlay-bpa.test");
    assert_eq!(mx.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_dns_server_does_not_stop_mail() {
    let world = World::new()
        .domain("a.test", Script::default())
        .domain("b.test", Script::default())
        .config_with(|net| {
            let (dead, alive) = (net.ports.next(), net.dns.address());
            format!("dns.servers = ['{dead}', '{alive}']\ndns.timeout = '2s'")
        })
        .start()
        .await;
    expect(
        &world,
        &[("a.test", 250, "2.0.0", ""), ("b.test", 250, "2.0.0", "")],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_hop_always_sees_the_same_source_address() {
    let mut builder = World::new().config(
        "outbound.bind = ['127.0.0.81', '127.0.0.82', '::1']\noutbound.messages_per_connection = 1",
    );
    let domains: Vec<String> = (0..24).map(|n| format!("d{n}.test")).collect();
    for domain in &domains {
        builder = builder.domain(domain, Script::default());
    }
    let world = builder.start().await;
    let recipients: Vec<String> = domains.iter().map(|domain| format!("x@{domain}")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    for _ in 0..3 {
        let replies = world.send_lmtp(&recipients).await;
        assert!(replies.iter().all(|reply| reply.code == 250));
    }
    let mut all = BTreeSet::new();
    for domain in &domains {
        let connections = world.mx(domain).connections();
        let sources: BTreeSet<String> = connections
            .iter()
            .map(|connection| connection.peer.ip().to_string())
            .collect();
        assert_eq!((connections.len(), sources.len()), (3, 1), "{domain}");
        all.extend(sources);
    }
    // One of them for all 24: once in 2^23.
    assert_eq!(Vec::from_iter(all), ["127.0.0.81", "127.0.0.82"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_may_have_a_name_and_an_address_of_its_own() {
    let world = World::new()
        .domain("a.test", Script::default())
        .config_with(|net| {
            let (smtp, lmtp) = (net.relay_smtp(), net.relay_lmtp());
            format!(
                "outbound.bind = ['127.0.0.83']\n\
                 [[listen]]\naddress = '{smtp}'\nprotocol = 'smtp'\n\
                 [[listen]]\naddress = '{lmtp}'\nprotocol = 'lmtp'\nhostname = 'second.test'\nbind = ['127.0.0.84']"
            )
        })
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert_eq!(world.send_lmtp(&["x@a.test"]).await[0].code, 250);
    assert_eq!(world.send("x@a.test").await.code, 250);
    let seen: Vec<_> = world
        .mx("a.test")
        .connections()
        .iter()
        .map(|c| (c.commands[0].clone(), c.peer.ip().to_string()))
        .collect();
    let row = |name: &str, ip: &str| (format!("EHLO {name}"), ip.to_owned());
    assert_eq!(
        seen,
        [
            row("relay.test", "127.0.0.83"),
            row("second.test", "127.0.0.84")
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn families_are_preferred_as_configured() {
    if !ipv6() {
        return;
    }
    for (preference, family) in [("ipv4", 4), ("ipv6", 6), ("ipv6-only", 6), ("ipv4-only", 4)] {
        let world = World::new()
            .domain("a.test", Script::default())
            .host_v6("mx.a.test", Script::default())
            .config(&format!("outbound.address_preference = '{preference}'"))
            .start()
            .await;
        assert_eq!(world.send("x@a.test").await.code, 250);
        let (four, six) = (world.mx("mx.a.test"), world.mx("mx.a.test#v6"));
        let counts = (four.messages().len(), six.messages().len());
        assert_eq!(
            counts,
            if family == 4 { (1, 0) } else { (0, 1) },
            "{preference}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_on_policy_grounds_is_tried_once_over_the_other_family() {
    if !ipv6() {
        return;
    }
    let refusing = |text: &str| Script {
        rcpt: (550, text).into(),
        ..Script::default()
    };
    let world = World::new()
        .domain("a.test", Script::default())
        .host_v6("mx.a.test", refusing("5.7.1 no reverse name"))
        .domain("b.test", Script::default())
        .host_v6("mx.b.test", refusing("5.1.1 no such user"))
        .domain("c.test", refusing("5.7.25 not you either"))
        .host_v6("mx.c.test", refusing("5.7.1 no reverse name"))
        .config("outbound.address_preference = 'ipv6'")
        .start()
        .await;
    expect(
        &world,
        &[
            ("a.test", 250, "2.0.0", "host mx.a.test[127."),
            ("b.test", 550, "5.1.1", "host mx.b.test[fd5e:"),
            ("c.test", 550, "5.7.25", "host mx.c.test[127."),
        ],
    )
    .await;
    assert!(world.mx("mx.b.test").connections().is_empty());
    assert_eq!(world.mx("mx.c.test#v6").connections().len(), 1);
}
