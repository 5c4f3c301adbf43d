//! Routes found through a server on loopback.

use super::route::MAX_HOSTS;
use super::this_host::Interfaces;
use super::{
    AddressPreference, Discovery, DiscoverySettings, HostFailure, ImplicitTls, Route, RouteFailure,
};
use crate::dns::Dns;
use crate::dns::testing::{Record, ResponseCode};
use crate::dns::testing::{Responder, a, cname, domain, mx, response_to};
use crate::names::{NextHop, RuleNextHop};
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

const PATIENT: Duration = Duration::from_secs(20);

/// An ordinary configuration; each case changes one thing.
fn settings() -> DiscoverySettings {
    DiscoverySettings {
        own_names: vec![domain("relay.test")],
        nat_addresses: vec!["198.51.100.7".parse().unwrap()],
        port: 25,
        blocked_networks: vec!["127.0.0.0/8".parse().unwrap(), "::/127".parse().unwrap()],
        address_preference: AddressPreference::Any,
    }
}

/// A machine whose only interface is loopback, whatever the one has that runs the tests.
fn discovery(dns: Dns) -> Discovery {
    let loopback = || Some(HashSet::from([Ipv4Addr::LOCALHOST.into()]));
    Discovery::on(dns, Interfaces::read_by(loopback))
}

/// `example.com`, `[192.0.2.1]` (a literal), or `rule:` and a next hop as rules write it.
fn hop(text: &str) -> NextHop {
    if let Some(rule) = text.strip_prefix("rule:") {
        return NextHop::Rule(RuleNextHop::parse(rule).unwrap());
    }
    match text.strip_prefix('[') {
        Some(literal) => NextHop::Literal(literal.trim_end_matches(']').parse().unwrap()),
        None => NextHop::Domain(domain(text)),
    }
}

/// `host=address,address host=!failure :port`, or the failure.
fn said(route: &Result<Route, RouteFailure>) -> String {
    let route = match route {
        Ok(route) => route,
        Err(failure) => return failure.to_string(),
    };
    let mut text = String::new();
    for host in &route.hosts {
        let name = host.host.as_ref().map_or("-".into(), ToString::to_string);
        let addresses = match &host.addresses {
            Ok(list) => list
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(","),
            Err(failure) => format!("!{failure}"),
        };
        text += &format!("{name}={addresses} ");
    }
    let tls = match route.implicit_tls {
        ImplicitTls::No => "",
        ImplicitTls::Yes => " tls",
    };
    format!("{text}:{}{tls}", route.port)
}

fn world() -> Vec<Record> {
    let ttl = 60;
    vec![
        mx("two.test.", 20, "b.test.", ttl),
        mx("two.test.", 10, "a.test.", ttl),
        a("a.test.", "192.0.2.1", ttl),
        a("a.test.", "2001:db8::1", ttl),
        a("b.test.", "192.0.2.2", ttl),
        mx("null.test.", 0, ".", ttl),
        a("implicit.test.", "192.0.2.3", ttl),
        cname("alias.test.", "two.test.", ttl),
        cname("dangling.test.", "gone.test.", ttl),
        mx("nothing.test.", 10, "gone.test.", ttl),
        mx("partly.test.", 10, "gone.test.", ttl),
        mx("partly.test.", 20, "b.test.", ttl),
        mx("bad.test.", 10, "192.0.2.9.", ttl),
        mx("unused.test.", 10, "six.test.", ttl),
        a("six.test.", "2001:db8::6", ttl),
        // Addresses nobody may be sent to.
        a("lo2.test.", "127.0.0.2", ttl),
        a("lo2.test.", "::ffff:127.0.0.3", ttl),
        mx("inside.test.", 10, "lo2.test.", ttl),
        mx("half.test.", 10, "lo2.test.", ttl),
        mx("half.test.", 20, "b.test.", ttl),
        // This host.
        mx("backup.test.", 10, "a.test.", ttl),
        mx("backup.test.", 20, "Relay.test.", ttl),
        mx("backup.test.", 20, "b.test.", ttl),
        mx("backup.test.", 30, "b.test.", ttl),
        mx("ours.test.", 10, "relay.test.", ttl),
        a("relay.test.", "192.0.2.77", ttl),
        mx("nat.test.", 10, "a.test.", ttl),
        mx("nat.test.", 20, "nat-mx.test.", ttl),
        a("nat-mx.test.", "198.51.100.7", ttl),
        mx("local.test.", 10, "localmx.test.", ttl),
        a("localmx.test.", "127.0.0.1", ttl),
        cname("also.test.", "relay.test.", ttl),
        mx("hidden.test.", 10, "also.test.", ttl),
    ]
}

/// Next hop, and the route to it in `world`.
const ROUTES: &[(&str, &str)] = &[
    (
        "two.test",
        "a.test=2001:db8::1,192.0.2.1 b.test=192.0.2.2 :25",
    ),
    (
        "alias.test",
        "a.test=2001:db8::1,192.0.2.1 b.test=192.0.2.2 :25",
    ),
    ("null.test", "domain null.test accepts no mail (null MX)"),
    ("implicit.test", "implicit.test=192.0.2.3 :25"),
    ("gone.test", "domain gone.test does not exist"),
    ("dangling.test", "domain dangling.test does not exist"),
    ("nothing.test", "no MX host of nothing.test has an address"),
    ("bad.test", "no MX host of bad.test has an address"),
    (
        "partly.test",
        "gone.test=!has no address b.test=192.0.2.2 :25",
    ),
    (
        "inside.test",
        "every address of inside.test is in outbound.blocked_networks",
    ),
    (
        "half.test",
        "lo2.test=!has only addresses in outbound.blocked_networks b.test=192.0.2.2 :25",
    ),
    ("backup.test", "a.test=2001:db8::1,192.0.2.1 :25"),
    ("ours.test", "mail for ours.test loops back to this host"),
    ("relay.test", "mail for relay.test loops back to this host"),
    (
        "hidden.test",
        "mail for hidden.test loops back to this host",
    ),
    ("nat.test", "a.test=2001:db8::1,192.0.2.1 :25"),
    ("local.test", "mail for local.test loops back to this host"),
    ("[192.0.2.5]", "-=192.0.2.5 :25"),
    ("[2001:db8::5]", "-=2001:db8::5 :25"),
    (
        "[127.0.0.2]",
        "every address of [127.0.0.2] is in outbound.blocked_networks",
    ),
    (
        "[::ffff:127.0.0.2]",
        "every address of [127.0.0.2] is in outbound.blocked_networks",
    ),
    (
        "[198.51.100.7]",
        "mail for [198.51.100.7] loops back to this host",
    ),
    (
        "rule:two.test",
        "a.test=2001:db8::1,192.0.2.1 b.test=192.0.2.2 :25",
    ),
    (
        "rule:ours.test",
        "mail for ours.test loops back to this host",
    ),
    ("rule:ours.test:2525", "relay.test=192.0.2.77 :2525"), // another port, another service
    (
        "rule:inside.test",
        "every address of inside.test is in outbound.blocked_networks",
    ),
    ("rule:[b.test]:465", "b.test=192.0.2.2 :465 tls"),
    (
        "rule:two.test:465",
        "a.test=2001:db8::1,192.0.2.1 b.test=192.0.2.2 :465 tls",
    ),
    ("rule:[localmx.test]", "localmx.test=127.0.0.1 :25"),
    ("rule:[relay.test]", "relay.test=192.0.2.77 :25"),
    ("rule:[gone.test]", "no MX host of gone.test has an address"),
    ("rule:[127.0.0.1]:10025", "-=127.0.0.1 :10025"),
];

#[tokio::test]
async fn routes_of_domains_and_rules() {
    let server = Responder::zone(world()).await;
    let discovery = discovery(server.dns(PATIENT));
    for (next_hop, expected) in ROUTES {
        let route = discovery.route(&hop(next_hop), &settings()).await;
        assert_eq!(said(&route), *expected, "{next_hop}");
    }
}

#[tokio::test]
async fn what_loopback_is_with_nothing_blocked() {
    let server = Responder::zone(world()).await;
    let discovery = discovery(server.dns(PATIENT));
    let open = DiscoverySettings {
        blocked_networks: vec![],
        address_preference: AddressPreference::Ipv4Only,
        ..settings()
    };
    for (next_hop, expected) in [
        ("inside.test", "lo2.test=127.0.0.2 :25"), // no interface has exactly this address
        ("local.test", "mail for local.test loops back to this host"),
        (
            "[127.0.0.1]",
            "mail for [127.0.0.1] loops back to this host",
        ),
        ("[0.0.0.0]", "mail for [0.0.0.0] loops back to this host"),
        ("[127.0.0.2]", "-=127.0.0.2 :25"),
    ] {
        let route = discovery.route(&hop(next_hop), &open).await;
        assert_eq!(said(&route), expected, "{next_hop}");
    }
}

#[tokio::test]
async fn families_that_are_not_in_use() {
    use AddressPreference::{Ipv4, Ipv4Only, Ipv6Only};
    let server = Responder::zone(world()).await;
    let discovery = discovery(server.dns(PATIENT));
    for (next_hop, preference, expected) in [
        (
            "two.test",
            Ipv4,
            "a.test=192.0.2.1,2001:db8::1 b.test=192.0.2.2 :25",
        ),
        (
            "two.test",
            Ipv4Only,
            "a.test=192.0.2.1 b.test=192.0.2.2 :25",
        ),
        (
            "two.test",
            Ipv6Only,
            "a.test=2001:db8::1 b.test=!has no address of a family that is in use :25",
        ),
        (
            "unused.test",
            Ipv4Only,
            "no host of unused.test has an address of a family that is in use",
        ),
        (
            "nothing.test",
            Ipv4Only,
            "no MX host of nothing.test has an address",
        ),
        (
            "[2001:db8::5]",
            Ipv4Only,
            "no host of [2001:db8::5] has an address of a family that is in use",
        ),
        ("rule:[2001:db8::5]", Ipv4Only, "-=2001:db8::5 :25"),
    ] {
        let settings = DiscoverySettings {
            address_preference: preference,
            ..settings()
        };
        let route = discovery.route(&hop(next_hop), &settings).await;
        assert_eq!(said(&route), expected, "{next_hop} {preference:?}");
    }
}

/// MX records as in `world`, and failures for some questions.
async fn troubled() -> Responder {
    Responder::start(|query, _| {
        let question = &query.queries[0];
        let asked = format!("{} {}", question.query_type(), question.name());
        let mut message = response_to(query, ResponseCode::NoError);
        let ttl = 60;
        match &asked[..] {
            "MX fails.test." | "A down.test." | "AAAA down.test." | "AAAA half.test."
            | "AAAA empty.test." => {
                message.metadata.response_code = ResponseCode::ServFail;
            }
            "MX one.test." => message.answers = vec![mx("one.test.", 1, "down.test.", ttl)],
            "MX two.test." => {
                message.answers = vec![
                    mx("two.test.", 1, "down.test.", ttl),
                    mx("two.test.", 2, "half.test.", ttl),
                ];
            }
            "MX none.test." => message.answers = vec![mx("none.test.", 1, "empty.test.", ttl)],
            "A half.test." => message.answers = vec![a("half.test.", "192.0.2.1", ttl)],
            _ => {}
        }
        vec![message.to_vec().unwrap()]
    })
    .await
}

#[tokio::test]
async fn a_failed_lookup_is_never_taken_for_absence() {
    let server = troubled().await;
    let discovery = discovery(server.dns(PATIENT));
    for (next_hop, expected) in [
        ("fails.test", "DNS lookup of fails.test: *"),
        ("one.test", "down.test=!* :25"),
        ("two.test", "down.test=!* half.test=192.0.2.1 :25"),
        ("none.test", "empty.test=!* :25"), // A absent, AAAA unknown
        ("down.test", "down.test=!* :25"),  // no MX, addresses unknown
        ("empty.test", "empty.test=!* :25"),
        (
            "nodata.test",
            "domain nodata.test has neither MX nor address records",
        ),
        ("rule:[down.test]", "down.test=!* :25"),
    ] {
        let route = discovery.route(&hop(next_hop), &settings()).await;
        let failure = format!("server failure (SERVFAIL from {})", server.address);
        assert_eq!(said(&route).replace(&failure, "*"), expected, "{next_hop}");
    }
}

#[tokio::test]
async fn equal_preferences_change_places_and_hosts_are_capped() {
    let many = (0..60u16).map(|n| mx("many.test.", n, &format!("h{n}.test."), 60));
    let hosts = (0..60u16).map(|n| a(&format!("h{n}.test."), &format!("192.0.2.{n}"), 60));
    let equal = (0..2u16).map(|n| mx("equal.test.", 5, &format!("h{n}.test."), 60));
    let server = Responder::zone(many.chain(hosts).chain(equal).collect()).await;
    let discovery = discovery(server.dns(PATIENT));
    let mut orders = HashSet::new();
    for _ in 0..64 {
        let route = discovery.route(&hop("equal.test"), &settings()).await;
        orders.insert(said(&route));
    }
    assert_eq!(orders.len(), 2);

    let route = discovery
        .route(&hop("many.test"), &settings())
        .await
        .unwrap();
    assert_eq!(route.hosts.len(), MAX_HOSTS);
    assert_eq!(route.hosts[0].host.as_ref().unwrap().0, domain("h0.test"));
}

#[tokio::test]
async fn one_silent_family_delays_the_other_only_a_little() {
    let server = Responder::start(|query, _| {
        let mut message = response_to(query, ResponseCode::NoError);
        match query.queries[0].query_type().to_string().as_str() {
            "AAAA" => return vec![],
            "A" => message.answers = vec![a("a.test.", "192.0.2.1", 60)],
            _ => {}
        }
        vec![message.to_vec().unwrap()]
    })
    .await;
    let discovery = discovery(server.dns(Duration::from_secs(300)));
    let (next_hop, settings) = (hop("a.test"), settings());
    let route = discovery.route(&next_hop, &settings);
    let route = tokio::time::timeout(Duration::from_secs(60), route).await;
    assert_eq!(said(&route.unwrap()), "a.test=192.0.2.1 :25");
}

#[tokio::test]
async fn warming_asks_what_the_route_will_need() {
    let server = Responder::zone(world()).await;
    let discovery = discovery(server.dns(PATIENT));
    discovery.warm(&hop("two.test"), &settings()).await;
    let asked = server.asked();
    assert_eq!(asked.len(), 5, "{asked:?}");
    let route = discovery
        .route(&hop("two.test"), &settings())
        .await
        .unwrap();
    assert_eq!(server.asked().len(), 5);
    assert!(
        route
            .hosts
            .iter()
            .all(|host| host.addresses != Err(HostFailure::NoAddress))
    );
}
