//! Why a fetch failed, as an operator reads it.

use crate::policy::{CertificateProblem, TlsFailure};
use crate::tls::peer_fault;
use std::error::Error;
use std::io;

/// Longest text of a failure, in characters.
const MAX_TEXT: usize = 200;

/// Why nothing was fetched. Texts are bounded and printable, whatever a stranger sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpsFailure {
    #[error("the host has no address")]
    NoAddress,
    #[error("too many connections to the host")]
    NotAdmitted,
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("no answer to the connection")]
    ConnectTimeout,
    /// There is no TLS channel.
    #[error("{0}")]
    Tls(TlsFailure),
    #[error("{0}")]
    Certificate(CertificateProblem),
    /// What came is no HTTP, too much of it, or broke off.
    #[error("HTTP: {0}")]
    Http(String),
    #[error("the body is larger than allowed")]
    TooBig,
    #[error("no complete answer in time")]
    TimedOut,
    /// A coding that was not asked for.
    #[error("the body is encoded")]
    Encoded,
}

impl From<TlsFailure> for HttpsFailure {
    fn from(failure: TlsFailure) -> Self {
        if let TlsFailure::Certificate(problem) = failure {
            return Self::Certificate(problem);
        }
        Self::Tls(failure)
    }
}

impl HttpsFailure {
    pub(super) fn of_connect(address: std::net::SocketAddr, error: &io::Error) -> Self {
        let text = error.to_string();
        // Without the number that std adds.
        let words = text.split(" (os error").next().unwrap_or_default();
        Self::Connect(printable(&format!("{}: {words}", address.ip())))
    }

    /// hyper tells the outermost reason first. A TLS 1.3 server that refuses us says so only now.
    pub(super) fn of_http(error: &hyper::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let io: Option<&io::Error> = inner.downcast_ref();
            if let Some(fault) = io.and_then(peer_fault) {
                return Self::Tls(fault);
            }
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        Self::Http(printable(&text))
    }

    /// The farther it came, the more it tells; above all, that somebody else is there.
    fn tells(&self) -> u8 {
        match self {
            Self::NoAddress | Self::NotAdmitted => 0,
            Self::ConnectTimeout => 1,
            Self::Connect(_) => 2,
            Self::TimedOut => 3,
            Self::Tls(_) => 4,
            Self::Http(_) | Self::TooBig | Self::Encoded => 5,
            Self::Certificate(_) => 6,
        }
    }
}

/// The most telling failure so far; of equals the last.
#[derive(Debug, Default)]
pub(super) struct Trail(Option<HttpsFailure>);

impl Trail {
    pub(super) fn add(&mut self, failure: HttpsFailure) {
        let known = self.0.as_ref().map_or(0, HttpsFailure::tells);
        if failure.tells() >= known {
            self.0 = Some(failure);
        }
    }

    pub(super) fn most_telling(self) -> HttpsFailure {
        self.0.unwrap_or(HttpsFailure::NoAddress)
    }
}

fn printable(text: &str) -> String {
    let visible = |c| if (' '..='~').contains(&c) { c } else { '?' };
    text.chars().take(MAX_TEXT).map(visible).collect()
}
