//! The lab's table of DANE (usages, selectors, matching types and states of records, kinds of certificates) through the
//! real binary: a domain, an MX host and TLSA records in a signed zone for every line, and mail for each.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::Internet;
use lab::ca::Ca;
use lab::client::Reply;
use lab::dane::{Case, Certificate, Expected, Host, cases};
use support::{Script, World};

/// Recipients of one message; each is delivered by itself.
const AT_ONCE: usize = 100;

/// One line as it is in the DNS: mail for `domain` goes to a name of the host of its certificate.
struct Line {
    case: Case,
    domain: String,
}

/// Every name of a zone; certificates are made for it.
fn any_name(zone: &str) -> String {
    format!("*.{zone}")
}

fn publish(net: &Internet, zone: &str, host: &Host<'_>, cases: Vec<Case>) -> Vec<Line> {
    let address = net.mx(&format!("host.{zone}")).address().ip();
    let port = net.ports.port();
    let mut lines = Vec::new();
    for (at, case) in cases.into_iter().enumerate() {
        let (domain, mx) = (format!("d{at}.{zone}"), format!("mx{at}.{zone}"));
        net.dns.mx(&domain, 10, &mx).address_of(&mx, address);
        for data in host.publish(&case.records) {
            net.dns.tlsa_raw(&mx, port, &data);
        }
        lines.push(Line { case, domain });
    }
    lines
}

fn verdict(reply: &Reply) -> Option<Expected> {
    match reply.code {
        250 if reply.contains(", dane)") => Some(Expected::Authenticated),
        250 if reply.contains(", encrypt)") => Some(Expected::EncryptedOnly),
        451 if reply.enhanced() == Some("4.7.5") => Some(Expected::Deferred),
        _ => None,
    }
}

/// Sends mail along every line with one of these certificates.
async fn check(certificates: &[Certificate]) {
    let ca = Ca::default();
    let mut builder = World::new().config("[outbound]\nmax_connections_per_mx = 100");
    let mut hosts = Vec::new();
    for (at, certificate) in certificates.iter().enumerate() {
        let zone = format!("z{at}.test");
        let host = certificate.host(&ca, &any_name(&zone));
        let script = Script::with_identity(host.identity.clone());
        builder = builder.host(&format!("host.{zone}"), script);
        hosts.push((zone, host));
    }
    let world = builder.start().await;
    let mut lines = Vec::new();
    for ((zone, host), certificate) in hosts.iter().zip(certificates) {
        world.net.dns.secure(zone);
        let all = cases().into_iter();
        let own = all
            .filter(|case| case.certificate == *certificate)
            .collect();
        lines.extend(publish(&world.net, zone, host, own));
    }
    let mut wrong = Vec::new();
    for some in lines.chunks(AT_ONCE) {
        let recipients: Vec<String> = some
            .iter()
            .map(|line| format!("x@{}", line.domain))
            .collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        for (line, reply) in some.iter().zip(world.send_lmtp(&recipients).await) {
            let expected = line.case.expected();
            if verdict(&reply) != Some(expected) {
                wrong.push(format!("{}: {reply}; expected {expected:?}", line.case));
            }
        }
    }
    // What was deferred has not arrived by another way.
    let arrived: usize = world.net.hosts().map(|mx| mx.messages().len()).sum();
    let delivered = lines
        .iter()
        .filter(|line| line.case.expected() != Expected::Deferred);
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        lines.len(),
        wrong.join("\n")
    );
    assert_eq!(arrived, delivered.count());
    eprintln!("{} lines", lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_complete_or_not() {
    check(&[
        Certificate::Good,
        Certificate::RootOmitted,
        Certificate::ByIntermediate,
        Certificate::ByIntermediateRootOmitted,
        Certificate::IntermediateOmitted,
        Certificate::Padded,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_names_and_purposes() {
    check(&[
        Certificate::Expired,
        Certificate::NotYetValid,
        Certificate::WrongName,
        Certificate::Wildcard,
        Certificate::ClientOnly,
        Certificate::CommonName,
        Certificate::CommonNameBesideSan,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_and_old_versions_as_servers() {
    check(&[
        Certificate::CommonNameWildcard,
        Certificate::Authority,
        Certificate::Version1,
        Certificate::SelfSigned,
        Certificate::SelfSignedAuthority,
        Certificate::SelfSignedExpiredWrongName,
        Certificate::SelfSignedVersion1,
    ])
    .await;
}
