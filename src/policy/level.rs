//! The levels of TLS security and where a policy came from, under the names that users write and read.

use std::fmt;
use std::str::FromStr;

/// TLS security levels with Postfix's names and meaning, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// TLS is never tried.
    None,
    /// TLS is tried; plaintext if the MX has no STARTTLS.
    May,
    /// DANE where the MX has secure TLSA records (RFC 7672).
    Dane,
    /// TLS is mandatory, nobody is authenticated.
    Encrypt,
    /// TLS is mandatory; the leaf certificate or its key is one of those listed.
    Fingerprint,
    /// TLS is mandatory; WebPKI with the MX host name.
    Verify,
    /// TLS is mandatory; WebPKI with the next-hop domain.
    Secure,
    /// TLS is mandatory, TLSA records too.
    DaneOnly,
}

impl Level {
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::May,
        Self::Dane,
        Self::Encrypt,
        Self::Fingerprint,
        Self::Verify,
        Self::Secure,
        Self::DaneOnly,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::May => "may",
            Self::Dane => "dane",
            Self::Encrypt => "encrypt",
            Self::Fingerprint => "fingerprint",
            Self::Verify => "verify",
            Self::Secure => "secure",
            Self::DaneOnly => "dane-only",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such level")]
pub struct NoSuchLevel;

impl FromStr for Level {
    type Err = NoSuchLevel;

    fn from_str(text: &str) -> Result<Self, NoSuchLevel> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or(NoSuchLevel)
    }
}

/// Where the policy in force came from; the `policy` label of metrics and log events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicySource {
    Rule,
    Dane,
    MtaSts,
    RequireTls,
    Default,
}

impl PolicySource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Dane => "dane",
            Self::MtaSts => "mta-sts",
            Self::RequireTls => "requiretls",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
