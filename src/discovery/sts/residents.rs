//! The domains that somebody cares for now, bounded in number and in weight.
//!
//! Two generations: when the young one is full it becomes the old one, and whoever was in the old one and has not
//! been asked for since is forgotten. Two kinds stay all the same: those that somebody holds, so that a fetch that is
//! under way stays the only one, and, as long as there is room for as many again, those whose policy is in no store.

use super::now;
use super::resident::Resident;
use crate::names::PolicyDomain;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Domains of one generation: some 20 MB for both.
const MOST: usize = 25_000;
/// Octets of the policies that have come into one generation: 64 MB for both.
const HEAVIEST: usize = 32 << 20;

type Generation = HashMap<PolicyDomain, Arc<Resident>>;

/// The domains.
#[derive(Debug, Default)]
pub(super) struct Residents(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
    /// Of all policies that have come into the young one.
    weight: usize,
}

impl Residents {
    fn generations(&self) -> MutexGuard<'_, Generations> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one resident of a domain, if it is here.
    pub(super) fn find(&self, domain: &PolicyDomain) -> Option<Arc<Resident>> {
        self.generations().find(domain)
    }

    /// The one resident of a domain.
    pub(super) fn enter(&self, domain: &PolicyDomain) -> Arc<Resident> {
        let mut generations = self.generations();
        let found = generations.find(domain);
        found.unwrap_or_else(|| generations.welcome(Arc::new(Resident::new(domain.clone()))))
    }

    /// A policy of so many octets has come to a resident.
    pub(super) fn weigh(&self, octets: usize) {
        self.generations().weigh(octets);
    }
}

impl Generations {
    /// Whoever is asked for is young again.
    fn find(&mut self, domain: &PolicyDomain) -> Option<Arc<Resident>> {
        if let Some(resident) = self.young.get(domain) {
            return Some(Arc::clone(resident));
        }
        let resident = self.old.remove(domain)?;
        Some(self.welcome(resident))
    }

    fn welcome(&mut self, resident: Arc<Resident>) -> Arc<Resident> {
        let domain = resident.domain.clone();
        self.young.insert(domain, Arc::clone(&resident));
        self.weigh(resident.weight());
        resident
    }

    fn weigh(&mut self, octets: usize) {
        self.weight += octets;
        if self.young.len() >= MOST || self.weight > HEAVIEST {
            self.age();
        }
    }

    fn age(&mut self) {
        let young = std::mem::take(&mut self.young);
        let old = std::mem::replace(&mut self.old, young);
        self.weight = 0;
        let (now, mut room, mut weight) = (now(), MOST, HEAVIEST);
        for (domain, resident) in old {
            let held = Arc::strong_count(&resident) > 1;
            let octets = resident.weight();
            let has_room = room > 0 && weight >= octets;
            let stays = held || (has_room && resident.is_irreplaceable(now));
            if !stays {
                continue;
            }
            room = room.saturating_sub(1);
            weight = weight.saturating_sub(octets);
            self.old.insert(domain, resident);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Known, resident::Saved};
    use super::*;
    use crate::mta_sts::{Policy, PolicyId};
    use crate::names::DomainName;

    fn domain(number: usize) -> PolicyDomain {
        PolicyDomain(DomainName::parse(&format!("d{number}.test")).unwrap())
    }

    fn settle(resident: &Resident, saved: Saved, patterns: usize) -> usize {
        let lines: String = (0..patterns).map(|n| format!("mx: {n:x}.b\n")).collect();
        let file = format!("version: STSv1\nmode: enforce\nmx: a.test\n{lines}max_age: 86400\n");
        let policy = Policy::parse(file.as_bytes()).unwrap();
        let weight = policy.weight();
        let known = Known {
            policy: Arc::new(policy),
            id: PolicyId::parse("1").unwrap(),
            fetched: now(),
            refresh: now(),
            used: now(),
        };
        resident.settle(&Arc::new(known), saved);
        weight
    }

    #[test]
    fn bounded_but_whoever_is_held_stays_the_only_one() {
        let residents = Residents::default();
        let held = residents.enter(&domain(0));
        let loose = Arc::downgrade(&residents.enter(&domain(1)));
        let unsaved = Arc::downgrade(&residents.enter(&domain(2)));
        settle(&unsaved.upgrade().unwrap(), Saved::No, 0);
        let saved = Arc::downgrade(&residents.enter(&domain(3)));
        settle(&saved.upgrade().unwrap(), Saved::Yes, 0);
        let asked_for = Arc::downgrade(&residents.enter(&domain(4)));
        for number in 5..4 * MOST {
            residents.enter(&domain(number));
            if number % 1000 == 0 {
                residents.find(&domain(4));
            }
        }
        assert!(asked_for.upgrade().is_some(), "it was in use all the time");
        assert!(Arc::ptr_eq(&held, &residents.enter(&domain(0))));
        assert!(loose.upgrade().is_none() && saved.upgrade().is_none());
        assert!(unsaved.upgrade().is_some(), "it was nowhere else");
        let generations = residents.generations();
        assert!(generations.young.len() + generations.old.len() <= 2 * MOST + 2);
    }

    /// Policies come after their domains, and may become heavier.
    #[test]
    fn heavy_policies_go_sooner() {
        let residents = Residents::default();
        let first = Arc::downgrade(&residents.enter(&domain(0)));
        for number in 0..1000 {
            let resident = residents.enter(&domain(number));
            let weight = settle(&resident, Saved::Yes, 5000);
            residents.weigh(weight);
        }
        assert!(first.upgrade().is_none());
        let generations = residents.generations();
        let all = generations.young.values().chain(generations.old.values());
        let weight: usize = all.map(|resident| resident.weight()).sum();
        assert!(weight <= 2 * HEAVIEST + (1 << 20), "{weight}");
    }
}
