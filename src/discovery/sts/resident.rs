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
    /// Set once the store was asked.
    loaded: OnceCell<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<Known>>,
    running: Option<Running>,
    /// When and why the last fetch failed, if none has succeeded since.
    failed: Option<(Instant, FetchFailure)>,
    /// What is done for a policy that is known, one of each at a time.
    errands: Vec<Errand>,
    suspected: Option<Instant>,
}

/// What is done for a policy that is known while nobody waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// Its id is compared with the record's.
    Check,
    /// It is due to be fetched anew.
    Refresh,
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

    /// The fetch has ended: what it has brought is in force from now on.
    pub(super) fn settle(&self, outcome: &Outcome) {
        let mut state = self.state();
        state.running = None;
        match outcome {
            Ok(known) => {
                state.known = Some(Arc::clone(known));
                state.failed = None;
            }
            Err(failure) => state.failed = Some((Instant::now(), failure.clone())),
        }
    }

    /// Forgets the policy, and that it could not be fetched.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.known = None;
        state.failed = None;
    }

    /// Notes a use; `true` if the store is to be told, which is once a day.
    pub(super) fn note_use(&self, now: u64) -> bool {
        const COARSE: u64 = 86_400;
        let mut state = self.state();
        let Some(known) = &mut state.known else {
            return false;
        };
        if now < known.used.saturating_add(COARSE) {
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
        self.state()
            .known
            .as_ref()
            .is_none_or(|known| known.id != *id)
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
