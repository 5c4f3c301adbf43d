//! Courtesy: how many connections there are at a time, in all and to one address, and how many begin in a second.

use super::settings::Pace;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Addresses that are remembered before those without a connection are forgotten.
const MAX_ADDRESSES: usize = 4096;

/// Whom every new connection asks.
#[derive(Debug)]
pub(super) struct Gate {
    all: Arc<Semaphore>,
    per_address: usize,
    addresses: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
    interval: Option<Duration>,
    next: Mutex<Option<Instant>>,
}

/// Leave for one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    _address: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(super) fn new(pace: &Pace) -> Self {
        let rate = pace.rate.filter(|rate| *rate > 0.0);
        Self {
            all: Arc::new(Semaphore::new(pace.connections.max(1))),
            per_address: pace.per_address.max(1),
            addresses: Mutex::default(),
            interval: rate.map(|rate| Duration::from_secs_f64((1.0 / rate).min(3600.0))),
            next: Mutex::default(),
        }
    }

    /// Waits for a place at the address first, so that whoever waits there takes no place from others.
    pub(super) async fn pass(&self, ip: IpAddr) -> Pass {
        let at_address = self.address(ip);
        // Neither is ever closed.
        let address = at_address.acquire_owned().await.ok();
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        if let Some(turn) = self.turn(Instant::now()) {
            sleep_until(turn).await;
        }
        Pass {
            _address: address,
            _all: all,
        }
    }

    fn address(&self, ip: IpAddr) -> Arc<Semaphore> {
        let addresses = self.addresses.lock();
        let mut addresses = addresses.unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= MAX_ADDRESSES {
            addresses.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = addresses
            .entry(ip.to_canonical())
            .or_insert_with(|| Arc::new(Semaphore::new(self.per_address)));
        Arc::clone(places)
    }

    /// When the next connection may begin; `None`: at once.
    fn turn(&self, now: Instant) -> Option<Instant> {
        let interval = self.interval?;
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + interval);
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[tokio::test]
    async fn two_at_an_address_and_so_many_in_all() {
        let gate = Gate::new(&Pace {
            connections: 3,
            ..Pace::default()
        });
        let first = gate.pass(ip(1)).await;
        let _second = gate.pass(ip(1)).await;
        assert!(
            gate.pass(ip(1)).now_or_never().is_none(),
            "a third one there"
        );
        let _third = gate.pass(ip(2)).await;
        assert!(gate.pass(ip(3)).now_or_never().is_none(), "a fourth in all");
        drop(first);
        assert!(gate.pass(ip(1)).now_or_never().is_some());
    }

    #[test]
    fn turns_are_as_far_apart_as_the_rate_says() {
        let gate = Gate::new(&Pace {
            rate: Some(10.0),
            ..Pace::default()
        });
        let now = Instant::now();
        let turns: Vec<_> = (0..3).map(|_| gate.turn(now).unwrap() - now).collect();
        assert_eq!(turns, [0, 100, 200].map(Duration::from_millis));
        let later = now + Duration::from_secs(9);
        assert_eq!(gate.turn(later), Some(later), "what was not used is lost");
    }

    #[tokio::test]
    async fn addresses_without_a_connection_are_forgotten() {
        let gate = Gate::new(&Pace::default());
        let kept = gate.pass(ip(1)).await;
        for n in 0..2 * MAX_ADDRESSES as u32 {
            gate.address(IpAddr::from(n.to_be_bytes()));
        }
        let known = gate.addresses.lock().unwrap();
        assert!(known.len() <= MAX_ADDRESSES, "{}", known.len());
        assert!(known.contains_key(&ip(1)));
        drop(kept);
    }
}
