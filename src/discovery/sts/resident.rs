//! All that is known of one domain while somebody cares, and its one fetch at a time.

use super::{FetchFailure, Known};
use crate::mta_sts::{Mode, PolicyId};
use crate::names::PolicyDomain;
use crate::store::{Store, StoreError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, timeout_at};

/// A fetch that failed is not tried again for so long (RFC 8461 §3.3).
const BACK_OFF: Duration = Duration::from_secs(5 * 60);

/// How often the same suspicion is told.
const REMINDER: Duration = Duration::from_secs(60 * 60);

/// What a fetch came to.
pub(super) type Outcome = Result<Arc<Known>, FetchFailure>;

/// One domain.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) domain: PolicyDomain,
    /// Set once the store has answered.
    loaded: OnceCell<()>,
    state: Mutex<State>,
    /// Held by whoever changes store and memory, so that the two never say different things for good. Whoever
    /// holds it waits for the store only, and not for long.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<Known>>,
    saved: Saved,
    running: Option<Running>,
    /// When and why the last fetch failed, if none has succeeded since.
    failed: Option<(Instant, FetchFailure)>,
    /// What is done for a policy that is known, one of each at a time.
    errands: Vec<Errand>,
    suspected: Option<Instant>,
}

/// Whether what is known is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Saved {
    #[default]
    Yes,
    /// There is no store, or it would not.
    No,
}

/// What is done for a policy that is known while nobody waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// Its id is compared with the record's.
    Check,
    /// It is written once more.
    Save,
    /// It has been taken back.
    Drop,
}

/// Somebody is at an errand as long as this lives.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) resident: Arc<Resident>,
    errand: Errand,
}

impl Drop for Out {
    fn drop(&mut self) {
        let mut state = self.resident.state();
        state.errands.retain(|errand| *errand != self.errand);
    }
}

/// A fetch that is under way.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) since: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// Whether a fetch that failed lately may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BackOff {
    Heed,
    /// An administrator wants to know.
    Skip,
}

/// What [`Resident::begin`] says.
pub(super) enum Begun {
    /// The caller has to fetch, and to tell the outcome.
    Mine(Running, watch::Sender<Option<Outcome>>),
    Others(Running),
    /// It failed lately.
    BackingOff,
}

impl Running {
    /// What comes of it; `None` if it takes longer.
    pub(super) async fn outcome(&self, until: Instant) -> Option<Outcome> {
        let mut outcome = self.outcome.clone();
        let settled = timeout_at(until, outcome.wait_for(Option::is_some));
        // An error means that the fetch was given up.
        settled.await.ok()?.ok()?.clone()
    }

    fn is_over(&self) -> bool {
        self.outcome.has_changed().is_err()
    }
}

impl Resident {
    pub(super) fn new(domain: PolicyDomain) -> Self {
        Self {
            domain,
            loaded: OnceCell::new(),
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the store, once; until it has answered, everybody does.
    pub(super) async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let ask = async || {
            let stored = store.sts_policy(self.domain.0.as_str()).await?;
            if let Some(known) = stored.as_ref().and_then(Known::from_store) {
                // A fetch may have been quicker.
                self.state().known.get_or_insert(Arc::new(known));
            }
            Ok(())
        };
        self.loaded.get_or_try_init(ask).await.copied()
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.initialized()
    }

    /// Waits until nobody else changes store and memory.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The last policy that was fetched, whether it still holds or not.
    pub(super) fn known(&self) -> Option<Arc<Known>> {
        self.state().known.clone()
    }

    /// The policy that holds.
    pub(super) fn live(&self, now: u64) -> Option<Arc<Known>> {
        self.known().filter(|known| known.is_live(now))
    }

    /// Why there is none, and how long ago that was found out.
    pub(super) fn failure(&self) -> Option<(Duration, FetchFailure)> {
        let state = self.state();
        let (at, failure) = state.failed.as_ref()?;
        Some((at.elapsed(), failure.clone()))
    }

    /// Begins a fetch, or joins the one that is under way.
    pub(super) fn begin(&self, back_off: BackOff) -> Begun {
        let mut state = self.state();
        if let Some(running) = state.running.as_ref().filter(|running| !running.is_over()) {
            return Begun::Others(running.clone());
        }
        let failed_lately = state
            .failed
            .as_ref()
            .is_some_and(|(at, failure)| failure.backs_off() && at.elapsed() < BACK_OFF);
        if back_off == BackOff::Heed && failed_lately {
            return Begun::BackingOff;
        }
        let (sender, outcome) = watch::channel(None);
        let running = Running {
            since: Instant::now(),
            outcome,
        };
        state.running = Some(running.clone());
        Begun::Mine(running, sender)
    }

    /// What a fetch has brought is in force from now on. To be called in one's [`Self::turn`].
    pub(super) fn settle(&self, known: &Arc<Known>, saved: Saved) {
        let mut state = self.state();
        state.known = Some(Arc::clone(known));
        state.saved = saved;
        state.failed = None;
        state.running = None;
    }

    /// A fetch has brought nothing: what is known stays as it is.
    pub(super) fn fail(&self, failure: &FetchFailure) {
        let mut state = self.state();
        state.failed = Some((Instant::now(), failure.clone()));
        state.running = None;
    }

    /// Forgets the policy, and that it could not be fetched. To be called in one's [`Self::turn`].
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.known = None;
        state.saved = Saved::Yes;
        state.failed = None;
    }

    /// Whether this is what is known, but for when it was used.
    pub(super) fn is_still(&self, judged: &Known) -> bool {
        let state = self.state();
        let known = state.known.as_ref();
        known.is_some_and(|known| known.fetched == judged.fetched && known.id == judged.id)
    }

    /// What is known has been written, or may be gone.
    pub(super) fn mark(&self, saved: Saved) {
        self.state().saved = saved;
    }

    /// Whether what is known is in the store.
    pub(super) fn saved(&self) -> Saved {
        self.state().saved
    }

    /// Notes a use; `true` if the store is to be told, which is seldom.
    pub(super) fn note_use(&self, now: u64) -> bool {
        let mut state = self.state();
        let Some(known) = state.known.as_mut() else {
            return false;
        };
        if !known.is_newly_used(now) {
            return false;
        }
        *known = Arc::new(Known {
            used: now,
            ..(**known).clone()
        });
        true
    }

    /// Leave to do an errand, unless somebody is at it.
    pub(super) fn set_out(self: &Arc<Self>, errand: Errand) -> Option<Out> {
        let mut state = self.state();
        if state.errands.contains(&errand) {
            return None;
        }
        state.errands.push(errand);
        Some(Out {
            resident: Arc::clone(self),
            errand,
        })
    }

    /// Whether a suspicion is to be told: there is an enforced policy that somebody may want to be forgotten.
    pub(super) fn suspects(&self, now: u64) -> bool {
        let mut state = self.state();
        let enforced = state
            .known
            .as_ref()
            .is_some_and(|known| known.is_live(now) && known.policy.mode == Mode::Enforce);
        let told = state.suspected.is_some_and(|at| at.elapsed() < REMINDER);
        if enforced && !told {
            state.suspected = Some(Instant::now());
        }
        enforced && !told
    }

    /// Whether a record announces another version than the one that is known.
    pub(super) fn is_news(&self, id: &PolicyId) -> bool {
        let state = self.state();
        state.known.as_ref().is_none_or(|known| known.id != *id)
    }

    /// Whether memory is the only place that has its policy.
    pub(super) fn is_irreplaceable(&self, now: u64) -> bool {
        let state = self.state();
        let live = state.known.as_ref().is_some_and(|known| known.is_live(now));
        live && state.saved == Saved::No
    }

    /// About how many octets its policy takes.
    pub(super) fn weight(&self) -> usize {
        let state = self.state();
        state
            .known
            .as_ref()
            .map_or(0, |known| known.policy.weight())
    }
}
