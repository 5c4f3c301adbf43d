//! TLS towards MX hosts: the handshake, and the judgement of what it brought.

use super::certificate::{KeyKind, carries_any, presented_names, public_key};
use super::dane::{self, DaneMatch};
use super::failure::failure_from_io;
use super::files::{at, identity, roots};
use super::path::Paths;
use super::sessions::{Peer, Sessions};
use super::verifier::ProofOfKey;
use super::{Authenticated, Handshake, Resumed, TlsSession, TlsSettings, TlsSettingsError};
use crate::names::DomainName;
use crate::policy::{
    Authentication, CertificateProblem, ClientCertificate, DaneRequirement, DaneTrust, Encryption,
    Fingerprint, ReferenceName, TlsFailure, TlsRequirement, TlsVersion,
};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, ConfigBuilder, HandshakeKind, ProtocolVersion,
    WantsVerifier,
};
use rustls_pki_types::{CertificateDer, DnsName, ServerName, SignatureVerificationAlgorithm};
use sha2::{Digest, Sha256};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::slice;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// TLS towards MX hosts: one verifier, one session store, roots. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    shared: Arc<Shared>,
}

struct Shared {
    anonymous: ClientConfig,
    /// Presents our certificate to servers that ask for it.
    identified: Option<ClientConfig>,
    sessions: Arc<Sessions>,
    paths: Paths,
    /// For the signatures of certificates.
    algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
    key_kinds: [(KeyKind, Arc<str>); KeyKind::ALL.len()],
}

/// The same client, not one that was made alike: its roots and certificates may have been read at another
/// time.
impl PartialEq for TlsClient {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for TlsClient {}

impl Hash for TlsClient {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.shared).hash(state);
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("paths", &self.shared.paths)
            .finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Reads roots and client certificate. The new client knows no sessions.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsSettingsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Arc::new(ProofOfKey::new(algorithms));
        let builder = || {
            builder(&provider).map(|builder| {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier.clone())
            })
        };
        let identified = match &settings.client_certificate {
            None => None,
            Some(files) => {
                let (chain, key) = identity(files)?;
                let config = builder()?
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| at(&files.cert, error.to_string()))?;
                Some(config)
            }
        };
        Ok(Self {
            shared: Arc::new(Shared {
                anonymous: builder()?.with_no_client_auth(),
                identified,
                sessions: Sessions::new(),
                paths: Paths::new(roots(&settings.roots)?, algorithms),
                algorithms: algorithms.all,
                key_kinds: KeyKind::ALL.map(|kind| (kind, kind.as_str().into())),
            }),
        })
    }

    /// Makes the handshake; checks the handshake signature and nothing else. The caller bounds the time,
    /// and must not have read anything that the peer sent after its consent to TLS.
    pub async fn connect<S>(
        &self,
        stream: S,
        handshake: &Handshake<'_>,
    ) -> Result<(TlsStream<S>, TlsSession), TlsFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(Arc::new(self.config(handshake)));
        let stream = connector
            .connect(server_name(handshake)?, stream)
            .await
            .map_err(|error| failure_from_io(&error))?;
        let session = session(stream.get_ref().1)?;
        Ok((stream, session))
    }

    /// The shared configuration with this peer's part of the session store. Nothing in it is more than a
    /// count of references, and the verifier stays the same, without which no session is resumed.
    fn config(&self, handshake: &Handshake<'_>) -> ClientConfig {
        let shared = &self.shared;
        let base = match (handshake.client_certificate, &shared.identified) {
            (ClientCertificate::Present, Some(identified)) => identified,
            (ClientCertificate::Present, None) | (ClientCertificate::Withhold, _) => {
                &shared.anonymous
            }
        };
        let mut config = base.clone();
        config.resumption = Resumption::store(shared.sessions.view(Peer {
            name: handshake.server_name.cloned(),
            address: handshake.address,
            client_certificate: handshake.client_certificate,
        }));
        config
    }

    /// Whether the session satisfies a requirement, and by what the peer is authenticated.
    pub fn judge(
        &self,
        requirement: &TlsRequirement,
        session: &TlsSession,
        now: SystemTime,
    ) -> Result<Authenticated, TlsFailure> {
        match requirement.encryption {
            Encryption::Mandatory if session.version < requirement.min_version => {
                return Err(TlsFailure::VersionTooOld(requirement.min_version));
            }
            Encryption::Mandatory | Encryption::Opportunistic | Encryption::Never => {}
        }
        let authenticated = match &requirement.authentication {
            Authentication::None => Authenticated::None,
            Authentication::Fingerprint(pins) => {
                check_fingerprint(session, pins)?;
                Authenticated::Fingerprint
            }
            Authentication::WebPki(names) => {
                self.check_webpki(session, names, now)?;
                Authenticated::WebPki
            }
        };
        let by_dane = match &requirement.dane {
            None => Authenticated::None,
            Some(demanded) => {
                dane::check(demanded, &session.chain, self.shared.algorithms, now)
                    .map_err(TlsFailure::Dane)?;
                match demanded.trust {
                    DaneTrust::Full => Authenticated::Dane,
                    DaneTrust::Half => Authenticated::HalfDane,
                }
            }
        };
        let by_sts = match &requirement.mta_sts {
            None => Authenticated::None,
            Some(host) => {
                let name = ReferenceName::Exact(host.clone());
                self.check_webpki(session, slice::from_ref(&name), now)
                    .map_err(TlsFailure::MtaSts)?;
                Authenticated::WebPki
            }
        };
        Ok(strongest(authenticated, by_sts, by_dane))
    }

    /// What each TLSA record has to do with the chain, for people; at most 64 records.
    pub fn explain_dane(
        &self,
        requirement: &DaneRequirement,
        session: &TlsSession,
        now: SystemTime,
    ) -> Vec<DaneMatch> {
        dane::explain(requirement, &session.chain, self.shared.algorithms, now)
    }

    /// What a full WebPKI check with this name finds wrong (`None`: nothing, or no name to check).
    pub fn full_check(
        &self,
        session: &TlsSession,
        name: Option<&DomainName>,
        now: SystemTime,
    ) -> Option<CertificateProblem> {
        let name = ReferenceName::Exact(name?.clone());
        self.check_webpki(session, slice::from_ref(&name), now)
            .err()
    }

    /// The path first: a name in a certificate that nobody vouches for means nothing.
    fn check_webpki(
        &self,
        session: &TlsSession,
        names: &[ReferenceName],
        now: SystemTime,
    ) -> Result<(), CertificateProblem> {
        let leaf = leaf(session)?;
        self.shared.paths.check(&session.chain, now)?;
        if carries_any(leaf, names) {
            return Ok(());
        }
        Err(CertificateProblem::NameMismatch {
            presented: presented_names(leaf),
        })
    }

    /// Type and size of the leaf's key, for `TlsSeen::key`.
    pub fn key_kind(&self, session: &TlsSession) -> Arc<str> {
        let kind = session.chain.first().map_or(KeyKind::Other, KeyKind::of);
        self.shared
            .key_kinds
            .iter()
            .find(|(known, _)| *known == kind)
            .map_or_else(|| kind.as_str().into(), |(_, name)| name.clone())
    }
}

/// All of them held. The administrator's word comes first; of what the domain publishes, a policy that speaks for
/// the domain comes before records that speak for the host alone, beside which alone it is demanded.
fn strongest(
    by_rule: Authenticated,
    by_sts: Authenticated,
    by_dane: Authenticated,
) -> Authenticated {
    [by_rule, by_sts, by_dane]
        .into_iter()
        .find(|by| *by != Authenticated::None)
        .unwrap_or(Authenticated::None)
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsSettingsError> {
    ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsSettingsError::Rustls(error.to_string()))
}

/// With an address rustls sends no SNI (RFC 6066 §3). A name that does not fit is an error, never omitted.
pub(super) fn server_name(handshake: &Handshake<'_>) -> Result<ServerName<'static>, TlsFailure> {
    let Some(name) = handshake.server_name else {
        return Ok(ServerName::from(handshake.address.ip()));
    };
    DnsName::try_from(name.as_str().to_owned())
        .map(ServerName::DnsName)
        .map_err(|_| TlsFailure::Handshake("the host name cannot be sent as SNI".into()))
}

pub(super) fn session(connection: &ClientConnection) -> Result<TlsSession, TlsFailure> {
    let unfinished = || TlsFailure::Handshake("the handshake did not finish".into());
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
        Some(_) | None => return Err(unfinished()),
    };
    let suite = connection
        .negotiated_cipher_suite()
        .ok_or_else(unfinished)?;
    Ok(TlsSession {
        version,
        cipher: cipher_name(suite.suite()),
        group: connection
            .negotiated_key_exchange_group()
            .map(|group| group.name().as_str().unwrap_or("unknown")),
        resumed: match connection.handshake_kind() {
            Some(HandshakeKind::Resumed) => Resumed::Yes,
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => {
                Resumed::No
            }
        },
        chain: connection.peer_certificates().unwrap_or_default().to_vec(),
    })
}

/// IANA's name; rustls has its own for the suites of TLS 1.3.
fn cipher_name(suite: CipherSuite) -> &'static str {
    const TLS13: [(CipherSuite, &str); 3] = [
        (
            CipherSuite::TLS13_AES_128_GCM_SHA256,
            "TLS_AES_128_GCM_SHA256",
        ),
        (
            CipherSuite::TLS13_AES_256_GCM_SHA384,
            "TLS_AES_256_GCM_SHA384",
        ),
        (
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            "TLS_CHACHA20_POLY1305_SHA256",
        ),
    ];
    TLS13
        .iter()
        .find(|(known, _)| *known == suite)
        .map(|(_, name)| *name)
        .or_else(|| suite.as_str())
        .unwrap_or("unknown")
}

fn leaf(session: &TlsSession) -> Result<&CertificateDer<'static>, CertificateProblem> {
    session.chain.first().ok_or(CertificateProblem::Missing)
}

fn check_fingerprint(session: &TlsSession, pins: &[Fingerprint]) -> Result<(), CertificateProblem> {
    let leaf = leaf(session)?;
    let certificate: [u8; 32] = Sha256::digest(leaf).into();
    let key: Option<[u8; 32]> = public_key(leaf).map(|key| Sha256::digest(key).into());
    pins.iter()
        .any(|pin| match pin {
            Fingerprint::Certificate(pin) => *pin == certificate,
            Fingerprint::PublicKey(pin) => Some(*pin) == key,
            Fingerprint::Either(pin) => *pin == certificate || Some(*pin) == key,
        })
        .then_some(())
        .ok_or(CertificateProblem::FingerprintMismatch)
}
