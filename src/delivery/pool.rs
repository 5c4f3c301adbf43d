//! Connections kept for the next message, and the slots that keep us polite.
//!
//! A connection serves another message only if everything that shaped it is equal ([`PoolKey`]);
//! there is no "strong enough", so that one domain's policy never bleeds into another's. A slot is
//! held by each connection, in use or idle; who waits for one is served in turn by next hop.

use super::connection::{ClearToSend, LoopCheck};
use super::observer::Observer;
use crate::discovery::ImplicitTls;
use crate::message::TlsRequired;
use crate::names::{DomainName, MxHost};
use crate::policy::{Audit, Encryption, TlsRequirement};
use crate::tls::TlsClient;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// What two messages must have in common to share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PoolKey {
    pub address: SocketAddr,
    pub host: Option<MxHost>,
    pub implicit_tls: ImplicitTls,
    pub enforce: Arc<TlsRequirement>,
    pub audits: Arc<[Audit]>,
    /// What the channel really is: a plaintext fallback is never taken for the TLS attempt.
    pub encryption: Encryption,
    pub tls_required: TlsRequired,
    pub source: Option<IpAddr>,
    /// Our EHLO name.
    pub hostname: DomainName,
    /// Whether the host was asked for its name, so that a loop would have been seen.
    pub loops: LoopCheck,
    /// By whose roots it was judged: a message that began before a reload may connect after it.
    pub tls: TlsClient,
}

/// The bounds in force; they come with each request, since a reload may change them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub total: usize,
    pub per_address: usize,
    pub idle: Duration,
}

/// A ready connection with its slot.
#[derive(Debug)]
pub(super) struct Ready {
    pub session: ClearToSend,
    pub key: Arc<PoolKey>,
    pub slot: Slot,
    /// Messages that it has carried.
    pub uses: u32,
}

/// What an acquisition brings.
#[derive(Debug)]
pub(super) enum Grant {
    /// A connection of the same key.
    Reuse(Box<Ready>),
    /// Leave to open one.
    Open(Slot),
}

/// The pool. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    observer: Arc<dyn Observer>,
}

#[derive(Debug)]
struct State {
    lanes: HashMap<SocketAddr, Lane>,
    /// Open connections, idle ones included.
    open: usize,
    idle: usize,
    limits: Limits,
    /// Counts the times that everything began anew; connections of an earlier one are not kept.
    epoch: u64,
    /// Lanes that wait for room in all, not for room at their own address.
    starved: VecDeque<SocketAddr>,
}

/// All that concerns one address.
#[derive(Debug, Default)]
struct Lane {
    open: usize,
    /// Stands in `State::starved`.
    starved: bool,
    idle: Vec<Idle>,
    /// Next hops in the order in which they are served.
    turns: VecDeque<u64>,
    waiting: HashMap<u64, VecDeque<Waiter>>,
}

#[derive(Debug)]
struct Idle {
    ready: Ready,
    since: Instant,
}

#[derive(Debug)]
struct Waiter {
    key: Arc<PoolKey>,
    grant: oneshot::Sender<Grant>,
}

/// Leave to have one connection open to an address. Freed when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    address: SocketAddr,
    epoch: u64,
    pool: Option<Arc<Shared>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(shared) = self.pool.take() {
            shared.lock().free(self.address, &shared);
            shared.tell();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves counters that are at worst too high by one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let state = self.lock();
        self.observer
            .connections(state.open.saturating_sub(state.idle), state.idle);
    }
}

impl Pool {
    pub(super) fn new(limits: Limits, observer: Arc<dyn Observer>) -> Self {
        let state = State {
            lanes: HashMap::new(),
            open: 0,
            idle: 0,
            limits,
            epoch: 0,
            starved: VecDeque::new(),
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                observer,
            }),
        }
    }

    /// An idle connection of this key that is still quiet.
    pub(super) fn idle(&self, key: &PoolKey) -> Option<Ready> {
        loop {
            let mut ready = self.shared.lock().take_idle(key)?;
            if ready.session.is_quiet() {
                self.shared.tell();
                return Some(ready);
            }
            drop(ready); // the host has hung up or has something to say: not a message's fault
        }
    }

    /// A connection of this key or leave to open one; waits its turn among `next_hop`s.
    pub(super) async fn acquire(
        &self,
        key: &Arc<PoolKey>,
        next_hop: u64,
        limits: Limits,
        until: Instant,
    ) -> Option<Grant> {
        let (result, evicted) = {
            let mut state = self.shared.lock();
            if let Some(kept) = state.take_idle(key) {
                return Some(Grant::Reuse(Box::new(kept)));
            }
            state.acquire(key, next_hop, limits, &self.shared)
        };
        drop(evicted);
        let waiting = match result {
            Ok(slot) => {
                self.shared.tell();
                return Some(Grant::Open(slot));
            }
            Err(waiting) => waiting,
        };
        match timeout_at(until, waiting).await {
            Ok(Ok(grant)) => Some(grant),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Takes a connection back: for who waits, or to be kept for a while.
    pub(super) fn give_back(&self, ready: Ready) {
        let leftovers = self.shared.lock().give_back(ready, &self.shared);
        self.shared.tell();
        drop(leftovers);
    }

    /// Connections that have been idle for too long, to be closed by the caller.
    pub(super) fn expired(&self, now: Instant) -> Vec<Ready> {
        let expired = self.shared.lock().expired(now);
        if !expired.is_empty() {
            self.shared.tell();
        }
        expired
    }

    /// Every idle connection; those in use are not kept either when they come back.
    pub(super) fn begin_anew(&self) -> Vec<Ready> {
        let mut state = self.shared.lock();
        state.epoch += 1;
        let limit = std::mem::replace(&mut state.limits.idle, Duration::ZERO);
        let idle = state.expired(Instant::now());
        state.limits.idle = limit;
        idle
    }

    /// The same for good.
    pub(super) fn drain(&self) -> Vec<Ready> {
        let mut state = self.shared.lock();
        state.epoch += 1;
        state.limits.idle = Duration::ZERO;
        state.expired(Instant::now())
    }
}

impl State {
    fn take_idle(&mut self, key: &PoolKey) -> Option<Ready> {
        let lane = self.lanes.get_mut(&key.address)?;
        // The one used last: the others may then grow old and be closed.
        let at = lane.idle.iter().rposition(|idle| *idle.ready.key == *key)?;
        self.idle -= 1;
        Some(lane.idle.remove(at).ready)
    }

    fn acquire(
        &mut self,
        key: &Arc<PoolKey>,
        next_hop: u64,
        limits: Limits,
        shared: &Arc<Shared>,
    ) -> (Result<Slot, oneshot::Receiver<Grant>>, Vec<Ready>) {
        self.limits = limits;
        let mut evicted = Vec::new();
        let lane = self.lanes.entry(key.address).or_default();
        let nobody_waits = lane.turns.is_empty();
        if nobody_waits && lane.open >= limits.per_address && !lane.idle.is_empty() {
            evicted.push(self.evict(key.address));
        } else if nobody_waits && self.open >= limits.total && self.idle > 0 {
            let oldest = self.oldest_idle();
            evicted.extend(oldest.map(|address| self.evict(address)));
        }
        let lane = self.lanes.entry(key.address).or_default();
        if nobody_waits && lane.open < limits.per_address && self.open < limits.total {
            lane.open += 1;
            self.open += 1;
            let slot = Slot {
                address: key.address,
                epoch: self.epoch,
                pool: Some(Arc::clone(shared)),
            };
            return (Ok(slot), evicted);
        }
        let (grant, waiting) = oneshot::channel();
        let queue = lane.waiting.entry(next_hop).or_default();
        if queue.is_empty() {
            lane.turns.push_back(next_hop);
        }
        queue.push_back(Waiter {
            key: Arc::clone(key),
            grant,
        });
        if lane.open < limits.per_address && !lane.starved {
            lane.starved = true;
            self.starved.push_back(key.address);
        }
        (Err(waiting), evicted)
    }

    /// Takes an idle connection out, with its slot disarmed: the room is free at once.
    fn evict(&mut self, address: SocketAddr) -> Ready {
        let lane = self.lanes.entry(address).or_default();
        let mut ready = lane.idle.remove(0).ready;
        ready.slot.pool = None;
        lane.open -= 1;
        self.open -= 1;
        self.idle -= 1;
        self.tidy(address);
        ready
    }

    fn oldest_idle(&self) -> Option<SocketAddr> {
        let first = |lane: &Lane| lane.idle.first().map(|idle| idle.since);
        let lanes = self
            .lanes
            .iter()
            .filter_map(|(a, lane)| Some((first(lane)?, *a)));
        lanes.min().map(|(_, address)| address)
    }

    /// A slot has come free: who waits at its address stands behind those who wait for room in all.
    fn free(&mut self, address: SocketAddr, shared: &Arc<Shared>) {
        self.open = self.open.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(&address) {
            lane.open = lane.open.saturating_sub(1);
            if !lane.turns.is_empty() && !lane.starved {
                lane.starved = true;
                self.starved.push_back(address);
            }
        }
        let mut turns = self.starved.len();
        while turns > 0 && self.open < self.limits.total {
            turns -= 1;
            let Some(next) = self.starved.pop_front() else {
                break;
            };
            self.serve(next, shared);
            let Some(lane) = self.lanes.get_mut(&next) else {
                continue;
            };
            lane.starved = !lane.turns.is_empty() && lane.open < self.limits.per_address;
            if lane.starved {
                self.starved.push_back(next);
            }
            self.tidy(next);
        }
        self.tidy(address);
    }

    /// Forgets an address that nobody uses or wants.
    fn tidy(&mut self, address: SocketAddr) {
        let unused = |l: &Lane| l.open == 0 && l.turns.is_empty() && !l.starved;
        if self.lanes.get(&address).is_some_and(unused) {
            self.lanes.remove(&address);
        }
    }

    /// Lets those who wait at an address open connections, as far as there is room.
    fn serve(&mut self, address: SocketAddr, shared: &Arc<Shared>) {
        let (total, per_address) = (self.limits.total, self.limits.per_address);
        let Some(lane) = self.lanes.get_mut(&address) else {
            return;
        };
        while self.open < total && lane.open < per_address {
            let Some(waiter) = lane.next_waiter() else {
                return;
            };
            let slot = Slot {
                address,
                epoch: self.epoch,
                pool: Some(Arc::clone(shared)),
            };
            match waiter.grant.send(Grant::Open(slot)) {
                Ok(()) => {
                    lane.open += 1;
                    self.open += 1;
                }
                Err(Grant::Open(mut slot)) => slot.pool = None, // it has given up
                Err(Grant::Reuse(_)) => {}
            }
        }
    }

    fn give_back(&mut self, mut ready: Ready, shared: &Arc<Shared>) -> Vec<Ready> {
        if ready.slot.epoch != self.epoch {
            return vec![ready]; // dropping it frees its slot
        }
        let address = ready.key.address;
        let lane = self.lanes.entry(address).or_default();
        while let Some(waiter) = lane.next_waiter() {
            if waiter.key != ready.key {
                // Its room goes to a connection of another kind.
                let slot = Slot {
                    address,
                    epoch: self.epoch,
                    pool: Some(Arc::clone(shared)),
                };
                match waiter.grant.send(Grant::Open(slot)) {
                    Ok(()) => {
                        ready.slot.pool = None;
                        return vec![ready];
                    }
                    Err(Grant::Open(mut slot)) => slot.pool = None,
                    Err(Grant::Reuse(_)) => {}
                }
                continue;
            }
            match waiter.grant.send(Grant::Reuse(Box::new(ready))) {
                Ok(()) => return Vec::new(),
                Err(Grant::Reuse(back)) => ready = *back,
                Err(Grant::Open(_)) => return Vec::new(), // cannot be: we sent the other kind
            }
        }
        if !self.starved.is_empty() && self.open >= self.limits.total {
            return vec![ready]; // others wait for room in all: dropping it frees its slot
        }
        lane.idle.push(Idle {
            ready,
            since: Instant::now(),
        });
        self.idle += 1;
        Vec::new()
    }

    fn expired(&mut self, now: Instant) -> Vec<Ready> {
        let limit = self.limits.idle;
        let mut expired = Vec::new();
        for lane in self.lanes.values_mut() {
            let old = |idle: &mut Idle| now.duration_since(idle.since) >= limit;
            expired.extend(lane.idle.extract_if(.., old).map(|idle| idle.ready));
        }
        self.idle -= expired.len();
        expired
    }
}

impl Lane {
    /// The next who still waits, one next hop after the other.
    fn next_waiter(&mut self) -> Option<Waiter> {
        while let Some(hop) = self.turns.pop_front() {
            let Some(queue) = self.waiting.get_mut(&hop) else {
                continue;
            };
            let waiter = loop {
                match queue.pop_front() {
                    Some(waiter) if waiter.grant.is_closed() => {}
                    other => break other,
                }
            };
            if queue.is_empty() {
                self.waiting.remove(&hop);
            } else {
                self.turns.push_back(hop);
            }
            if waiter.is_some() {
                return waiter;
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
