//! Fetches on their way into memory and store, and the record compared on use.

use super::fetch::{Fetch, Queue};
use super::resident::{BackOff, Begun, Errand, Out, Outcome, Resident, Running, Saved};
use super::{FetchFailure, Known, Record, STORE_PATIENCE, Sign, Sts, now};
use crate::dns::LookupFailure;
use crate::mta_sts::{Mode, PolicyId, RecordFault, refresh_after_success};
use crate::store::StoreError;
use futures_util::FutureExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

impl Sts {
    /// The fetch of a policy that a record announces: the one under way, else a new one; `None` if it failed
    /// lately.
    pub(super) fn fetch(&self, resident: &Arc<Resident>, id: PolicyId) -> Option<Running> {
        self.fetch_as(resident, id, (BackOff::Heed, Queue::Wait))
    }

    /// The same, if need be even though it failed lately, or only if there is a place at its host.
    pub(super) fn fetch_as(
        &self,
        resident: &Arc<Resident>,
        id: PolicyId,
        (back_off, queue): (BackOff, Queue),
    ) -> Option<Running> {
        let (running, sender) = match resident.begin(back_off) {
            Begun::BackingOff => return None,
            Begun::Others(running) => return Some(running),
            Begun::Mine(running, sender) => (running, sender),
        };
        let (sts, resident) = (self.clone(), Arc::clone(resident));
        self.shared.tasks.spawn(async move {
            let started = Instant::now();
            let outcome = sts.bring(&resident, id, queue).await;
            sts.tell(&resident, &outcome, started.elapsed());
            // Those who waited may have left.
            let _ = sender.send(Some(outcome));
        });
        Some(running)
    }

    /// Fetches, and remembers: on disk before anybody is told, so that a policy that was obeyed once outlives a
    /// crash.
    async fn bring(&self, resident: &Resident, id: PolicyId, queue: Queue) -> Outcome {
        let shared = &self.shared;
        let settings = shared.settings.load_full();
        let fetch = Fetch {
            dns: &shared.dns,
            gate: &shared.gate,
            settings: &settings,
            domain: &resident.domain,
            queue,
        };
        let fetched = tokio::select! {
            fetched = fetch.run() => fetched,
            () = shared.stop.cancelled() => Err(FetchFailure::Stopped),
        };
        let policy = match fetched {
            Ok(policy) => Arc::new(policy),
            Err(failure) => {
                resident.fail(&failure);
                return Err(failure);
            }
        };
        let now = now();
        let known = Arc::new(Known {
            refresh: refresh_after_success(now, &policy, fastrand::u16(..)),
            policy,
            id,
            fetched: now,
            // A refresh is no use; a first contact is one.
            used: resident.live(now).map_or(now, |known| known.used),
        });
        self.keep(resident, &known).await;
        Ok(known)
    }

    /// Puts a policy in the place of what was known.
    pub(super) async fn keep(&self, resident: &Resident, known: &Arc<Known>) {
        let _turn = resident.turn().await;
        let saved = self.save(resident, known).await;
        resident.settle(known, saved);
        self.shared.residents.weigh(resident.weight());
    }

    /// Whoever is told that a policy was fetched may count on it.
    fn tell(&self, resident: &Resident, outcome: &Outcome, elapsed: Duration) {
        let told = match outcome {
            Ok(known) => Ok(&*known.policy),
            Err(FetchFailure::Stopped) => return,
            Err(failure) => Err(failure),
        };
        let observer = &self.shared.observer;
        observer.fetched(&resident.domain, told, elapsed);
        if told.is_err_and(FetchFailure::backs_off) {
            self.suspect(resident, Sign::FetchFailed);
        }
    }

    /// Writes, in one's turn. A disk that hangs must not keep the policy from being obeyed.
    async fn save(&self, resident: &Resident, known: &Known) -> Saved {
        let Some(store) = &self.shared.store else {
            return Saved::No;
        };
        let is_new = resident.known().is_none();
        let writing = store.put_sts_policy(known.to_store(&resident.domain));
        match self.in_time(writing).await {
            Ok(()) => {
                if is_new {
                    self.count(1);
                }
                Saved::Yes
            }
            Err(_) => Saved::No,
        }
    }

    /// What the store says within its time; trouble, and its end, is told.
    pub(super) async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let late = Err(StoreError::Io("no answer in time".into()));
        let answer = timeout(STORE_PATIENCE, asked).await.unwrap_or(late);
        self.shared.observer.store(answer.as_ref().err());
        answer
    }

    /// What a policy in use asks for: that its id is compared with the record's, that it is in the store, and that
    /// its use is noted. Nobody waits for any of it.
    pub(super) fn keep_fresh(&self, resident: &Arc<Resident>, known: &Arc<Known>, now: u64) {
        // An answer that the cache has costs no task.
        match self.record(&resident.domain).now_or_never() {
            Some(record) => self.compare(resident, known, &record),
            None => {
                let (sts, known) = (self.clone(), Arc::clone(known));
                self.send_out(resident, Errand::Check, async move |out| {
                    let record = sts.record(&out.resident.domain).await;
                    sts.compare(&out.resident, &known, &record);
                });
            }
        }
        let Some(store) = self.shared.store.clone() else {
            return;
        };
        if resident.saved() == Saved::No {
            let sts = self.clone();
            self.send_out(resident, Errand::Save, async move |out| {
                sts.save_again(&out.resident).await;
            });
        }
        if resident.note_use(now) {
            let (sts, resident) = (self.clone(), Arc::clone(resident));
            self.shared.tasks.spawn(async move {
                let noting = store.sts_policy_used(resident.domain.0.as_str(), now);
                // A use that is not noted makes nothing wrong.
                let _ = sts.in_time(noting).await;
            });
        }
    }

    /// Spawns an errand, unless somebody is at it.
    fn send_out<F>(&self, resident: &Arc<Resident>, errand: Errand, work: impl FnOnce(Out) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(out) = resident.set_out(errand) {
            self.shared.tasks.spawn(work(out));
        }
    }

    /// What is known is newer than what the store has, or is not there at all.
    pub(super) async fn save_again(&self, resident: &Resident) {
        let _turn = resident.turn().await;
        if let Some(known) = resident.known()
            && self.save(resident, &known).await == Saved::Yes
        {
            resident.mark(Saved::Yes);
        }
    }

    /// RFC 8461 §3.3: another id means another policy; the same one spares a fetch until the policy is due. No
    /// record means nothing, but that a policy of mode `none` has said what it had to say.
    fn compare(&self, resident: &Arc<Resident>, known: &Arc<Known>, record: &Record) {
        // One that was idle until now has not been refreshed.
        let due = known.is_due(now()) || known.is_idle(now());
        match record {
            Ok(Ok(id)) if due || resident.is_news(id) => {
                self.fetch(resident, id.clone());
                return;
            }
            Ok(Ok(_)) => {}
            Ok(Err(RecordFault::Absent)) if known.policy.mode == Mode::None => {
                let (sts, known) = (self.clone(), Arc::clone(known));
                self.send_out(resident, Errand::Drop, async move |out| {
                    // What is wrong with the store was told.
                    let _ = sts.drop_policy(&out.resident, Some(&known)).await;
                });
                return;
            }
            Ok(Err(RecordFault::Absent)) => self.suspect(resident, Sign::RecordMissing),
            Ok(Err(_)) | Err(LookupFailure::Bogus(_)) => {
                self.suspect(resident, Sign::RecordInvalid);
            }
            // Servers that do not answer are nobody's fault in particular.
            Err(_) => {}
        }
        if due {
            self.fetch(resident, known.id.clone());
        }
    }

    /// Tells of something odd if there is a policy that it could be meant to get rid of.
    pub(super) fn suspect(&self, resident: &Resident, sign: Sign) {
        if resident.suspects(now()) {
            self.shared.observer.suspicion(&resident.domain, sign);
        }
    }

    /// Forgets a policy in memory and store, unless it is no longer the one that was judged; whether there was one.
    /// If the store would not, nothing is forgotten: the policy would be back after a restart.
    pub(super) async fn drop_policy(
        &self,
        resident: &Resident,
        judged: Option<&Known>,
    ) -> Result<bool, StoreError> {
        let _turn = resident.turn().await;
        if judged.is_some_and(|judged| !resident.is_still(judged)) {
            return Ok(false);
        }
        let there = resident.known().is_some();
        if let Some(store) = &self.shared.store {
            let forgetting = store.forget_sts_policy(resident.domain.0.as_str());
            match self.in_time(forgetting).await {
                Ok(true) => self.count(-1),
                Ok(false) => {}
                Err(error) => {
                    // The store may do it yet, when nobody waits for it any more.
                    resident.mark(Saved::No);
                    return Err(error);
                }
            }
        }
        resident.forget();
        Ok(there)
    }
}
