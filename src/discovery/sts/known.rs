//! A policy that was fetched, in memory and in the store.

use crate::mta_sts::{Policy, PolicyId, expires};
use crate::names::PolicyDomain;
use crate::store::StoredPolicy;
use std::sync::Arc;

const DAY: u64 = 86_400;

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

    /// A fetch to come was dated by a clock that was wrong, then or now: the policy holds, to be safe, and is fetched
    /// anew as soon as it is used.
    pub fn is_live(&self, now: u64) -> bool {
        now < expires(self.fetched.min(now), &self.policy)
    }

    /// Whether it is to be fetched anew, whatever its id: it is due, or a clock was wrong when it was fetched, or is
    /// now.
    pub(super) fn is_due(&self, now: u64) -> bool {
        const TOLERANCE: u64 = 600;
        self.refresh <= now || self.fetched > now.saturating_add(TOLERANCE)
    }

    /// Whether it has been out of use for so long that nobody goes on refreshing it: a month, or a hundred times its
    /// life if that is shorter, so that a stranger's `max_age` of seconds costs no fetch a second for a month.
    pub(super) fn is_idle(&self, now: u64) -> bool {
        let life = u64::from(self.policy.max_age);
        now > self.used.saturating_add((30 * DAY).min(100 * life))
    }

    /// Whether a use now is worth a note: once a day, or ten lives.
    pub(super) fn is_newly_used(&self, now: u64) -> bool {
        let life = u64::from(self.policy.max_age);
        now >= self.used.saturating_add(DAY.min(10 * life).max(1))
    }

    /// `None` if the store holds what this version does not understand: then there is nothing that could be
    /// obeyed.
    pub(super) fn from_store(stored: &StoredPolicy) -> Option<Self> {
        let policy = Policy::read(stored.policy.as_bytes()).ok()?;
        Some(Self {
            policy: Arc::new(policy),
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_900_000_000;

    fn stored(fetched: u64, refresh: u64, used: u64) -> StoredPolicy {
        StoredPolicy {
            domain: "a.test".into(),
            id: "1".into(),
            mode: "none".into(),
            policy: "version: STSv1\nmode: none\nmax_age: 1000\n".into(),
            fetched,
            expires: fetched + 1000,
            used,
            refresh,
        }
    }

    /// A policy of 1,000 seconds; the clock may be set only after it was read.
    #[test]
    fn a_wrong_clock_ends_no_policy() {
        let known = Known::from_store(&stored(NOW, NOW + 500, NOW)).unwrap();
        for (now, live, due) in [
            (NOW, true, false),
            (NOW + 999, true, true),
            (NOW + 1000, false, true),
            (100, true, true), // 1970: it holds, and is to be fetched anew
            (NOW - 100, true, false),
            (NOW - 1000, true, true),
        ] {
            assert_eq!(
                (known.is_live(now), known.is_due(now)),
                (live, due),
                "{now}"
            );
        }
        let from_the_future = Known::from_store(&stored(NOW + 9_999_999, NOW, NOW)).unwrap();
        assert!(from_the_future.is_live(NOW) && from_the_future.is_due(NOW));
    }

    #[test]
    fn who_is_idle_and_whose_use_is_noted() {
        for (max_age, used_ago, idle, noted) in [
            (604_800, 0, false, false),
            (604_800, DAY, false, true),
            (604_800, 30 * DAY, false, true),
            (604_800, 30 * DAY + 1, true, true),
            (10, 99, false, false),
            (10, 100, false, true),
            (10, 1001, true, true),
            (0, 0, false, false),
            (0, 1, true, true),
        ] {
            let mut known = Known::from_store(&stored(NOW, NOW, NOW)).unwrap();
            let policy = Policy {
                max_age,
                ..(*known.policy).clone()
            };
            (known.policy, known.used) = (Arc::new(policy), NOW - used_ago);
            let got = (known.is_idle(NOW), known.is_newly_used(NOW));
            assert_eq!(got, (idle, noted), "{max_age} {used_ago}");
        }
    }

    #[test]
    fn what_another_version_wrote_is_nothing() {
        for (id, policy) in [
            ("1", "version: STSv2"),
            ("", "version: STSv1\nmode: none\nmax_age: 1"),
        ] {
            let row = StoredPolicy {
                id: id.into(),
                policy: policy.into(),
                ..stored(NOW, NOW, NOW)
            };
            assert_eq!(Known::from_store(&row), None);
        }
    }
}
