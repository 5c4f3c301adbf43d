//! What TLS with an address is like.

use super::Known;
use serde::{Deserialize, Serialize};

/// Whether STARTTLS is to be had.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Offer {
    Offered,
    NotOffered,
    /// Offered, and then refused.
    Refused,
    /// EHLO was not answered: nothing is said about STARTTLS.
    #[default]
    Unknown,
}

/// A handshake as a delivery makes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    #[serde(flatten)]
    pub negotiated: Negotiated,
    pub forward_secrecy: Known,
    /// Whether the group is a post-quantum one.
    pub post_quantum: Known,
}

/// What a handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Negotiated {
    /// `1.2`, `1.3`.
    pub version: String,
    /// IANA's name.
    pub cipher: String,
    /// The key exchange group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Which versions are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Versions {
    /// With `--depth deep` or `--legacy`.
    #[serde(rename = "1.0")]
    pub v1_0: Known,
    #[serde(rename = "1.1")]
    pub v1_1: Known,
    #[serde(rename = "1.2")]
    pub v1_2: Known,
    #[serde(rename = "1.3")]
    pub v1_3: Known,
    /// What was agreed on when only TLS 1.2 was offered, if that was another handshake than a delivery's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_1_2: Option<Negotiated>,
}

/// What only further hellos find out: `--depth deep`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Deep {
    /// Weak suites of TLS 1.2 and below that the server chose when offered nothing better.
    pub suites: Vec<Suite>,
    /// Whether anything weaker than what a delivery offers is accepted under TLS 1.2.
    pub weak_suites: Known,
    pub cipher_order: CipherOrder,
    /// TLS compression (CRIME).
    pub compression: Known,
    /// RFC 5746.
    pub secure_renegotiation: Known,
    /// RFC 7627, under TLS 1.2.
    pub extended_master_secret: Known,
    /// Octets of the prime of finite-field Diffie-Hellman, in bits, if the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dh_bits: Option<u32>,
}

/// A suite that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Suite {
    /// `1.0`, `1.1`, `1.2`.
    pub version: String,
    /// IANA's name, or `0xC0FF`.
    pub name: String,
    pub strength: SuiteStrength,
}

/// Internet.nl's grades, after the guidelines of NCSC-NL.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum SuiteStrength {
    Good,
    Sufficient,
    PhaseOut,
    #[default]
    Insufficient,
}

/// Whose preference decides the suite.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum CipherOrder {
    /// The server prefers good suites whatever the client puts first.
    ServerPrefersGood,
    /// A client that puts weak suites first gets one.
    Violated,
    /// Nothing weaker is accepted.
    NotApplicable,
    Unknown,
    #[default]
    NotTested,
}
