//! What is due when, by destination: the small part of the queue that is kept in memory.
//!
//! A destination is what is scheduled together. However much waits for it, it takes one entry here, a bounded
//! number of workers, and none at all while it answers nobody: so one that is dead or slow delays no other. Where
//! more destinations are due than there are workers, those with mail that has just come take turns with those that
//! have waited: however long the backlog is, it delays new mail little.

use crate::store::queue::Millis;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Workers of a destination that nothing is known of; as Postfix's `initial_destination_concurrency`.
const FIRST_WORKERS: usize = 5;

/// How much may be attempted at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    pub total: usize,
    pub per_destination: usize,
}

/// The handle on the schedule. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Schedule {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    concurrency: Concurrency,
    destinations: HashMap<Arc<str>, Destination>,
    waiting: Waiting,
    active: usize,
}

/// Who waits for a worker, by when: exactly the destinations that [`Destination::wake`] names.
#[derive(Debug, Default)]
struct Waiting {
    arrivals: BTreeSet<(Millis, Arc<str>)>,
    backlog: BTreeSet<(Millis, Arc<str>)>,
    /// Whose turn it was last.
    last: Lane,
}

/// What waits at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Lane {
    /// Something that has just come.
    Arrivals,
    #[default]
    Backlog,
}

/// What is known of a destination.
#[derive(Debug, Default)]
struct Destination {
    /// When something is due; `None`: nothing that no worker sees to.
    due: Option<Millis>,
    lane: Lane,
    active: usize,
    /// How many workers it may have; grows while mail arrives.
    workers: usize,
    /// Attempts in a row that have reached nobody.
    failures: u32,
    suspension: Option<Suspension>,
}

/// A destination that answers nobody now: none of its mail is attempted before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    pub until: Millis,
    /// Code, enhanced code and text of the last attempt.
    pub reply: String,
}

/// What an attempt says of its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A host was reached.
    Answer,
    /// None was.
    Silence { reply: String },
    /// Neither.
    Nothing,
}

/// What follows for who else waits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It answers again: who failed for want of a host need not wait.
    Recovered,
    None,
}

/// Whether a worker has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Due,
    Nothing,
}

impl Destination {
    fn room(&self) -> bool {
        self.active < self.workers
    }

    /// When a worker is wanted, if there may be another, and for what.
    fn wake(&self) -> Option<(Lane, Millis)> {
        let due = self.due.filter(|_| self.room())?;
        let until = self.suspension.as_ref().map_or(0, |s| s.until);
        Some((self.lane, due.max(until)))
    }

    fn due(&mut self, at: Millis) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// A worker sees to what is due by now, if anything is.
    fn claim(&mut self, now: Millis) -> Claim {
        if self.due.take_if(|due| *due <= now).is_none() {
            return Claim::Nothing;
        }
        self.lane = Lane::Backlog;
        Claim::Due
    }

    /// One more worker.
    fn begin(&mut self, now: Millis) {
        self.active += 1;
        self.end_suspension(now);
    }

    /// A suspension that is over has done its work: who comes next finds out how the destination is now.
    fn end_suspension(&mut self, now: Millis) {
        self.suspension
            .take_if(|suspension| suspension.until <= now);
    }

    fn is_idle(&self) -> bool {
        self.due.is_none() && self.active == 0
    }
}

impl Waiting {
    fn of(&mut self, lane: Lane) -> &mut BTreeSet<(Millis, Arc<str>)> {
        match lane {
            Lane::Arrivals => &mut self.arrivals,
            Lane::Backlog => &mut self.backlog,
        }
    }

    /// Whose turn is next, and when.
    fn next(&self, now: Millis) -> Option<(Lane, &(Millis, Arc<str>))> {
        let arrival = self.arrivals.first().map(|first| (Lane::Arrivals, first));
        let waited = self.backlog.first().map(|first| (Lane::Backlog, first));
        let both_due = [arrival, waited]
            .iter()
            .all(|next| next.is_some_and(|(_, (wake, _))| *wake <= now));
        let mut next = [arrival, waited].into_iter().flatten();
        match both_due {
            true => next.find(|(lane, _)| *lane != self.last),
            false => next.min_by_key(|(_, first)| *first),
        }
    }
}

impl State {
    /// Changes a destination, and keeps what follows from it in step.
    fn with<T>(&mut self, name: &str, change: impl FnOnce(&mut Destination) -> T) -> T {
        let (name, mut destination) = self.destinations.remove_entry(name).unwrap_or_else(|| {
            let new = Destination {
                workers: FIRST_WORKERS.min(self.concurrency.per_destination),
                ..Destination::default()
            };
            (name.into(), new)
        });
        if let Some((lane, wake)) = destination.wake() {
            self.waiting.of(lane).remove(&(wake, Arc::clone(&name)));
        }
        let answer = change(&mut destination);
        if let Some((lane, wake)) = destination.wake() {
            self.waiting.of(lane).insert((wake, Arc::clone(&name)));
        }
        if !destination.is_idle() {
            self.destinations.insert(name, destination);
        }
        answer
    }
}

impl Schedule {
    pub fn new(concurrency: Concurrency) -> Self {
        let state = State {
            concurrency,
            destinations: HashMap::new(),
            waiting: Waiting::default(),
            active: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            changed: Arc::default(),
        }
    }

    /// What holds from now on; workers that are too many end by themselves.
    pub fn limit(&self, concurrency: Concurrency) {
        self.lock().concurrency = concurrency;
        self.changed.notify_one();
    }

    /// Something at a destination is due then.
    pub fn due(&self, destination: &str, at: Millis) {
        self.lock().with(destination, |known| known.due(at));
        self.changed.notify_one();
    }

    /// Something has come for a destination just now, and waits for a worker.
    pub fn arrived(&self, destination: &str, now: Millis) {
        self.lock().with(destination, |known| {
            known.due(now);
            known.lane = Lane::Arrivals;
        });
        self.changed.notify_one();
    }

    /// The destination may be tried at once, whatever it did before.
    pub fn resume(&self, destination: &str) {
        let mut state = self.lock();
        if state.destinations.contains_key(destination) {
            state.with(destination, |destination| {
                destination.suspension = None;
                destination.failures = 0;
                destination.workers = destination.workers.max(1);
            });
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Why nothing is sent there now, if so.
    pub fn suspension(&self, destination: &str) -> Option<Suspension> {
        let state = self.lock();
        state.destinations.get(destination)?.suspension.clone()
    }

    /// A worker for what comes to a destination now, unless that has to wait.
    pub fn begin_at_once(&self, destination: &str, now: Millis) -> Option<Slot> {
        let mut state = self.lock();
        if state.active >= state.concurrency.total {
            return None;
        }
        let begun = state.with(destination, |destination| {
            let suspended = destination.suspension.as_ref();
            let free = destination.room() && suspended.is_none_or(|s| s.until <= now);
            if free {
                destination.begin(now);
            }
            free
        });
        if !begun {
            return None;
        }
        state.active += 1;
        Some(self.slot(destination.into()))
    }

    /// A worker for the destination whose turn it is, if one is due, which it sees to; else when one will be.
    pub fn begin(&self, now: Millis) -> Result<Slot, Option<Millis>> {
        let mut state = self.lock();
        if state.active >= state.concurrency.total {
            return Err(None); // until a worker ends
        }
        let Some((lane, (wake, name))) = state.waiting.next(now) else {
            return Err(None);
        };
        if *wake > now {
            return Err(Some(*wake));
        }
        let name = Arc::clone(name);
        state.waiting.last = lane;
        state.with(&name, |destination| {
            destination.begin(now);
            destination.claim(now);
        });
        state.active += 1;
        Ok(self.slot(name))
    }

    /// Resolves when `begin` may say something else.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Workers at work.
    pub fn active(&self) -> usize {
        self.lock().active
    }

    fn slot(&self, destination: Arc<str>) -> Slot {
        Slot {
            schedule: self.clone(),
            destination,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic between the changes of a state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's place, given back when it is dropped.
#[derive(Debug)]
pub struct Slot {
    schedule: Schedule,
    destination: Arc<str>,
}

impl Slot {
    pub fn destination(&self) -> &Arc<str> {
        &self.destination
    }

    /// How much a worker may take up at once: a single message where nobody may answer.
    pub fn batch(&self, most: u32) -> u32 {
        let state = self.schedule.lock();
        let failing = |destination: &Destination| destination.failures > 0;
        match state
            .destinations
            .get(&self.destination)
            .is_some_and(failing)
        {
            true => 1,
            false => most,
        }
    }

    /// Whether something is due that no worker sees to: then this one does.
    pub fn claim(&self, now: Millis) -> Claim {
        let mut state = self.schedule.lock();
        state.with(&self.destination, |destination| destination.claim(now))
    }

    /// Whether the worker may take up more: not while its destination is suspended, has too many workers, or
    /// others have waited longer for one than this destination's mail.
    pub fn may_go_on(&self, now: Millis) -> bool {
        let mut state = self.schedule.lock();
        let free = state.with(&self.destination, |destination| {
            destination.end_suspension(now);
            destination.suspension.is_none() && destination.active <= destination.workers
        });
        let crowded = state.active >= state.concurrency.total
            && state
                .waiting
                .next(now)
                .is_some_and(|(_, (wake, _))| *wake <= now);
        free && !crowded
    }

    /// An attempt has come to its end. `retry_at` is when a destination that fails so often in a row may be tried
    /// again.
    pub fn heard(&self, heard: Heard, retry_at: impl FnOnce(u32) -> Millis) -> Turn {
        let mut state = self.schedule.lock();
        let most = state.concurrency.per_destination;
        let turn = state.with(&self.destination, |destination| match heard {
            Heard::Answer => {
                let turn = match destination.failures {
                    0 => Turn::None,
                    _ => Turn::Recovered,
                };
                destination.failures = 0;
                destination.suspension = None;
                destination.workers = (destination.workers + 1).min(most);
                turn
            }
            Heard::Silence { reply } => {
                // Attempts that were under way together have failed once.
                if destination.suspension.is_none() {
                    destination.failures = destination.failures.saturating_add(1);
                }
                let until = retry_at(destination.failures);
                destination.suspension = Some(Suspension { until, reply });
                destination.workers = 1;
                Turn::None
            }
            Heard::Nothing => Turn::None,
        });
        drop(state);
        self.schedule.changed.notify_one();
        turn
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.schedule.lock();
        state.active = state.active.saturating_sub(1);
        state.with(&self.destination, |destination| {
            destination.active = destination.active.saturating_sub(1);
        });
        drop(state);
        self.schedule.changed.notify_one();
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
