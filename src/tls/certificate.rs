//! What a single certificate says: its key, names and dates. It reads what strangers send, so anything
//! unreadable is `None` or no match, never an error that could stop opportunistic delivery.

use crate::names::DomainName;
use crate::policy::ReferenceName;
use rustls_pki_types::{CertificateDer, DnsName, ServerName, SubjectPublicKeyInfoDer};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use webpki::EndEntityCert;
use x509_parser::asn1_rs::Any;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ED25519,
};
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// At most this many names of a certificate are kept for people to read.
const MAX_PRESENTED: usize = 10;
/// And at most this many characters of each.
const MAX_PRESENTED_LENGTH: usize = 100;

/// Whether webpki can read the certificate; it refuses version 1 and much that is malformed.
pub(super) fn is_webpki_readable(cert: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(cert).is_ok()
}

/// The SubjectPublicKeyInfo in DER: of what webpki reads, else of what x509-parser reads. The handshake's
/// signature and the pins are checked with the same key, therefore by this one function.
pub(super) fn public_key(cert: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    if let Ok(readable) = EndEntityCert::try_from(cert) {
        return Some(readable.subject_public_key_info());
    }
    let cert = read(cert)?;
    Some(SubjectPublicKeyInfoDer::from(
        cert.public_key().raw.to_vec(),
    ))
}

/// Who a certificate belongs to and who issued it: the contents of both Names in DER, as webpki compares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DistinguishedNames {
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
}

impl DistinguishedNames {
    pub(super) fn of(cert: &CertificateDer<'_>) -> Option<Self> {
        if let Ok(readable) = EndEntityCert::try_from(cert) {
            return Some(Self {
                subject: readable.subject().to_vec(),
                issuer: readable.issuer().to_vec(),
            });
        }
        let cert = read(cert)?;
        Some(Self {
            subject: content(cert.subject().as_raw())?.to_vec(),
            issuer: content(cert.issuer().as_raw())?.to_vec(),
        })
    }
}

/// What is inside a DER element.
pub(super) fn content(der: &[u8]) -> Option<&[u8]> {
    Any::from_der(der).ok().map(|(_, element)| element.data)
}

/// The subject for people; of any length.
pub(super) fn subject(cert: &CertificateDer<'_>) -> String {
    read(cert).map_or_else(String::new, |cert| cert.subject().to_string())
}

/// Whether the certificate names itself as its issuer.
pub(super) fn is_self_issued(cert: &CertificateDer<'_>) -> bool {
    read(cert).is_some_and(|cert| cert.subject().as_raw() == cert.issuer().as_raw())
}

/// First and last second of validity, in UNIX time.
pub(super) fn validity(cert: &CertificateDer<'_>) -> Option<RangeInclusive<i64>> {
    let cert = read(cert)?;
    let validity = cert.validity();
    Some(validity.not_before.timestamp()..=validity.not_after.timestamp())
}

/// Whether the certificate carries one of the names as a DNS-ID in its SAN (RFC 6125 §6.4; the common
/// name is no name).
pub(super) fn carries_any(cert: &CertificateDer<'_>, names: &[ReferenceName]) -> bool {
    let Ok(cert) = EndEntityCert::try_from(cert) else {
        return false;
    };
    names.iter().any(|name| match name {
        ReferenceName::Exact(name) => DnsName::try_from(name.as_str()).is_ok_and(|name| {
            let name = ServerName::DnsName(name);
            cert.verify_is_valid_for_subject_name(&name).is_ok()
        }),
        ReferenceName::Below(ancestor) => cert
            .valid_dns_names()
            .any(|presented| is_below(presented, ancestor)),
    })
}

/// Whether every name that `presented` stands for is below `ancestor`: `*.example.com` is below
/// `example.com`, as in Postfix.
fn is_below(presented: &str, ancestor: &DomainName) -> bool {
    presented
        .to_ascii_lowercase()
        .strip_suffix(ancestor.as_str())
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(|rest| !rest.is_empty())
}

/// The names in the SAN, for people: bounded, printable ASCII.
pub(super) fn presented_names(cert: &CertificateDer<'_>) -> Vec<String> {
    let Some(cert) = read(cert) else {
        return Vec::new();
    };
    let Ok(Some(san)) = cert.subject_alternative_name() else {
        return Vec::new();
    };
    san.value
        .general_names
        .iter()
        .filter_map(|name| {
            if let GeneralName::DNSName(name) = name {
                Some(printable(name, MAX_PRESENTED_LENGTH))
            } else if let GeneralName::IPAddress(octets) = name {
                address(octets).map(|ip| ip.to_string())
            } else {
                None
            }
        })
        .take(MAX_PRESENTED)
        .collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

/// One line of printable ASCII; anything else becomes `?`.
pub(super) fn printable(text: &str, max: usize) -> String {
    text.chars()
        .take(max)
        .map(|c| match c {
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

/// Type and size of a key, as a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa1024,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    RsaOther,
    P256,
    P384,
    P521,
    Ed25519,
    Other,
}

impl KeyKind {
    pub(super) const ALL: [Self; 10] = [
        Self::Rsa1024,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::RsaOther,
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Ed25519,
        Self::Other,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rsa1024 => "rsa1024",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
            Self::RsaOther => "rsa_other",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::P521 => "p521",
            Self::Ed25519 => "ed25519",
            Self::Other => "other",
        }
    }

    pub(super) fn of(cert: &CertificateDer<'_>) -> Self {
        read(cert).map_or(Self::Other, |cert| Self::of_key(cert.public_key()))
    }

    fn of_key(key: &SubjectPublicKeyInfo<'_>) -> Self {
        if key.algorithm.algorithm == OID_SIG_ED25519 {
            return Self::Ed25519;
        }
        if key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let curve = key
                .algorithm
                .parameters
                .as_ref()
                .and_then(|p| p.as_oid().ok());
            return match curve {
                Some(curve) if curve == OID_EC_P256 => Self::P256,
                Some(curve) if curve == OID_NIST_EC_P384 => Self::P384,
                Some(curve) if curve == OID_NIST_EC_P521 => Self::P521,
                Some(_) | None => Self::Other,
            };
        }
        let Ok(PublicKey::RSA(key)) = key.parsed() else {
            return Self::Other;
        };
        match bits(key.modulus) {
            1024 => Self::Rsa1024,
            2048 => Self::Rsa2048,
            3072 => Self::Rsa3072,
            4096 => Self::Rsa4096,
            _ => Self::RsaOther,
        }
    }
}

/// Length of a big-endian number, in bits.
pub(super) fn bits(number: &[u8]) -> usize {
    let Some(first) = number.iter().position(|&octet| octet != 0) else {
        return 0;
    };
    (number.len() - first) * 8 - number[first].leading_zeros() as usize
}

pub(super) fn read<'a>(cert: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    parse_x509_certificate(cert).ok().map(|(_, cert)| cert)
}
