//! Policies kept fresh, whether there is mail for them or not (RFC 8461 §10.2).

use super::fetch::{self, Queue};
use super::resident::{BackOff, Resident, Saved};
use super::{FetchFailure, Known, Refreshed, STORE_PATIENCE, Sign, Sts, now};
use crate::dns::LookupFailure;
use crate::mta_sts::{Mode, RecordFault, refresh_after_failure};
use crate::names::{DomainName, PolicyDomain};
use crate::policy::Published;
use crate::store::{Store, StoredPolicy};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often the store is asked what is due.
const TICK: Duration = Duration::from_secs(1);
/// Refreshes at once.
const AT_ONCE: usize = 64;
/// How often what has expired is forgotten; not at the start, when the clock may not be set yet.
const PRUNE: Duration = Duration::from_secs(60 * 60);
/// What has expired is kept for so long: the clock may be wrong.
const GRACE: u64 = 7 * 86_400;
/// Policies remembered at most; beyond it the least recently used go.
const MOST: u64 = 1_000_000;
/// For the record of a policy that is due.
const RECORD_PATIENCE: Duration = Duration::from_secs(60);
/// A refresh for which there is no place now, and a policy that is idle or cannot be read, are looked at again so much
/// later, in seconds.
const LATER: u64 = 60;
const MUCH_LATER: u64 = 86_400;

/// The domains whose refresh is under way.
#[derive(Debug, Default)]
struct UnderWay(Mutex<HashSet<String>>);

/// One of them, as long as it lives.
struct Place {
    all: Arc<UnderWay>,
    domain: String,
}

/// Whether a refresh may begin.
enum Admission {
    Admitted(Place),
    /// It is under way.
    Begun,
    /// All places are taken.
    Full,
}

/// What came of a row that was due.
enum Ended {
    /// There is nothing to tell, and nothing to put off.
    Quietly,
    Refreshed(Refreshed),
    /// It is looked at again then.
    PutOff(u64),
    /// The store would not.
    Unwritten,
}

/// What became of a row that was due.
#[derive(PartialEq, Eq)]
enum Row {
    Settled,
    /// It is still due, and will be until the store takes a write: it keeps its place for a while, so that nobody spins.
    Stuck,
}

impl UnderWay {
    fn domains(&self) -> MutexGuard<'_, HashSet<String>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(self: &Arc<Self>, domain: &str) -> Admission {
        let mut domains = self.domains();
        if domains.contains(domain) {
            return Admission::Begun;
        }
        if domains.len() >= AT_ONCE {
            return Admission::Full;
        }
        domains.insert(domain.to_owned());
        Admission::Admitted(Place {
            all: Arc::clone(self),
            domain: domain.to_owned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.domains().remove(&self.domain);
    }
}

impl Sts {
    /// Keeps policies fresh until `stop`. Without a store they are refreshed when they are used.
    pub async fn refresh_all(self, stop: CancellationToken) {
        let Some(store) = self.shared.store.clone() else {
            return;
        };
        let work = async {
            self.recount(&store).await;
            let under_way = Arc::default();
            let mut tick = interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut pruned = Instant::now();
            loop {
                tick.tick().await;
                if pruned.elapsed() >= PRUNE {
                    pruned = Instant::now();
                    self.prune(&store).await;
                }
                if self.shared.settings.load().refresh == Published::Honor {
                    self.refresh_due(&store, &under_way).await;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    async fn prune(&self, store: &Store) {
        let before = now().saturating_sub(GRACE);
        let pruned = store.prune_sts_policies(before, MOST).await;
        self.shared.observer.store(pruned.as_ref().err());
        self.recount(store).await;
    }

    async fn recount(&self, store: &Store) {
        if let Ok(count) = store.count_sts_policies().await {
            self.recounted(count);
        }
    }

    /// Begins as many refreshes as there are places. One that is slow holds its own place only.
    async fn refresh_due(&self, store: &Store, under_way: &Arc<UnderWay>) {
        // Those that are under way are still due.
        let due = store.sts_policies_due(now(), 2 * AT_ONCE).await;
        self.shared.observer.store(due.as_ref().err());
        let Ok(due) = due else {
            return;
        };
        for stored in due {
            let place = match under_way.admit(&stored.domain) {
                Admission::Admitted(place) => place,
                Admission::Begun => continue,
                Admission::Full => return,
            };
            let (sts, store) = (self.clone(), store.clone());
            self.shared.tasks.spawn(async move {
                if sts.refresh_stored(&stored, &store).await == Row::Stuck {
                    let later = sleep(Duration::from_secs(LATER));
                    tokio::select! {
                        () = later => {}
                        () = sts.shared.stop.cancelled() => {}
                    }
                }
                drop(place);
            });
        }
    }

    /// Whatever comes of it, the row is not due any more afterwards, unless the store does not take it.
    async fn refresh_stored(&self, stored: &StoredPolicy, store: &Store) -> Row {
        let later = match self.refresh_row(stored).await {
            Ended::Quietly => return Row::Settled,
            Ended::Unwritten => return Row::Stuck,
            Ended::PutOff(later) => later,
            Ended::Refreshed(result) => {
                let Ok(domain) = DomainName::from_dns(&stored.domain) else {
                    return Row::Settled;
                };
                let domain = PolicyDomain(domain);
                self.shared.observer.refreshed(&domain, result);
                if result != Refreshed::Failed {
                    return Row::Settled;
                }
                let resident = self.shared.residents.find(&domain);
                let known = resident.and_then(|resident| resident.known());
                let due = known.map_or(stored.refresh, |known| known.refresh);
                refresh_after_failure(now(), due, stored.expires, fastrand::u16(..))
            }
        };
        let postponing = store.postpone_sts_refresh(&stored.domain, later);
        match self.in_time(postponing).await {
            Ok(()) => Row::Settled,
            Err(_) => Row::Stuck,
        }
    }

    async fn refresh_row(&self, stored: &StoredPolicy) -> Ended {
        let Ok(name) = DomainName::from_dns(&stored.domain) else {
            return Ended::PutOff(stored.expires);
        };
        let Ok(resident) = self.resident(&PolicyDomain(name)).await else {
            return Ended::PutOff(now() + LATER);
        };
        let Some(known) = resident.live(now()) else {
            // Forgotten a moment ago, or written by another version, which may be back.
            return Ended::PutOff(now() + MUCH_LATER);
        };
        if known.fetched > stored.fetched {
            self.save_again(&resident).await;
            return match resident.saved() {
                Saved::Yes => Ended::Quietly,
                Saved::No => Ended::Unwritten,
            };
        }
        if known.is_idle(now()) {
            return Ended::PutOff(now() + MUCH_LATER);
        }
        self.refresh_known(&resident, &known).await
    }

    /// Fetches, whatever the record says: who can suppress the one must suppress the other as well, for as long as
    /// the policy lives.
    async fn refresh_known(&self, resident: &Arc<Resident>, known: &Known) -> Ended {
        let record = timeout(RECORD_PATIENCE, self.record(&resident.domain)).await;
        let id = match record {
            Ok(Ok(Ok(id))) => id,
            Ok(Ok(Err(RecordFault::Absent))) if known.policy.mode == Mode::None => {
                let dropped = self.drop_policy(resident, Some(known)).await;
                return match dropped {
                    Ok(_) => Ended::Quietly,
                    Err(_) => Ended::Unwritten,
                };
            }
            Ok(Ok(Err(RecordFault::Absent))) => {
                self.suspect(resident, Sign::RecordMissing);
                known.id.clone()
            }
            Ok(Ok(Err(_)) | Err(LookupFailure::Bogus(_))) => {
                self.suspect(resident, Sign::RecordInvalid);
                known.id.clone()
            }
            Ok(Err(_)) | Err(_) => known.id.clone(),
        };
        let Some(running) = self.fetch_as(resident, id, (BackOff::Heed, Queue::Leave)) else {
            return Ended::Refreshed(Refreshed::Failed);
        };
        let patience = running.since + fetch::TIMEOUT + 2 * STORE_PATIENCE;
        match running.outcome(patience).await {
            Some(Ok(new)) if new.policy == known.policy => Ended::Refreshed(Refreshed::Unchanged),
            Some(Ok(_)) => Ended::Refreshed(Refreshed::Changed),
            Some(Err(FetchFailure::TooMany | FetchFailure::Stopped)) => {
                Ended::PutOff(now() + LATER)
            }
            Some(Err(_)) | None => Ended::Refreshed(Refreshed::Failed),
        }
    }
}
