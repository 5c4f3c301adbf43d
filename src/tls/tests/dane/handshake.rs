use super::{dane, tlsa};
use crate::dane::TlsaRdata;
use crate::policy::{CertificateProblem, TlsFailure};
use crate::tls::testing::{
    Authority, MX, at_test, ca, client, demand, handshake, name, self_signed, server, shake,
    version_1,
};
use crate::tls::{Authenticated, Resumed, TlsClient, TlsSession};
use rcgen::KeyPair;
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

const VERSIONS: [&[&SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

/// Connects and judges, as a delivery does.
async fn deliver(
    client: &TlsClient,
    server: &Arc<ServerConfig>,
    records: &[TlsaRdata],
) -> Result<(TlsSession, Authenticated), TlsFailure> {
    let mx = name(MX);
    let session = shake(client, server, &handshake(Some(&mx))).await?;
    let requirement = demand(dane(records, &[MX]));
    let authenticated = client.judge(&requirement, &session, at_test())?;
    Ok((session, authenticated))
}

/// Chains with records of every form that vouch for them.
fn vouched_for() -> Vec<(
    Vec<CertificateDer<'static>>,
    PrivateKeyDer<'static>,
    Vec<TlsaRdata>,
)> {
    let root = Authority::root("root");
    let issued = root.issue(&[MX], |_| {});
    let own = self_signed(&[MX], ca());
    let mut chain = issued.chain.clone();
    chain.push(root.cert.clone());
    let mut records = Vec::new();
    for form in ["0 0", "0 1", "0 2", "1 0", "1 1", "1 2"] {
        records.push(tlsa(&format!("2 {form}"), &root.cert));
        records.push(tlsa(&format!("3 {form}"), &chain[0]));
    }
    let old = version_1(&own.chain[0]);
    let own_records = vec![tlsa("3 1 1", &own.chain[0]), tlsa("2 1 0", &own.chain[0])];
    let old_records = vec![tlsa("3 0 1", &old), tlsa("3 1 1", &old)];
    vec![
        (chain, issued.key(), records),
        (own.chain.clone(), own.key(), own_records),
        (vec![old], own.key(), old_records),
    ]
}

/// A certificate is public; only who has its key is the server.
#[tokio::test]
async fn a_certificate_replayed_without_its_key_fails_whatever_the_records_say() {
    let client = client(&Authority::root("trusted"));
    for (chain, key, records) in vouched_for() {
        for versions in VERSIONS {
            let honest = Arc::new(server(&chain, key.clone_key(), versions));
            let thief = PrivatePkcs8KeyDer::from(KeyPair::generate().unwrap().serialize_der());
            let replayed = Arc::new(server(&chain, thief.into(), versions));
            for record in &records {
                let record = std::slice::from_ref(record);
                let good = deliver(&client, &honest, record).await;
                assert_eq!(good.unwrap().1, Authenticated::Dane, "{record:?}");
                let failure = deliver(&client, &replayed, record).await.unwrap_err();
                let TlsFailure::Handshake(text) = &failure else {
                    panic!("{record:?} {failure:?}");
                };
                assert!(text.contains("BadSignature"), "{record:?} {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_resumed_session_is_judged_by_the_records_of_today() {
    let root = Authority::root("root");
    let identity = root.issue(&[MX], |_| {});
    let mut chain = identity.chain.clone();
    chain.push(root.cert.clone());
    let other = Authority::root("other").issue(&[MX], |_| {}).chain;
    let mismatch = TlsFailure::Dane(CertificateProblem::TlsaMismatch);
    for (yesterday, today) in [
        (tlsa("3 1 1", &chain[0]), tlsa("3 1 1", &other[0])),
        (tlsa("3 0 1", &chain[0]), tlsa("2 0 1", &other[0])),
        (tlsa("2 0 1", &root.cert), tlsa("2 0 1", &other[0])),
        (tlsa("2 1 0", &root.cert), tlsa("3 1 1", &other[0])),
    ] {
        for versions in VERSIONS {
            let client = client(&Authority::root("trusted"));
            let server = Arc::new(server(&chain, identity.key(), versions));
            let yesterday = std::slice::from_ref(&yesterday);
            let (first, _) = deliver(&client, &server, yesterday).await.unwrap();
            assert_eq!(first.resumed, Resumed::No);
            let changed = deliver(&client, &server, std::slice::from_ref(&today)).await;
            assert_eq!(changed.map(|_| ()), Err(mismatch.clone()), "{today}");
            // It was the resumed session that was refused: it is resumed where the records still fit.
            let (third, by) = deliver(&client, &server, yesterday).await.unwrap();
            assert_eq!((third.resumed, by), (Resumed::Yes, Authenticated::Dane));
        }
    }
}
