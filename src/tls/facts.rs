//! What the certificates of a chain say of themselves, for surveys: keys, signatures, names and dates. Strangers
//! wrote it: every text is one line of printable ASCII and bounded.

use super::certificate::{bits, is_self_issued, presented_names, printable, public_key, read};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ED448,
    OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Longest subject or issuer, in characters.
const MAX_NAME: usize = 300;

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    pub subject: String,
    pub issuer: String,
    pub key: KeyFacts,
    pub signature: &'static str,
    pub signature_grade: Grade,
    /// First and last second of validity, in UNIX time.
    pub not_before: i64,
    pub not_after: i64,
    /// From the SAN; at most ten.
    pub names: Vec<String>,
    pub issuer_is_subject: bool,
    pub sha256: [u8; 32],
    /// Of the SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
}

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFacts {
    pub algorithm: KeyAlgorithm,
    /// Of the modulus, or of the field.
    pub bits: u32,
}

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
    Ed448,
    Other,
}

/// How strong a key or a signature is, by the guidelines that Internet.nl grades by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Good,
    /// RSA of 2048 to 3071 bits; SHA-224.
    PhaseOut,
    /// RSA below 2048 bits; SHA-1 and MD5.
    Weak,
    Unknown,
}

impl KeyFacts {
    pub fn grade(self) -> Grade {
        match self.algorithm {
            KeyAlgorithm::Rsa if self.bits >= 3072 => Grade::Good,
            KeyAlgorithm::Rsa if self.bits >= 2048 => Grade::PhaseOut,
            KeyAlgorithm::Rsa => Grade::Weak,
            KeyAlgorithm::P256
            | KeyAlgorithm::P384
            | KeyAlgorithm::P521
            | KeyAlgorithm::Ed25519
            | KeyAlgorithm::Ed448 => Grade::Good,
            KeyAlgorithm::Other => Grade::Unknown,
        }
    }

    fn of(key: &SubjectPublicKeyInfo<'_>) -> Self {
        let (algorithm, bits) = algorithm(key);
        Self { algorithm, bits }
    }
}

fn algorithm(key: &SubjectPublicKeyInfo<'_>) -> (KeyAlgorithm, u32) {
    let oid = &key.algorithm.algorithm;
    if *oid == OID_SIG_ED25519 {
        return (KeyAlgorithm::Ed25519, 256);
    }
    if *oid == OID_SIG_ED448 {
        return (KeyAlgorithm::Ed448, 456);
    }
    if *oid == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let parameters = key.algorithm.parameters.as_ref();
        return match parameters.and_then(|p| p.as_oid().ok()) {
            Some(curve) if curve == OID_EC_P256 => (KeyAlgorithm::P256, 256),
            Some(curve) if curve == OID_NIST_EC_P384 => (KeyAlgorithm::P384, 384),
            Some(curve) if curve == OID_NIST_EC_P521 => (KeyAlgorithm::P521, 521),
            Some(_) | None => (KeyAlgorithm::Other, 0),
        };
    }
    match key.parsed() {
        Ok(PublicKey::RSA(key)) => {
            let bits = u32::try_from(bits(key.modulus)).unwrap_or(u32::MAX);
            (KeyAlgorithm::Rsa, bits)
        }
        _ => (KeyAlgorithm::Other, 0),
    }
}

/// The names of signature algorithms (RFC 8017, RFC 5758, RFC 8410).
const SIGNATURES: [(&str, &str, Grade); 15] = [
    ("1.2.840.113549.1.1.4", "md5WithRSAEncryption", Grade::Weak),
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption", Grade::Weak),
    (
        "1.2.840.113549.1.1.14",
        "sha224WithRSAEncryption",
        Grade::PhaseOut,
    ),
    (
        "1.2.840.113549.1.1.11",
        "sha256WithRSAEncryption",
        Grade::Good,
    ),
    (
        "1.2.840.113549.1.1.12",
        "sha384WithRSAEncryption",
        Grade::Good,
    ),
    (
        "1.2.840.113549.1.1.13",
        "sha512WithRSAEncryption",
        Grade::Good,
    ),
    // Its hash is a parameter, which is not looked at.
    ("1.2.840.113549.1.1.10", "rsassaPss", Grade::Unknown),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1", Grade::Weak),
    ("1.2.840.10045.4.3.1", "ecdsa-with-SHA224", Grade::PhaseOut),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256", Grade::Good),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384", Grade::Good),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512", Grade::Good),
    ("1.2.840.10040.4.3", "dsa-with-sha1", Grade::Weak),
    ("1.3.101.112", "Ed25519", Grade::Good),
    ("1.3.101.113", "Ed448", Grade::Good),
];

impl CertificateFacts {
    /// `None`: it cannot be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let cert = read(certificate)?;
        let oid = cert.signature_algorithm.algorithm.to_id_string();
        let known = SIGNATURES.iter().find(|(known, _, _)| *known == oid);
        let (signature, signature_grade) = known
            .map_or(("unknown", Grade::Unknown), |(_, name, grade)| {
                (*name, *grade)
            });
        let validity = cert.validity();
        let key = public_key(certificate)?;
        Some(Self {
            subject: printable(&cert.subject().to_string(), MAX_NAME),
            issuer: printable(&cert.issuer().to_string(), MAX_NAME),
            key: KeyFacts::of(cert.public_key()),
            signature,
            signature_grade,
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            names: presented_names(certificate),
            issuer_is_subject: is_self_issued(certificate),
            sha256: Sha256::digest(certificate).into(),
            spki_sha256: Sha256::digest(key).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Authority, MX};

    #[test]
    fn what_a_certificate_says() {
        let root = Authority::root("root");
        let chain = root.issue(&[MX], |_| {}).chain;
        let facts = CertificateFacts::of(&chain[0]).unwrap();
        assert_eq!(facts.key.algorithm, KeyAlgorithm::P256);
        assert_eq!(facts.signature, "ecdsa-with-SHA256");
        assert_eq!(facts.signature_grade, Grade::Good);
        assert_eq!(facts.names, [MX]);
        assert!(!facts.issuer_is_subject && facts.issuer.contains("root"));
        assert!(facts.not_before < facts.not_after);
        assert!(CertificateFacts::of(&root.cert).unwrap().issuer_is_subject);
        assert_eq!(CertificateFacts::of(&b"rubbish".as_slice().into()), None);
    }

    #[test]
    fn grades_of_keys() {
        use KeyAlgorithm::{Ed25519, Other, P256, Rsa};
        for (algorithm, bits, grade) in [
            (Rsa, 1024, Grade::Weak),
            (Rsa, 2047, Grade::Weak),
            (Rsa, 2048, Grade::PhaseOut),
            (Rsa, 3072, Grade::Good),
            (P256, 256, Grade::Good),
            (Ed25519, 256, Grade::Good),
            (Other, 0, Grade::Unknown),
        ] {
            assert_eq!(
                KeyFacts { algorithm, bits }.grade(),
                grade,
                "{algorithm:?} {bits}"
            );
        }
    }
}
