//! A scripted MTA-STS policy host (RFC 8461 §3.3): a small HTTPS server that misbehaves down to single octets, and
//! finds fault with its clients.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lab::Internet;
//! use lab::ca::Cert;
//! use lab::mx::Script;
//! use lab::sts::{Answer, PolicyScript, policy};
//! let mut net = Internet::new().await?;
//! net.domain("a.test", Script::default()).await?;
//! net.sts("a.test", "1", policy("enforce", &["mx.a.test"], 86_400)).await?;
//! net.domain("b.test", Script::default()).await?;
//! net.sts_record("b.test", "v=STSv1; id=1;");
//! let expired = net.ca.issue(&Cert::new(["mta-sts.b.test"]).expired());
//! net.policy_host("b.test", PolicyScript::with_identity(expired)).await?;
//! // ... a relay fetches policies ...
//! let host = net.sts_of("a.test");
//! assert!(host.wait_for_requests(1).await);
//! assert_eq!(host.violations(), Vec::<String>::new());
//! host.answer(Answer::Status(500));
//! # Ok(()) }
//! ```

mod host;
mod request;
mod response;
mod script;
mod session;

use std::collections::BTreeSet;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, Socket};
use tokio::net::TcpListener;

use crate::ca::{Ca, Identity};
use crate::mx::PATIENCE;
use crate::net::listen;
use crate::tasks::Tasks;
use host::{Certificates, Gate, Seen, Shared};
pub use request::Request;
pub use script::{Answer, PolicyScript, TRAP_MX, policy};

/// A running host. It stops when dropped.
#[derive(Debug)]
pub struct PolicyHost {
    shared: Arc<Shared>,
    tasks: Tasks,
    /// The listener's socket once more: it stops at once, the task that has the listener a little later.
    listening: Option<Socket>,
}

impl PolicyHost {
    /// Starts a host of this name, `mta-sts.DOMAIN`; port 0 takes a free one. It presents `good` whenever the script in
    /// force has no identity.
    ///
    /// # Errors
    /// If the address cannot be bound.
    ///
    /// # Panics
    /// If the script is impossible, here and wherever one is set.
    pub async fn start(
        name: &str,
        address: SocketAddr,
        good: Identity,
        script: PolicyScript,
    ) -> io::Result<Self> {
        Self::launch(&[name], address, Certificates::One(good), script)
    }

    /// One host of many names. It presents a certificate for the name that the client asks for, which is made then, all
    /// with one key; to others, and without SNI, a fatal alert.
    ///
    /// # Errors
    /// If the address cannot be bound.
    ///
    /// # Panics
    /// As [`PolicyHost::start`].
    pub async fn start_many(
        names: &[&str],
        address: SocketAddr,
        ca: &Ca,
        script: PolicyScript,
    ) -> io::Result<Self> {
        let certificates = Certificates::by_sni(ca.stamp(), lowered(names));
        Self::launch(names, address, certificates, script)
    }

    fn launch(
        names: &[&str],
        address: SocketAddr,
        certificates: Certificates,
        script: PolicyScript,
    ) -> io::Result<Self> {
        let listener = listen(address, None)?;
        let listening = SockRef::from(&listener).try_clone()?;
        let address = listener.local_addr()?;
        let shared = Shared::new(lowered(names), address, certificates, script);
        let shared = Arc::new(shared);
        let mut tasks = Tasks::default();
        tasks.spawn(accept(Arc::clone(&shared), listener));
        Ok(Self {
            shared,
            tasks,
            listening: Some(listening),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Behaves so from the next connection on.
    pub fn set(&self, script: PolicyScript) {
        self.shared.set(script);
    }

    /// Answers so from the next connection on; the rest of the script stays.
    pub fn answer(&self, answer: Answer) {
        let script = self.shared.live().script.clone();
        self.set(PolicyScript { answer, ..script });
    }

    /// Lets all [`Answer::Gated`] through, those that wait and those that will come.
    pub fn release(&self) {
        self.shared.gate.send_if_modified(|gate| {
            let shut = *gate == Gate::Shut;
            if shut {
                *gate = Gate::Released;
            }
            shut
        });
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.seen.borrow().connections
    }

    /// Connections open now, as far as the host has noticed.
    pub fn open(&self) -> usize {
        self.shared.seen.borrow().open
    }

    /// The most connections that were open at once. A client that closes one before it opens the next never has two,
    /// even if the host notices late.
    pub fn most_open(&self) -> usize {
        self.shared.seen.borrow().most_open
    }

    /// The requests that came whole.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.seen.borrow().requests.clone()
    }

    /// What no correct client does, such as another path, a wrong Host field or server name, a body, a cookie.
    pub fn violations(&self) -> Vec<String> {
        self.shared.seen.borrow().violations.clone()
    }

    /// Why handshakes failed, such as by the alert of a client that does not like the certificate.
    pub fn failed_handshakes(&self) -> Vec<String> {
        self.shared.seen.borrow().failed_handshakes.clone()
    }

    /// Waits for so many requests in all, 20 seconds at most; whether they came.
    pub async fn wait_for_requests(&self, n: usize) -> bool {
        self.wait_for(|seen| seen.requests.len() >= n).await
    }

    /// Waits for so many connections in all.
    pub async fn wait_for_connections(&self, n: usize) -> bool {
        self.wait_for(|seen| seen.connections >= n).await
    }

    /// Waits for so many violations in all.
    pub async fn wait_for_violations(&self, n: usize) -> bool {
        self.wait_for(|seen| seen.violations.len() >= n).await
    }

    /// Waits for so many failed handshakes in all.
    pub async fn wait_for_failed_handshakes(&self, n: usize) -> bool {
        self.wait_for(|seen| seen.failed_handshakes.len() >= n)
            .await
    }

    /// Waits until no connection is open.
    pub async fn wait_for_closed(&self) -> bool {
        self.wait_for(|seen| seen.open == 0).await
    }

    async fn wait_for(&self, is_so: impl FnMut(&Seen) -> bool) -> bool {
        let mut seen = self.shared.seen.subscribe();
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(is_so)).await;
        waited.is_ok_and(|found| found.is_ok())
    }

    /// Stops listening and drops all connections: from now on attempts to connect are refused, and no response begins.
    pub fn stop(&mut self) {
        self.shared.gate.send_replace(Gate::Stopped);
        if let Some(socket) = self.listening.take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.tasks = Tasks::default();
    }
}

impl Drop for PolicyHost {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lowered(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = Tasks::default();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                connections.spawn(session::serve(shared.open(), shared.live(), socket));
            }
            // Out of descriptors, most likely: some will be free again.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
