//! What a chain of certificates says, and what is wrong with it.

use super::Known;
use serde::{Deserialize, Serialize};

/// The server's certificate and its chain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    pub key: KeyType,
    /// Of RSA: of the modulus; of curves: of the field.
    pub key_bits: u32,
    /// `sha256WithRSAEncryption`, `ecdsa-with-SHA256`, or an OID.
    pub signature: String,
    pub subject: String,
    pub issuer: String,
    /// RFC 3339 in UTC.
    pub not_before: String,
    pub not_after: String,
    /// Whole days until it ends, when it was seen; negative if it has ended.
    pub days_left: i64,
    /// From the SAN; at most ten.
    pub names: Vec<String>,
    pub self_signed: Known,
    /// Lower-case hex.
    pub sha256: String,
    /// Of the SubjectPublicKeyInfo, lower-case hex: what `3 1 1` records hold.
    pub spki_sha256: String,
    /// What a full WebPKI check with the name of the MX host says.
    pub verification: Verification,
    /// The same in words; `None` if it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The whole chain as it was sent, the server's own first; at most ten.
    pub chain: Vec<ChainEntry>,
    /// How many were sent.
    pub chain_length: usize,
    /// The weakest key of the chain, but that of a self-signed one above the server's own.
    pub key_strength: Strength,
    /// The weakest signature, likewise.
    pub signature_strength: Strength,
}

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChainEntry {
    pub subject: String,
    pub key: KeyType,
    pub key_bits: u32,
    pub key_strength: Strength,
    pub signature: String,
    pub signature_strength: Strength,
}

/// Kinds of keys.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum KeyType {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
    Ed448,
    #[default]
    Other,
}

/// Internet.nl's grades of keys and signatures.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    Good,
    /// RSA of 2048 to 3071 bits; SHA-224.
    PhaseOut,
    /// RSA below 2048 bits; MD5, SHA-1.
    Weak,
    #[default]
    Unknown,
}

/// What a full check says; the words of the metrics.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    Valid,
    NameMismatch,
    Expired,
    NotYetValid,
    SelfSigned,
    /// No path to a trusted authority.
    Untrusted,
    /// Not meant for servers.
    WrongUsage,
    /// Malformed or too weak.
    Unacceptable,
    /// No certificate.
    Missing,
    #[default]
    NotTested,
}
