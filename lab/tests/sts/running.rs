//! Certificates, counters, the end of a host; hosts of many names, and those of an Internet.

use std::sync::Arc;

use lab::Internet;
use lab::ca::{Ca, Cert};
use lab::client::tls_config;
use lab::dns::RecordType;
use lab::mx::Versions;
use lab::sts::{Answer, PolicyHost, PolicyScript, policy};
use rustls::ProtocolVersion;

use crate::client::{Client, End, NAME, fetch, request, tcp};
use crate::host;

/// A client that trusts this authority and nobody else.
fn trusting(ca: &Ca) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.root().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_says_which_certificate_and_version() {
    let ca = Ca::default();
    let expired = ca.issue(&Cert::new([NAME]).expired());
    let any = "127.0.0.1:0".parse().unwrap();
    let good = ca.identity(NAME);
    let host = PolicyHost::start(NAME, any, good.clone(), PolicyScript::default());
    let host = host.await.unwrap();
    let client = Client::connect_for(host.address(), NAME, trusting(&ca)).await;
    let client = client.unwrap();
    assert_eq!(&client.chain()[0], good.leaf());
    assert_eq!(client.version(), Some(ProtocolVersion::TLSv1_3));
    host.set(PolicyScript {
        versions: Versions::Only12,
        ..PolicyScript::with_identity(expired)
    });
    let client = Client::connect(host.address()).await.unwrap();
    assert_ne!(&client.chain()[0], good.leaf());
    assert_eq!(client.version(), Some(ProtocolVersion::TLSv1_2));
    let refused = Client::connect_for(host.address(), NAME, trusting(&ca)).await;
    assert!(refused.is_err() && host.wait_for_failed_handshakes(1).await);
    let why = host.failed_handshakes();
    assert!(why[0].contains("CertificateExpired"), "{why:?}");
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_one_after_the_other_are_never_two_at_once() {
    let host = host(Answer::Good).await;
    for _ in 0..100 {
        assert_eq!(fetch(&host).await.status, 200);
    }
    assert_eq!((host.connections(), host.most_open()), (100, 1));
    assert!(host.wait_for_closed().await);
    assert_eq!(host.open(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_connections_at_once_are_remembered() {
    let host = host(Answer::Hang).await;
    let mut sockets = Vec::new();
    for n in 1..=20 {
        sockets.push(tcp(host.address()).await.unwrap());
        assert!(host.wait_for_connections(n).await);
    }
    assert_eq!((host.open(), host.most_open()), (20, 20));
    drop(sockets);
    assert!(host.wait_for_closed().await);
    assert_eq!((host.open(), host.most_open()), (0, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_refuses_and_cuts() {
    let mut host = host(Answer::Gated {
        body: String::new(),
    })
    .await;
    let mut client = Client::asking(&host).await;
    assert!(host.wait_for_requests(1).await);
    host.stop();
    let error = tcp(host.address()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    host.release();
    assert_eq!(client.rest().await, (String::new(), End::Cut));
    assert!(host.wait_for_closed().await);
    assert_eq!((host.connections(), host.requests().len()), (1, 1));
    let address = host.address();
    host.stop();
    let again = PolicyHost::start(
        NAME,
        address,
        Ca::default().identity(NAME),
        Answer::Good.into(),
    );
    let again = again.await.unwrap();
    assert_eq!(fetch(&again).await.status, 200);
    drop(again);
    assert!(tcp(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_host_of_many_names_has_a_certificate_for_each() {
    let ca = Ca::default();
    let names = (0..10_000).map(|n| format!("mta-sts.d{n}.test"));
    let names = names.collect::<Vec<_>>();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let any = "127.0.0.1:0".parse().unwrap();
    let host = PolicyHost::start_many(&names, any, &ca, PolicyScript::default());
    let host = host.await.unwrap();
    for name in [names[0], names[9_999], names[0]] {
        let client = Client::connect_for(host.address(), name, trusting(&ca)).await;
        let mut client = client.unwrap();
        client.say(request(name)).await;
        let body = client.response().await.unwrap().body;
        let mx = name.replace("mta-sts.", "mx: mx.");
        assert!(body.contains(&mx), "{body}");
    }
    assert_eq!(host.violations(), Vec::<String>::new());
    let client = Client::connect_for(host.address(), names[2], trusting(&ca)).await;
    let mut client = client.unwrap();
    client.say(request(names[1])).await;
    client.response().await.unwrap();
    let wrong = format!("connection 3: a request with the Host {:?}", names[1]);
    assert_eq!(host.violations(), [wrong]);
    let stranger = Client::connect_for(host.address(), "mta-sts.x.test", tls_config(None)).await;
    assert!(stranger.is_err() && host.wait_for_failed_handshakes(1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_internet_publishes_policies() {
    let mut net = Internet::new().await.unwrap();
    let text = policy("enforce", &["mx.a.test"], 86_400);
    let address = net
        .sts("a.test", "1", text.clone())
        .await
        .unwrap()
        .address();
    assert_eq!(address.port(), net.ports.port());
    let host = net.sts_of("a.test");
    let client = Client::connect_for(host.address(), NAME, trusting(&net.ca)).await;
    let mut client = client.unwrap();
    client.say(request(NAME)).await;
    assert_eq!(client.response().await.unwrap().body, text);
    let shown = |name: &str, record_type| {
        let answer = net.dns.honest(name, record_type);
        let data = answer.answers.iter().map(|r| r.data.to_string());
        data.collect::<Vec<_>>()
    };
    assert_eq!(
        shown("_mta-sts.a.test", RecordType::TXT),
        ["v=STSv1; id=1;"]
    );
    assert_eq!(shown(NAME, RecordType::A), [address.ip().to_string()]);
    net.sts_record("a.test", "v=STSv1; id=2;");
    assert_eq!(
        shown("_mta-sts.a.test", RecordType::TXT),
        ["v=STSv1; id=2;"]
    );
    net.sts_of_mut("a.test").stop();
    assert!(tcp(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_has_one_policy_host_the_last() {
    let mut net = Internet::new().await.unwrap();
    let domains = ["a.test", "b.test"];
    let first = net.policy_host_of_many(&domains, PolicyScript::default());
    let first = first.await.unwrap().address();
    let second = net.policy_host("a.test", Answer::Status(404).into()).await;
    let second = second.unwrap().address();
    assert_eq!(net.sts_of("a.test").address(), second);
    assert_eq!(net.sts_of("b.test").address(), first);
    let answer = net.dns.honest(NAME, RecordType::A);
    assert_eq!(answer.answers.len(), 1);
    net.policy_host("b.test", PolicyScript::default())
        .await
        .unwrap();
    // Nobody has the first any more.
    assert!(tcp(first).await.is_err());
    assert_eq!(
        net.dns
            .honest("_mta-sts.a.test", RecordType::TXT)
            .answers
            .len(),
        0
    );
}
