//! Keys of zones: algorithms, key tags, DS digests, and the DNSKEY set that a DS or an anchor vouches for
//! (RFC 4034 §2, §5; RFC 4035 §5.2).

use super::budget::Budget;
use super::flaw::Flaw;
use super::names::append_canonical;
use super::rdata::{Dnskey, Ds};
use super::rrset::RrSet;
use super::signature::{self, Verified, WallClock};
use aws_lc_rs::digest;
use aws_lc_rs::signature as crypto;
use hickory_resolver::proto::rr::Name;

/// Keys of one zone that are looked at.
const MAX_KEYS: usize = 32;

/// Keys with one tag and algorithm that are tried for one signature (CVE-2023-50387).
const MAX_COLLIDING: usize = 2;

/// DS records of one delegation that are looked at.
const MAX_DS: usize = 16;

/// A zone's keys, vouched for and ready to verify with.
#[derive(Debug)]
pub(in crate::dns) struct ZoneKeys {
    pub zone: Name,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    tag: u16,
    algorithm: u8,
    public: crypto::ParsedPublicKey,
}

/// What a DS set says of the child (RFC 4035 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delegation {
    /// One of these is a digest of a key of the child.
    Signed(Vec<Ds>),
    /// No algorithm or no digest that we understand: as if the child were unsigned.
    NotUnderstood,
}

impl Delegation {
    /// SHA-1 digests are passed over if there are better ones (RFC 4509 §3).
    pub(super) fn read(set: &RrSet<'_>) -> Self {
        let read = set.data.iter().filter_map(|data| Ds::read(data));
        Self::of(read.collect())
    }

    pub(super) fn of(records: Vec<Ds>) -> Self {
        let understood =
            |ds: &Ds| is_supported(ds.algorithm) && digest_of(ds.digest_type).is_some();
        let mut usable: Vec<Ds> = records.into_iter().filter(understood).collect();
        if usable.iter().any(|ds| ds.digest_type != Ds::SHA1) {
            usable.retain(|ds| ds.digest_type != Ds::SHA1);
        }
        usable.truncate(MAX_DS);
        if usable.is_empty() {
            return Self::NotUnderstood;
        }
        Self::Signed(usable)
    }
}

impl ZoneKeys {
    /// The keys of a DNSKEY set that one of `ds` vouches for: a key with this digest has signed the set.
    pub(in crate::dns) fn vouched(
        set: &RrSet<'_>,
        ds: &[Ds],
        now: WallClock,
        budget: &mut Budget,
    ) -> Result<(Self, Verified), Flaw> {
        let dnskeys = zone_keys(set);
        let entry = |key: &&Dnskey| ds.iter().any(|ds| ds.matches(set.owner, key));
        Self::signed_by(set, &dnskeys, entry, now, budget)
    }

    /// The same for keys that are anchors themselves.
    pub(in crate::dns) fn anchored(
        set: &RrSet<'_>,
        anchors: &[Dnskey],
        now: WallClock,
        budget: &mut Budget,
    ) -> Result<(Self, Verified), Flaw> {
        let dnskeys = zone_keys(set);
        let entry = |key: &&Dnskey| anchors.iter().any(|anchor| anchor.key_equals(key));
        Self::signed_by(set, &dnskeys, entry, now, budget)
    }

    fn signed_by(
        set: &RrSet<'_>,
        dnskeys: &[Dnskey],
        entry: impl Fn(&&Dnskey) -> bool,
        now: WallClock,
        budget: &mut Budget,
    ) -> Result<(Self, Verified), Flaw> {
        let trusted = Self::new(set.owner, dnskeys.iter().filter(entry));
        if trusted.keys.is_empty() {
            return Err(Flaw::NoTrustedKey);
        }
        let verified = signature::verify(set, &trusted, now, budget)?;
        Ok((Self::new(set.owner, dnskeys.iter()), verified))
    }

    fn new<'k>(zone: &Name, keys: impl Iterator<Item = &'k Dnskey>) -> Self {
        Self {
            zone: zone.clone(),
            keys: keys.filter_map(Key::new).take(MAX_KEYS).collect(),
        }
    }

    /// Keys that nobody has vouched for.
    #[cfg(test)]
    pub(super) fn of(zone: &Name, keys: &[&[u8]]) -> Self {
        let keys: Vec<Dnskey> = keys.iter().filter_map(|data| Dnskey::read(data)).collect();
        Self::new(zone, keys.iter())
    }

    /// Those that a signature may have been made with; there may be several (RFC 4034 §8).
    pub(super) fn candidates(
        &self,
        algorithm: u8,
        tag: u16,
    ) -> impl Iterator<Item = &crypto::ParsedPublicKey> {
        self.keys
            .iter()
            .filter(move |key| key.algorithm == algorithm && key.tag == tag)
            .map(|key| &key.public)
            .take(MAX_COLLIDING)
    }
}

impl Key {
    /// `None` for a key that cannot be used.
    fn new(dnskey: &Dnskey) -> Option<Self> {
        Some(Self {
            tag: key_tag(&dnskey.data),
            algorithm: dnskey.algorithm,
            public: public_key(dnskey.algorithm, dnskey.key())?,
        })
    }
}

impl Dnskey {
    /// The same key, whatever its flags say besides.
    fn key_equals(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.key() == other.key()
    }
}

impl Ds {
    const SHA1: u8 = 1;

    fn matches(&self, zone: &Name, key: &Dnskey) -> bool {
        self.algorithm == key.algorithm && self.vouches_for(zone, &key.data)
    }

    /// Whether it is the digest of this key of this zone (RFC 4034 §5.1.4).
    pub(super) fn vouches_for(&self, zone: &Name, dnskey: &[u8]) -> bool {
        if self.key_tag != key_tag(dnskey) {
            return false;
        }
        let Some(algorithm) = digest_of(self.digest_type) else {
            return false;
        };
        let mut input = Vec::new();
        append_canonical(zone, &mut input);
        input.extend_from_slice(dnskey);
        digest::digest(algorithm, &input).as_ref() == &self.digest[..]
    }
}

fn zone_keys(set: &RrSet<'_>) -> Vec<Dnskey> {
    set.data
        .iter()
        .filter_map(|data| Dnskey::read(data))
        .filter(Dnskey::is_zone_key)
        .take(MAX_KEYS)
        .collect()
}

/// RFC 4034 appendix B.
pub(super) fn key_tag(dnskey: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in dnskey.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    (sum + (sum >> 16)) as u16
}

/// Digests of DS records that we compute (RFC 8624 §3.3).
fn digest_of(digest_type: u8) -> Option<&'static digest::Algorithm> {
    match digest_type {
        Ds::SHA1 => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        2 => Some(&digest::SHA256),
        4 => Some(&digest::SHA384),
        _ => None,
    }
}

/// Algorithms whose signatures we verify (RFC 8624 §3.1): not Ed448, which aws-lc-rs does not have.
pub(super) fn is_supported(algorithm: u8) -> bool {
    matches!(algorithm, 5 | 7 | 8 | 10 | 13 | 14 | 15)
}

fn public_key(algorithm: u8, key: &[u8]) -> Option<crypto::ParsedPublicKey> {
    match algorithm {
        5 | 7 => rsa(&crypto::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, key),
        8 => rsa(&crypto::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, key),
        10 => rsa(&crypto::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, key),
        13 => ecdsa(&crypto::ECDSA_P256_SHA256_FIXED, key, 64),
        14 => ecdsa(&crypto::ECDSA_P384_SHA384_FIXED, key, 96),
        15 => crypto::ParsedPublicKey::new(&crypto::ED25519, key).ok(), // RFC 8080 §3
        _ => None,
    }
}

/// RFC 6605 §4: the point without the octet that says it is uncompressed.
fn ecdsa(
    algorithm: &'static crypto::EcdsaVerificationAlgorithm,
    key: &[u8],
    length: usize,
) -> Option<crypto::ParsedPublicKey> {
    const UNCOMPRESSED: u8 = 4;
    if key.len() != length {
        return None;
    }
    let point = [&[UNCOMPRESSED], key].concat();
    crypto::ParsedPublicKey::new(algorithm, point).ok()
}

/// RFC 3110 §2: the exponent's length in one octet or three, the exponent, the modulus.
fn rsa(parameters: &'static crypto::RsaParameters, key: &[u8]) -> Option<crypto::ParsedPublicKey> {
    let (length, rest) = match *key {
        [0, high, low, ref rest @ ..] => (u16::from_be_bytes([high, low]), rest),
        [length, ref rest @ ..] => (length.into(), rest),
        [] => return None,
    };
    let (e, n) = rest.split_at_checked(length.into())?;
    let significant = |number: &[u8]| {
        let zeros = number.iter().take_while(|octet| **octet == 0).count();
        number[zeros..].to_vec()
    };
    let components = crypto::RsaPublicKeyComponents {
        n: significant(n),
        e: significant(e),
    };
    components.to_parsed_public_key(parameters).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::name;

    fn ds(algorithm: u8, digest_type: u8) -> Ds {
        Ds {
            key_tag: 1,
            algorithm,
            digest_type,
            digest: [].into(),
        }
    }

    /// `algorithm/digest` of those that count.
    fn say(records: &[(u8, u8)]) -> String {
        let records = records.iter().map(|(a, d)| ds(*a, *d)).collect();
        let Delegation::Signed(usable) = Delegation::of(records) else {
            return "unsigned".into();
        };
        let usable: Vec<String> = usable
            .iter()
            .map(|ds| format!("{}/{}", ds.algorithm, ds.digest_type))
            .collect();
        usable.join(" ")
    }

    #[test]
    fn ds_records_that_count() {
        for (records, expected) in [
            (&[(13, 2)][..], "13/2"),
            (
                &[(5, 1), (7, 1), (8, 4), (10, 2), (14, 2), (15, 2)],
                "8/4 10/2 14/2 15/2",
            ),
            (&[(8, 1)], "8/1"),           // SHA-1 alone
            (&[(8, 1), (8, 2)], "8/2"),   // RFC 4509 §3
            (&[(8, 1), (200, 2)], "8/1"), // the better one is of no use
            (&[(8, 1), (8, 3)], "8/1"),   // GOST
            (&[(8, 3)], "unsigned"),
            (
                &[(1, 2), (3, 2), (6, 2), (12, 2), (16, 2), (253, 2)],
                "unsigned",
            ),
            (&[(16, 2), (13, 2)], "13/2"),
            (&[], "unsigned"),
        ] {
            assert_eq!(say(records), expected, "{records:?}");
        }
    }

    #[test]
    fn keys_that_are_malformed_are_no_keys() {
        let rsa = |head: &[u8]| [&[1, 0, 3, 8], head, &[0xc1; 256]].concat();
        let ec = |length| [&[1, 0, 3, 13][..], &vec![0; length]].concat();
        for (what, dnskey) in [
            ("empty", vec![]),
            ("no key", vec![1, 0, 3, 13]),
            ("exponent beyond the end", rsa(&[0, 9, 9, 3])),
            ("no modulus", vec![1, 0, 3, 8, 1, 3]),
            ("no exponent", vec![1, 0, 3, 8]),
            ("exponent of length 0", rsa(&[0])),
            ("a point too short", ec(63)),
            ("a point too long", ec(65)),
            ("a point not on the curve", ec(64)),
            (
                "P-384 of P-256's length",
                [&[1, 0, 3, 14][..], &[0; 64]].concat(),
            ),
            ("Ed25519 too short", [&[1, 0, 3, 15][..], &[1; 31]].concat()),
            (
                "an unknown algorithm",
                [&[1, 0, 3, 16][..], &[1; 57]].concat(),
            ),
        ] {
            let keys = ZoneKeys::of(&name("test."), &[&dnskey]);
            assert!(keys.keys.is_empty(), "{what}");
        }
        for head in [&[1, 3][..], &[3, 1, 0, 1], &[0, 0, 3, 1, 0, 1], &[1, 3, 0]] {
            let keys = ZoneKeys::of(&name("test."), &[&rsa(head)]);
            assert_eq!(keys.keys.len(), 1, "{head:?}");
        }
    }

    #[test]
    fn flags_and_protocol() {
        for (flags, protocol, expected) in [
            (256, 3, true),
            (257, 3, true),
            (0, 3, false),
            (1, 3, false),
            (385, 3, false), // revoked
            (256, 2, false),
        ] {
            let [high, low] = u16::to_be_bytes(flags);
            let dnskey = Dnskey::read(&[high, low, protocol, 13]).unwrap();
            assert_eq!(dnskey.is_zone_key(), expected, "{flags} {protocol}");
        }
    }
}
