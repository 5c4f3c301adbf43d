//! What outlives the process: an SQLite file behind a cheap handle. SQL is used here and nowhere else.
//!
//! One thread owns the connection. Commands queue up for it, and what waits together is written in one
//! transaction, so that many callers share one fsync. Every answer of a write means: on disk.

mod error;
mod schema;
mod writer;

pub use error::StoreError;

use std::net::IpAddr;
use std::path::Path;
use tokio::sync::{mpsc, oneshot};
use writer::{Command, Reply, Write};

/// Commands that may wait for the writer; beyond it callers wait to hand theirs in.
const QUEUE: usize = 256;

/// The handle on the store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
}

/// A TLS handshake with a host at an address failed, and none has succeeded since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedFailure {
    /// The MX host's name, unexpanded; empty for an address literal.
    pub mx: String,
    pub ip: IpAddr,
    /// UNIX seconds of the first failure.
    pub first: u64,
    /// UNIX seconds of the last failure.
    pub last: u64,
}

impl Store {
    /// Opens the store; makes file and directory if missing, and brings an older schema up to date.
    /// It blocks: a start-up call.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::open(path)?;
        let (commands, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer::run(connection, queue))
            .map_err(|error| StoreError::Thread(error.to_string()))?;
        Ok(Self { commands })
    }

    /// All remembered TLS failures, in no order.
    pub async fn tls_failures(&self) -> Result<Vec<RememberedFailure>, StoreError> {
        self.ask(Command::TlsFailures).await
    }

    /// Remembers a failure in place of what was known of this host and address.
    pub async fn remember_tls_failure(&self, failure: RememberedFailure) -> Result<(), StoreError> {
        self.write(Write::Remember(failure)).await
    }

    /// Forgets the failures of a host at an address.
    pub async fn forget_tls_failure(&self, mx: &str, ip: IpAddr) -> Result<(), StoreError> {
        self.write(Write::Forget { mx: mx.into(), ip }).await
    }

    /// Forgets failures whose last one was before this time, in UNIX seconds.
    pub async fn prune(&self, before: u64) -> Result<(), StoreError> {
        self.write(Write::Prune { before }).await
    }

    /// Writes what waits and closes the file. Other handles get [`StoreError::Closed`] from then on.
    pub async fn close(self) {
        let (reply, closed) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).await.is_ok() {
            // An error means that the writer has ended, which is what was asked for.
            let _ = closed.await;
        }
    }

    async fn write(&self, write: Write) -> Result<(), StoreError> {
        self.ask(|reply| Command::Write(write, reply)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[cfg(test)]
mod tests;
