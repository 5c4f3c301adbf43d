//! Addresses that are down are remembered, so that they cannot occupy the client's slots.
//!
//! A fault of the address itself holds for 30 s, doubling to at most 240 s. When the time is over one
//! attempt probes, while others still get the remembered answer.

use super::failure::Failure;
use super::settings::KnownFaults;
use crate::names::{DomainName, MxHost};
use crate::policy::TlsRequirement;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What is down: the address for everybody who comes as we do, or its TLS for those with a certain
/// requirement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    pub address: SocketAddr,
    /// Our source address and EHLO name: a host may refuse the one and take the other.
    pub source: Option<IpAddr>,
    pub hostname: DomainName,
    /// `None`: connecting, the greeting or EHLO fails, whoever asks.
    pub tls: Option<TlsSubject>,
}

/// A requirement towards a host by its name: another name at the same address may fail where this one
/// does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TlsSubject {
    pub host: Option<MxHost>,
    pub requirement: Arc<TlsRequirement>,
}

const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(240);
/// Addresses remembered at most; beyond it those whose pause is over are forgotten first.
const MAX_REMEMBERED: usize = 20_000;

/// The memory. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    down: Arc<Mutex<HashMap<Subject, Down>>>,
}

#[derive(Debug)]
struct Down {
    failure: Failure,
    pause: Duration,
    until: Instant,
    probing: Probing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probing {
    Nobody,
    Somebody,
}

/// Whether an address may be tried.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nothing is known against it.
    Good,
    /// It was down; this attempt finds out whether it still is.
    Probe(Probe),
    Down(Failure),
}

/// The right to probe; given back when dropped without result.
#[derive(Debug)]
pub(super) struct Probe {
    subject: Subject,
    health: Health,
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(down) = self.health.lock().get_mut(&self.subject) {
            down.probing = Probing::Nobody;
        }
    }
}

impl Health {
    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Down>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(
        &self,
        subject: &Subject,
        faults: KnownFaults,
        now: Instant,
    ) -> Standing {
        let mut memory = self.lock();
        let Some(down) = memory.get_mut(subject) else {
            return Standing::Good;
        };
        let pausing = faults == KnownFaults::Heed && now < down.until;
        if pausing || down.probing == Probing::Somebody {
            return Standing::Down(down.failure.clone());
        }
        down.probing = Probing::Somebody;
        Standing::Probe(Probe {
            subject: subject.clone(),
            health: self.clone(),
        })
    }

    pub(super) fn failed(&self, subject: Subject, failure: Failure, now: Instant) {
        let mut memory = self.lock();
        if memory.len() >= MAX_REMEMBERED && !memory.contains_key(&subject) {
            memory.retain(|_, down| now < down.until);
            if memory.len() >= MAX_REMEMBERED {
                return;
            }
        }
        match memory.get_mut(&subject) {
            // Many attempts that began before the first failed count as one failure.
            Some(down) if now < down.until => {}
            Some(down) => {
                // A fault long after the last one begins anew.
                let fresh = now.duration_since(down.until) > LONGEST_PAUSE;
                let pause = if fresh { FIRST_PAUSE } else { down.pause * 2 };
                down.pause = pause.min(LONGEST_PAUSE);
                down.until = now + down.pause;
                down.failure = failure;
            }
            None => {
                let until = now + FIRST_PAUSE;
                let probing = Probing::Nobody;
                let down = Down {
                    failure,
                    pause: FIRST_PAUSE,
                    until,
                    probing,
                };
                memory.insert(subject, down);
            }
        }
    }

    pub(super) fn recovered(&self, subject: &Subject) {
        let mut memory = self.lock();
        if !memory.is_empty() {
            memory.remove(subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        at("192.0.2.1:25".parse().unwrap())
    }

    fn at(address: SocketAddr) -> Subject {
        Subject {
            address,
            source: None,
            hostname: DomainName::parse("relay.example").unwrap(),
            tls: None,
        }
    }

    fn failure() -> Failure {
        Failure::ConnectTimeout(30)
    }

    #[test]
    fn pauses_double_up_to_240_seconds() {
        let health = Health::default();
        let mut now = Instant::now();
        for expected in [30, 60, 120, 240, 240] {
            health.failed(subject(), failure(), now);
            let just_before = now + Duration::from_secs(expected - 1);
            assert!(matches!(
                health.standing(&subject(), KnownFaults::Heed, just_before),
                Standing::Down(_)
            ));
            now += Duration::from_secs(expected);
            assert!(
                matches!(
                    health.standing(&subject(), KnownFaults::Heed, now),
                    Standing::Probe(_)
                ),
                "{expected}"
            );
        }
    }

    #[test]
    fn one_probes_while_others_get_the_remembered_failure() {
        let health = Health::default();
        let now = Instant::now();
        health.failed(subject(), failure(), now);
        let later = now + FIRST_PAUSE;
        let probe = health.standing(&subject(), KnownFaults::Heed, later);
        assert!(matches!(probe, Standing::Probe(_)));
        assert!(matches!(
            health.standing(&subject(), KnownFaults::Heed, later),
            Standing::Down(_)
        ));
        drop(probe);
        assert!(matches!(
            health.standing(&subject(), KnownFaults::Heed, later),
            Standing::Probe(_)
        ));
        health.recovered(&subject());
        assert!(matches!(
            health.standing(&subject(), KnownFaults::Heed, later),
            Standing::Good
        ));
    }

    #[test]
    fn who_has_waited_already_probes_at_once_and_alone() {
        let health = Health::default();
        let now = Instant::now();
        health.failed(subject(), failure(), now);
        let probe = health.standing(&subject(), KnownFaults::Probe, now);
        assert!(matches!(probe, Standing::Probe(_)));
        let another = health.standing(&subject(), KnownFaults::Probe, now);
        assert!(matches!(another, Standing::Down(_)));
    }

    #[test]
    fn failures_that_overlap_count_once() {
        let health = Health::default();
        let now = Instant::now();
        for _ in 0..20 {
            health.failed(subject(), failure(), now);
        }
        assert!(matches!(
            health.standing(&subject(), KnownFaults::Heed, now + FIRST_PAUSE),
            Standing::Probe(_)
        ));
    }

    #[test]
    fn memory_is_bounded() {
        let health = Health::default();
        let now = Instant::now();
        for n in 0..MAX_REMEMBERED + 10 {
            let octets = u32::try_from(n).unwrap().to_be_bytes();
            let address = SocketAddr::from((octets, 25));
            health.failed(at(address), failure(), now);
        }
        assert_eq!(health.lock().len(), MAX_REMEMBERED);
    }
}
