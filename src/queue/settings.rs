//! `[queue]`, checked, and what else the queue needs of the configuration.

use super::schedule::Concurrency;
use crate::names::{DomainName, RuleNextHop};
use crate::smtp::address::Mailbox;
use crate::store::queue::Millis;
use std::net::IpAddr;
use std::time::Duration;

/// What the queue obeys; a reload replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// After each attempt; the last one again and again. Not empty.
    pub retry: Vec<Duration>,
    /// How long after its arrival a message is given up.
    pub expire: Duration,
    /// After how long its sender is warned; zero: never.
    pub delay_warning: Duration,
    pub dsn_via: DsnVia,
    /// Who hears of notices that nobody takes.
    pub postmaster: Option<Mailbox>,
    /// In notices.
    pub hostname: DomainName,
    /// Every source address that is configured: mail does not go on from one that is no more.
    pub sources: Vec<IpAddr>,
    /// Of a notice, octets: `client.max_message_size`.
    pub max_message_size: u64,
    pub concurrency: Concurrency,
    pub waivers: Waivers,
}

/// Whether `TLS-Required: No` (RFC 8689) counts: `relay.tls_required_no`. What a message said when it came is kept; what
/// follows from it is decided at each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waivers {
    Honored,
    Ignored,
}

/// `queue.dsn_via`: by which way notices go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DsnVia {
    /// As any mail to the sender's domain.
    Mx,
    Hop(RuleNextHop),
}

/// By how much of itself a time is lengthened at most, so that what failed together is not tried together again.
const JITTER: f64 = 0.1;

impl QueueSettings {
    /// How long to wait after so many attempts.
    pub fn pause(&self, attempts: u32) -> Duration {
        let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let pause = self.retry.get(at).or(self.retry.last());
        pause.copied().unwrap_or(Duration::from_secs(60))
    }

    /// When to try again after so many attempts.
    pub(super) fn retry_at(&self, attempts: u32, now: Millis) -> Millis {
        let pause = self.pause(attempts);
        now + millis(pause.mul_f64(1.0 + fastrand::f64() * JITTER))
    }
}

pub(super) fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pause_is_the_one_that_lasts() {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        let settings = QueueSettings {
            retry: vec![minutes(1), minutes(5), minutes(15)],
            expire: minutes(1000),
            delay_warning: Duration::ZERO,
            dsn_via: DsnVia::Mx,
            postmaster: None,
            hostname: DomainName::parse("relay.example").unwrap(),
            sources: Vec::new(),
            max_message_size: 1000,
            concurrency: Concurrency {
                total: 1,
                per_destination: 1,
            },
            waivers: Waivers::Honored,
        };
        for (attempts, expected) in [(1, 1), (2, 5), (3, 15), (4, 15), (u32::MAX, 15)] {
            assert_eq!(settings.pause(attempts), minutes(expected), "{attempts}");
            for _ in 0..100 {
                let pause = settings.retry_at(attempts, 1000) - 1000;
                let shortest = millis(minutes(expected));
                assert!(
                    (shortest..=shortest + shortest / 10).contains(&pause),
                    "{pause}"
                );
            }
        }
    }
}
