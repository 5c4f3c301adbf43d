//! Lookups in a signed world that is honest, ill, or lying.

use super::testing::domain;
use super::world::{Answers, World};
use super::{Dns, Existence, Family, LookupFailure, Proof};
use crate::names::TlsaBaseDomain;

/// `existence proof canonical records`, or the failure.
pub(super) async fn ask(dns: &Dns, question: &str) -> String {
    let (kind, host) = question.split_once(' ').unwrap();
    let said = match kind {
        "A" => told(dns.addresses(&domain(host), Family::V4).await),
        "AAAA" => told(dns.addresses(&domain(host), Family::V6).await),
        "MX" => told(dns.mx(&domain(host)).await),
        "CNAME" => told(dns.alias(&domain(host)).await),
        _ => told(dns.tlsa(&TlsaBaseDomain(domain(host)), 25).await),
    };
    said.unwrap_or_else(|failure| {
        if let LookupFailure::Bogus(why) = failure {
            return format!("bogus: {why}");
        }
        failure.to_string()
    })
}

fn told<T>(
    answer: Result<std::sync::Arc<super::Answer<T>>, LookupFailure>,
) -> Result<String, LookupFailure> {
    let answer = answer?;
    let existence = match answer.existence {
        Existence::Present => answer.records.len().to_string(),
        Existence::NoData => "no data".into(),
        Existence::NxDomain => "no name".into(),
    };
    let proof = match answer.proof {
        Proof::Secure => "secure",
        Proof::Insecure => "insecure",
    };
    Ok(format!("{existence} {proof} {}", answer.canonical))
}

/// Collects what is wrong, so that a failing table is seen whole.
async fn check(dns: &Dns, cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (question, expected) in cases {
        let said = ask(dns, question).await;
        if said != *expected {
            wrong.push(format!("{question}: {said}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn honest(_: &World, _: &str, _: &mut Answers) {}

#[tokio::test]
async fn an_honest_world() {
    let served = World::new().serve(honest).await;
    let dns = served.dns();
    let cases = [
        ("MX ec.test", "1 secure ec.test"),
        ("A mx.ec.test", "1 secure mx.ec.test"),
        ("TLSA mx.ec.test", "1 secure _25._tcp.mx.ec.test"),
        ("AAAA mx.ec.test", "no data secure mx.ec.test"),
        ("A none.ec.test", "no name secure none.ec.test"),
        ("A ent.ec.test", "no data secure ent.ec.test"),
        ("A er.ent.ec.test", "no data secure er.ent.ec.test"),
        ("A x.wild.ec.test", "1 secure x.wild.ec.test"),
        ("A y.x.wild.ec.test", "1 secure y.x.wild.ec.test"),
        ("AAAA x.wild.ec.test", "no data secure x.wild.ec.test"),
        ("A alias.ec.test", "1 secure mx.ec.test"),
        ("AAAA alias.ec.test", "no data secure mx.ec.test"),
        ("CNAME alias.ec.test", "1 secure alias.ec.test"),
        ("CNAME mx.ec.test", "no data secure mx.ec.test"),
        ("A dangling.ec.test", "no name secure gone.ec.test"),
        ("A x.walias.ec.test", "1 secure mx.ec.test"),
        ("AAAA x.walias.ec.test", "no data secure mx.ec.test"),
        ("A in.ec.test", "1 secure mx.n3.test"),
        ("A out.ec.test", "1 insecure mx.plain.test"),
        ("AAAA out.ec.test", "no data insecure mx.plain.test"),
        ("CNAME out.ec.test", "1 secure out.ec.test"),
        ("TLSA shared.ec.test", "1 secure shared.ec.test"),
        ("TLSA wildmx.ec.test", "1 secure _25._tcp.wildmx.ec.test"),
        ("TLSA none.ec.test", "no name secure _25._tcp.none.ec.test"),
        ("A mx.dn.ec.test", "1 secure mx.n3.test"),
        ("AAAA mx.dn.ec.test", "no data secure mx.n3.test"),
        ("A gone.dn.ec.test", "no name secure gone.n3.test"),
        ("CNAME mx.dn.ec.test", "1 secure mx.dn.ec.test"),
        ("A mx.n3.test", "1 secure mx.n3.test"),
        ("TLSA mx.n3.test", "1 secure _25._tcp.mx.n3.test"),
        ("AAAA mx.n3.test", "no data secure mx.n3.test"),
        ("A none.n3.test", "no name secure none.n3.test"),
        ("A ent.n3.test", "no data secure ent.n3.test"),
        ("A y.x.wild.n3.test", "1 secure y.x.wild.n3.test"),
        ("AAAA x.wild.n3.test", "no data secure x.wild.n3.test"),
        ("A mx.opt.test", "1 secure mx.opt.test"),
        ("TLSA mx.opt.test", "1 secure _25._tcp.mx.opt.test"),
        ("AAAA mx.opt.test", "no data secure mx.opt.test"),
        ("A none.opt.test", "no name insecure none.opt.test"),
        ("A mx.child.opt.test", "1 insecure mx.child.opt.test"),
        (
            "AAAA mx.child.opt.test",
            "no data insecure mx.child.opt.test",
        ),
        ("A mx.iter.test", "1 secure mx.iter.test"),
        ("AAAA mx.iter.test", "no data insecure mx.iter.test"),
        ("A mx.plain.test", "1 insecure mx.plain.test"),
        ("TLSA mx.plain.test", "1 insecure _25._tcp.mx.plain.test"),
        ("A none.plain.test", "no name insecure none.plain.test"),
        ("A mx.unknown.test", "1 insecure mx.unknown.test"),
        ("A mx.nods.test", "1 insecure mx.nods.test"),
        ("A mx.sha1.test", "1 secure mx.sha1.test"),
        ("A mx.sha384.test", "1 secure mx.sha384.test"),
        ("A nowhere.test", "no name secure nowhere.test"),
        ("A nowhere", "no name secure nowhere"),
    ];
    check(&dns, &cases).await;
}

#[tokio::test]
async fn zones_that_are_ill() {
    let served = World::new().serve(honest).await;
    let dns = served.dns();
    let cases = [
        (
            "A mx.expired.test",
            "bogus: expired.test. DNSKEY: a signature that has expired",
        ),
        (
            "A none.future.test",
            "bogus: future.test. DNSKEY: a signature that is not valid yet",
        ),
        (
            "TLSA mx.badds.test",
            "bogus: badds.test. DNSKEY: no DNSKEY record matches the DS records",
        ),
    ];
    check(&dns, &cases).await;
}
