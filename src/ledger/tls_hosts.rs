//! Which MX hosts mail has gone to over TLS: plaintext to one of them is worth a word, since nothing else tells a
//! host that never had TLS from one whose STARTTLS somebody takes away.

use super::{DeliveryEvent, Ledger};
use crate::clock;
use crate::delivery::outcome::{Channel, DeliveryResult, PlaintextCause, Via};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Forgotten so long after the last delivery over TLS.
const MEMORY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How exactly it is known when that was.
const GRAIN: Duration = Duration::from_secs(24 * 60 * 60);
/// How often at most a host is complained of in the log.
const TOLD_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How often at most a full memory is looked through for what is too old.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Hosts remembered at most; beyond it no new one is.
const MOST: usize = 50_000;

/// A host, and when mail last went to it over TLS, to the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsHost {
    /// The MX host's name; of an address literal the address.
    pub host: Arc<str>,
    pub last: SystemTime,
}

/// The memory.
#[derive(Debug, Default)]
pub struct TlsHosts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    hosts: HashMap<Arc<str>, Entry>,
    /// What is not in the store yet; no more of it than hosts, also where nobody keeps it.
    changed: Vec<Arc<str>>,
    swept: Option<SystemTime>,
}

#[derive(Debug)]
struct Entry {
    last: SystemTime,
    told: Option<SystemTime>,
}

/// What is known of a host that mail has gone to in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It may never have had TLS.
    Unknown,
    /// It had TLS; the log has said so lately.
    Tls,
    /// It had TLS, and the log is to say so.
    TlsUntold(SystemTime),
}

impl TlsHosts {
    /// Hosts are forgotten that had no TLS since this time.
    pub fn too_old(now: SystemTime) -> SystemTime {
        now.checked_sub(MEMORY).unwrap_or(UNIX_EPOCH)
    }

    /// What an earlier run knew.
    pub fn restore(&self, known: impl IntoIterator<Item = TlsHost>) {
        let entries = known.into_iter().take(MOST).map(|TlsHost { host, last }| {
            let told = None;
            (host, Entry { last, told })
        });
        self.lock().hosts.extend(entries);
    }

    /// What is new since this was last asked for.
    pub fn changed(&self) -> Vec<TlsHost> {
        let mut known = self.lock();
        let changed = std::mem::take(&mut known.changed);
        let entry = |host: Arc<str>| {
            let last = known.hosts.get(&host)?.last;
            Some(TlsHost { host, last })
        };
        changed.into_iter().filter_map(entry).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There was TLS with a host. Most often that is no news.
    fn secured(&self, host: &str, now: SystemTime) {
        let mut known = self.lock();
        if let Some(entry) = known.hosts.get_mut(host) {
            // A time in the future was written by a clock that was wrong.
            let age = now.duration_since(entry.last);
            if age.is_ok_and(|age| age < GRAIN) {
                return;
            }
            entry.last = now;
        } else {
            if known.hosts.len() >= MOST && !known.sweep(now) {
                return;
            }
            let entry = Entry {
                last: now,
                told: None,
            };
            known.hosts.insert(host.into(), entry);
        }
        if known.changed.len() < MOST {
            known.changed.push(host.into());
        }
    }

    /// Mail has gone to a host in the clear.
    fn in_the_clear(&self, host: &str, now: SystemTime) -> Before {
        let mut known = self.lock();
        let Some(entry) = known.hosts.get_mut(host) else {
            return Before::Unknown;
        };
        if entry.last < Self::too_old(now) {
            return Before::Unknown;
        }
        let since_told = entry.told.and_then(|told| now.duration_since(told).ok());
        if since_told.is_some_and(|since| since < TOLD_INTERVAL) {
            return Before::Tls;
        }
        entry.told = Some(now);
        Before::TlsUntold(entry.last)
    }
}

impl Known {
    /// Makes room; whether there is some.
    fn sweep(&mut self, now: SystemTime) -> bool {
        let since = self.swept.and_then(|swept| now.duration_since(swept).ok());
        if since.is_none_or(|since| since >= SWEEP_INTERVAL) {
            self.swept = Some(now);
            let too_old = TlsHosts::too_old(now);
            self.hosts.retain(|_, entry| entry.last >= too_old);
        }
        self.hosts.len() < MOST
    }
}

impl Ledger {
    /// To which hosts mail has gone over TLS, for whoever keeps it over a restart.
    pub fn tls_hosts(&self) -> &TlsHosts {
        &self.tls_hosts
    }

    /// Remembers TLS, and notices its absence where there was some. That the administrator wants none is no absence.
    pub(super) fn watch_channel(&self, event: &DeliveryEvent<'_>) {
        let Some(via) = event.outcome.via.as_deref() else {
            return;
        };
        match via.channel {
            Channel::Tls(_) => self.tls_hosts.secured(&host(via), clock::now()),
            Channel::Plaintext(
                cause @ (PlaintextCause::NoStarttls | PlaintextCause::TlsFailed),
            ) if event.outcome.result == DeliveryResult::Delivered => {
                self.plaintext(event, via, cause);
            }
            Channel::Plaintext(_) | Channel::None => {}
        }
    }

    fn plaintext(&self, event: &DeliveryEvent<'_>, via: &Via, cause: PlaintextCause) {
        let host = host(via);
        let before = self.tls_hosts.in_the_clear(&host, clock::now());
        if before == Before::Unknown {
            return;
        }
        let counter = &self.metrics.plaintext_after_tls;
        counter.with_label_values(&[cause.as_str()]).inc();
        if let Before::TlsUntold(last) = before {
            tracing::warn!(
                target: "sealpost::delivery",
                id = event.message.id.as_str(),
                mx = &*host,
                ip = %via.address.ip(),
                domain = &*super::event::domain(&event.recipient.mailbox.domain),
                cause = cause.as_str(),
                last_tls_day = day(last),
                "plaintext after TLS: this host had TLS before (said once an hour for a host)",
            );
        }
    }
}

fn host(via: &Via) -> Cow<'_, str> {
    match &via.mx {
        Some(mx) => mx.0.as_str().into(),
        None => via.address.ip().to_string().into(),
    }
}

pub(super) fn day(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1000 * DAY + seconds)
    }

    #[test]
    fn plaintext_is_noticed_where_there_was_tls() {
        // TLS at these times, plaintext at these: what the last of it means.
        for (tls, clear, expected) in [
            (&[][..], &[0][..], Before::Unknown),
            (&[0], &[1], Before::TlsUntold(at(0))),
            (&[0], &[30 * DAY], Before::TlsUntold(at(0))),
            (&[0], &[30 * DAY + 1], Before::Unknown), // forgotten
            (&[0, 10 * DAY], &[35 * DAY], Before::TlsUntold(at(10 * DAY))),
            (&[0, 100], &[200], Before::TlsUntold(at(0))), // to the day
            (&[0], &[1, 3600], Before::Tls),               // once an hour
            (&[0], &[1, 3601], Before::TlsUntold(at(0))),
        ] {
            let hosts = TlsHosts::default();
            for &time in tls {
                hosts.secured("mx.example", at(time));
            }
            let mut last = Before::Unknown;
            for &time in clear {
                last = hosts.in_the_clear("mx.example", at(time));
                let other = hosts.in_the_clear("other.example", at(time));
                assert_eq!(other, Before::Unknown);
            }
            assert_eq!(last, expected, "{tls:?} {clear:?}");
        }
    }

    #[test]
    fn what_is_new_is_handed_out_once_a_day() {
        let hosts = TlsHosts::default();
        let known = |host: &str, time| TlsHost {
            host: host.into(),
            last: at(time),
        };
        hosts.restore([known("old.example", 0), known("future.example", 100 * DAY)]);
        assert_eq!(hosts.changed(), []);
        hosts.secured("old.example", at(DAY - 1));
        assert_eq!(hosts.changed(), []);
        for host in ["old.example", "new.example", "future.example"] {
            hosts.secured(host, at(DAY));
            hosts.secured(host, at(DAY));
            assert_eq!(hosts.changed(), [known(host, DAY)]);
        }
        assert_eq!(hosts.changed(), []);
    }

    #[test]
    fn what_nobody_keeps_is_bounded_too() {
        let hosts = TlsHosts::default();
        for day in 0..=MOST as u64 {
            hosts.secured("mx.example", at(day * DAY));
        }
        assert_eq!(hosts.lock().changed.len(), MOST);
        assert_eq!(hosts.changed().len(), MOST);
        hosts.secured("mx.example", at((MOST as u64 + 2) * DAY));
        assert_eq!(hosts.changed().len(), 1);
    }

    #[test]
    fn the_memory_is_bounded() {
        let hosts = TlsHosts::default();
        for n in 0..MOST {
            hosts.secured(&format!("{n}.example"), at(0));
        }
        hosts.secured("more.example", at(1));
        assert_eq!(hosts.in_the_clear("more.example", at(1)), Before::Unknown);
        assert_eq!(hosts.changed().len(), MOST);
        hosts.secured("more.example", at(31 * DAY));
        let known = Before::TlsUntold(at(31 * DAY));
        assert_eq!(hosts.in_the_clear("more.example", at(31 * DAY)), known);
        assert_eq!(hosts.lock().hosts.len(), 1);
    }
}
