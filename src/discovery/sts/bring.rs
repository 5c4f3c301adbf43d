//! Fetches on their way into memory and store, and the record compared on use.

use super::fetch::Fetch;
use super::resident::{BackOff, Begun, Errand, Outcome, Resident, Running};
use super::{FetchFailure, Known, Record, Sign, Sts, now};
use crate::dns::LookupFailure;
use crate::mta_sts::{Mode, PolicyId, RecordFault, refresh_after_success};
use crate::names::PolicyDomain;
use crate::store::StoreError;
use futures_util::FutureExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

impl Sts {
    /// The fetch of a policy that a record announces: the one under way, else a new one; `None` if it failed
    /// lately.
    pub(super) fn fetch(&self, resident: &Arc<Resident>, id: PolicyId) -> Option<Running> {
        self.fetch_even(resident, id, BackOff::Heed)
    }

    /// The same, if need be even though it failed lately.
    pub(super) fn fetch_even(
        &self,
        resident: &Arc<Resident>,
        id: PolicyId,
        back_off: BackOff,
    ) -> Option<Running> {
        let (running, sender) = match resident.begin(back_off) {
            Begun::BackingOff => return None,
            Begun::Others(running) => return Some(running),
            Begun::Mine(running, sender) => (running, sender),
        };
        let (sts, resident) = (self.clone(), Arc::clone(resident));
        self.shared.tasks.spawn(async move {
            let started = Instant::now();
            let outcome = sts.bring(&resident, id).await;
            resident.settle(&outcome);
            sts.tell(&resident.domain, &outcome, started.elapsed());
            if outcome.is_err() {
                sts.suspect(&resident, Sign::FetchFailed);
            }
            // Those who waited may have left.
            let _ = sender.send(Some(outcome));
        });
        Some(running)
    }

    /// Fetches, and remembers: on disk before anybody is told, so that a policy that was obeyed once outlives a
    /// crash.
    async fn bring(&self, resident: &Resident, id: PolicyId) -> Outcome {
        let shared = &self.shared;
        let settings = shared.settings.load_full();
        let fetch = Fetch {
            dns: &shared.dns,
            gate: &shared.gate,
            settings: &settings,
            domain: &resident.domain,
        };
        let fetched = tokio::select! {
            fetched = fetch.run() => fetched,
            () = shared.stop.cancelled() => return Err(FetchFailure::Stopped),
        };
        let policy = Arc::new(fetched?);
        let now = now();
        let known = Arc::new(Known {
            refresh: refresh_after_success(now, &policy, fastrand::u16(..)),
            policy,
            id,
            fetched: now,
            // A refresh is no use.
            used: resident.known().map_or(now, |known| known.used),
        });
        self.remember(resident, &known).await;
        Ok(known)
    }

    /// Whoever is told that a policy was fetched may count on it.
    fn tell(&self, domain: &PolicyDomain, outcome: &Outcome, elapsed: Duration) {
        let told = match outcome {
            Ok(known) => Ok(&*known.policy),
            Err(FetchFailure::Stopped) => return,
            Err(failure) => Err(failure),
        };
        self.shared.observer.fetched(domain, told, elapsed);
    }

    async fn remember(&self, resident: &Resident, known: &Known) {
        let Some(store) = &self.shared.store else {
            return;
        };
        let is_new = resident.known().is_none();
        let written = store.put_sts_policy(known.to_store(&resident.domain)).await;
        self.shared.observer.store(written.as_ref().err());
        if is_new && written.is_ok() {
            let before = self.shared.entries.fetch_add(1, Ordering::Relaxed);
            self.shared.observer.entries(before + 1);
        }
    }

    /// What a policy in use asks for: that its id is compared with the record's, and that its use is noted.
    /// Nobody waits for any of it.
    pub(super) fn keep_fresh(&self, resident: &Arc<Resident>, known: &Arc<Known>, now: u64) {
        // An answer that the cache has costs no task.
        match self.record(&resident.domain).now_or_never() {
            Some(record) => self.compare(resident, known, &record),
            None => {
                if let Some(out) = resident.set_out(Errand::Check) {
                    let (sts, known) = (self.clone(), Arc::clone(known));
                    self.shared.tasks.spawn(async move {
                        let record = sts.record(&out.resident.domain).await;
                        sts.compare(&out.resident, &known, &record);
                    });
                }
            }
        }
        if resident.note_use(now)
            && let Some(store) = self.shared.store.clone()
        {
            let resident = Arc::clone(resident);
            self.shared.tasks.spawn(async move {
                // A use that is not noted makes nothing wrong.
                let _ = store.sts_policy_used(resident.domain.0.as_str(), now).await;
            });
        }
    }

    /// RFC 8461 §3.3: another id means another policy; the same one spares a fetch and means nothing else. No
    /// record means nothing, but that a policy of mode `none` has said what it had to say.
    fn compare(&self, resident: &Arc<Resident>, known: &Known, record: &Record) {
        match record {
            Ok(Ok(id)) => {
                if resident.is_news(id) || known.is_of_the_future(now()) {
                    self.fetch(resident, id.clone());
                }
            }
            Ok(Err(RecordFault::Absent)) if known.policy.mode == Mode::None => {
                let (sts, resident) = (self.clone(), Arc::clone(resident));
                self.shared
                    .tasks
                    .spawn(async move { sts.drop_policy(&resident).await.map(drop) });
            }
            Ok(Err(RecordFault::Absent)) => self.suspect(resident, Sign::RecordMissing),
            Ok(Err(_)) | Err(LookupFailure::Bogus(_)) => {
                self.suspect(resident, Sign::RecordInvalid);
            }
            // Servers that do not answer are nobody's fault in particular.
            Err(_) => {}
        }
    }

    /// Tells of something odd if there is a policy that it could be meant to get rid of.
    pub(super) fn suspect(&self, resident: &Resident, sign: Sign) {
        if resident.suspects(now()) {
            self.shared.observer.suspicion(&resident.domain, sign);
        }
    }

    /// Forgets a policy in memory and store; whether there was one. An error: the store may still have it.
    pub(super) async fn drop_policy(&self, resident: &Resident) -> Result<bool, StoreError> {
        let there = resident.known().is_some();
        let Some(store) = &self.shared.store else {
            resident.forget();
            return Ok(there);
        };
        let forgotten = store.forget_sts_policy(resident.domain.0.as_str()).await;
        self.shared.observer.store(forgotten.as_ref().err());
        resident.forget();
        if forgotten == Ok(true) {
            self.forgotten(1);
        }
        forgotten.map(|stored| stored || there)
    }

    pub(super) fn forgotten(&self, count: u64) {
        let entries = &self.shared.entries;
        let before = entries
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |entries| {
                Some(entries.saturating_sub(count))
            })
            .unwrap_or(0);
        let left = before.saturating_sub(count);
        self.shared.observer.entries(left);
    }
}
