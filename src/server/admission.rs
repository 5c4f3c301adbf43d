//! How many sessions there are, and whether one more may begin.

use super::session::{Client, Standing};
use super::settings::ServerSettings;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Sessions of clients that may do nothing: they have their own account, so that they cannot take
/// the place of those that may.
const MAX_STRANGERS: usize = 50;

/// Clients that are being told to go, and still listened to, at the same time.
const MAX_REFUSALS: usize = 50;

/// Counts the sessions of all listeners.
#[derive(Debug, Default)]
pub(super) struct Admission {
    counts: Mutex<Counts>,
    freed: Notify,
    refusals: Refusals,
}

#[derive(Debug)]
struct Refusals(Arc<Semaphore>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_REFUSALS)))
    }
}

#[derive(Debug, Default)]
struct Counts {
    allowed: usize,
    strangers: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Whether there is room for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    Full,
}

/// A session's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    client: Client,
}

impl Admission {
    pub(super) fn room(&self, max_sessions: usize) -> Room {
        match self.counts().allowed < max_sessions {
            true => Room::Free,
            false => Room::Full,
        }
    }

    /// Waits until there is room, at most `patience`.
    pub(super) async fn wait_for_room(&self, max_sessions: usize, patience: Duration) -> Room {
        let freed = async {
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                freed.as_mut().enable();
                if self.room(max_sessions) == Room::Free {
                    return;
                }
                freed.await;
            }
        };
        match timeout(patience, freed).await {
            Ok(()) => Room::Free,
            Err(_) => self.room(max_sessions),
        }
    }

    /// Returns when a session has ended.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Leave to take the time that a refusal needs to be heard.
    pub(super) fn refusal(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.refusals.0).try_acquire_owned().ok()
    }

    /// A place for a client; `None` if it is one too many.
    pub(super) fn admit(
        self: &Arc<Self>,
        client: Client,
        settings: &ServerSettings,
    ) -> Option<Place> {
        let mut counts = self.counts();
        match client.standing {
            Standing::Stranger if counts.strangers >= MAX_STRANGERS => return None,
            Standing::Stranger => counts.strangers += 1,
            Standing::Allowed if counts.allowed >= settings.max_sessions => return None,
            Standing::Allowed => {
                if let Some(address) = client.address {
                    let limit = settings.max_sessions_per_client;
                    let count = counts.by_address.entry(address).or_default();
                    if limit > 0 && *count >= limit {
                        return None;
                    }
                    *count += 1;
                }
                counts.allowed += 1;
            }
        }
        Some(Place {
            admission: Arc::clone(self),
            client,
        })
    }

    /// No code panics with the lock held; if it did, the numbers would still be the best there are.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        match self.client.standing {
            Standing::Stranger => counts.strangers -= 1,
            Standing::Allowed => {
                counts.allowed -= 1;
                if let Some(address) = self.client.address {
                    let left = counts.by_address.get(&address).copied().unwrap_or(0);
                    if left > 1 {
                        counts.by_address.insert(address, left - 1);
                    } else {
                        counts.by_address.remove(&address);
                    }
                }
            }
        }
        drop(counts);
        self.admission.freed.notify_waiters();
    }
}

/// Who a client is by `client.networks`. An IPv4 address is one however it came; a unix socket is
/// trusted by its file's permissions.
pub(super) fn client(address: Option<IpAddr>, settings: &ServerSettings) -> Client {
    let address = address.map(|ip| ip.to_canonical());
    let allowed = |ip: IpAddr| {
        settings
            .networks
            .iter()
            .any(|network| network.contains(&ip))
    };
    let standing = match address.is_none_or(allowed) {
        true => Standing::Allowed,
        false => Standing::Stranger,
    };
    Client { address, standing }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    #[test]
    fn networks_decide_and_mapped_addresses_are_ipv4() {
        let settings = ServerSettings {
            networks: vec!["192.0.2.0/24".parse().unwrap(), "::1/128".parse().unwrap()],
            ..settings()
        };
        for (address, standing) in [
            (Some("192.0.2.9"), Standing::Allowed),
            (Some("::ffff:192.0.2.9"), Standing::Allowed),
            (Some("::1"), Standing::Allowed),
            (Some("192.0.3.1"), Standing::Stranger),
            (Some("2001:db8::1"), Standing::Stranger),
            (Some("127.0.0.1"), Standing::Stranger),
            (None, Standing::Allowed),
        ] {
            let ip = address.map(|a| a.parse().unwrap());
            assert_eq!(client(ip, &settings).standing, standing, "{address:?}");
        }
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let admission = Arc::new(Admission::default());
        let settings = ServerSettings {
            max_sessions: 3,
            max_sessions_per_client: 2,
            ..settings()
        };
        let admit =
            |ip: &str| admission.admit(client(Some(ip.parse().unwrap()), &settings), &settings);
        let first = admit("127.0.0.1");
        let _second = admit("127.0.0.1");
        assert!(admit("127.0.0.1").is_none(), "two of one client");
        let _third = admit("127.0.0.2").unwrap();
        assert_eq!(admission.room(3), Room::Full);
        assert!(admit("127.0.0.3").is_none(), "three in all");
        let strangers: Vec<_> = (0..60).filter_map(|_| admit("192.0.2.1")).collect();
        assert_eq!(strangers.len(), MAX_STRANGERS);
        drop(first);
        assert!(admit("127.0.0.3").is_some());
        assert!(admit("127.0.0.1").is_some());
    }
}
