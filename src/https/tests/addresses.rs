//! Which address is asked, and whom the request is shown to.

use super::*;
use crate::policy::{CertificateProblem, TlsFailure};
use lab::mx::{ClientCert, Listening, Mx, Script};

/// Not routed anywhere (RFC 6666).
const UNROUTABLE: &str = "100::1";

fn good(world: &World) -> Vec<Act> {
    vec![
        world.tls(),
        Act::Head,
        Act::Send(ok("Content-Length: 2", "hi")),
    ]
}

#[tokio::test]
async fn whoever_cannot_prove_to_be_the_host_does_not_see_the_request() {
    let mut world = World::new();
    let stranger = Ca::new("stranger");
    let (own, cert) = (&world.ca, Cert::new([HOST]));
    let mismatch = CertificateProblem::NameMismatch {
        presented: vec!["example.test".into()],
    };
    let cases = [
        (world.tls_with(own, &Cert::new(["example.test"])), mismatch),
        (
            world.tls_with(&stranger, &cert),
            CertificateProblem::Untrusted,
        ),
        (
            world.tls_with(own, &cert.clone().expired()),
            CertificateProblem::Expired,
        ),
        (
            world.tls_with(own, &cert.clone().not_yet_valid()),
            CertificateProblem::NotYetValid,
        ),
        (
            world.tls_with(own, &cert.clone().self_signed()),
            CertificateProblem::SelfSigned,
        ),
        (
            world.tls_with(own, &cert.client_only()),
            CertificateProblem::WrongUsage,
        ),
    ];
    for (tls, problem) in cases {
        let answer = Act::Send(ok("Content-Length: 2", "hi"));
        let address = world.serve(vec![tls, Act::Head, answer]).await;
        for _ in 0..2 {
            let got = world.get(&[address]).await;
            assert_eq!(got, Err(HttpsFailure::Certificate(problem.clone())));
        }
    }
    assert!(world.heads().is_empty());
    assert_eq!(world.seen.connections.load(Ordering::SeqCst), 12);
}

/// With TLS 1.3 a server says only after our side of the handshake that it wants a certificate of ours.
#[tokio::test]
async fn a_refusal_after_the_handshake_is_told_as_one_of_tls() {
    let world = World::new();
    let mut script = Script {
        listening: Listening::ImplicitTls,
        ..Script::with_identity(world.ca.identity(HOST))
    };
    script.tls.client_cert = ClientCert::Required;
    let mx = Mx::start(HOST, world.ports.next(), script).await.unwrap();
    let got = world.get(&[mx.address().ip()]).await;
    let text = "the peer sent the alert CertificateRequired";
    assert_eq!(
        got,
        Err(HttpsFailure::Tls(TlsFailure::Handshake(text.into())))
    );
}

#[tokio::test]
async fn a_wildcard_stands_for_the_host() {
    let mut world = World::new();
    let tls = world.tls_with(&world.ca, &Cert::new(["*.example.test"]));
    let address = world
        .serve(vec![
            tls,
            Act::Head,
            Act::Send(ok("Content-Length: 2", "hi")),
        ])
        .await;
    assert_eq!(world.get(&[address]).await.unwrap().body, b"hi");
}

#[tokio::test]
async fn the_next_address_is_asked_where_one_fails() {
    let mut world = World::new();
    let good = world.serve(good(&world)).await;
    let foreign = world.tls_with(&world.ca, &Cert::new(["example.test"]));
    let foreign = world.serve(vec![foreign, Act::Head]).await;
    let noise = vec![world.tls(), Act::Head, Act::Send(b"noise\r\n\r\n".to_vec())];
    let noise = world.serve(noise).await;
    let clear = world
        .serve(vec![Act::Send(b"220 hello\r\n".to_vec())])
        .await;
    let silent = world.serve(vec![world.tls(), Act::Head]).await;
    let refusing = world.ports.next().ip();
    let unroutable: IpAddr = UNROUTABLE.parse().unwrap();
    for bad in [foreign, noise, clear, refusing, unroutable] {
        let response = world.get(&[bad, good]).await;
        assert_eq!(
            response.as_ref().map(|r| r.address),
            Ok(good),
            "{bad}: {response:?}"
        );
    }
    let within = Duration::from_secs(6);
    let response = world.get_within(&[silent, good], within).await.unwrap();
    assert_eq!(
        response.address, good,
        "silence does not eat all of the time"
    );
}

#[tokio::test]
async fn an_address_that_does_not_answer_costs_a_moment() {
    let mut world = World::new();
    let silent = world.ports.next();
    let _hole = Mx::start("silent.test", silent, Script::blackhole()).await;
    let good = world.serve(good(&world)).await;
    let began = Instant::now();
    let response = world.get(&[silent.ip(), good]).await.unwrap();
    assert_eq!(response.address, good);
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    let got = world.get_within(&[silent.ip()], SHORT).await;
    assert_eq!(got, Err(HttpsFailure::ConnectTimeout));
    // The connection to it, begun beside the one that won, is needed after all.
    let foreign = world.tls_with(&world.ca, &Cert::new(["example.test"]));
    let foreign = world.serve(vec![foreign]).await;
    let got = world
        .get_within(&[silent.ip(), foreign], Duration::from_secs(2))
        .await;
    assert!(matches!(got, Err(HttpsFailure::Certificate(_))), "{got:?}");
}

#[tokio::test]
async fn the_most_telling_failure_is_told() {
    let mut world = World::new();
    let foreign = world.tls_with(&world.ca, &Cert::new(["example.test"]));
    let foreign = world.serve(vec![foreign, Act::Head]).await;
    let noise = vec![world.tls(), Act::Head, Act::Send(b"noise\r\n\r\n".to_vec())];
    let noise = world.serve(noise).await;
    let gone = world.serve(vec![Act::Leave]).await;
    let refusing = world.ports.next().ip();
    type Kind = fn(&HttpsFailure) -> bool;
    let cases: [(&[IpAddr], Kind); 5] = [
        (&[foreign, refusing, noise], |f| {
            matches!(f, HttpsFailure::Certificate(_))
        }),
        (&[gone, noise, refusing], |f| {
            matches!(f, HttpsFailure::Http(_))
        }),
        (&[gone, refusing], |f| {
            *f == HttpsFailure::Tls(TlsFailure::ConnectionLost)
        }),
        (&[refusing], |f| {
            f.to_string().ends_with(": Connection refused")
        }),
        (&[], |f| *f == HttpsFailure::NoAddress),
    ];
    for (addresses, is_kind) in cases {
        let failure = world.get(addresses).await.unwrap_err();
        assert!(is_kind(&failure), "{addresses:?}: {failure:?}");
    }
}

#[tokio::test]
async fn no_more_than_six_addresses_are_used_and_each_once() {
    let mut world = World::new();
    let mut addresses = Vec::new();
    for _ in 0..6 {
        let address = world.serve(vec![Act::Leave]).await;
        addresses.extend([address, address]);
    }
    addresses.push(world.serve(good(&world)).await);
    let got = world.get(&addresses).await;
    assert_eq!(got, Err(HttpsFailure::Tls(TlsFailure::ConnectionLost)));
    assert_eq!(world.seen.connections.load(Ordering::SeqCst), 6);
}
