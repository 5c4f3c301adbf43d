//! How many fetches there may be at once: in all, and at one policy host, so that one that is slow does not take
//! the places of all others.

use super::FetchFailure;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sockets to policy hosts.
const MOST: usize = 256;
/// At one host; those that serve many domains are quick.
const MOST_PER_HOST: usize = 8;
/// Fetches that may wait, tasks of a few kilobytes each.
const MOST_WAITING: usize = 10_000;

/// The gate.
#[derive(Debug)]
pub(super) struct Gate {
    all: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    hosts: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
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
        }
    }
}

impl Gate {
    pub(super) fn ticket(&self) -> Result<Ticket, FetchFailure> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned();
        let waiting = waiting.map_err(|_| FetchFailure::TooMany)?;
        Ok(Ticket { _waiting: waiting })
    }

    /// Waits for a place at this address, and then for one in all.
    pub(super) async fn pass(&self, address: IpAddr) -> Result<Pass, FetchFailure> {
        let host = self.host(address);
        // Neither semaphore is ever closed.
        let host = host.acquire_owned().await;
        let host = host.map_err(|_| FetchFailure::TooMany)?;
        let all = Arc::clone(&self.all).acquire_owned().await;
        let all = all.map_err(|_| FetchFailure::TooMany)?;
        Ok(Pass {
            _host: host,
            _all: all,
        })
    }

    fn host(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut hosts = self.hosts();
        // Those that nobody uses or waits for are as good as new ones.
        if hosts.len() >= MOST_WAITING {
            hosts.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = || Arc::new(Semaphore::new(MOST_PER_HOST));
        Arc::clone(hosts.entry(site(address)).or_insert_with(places))
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<IpAddr, Arc<Semaphore>>> {
        // Nothing can panic while it is held.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A whole /64 of IPv6 is one host's.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}
