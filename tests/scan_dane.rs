//! What `sealpost scan` makes of TLSA records is what a delivery makes of them.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::{Cert, Intermediate};
use support::{Bench, Script, World};

/// RFC 7672 §8.1: the TLSA base domain, which for an alias is its target.
#[tokio::test(flavor = "multi_thread")]
async fn an_aliased_host_is_asked_by_the_name_at_which_its_records_are() {
    let world = World::new()
        .host("host.s.test", Script::default())
        .net(|net| {
            net.dns
                .secure("a.test")
                .secure("s.test")
                .mx("a.test", 10, "mx.a.test")
                .cname("mx.a.test", "host.s.test");
            net.tlsa("host.s.test", "3 1 1");
        });
    let bench = Bench::of(world).await;
    let record = &bench.records(&["--depth", "normal", "a.test"]).await[0];
    let connections = bench.net.mx("host.s.test").connections();
    let names: Vec<_> = connections
        .iter()
        .filter_map(|c| c.tls.as_ref()?.sni.clone())
        .collect();
    assert!(
        !names.is_empty() && names.iter().all(|name| name == "host.s.test"),
        "{names:?}"
    );
    let host = &record["hosts"][0];
    assert_eq!(host["tlsa"]["matching"], "yes", "{host:#}");
    // Under MTA-STS it would be asked by another name: nothing is known.
    assert_eq!(host["sts_certificate"], "not-tested", "{host:#}");
}

/// RFC 7672 §3.2.2: under DANE-TA the recipient's domain may stand in the certificate in place of the host's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_the_next_hop_matches_an_anchor() {
    for (name, matching) in [("a.test", "yes"), ("b.test", "no")] {
        let world = World::new()
            .certified("a.test", move |ca| {
                let cert = Cert::new([name]).with_intermediate(Intermediate::Sent);
                Script::with_identity(ca.issue(&cert))
            })
            .net(|net| {
                net.dns.secure("a.test");
                net.tlsa("mx.a.test", "2 1 1");
            });
        let bench = Bench::of(world).await;
        let record = &bench.records(&["--depth", "visit", "a.test"]).await[0];
        let host = &record["hosts"][0];
        assert_eq!(host["tlsa"]["matching"], matching, "{name}: {host:#}");
        let entry = &host["tlsa"]["records"][0];
        assert_eq!(entry["matches"], matching, "{name}: {host:#}");
        assert_eq!(
            entry.get("reason").is_some_and(|r| !r.is_null()),
            matching == "no",
            "{entry:#}"
        );
    }
}
