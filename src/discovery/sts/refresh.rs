//! Policies kept fresh, whether there is mail for them or not (RFC 8461 §10.2), and what an administrator asks of
//! them.

use super::resident::{BackOff, Errand, Resident};
use super::{FetchFailure, Known, Record, Refreshed, Sign, Sts, now};
use crate::dns::LookupFailure;
use crate::mta_sts::{Mode, RecordFault, refresh_after_failure};
use crate::names::PolicyDomain;
use crate::store::{Store, StoreError, StoredPolicy};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// How often the store is asked what is due.
const TICK: Duration = Duration::from_secs(1);
/// Refreshes at once.
const AT_ONCE: usize = 64;
/// Policies whose domains had no mail for so long are not refreshed any more: they expire.
const UNUSED: u64 = 30 * 86_400;
/// How often what has expired is forgotten.
const PRUNE: Duration = Duration::from_secs(60 * 60);
/// Policies remembered at most; beyond it the least recently used go.
const MOST: u64 = 1_000_000;
/// For the record of a policy that is due.
const RECORD_PATIENCE: Duration = Duration::from_secs(60);

/// What is known of a domain's policy, for people.
#[derive(Debug, Clone)]
pub struct Shown {
    pub known: Option<Arc<Known>>,
    /// Why the last fetch failed, and how long ago, if none has succeeded since.
    pub failure: Option<(Duration, FetchFailure)>,
}

/// What came of looking a domain's policy up anew.
#[derive(Debug, Clone)]
pub struct Looked {
    pub record: Record,
    /// `None`: no record announces a policy.
    pub fetched: Option<Result<Arc<Known>, FetchFailure>>,
}

impl Sts {
    /// Keeps policies fresh until `stop`.
    pub async fn refresh_all(self, stop: CancellationToken) {
        let Some(store) = self.shared.store.clone() else {
            return;
        };
        if let Ok(count) = store.count_sts_policies().await {
            self.shared.entries.store(count, Ordering::Relaxed);
            self.shared.observer.entries(count);
        }
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pruned: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if pruned.is_none_or(|at| at.elapsed() >= PRUNE) {
                pruned = Some(Instant::now());
                self.prune(&store).await;
            }
            self.refresh_due(&store, &places).await;
        }
    }

    async fn prune(&self, store: &Store) {
        match store.prune_sts_policies(now(), MOST).await {
            Ok(0) => {}
            Ok(gone) => self.forgotten(gone),
            Err(error) => self.shared.observer.store(Some(&error)),
        }
    }

    /// Begins as many refreshes as there are places. One that is slow holds its own place only.
    async fn refresh_due(&self, store: &Store, places: &Arc<Semaphore>) {
        let now = now();
        // Those that are under way are still due.
        let due = store
            .sts_policies_due(now, now.saturating_sub(UNUSED), 2 * AT_ONCE)
            .await;
        let due = match due {
            Ok(due) => due,
            Err(error) => return self.shared.observer.store(Some(&error)),
        };
        for stored in due {
            let Ok(place) = Arc::clone(places).try_acquire_owned() else {
                return;
            };
            let (sts, store) = (self.clone(), store.clone());
            self.shared.tasks.spawn(async move {
                sts.refresh_stored(&stored, &store).await;
                drop(place);
            });
        }
    }

    async fn refresh_stored(&self, stored: &StoredPolicy, store: &Store) {
        let Ok(name) = crate::names::DomainName::from_dns(&stored.domain) else {
            return;
        };
        let resident = self.resident(&PolicyDomain(name)).await;
        let Some(_out) = resident.set_out(Errand::Refresh) else {
            return;
        };
        if resident.known().is_none() {
            // Of another version of Sealpost, or forgotten a moment ago.
            let forgotten = store.forget_sts_policy(&stored.domain).await;
            self.shared.observer.store(forgotten.as_ref().err());
            return;
        }
        let refreshed = self.refresh_one(&resident).await;
        let Some(result) = refreshed else {
            return;
        };
        self.shared.observer.refreshed(&resident.domain, result);
        if result == Refreshed::Failed {
            let due = resident
                .known()
                .map_or(stored.refresh, |known| known.refresh);
            let next = refresh_after_failure(now(), due, stored.expires, fastrand::u16(..));
            let written = store.postpone_sts_refresh(&stored.domain, next).await;
            self.shared.observer.store(written.as_ref().err());
        }
    }

    /// `None`: nothing was due any more, or the policy was forgotten.
    async fn refresh_one(&self, resident: &Arc<Resident>) -> Option<Refreshed> {
        let known = resident
            .live(now())
            .filter(|known| known.refresh <= now())?;
        let record = timeout(RECORD_PATIENCE, self.record(&resident.domain)).await;
        let id = match record {
            Ok(Ok(Ok(id))) => id,
            Ok(Ok(Err(RecordFault::Absent))) if known.policy.mode == Mode::None => {
                // What is wrong with the store was told.
                let _ = self.drop_policy(resident).await;
                return None;
            }
            // The domain says that it has no policy, or somebody in its name: the one that is known holds on, and
            // is not fetched anew.
            Ok(Ok(Err(RecordFault::Absent))) => {
                self.suspect(resident, Sign::RecordMissing);
                return Some(Refreshed::Failed);
            }
            Ok(Ok(Err(_)) | Err(LookupFailure::Bogus(_))) => {
                self.suspect(resident, Sign::RecordInvalid);
                return Some(Refreshed::Failed);
            }
            Ok(Err(_)) | Err(_) => return Some(Refreshed::Failed),
        };
        let Some(running) = self.fetch(resident, id) else {
            return Some(Refreshed::Failed);
        };
        let patience = running.since + super::fetch::TIMEOUT + super::STORE_PATIENCE;
        Some(match running.outcome(patience).await {
            Some(Ok(new)) if new.policy == known.policy => Refreshed::Unchanged,
            Some(Ok(_)) => Refreshed::Changed,
            Some(Err(_)) | None => Refreshed::Failed,
        })
    }

    /// What is remembered, in order of domain, after this one.
    pub async fn list(&self, after: &str, most: usize) -> Result<Vec<StoredPolicy>, StoreError> {
        match &self.shared.store {
            Some(store) => store.sts_policies(after, most).await,
            None => Err(StoreError::Closed),
        }
    }

    /// What is known of a domain's policy; asks nobody.
    pub async fn show(&self, domain: &PolicyDomain) -> Shown {
        let resident = self.resident(domain).await;
        Shown {
            known: resident.known(),
            failure: resident.failure(),
        }
    }

    /// Looks the record up and fetches the policy, even if that failed lately. What it brings is in force.
    pub async fn refresh(&self, domain: &PolicyDomain) -> Looked {
        let resident = self.resident(domain).await;
        let record = self.record(domain).await;
        let Ok(Ok(id)) = &record else {
            return Looked {
                record,
                fetched: None,
            };
        };
        let running = self.fetch_even(&resident, id.clone(), BackOff::Skip);
        let stopped = || Err(FetchFailure::Stopped);
        let fetched = match running {
            None => stopped(),
            Some(running) => {
                let patience = running.since + super::fetch::TIMEOUT + super::STORE_PATIENCE;
                running.outcome(patience).await.unwrap_or_else(stopped)
            }
        };
        Looked {
            record,
            fetched: Some(fetched),
        }
    }

    /// Forgets a domain's policy; whether there was one. An error: it may be back after a restart.
    pub async fn forget(&self, domain: &PolicyDomain) -> Result<bool, StoreError> {
        let resident = self.resident(domain).await;
        self.drop_policy(&resident).await
    }
}
