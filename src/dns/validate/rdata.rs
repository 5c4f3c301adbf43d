//! The records of DNSSEC in our types (RFC 4034, RFC 5155). Each constructor refuses what is malformed.

use crate::dns::wire::{Record, plain_name};
use hickory_resolver::proto::rr::{Name, RecordType};

/// An RRSIG record (RFC 4034 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) struct Rrsig {
    pub covered: RecordType,
    pub algorithm: u8,
    /// Labels of the owner before a wildcard was expanded (RFC 4034 §3.1.3).
    pub labels: u8,
    pub original_ttl: u32,
    /// In seconds since 1970, modulo 2^32 (RFC 4034 §3.1.5).
    pub expiration: u32,
    pub inception: u32,
    pub key_tag: u16,
    pub signer: Name,
    pub signature: Box<[u8]>,
    /// The data before the signer's name, as they are signed.
    pub head: [u8; Self::HEAD],
}

impl Rrsig {
    const HEAD: usize = 18;

    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let (head, rest) = data.split_first_chunk::<{ Self::HEAD }>()?;
        let (signer, signature) = plain_name(rest)?;
        let four =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        Some(Self {
            covered: RecordType::from(u16::from_be_bytes([head[0], head[1]])),
            algorithm: head[2],
            labels: head[3],
            original_ttl: four(4),
            expiration: four(8),
            inception: four(12),
            key_tag: u16::from_be_bytes([head[16], head[17]]),
            signer,
            signature: signature.into(),
            head: *head,
        })
    }
}

/// A DNSKEY record (RFC 4034 §2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) struct Dnskey {
    pub flags: u16,
    pub protocol: u8,
    pub algorithm: u8,
    /// The whole record data.
    pub data: Box<[u8]>,
}

impl Dnskey {
    const FIXED: usize = 4;
    const ZONE: u16 = 0x0100;
    const REVOKED: u16 = 0x0080; // RFC 5011 §3

    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let [high, low, protocol, algorithm, ..] = *data else {
            return None;
        };
        Some(Self {
            flags: u16::from_be_bytes([high, low]),
            protocol,
            algorithm,
            data: data.into(),
        })
    }

    pub(super) fn key(&self) -> &[u8] {
        self.data.get(Self::FIXED..).unwrap_or_default()
    }

    /// Whether it may sign the zone's records (RFC 4034 §2.1.1, §2.1.2, RFC 5011 §2.1).
    pub(super) fn is_zone_key(&self) -> bool {
        self.flags & Self::ZONE != 0 && self.flags & Self::REVOKED == 0 && self.protocol == 3
    }
}

/// A DS record (RFC 4034 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) struct Ds {
    pub key_tag: u16,
    pub algorithm: u8,
    pub digest_type: u8,
    pub digest: Box<[u8]>,
}

impl Ds {
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let [high, low, algorithm, digest_type, ref digest @ ..] = *data else {
            return None;
        };
        Some(Self {
            key_tag: u16::from_be_bytes([high, low]),
            algorithm,
            digest_type,
            digest: digest.into(),
        })
    }
}

/// The types at a name, of an NSEC or NSEC3 record (RFC 4034 §4.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::dns) struct TypeBitmap(Box<[u8]>);

impl TypeBitmap {
    fn read(data: &[u8]) -> Option<Self> {
        let mut rest = data;
        let mut last = None;
        while let [window, length, after @ ..] = rest {
            let length = usize::from(*length);
            if !(1..=32).contains(&length) || length > after.len() || last >= Some(*window) {
                return None;
            }
            last = Some(*window);
            rest = &after[length..];
        }
        rest.is_empty().then(|| Self(data.into()))
    }

    #[cfg(test)]
    pub(super) fn of(types: &[RecordType]) -> Self {
        let mut octets = [0; 34];
        octets[1] = 32;
        for record_type in types {
            // Those of the tests are all in the first window.
            let bit = usize::from(u16::from(*record_type));
            octets[2 + bit / 8] |= 0x80 >> (bit % 8);
        }
        Self(octets.into())
    }

    pub(super) fn has(&self, wanted: RecordType) -> bool {
        let [window, bit] = u16::from(wanted).to_be_bytes();
        let mut rest = &self.0[..];
        while let [number, length, after @ ..] = rest {
            let (octets, later) = after.split_at(usize::from(*length).min(after.len()));
            if *number == window {
                let octet = octets.get(usize::from(bit / 8)).copied().unwrap_or(0);
                return octet & (0x80 >> (bit % 8)) != 0;
            }
            rest = later;
        }
        false
    }

    /// Whether it is that of a delegation, seen from the parent's side (RFC 6840 §4.1).
    pub(super) fn is_delegation(&self) -> bool {
        self.has(RecordType::NS) && !self.has(RecordType::SOA)
    }
}

/// An NSEC record (RFC 4034 §4.1) with its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) struct Nsec {
    pub owner: Name,
    pub next: Name,
    pub types: TypeBitmap,
}

impl Nsec {
    pub(super) fn read(record: &Record) -> Option<Self> {
        let (next, types) = plain_name(&record.data)?;
        Some(Self {
            owner: record.owner.clone(),
            next,
            types: TypeBitmap::read(types)?,
        })
    }
}

/// Octets of a SHA-1 hash, the only one that NSEC3 knows (RFC 5155 §11).
pub(super) const HASH: usize = 20;

/// How names are hashed (RFC 5155 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) struct Nsec3Parameters {
    pub iterations: u16,
    pub salt: Box<[u8]>,
}

/// An NSEC3 record (RFC 5155 §3) whose hash is known, with its owner's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) struct Nsec3 {
    pub zone: Name,
    pub hash: [u8; HASH],
    pub next: [u8; HASH],
    pub parameters: Nsec3Parameters,
    pub coverage: Coverage,
    pub types: TypeBitmap,
}

/// What an NSEC3 record's span may hide (RFC 5155 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dns) enum Coverage {
    /// Nothing.
    Full,
    /// Unsigned delegations.
    OptOut,
}

impl Nsec3 {
    const SHA1: u8 = 1;
    const OPT_OUT: u8 = 1;

    /// `None` also for what has to be ignored: unknown hashes and flags (RFC 5155 §8.1, §8.2).
    pub(super) fn read(record: &Record) -> Option<Self> {
        let [Self::SHA1, flags, high, low, salt_length, ref rest @ ..] = *record.data else {
            return None;
        };
        let coverage = match flags {
            0 => Coverage::Full,
            Self::OPT_OUT => Coverage::OptOut,
            _ => return None,
        };
        let (salt, rest) = rest.split_at_checked(salt_length.into())?;
        let (hash_length, rest) = rest.split_first()?;
        if usize::from(*hash_length) != HASH {
            return None;
        }
        let (next, types) = rest.split_first_chunk::<HASH>()?;
        Some(Self {
            zone: record.owner.base_name(),
            hash: base32hex(record.owner.iter().next()?)?,
            next: *next,
            parameters: Nsec3Parameters {
                iterations: u16::from_be_bytes([high, low]),
                salt: salt.into(),
            },
            coverage,
            types: TypeBitmap::read(types)?,
        })
    }
}

/// Decodes a label of 32 digits (RFC 4648 §7, RFC 5155 §3.3).
pub(super) fn base32hex(label: &[u8]) -> Option<[u8; HASH]> {
    if label.len() != HASH * 8 / 5 {
        return None;
    }
    let mut decoded = [0; HASH];
    for (octets, digits) in decoded.chunks_exact_mut(5).zip(label.chunks_exact(8)) {
        let mut bits: u64 = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(32)?;
            bits = bits << 5 | u64::from(value);
        }
        octets.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(decoded)
}
