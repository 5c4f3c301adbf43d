//! What changed in all: counts of every change, and the worst of them.

use super::{Change, What};
use std::collections::{BTreeMap, BTreeSet};

/// Changes that are told one by one; all are counted.
pub const MAX_KEPT: usize = 20_000;

/// The changes of a survey.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    counts: BTreeMap<What, u64>,
    /// The worst, and if they are too many, the first by name among equals.
    kept: BTreeSet<Change>,
    /// Domains that both surveys have, and of those the ones that anything changed of.
    pub compared: u64,
    pub changed: u64,
}

impl Changes {
    /// The changes of a domain that both surveys have.
    pub fn compared(&mut self, changes: Vec<Change>) {
        self.compared += 1;
        self.changed += u64::from(!changes.is_empty());
        for change in changes {
            self.add(change);
        }
    }

    pub fn add(&mut self, change: Change) {
        *self.counts.entry(change.change).or_default() += 1;
        self.kept.insert(change);
        if self.kept.len() > MAX_KEPT {
            self.kept.pop_last();
        }
    }

    /// How often each change was seen, the worst first.
    pub fn counts(&self) -> Vec<(What, u64)> {
        let mut counts: Vec<_> = self.counts.iter().map(|(what, n)| (*what, *n)).collect();
        counts.sort_by_key(|(what, _)| (what.grade(), *what));
        counts
    }

    /// The worst first.
    pub fn kept(&self) -> impl Iterator<Item = &Change> {
        self.kept.iter()
    }

    pub fn is_cut(&self) -> bool {
        self.kept.len() as u64 != self.counts.values().sum::<u64>()
    }
}
