//! What all connections of a policy host share.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::request::{Expected, Request};
use super::script::{PolicyScript, check};
use crate::ca::{Identity, Stamp};
use crate::mx::Tls;
use crate::tasks::lock;
use crate::tls;

/// Up to so many connections at once are counted exactly; the system is asked at each new maximum.
const EXACTLY: usize = 256;

/// The names, the script in force, the record.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) address: SocketAddr,
    pub(super) names: BTreeSet<String>,
    certificates: Certificates,
    live: Mutex<Arc<Live>>,
    pub(super) seen: watch::Sender<Seen>,
    pub(super) gate: watch::Sender<Gate>,
}

/// A script with its TLS configuration: sessions are resumed as long as it is in force.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) script: PolicyScript,
    pub(super) tls: Arc<ServerConfig>,
}

/// Everything seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    pub(super) open: usize,
    pub(super) most_open: usize,
    pub(super) requests: Vec<Request>,
    pub(super) violations: Vec<String>,
    pub(super) failed_handshakes: Vec<String>,
}

/// Whether responses may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// All but gated ones.
    Shut,
    /// All.
    Released,
    /// None any more.
    Stopped,
}

/// What is presented unless the script says otherwise.
#[derive(Debug)]
pub(super) enum Certificates {
    /// Always this one.
    One(Identity),
    /// A good one for the name that is asked for.
    BySni(Arc<BySni>),
}

/// Makes certificates as names are asked for; nobody waits for ten thousand before a test begins.
#[derive(Debug)]
pub(super) struct BySni {
    stamp: Stamp,
    names: BTreeSet<String>,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Certificates {
    pub(super) fn by_sni(stamp: Stamp, names: BTreeSet<String>) -> Self {
        Self::BySni(Arc::new(BySni {
            stamp,
            names,
            made: Mutex::default(),
        }))
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        if !self.names.contains(&name) {
            return None;
        }
        let mut made = lock(&self.made);
        let certified = made.entry(name).or_insert_with_key(|name| {
            let identity = self.stamp.identity(name);
            tls::certified(&identity)
        });
        Some(Arc::clone(certified))
    }
}

impl Live {
    fn new(script: PolicyScript, certificates: &Certificates) -> Arc<Self> {
        check(&script.answer);
        let settings = Tls {
            versions: script.versions,
            ..Tls::default()
        };
        let tls = match (&script.identity, certificates) {
            (Some(identity), _) | (None, Certificates::One(identity)) => {
                tls::server_config(&settings, identity)
            }
            (None, Certificates::BySni(resolver)) => {
                tls::server_config_with(&settings, Arc::<BySni>::clone(resolver))
            }
        };
        let mut tls = Arc::unwrap_or_clone(tls);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = Arc::new(tls);
        Arc::new(Self { script, tls })
    }
}

impl Shared {
    pub(super) fn new(
        names: BTreeSet<String>,
        address: SocketAddr,
        certificates: Certificates,
        script: PolicyScript,
    ) -> Self {
        Self {
            address,
            names,
            live: Mutex::new(Live::new(script, &certificates)),
            certificates,
            seen: watch::Sender::default(),
            gate: watch::Sender::new(Gate::Shut),
        }
    }

    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&lock(&self.live))
    }

    pub(super) fn set(&self, script: PolicyScript) {
        let live = Live::new(script, &self.certificates);
        *lock(&self.live) = live;
    }

    pub(super) fn expected(&self) -> Expected<'_> {
        Expected {
            names: &self.names,
            port: self.address.port(),
        }
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }

    /// The name to answer for: that of the handshake if it is one of the host's.
    pub(super) fn name<'a>(&'a self, sni: Option<&str>) -> &'a str {
        let asked = sni.and_then(|sni| self.names.get(&sni.to_ascii_lowercase()));
        asked.or(self.names.first()).map_or("", String::as_str)
    }

    /// Counts a connection, as open until the value is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        let mut number = 0;
        self.note(|seen| {
            number = seen.connections;
            seen.connections += 1;
            seen.open += 1;
            if seen.open > seen.most_open {
                let at_once = seen.open.min(self.established(seen.open));
                seen.most_open = seen.most_open.max(at_once);
            }
        });
        Open {
            shared: Arc::clone(self),
            number,
        }
    }

    /// How many connections the system says are open, so that none counts that its client closed before it opened the
    /// next and whose task does not know yet. `otherwise` where it cannot be asked.
    fn established(&self, otherwise: usize) -> usize {
        if otherwise > EXACTLY {
            return otherwise;
        }
        let table = std::fs::read_to_string("/proc/net/tcp");
        match (table, self.address.ip()) {
            (Ok(table), IpAddr::V4(ip)) => {
                let local = format!(
                    "{:08X}:{:04X}",
                    u32::from_ne_bytes(ip.octets()),
                    self.address.port()
                );
                established_at(&table, &local)
            }
            (Ok(_) | Err(_), _) => otherwise,
        }
    }
}

/// Lines of proc_pid_net(5)'s table with this local address and state 01, established.
fn established_at(table: &str, local: &str) -> usize {
    let of_interest = |line: &&str| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        columns.next() == Some(local) && columns.nth(1) == Some("01")
    };
    table.lines().filter(of_interest).count()
}

/// One connection that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
}

impl Open {
    pub(super) fn violation(&self, what: &str) {
        let what = format!("connection {}: {what}", self.number);
        self.shared.note(|seen| seen.violations.push(what));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.note(|seen| seen.open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_to_the_address_that_nobody_has_begun_to_close_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            0: 0100007F:20FB 00000000:0000 0A 00000000:00000000\n\
            1: 0100007F:20FB 0100007F:C001 01 00000000:00000000\n\
            2: 0100007F:20FB 0100007F:C002 08 00000000:00000000\n\
            3: 0200007F:20FB 0100007F:C003 01 00000000:00000000\n\
            4: 0100007F:C001 0100007F:20FB 01 00000000:00000000\n";
        assert_eq!(established_at(table, "0100007F:20FB"), 1);
    }
}
