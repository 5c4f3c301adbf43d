//! One TLSA record: its fields, and why it cannot be used.

use std::fmt;
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A TLSA record's data as published, well-formed or not: one bad record must not spoil the others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TlsaRdata(pub Vec<u8>);

/// A usable TLSA record (RFC 6698 §2.1, RFC 7672 §3.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tlsa {
    pub usage: Usage,
    pub selector: Selector,
    pub matching: Matching,
    /// The association data: a digest, or the whole certificate or key in DER.
    pub data: Vec<u8>,
}

/// Certificate usages that SMTP knows (RFC 7672 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Usage {
    /// DANE-TA(2): a trust anchor of the chain.
    TrustAnchor,
    /// DANE-EE(3): the server's own certificate or key.
    EndEntity,
}

/// What is compared (RFC 6698 §2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// Cert(0)
    Certificate,
    /// SPKI(1)
    PublicKey,
}

/// How it is compared (RFC 6698 §2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matching {
    /// Full(0)
    Full,
    /// SHA2-256(1)
    Sha256,
    /// SHA2-512(2)
    Sha512,
}

/// Why a record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unusable {
    #[error("malformed: {0} octets")]
    TooShort(usize),
    #[error("usage {0} is not for SMTP (RFC 7672 section 3.1.3)")]
    UsageForWebPki(u8),
    #[error("unknown usage {0}")]
    UsageUnknown(u8),
    #[error("unknown selector {0}")]
    SelectorUnknown(u8),
    #[error("unknown matching type {0}")]
    MatchingUnknown(u8),
    #[error("no association data")]
    NoData,
    #[error("a digest of {got} octets in place of {wanted}")]
    DigestLength { wanted: usize, got: usize },
    #[error("the association data is no certificate")]
    NotACertificate,
    #[error("the association data is no public key")]
    NotAPublicKey,
}

impl Usage {
    pub fn number(self) -> u8 {
        match self {
            Self::TrustAnchor => 2,
            Self::EndEntity => 3,
        }
    }
}

impl Selector {
    pub fn number(self) -> u8 {
        match self {
            Self::Certificate => 0,
            Self::PublicKey => 1,
        }
    }
}

impl Matching {
    pub fn number(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }
}

impl fmt::Display for Tlsa {
    /// `3 1 1 0d6fce3b...`: the fields as in a zone file, the data cut for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} ",
            self.usage.number(),
            self.selector.number(),
            self.matching.number()
        )?;
        hex(f, &self.data)
    }
}

impl fmt::Display for TlsaRdata {
    /// As [`Tlsa`], as far as there is anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [usage, selector, matching, data @ ..] => {
                write!(f, "{usage} {selector} {matching} ")?;
                hex(f, data)
            }
            short => hex(f, short),
        }
    }
}

/// Octets of association data that people are shown.
const SHOWN: usize = 32;

fn hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    for octet in octets.iter().take(SHOWN) {
        write!(f, "{octet:02x}")?;
    }
    if octets.len() > SHOWN {
        write!(f, "... ({} octets)", octets.len())?;
    }
    Ok(())
}

impl TlsaRdata {
    /// The record, if it can be used (RFC 7672 §3.1: usages 0 and 1 cannot).
    pub fn parse(&self) -> Result<Tlsa, Unusable> {
        let [usage, selector, matching, data @ ..] = self.0.as_slice() else {
            return Err(Unusable::TooShort(self.0.len()));
        };
        let usage = match usage {
            0 | 1 => return Err(Unusable::UsageForWebPki(*usage)),
            2 => Usage::TrustAnchor,
            3 => Usage::EndEntity,
            other => return Err(Unusable::UsageUnknown(*other)),
        };
        let selector = match selector {
            0 => Selector::Certificate,
            1 => Selector::PublicKey,
            other => return Err(Unusable::SelectorUnknown(*other)),
        };
        let matching = match matching {
            0 => Matching::Full,
            1 => Matching::Sha256,
            2 => Matching::Sha512,
            other => return Err(Unusable::MatchingUnknown(*other)),
        };
        check_data(selector, matching, data)?;
        Ok(Tlsa {
            usage,
            selector,
            matching,
            data: data.to_vec(),
        })
    }
}

fn check_data(selector: Selector, matching: Matching, data: &[u8]) -> Result<(), Unusable> {
    if data.is_empty() {
        return Err(Unusable::NoData);
    }
    let wanted = match matching {
        Matching::Full => return check_full(selector, data),
        Matching::Sha256 => 32,
        Matching::Sha512 => 64,
    };
    if data.len() == wanted {
        Ok(())
    } else {
        let got = data.len();
        Err(Unusable::DigestLength { wanted, got })
    }
}

/// The whole of the data must be one certificate or one key.
fn check_full(selector: Selector, data: &[u8]) -> Result<(), Unusable> {
    match selector {
        Selector::Certificate => match parse_x509_certificate(data) {
            Ok((&[], _)) => Ok(()),
            Ok(_) | Err(_) => Err(Unusable::NotACertificate),
        },
        Selector::PublicKey => match SubjectPublicKeyInfo::from_der(data) {
            Ok((&[], _)) => Ok(()),
            Ok(_) | Err(_) => Err(Unusable::NotAPublicKey),
        },
    }
}
