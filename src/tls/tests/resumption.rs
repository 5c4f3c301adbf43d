use crate::policy::{
    Authentication, CertificateProblem, ClientCertificate, Encryption, ReferenceName, TlsFailure,
    TlsRequirement, TlsVersion,
};
use crate::tls::testing::{Authority, BOTH, MX, at_test, client, handshake, name, server, shake};
use crate::tls::{Authenticated, Handshake, Resumed, TlsClient};
use futures_util::future::join_all;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsAcceptor;

const ONLY_12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

#[tokio::test]
async fn a_resumed_session_has_its_chain_and_is_judged_anew() {
    let root = Authority::root("root");
    let identity = root.issue(&[MX], |_| {});
    let mx = name(MX);
    for (versions, version) in [(BOTH, TlsVersion::V1_3), (ONLY_12, TlsVersion::V1_2)] {
        let client = client(&root);
        let server = Arc::new(server(&identity.chain, identity.key(), versions));
        let first = shake(&client, &server, &handshake(Some(&mx)))
            .await
            .unwrap();
        let second = shake(&client, &server, &handshake(Some(&mx)))
            .await
            .unwrap();
        assert_eq!(
            (first.resumed, second.resumed),
            (Resumed::No, Resumed::Yes),
            "{version}"
        );
        assert_eq!((second.version, &second.chain), (version, &identity.chain));
        let judge = |text| {
            let requirement = TlsRequirement {
                encryption: Encryption::Mandatory,
                authentication: Authentication::WebPki([ReferenceName::Exact(name(text))].into()),
                dane: None,
                mta_sts: None,
                min_version: TlsVersion::V1_2,
                client_certificate: ClientCertificate::Withhold,
            };
            client.judge(&requirement, &second, at_test())
        };
        assert_eq!(judge(MX), Ok(Authenticated::WebPki));
        let failure = judge("other.test").unwrap_err();
        assert!(matches!(
            failure,
            TlsFailure::Certificate(CertificateProblem::NameMismatch { .. })
        ));
    }
}

#[tokio::test]
async fn sessions_belong_to_one_name_and_one_address() {
    let root = Authority::root("root");
    let identity = root.issue(&[MX], |_| {});
    let client = client(&root);
    let server = Arc::new(server(&identity.chain, identity.key(), BOTH));
    let (mx, other) = (name(MX), name("other.test"));
    let base = handshake(Some(&mx));
    shake(&client, &server, &base).await.unwrap();
    let elsewhere = SocketAddr::from(([192, 0, 2, 2], 25));
    let other_port = SocketAddr::from(([192, 0, 2, 1], 587));
    let present = ClientCertificate::Present;
    for (what, handshake, resumed) in [
        (
            "address",
            Handshake {
                address: elsewhere,
                ..base.clone()
            },
            Resumed::No,
        ),
        (
            "port",
            Handshake {
                address: other_port,
                ..base.clone()
            },
            Resumed::No,
        ),
        (
            "name",
            Handshake {
                server_name: Some(&other),
                ..base.clone()
            },
            Resumed::No,
        ),
        (
            "no name",
            Handshake {
                server_name: None,
                ..base.clone()
            },
            Resumed::No,
        ),
        (
            "certificate",
            Handshake {
                client_certificate: present,
                ..base.clone()
            },
            Resumed::No,
        ),
        ("the same", base.clone(), Resumed::Yes),
        ("a clone of the client", base.clone(), Resumed::Yes),
    ] {
        let session = shake(&client.clone(), &server, &handshake).await.unwrap();
        assert_eq!(session.resumed, resumed, "{what}");
    }
}

/// Opens `count` sessions at once; none reads before all have finished their handshake.
async fn open_together(client: &TlsClient, server: &Arc<ServerConfig>, count: usize) -> usize {
    let mx = name(MX);
    let handshake = handshake(Some(&mx));
    let opened = join_all((0..count).map(async |_| {
        let (near, far) = duplex(1 << 16);
        let acceptor = TlsAcceptor::from(server.clone());
        let (client, server) = tokio::join!(client.connect(near, &handshake), acceptor.accept(far));
        (client.unwrap(), server.unwrap())
    }))
    .await;
    let mut resumed = 0;
    for ((mut near, session), mut far) in opened {
        resumed += usize::from(session.resumed == Resumed::Yes);
        far.write_all(b"2").await.unwrap();
        far.flush().await.unwrap();
        near.read_u8().await.unwrap();
    }
    resumed
}

#[tokio::test]
async fn fifty_sessions_that_reconnect_together_all_resume() {
    let root = Authority::root("root");
    let identity = root.issue(&[MX], |_| {});
    for tickets in [1, 2, 5] {
        let client = client(&root);
        let mut server = server(&identity.chain, identity.key(), BOTH);
        server.send_tls13_tickets = tickets;
        let server = Arc::new(server);
        assert_eq!(open_together(&client, &server, 50).await, 0);
        assert_eq!(
            open_together(&client, &server, 50).await,
            50,
            "{tickets} tickets"
        );
        assert_eq!(
            open_together(&client, &server, 50).await,
            50,
            "{tickets} tickets, again"
        );
    }
}

#[tokio::test]
async fn a_ticket_is_used_once_and_a_flood_of_them_is_not_kept() {
    let root = Authority::root("root");
    let identity = root.issue(&[MX], |_| {});
    for (tickets, resumed) in [(1, 1), (2, 2), (40, 2)] {
        let client = client(&root);
        let mut server = server(&identity.chain, identity.key(), BOTH);
        server.send_tls13_tickets = tickets;
        let server = Arc::new(server);
        open_together(&client, &server, 1).await;
        assert_eq!(
            open_together(&client, &server, 5).await,
            resumed,
            "{tickets}"
        );
    }
}
