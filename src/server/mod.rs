//! SMTP and LMTP in: the session is a pure state machine (input → effect) with a thin I/O shell.
//!
//! `sockets` makes sockets, `listener` gives them a role, `accept` serves them, `connection` is the shell of
//! one session and `session` its mind. A message that was received goes to [`Submit`]; its outcomes are the
//! replies.

mod accept;
mod admission;
mod certificates;
mod connection;
mod header;
mod input;
mod listener;
mod passed;
mod pulse;
mod received;
mod receiving;
mod replies;
mod session;
mod settings;
mod sockets;
mod stream;
mod unix;

pub use listener::{BoundListener, TlsSlot, bind};
pub use passed::Passed;
pub use pulse::Pulse;
pub use settings::{
    ListenAddress, ListenSettings, Protocol, ServerSettings, SocketSettings, TlsRequiredNo,
};
pub use sockets::{Acceptor, BindError, Sockets, is_exhaustion, tcp_listener};
pub use stream::Socket;
pub use unix::{SocketFile, unix_listener};

use crate::ledger::Ledger;
use crate::message::SpoolMemory;
use crate::relay::Submit;
use admission::Admission;
use certificates::Certificates;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What all listeners and sessions share. Cheap to clone; there is one per daemon, since it counts
/// the sessions.
#[derive(Debug, Clone)]
pub struct ServerContext {
    pub settings: watch::Receiver<Arc<ServerSettings>>,
    pub submit: Arc<dyn Submit>,
    pub ledger: Ledger,
    pub spool: SpoolMemory,
    /// Whether they accept.
    pub pulse: Pulse,
    admission: Arc<Admission>,
    certificates: Arc<Certificates>,
}

impl ServerContext {
    pub fn new(
        settings: watch::Receiver<Arc<ServerSettings>>,
        submit: Arc<dyn Submit>,
        ledger: Ledger,
        spool: SpoolMemory,
    ) -> Self {
        Self {
            settings,
            submit,
            ledger,
            spool,
            pulse: Pulse::default(),
            admission: Arc::default(),
            certificates: Arc::default(),
        }
    }

    /// Reads the certificates of all listeners again; one that cannot be used leaves the old one in
    /// force.
    pub fn reload_certificates(&self) {
        self.certificates.reload();
    }
}

/// How sessions are told to end, and who waits for them.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// First: no new clients; sessions between transactions end with 421, the others go on.
    pub draining: CancellationToken,
    /// Then, after the grace: who is still sending a message hears 421. Who waits for outcomes still
    /// gets them: the relay ends those that have not begun.
    pub expired: CancellationToken,
    /// Every session is a task of it.
    pub sessions: TaskTracker,
}

#[cfg(test)]
mod tests;
