//! Which hosts failed at TLS and since when (`relay.plaintext_fallback = "delayed"`): plaintext is
//! taken only from a host that failed at least five minutes ago too, so that neither a glitch nor an
//! attack on one try forces clear text.

use crate::names::MxHost;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How long ago the first failure must lie.
pub(super) const DELAY: Duration = Duration::from_secs(5 * 60);
/// Forgotten so long after the last failure.
const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);
/// Hosts remembered at most; beyond it no new one is, and its mail waits.
const MAX_REMEMBERED: usize = 50_000;

/// Who failed: the host by name and address; the name is empty for an address literal.
type Subject = (String, IpAddr);

/// One remembered host, as it is written to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFailureRecord {
    pub mx: String,
    pub address: IpAddr,
    pub first: SystemTime,
    pub last: SystemTime,
}

/// Keeps the memory over a restart. Must not block.
pub trait TlsFailureStore: Send + Sync + std::fmt::Debug {
    fn remember(&self, record: TlsFailureRecord);
    fn forget(&self, mx: &str, address: IpAddr);
}

/// The memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TlsMemory {
    seen: Arc<Mutex<HashMap<Subject, Span>>>,
    store: Option<Arc<dyn TlsFailureStore>>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    first: SystemTime,
    last: SystemTime,
}

/// What a failure just now means for plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fallback {
    Due,
    NotBefore(SystemTime),
}

impl TlsMemory {
    pub fn new(
        known: impl IntoIterator<Item = TlsFailureRecord>,
        store: Option<Arc<dyn TlsFailureStore>>,
    ) -> Self {
        let span = |r: TlsFailureRecord| {
            (
                (r.mx, r.address),
                Span {
                    first: r.first,
                    last: r.last,
                },
            )
        };
        let seen = known.into_iter().take(MAX_REMEMBERED).map(span).collect();
        Self {
            seen: Arc::new(Mutex::new(seen)),
            store,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Span>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handshake has failed now.
    pub(super) fn failed(&self, mx: Option<&MxHost>, ip: IpAddr, now: SystemTime) -> Fallback {
        let subject = subject(mx, ip);
        let span = {
            let mut seen = self.lock();
            if seen.len() >= MAX_REMEMBERED && !seen.contains_key(&subject) {
                seen.retain(|_, span| !is_over(*span, now));
                if seen.len() >= MAX_REMEMBERED {
                    return Fallback::NotBefore(now + DELAY);
                }
            }
            let span = seen.entry(subject.clone()).or_insert(Span {
                first: now,
                last: now,
            });
            if is_over(*span, now) {
                span.first = now;
            }
            span.last = now;
            *span
        };
        if let Some(store) = &self.store {
            let (mx, address) = subject;
            let Span { first, last } = span;
            store.remember(TlsFailureRecord {
                mx,
                address,
                first,
                last,
            });
        }
        judge(span, now)
    }

    /// What is known without a new failure: the address is remembered as down.
    pub(super) fn standing(&self, mx: Option<&MxHost>, ip: IpAddr, now: SystemTime) -> Fallback {
        match self.lock().get(&subject(mx, ip)) {
            Some(span) if !is_over(*span, now) => judge(*span, now),
            _ => Fallback::NotBefore(now + DELAY),
        }
    }

    /// A handshake has come about: all is forgiven.
    pub(super) fn succeeded(&self, mx: Option<&MxHost>, ip: IpAddr) {
        {
            let mut seen = self.lock();
            if seen.is_empty() || seen.remove(&subject(mx, ip)).is_none() {
                return;
            }
        }
        if let Some(store) = &self.store {
            store.forget(&subject(mx, ip).0, ip);
        }
    }
}

fn subject(mx: Option<&MxHost>, ip: IpAddr) -> Subject {
    (mx.map(ToString::to_string).unwrap_or_default(), ip)
}

/// A span in the future was written by a clock that was wrong: it counts for nothing.
fn is_over(span: Span, now: SystemTime) -> bool {
    now.duration_since(span.last)
        .map_or(true, |since| since > MEMORY)
}

fn judge(span: Span, now: SystemTime) -> Fallback {
    let due = span.first + DELAY;
    if now >= due {
        Fallback::Due
    } else {
        Fallback::NotBefore(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::DomainName;

    #[test]
    fn plaintext_is_due_five_minutes_after_the_first_failure() {
        let mx = MxHost(DomainName::parse("mx.example").unwrap());
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds| start + Duration::from_secs(seconds);
        let day = 24 * 3600;
        // Failures at these times; what the last of them means.
        for (times, due) in [
            (&[0][..], false),
            (&[0, 299], false),
            (&[0, 300], true),
            (&[0, day], true),
            (&[0, day + 1], false), // forgotten 24 hours after the last one
            (&[0, 300, day + 300], true),
        ] {
            let memory = TlsMemory::new([], None);
            let mut last = None;
            for &time in times {
                last = Some(memory.failed(Some(&mx), ip, at(time)));
            }
            assert_eq!(last == Some(Fallback::Due), due, "{times:?}");
        }
    }

    #[test]
    fn a_failure_that_a_wrong_clock_dated_in_the_future_counts_for_nothing() {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let memory = TlsMemory::new([], None);
        memory.failed(None, ip, now + 1000 * DELAY);
        assert_eq!(
            memory.failed(None, ip, now),
            Fallback::NotBefore(now + DELAY)
        );
        assert_eq!(memory.failed(None, ip, now + DELAY), Fallback::Due);
    }

    #[test]
    fn a_good_handshake_is_a_new_start_and_other_hosts_are_others() {
        let name = |s| MxHost(DomainName::parse(s).unwrap());
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let memory = TlsMemory::new([], None);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        memory.failed(Some(&name("a.example")), ip, start);
        let later = start + DELAY;
        let other = memory.failed(Some(&name("b.example")), ip, later);
        assert_eq!(other, Fallback::NotBefore(later + DELAY));
        memory.succeeded(Some(&name("a.example")), ip);
        let again = memory.failed(Some(&name("a.example")), ip, later);
        assert_eq!(again, Fallback::NotBefore(later + DELAY));
    }
}
