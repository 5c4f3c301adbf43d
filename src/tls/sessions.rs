//! Sessions kept for resumption, under name and address of the server.
//!
//! rustls keeps eight TLS 1.3 tickets per server name; fifty connections that reopen together need more,
//! and one name may have several addresses that do not share their ticket keys.

use crate::names::DomainName;
use crate::policy::ClientCertificate;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls_pki_types::ServerName;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Servers remembered; beyond it those not used for longest are forgotten.
const MAX_SERVERS: usize = 4096;
/// Tickets per server: each is used once (RFC 8446 §C.4), so this many sessions can resume together.
const MAX_TICKETS_PER_SERVER: usize = 64;
/// Tickets of all servers together; a connection's tickets hold a copy of the server's chain.
const MAX_TICKETS: usize = 8192;
/// Tickets taken from one connection; a server may send as many as it likes.
const MAX_TICKETS_PER_CONNECTION: usize = 2;
/// Sessions are not offered after this time, even where the server allows more.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// Whose sessions are kept together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) name: Option<DomainName>,
    pub(super) address: SocketAddr,
    /// A session is bound to the client certificate under which it began.
    pub(super) client_certificate: ClientCertificate,
}

/// The sessions of all servers.
pub(super) struct Sessions {
    kept: Mutex<Kept>,
}

impl Sessions {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::new(Kept::default()),
        })
    }

    /// What one connection to `peer` sees of the store.
    pub(super) fn view(self: &Arc<Self>, peer: Peer) -> Arc<dyn ClientSessionStore> {
        Arc::new(View {
            peer,
            sessions: self.clone(),
            tickets: AtomicUsize::new(0),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that holds the lock leaves the maps half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Kept {
    servers: HashMap<Peer, Server>,
    tickets: usize,
}

struct Server {
    used: Instant,
    group: Option<NamedGroup>,
    /// A TLS 1.2 session may be resumed any number of times.
    tls12: Option<(Instant, Tls12ClientSessionValue)>,
    /// Oldest first.
    tls13: VecDeque<(Instant, Tls13ClientSessionValue)>,
}

impl Kept {
    fn server(&mut self, peer: &Peer) -> Option<&mut Server> {
        let server = self.servers.get_mut(peer)?;
        server.used = Instant::now();
        Some(server)
    }

    fn server_or_new(&mut self, peer: &Peer) -> &mut Server {
        let now = Instant::now();
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(peer) {
            self.forget_unused();
        }
        let server = self.servers.entry(peer.clone()).or_insert_with(|| Server {
            used: now,
            group: None,
            tls12: None,
            tls13: VecDeque::new(),
        });
        server.used = now;
        server
    }

    /// Forgets the eighth of the servers that was not used for longest, so that the search for them is
    /// rare.
    fn forget_unused(&mut self) {
        let mut uses: Vec<Instant> = self.servers.values().map(|server| server.used).collect();
        if uses.is_empty() {
            return;
        }
        let eighth = uses.len() / 8;
        let (_, limit, _) = uses.select_nth_unstable(eighth);
        self.servers.retain(|_, server| server.used > *limit);
        self.tickets = self.servers.values().map(|server| server.tls13.len()).sum();
    }

    fn insert_ticket(&mut self, peer: &Peer, ticket: Tls13ClientSessionValue) {
        if self.tickets >= MAX_TICKETS {
            self.forget_unused();
        }
        let server = self.server_or_new(peer);
        let before = server.tls13.len();
        let now = Instant::now();
        while let Some((since, _)) = server.tls13.front()
            && (server.tls13.len() >= MAX_TICKETS_PER_SERVER || is_old(*since, now))
        {
            server.tls13.pop_front();
        }
        server.tls13.push_back((now, ticket));
        let after = server.tls13.len();
        self.tickets = self.tickets + after - before;
    }

    /// The youngest ticket, which is likeliest to be still accepted.
    fn take_ticket(&mut self, peer: &Peer) -> Option<Tls13ClientSessionValue> {
        let server = self.server(peer)?;
        let (since, ticket) = server.tls13.pop_back()?;
        let mut taken = 1;
        let fresh = !is_old(since, Instant::now());
        if !fresh {
            // Then all the others are older still.
            taken += server.tls13.len();
            server.tls13.clear();
        }
        self.tickets -= taken;
        fresh.then_some(ticket)
    }
}

fn is_old(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) > MAX_AGE
}

/// The store as one connection sees it. rustls' own key, the server name, is part of `peer`.
struct View {
    peer: Peer,
    sessions: Arc<Sessions>,
    /// How many tickets this connection has brought.
    tickets: AtomicUsize,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl ClientSessionStore for View {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.sessions.kept().server_or_new(&self.peer).group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kept().server(&self.peer)?.group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.sessions.kept().server_or_new(&self.peer).tls12 = Some((Instant::now(), session));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        let mut kept = self.sessions.kept();
        let (since, session) = kept.server(&self.peer)?.tls12.as_ref()?;
        (!is_old(*since, Instant::now())).then(|| session.clone())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        if let Some(server) = self.sessions.kept().server(&self.peer) {
            server.tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        if self.tickets.fetch_add(1, Ordering::Relaxed) < MAX_TICKETS_PER_CONNECTION {
            self.sessions.kept().insert_ticket(&self.peer, ticket);
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.kept().take_ticket(&self.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: usize) -> Peer {
        let [.., a, b, c] = number.to_be_bytes();
        Peer {
            name: None,
            address: SocketAddr::from(([10, a, b, c], 25)),
            client_certificate: ClientCertificate::Withhold,
        }
    }

    #[test]
    fn servers_are_bounded_and_those_in_use_are_kept() {
        let sessions = Sessions::new();
        let any = || ServerName::try_from("any.test").unwrap();
        let used = sessions.view(peer(0));
        used.set_kx_hint(any(), NamedGroup::secp256r1);
        for number in 1..3 * MAX_SERVERS {
            sessions
                .view(peer(number))
                .set_kx_hint(any(), NamedGroup::X25519);
            assert_eq!(
                used.kx_hint(&any()),
                Some(NamedGroup::secp256r1),
                "{number}"
            );
        }
        let kept = sessions.kept().servers.len();
        assert!((MAX_SERVERS / 2..=MAX_SERVERS).contains(&kept), "{kept}");
        assert_eq!(sessions.view(peer(1)).kx_hint(&any()), None);
    }
}
