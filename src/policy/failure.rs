//! The reasons for which TLS fails, as an operator reads them.

/// What a full WebPKI check finds wrong with a peer's chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    #[error("certificate is for {}", names(.presented))]
    NameMismatch { presented: Vec<String> },
    #[error("certificate has expired")]
    Expired,
    #[error("certificate is not yet valid")]
    NotYetValid,
    #[error("certificate is self-signed")]
    SelfSigned,
    #[error("certificate is not signed by a trusted authority")]
    Untrusted,
    #[error("certificate is not meant for servers")]
    WrongUsage,
    #[error("certificate is malformed or too weak: {0}")]
    Unacceptable(String),
    #[error("certificate matches none of the fingerprints")]
    FingerprintMismatch,
    #[error("certificate matches none of the TLSA records")]
    TlsaMismatch,
    #[error("no certificate was presented")]
    Missing,
}

impl CertificateProblem {
    /// The `problem` label of `certificates_total`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NameMismatch { .. } => "name_mismatch",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::SelfSigned => "self_signed",
            Self::Untrusted => "untrusted",
            Self::WrongUsage => "wrong_usage",
            Self::Unacceptable(_) => "unacceptable",
            Self::FingerprintMismatch => "fingerprint_mismatch",
            Self::TlsaMismatch => "tlsa_mismatch",
            Self::Missing => "missing",
        }
    }

    /// RFC 8460 §4.3.1.
    pub fn result_type(&self) -> &'static str {
        match self {
            Self::NameMismatch { .. } => "certificate-host-mismatch",
            Self::Expired => "certificate-expired",
            Self::NotYetValid | Self::SelfSigned | Self::Untrusted | Self::WrongUsage => {
                "certificate-not-trusted"
            }
            Self::TlsaMismatch => "tlsa-invalid",
            Self::Unacceptable(_) | Self::FingerprintMismatch | Self::Missing => {
                "validation-failure"
            }
        }
    }
}

/// At most three names in a reply; a certificate may carry hundreds.
fn names(presented: &[String]) -> String {
    match presented {
        [] => "no name".into(),
        [a] => a.clone(),
        [a, b] => format!("{a}, {b}"),
        [a, b, c] => format!("{a}, {b}, {c}"),
        [a, b, rest @ ..] => format!("{a}, {b} and {} more", rest.len()),
    }
}

/// Why there is no TLS channel that satisfies the requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    #[error("TLS is required, but STARTTLS is not offered")]
    StarttlsNotOffered,
    #[error("STARTTLS was refused: {0}")]
    StarttlsRefused(String),
    #[error("octets after the reply to STARTTLS")]
    SurplusAfterStarttls,
    #[error("TLS handshake failed: {0}")]
    Handshake(String),
    #[error("TLS handshake failed: no common version or cipher")]
    NoCommonParameters,
    #[error("TLS handshake timed out")]
    HandshakeTimeout,
    #[error("connection lost during the TLS handshake")]
    ConnectionLost,
    #[error("TLS version is below {0}")]
    VersionTooOld(super::TlsVersion),
    #[error("{0}")]
    Certificate(#[from] CertificateProblem),
    /// What DANE demands is not met.
    #[error("DANE: {0}")]
    Dane(CertificateProblem),
    /// What the domain's MTA-STS policy demands is not met.
    #[error("{0}")]
    MtaSts(CertificateProblem),
}

impl TlsFailure {
    /// RFC 8460 §4.3.1, and `no_common_parameters`; the `reason` label of `tls_failures_total`.
    pub fn result_type(&self) -> &'static str {
        match self {
            Self::StarttlsNotOffered | Self::StarttlsRefused(_) => "starttls-not-supported",
            Self::SurplusAfterStarttls
            | Self::Handshake(_)
            | Self::HandshakeTimeout
            | Self::ConnectionLost => "validation-failure",
            Self::NoCommonParameters | Self::VersionTooOld(_) => "no_common_parameters",
            Self::Certificate(problem) | Self::Dane(problem) | Self::MtaSts(problem) => {
                problem.result_type()
            }
        }
    }
}
