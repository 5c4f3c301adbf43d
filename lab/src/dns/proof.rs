//! Proofs of absence: NSEC (RFC 4034 §4, RFC 4035 §3.1.3) and NSEC3 (RFC 5155 §7).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use hickory_proto::rr::RecordType;

use super::tree::{LiveZone, code, generated};
use crate::dnssec::canonical::RrSet;
use crate::dnssec::declare::{Denial, OptOut};
use crate::dnssec::key::Digest;
use crate::name::Domain;

/// More iterations make a zone insecure for validators (RFC 9276 §3.2); unbound's limit.
pub(super) const MAX_ITERATIONS: u16 = 150;

/// The hashed names of a zone, and whose they are.
pub(super) type Hashes = BTreeMap<Vec<u8>, Domain>;

/// A record that proves something, and what a validator will think of it.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) owner: Domain,
    pub(super) set: RrSet,
    pub(super) strength: Strength,
}

/// Whether a proof is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strength {
    Proves,
    /// There may be an insecure delegation after all (RFC 5155 §9.2), or it takes too long to find out.
    Insecure,
}

/// What is to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// The name exists without the type.
    NoType,
    /// Neither the name exists nor a wildcard for it.
    NoName,
    /// The answer comes from the wildcard: the name itself does not exist.
    Expanded,
    /// The name does not exist, and the wildcard for it has no such type.
    ExpandedNoType,
}

impl LiveZone {
    /// The records that prove this of a name.
    pub(super) fn prove(&self, claim: Claim, domain: &Domain) -> Vec<Proof> {
        let mut proofs = match &self.zone.denial {
            Denial::Nsec => {
                let wildcard = || self.closest(domain).wildcard();
                match claim {
                    Claim::NoType | Claim::Expanded => vec![self.nsec(domain)],
                    Claim::NoName | Claim::ExpandedNoType => {
                        vec![self.nsec(domain), self.nsec(&wildcard())]
                    }
                }
            }
            Denial::Nsec3 { .. } => self.prove_hashed(claim, domain),
        };
        let mut seen = BTreeSet::new();
        proofs.retain(|proof| seen.insert(proof.owner.clone()));
        proofs
    }

    /// The NSEC record of the name, or that which covers it.
    pub(super) fn nsec(&self, domain: &Domain) -> Proof {
        let mut before = self.names.range(..=domain.clone());
        let owner = before.next_back().map_or(&self.apex, |(owner, _)| owner);
        let after = (Bound::Excluded(owner.clone()), Bound::Unbounded);
        let mut after = self.names.range(after);
        let next = after.next().map_or(&self.apex, |(next, _)| next);
        let mut types = self.types(owner);
        types.extend([code::RRSIG, code::NSEC]);
        let data = [next.wire(), bitmap(&types)].concat();
        self.proof(owner.clone(), RecordType::NSEC, data, Strength::Proves)
    }

    fn prove_hashed(&self, claim: Claim, domain: &Domain) -> Vec<Proof> {
        match claim {
            Claim::NoType => match self.matching(domain) {
                Some(proof) => vec![proof],
                // Only an insecure delegation, or an empty name above one, has no record here.
                None => {
                    let (_, mut proofs) = self.closest_encloser(domain);
                    proofs
                        .iter_mut()
                        .for_each(|proof| proof.strength = Strength::Insecure);
                    proofs
                }
            },
            Claim::NoName => {
                let (closest, mut proofs) = self.closest_encloser(domain);
                proofs.push(self.covering(&closest.wildcard()));
                proofs
            }
            Claim::Expanded => {
                let closest = self.closest(domain);
                vec![self.denying(&domain.ancestor(closest.depth() + 1))]
            }
            Claim::ExpandedNoType => {
                let (closest, mut proofs) = self.closest_encloser(domain);
                proofs.extend(self.matching(&closest.wildcard()));
                proofs
            }
        }
    }

    /// The closest name above that has a record, its record, and that which covers the next closer name
    /// (RFC 5155 §7.2.1).
    fn closest_encloser(&self, domain: &Domain) -> (Domain, Vec<Proof>) {
        let mut above = domain.ancestors().skip(1);
        let found = above.find_map(|name| Some((self.matching(&name)?, name)));
        let (matching, closest) = found.expect("the apex always has a record");
        let next_closer = domain.ancestor(closest.depth() + 1);
        (closest, vec![matching, self.denying(&next_closer)])
    }

    /// Covers a name whose existence is in question, where opt-out means that it may exist.
    fn denying(&self, domain: &Domain) -> Proof {
        let mut proof = self.covering(domain);
        if self.opts_out() {
            proof.strength = Strength::Insecure;
        }
        proof
    }

    fn matching(&self, domain: &Domain) -> Option<Proof> {
        let hash = self.hash(domain);
        let found = self.hashes().get_key_value(&hash);
        found.map(|(hash, name)| self.nsec3(hash, name))
    }

    fn covering(&self, domain: &Domain) -> Proof {
        let hash = self.hash(domain);
        let hashes = self.hashes();
        let before = hashes.range(..hash).next_back();
        let found = before.or_else(|| hashes.last_key_value());
        let (hash, name) = found.expect("the apex always has a record");
        self.nsec3(hash, name)
    }

    pub(super) fn nsec3(&self, hash: &Vec<u8>, name: &Domain) -> Proof {
        let after = (Bound::Excluded(hash), Bound::Unbounded);
        let next = self.hashes().range::<Vec<u8>, _>(after).next();
        let next = next.or_else(|| self.hashes().first_key_value());
        let next = next.map_or(hash, |(next, _)| next);
        let (iterations, salt) = self.hashing();
        let mut data = parameters(u8::from(self.opts_out()), iterations, salt);
        // A hash has 20 octets.
        data.push(next.len() as u8);
        data.extend(next);
        let mut types = self.types(name);
        // What is only delegated has no signature.
        if types.iter().any(|code| *code != code::NS) {
            types.insert(code::RRSIG);
        }
        data.extend(bitmap(&types));
        let owner = self.apex.child(base32hex(hash).as_bytes());
        let strength = if iterations > MAX_ITERATIONS {
            Strength::Insecure
        } else {
            Strength::Proves
        };
        self.proof(owner, RecordType::NSEC3, data, strength)
    }

    fn proof(
        &self,
        owner: Domain,
        record_type: RecordType,
        data: Vec<u8>,
        strength: Strength,
    ) -> Proof {
        let set = RrSet {
            ttl: self.negative_ttl(),
            ..generated(record_type, vec![data])
        };
        Proof {
            owner,
            set,
            strength,
        }
    }

    fn types(&self, name: &Domain) -> BTreeSet<u16> {
        let sets = self.names.get(name);
        sets.map(|sets| sets.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Every hashed name of the zone: those with records and the empty ones above them, but with opt-out not those
    /// that only lead to insecure delegations (RFC 5155 §7.1).
    pub(super) fn hashes(&self) -> &Hashes {
        self.hashes.get_or_init(|| {
            let is_secure = |sets: &super::store::Sets| {
                sets.contains_key(&code::SOA)
                    || sets.contains_key(&code::DS)
                    || !sets.contains_key(&code::NS)
            };
            let mut names = BTreeSet::new();
            for (owner, sets) in &self.names {
                if is_secure(sets) || !self.opts_out() {
                    let inside = owner.ancestors();
                    names.extend(inside.take_while(|name| name.is_within(&self.apex)));
                }
            }
            let hashed = names.into_iter().map(|name| (self.hash(&name), name));
            hashed.collect()
        })
    }

    fn opts_out(&self) -> bool {
        matches!(&self.zone.denial, Denial::Nsec3 { opt_out, .. } if *opt_out == OptOut::Set)
    }

    fn hashing(&self) -> (u16, &[u8]) {
        match &self.zone.denial {
            Denial::Nsec => (0, &[]),
            Denial::Nsec3 {
                iterations, salt, ..
            } => (*iterations, salt),
        }
    }

    /// RFC 5155 §5.
    pub(super) fn hash(&self, domain: &Domain) -> Vec<u8> {
        let (iterations, salt) = self.hashing();
        let first = Digest::Sha1.of(&[&domain.wire(), salt].concat());
        (0..iterations).fold(first, |hash, _| Digest::Sha1.of(&[&hash, salt].concat()))
    }
}

/// Algorithm, flags, iterations and salt (RFC 5155 §3.2 and §4.2).
pub(super) fn parameters(flags: u8, iterations: u16, salt: &[u8]) -> Vec<u8> {
    const SHA1: u8 = 1;
    let [high, low] = iterations.to_be_bytes();
    // A salt of more than 255 octets would be a mistake in a test.
    let mut data = vec![SHA1, flags, high, low, salt.len() as u8];
    data.extend_from_slice(salt);
    data
}

/// RFC 4034 §4.1.2.
fn bitmap(types: &BTreeSet<u16>) -> Vec<u8> {
    let mut windows = BTreeMap::<u8, Vec<u8>>::new();
    for code in types {
        let [window, bit] = code.to_be_bytes();
        let bits = windows.entry(window).or_default();
        let place = usize::from(bit / 8);
        if bits.len() <= place {
            bits.resize(place + 1, 0);
        }
        bits[place] |= 0x80 >> (bit % 8);
    }
    let mut octets = Vec::new();
    for (window, bits) in windows {
        // At most 32.
        octets.extend([window, bits.len() as u8]);
        octets.extend(bits);
    }
    octets
}

/// RFC 4648 §7, in lower case, for a multiple of 5 octets.
pub(super) fn base32hex(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut text = String::new();
    for chunk in octets.chunks(5) {
        let word = chunk
            .iter()
            .fold(0_u64, |word, octet| word << 8 | u64::from(*octet));
        for place in (0..8).rev() {
            text.push(char::from(ALPHABET[(word >> (5 * place) & 31) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_are_as_in_rfc_4034_section_4_3() {
        let types = BTreeSet::from([1, 15, code::RRSIG, code::NSEC, 1234]);
        let mut expected = vec![0x00, 0x06, 0x40, 0x01, 0x00, 0x00, 0x00, 0x03, 0x04, 0x1b];
        expected.resize(expected.len() + 26, 0);
        expected.push(0x20);
        assert_eq!(bitmap(&types), expected);
    }

    #[test]
    fn hashes_are_those_of_rfc_5155_appendix_a() {
        let mut store = super::super::store::Store::default();
        let zone = crate::dnssec::Zone::secure().nsec3(12, &[0xaa, 0xbb, 0xcc, 0xdd]);
        store.declare("example", zone);
        let tree = store.tree();
        let zone = &tree.zones[&Domain::parse("example")];
        for (name, hash) in [
            ("example", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("*.w.example", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ] {
            assert_eq!(base32hex(&zone.hash(&Domain::parse(name))), hash, "{name}");
        }
    }
}
