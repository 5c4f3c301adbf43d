//! What was written down: records, declared zones, faults; and the keys that were made for the zones.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_proto::rr::{RData, RecordType};

use super::Fault;
use super::tree::Tree;
use crate::dnssec::canonical::RrSet;
use crate::dnssec::declare::{KeySpec, Zone};
use crate::dnssec::key::Key;
use crate::name::{Domain, normal};

/// The record sets of one name by the number of their type.
pub(crate) type Sets = BTreeMap<u16, RrSet>;

#[derive(Debug)]
pub(crate) struct Store {
    pub(super) names: BTreeMap<Domain, Sets>,
    pub(super) declared: BTreeMap<Domain, Zone>,
    faults: HashMap<(String, Option<RecordType>), Fault>,
    pub(super) ttl: u32,
    pub(super) negative_ttl: u32,
    /// Of the name server that all zones have.
    pub(super) server: Ipv4Addr,
    keys: HashMap<Domain, Vec<(KeySpec, Arc<Key>)>>,
    /// What all of it amounts to, until something changes.
    tree: Option<Arc<Tree>>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            names: BTreeMap::new(),
            declared: BTreeMap::new(),
            faults: HashMap::new(),
            ttl: 60,
            negative_ttl: 60,
            server: Ipv4Addr::LOCALHOST,
            keys: HashMap::new(),
            tree: None,
        }
    }
}

impl Store {
    pub(super) fn add(&mut self, owner: &str, data: RData) {
        let ttl = self.ttl;
        let record_type = data.record_type();
        let sets = self.names.entry(Domain::parse(owner)).or_default();
        let set = sets.entry(record_type.into()).or_insert(RrSet {
            record_type,
            ttl,
            data: Vec::new(),
        });
        // A set has one TTL (RFC 2181 §5.2).
        set.ttl = set.ttl.min(ttl);
        set.data.push(data);
        self.tree = None;
    }

    pub(super) fn remove(&mut self, owner: &str, record_type: RecordType) {
        let owner = Domain::parse(owner);
        if let Some(sets) = self.names.get_mut(&owner) {
            sets.remove(&record_type.into());
            if sets.is_empty() {
                self.names.remove(&owner);
            }
        }
        self.tree = None;
    }

    pub(super) fn declare(&mut self, apex: &str, zone: Zone) {
        self.declared.insert(Domain::parse(apex), zone);
        self.tree = None;
    }

    pub(super) fn forget_keys(&mut self, apex: &str) {
        self.keys.remove(&Domain::parse(apex));
        self.tree = None;
    }

    pub(super) fn set_negative_ttl(&mut self, seconds: u32) {
        self.negative_ttl = seconds;
        self.tree = None;
    }

    pub(super) fn set_server(&mut self, address: Ipv4Addr) {
        self.server = address;
        self.tree = None;
    }

    /// All names about which something was said.
    pub(super) fn mentioned(&self) -> impl Iterator<Item = Domain> {
        let faulty = self.faults.keys().map(|(owner, _)| Domain::parse(owner));
        let known = self.names.keys().chain(self.declared.keys());
        known.cloned().chain(faulty)
    }

    pub(super) fn set_fault(&mut self, owner: &str, only: Option<RecordType>, fault: Fault) {
        self.faults.insert((normal(owner), only), fault);
        self.tree = None;
    }

    pub(super) fn mend(&mut self, owner: &str) {
        let owner = normal(owner);
        self.faults.retain(|(faulty, _), _| *faulty != owner);
        self.tree = None;
    }

    pub(super) fn fault(&self, owner: &str, record_type: RecordType) -> Option<Fault> {
        let one = self.faults.get(&(normal(owner), Some(record_type)));
        one.or_else(|| self.faults.get(&(normal(owner), None)))
            .cloned()
    }

    pub(super) fn tree(&mut self) -> Arc<Tree> {
        if let Some(tree) = &self.tree {
            return Arc::clone(tree);
        }
        let tree = Arc::new(Tree::build(self));
        self.tree = Some(Arc::clone(&tree));
        tree
    }

    /// The keys of a zone; a zone that is declared anew keeps those that it still has.
    pub(super) fn keys(&mut self, apex: &Domain, zone: &Zone) -> Vec<(KeySpec, Arc<Key>)> {
        let mut old = self.keys.remove(apex).unwrap_or_default();
        let keys = zone.keys.iter().map(|spec| {
            let same = |(known, _): &(KeySpec, Arc<Key>)| {
                known.algorithm == spec.algorithm && known.role == spec.role
            };
            let key = match old.iter().position(same) {
                Some(place) => old.remove(place).1,
                None => Arc::new(Key::new(spec.algorithm, spec.role)),
            };
            (*spec, key)
        });
        let keys = keys.collect::<Vec<_>>();
        self.keys.insert(apex.clone(), keys.clone());
        keys
    }
}
