//! Until when a policy holds, and when it is fetched anew. Times are UNIX seconds.

use super::policy::Policy;

/// Every policy is fetched at least once a day, so that a changed one is noticed even if DNS says that
/// nothing has changed (RFC 8461 §3.3; the record is seldom signed).
const DAY: u64 = 86_400;
/// After a failed refresh, and at most so long after many (RFC 8461 §3.3).
const RETRY: u64 = 5 * 60;
const LONGEST_RETRY: u64 = 60 * 60;

/// When a policy that was fetched at this time ceases to hold.
pub fn expires(fetched: u64, policy: &Policy) -> u64 {
    fetched.saturating_add(policy.max_age.into())
}

/// When to fetch a policy again that was fetched now: at an unpredictable time between half and nine tenths
/// of a day, or of its life if that is shorter, so that nobody can be sure to sit in the way (RFC 8461 §10.2).
pub fn refresh_after_success(now: u64, policy: &Policy, random: u16) -> u64 {
    let period = DAY.min(policy.max_age.into());
    now.saturating_add(portion(period, 50, 40, random))
}

/// When to try again after a refresh that failed: from five minutes to an hour, the longer the policy has
/// been due, but several times before it expires.
pub fn refresh_after_failure(now: u64, due: u64, expires: u64, random: u16) -> u64 {
    let overdue = now.saturating_sub(due).clamp(RETRY, LONGEST_RETRY);
    let left = expires.saturating_sub(now);
    let wait = overdue.min((left / 4).max(RETRY));
    now.saturating_add(portion(wait, 100, 50, random))
}

/// `base` to `base + spread` hundredths of a period.
fn portion(period: u64, base: u64, spread: u64, random: u16) -> u64 {
    let share = period.saturating_mul(spread) / 100;
    let part = share.saturating_mul(random.into()) / u64::from(u16::MAX);
    period.saturating_mul(base) / 100 + part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mta_sts::Mode;

    const NOW: u64 = 1_800_000_000;

    fn policy(max_age: u32) -> Policy {
        Policy {
            mode: Mode::None,
            mx: [].into(),
            max_age,
        }
    }

    #[test]
    fn refreshed_within_the_day_and_well_before_the_end() {
        for (max_age, earliest, latest) in [
            (31_557_600, 43_200, 77_760),
            (604_800, 43_200, 77_760),
            (86_400, 43_200, 77_760),
            (1000, 500, 900),
            (0, 0, 0),
        ] {
            for random in [0, 1, 30_000, u16::MAX] {
                let at = refresh_after_success(NOW, &policy(max_age), random) - NOW;
                assert!(
                    (earliest..=latest).contains(&at),
                    "{max_age} {random}: {at}"
                );
            }
            let differ = refresh_after_success(NOW, &policy(max_age), 0)
                != refresh_after_success(NOW, &policy(max_age), u16::MAX);
            assert_eq!(differ, max_age > 0, "{max_age}");
        }
    }

    #[test]
    fn a_failed_refresh_is_tried_again_soon_and_then_seldom() {
        let week = NOW + 604_800;
        for (due, expires, earliest, latest) in [
            (NOW, week, 300, 450),
            (NOW - 1200, week, 1200, 1800),
            (NOW - 86_400, week, 3600, 5400),
            (NOW - 86_400, NOW + 4000, 1000, 1500), // the end is near
            (NOW - 86_400, NOW + 10, 300, 450),     // nobody is hammered for it
        ] {
            for random in [0, u16::MAX] {
                let at = refresh_after_failure(NOW, due, expires, random) - NOW;
                assert!((earliest..=latest).contains(&at), "{due} {expires}: {at}");
            }
        }
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(expires(u64::MAX, &policy(5)), u64::MAX);
        assert_eq!(refresh_after_success(u64::MAX, &policy(5), 1), u64::MAX);
        assert_eq!(refresh_after_failure(u64::MAX, 0, 0, 1), u64::MAX);
    }
}
