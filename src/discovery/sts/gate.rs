//! How many fetches there may be at once, and how many may wait: in all, and at one policy host, so that one that is
//! slow does not take the places of all others.

use super::FetchFailure;
use super::fetch::Queue;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Sockets to policy hosts.
const MOST: usize = 256;
/// At one host; those that serve many domains are quick.
const MOST_PER_HOST: usize = 8;
/// Lookups of their addresses.
const MOST_LOOKUPS: usize = 64;
/// Fetches that may wait, tasks of a few kilobytes each.
const MOST_WAITING: usize = 10_000;
/// At one host: whoever is behind so many would hardly have a place while mail still waits for it.
const MOST_WAITING_PER_HOST: usize = 1_000;

/// The gate.
#[derive(Debug)]
pub(super) struct Gate {
    all: Arc<Semaphore>,
    /// Those that fetch included.
    waiting: Arc<Semaphore>,
    hosts: Mutex<HashMap<IpAddr, Host>>,
    /// For the addresses of policy hosts: mail's own questions must not wait behind those.
    lookups: Semaphore,
}

/// The places at one host, for fetches and for those that wait.
#[derive(Debug, Clone)]
struct Host {
    fetching: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// Leave to wait; dropped, others may.
#[derive(Debug)]
pub(super) struct Ticket {
    _waiting: OwnedSemaphorePermit,
}

/// Leave to connect to a host.
#[derive(Debug)]
pub(super) struct Pass {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST)),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            hosts: Mutex::default(),
            lookups: Semaphore::new(MOST_LOOKUPS),
        }
    }
}

impl Gate {
    pub(super) fn ticket(&self) -> Result<Ticket, FetchFailure> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned();
        let waiting = waiting.map_err(|_| FetchFailure::TooMany)?;
        Ok(Ticket { _waiting: waiting })
    }

    /// Leave to look addresses up; `None`: there is none now, for who does not wait.
    pub(super) async fn lookup(&self, queue: Queue) -> Option<SemaphorePermit<'_>> {
        match queue {
            Queue::Leave => self.lookups.try_acquire().ok(),
            // It is never closed.
            Queue::Wait => self.lookups.acquire().await.ok(),
        }
    }

    /// Waits for a place at this address, and then for one in all; `None` if too many wait already, or if there is
    /// none free for who does not wait.
    pub(super) async fn pass(&self, address: IpAddr, queue: Queue) -> Option<Pass> {
        let host = self.host(address);
        let all = Arc::clone(&self.all);
        // None of these semaphores is ever closed.
        let (host, all) = match queue {
            Queue::Leave => (
                host.fetching.try_acquire_owned().ok()?,
                all.try_acquire_owned().ok()?,
            ),
            Queue::Wait => {
                let _waiting = host.waiting.try_acquire_owned().ok()?;
                let host = host.fetching.acquire_owned().await.ok()?;
                (host, all.acquire_owned().await.ok()?)
            }
        };
        Some(Pass {
            _host: host,
            _all: all,
        })
    }

    fn host(&self, address: IpAddr) -> Host {
        let mut hosts = self.hosts();
        if hosts.len() >= MOST_WAITING {
            hosts.retain(|_, host| host.is_in_use());
        }
        hosts.entry(site(address)).or_default().clone()
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<IpAddr, Host>> {
        // Nothing can panic while it is held.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self {
            fetching: Arc::new(Semaphore::new(MOST_PER_HOST)),
            waiting: Arc::new(Semaphore::new(MOST_WAITING_PER_HOST)),
        }
    }
}

impl Host {
    /// One that nobody uses or waits for is as good as a new one.
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.fetching) > 1 || Arc::strong_count(&self.waiting) > 1
    }
}

/// A whole /64 of IPv6 is one host's; neighbours in IPv4 are often strangers to each other.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}
