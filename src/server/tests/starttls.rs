//! STARTTLS with clients (RFC 3207).

use super::*;
use crate::policy::ClientCertificate;
use crate::tls::{CertificateFiles, Handshake, Roots, TlsClient, TlsSettings};

fn certificate(directory: &std::path::Path) -> CertificateFiles {
    let made = rcgen::generate_simple_self_signed(vec!["relay.example".to_owned()]).unwrap();
    let files = CertificateFiles {
        cert: directory.join("cert.pem"),
        key: directory.join("key.pem"),
    };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

/// What is pipelined behind STARTTLS is never looked at: no transaction begins by it, neither in the
/// clear nor under TLS (CVE-2011-0411).
#[tokio::test]
async fn what_comes_behind_starttls_is_discarded() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let mut server = start_with(Protocol::Smtp, settings(), Some(files));
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client
        .send(b"XFORWARD IDENT=clear\r\nSTARTTLS\r\nMAIL FROM:<evil@b.example>\r\nNOOP\r\n")
        .await;
    assert!(client.reply().await.starts_with("250 2.0.0"));
    assert!(client.reply().await.starts_with("220 2.0.0"));
    assert!(client.read.is_empty(), "one reply and no more");

    let tls = TlsClient::new(&TlsSettings {
        roots: Roots::Mozilla,
        client_certificate: None,
    })
    .unwrap();
    let handshake = Handshake {
        server_name: None,
        address: server.address,
        client_certificate: ClientCertificate::Withhold,
    };
    let (stream, _) = tls.connect(client.stream, &handshake).await.unwrap();
    let mut client = Client {
        stream,
        read: Vec::new(),
    };
    client
        .talk(&[
            ("MAIL FROM:<a@b.example>", "503 5.5.1"), // EHLO is forgotten, and nothing else came
            ("STARTTLS", "503 5.5.1"),
            ("EHLO mta.example", "250 DSN"), // the last line: no STARTTLS
        ])
        .await;
    client.talk(SMTP).await;
    client.send(b"A: b\r\n\r\n.\r\n").await;
    let mut got = server.next().await;
    let ident = got.message.origin.client_id.as_deref();
    assert_eq!(ident, None, "XFORWARD is forgotten too");
    let content = got.content().await;
    assert!(memchr::memmem::find(&content, b" with ESMTPS id ").is_some());
    got.answer(0, "done");
    assert_eq!(client.reply().await, "250 done");
    client.talk(&[("QUIT", "221")]).await;
}

#[tokio::test]
async fn a_handshake_that_is_none_ends_the_session() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let server = start_with(Protocol::Smtp, settings(), Some(files));
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.talk(&[("STARTTLS", "220 2.0.0")]).await;
    client.send(b"MAIL FROM:<evil@b.example>\r\n").await;
    let rest = client.rest().await;
    assert!(memchr::memmem::find(&rest, b"250").is_none());
}
