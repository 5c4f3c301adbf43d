//! A scripted MX host that records everything it sees.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lab::mx::{Mx, Script};
//! let ports = lab::Ports::new()?;
//! let script = Script { mail: (451, "4.3.0 later").into(), ..Script::default() };
//! let mx = Mx::start("mx1.example.test", ports.next(), script).await?;
//! // ... something delivers ...
//! assert!(mx.wait_for_connections(1).await);
//! assert!(!mx.mail_octets_in_clear());
//! assert_eq!(mx.violations(), Vec::<String>::new());
//! # Ok(()) }
//! ```

mod act;
mod check;
mod commands;
mod content;
mod host;
mod record;
mod script;
mod session;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::ca::{Ca, Cert, Identity};
use crate::net::{bound, listen};
use crate::tasks::Tasks;
pub use act::Act;
use host::Shared;
pub use record::{Channel, Connection, Message, Recipient, Record, TlsSeen};
pub use script::{
    ClientCert, Content, Handshake, Hook, Idle, Listening, Moment, NoRecipients, Offer, Script,
    Stage, Tls, Versions,
};

/// How long the waiting methods wait: long enough for every test, so that a hanging one ends.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running host. It stops when dropped.
#[derive(Debug)]
pub struct Mx {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: Tasks,
    _held: Option<Held>,
}

/// What keeps the address busy though nobody is served.
#[derive(Debug)]
#[expect(dead_code, reason = "sockets that only have to stay open")]
enum Held {
    Refusing(TcpSocket),
    Blackhole(TcpListener, Vec<TcpStream>),
}

impl Mx {
    /// Starts a host of this name; port 0 takes a free one. Without an identity in the script it presents a
    /// self-signed certificate for its name.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(name: &str, address: SocketAddr, script: Script) -> io::Result<Self> {
        let identity = match &script.tls.identity {
            Some(identity) => identity.clone(),
            None => Ca::default().issue(&Cert::new([name]).self_signed()),
        };
        Self::start_with(name, address, identity, script).await
    }

    /// The same with the identity that is presented whenever the script in force has none.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start_with(
        name: &str,
        address: SocketAddr,
        identity: Identity,
        script: Script,
    ) -> io::Result<Self> {
        let (listening, content) = (script.listening, script.content);
        let shared = Arc::new(Shared::new(name, identity, script));
        let mut tasks = Tasks::default();
        let (address, held) = match listening {
            Listening::Normal | Listening::ImplicitTls => {
                let listener = listen(address, content::receive_buffer(content))?;
                let address = listener.local_addr()?;
                tasks.spawn(accept(Arc::clone(&shared), listener));
                (address, None)
            }
            Listening::Refused => {
                let socket = bound(address)?;
                (socket.local_addr()?, Some(Held::Refusing(socket)))
            }
            Listening::Blackhole => {
                let (address, held) = blackhole(address).await?;
                (address, Some(held))
            }
        };
        Ok(Self {
            shared,
            address,
            tasks,
            _held: held,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What it presents now: its script's identity, or its own.
    pub fn identity(&self) -> Identity {
        self.shared.identity()
    }

    /// Behaves differently from the next connection on. Forgets TLS sessions.
    pub fn set_script(&self, script: Script) {
        self.shared.set_script(script);
    }

    /// Says this on every connection that waits for a command, and closes it. Nothing is said if it is empty.
    pub fn kick(&self, octets: impl AsRef<[u8]>) {
        self.shared.kick.send_replace(octets.as_ref().to_vec());
    }

    /// Stops listening, cuts all connections, and waits until the address is free again. The record stays.
    pub async fn stop(&mut self) {
        self.tasks.stop().await;
        self._held = None;
    }

    /// Everything seen so far.
    pub fn record(&self) -> Record {
        self.shared.record.borrow().clone()
    }

    /// All connections so far.
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.record.borrow().connections.clone()
    }

    /// The messages that came whole and were accepted.
    pub fn messages(&self) -> Vec<Message> {
        self.shared.record.borrow().accepted().cloned().collect()
    }

    /// All violations of all connections.
    pub fn violations(&self) -> Vec<String> {
        let record = self.shared.record.borrow();
        record
            .connections
            .iter()
            .flat_map(|c| c.violations.iter().cloned())
            .collect()
    }

    /// Whether any connection ever carried a MAIL, RCPT, DATA or BDAT command that could be read on the wire.
    pub fn mail_octets_in_clear(&self) -> bool {
        self.shared
            .record
            .borrow()
            .connections
            .iter()
            .any(Connection::mail_in_clear)
    }

    /// Whether these octets could be read on the wire: a marker in a content, an address.
    pub fn wire_contains(&self, octets: impl AsRef<[u8]>) -> bool {
        let needle = octets.as_ref();
        let record = self.shared.record.borrow();
        record
            .connections
            .iter()
            .any(|c| memchr::memmem::find(&c.wire, needle).is_some())
    }

    /// Waits until something is so, 20 seconds at most; whether it became so.
    pub async fn wait_for(&self, is_so: impl FnMut(&Record) -> bool) -> bool {
        self.wait_at_most(PATIENCE, is_so).await
    }

    /// The same with another limit.
    pub async fn wait_at_most(&self, limit: Duration, is_so: impl FnMut(&Record) -> bool) -> bool {
        let mut record = self.shared.record.subscribe();
        let waited = tokio::time::timeout(limit, record.wait_for(is_so)).await;
        waited.is_ok_and(|found| found.is_ok())
    }

    /// Waits for so many accepted messages in all.
    pub async fn wait_for_messages(&self, n: usize) -> bool {
        self.wait_for(|record| record.accepted().count() >= n).await
    }

    /// Waits for so many connections in all.
    pub async fn wait_for_connections(&self, n: usize) -> bool {
        self.wait_for(|record| record.connections.len() >= n).await
    }

    /// Waits until all connections that ever came are closed.
    pub async fn wait_for_closed(&self) -> bool {
        self.wait_for(|record| record.connections.iter().all(|c| c.closed.is_some()))
            .await
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = Tasks::default();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => connections.spawn(session::serve(Arc::clone(&shared), socket)),
            // Out of descriptors, most likely: some will be free again.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A listener whose queue is full: Linux drops what would not fit, so attempts to connect stay unanswered.
async fn blackhole(address: SocketAddr) -> io::Result<(SocketAddr, Held)> {
    let socket = bound(address)?;
    let listener = socket.listen(0)?;
    let address = listener.local_addr()?;
    let mut fillers = Vec::new();
    while let Ok(filler) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        fillers.push(filler?);
    }
    Ok((address, Held::Blackhole(listener, fillers)))
}
