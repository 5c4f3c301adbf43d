//! Writes the history down: what the ledger has gathered, every few seconds and at the end.
//!
//! What cannot be written waits, within bounds, and is tried again: mail goes on all the same.

use super::program::Background;
use super::run::Context;
use crate::admin::Health;
use crate::clock;
use crate::config::HistoryConfig;
use crate::ledger::Ledger;
use crate::store::history::{HistoryLimits, MOST_AT_ONCE, Pruned, Sighting};
use crate::store::{Store, StoreError};
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// How often what is new is written; a crash forgets that much.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often what is too old or too much is forgotten.
const PRUNE_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Between two steps of it, so that it takes little of the disk.
const PRUNE_PAUSE: Duration = Duration::from_millis(50);
/// How often at most it is said that something is missing.
const TOLD_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Tries after which what the store will not have is dropped.
const TRIES: u32 = 30;

/// Gathers and writes, if there is a store and somebody wants it.
pub(super) fn start(
    config: &HistoryConfig,
    store: Option<&Store>,
    context: &Context,
    background: &Background,
) {
    let Some(store) = store.filter(|_| config.enabled) else {
        return;
    };
    context.ledger.history().keep();
    let limits = HistoryLimits {
        retention: config.retention.as_secs(),
        destinations: config.destinations,
        ..HistoryLimits::default()
    };
    let writer = Writer {
        store: store.clone(),
        health: context.health.clone(),
        ledger: context.ledger.clone(),
        limits,
        waiting: Vec::new(),
        tries: 0,
        problem: None,
        told: None,
    };
    background.spawn("history", |end| writer.run(end));
}

struct Writer {
    store: Store,
    health: Health,
    ledger: Ledger,
    limits: HistoryLimits,
    /// What was taken from the ledger and is not written.
    waiting: Vec<Sighting>,
    /// How often the next of it was tried.
    tries: u32,
    /// What was wrong the last time.
    problem: Option<StoreError>,
    /// When it was said last that something is missing.
    told: Option<Instant>,
}

/// Whether there are more destinations than there should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fullness {
    Within,
    Beyond,
}

impl Writer {
    async fn run(mut self, end: CancellationToken) {
        let mut prune_at = Instant::now();
        while !end.is_cancelled() {
            // Timed out or ended: what there is to write is the same.
            let _ = tokio::time::timeout(INTERVAL, end.cancelled()).await;
            let written = self.write().await;
            self.note(written.as_ref().err());
            let beyond = written == Ok(Fullness::Beyond);
            if (beyond || Instant::now() >= prune_at) && !end.is_cancelled() {
                prune_at = Instant::now() + PRUNE_INTERVAL;
                let pruned = self.prune(&end).await;
                self.note(pruned.as_ref().err());
            }
        }
    }

    /// Writes what waits, and then what is new.
    async fn write(&mut self) -> Result<Fullness, StoreError> {
        self.tell_dropped(0);
        let of_waiting = self.write_waiting().await?;
        self.waiting = self.ledger.history().take();
        Ok(of_waiting.max(self.write_waiting().await?))
    }

    async fn write_waiting(&mut self) -> Result<Fullness, StoreError> {
        let mut fullness = Fullness::Within;
        while !self.waiting.is_empty() {
            let at = self.waiting.len().saturating_sub(MOST_AT_ONCE);
            let some = self.waiting[at..].to_vec();
            match self.store.record_history(some, unix_now()).await {
                Ok(recorded) => {
                    self.waiting.truncate(at);
                    self.tries = 0;
                    for downgrade in &recorded.downgrades {
                        self.ledger.downgraded(downgrade);
                    }
                    if recorded.destinations > self.limits.destinations {
                        fullness = Fullness::Beyond;
                    }
                }
                Err(error) => {
                    self.failed(at, &error);
                    return Err(error);
                }
            }
        }
        Ok(fullness)
    }

    /// What was tried last was not written. It may be what the store cannot take, and then all the rest would wait for
    /// it for ever.
    fn failed(&mut self, at: usize, error: &StoreError) {
        self.tries += 1;
        if self.tries >= TRIES && may_be_theirs(error) {
            self.tries = 0;
            let dropped = self.waiting.split_off(at);
            let attempts = dropped.iter().flat_map(|seen| &seen.counts);
            self.tell_dropped(attempts.map(|count| count.count).sum());
        }
    }

    async fn prune(&self, end: &CancellationToken) -> Result<(), StoreError> {
        while self.store.prune_history(self.limits, unix_now()).await? == Pruned::More {
            let paused = tokio::time::timeout(PRUNE_PAUSE, end.cancelled());
            if paused.await.is_ok() {
                break;
            }
        }
        Ok(())
    }

    /// Says, or takes back, that it cannot be written: once for a problem.
    fn note(&mut self, problem: Option<&StoreError>) {
        if self.problem.as_ref() == problem {
            return;
        }
        if let Some(problem) = problem {
            tracing::warn!(%problem, "the history cannot be written now; it is tried again, and mail does not wait");
        }
        self.health
            .note("history", problem.map(ToString::to_string));
        self.problem = problem.cloned();
    }

    /// Counts what is missing, and says so now and then.
    fn tell_dropped(&mut self, attempts: u64) {
        let dropped = self.ledger.history_dropped(attempts);
        let lately = self.told.is_some_and(|at| at.elapsed() < TOLD_INTERVAL);
        if dropped > 0 && !lately {
            self.told = Some(Instant::now());
            tracing::warn!(
                recipients = dropped,
                "outcomes are missing in the history: it cannot be written, or more destinations came than it has room \
                 for (said once an hour)",
            );
        }
    }
}

/// Whether it may be what was to be written that the store cannot take, rather than anything.
fn may_be_theirs(error: &StoreError) -> bool {
    match error {
        StoreError::Corrupt(_) | StoreError::Other(_) => true,
        StoreError::Directory { .. }
        | StoreError::CannotOpen(_)
        | StoreError::ReadOnly(_)
        | StoreError::Locked
        | StoreError::Full
        | StoreError::Io(_)
        | StoreError::Newer { .. }
        | StoreError::InUse
        | StoreError::Closed
        | StoreError::Thread(_) => false,
    }
}

fn unix_now() -> u64 {
    let since = clock::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LogAddresses;
    use crate::store::history::{DestinationQuery, Facet, HOUR, HourCount, LastAttempt, Way};

    fn sighting(name: &str, attempts: u64) -> Sighting {
        let now = unix_now();
        let facet = Facet::folded(Way::Deferred);
        Sighting {
            name: name.into(),
            first: now,
            last: now,
            counts: vec![HourCount {
                at: now - now % HOUR,
                facet: facet.clone(),
                rule: None,
                count: attempts,
            }],
            attempt: LastAttempt { facet, rule: None },
            delivery: None,
            refusal: None,
            secured: None,
            clear: None,
        }
    }

    fn writer(store: Store, limits: HistoryLimits) -> Writer {
        Writer {
            store,
            health: Health::default(),
            ledger: Ledger::new(LogAddresses::Plain),
            limits,
            waiting: Vec::new(),
            tries: 0,
            problem: None,
            told: None,
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_waits_and_is_written_later() {
        let place = tempfile::tempdir().unwrap();
        // Where the directory should be is a file.
        let directory = place.path().join("state");
        std::fs::write(&directory, "").unwrap();
        let store = Store::open_later(&directory.join("sealpost.db")).unwrap();
        let mut writer = writer(store.clone(), HistoryLimits::default());
        let all = MOST_AT_ONCE + 1;
        writer.waiting = (0..all)
            .map(|n| sighting(&format!("{n}.example"), 2))
            .collect();
        let failed = writer.write().await;
        assert!(failed.is_err());
        writer.note(failed.as_ref().err());
        assert!(writer.health.report().text().contains("history: "));
        for _ in 0..TRIES {
            assert!(writer.write().await.is_err());
        }
        assert_eq!(
            writer.waiting.len(),
            all,
            "it waits for as long as it takes"
        );

        std::fs::remove_file(&directory).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let mut written = writer.write().await;
        while written.is_err() && Instant::now() < until {
            // The store leaves a file that could not be opened alone for a second.
            tokio::time::sleep(Duration::from_millis(50)).await;
            written = writer.write().await;
        }
        writer.note(written.as_ref().err());
        assert_eq!(written, Ok(Fullness::Within));
        assert!(!writer.health.report().text().contains("history: "));
        let size = store.history_size().await.unwrap();
        assert_eq!(size.destinations, all as u64);
        assert_eq!(writer.ledger.history_dropped(0), 0);
    }

    #[tokio::test]
    async fn what_the_store_will_never_take_is_given_up_and_counted() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(&place.path().join("sealpost.db")).unwrap();
        let mut writer = writer(store, HistoryLimits::default());
        writer.waiting = vec![sighting("a.example", 1), sighting("b.example", 2)];
        for _ in 1..TRIES {
            writer.failed(1, &StoreError::Corrupt("a row".into()));
        }
        assert_eq!(writer.waiting.len(), 2);
        writer.failed(1, &StoreError::Corrupt("a row".into()));
        assert_eq!(writer.waiting.len(), 1);
        let rendered = writer.ledger.render();
        assert!(rendered.contains("sealpost_history_dropped_total 2\n"));
        assert_eq!(writer.write().await, Ok(Fullness::Within));
    }

    #[tokio::test]
    async fn more_destinations_than_wanted_are_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(&place.path().join("sealpost.db")).unwrap();
        let limits = HistoryLimits {
            destinations: 3,
            ..HistoryLimits::default()
        };
        let mut writer = writer(store.clone(), limits);
        for (round, expected) in [(0, Fullness::Within), (1, Fullness::Beyond)] {
            let names = (0..3).map(|n| format!("{round}{n}.example"));
            writer.waiting = names.map(|name| sighting(&name, 1)).collect();
            assert_eq!(writer.write().await, Ok(expected));
        }
        let end = CancellationToken::new();
        assert_eq!(writer.prune(&end).await, Ok(()));
        let page = store.destinations_seen(DestinationQuery::default()).await;
        assert_eq!(page.unwrap().matching, 3);
    }
}
