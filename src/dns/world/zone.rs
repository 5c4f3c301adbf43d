//! A zone of the tests: its records, its signatures, and how it denies.

use super::sign::{Signer, Window, raw, wire};
use crate::dns::testing::{name, soa};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use std::collections::BTreeSet;

pub(crate) const TTL: u32 = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    Nsec,
    /// Rounds, and the flags.
    Nsec3(u16, u8),
}

pub(crate) const OPT_OUT: u8 = 1;

pub(crate) struct Zone {
    pub name: Name,
    /// `None`: unsigned.
    pub signer: Option<Signer>,
    pub denial: Denial,
    pub records: Vec<Record>,
}

impl Zone {
    pub(crate) fn signed(zone: &str, denial: Denial, window: Window) -> Self {
        let mut new = Self::unsigned(zone);
        let signer = Signer::new(&new.name, window);
        new.add(&new.name.clone(), RecordType::DNSKEY, signer.dnskey());
        new.signer = Some(signer);
        new.denial = denial;
        new
    }

    pub(crate) fn unsigned(zone: &str) -> Self {
        let apex = name(zone);
        let ns = [&[1, b'n'][..], &wire(&apex)].concat();
        Self {
            records: vec![soa(zone, TTL, 60), raw(&apex, RecordType::NS, TTL, ns)],
            name: apex,
            signer: None,
            denial: Denial::Nsec,
        }
    }

    pub(crate) fn add(&mut self, owner: &Name, record_type: RecordType, data: Vec<u8>) {
        self.records.push(raw(owner, record_type, TTL, data));
    }

    /// Delegates to a child, with or without DS.
    pub(crate) fn delegate(&mut self, child: &Name, ds: Option<Vec<u8>>) {
        self.add(
            child,
            RecordType::NS,
            [&[1, b'n'][..], &wire(child)].concat(),
        );
        if let Some(ds) = ds {
            self.add(child, RecordType::DS, ds);
        }
    }

    pub(crate) fn set(&self, owner: &Name, record_type: RecordType) -> Vec<Record> {
        let wanted = |r: &&Record| r.name == *owner && r.record_type() == record_type;
        self.records.iter().filter(wanted).cloned().collect()
    }

    pub(crate) fn has(&self, owner: &Name) -> bool {
        self.records.iter().any(|r| owner.zone_of(&r.name))
    }

    /// The set under the name asked for, with its signature.
    pub(crate) fn answer(
        &self,
        source: &Name,
        record_type: RecordType,
        owner: &Name,
    ) -> Vec<Record> {
        let mut set = self.set(source, record_type);
        set.iter_mut().for_each(|r| r.name = owner.clone());
        self.with_signature(set, source)
    }

    fn with_signature(&self, mut set: Vec<Record>, source: &Name) -> Vec<Record> {
        if let Some(signer) = self.signer.as_ref().filter(|_| !set.is_empty()) {
            set.push(signer.sign(&set, source));
        }
        set
    }

    pub(crate) fn soa(&self) -> Vec<Record> {
        self.answer(&self.name, RecordType::SOA, &self.name)
    }

    pub(crate) fn encloser(&self, owner: &Name) -> Name {
        let mut encloser = owner.base_name();
        while !self.has(&encloser) {
            encloser = encloser.base_name();
        }
        encloser
    }

    /// The records that show that the name has no records of this type, does not exist, or is only matched
    /// by a wildcard.
    pub(crate) fn deny(&self, owner: &Name) -> Vec<Record> {
        if self.signer.is_none() {
            return Vec::new();
        }
        let mut spots = vec![Spot::Match(owner.clone())];
        if !self.has(owner) || self.is_opted_out(owner) {
            let encloser = self.encloser(owner);
            let closer = owner.trim_to(encloser.iter().len() + 1);
            let wildcard = encloser.prepend_label(&b"*"[..]).unwrap();
            spots = match self.denial {
                Denial::Nsec => vec![Spot::Cover(owner.clone())],
                Denial::Nsec3(..) => vec![Spot::Match(encloser), Spot::Cover(closer)],
            };
            spots.push(match self.has(&wildcard) {
                true => Spot::Match(wildcard),
                false => Spot::Cover(wildcard),
            });
        }
        let mut denials: Vec<Record> = Vec::new();
        for record in spots.iter().map(|spot| self.denial_at(spot)) {
            if !denials.iter().any(|known| known.name == record.name) {
                let owner = record.name.clone();
                denials.extend(self.with_signature(vec![record], &owner));
            }
        }
        denials
    }

    fn denial_at(&self, spot: &Spot) -> Record {
        match self.denial {
            Denial::Nsec => self.nsec(spot),
            Denial::Nsec3(rounds, flags) => self.nsec3(spot, rounds, flags),
        }
    }

    fn owners(&self) -> BTreeSet<Name> {
        self.records.iter().map(|r| r.name.clone()).collect()
    }

    fn types(&self, owner: &Name) -> BTreeSet<u16> {
        let here = self.records.iter().filter(|r| r.name == *owner);
        here.map(|r| r.record_type().into()).collect()
    }

    fn nsec(&self, spot: &Spot) -> Record {
        let (Spot::Match(at) | Spot::Cover(at)) = spot;
        let owners = self.owners();
        // The apex is before all; an empty non-terminal is covered.
        let owner = owners.range(..=at.clone()).next_back().unwrap();
        let next = owners
            .iter()
            .find(|other| *other > owner)
            .unwrap_or(&self.name);
        let mut types = self.types(owner);
        types.extend([RecordType::NSEC, RecordType::RRSIG].map(u16::from));
        let data = [wire(next), bitmap(&types)].concat();
        raw(owner, RecordType::NSEC, 60, data)
    }

    fn is_opted_out(&self, owner: &Name) -> bool {
        self.denial == Denial::Nsec3(0, OPT_OUT) && self.is_unsigned_delegation(owner)
    }

    fn is_unsigned_delegation(&self, owner: &Name) -> bool {
        self.types(owner) == BTreeSet::from([RecordType::NS.into()])
    }

    fn nsec3(&self, spot: &Spot, rounds: u16, flags: u8) -> Record {
        let mut all = BTreeSet::new();
        for owner in self.owners() {
            if flags == OPT_OUT && self.is_unsigned_delegation(&owner) {
                continue;
            }
            let depth = self.name.iter().len()..=owner.iter().len();
            all.extend(depth.map(|count| owner.trim_to(count)));
        }
        let mut hashes: Vec<([u8; 20], Name)> =
            all.into_iter().map(|n| (hash(&n, rounds), n)).collect();
        hashes.sort();
        let at = match spot {
            Spot::Match(at) => hashes.iter().position(|(_, n)| n == at).unwrap(),
            Spot::Cover(at) => {
                let wanted = hash(at, rounds);
                let below = hashes.iter().rposition(|(h, _)| *h < wanted);
                below.unwrap_or(hashes.len() - 1)
            }
        };
        let next = &hashes[(at + 1) % hashes.len()].0;
        let mut types = self.types(&hashes[at].1);
        let is_signed = !types.is_empty() && !self.is_unsigned_delegation(&hashes[at].1);
        types.extend(is_signed.then_some(u16::from(RecordType::RRSIG)));
        let mut data = vec![1, flags];
        data.extend(rounds.to_be_bytes());
        data.extend([SALT.len() as u8]);
        data.extend(SALT);
        data.extend([20]);
        data.extend(next);
        data.extend(bitmap(&types));
        let label = base32hex(&hashes[at].0);
        let owner = self.name.prepend_label(label.as_bytes()).unwrap();
        raw(&owner, RecordType::NSEC3, 60, data)
    }
}

/// Which denial is needed.
enum Spot {
    Match(Name),
    Cover(Name),
}

const SALT: [u8; 2] = [0xab, 0xcd];

fn hash(owner: &Name, rounds: u16) -> [u8; 20] {
    let mut hash = wire(owner);
    for _ in 0..=rounds {
        let salted = [&hash[..], &SALT].concat();
        hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &salted).as_ref().to_vec();
    }
    hash.try_into().unwrap()
}

fn base32hex(octets: &[u8]) -> String {
    let bits: Vec<u8> = octets
        .iter()
        .flat_map(|octet| (0..8).rev().map(move |i| octet >> i & 1))
        .collect();
    let digit = |five: &[u8]| {
        let value = five
            .iter()
            .fold(0, |value, bit| value << 1 | u32::from(*bit));
        char::from_digit(value, 32).unwrap()
    };
    bits.chunks(5).map(digit).collect()
}

fn bitmap(types: &BTreeSet<u16>) -> Vec<u8> {
    let mut windows: Vec<(u8, Vec<u8>)> = Vec::new();
    for [window, bit] in types.iter().map(|t| t.to_be_bytes()) {
        if windows.last().is_none_or(|(last, _)| *last != window) {
            windows.push((window, Vec::new()));
        }
        let octets = &mut windows.last_mut().unwrap().1;
        octets.resize(usize::from(bit / 8) + 1, 0);
        octets[usize::from(bit / 8)] |= 0x80 >> (bit % 8);
    }
    let encoded = windows
        .into_iter()
        .flat_map(|(window, octets)| [&[window, octets.len() as u8], &octets[..]].concat());
    encoded.collect()
}
