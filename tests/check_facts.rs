//! `sealpost check` tells what `scan` would: certificate, versions, TLS reporting, and what does not fit together.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::mx::{Tls, Versions};
use support::dane::wrong_tlsa;
use support::sts::WEEK;
use support::{Bench, Script, World, WorldBuilder, policy};

fn world() -> WorldBuilder {
    let only12 = Script {
        tls: Tls {
            versions: Versions::Only12,
            ..Tls::default()
        },
        ..Script::default()
    };
    World::new()
        .domain("a.test", only12)
        .domain("bad.test", Script::default())
        .sts("bad.test", "1", policy("enforce", &["mx.bad.test"], WEEK))
        .net(|net| {
            net.dns.secure("bad.test");
            wrong_tlsa(net, "mx.bad.test");
            net.dns
                .txt("_smtp._tls.a.test", "v=TLSRPTv1; rua=mailto:r@a.test");
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_visit_brings_the_certificate_and_the_findings() {
    let bench = Bench::of(world()).await;
    let (code, reports) = bench.json(&["a.test", "bad.test"]).await;
    assert_eq!(code, Some(1));
    let seen = &reports[0]["hosts"][0]["visits"][0]["seen"];
    assert_eq!(seen["certificate"]["key"], "p256", "{seen:#}");
    assert_eq!(seen["certificate"]["verification"], "valid");
    assert_eq!(seen["versions"]["1.2"], "yes");
    assert_eq!(seen["versions"]["1.3"], "not-tested");
    assert_eq!(reports[0]["tlsrpt"]["rua"][0], "mailto:r@a.test");
    let findings = reports[1]["findings"].as_array().unwrap();
    let codes: Vec<_> = findings
        .iter()
        .map(|f| f["code"].as_str().unwrap())
        .collect();
    let contradiction = "mta-sts-lists-host-that-dane-contradicts";
    assert!(codes.contains(&contradiction), "{codes:?}");
    assert_eq!(findings[0]["severity"], "error", "the gravest first");
    for domain in ["a.test", "bad.test"] {
        assert_eq!(bench.net.mx(domain).connections().len(), 1, "{domain}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_is_tried_where_that_is_asked_for() {
    let bench = Bench::of(world()).await;
    let exit = bench.check(&["--depth", "normal", "a.test"]).await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
    for line in [
        "  TLSRPT       mailto:r@a.test\n",
        "      accepts TLSv1.2 yes, TLSv1.3 no, post-quantum no\n",
        "  info         mx.a.test: does not accept TLS 1.3\n",
    ] {
        assert!(exit.stdout.contains(line), "{line:?}: {}", exit.stdout);
    }
    assert!(
        exit.stdout.contains("ecdsa-with-SHA256, until 2"),
        "{}",
        exit.stdout
    );
    assert_eq!(bench.net.mx("a.test").connections().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_called_unreachable_who_was_not_visited() {
    let bench = Bench::of(world()).await;
    let (_, reports) = bench.json(&["--no-connect", "a.test"]).await;
    let findings = reports[0]["findings"].to_string();
    assert!(
        !findings.contains("unreachable") && !findings.contains("no-starttls"),
        "{findings}"
    );
    assert!(bench.net.mx("a.test").connections().is_empty());
}
