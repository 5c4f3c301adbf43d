//! TLS, as client of MX hosts and as server for clients. rustls is used here and nowhere else.

use crate::names::DomainName;
use crate::policy::{
    CertificateProblem, ClientCertificate, TlsFailure, TlsRequirement, TlsVersion,
};
use rustls_pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncWrite};

/// What a finished handshake amounts to, for logs, metrics and replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSeen {
    pub version: TlsVersion,
    /// IANA's name of the cipher suite.
    pub cipher: &'static str,
    /// The key exchange group; `None` when a TLS 1.2 session was resumed.
    pub group: Option<&'static str>,
    pub resumed: Resumed,
    pub authenticated: Authenticated,
    /// What a full WebPKI check with the MX host name finds wrong, also when none was asked for.
    pub problem: Option<CertificateProblem>,
    /// `rsa2048`, `p256`, ...; bounded, fit for a label.
    pub key: Arc<str>,
}

/// Whether the session continues an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resumed {
    No,
    Yes,
}

/// By what the MX was authenticated, because the policy asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authenticated {
    None,
    WebPki,
    Dane,
    HalfDane,
    Fingerprint,
}

impl Authenticated {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WebPki => "webpki",
            Self::Dane => "dane",
            Self::HalfDane => "half-dane",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// `[tls]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    pub roots: Roots,
    pub client_certificate: Option<CertificateFiles>,
}

/// `tls.roots`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    System,
    Mozilla,
    Files(Vec<std::path::PathBuf>),
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub cert: std::path::PathBuf,
    pub key: std::path::PathBuf,
}

/// TLS towards MX hosts: one verifier, one session store, roots. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TlsClient;

/// What one handshake needs.
#[derive(Debug, Clone)]
pub struct Handshake<'a> {
    /// SNI; `None` for an address literal (RFC 6066 §3).
    pub server_name: Option<&'a DomainName>,
    /// Part of the key under which the session is kept for resumption.
    pub address: SocketAddr,
    pub client_certificate: ClientCertificate,
}

/// What a handshake brought, before anybody judged it.
#[derive(Debug, Clone)]
pub struct TlsSession {
    pub version: TlsVersion,
    pub cipher: &'static str,
    pub group: Option<&'static str>,
    pub resumed: Resumed,
    /// The peer's chain, leaf first; a resumed session has it too.
    pub chain: Vec<CertificateDer<'static>>,
}

/// Why `[tls]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsSettingsError {
    #[error("{path}: {reason}")]
    File {
        path: std::path::PathBuf,
        reason: String,
    },
    #[error("no trusted roots found")]
    NoRoots,
    #[error("{0}")]
    Rustls(String),
}

impl TlsClient {
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsSettingsError> {
        let _ = settings;
        unimplemented!()
    }

    /// Makes the handshake; checks the handshake signature and nothing else. The caller bounds the time.
    pub async fn connect<S>(
        &self,
        stream: S,
        handshake: &Handshake<'_>,
    ) -> Result<(tokio_rustls::client::TlsStream<S>, TlsSession), TlsFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _ = (stream, handshake);
        unimplemented!()
    }

    /// Whether the session satisfies a requirement, and by what the peer is authenticated.
    pub fn judge(
        &self,
        requirement: &TlsRequirement,
        session: &TlsSession,
        now: SystemTime,
    ) -> Result<Authenticated, TlsFailure> {
        let _ = (requirement, session, now);
        unimplemented!()
    }

    /// What a full WebPKI check with this name finds wrong (`None`: nothing, or no name to check).
    pub fn full_check(
        &self,
        session: &TlsSession,
        name: Option<&DomainName>,
        now: SystemTime,
    ) -> Option<CertificateProblem> {
        let _ = (session, name, now);
        unimplemented!()
    }

    /// Type and size of the leaf's key, for `TlsSeen::key`.
    pub fn key_kind(&self, session: &TlsSession) -> Arc<str> {
        let _ = session;
        unimplemented!()
    }
}

/// TLS towards clients of one listener (STARTTLS). Cheap to clone.
#[derive(Clone)]
pub struct TlsServer;

impl TlsServer {
    pub fn new(files: &CertificateFiles) -> Result<Self, TlsSettingsError> {
        let _ = files;
        unimplemented!()
    }

    /// The handshake as server. The caller bounds the time.
    pub async fn accept<S>(&self, stream: S) -> std::io::Result<tokio_rustls::server::TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _ = stream;
        unimplemented!()
    }
}

/// A TLS connection to an MX host.
pub type ClientTls = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;

/// The TLS fault behind a failed read, if it is one: under TLS 1.3 a server's alert arrives only after
/// our side of the handshake is done (RFC 8446 §4.4).
pub fn peer_fault(error: &std::io::Error) -> Option<TlsFailure> {
    let fault = error.get_ref()?.downcast_ref::<tokio_rustls::rustls::Error>()?;
    Some(TlsFailure::Handshake(fault.to_string()))
}
