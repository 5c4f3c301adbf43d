//! TLS, as client of MX hosts and as server for clients. rustls is used here and nowhere else.
//!
//! A handshake proves one thing only: that the peer has the key of the certificate that it shows. What
//! else a policy demands is judged afterwards on the peer's chain ([`TlsClient::judge`]), after every
//! handshake, full or resumed, and before the first command. So one verifier and one store of sessions
//! serve all policies, and opportunistic delivery can say what a full check would have said.

mod certificate;
mod client;
mod dane;
mod facts;
mod failure;
mod files;
mod issuers;
pub mod legacy;
mod offer;
mod path;
mod server;
mod sessions;
pub mod suites;
mod verifier;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use client::TlsClient;
pub use dane::{DaneMatch, StandsFor};
pub use facts::{CertificateFacts, Grade, KeyAlgorithm, KeyFacts};
pub use failure::{failure_from_io, peer_fault};
pub use offer::{Offering, TlsProbes};
pub use server::TlsServer;

use crate::names::DomainName;
use crate::policy::{CertificateProblem, ClientCertificate, TlsVersion, Trial};
use rustls_pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::Arc;

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
    /// The last second of the leaf certificate's validity, in UNIX time.
    pub expires: Option<i64>,
    /// What a rule in dry-run makes of it.
    pub trial: Trial,
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

/// What one handshake needs.
#[derive(Debug, Clone)]
pub struct Handshake<'a> {
    /// SNI; `None` for an address literal (RFC 6066 §3).
    pub server_name: Option<&'a DomainName>,
    /// Part of the key under which the session is kept for resumption.
    pub address: SocketAddr,
    /// `Present` shows our certificate, if one is configured and the server asks for it.
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

impl TlsSession {
    /// The last second of the leaf certificate's validity, in UNIX time.
    pub fn expires(&self) -> Option<i64> {
        let validity = certificate::validity(self.chain.first()?)?;
        Some(*validity.end())
    }
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

/// A TLS connection to an MX host.
pub type ClientTls = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;

/// A TLS connection of a client to us.
pub type ServerTls<S> = tokio_rustls::server::TlsStream<S>;
