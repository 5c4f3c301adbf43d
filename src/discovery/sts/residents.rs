//! The domains that somebody cares for now, bounded in number and in weight.
//!
//! Two generations: when the young one is full it becomes the old one, and whoever was in the old one and has not
//! been asked for since is forgotten, unless somebody holds it: a fetch that is under way stays the only one. What
//! is forgotten is in the store, but for failures, which only means that a fetch may be tried again sooner.

use super::resident::Resident;
use crate::names::PolicyDomain;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Domains of one generation: some 20 MB for both.
const MOST: usize = 25_000;
/// Octets of the policies of one generation: 64 MB for both.
const HEAVIEST: usize = 32 << 20;
/// How often the weight is taken: policies arrive after their domains.
const WEIGHED_EVERY: usize = 256;

type Generation = HashMap<PolicyDomain, Arc<Resident>>;

/// The domains.
#[derive(Debug, Default)]
pub(super) struct Residents(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
}

impl Residents {
    fn generations(&self) -> MutexGuard<'_, Generations> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one resident of a domain.
    pub(super) fn enter(&self, domain: &PolicyDomain) -> Arc<Resident> {
        let mut generations = self.generations();
        if let Some(resident) = generations.young.get(domain) {
            return Arc::clone(resident);
        }
        let resident = match generations.old.remove(domain) {
            Some(resident) => resident,
            None => Arc::new(Resident::new(domain.clone())),
        };
        generations
            .young
            .insert(domain.clone(), Arc::clone(&resident));
        generations.age();
        resident
    }
}

impl Generations {
    fn age(&mut self) {
        let count = self.young.len();
        let heavy = count.is_multiple_of(WEIGHED_EVERY) && weight(&self.young) > HEAVIEST;
        if count < MOST && !heavy {
            return;
        }
        let young = std::mem::take(&mut self.young);
        let old = std::mem::replace(&mut self.old, young);
        let held = old
            .into_iter()
            .filter(|(_, resident)| Arc::strong_count(resident) > 1);
        self.old.extend(held);
    }
}

fn weight(generation: &Generation) -> usize {
    generation.values().map(|resident| resident.weight()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::DomainName;

    fn domain(number: usize) -> PolicyDomain {
        PolicyDomain(DomainName::parse(&format!("d{number}.test")).unwrap())
    }

    #[test]
    fn bounded_but_whoever_is_held_stays_the_only_one() {
        let residents = Residents::default();
        let held = residents.enter(&domain(0));
        let loose = Arc::downgrade(&residents.enter(&domain(1)));
        for number in 2..4 * MOST {
            residents.enter(&domain(number));
        }
        assert!(Arc::ptr_eq(&held, &residents.enter(&domain(0))));
        assert!(loose.upgrade().is_none());
        let generations = residents.generations();
        assert!(generations.young.len() + generations.old.len() <= 2 * MOST + 1);
    }
}
