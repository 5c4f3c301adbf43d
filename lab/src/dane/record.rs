//! What a TLSA record says.

use std::fmt;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha512};

use crate::ca::{Ca, Identity, spki};

/// A TLSA record (RFC 6698 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Certificate usage; above 3 there is none.
    pub usage: u8,
    /// What is compared.
    pub selector: Selector,
    /// Full, SHA-256, SHA-512; above 2 there is none.
    pub matching: u8,
    /// Whose certificate it is about.
    pub association: Association,
    /// What the association data are.
    pub data: Data,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Cert(0)
    Cert,
    /// SPKI(1)
    Key,
}

impl Selector {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cert, Self::Key];

    fn number(self) -> u8 {
        match self {
            Self::Cert => 0,
            Self::Key => 1,
        }
    }
}

/// Whose certificate a record is about, whether the usage allows it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Association {
    /// The host's own.
    Leaf,
    /// The intermediate.
    Intermediate,
    /// The root.
    Root,
}

impl Association {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Leaf, Self::Intermediate, Self::Root];
}

/// What the association data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// As they should be.
    Right,
    /// Those of an earlier certificate of the host, or of another authority.
    Wrong,
    /// The last octet is missing.
    Cut,
    /// None at all.
    Absent,
}

impl Record {
    /// The RDATA for a host that presents `identity` and whose authority is `ca`.
    pub(super) fn rdata(&self, ca: &Ca, identity: &Identity) -> Vec<u8> {
        let certificate = match self.association {
            Association::Leaf => identity.leaf(),
            Association::Intermediate => ca.intermediate(),
            Association::Root => ca.root(),
        };
        let mut data = association_data(certificate, self.selector, self.matching);
        match self.data {
            Data::Right | Data::Wrong => {}
            Data::Cut => {
                data.pop();
            }
            Data::Absent => data.clear(),
        }
        [
            &[self.usage, self.selector.number(), self.matching][..],
            &data,
        ]
        .concat()
    }
}

/// The association data for a certificate; those of an unknown matching type are a digest.
fn association_data(certificate: &CertificateDer<'_>, selector: Selector, matching: u8) -> Vec<u8> {
    let selected = match selector {
        Selector::Cert => certificate.to_vec(),
        Selector::Key => spki(certificate),
    };
    match matching {
        0 => selected,
        2 => Sha512::digest(selected).to_vec(),
        _ => Sha256::digest(selected).to_vec(),
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (usage, selector, matching) = (self.usage, self.selector.number(), self.matching);
        write!(f, "{usage} {selector} {matching} ")?;
        let state = match self.data {
            Data::Right => "",
            Data::Wrong => "wrong ",
            Data::Cut => "cut ",
            Data::Absent => "absent ",
        };
        let association = match self.association {
            Association::Leaf => "leaf",
            Association::Intermediate => "intermediate",
            Association::Root => "root",
        };
        write!(f, "{state}{association}")
    }
}
