//! A policy that was fetched, in memory and in the store.

use crate::mta_sts::{Policy, PolicyId, expires};
use crate::names::PolicyDomain;
use crate::store::StoredPolicy;
use std::sync::Arc;

/// A policy that was fetched. Times are UNIX seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub policy: Arc<Policy>,
    /// Of the record that announced it.
    pub id: PolicyId,
    pub fetched: u64,
    /// Not to be refreshed before.
    pub refresh: u64,
    /// Of the last use, coarse.
    pub used: u64,
}

impl Known {
    pub fn expires(&self) -> u64 {
        expires(self.fetched, &self.policy)
    }

    pub fn is_live(&self, now: u64) -> bool {
        now < self.expires()
    }

    /// Whether a clock was wrong when it was fetched, or is now: it holds, to be safe, but is to be fetched anew.
    pub(super) fn is_of_the_future(&self, now: u64) -> bool {
        const TOLERANCE: u64 = 600;
        self.fetched > now.saturating_add(TOLERANCE)
    }

    /// `None` if the store holds what this version does not understand: then there is nothing that could be
    /// obeyed.
    pub(super) fn from_store(stored: &StoredPolicy) -> Option<Self> {
        Some(Self {
            policy: Arc::new(Policy::parse(stored.policy.as_bytes()).ok()?),
            id: PolicyId::parse(&stored.id)?,
            fetched: stored.fetched,
            refresh: stored.refresh,
            used: stored.used,
        })
    }

    pub(super) fn to_store(&self, domain: &PolicyDomain) -> StoredPolicy {
        StoredPolicy {
            domain: domain.to_string(),
            id: self.id.to_string(),
            mode: self.policy.mode.to_string(),
            policy: self.policy.to_string(),
            fetched: self.fetched,
            expires: self.expires(),
            used: self.used,
            refresh: self.refresh,
        }
    }
}
