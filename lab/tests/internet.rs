//! The parts put together.
#![allow(clippy::unwrap_used, reason = "it is test code")]

use lab::Internet;
use lab::client::SmtpClient;
use lab::dns::{DnsServer, RecordType};
use lab::mx::Script;

#[tokio::test(flavor = "multi_thread")]
async fn domains_have_hosts_of_their_own_on_one_port() {
    let mut net = Internet::new().await.unwrap();
    for domain in ["a.test", "b.test", "c.test"] {
        net.domain(domain, Script::default()).await.unwrap();
    }
    net.host("backup.test", Script::no_starttls())
        .await
        .unwrap();
    for name in ["a.test", "mx.b.test", "c.test", "backup.test"] {
        let mx = net.mx(name);
        assert_eq!(mx.address().port(), net.ports.port());
        let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
        let reply = client
            .mail("x@x.test", &["y@y.test"], b"text\r\n")
            .await
            .unwrap();
        assert_eq!(reply.code, 250);
        assert_eq!(mx.messages().len(), 1);
    }
    assert_eq!(net.hosts().count(), 4);
    let address = net.mx("a.test").address();
    net.mx_mut("a.test").stop().await;
    assert!(SmtpClient::connect(address).await.is_err());
    let config = net.config(std::path::Path::new("/nowhere"));
    let port = net.ports.port();
    for line in [
        format!("\nport = {port}\nmta_sts_port = {port}\n"),
        "\nsocket = \"/nowhere/admin.sock\"\n".to_owned(),
    ] {
        assert!(config.contains(&line), "{config}");
    }
    let _: (&DnsServer, RecordType) = (&net.dns, RecordType::MX);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_certificates_are_trusted_by_its_root() {
    let mut net = Internet::new().await.unwrap();
    net.domain("a.test", Script::default()).await.unwrap();
    let client = SmtpClient::smtp(net.mx("a.test").address()).await.unwrap();
    let client = client.starttls("mx.a.test").await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(net.ca.root().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
    let verifier = builder.build().unwrap();
    let chain = client
        .server_chain
        .iter()
        .map(|der| der.clone().into())
        .collect::<Vec<_>>();
    let now =
        rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
    for (name, trusted) in [("mx.a.test", true), ("a.test", false)] {
        let name = rustls_pki_types::ServerName::try_from(name).unwrap();
        let verdict = rustls::client::danger::ServerCertVerifier::verify_server_cert(
            verifier.as_ref(),
            &chain[0],
            &chain[1..],
            &name,
            &[],
            now,
        );
        assert_eq!(verdict.is_ok(), trusted, "{name:?} {verdict:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_may_have_ipv6_where_root_allows_it() {
    let mut net = Internet::new().await.unwrap();
    if let Err(error) = net.host_v6("mx.a.test", Script::default()).await {
        eprintln!("skipped: {error}");
        return;
    }
    net.host("mx.a.test", Script::no_starttls()).await.unwrap();
    let six = net.mx("mx.a.test#v6").address();
    assert!(six.is_ipv6() && net.mx("mx.a.test").address().is_ipv4());
    SmtpClient::smtp(six)
        .await
        .unwrap()
        .starttls("mx.a.test")
        .await
        .unwrap();
}
