//! How mail went: the version of TLS and how far the other end was proven.

/// A version of TLS, as Postfix names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    Ssl3,
    Tls1_0,
    Tls1_1,
    Tls1_2,
    Tls1_3,
    Other,
}

impl Version {
    pub const ALL: [Self; 6] = [
        Self::Tls1_3,
        Self::Tls1_2,
        Self::Tls1_1,
        Self::Tls1_0,
        Self::Ssl3,
        Self::Other,
    ];

    pub(super) fn parse(word: &[u8]) -> Self {
        match word {
            b"TLSv1.3" => Self::Tls1_3,
            b"TLSv1.2" => Self::Tls1_2,
            b"TLSv1.1" => Self::Tls1_1,
            b"TLSv1" | b"TLSv1.0" => Self::Tls1_0,
            b"SSLv3" => Self::Ssl3,
            _ => Self::Other,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls1_3 => "TLSv1.3",
            Self::Tls1_2 => "TLSv1.2",
            Self::Tls1_1 => "TLSv1.1",
            Self::Tls1_0 => "TLSv1",
            Self::Ssl3 => "SSLv3",
            Self::Other => "other",
        }
    }
}

/// How far the other end was proven: the first four are Postfix's words, the last three are known where Sealpost
/// delivered, or where Postfix (3.11) logs the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trust {
    /// There was no certificate.
    Anonymous,
    /// Nobody who is trusted vouches for the certificate, or nobody looked.
    Untrusted,
    /// An authority vouches for the certificate; whether it is for this host was not checked.
    Trusted,
    /// What the level demanded was proven: a name, a TLSA record, or a fingerprint.
    Verified,
    WebPki,
    Dane,
    Fingerprint,
}

impl Trust {
    pub const ALL: [Self; 7] = [
        Self::Dane,
        Self::WebPki,
        Self::Fingerprint,
        Self::Verified,
        Self::Trusted,
        Self::Untrusted,
        Self::Anonymous,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dane => "dane",
            Self::WebPki => "webpki",
            Self::Fingerprint => "fingerprint",
            Self::Verified => "verified",
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
            Self::Anonymous => "anonymous",
        }
    }

    /// Whether the host itself was proven.
    pub fn is_verified(self) -> bool {
        match self {
            Self::Dane | Self::WebPki | Self::Fingerprint | Self::Verified => true,
            Self::Trusted | Self::Untrusted | Self::Anonymous => false,
        }
    }

    /// What "Verified" stands for, if Postfix (3.11, `smtp_log_tls_feature_status`) says at which level.
    pub(super) fn at_level(self, level: &[u8]) -> Self {
        match (self, level) {
            (Self::Verified, b"dane" | b"dane-only" | b"half-dane") => Self::Dane,
            (Self::Verified, b"verify" | b"secure") => Self::WebPki,
            (Self::Verified, b"fingerprint") => Self::Fingerprint,
            (trust, _) => trust,
        }
    }
}

/// What one message went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    Plaintext,
    Tls(Version, Trust),
}

impl Channel {
    pub fn is_tls(self) -> bool {
        match self {
            Self::Plaintext => false,
            Self::Tls(..) => true,
        }
    }

    pub fn is_verified(self) -> bool {
        match self {
            Self::Plaintext => false,
            Self::Tls(_, trust) => trust.is_verified(),
        }
    }
}
