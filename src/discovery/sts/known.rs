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

    pub fn is_live(&self, now: u64) -> bool {
        now < self.expires()
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
    /// obeyed. Times to come are those of a clock that was wrong: a policy holds no longer from now on than a fresh
    /// one would.
    pub(super) fn from_store(stored: &StoredPolicy, now: u64) -> Option<Self> {
        let policy = Policy::read(stored.policy.as_bytes()).ok()?;
        let fetched = stored.fetched.min(now);
        let refresh = stored.refresh.min(expires(fetched, &policy));
        Some(Self {
            policy: Arc::new(policy),
            id: PolicyId::parse(&stored.id)?,
            fetched,
            refresh,
            used: stored.used.min(now),
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

    #[test]
    fn times_that_a_wrong_clock_wrote_are_put_right() {
        for (written, expected) in [
            ((NOW - 5, NOW + 500, NOW - 5), (NOW - 5, NOW + 500, NOW - 5)),
            (
                (NOW + 9999, NOW + 10_500, NOW + 9999),
                (NOW, NOW + 1000, NOW),
            ),
            ((NOW - 5, NOW + 99_999, NOW), (NOW - 5, NOW + 995, NOW)),
        ] {
            let (fetched, refresh, used) = written;
            let known = Known::from_store(&stored(fetched, refresh, used), NOW).unwrap();
            assert_eq!(
                (known.fetched, known.refresh, known.used),
                expected,
                "{written:?}"
            );
        }
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
            let mut known = Known::from_store(&stored(NOW, NOW, NOW), NOW).unwrap();
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
            assert_eq!(Known::from_store(&row, NOW), None);
        }
    }
}
