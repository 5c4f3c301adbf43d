//! The zones as they are now: which names each has, what it says about the zones below it, and what a validator will
//! say about it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use hickory_proto::rr::rdata::{A, NS, SOA};
use hickory_proto::rr::{RData, Record, RecordType};

use super::Fault;
use super::proof::Hashes;
use super::store::{Sets, Store};
use crate::dnssec::canonical::{RrSet, from_octets};
use crate::dnssec::declare::{Denial, Duty, KeySpec, Period, Zone};
use crate::dnssec::key::{Algorithm, Digest, Key, Role};
use crate::dnssec::{Ds, Verdict};
use crate::name::{Domain, name};

/// The name of all name servers; it is in the root zone unless something is declared above it.
const SERVER: &str = "ns.lab";
const HOSTMASTER: &str = "hostmaster.lab";

/// TTL of what no test writes down.
const TTL: u32 = 3600;

/// Names of types in which the lookup is interested.
pub(super) mod code {
    pub(crate) const NS: u16 = 2;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const DNAME: u16 = 39;
    pub(crate) const DS: u16 = 43;
    pub(crate) const RRSIG: u16 = 46;
    pub(crate) const NSEC: u16 = 47;
    pub(crate) const DNSKEY: u16 = 48;
    pub(crate) const ANY: u16 = 255;
}

/// All zones.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(super) zones: BTreeMap<Domain, LiveZone>,
}

/// One zone.
#[derive(Debug)]
pub(crate) struct LiveZone {
    pub(super) apex: Domain,
    pub(super) zone: Zone,
    pub(super) keys: Vec<(KeySpec, Arc<Key>)>,
    /// Every name with records, delegations too; not the empty names between them.
    pub(super) names: BTreeMap<Domain, Sets>,
    /// What a validator says about the zone's keys.
    pub(super) status: Verdict,
    pub(super) hashes: OnceLock<Hashes>,
}

/// What there is at a name.
pub(super) enum There<'a> {
    Sets(&'a Sets),
    /// Nothing but names below it.
    Empty,
    Nothing,
}

impl Tree {
    pub(super) fn build(store: &mut Store) -> Self {
        let mut zones = BTreeMap::new();
        for apex in apexes(store) {
            let zone = declared(store, &apex);
            let keys = store.keys(&apex, &zone);
            let live = LiveZone::new(apex.clone(), zone, keys, store.negative_ttl);
            zones.insert(apex, live);
        }
        let mut tree = Self { zones };
        tree.fill(store);
        tree.delegate();
        tree.judge();
        tree
    }

    /// The zone that answers: DS records are the parent's (RFC 4035 §3.1.4.1).
    pub(super) fn zone_for(&self, domain: &Domain, code: u16) -> &LiveZone {
        let zone = self.enclosing(domain);
        match domain.parent() {
            Some(parent) if code == code::DS && zone.apex == *domain => self.enclosing(&parent),
            _ => zone,
        }
    }

    fn enclosing(&self, domain: &Domain) -> &LiveZone {
        let mut above = domain.ancestors().filter_map(|apex| self.zones.get(&apex));
        above.next().expect("there always is a root")
    }

    fn parent_of(&self, apex: &Domain) -> Option<Domain> {
        let parent = apex.parent()?;
        Some(self.enclosing(&parent).apex.clone())
    }

    fn fill(&mut self, store: &Store) {
        let server = (Domain::parse(SERVER), server_address(store.server));
        let names = store.names.iter().chain([(&server.0, &server.1)]);
        for (owner, sets) in names {
            let apex = self.enclosing(owner).apex.clone();
            if let Some(zone) = self.zones.get_mut(&apex) {
                let there = zone.names.entry(owner.clone()).or_default();
                there.extend(sets.iter().map(|(code, set)| (*code, set.clone())));
            }
        }
    }

    fn delegate(&mut self) {
        let apexes = self.zones.keys().cloned().collect::<Vec<_>>();
        for apex in apexes {
            let Some(parent) = self.parent_of(&apex) else {
                continue;
            };
            let child = &self.zones[&apex];
            let mut sets = Sets::new();
            sets.insert(code::NS, child.names[&apex][&code::NS].clone());
            let ds = child.ds();
            if !ds.is_empty() {
                let set = generated(RecordType::DS, ds);
                sets.insert(code::DS, set);
            }
            if let Some(parent) = self.zones.get_mut(&parent) {
                parent.names.insert(apex, sets);
            }
        }
    }

    fn judge(&mut self) {
        // Parents come before their children.
        let apexes = self.zones.keys().cloned().collect::<Vec<_>>();
        for apex in apexes {
            let parent = self.parent_of(&apex);
            let parent = parent.map(|parent| &self.zones[&parent]);
            let status = self.zones[&apex].judged(parent);
            if let Some(zone) = self.zones.get_mut(&apex) {
                zone.status = status;
            }
        }
    }
}

impl LiveZone {
    fn new(apex: Domain, zone: Zone, keys: Vec<(KeySpec, Arc<Key>)>, negative_ttl: u32) -> Self {
        let mut sets = Sets::new();
        let mut put = |set: RrSet| sets.insert(set.code(), set);
        put(RrSet {
            record_type: RecordType::SOA,
            ttl: negative_ttl,
            data: vec![soa(negative_ttl)],
        });
        put(RrSet {
            record_type: RecordType::NS,
            ttl: TTL,
            data: vec![RData::NS(NS(name(SERVER)))],
        });
        let published = keys
            .iter()
            .filter(|(spec, _)| spec.duty != Duty::Announced)
            .map(|(_, key)| key.dnskey())
            .collect::<Vec<_>>();
        if !published.is_empty() {
            put(generated(RecordType::DNSKEY, published));
            if let Denial::Nsec3 {
                iterations, salt, ..
            } = &zone.denial
            {
                let parameters = super::proof::parameters(0, *iterations, salt);
                put(generated(RecordType::NSEC3PARAM, vec![parameters]));
            }
        }
        Self {
            names: BTreeMap::from([(apex.clone(), sets)]),
            apex,
            zone,
            keys,
            status: Verdict::Insecure,
            hashes: OnceLock::new(),
        }
    }

    pub(super) fn is_signed(&self) -> bool {
        !self.keys.is_empty()
    }

    pub(super) fn soa(&self) -> &RrSet {
        &self.names[&self.apex][&code::SOA]
    }

    /// The TTL of denials (RFC 2308 §5).
    pub(super) fn negative_ttl(&self) -> u32 {
        match self.soa().data.first() {
            Some(RData::SOA(soa)) => soa.minimum.min(self.soa().ttl),
            _ => self.soa().ttl,
        }
    }

    pub(super) fn at(&self, domain: &Domain) -> There<'_> {
        if let Some(sets) = self.names.get(domain) {
            return There::Sets(sets);
        }
        let mut after = self.names.range(domain.clone()..);
        match after.next() {
            Some((next, _)) if next.is_within(domain) => There::Empty,
            _ => There::Nothing,
        }
    }

    /// The closest name above this one that exists (RFC 4592 §3.3.1).
    pub(super) fn closest(&self, domain: &Domain) -> Domain {
        let above = domain.ancestors().skip(1);
        let mut existing = above.filter(|name| !matches!(self.at(name), There::Nothing));
        existing.next().unwrap_or_default()
    }

    /// The DNAME record that a name is below.
    pub(super) fn dname_above(&self, domain: &Domain) -> Option<(Domain, &RrSet)> {
        let above = domain.ancestors().skip(1);
        let mut inside = above.take_while(|name| name.is_within(&self.apex));
        inside.find_map(|name| {
            let set = self.names.get(&name)?.get(&code::DNAME)?;
            Some((name, set))
        })
    }

    pub(super) fn fault(&self, record_type: RecordType) -> Option<&Fault> {
        self.zone.fault_of(record_type)
    }

    /// The data of its DS records in the parent.
    pub(super) fn ds(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for ds in &self.zone.ds {
            match ds {
                Ds::Right(digest) => {
                    let keys = self.keys.iter().map(|(_, key)| key);
                    let named = keys.filter(|key| key.is_entry_point());
                    all.extend(named.map(|key| key.ds(&self.apex, *digest)));
                }
                Ds::OfAnotherKey(digest) => {
                    all.push(stranger().ds(&self.apex, *digest));
                }
                Ds::WrongDigest(digest) => {
                    let mut keys = self.keys.iter().map(|(_, key)| key);
                    if let Some(key) = keys.find(|key| key.is_entry_point()) {
                        let mut data = key.ds(&self.apex, *digest);
                        data.reverse();
                        data[..4].copy_from_slice(&key.ds(&self.apex, *digest)[..4]);
                        all.push(data);
                    }
                }
            }
        }
        all
    }

    /// What a validator says about the keys, by what was declared and nothing else.
    fn judged(&self, parent: Option<&Self>) -> Verdict {
        if let Some(parent) = parent {
            if parent.status != Verdict::Secure {
                return parent.status;
            }
            // The proof that there is no DS is as good as the DS.
            let said = if self.zone.ds.is_empty() {
                parent.denial_type()
            } else {
                RecordType::DS
            };
            if parent.zone.is_altered(said) || parent.fault(RecordType::DS).is_some() {
                return Verdict::Bogus;
            }
        }
        let usable = self.usable_ds();
        if usable.is_empty() {
            return Verdict::Insecure;
        }
        let right = usable.iter().any(|ds| matches!(ds, Ds::Right(_)));
        let broken = self.zone.period != Period::Now
            || self.zone.is_altered(RecordType::DNSKEY)
            || self.fault(RecordType::DNSKEY).is_some();
        if right && !broken {
            Verdict::Secure
        } else {
            Verdict::Bogus
        }
    }

    /// The DS records that a validator can use: known algorithms and digests, SHA-1 only without others
    /// (RFC 4035 §5.2, RFC 4509 §3).
    fn usable_ds(&self) -> Vec<Ds> {
        let known_keys = self.keys.is_empty()
            || self
                .keys
                .iter()
                .any(|(spec, _)| !matches!(spec.algorithm, Algorithm::Unknown(_)));
        let known = |ds: &&Ds| {
            !matches!(ds.digest(), Digest::Unknown(_))
                && (known_keys || matches!(ds, Ds::OfAnotherKey(_)))
        };
        let usable = self.zone.ds.iter().filter(known).copied();
        let usable = usable.collect::<Vec<_>>();
        let (old, new): (Vec<_>, Vec<_>) = usable
            .into_iter()
            .partition(|ds| ds.digest() == Digest::Sha1);
        if new.is_empty() { old } else { new }
    }

    pub(super) fn denial_type(&self) -> RecordType {
        match self.zone.denial {
            Denial::Nsec => RecordType::NSEC,
            Denial::Nsec3 { .. } => RecordType::NSEC3,
        }
    }
}

/// The root, every top-level name, every name of two labels, and what was declared. A name that has only faults counts:
/// what is made up for it would be bogus in a signed zone.
fn apexes(store: &Store) -> BTreeSet<Domain> {
    let mut apexes = BTreeSet::from([Domain::default(), Domain::parse("test")]);
    for owner in store.mentioned() {
        apexes.insert(owner.ancestor(1));
        apexes.insert(owner.ancestor(2));
    }
    apexes.extend(store.declared.keys().cloned());
    apexes
}

/// Without declaration the root and top-level zones are signed and the others are not.
fn declared(store: &Store, apex: &Domain) -> Zone {
    match store.declared.get(apex) {
        Some(zone) => zone.clone(),
        None if apex.depth() < 2 => Zone::secure(),
        None => Zone::unsigned(),
    }
}

/// A key that is in no zone.
fn stranger() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::new(Algorithm::EcdsaP256, Role::KeySigning))
}

fn server_address(address: Ipv4Addr) -> Sets {
    let address = RData::A(A(address));
    let set = RrSet {
        record_type: RecordType::A,
        ttl: TTL,
        data: vec![address],
    };
    Sets::from([(set.code(), set)])
}

fn soa(minimum: u32) -> RData {
    RData::SOA(SOA::new(
        name(SERVER),
        name(HOSTMASTER),
        1,
        3600,
        600,
        86400,
        minimum,
    ))
}

/// A set of records whose data was made as octets.
pub(super) fn generated(record_type: RecordType, data: Vec<Vec<u8>>) -> RrSet {
    let data = data.iter().map(|octets| from_octets(record_type, octets));
    RrSet {
        record_type,
        ttl: TTL,
        data: data.collect(),
    }
}

impl RrSet {
    pub(crate) fn records(&self, owner: &hickory_proto::rr::Name) -> Vec<Record> {
        let data = self.data.iter();
        data.map(|data| Record::from_rdata(owner.clone(), self.ttl, data.clone()))
            .collect()
    }
}
