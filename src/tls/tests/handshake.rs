use crate::policy::{ClientCertificate, TlsFailure, TlsVersion};
use crate::tls::testing::{
    Authority, BOTH, MX, ca, client, file, handshake, name, self_signed, server, shake,
    shake_with_bytes, version_1,
};
use crate::tls::{CertificateFiles, Handshake, Roots, TlsClient, TlsServer, TlsSettings};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsAcceptor;

const ONLY_12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const ONLY_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

#[tokio::test]
async fn any_certificate_does_for_the_handshake_if_its_key_is_there() {
    let root = Authority::root("root");
    let client = client(&root);
    let stranger = Authority::root("stranger");
    let mut old = self_signed(&[MX], ca());
    old.chain = vec![version_1(&old.chain[0])];
    let for_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let mx = name(MX);
    for (what, identity) in [
        (
            "expired",
            root.issue(&[MX], |p| p.not_after = date_time_ymd(2001, 1, 1)),
        ),
        ("another's", root.issue(&["a.test"], |_| {})),
        ("no name", root.issue(&[], |_| {})),
        ("a stranger's", stranger.issue(&[MX], |_| {})),
        ("for clients", root.issue(&[MX], for_clients)),
        ("self-signed", self_signed(&[MX], IsCa::NoCa)),
        ("self-signed CA", self_signed(&[MX], ca())),
        ("version 1", old),
    ] {
        for versions in [ONLY_12, ONLY_13] {
            let server = Arc::new(server(&identity.chain, identity.key(), versions));
            let session = shake(&client, &server, &handshake(Some(&mx))).await;
            assert_eq!(session.unwrap().chain, identity.chain, "{what}");
        }
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_fails_the_handshake() {
    let root = Authority::root("root");
    let client = client(&root);
    let mut old = self_signed(&[MX], ca());
    old.chain = vec![version_1(&old.chain[0])];
    let thief = KeyPair::generate().unwrap().serialize_der();
    let mx = name(MX);
    for identity in [root.issue(&[MX], |_| {}), old] {
        for versions in [ONLY_12, ONLY_13] {
            let key = PrivatePkcs8KeyDer::from(thief.clone()).into();
            let server = Arc::new(server(&identity.chain, key, versions));
            let failure = shake(&client, &server, &handshake(Some(&mx)))
                .await
                .unwrap_err();
            let TlsFailure::Handshake(text) = failure else {
                panic!("{failure:?}");
            };
            assert!(text.contains("BadSignature"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_was_negotiated_has_ianas_names() {
    let root = Authority::root("root");
    let client = client(&root);
    let identity = root.issue(&[MX], |_| {});
    let mx = name(MX);
    for (versions, version, cipher) in [
        (BOTH, TlsVersion::V1_3, "TLS_AES_256_GCM_SHA384"),
        (
            ONLY_12,
            TlsVersion::V1_2,
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ),
    ] {
        let server = Arc::new(server(&identity.chain, identity.key(), versions));
        let session = shake(&client, &server, &handshake(Some(&mx)))
            .await
            .unwrap();
        assert_eq!((session.version, session.cipher), (version, cipher));
        assert_eq!(session.group, Some("X25519"));
    }
}

#[tokio::test]
async fn sni_is_the_host_name_and_absent_for_an_address() {
    let root = Authority::root("root");
    let client = client(&root);
    let identity = root.issue(&[MX], |_| {});
    let config = Arc::new(server(&identity.chain, identity.key(), BOTH));
    let under = name("mx_1.example.net");
    for sni in [Some(&under), None] {
        let (near, far) = duplex(1 << 16);
        let acceptor = TlsAcceptor::from(config.clone());
        let handshake = handshake(sni);
        let (client, server) = tokio::join!(client.connect(near, &handshake), acceptor.accept(far));
        client.unwrap();
        let server = server.unwrap();
        assert_eq!(
            server.get_ref().1.server_name(),
            sni.map(|name| name.as_str())
        );
    }
}

#[tokio::test]
async fn failures_have_their_reasons() {
    use TlsFailure::{ConnectionLost, NoCommonParameters};
    let client = client(&Authority::root("root"));
    let alert = |code| vec![0x15, 3, 3, 0, 2, 2, code];
    for (what, answer, expected) in [
        ("handshake_failure", alert(40), NoCommonParameters),
        ("protocol_version", alert(70), NoCommonParameters),
        ("insufficient_security", alert(71), NoCommonParameters),
        ("close_notify", alert(0), ConnectionLost),
        ("end", vec![], ConnectionLost),
        ("half an alert", alert(40)[..3].to_vec(), ConnectionLost),
        (
            "internal_error",
            alert(80),
            TlsFailure::Handshake("the peer sent the alert InternalError".into()),
        ),
    ] {
        assert_eq!(shake_with_bytes(&client, &answer).await, expected, "{what}");
    }
    for noise in [
        &b"454 4.7.0 TLS not available\r\n"[..],
        &[0x16, 3, 3, 0xFF, 0xFF, 1],
        &[0; 9000],
    ] {
        let failure = shake_with_bytes(&client, noise).await;
        let TlsFailure::Handshake(text) = failure else {
            panic!("{failure:?}");
        };
        assert!(
            text.len() <= 200 && text.bytes().all(|b| (b' '..=b'~').contains(&b)),
            "{text}"
        );
    }
}

/// A server that asks for a client certificate of this authority, and insists.
fn insisting(root: &Authority) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(root.cert.clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let identity = root.issue(&[MX], |_| {});
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain.clone(), identity.key())
        .unwrap();
    Arc::new(config)
}

/// Certificate and key as PEM files.
fn pem_files(root: &Authority) -> (tempfile::NamedTempFile, tempfile::NamedTempFile) {
    let identity = root.issue(&[MX], |params| {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ClientAuth);
    });
    (file(&identity.cert_pem), file(&identity.key_pem))
}

#[tokio::test]
async fn our_certificate_is_shown_only_where_asked_for() {
    let root = Authority::root("root");
    let (cert, key) = pem_files(&root);
    let roots = file(&root.pem);
    let client = TlsClient::new(&TlsSettings {
        roots: Roots::Files(vec![roots.path().into()]),
        client_certificate: Some(CertificateFiles {
            cert: cert.path().into(),
            key: key.path().into(),
        }),
    })
    .unwrap();
    let server = insisting(&root);
    let mx = name(MX);
    for (client_certificate, accepted) in [
        (ClientCertificate::Present, true),
        (ClientCertificate::Withhold, false),
    ] {
        let handshake = Handshake {
            client_certificate,
            ..handshake(Some(&mx))
        };
        // In TLS 1.3 the refusal comes with the first read; it is a failure of TLS all the same.
        let result = shake(&client, &server, &handshake).await;
        assert_eq!(result.is_ok(), accepted, "{result:?}");
        if let Err(failure) = result {
            let expected = "the peer sent the alert CertificateRequired";
            assert_eq!(failure, TlsFailure::Handshake(expected.into()));
        }
    }
}

#[tokio::test]
async fn our_server_serves_our_client() {
    let root = Authority::root("root");
    let (cert, key) = pem_files(&root);
    let server = TlsServer::new(&CertificateFiles {
        cert: cert.path().into(),
        key: key.path().into(),
    })
    .unwrap();
    let client = client(&root);
    let mx = name(MX);
    let (near, far) = duplex(1 << 16);
    let handshake = handshake(Some(&mx));
    let (client_side, server_side) =
        tokio::join!(client.connect(near, &handshake), server.accept(far));
    let ((mut near, session), mut far) = (client_side.unwrap(), server_side.unwrap());
    near.write_all(b"EHLO\r\n").await.unwrap();
    near.flush().await.unwrap();
    let mut line = [0; 6];
    far.read_exact(&mut line).await.unwrap();
    assert_eq!((&line, session.version), (b"EHLO\r\n", TlsVersion::V1_3));
}
