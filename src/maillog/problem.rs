//! What went wrong with TLS, by Postfix's own words.

/// A kind of trouble; the words that Postfix used are kept beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Problem {
    Handshake,
    NotOffered,
    Refused,
    NotTrusted,
    NotVerified,
    CertificateRejected,
    Tlsa,
    Configuration,
}

/// Longest words that are kept, in characters.
const MAX_WORDS: usize = 200;

/// How Postfix's sentences begin, and what they mean.
const SENTENCES: &[(&[u8], Problem)] = &[
    (b"Cannot start TLS", Problem::Handshake),
    (b"SSL_connect error", Problem::Handshake),
    (b"warning: TLS library problem", Problem::Handshake),
    (
        b"lost connection while performing the STARTTLS",
        Problem::Handshake,
    ),
    (b"TLS is required, but was not offered", Problem::NotOffered),
    (b"TLS is required, but host", Problem::Refused),
    (b"TLS is required, but our", Problem::Configuration),
    (b"client TLS configuration problem", Problem::Configuration),
    (b"Server certificate not trusted", Problem::NotTrusted),
    (b"Server certificate not verified", Problem::NotVerified),
    (
        b"certificate verification failed for",
        Problem::CertificateRejected,
    ),
    (
        b"server certificate verification failed for",
        Problem::CertificateRejected,
    ),
    (b"TLSA lookup error", Problem::Tlsa),
    (b"no TLSA records found", Problem::Tlsa),
    (b"TLSA records unusable", Problem::Tlsa),
    (b"non DNSSEC destination", Problem::Tlsa),
];

impl Problem {
    /// What a sentence complains of; `None`: not of TLS.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let text = text
            .strip_prefix(b"delivery temporarily suspended: ")
            .unwrap_or(text);
        let mut sentences = SENTENCES.iter();
        sentences
            .find(|(start, _)| text.starts_with(start))
            .map(|(_, problem)| *problem)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake-failed",
            Self::NotOffered => "starttls-not-offered",
            Self::Refused => "starttls-refused",
            Self::NotTrusted => "certificate-not-trusted",
            Self::NotVerified => "certificate-not-verified",
            Self::CertificateRejected => "certificate-rejected",
            Self::Tlsa => "tlsa",
            Self::Configuration => "configuration",
        }
    }
}

/// Words of strangers, bounded and in one line of harmless characters.
pub(super) fn words(text: &[u8]) -> String {
    let bounded = &text[..text.len().min(4 * MAX_WORDS)];
    let sound = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
    let harmless = |c: char| if sound(c) { c } else { '?' };
    let text = String::from_utf8_lossy(bounded);
    text.chars().take(MAX_WORDS).map(harmless).collect()
}
