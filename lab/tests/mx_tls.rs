//! The scripted hosts, talked to over TLS by the lab's own client.
#![allow(clippy::unwrap_used, reason = "it is test code")]

use std::time::Duration;

use lab::ca::{Ca, Cert, Intermediate, Key};
use lab::client::{SmtpClient, tls_config};
use lab::mx::{Channel, ClientCert, Handshake, Listening, Mx, Script, Tls, Versions};

const MAIL: &[u8] = b"Subject: secret-marker\r\n\r\n.dots\r\n..\r\nend\r\n";

async fn host(script: Script) -> Mx {
    Mx::start("mx.test", "127.0.0.1:0".parse().unwrap(), script)
        .await
        .unwrap()
}

async fn secured(mx: &Mx) -> SmtpClient {
    let client = SmtpClient::smtp(mx.address()).await.unwrap();
    let mut client = client.starttls("mx.test").await.unwrap();
    client
        .command("EHLO client.test")
        .await
        .unwrap()
        .expect(250)
        .unwrap();
    client
}

async fn deliver(mut client: SmtpClient) -> u16 {
    let code = client
        .mail("a@a.test", &["b@b.test", "c@b.test"], MAIL)
        .await
        .unwrap()
        .code;
    client.command("QUIT").await.unwrap().expect(221).unwrap();
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_tls_leaves_nothing_in_the_clear() {
    let mx = host(Script::default()).await;
    assert_eq!(deliver(secured(&mx).await).await, 250);
    assert!(mx.wait_for_closed().await);
    assert_eq!(mx.messages()[0].channel, Channel::Tls);
    assert!(!mx.mail_octets_in_clear() && !mx.wire_contains("secret-marker"));
    let seen = &mx.connections()[0];
    assert_eq!(seen.clear(), b"EHLO client.test\r\nSTARTTLS\r\n");
    assert_eq!(seen.tls_commands[0], "EHLO client.test");
    let tls = seen.tls.clone().unwrap();
    assert_eq!(
        (tls.version.as_str(), tls.sni.as_deref()),
        ("1.3", Some("mx.test"))
    );
    assert_eq!(mx.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_after_a_failed_handshake_is_seen() {
    let mx = host(Script {
        handshake: Handshake::Garbage(b"??".to_vec()),
        ..Script::default()
    })
    .await;
    let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
    client
        .command("STARTTLS")
        .await
        .unwrap()
        .expect(220)
        .unwrap();
    client.send("MAIL FROM:<a@a.test>\r\n").await.unwrap();
    drop(client);
    assert!(mx.wait_for_closed().await && mx.mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_past_starttls_are_a_violation_and_dropped() {
    let mx = host(Script::default()).await;
    let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
    client.send("STARTTLS\r\nRSET\r\n").await.unwrap();
    client.reply().await.unwrap().expect(220).unwrap();
    let client = client.handshake("mx.test", tls_config(None)).await.unwrap();
    assert_eq!(
        deliver({
            let mut client = client;
            client.command("EHLO a").await.unwrap();
            client
        })
        .await,
        250
    );
    assert!(
        mx.violations()[0].contains("octets after STARTTLS"),
        "{:?}",
        mx.violations()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_misbehave() {
    for (handshake, text) in [
        (
            Handshake::Surplus(b"250 injected\r\n".to_vec()),
            "octets after",
        ),
        (Handshake::Garbage(b"500 what?\r\n".to_vec()), "corrupt"),
        (Handshake::Stall, "time-out"),
        (Handshake::Close, ""),
        (Handshake::Reset, "reset"),
        (Handshake::Alert(40), "HandshakeFailure"),
    ] {
        let mx = host(Script {
            handshake: handshake.clone(),
            ..Script::default()
        })
        .await;
        let mut client = SmtpClient::smtp(mx.address()).await.unwrap();
        client.patience(Duration::from_millis(500));
        let error = client
            .starttls("mx.test")
            .await
            .err()
            .expect("no handshake")
            .to_string();
        assert!(error.contains(text), "{handshake:?}: {error}");
        assert!(mx.wait_for_closed().await);
        assert_eq!(
            mx.connections()[0].clear(),
            b"EHLO client.test\r\nSTARTTLS\r\n"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_versions_resumption_and_client_certificates() {
    let ca = Ca::default();
    for (versions, version) in [(Versions::Only12, "1.2"), (Versions::Only13, "1.3")] {
        let tls = Tls {
            versions,
            client_cert: ClientCert::Asked,
            ..Tls::default()
        };
        let mx = host(Script {
            tls,
            ..Script::default()
        })
        .await;
        let identity = ca.issue(&Cert::new(["client.test"]).client_only());
        let client = SmtpClient::smtp(mx.address()).await.unwrap();
        let client = client
            .starttls_with("mx.test", tls_config(Some(&identity)))
            .await
            .unwrap();
        drop(client);
        assert!(mx.wait_for(|r| r.connections[0].tls.is_some()).await);
        let seen = mx.connections()[0].tls.clone().unwrap();
        assert_eq!(seen.version, version);
        assert_eq!(seen.client_chain, [identity.leaf().to_vec()]);
        assert!(!seen.resumed);
    }
    let tls = Tls {
        client_cert: ClientCert::Required,
        ..Tls::default()
    };
    let mx = host(Script {
        tls,
        ..Script::default()
    })
    .await;
    let client = SmtpClient::smtp(mx.address()).await.unwrap();
    let mut client = client.starttls("mx.test").await.unwrap();
    let error = client.command("EHLO a").await.unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_certificate_is_presented() {
    let ca = Ca::default();
    let good = Cert::new(["mx.test", "*.mx.test"]);
    for (cert, length) in [
        (good.clone(), 1),
        (good.clone().expired(), 1),
        (good.clone().not_yet_valid(), 1),
        (good.clone().self_signed(), 1),
        (good.clone().self_signed_ca(), 1),
        (good.clone().with_intermediate(Intermediate::Sent), 2),
        (good.clone().with_intermediate(Intermediate::Omitted), 1),
        (good.clone().client_only(), 1),
        (good.clone().cn_only(), 1),
        (good.clone().address("127.0.0.1".parse().unwrap()), 1),
        (good.clone().key(Key::P384), 1),
        (good.clone().key(Key::Rsa2048), 1),
        (good.clone().padded(60), 61),
    ] {
        let identity = ca.issue(&cert);
        let mx = host(Script::with_identity(identity.clone())).await;
        let client = SmtpClient::smtp(mx.address()).await.unwrap();
        let client = client
            .starttls("mx.test")
            .await
            .unwrap_or_else(|e| panic!("{cert:?}: {e}"));
        assert_eq!(client.server_chain.len(), length, "{cert:?}");
        assert_eq!(client.server_chain[0], identity.leaf().as_ref());
        assert!(identity.spki().len() > 80);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn implicit_tls_begins_at_once() {
    let mx = host(Script {
        listening: Listening::ImplicitTls,
        ..Script::default()
    })
    .await;
    let client = SmtpClient::connect(mx.address()).await.unwrap();
    let mut client = client.handshake("mx.test", tls_config(None)).await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 220);
    assert!(!client.command("EHLO a").await.unwrap().contains("STARTTLS"));
    assert_eq!(mx.connections()[0].clear(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_1_certificates_are_well_formed() {
    let identity = Ca::default().issue(&Cert::new(["mx.test"]).version_1());
    assert!(identity.spki().len() > 80);
    let mx = host(Script::with_identity(identity)).await;
    let client = SmtpClient::smtp(mx.address()).await.unwrap();
    // rustls, which this client is made of, refuses version 1 by itself; the host has presented it.
    let error = client.starttls("mx.test").await.err().unwrap().to_string();
    assert!(error.contains("Version"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_resumed_unless_there_are_no_tickets() {
    for (versions, tickets, resumed) in [
        (Versions::Only12, 2, [false, true]),
        (Versions::Only13, 2, [false, true]),
        (Versions::Only12, 0, [false, false]),
        (Versions::Only13, 0, [false, false]),
    ] {
        let tls = Tls {
            versions,
            tickets,
            ..Tls::default()
        };
        let mx = host(Script {
            tls,
            ..Script::default()
        })
        .await;
        let config = tls_config(None);
        for _ in resumed {
            let client = SmtpClient::smtp(mx.address()).await.unwrap();
            let client = client.starttls_with("mx.test", config.clone()).await;
            client.unwrap().command("EHLO a").await.unwrap();
        }
        let seen = mx.connections();
        let seen = seen
            .iter()
            .map(|c| c.tls.as_ref().unwrap().resumed)
            .collect::<Vec<_>>();
        assert_eq!(seen, resumed, "{versions:?} {tickets}");
    }
}
