//! Certificates and servers for the tests of this module.

use super::{Handshake, Resumed, Roots, TlsClient, TlsSession, TlsSettings, failure_from_io};
use crate::names::DomainName;
use crate::policy::{
    Authentication, ClientCertificate, DaneRequirement, Encryption, TlsFailure, TlsRequirement,
    TlsVersion,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

/// The name for which the good certificate is made.
pub(super) const MX: &str = "mx.example.net";

/// The moment at which tests judge: in the year 2030.
pub(super) fn at_test() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

pub(super) fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

/// What a handshake in which this chain was shown has brought.
pub(super) fn session(chain: &[CertificateDer<'static>]) -> TlsSession {
    TlsSession {
        version: TlsVersion::V1_2,
        cipher: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        group: None,
        resumed: Resumed::No,
        chain: chain.to_vec(),
    }
}

/// TLS, authenticated in this way.
pub(super) fn require(authentication: Authentication) -> TlsRequirement {
    TlsRequirement {
        encryption: Encryption::Mandatory,
        authentication,
        dane: None,
        mta_sts: None,
        min_version: TlsVersion::V1_2,
        client_certificate: ClientCertificate::Withhold,
    }
}

/// TLS, authenticated by DANE alone.
pub(super) fn demand(dane: DaneRequirement) -> TlsRequirement {
    TlsRequirement {
        dane: Some(Arc::new(dane)),
        ..require(Authentication::None)
    }
}

/// A chain and the key of its leaf.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: Vec<u8>,
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
}

impl Identity {
    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

/// Who issues certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) cert: CertificateDer<'static>,
    pub(super) pem: String,
    /// What a server sends beside its own certificate.
    chain: Vec<CertificateDer<'static>>,
}

impl Authority {
    pub(super) fn root(common_name: &str) -> Self {
        Self::root_with(common_name, |_| {})
    }

    /// A root with a change.
    pub(super) fn root_with(
        common_name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = ca_params(common_name);
        change(&mut params);
        let cert = params.self_signed(&key).unwrap();
        Self {
            pem: cert.pem(),
            cert: cert.der().clone(),
            issuer: Issuer::new(params, key),
            chain: Vec::new(),
        }
    }

    pub(super) fn intermediate(&self) -> Self {
        self.intermediate_with("intermediate", |_| {})
    }

    /// An intermediate below this authority, with a change.
    pub(super) fn intermediate_with(
        &self,
        common_name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = ca_params(common_name);
        change(&mut params);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let mut chain = vec![cert.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Self {
            pem: cert.pem(),
            cert: cert.der().clone(),
            issuer: Issuer::new(params, key),
            chain,
        }
    }

    /// A certificate of another authority, issued by this one: same name, same key.
    pub(super) fn certify(&self, common_name: &str, other: &Self) -> CertificateDer<'static> {
        let params = ca_params(common_name);
        let cert = params.signed_by(other.issuer.key(), &self.issuer);
        cert.unwrap().der().clone()
    }

    /// A server's certificate for `names`, with a change.
    pub(super) fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = leaf_params(names);
        change(&mut params);
        self.issue_to(&KeyPair::generate().unwrap(), &params)
    }

    /// A server's certificate for the key of the authority itself.
    pub(super) fn issue_with_own_key(&self, names: &[&str]) -> Identity {
        self.issue_to(self.issuer.key(), &leaf_params(names))
    }

    fn issue_to(&self, key: &KeyPair, params: &CertificateParams) -> Identity {
        let cert = params.signed_by(key, &self.issuer).unwrap();
        let mut chain = vec![cert.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Identity {
            chain,
            key: key.serialize_der(),
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

pub(super) fn self_signed(names: &[&str], is_ca: IsCa) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = leaf_params(names);
    params.is_ca = is_ca;
    let cert = params.self_signed(&key).unwrap();
    Identity {
        chain: vec![cert.der().clone()],
        key: key.serialize_der(),
        cert_pem: cert.pem(),
        key_pem: key.serialize_pem(),
    }
}

pub(super) fn ca() -> IsCa {
    IsCa::Ca(BasicConstraints::Unconstrained)
}

fn ca_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.is_ca = ca();
    params
}

fn leaf_params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, MX);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// The certificate as X.509 version 1: without version and extensions. Its signature no longer fits.
pub(super) fn version_1(cert: &CertificateDer<'_>) -> CertificateDer<'static> {
    rebuild(cert, |fields| {
        fields.retain(|field| field[0] != 0xA0 && field[0] != 0xA3);
    })
}

/// The certificate with another SubjectPublicKeyInfo.
pub(super) fn with_key(cert: &CertificateDer<'_>, spki: Vec<u8>) -> CertificateDer<'static> {
    rebuild(cert, |fields| fields[6] = spki)
}

/// The certificate with another subject: a Name in DER.
pub(super) fn with_subject(cert: &CertificateDer<'_>, name: Vec<u8>) -> CertificateDer<'static> {
    rebuild(cert, |fields| fields[5] = name)
}

/// An RSA key of this many bits, which nobody has the other half of.
pub(super) fn rsa_spki(bits: usize) -> Vec<u8> {
    const RSA: [u8; 15] = *b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let mut modulus = vec![0xFF; bits.div_ceil(8)];
    modulus[0] >>= (8 - bits % 8) % 8;
    if modulus[0] >= 0x80 {
        modulus.insert(0, 0);
    }
    let key = tlv(0x30, &[tlv(2, &modulus), tlv(2, &[1, 0, 1])].concat());
    tlv(
        0x30,
        &[RSA.to_vec(), tlv(3, &[vec![0], key].concat())].concat(),
    )
}

/// Changes the fields of the TBSCertificate (RFC 5280 §4.1).
fn rebuild(
    cert: &CertificateDer<'_>,
    change: impl FnOnce(&mut Vec<Vec<u8>>),
) -> CertificateDer<'static> {
    let mut parts = fields(cert);
    let mut tbs = fields(&parts[0]);
    change(&mut tbs);
    parts[0] = tlv(0x30, &tbs.concat());
    CertificateDer::from(tlv(0x30, &parts.concat()))
}

/// The elements inside a DER element.
fn fields(der: &[u8]) -> Vec<Vec<u8>> {
    let (header, _) = length(der);
    let mut rest = &der[header..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (header, content) = length(rest);
        let (field, after) = rest.split_at(header + content);
        found.push(field.to_vec());
        rest = after;
    }
    found
}

fn length(der: &[u8]) -> (usize, usize) {
    let octets = match der[1] {
        short @ 0..0x80 => return (2, short.into()),
        long => usize::from(long & 0x7F),
    };
    let content = der[2..2 + octets]
        .iter()
        .fold(0, |sum, &octet| sum << 8 | usize::from(octet));
    (2 + octets, content)
}

pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match u16::try_from(content.len()).unwrap() {
        short @ 0..0x80 => der.push(short as u8),
        middle @ 0x80..0x100 => der.extend([0x81, middle as u8]),
        long => {
            der.push(0x82);
            der.extend(long.to_be_bytes());
        }
    }
    der.extend(content);
    der
}

/// A file with this text.
pub(super) fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A client that trusts one root.
pub(super) fn client(root: &Authority) -> TlsClient {
    client_trusting(&root.pem)
}

/// A client that trusts what is in this PEM text.
pub(super) fn client_trusting(pem: &str) -> TlsClient {
    let file = file(pem);
    TlsClient::new(&TlsSettings {
        roots: Roots::Files(vec![file.path().into()]),
        client_certificate: None,
    })
    .unwrap()
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

pub(super) const BOTH: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS12, &rustls::version::TLS13];

/// A server that shows a chain and signs with a key, whether they belong together or not.
pub(super) fn server(
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = CertifiedKey::new(chain.to_vec(), key);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Always(Arc::new(certified))));
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    config
}

pub(super) fn handshake(name: Option<&DomainName>) -> Handshake<'_> {
    Handshake {
        server_name: name,
        address: SocketAddr::from(([192, 0, 2, 1], 25)),
        client_certificate: ClientCertificate::Withhold,
    }
}

/// A handshake, and one octet from the server, with which TLS 1.3 tickets come.
pub(super) async fn shake(
    client: &TlsClient,
    server: &Arc<ServerConfig>,
    handshake: &Handshake<'_>,
) -> Result<TlsSession, TlsFailure> {
    let (near, far) = duplex(1 << 16);
    let server = async {
        let mut stream = TlsAcceptor::from(server.clone()).accept(far).await.ok()?;
        stream.write_all(b"2").await.ok()?;
        stream.flush().await.ok()?;
        Some(stream)
    };
    let client = async {
        let (mut stream, session) = client.connect(near, handshake).await?;
        stream
            .read_u8()
            .await
            .map_err(|error| failure_from_io(&error))?;
        Ok(session)
    };
    tokio::join!(client, server).0
}

/// A handshake with something that answers the first octets with `answer` and closes.
pub(super) async fn shake_with_bytes(client: &TlsClient, answer: &[u8]) -> TlsFailure {
    let (near, far) = duplex(1 << 16);
    let server = async move {
        let mut far: DuplexStream = far;
        let mut hello = [0; 64];
        far.read_exact(&mut hello).await.unwrap();
        far.write_all(answer).await.unwrap();
    };
    let mx = name(MX);
    let handshake = handshake(Some(&mx));
    let (result, ()) = tokio::join!(client.connect(near, &handshake), server);
    result.map(|_| ()).unwrap_err()
}
