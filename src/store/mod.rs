//! What outlives the process: an SQLite file behind a cheap handle. SQL is used here and nowhere else.
//!
//! One thread writes, and another copies its log into the file. Writes queue up, and what waits together is
//! written in one transaction, so that many callers share one fsync. Every answer of a write means: on disk.
//! Reads have connections of their own and wait for no write; one that begins after a write was answered sees it.

mod checkpoint;
pub mod directory;
mod error;
mod failures;
pub mod history;
mod lock;
mod policies;
pub mod queue;
mod reader;
mod schema;
mod tls_hosts;
mod writer;

pub use error::StoreError;
pub use failures::RememberedFailure;
pub use history::HistoryReader;
pub use policies::StoredPolicy;
pub use tls_hosts::RememberedTls;

use crate::clock;
use reader::Reading;
use rusqlite::{Connection, Params, Transaction};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::UNIX_EPOCH;
use tokio::sync::{mpsc, oneshot};
use writer::Writing;

/// How much free space is left in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tidied {
    /// As much as is worth while.
    Done,
    More,
}

/// Commands that may wait for a thread; beyond it callers wait to hand theirs in.
const QUEUE: usize = 256;

/// The handle on the store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    path: Arc<Path>,
    run: queue::Run,
    writes: mpsc::Sender<writer::Command>,
    commits: Arc<AtomicU64>,
    reads: mpsc::Sender<reader::Command>,
}

impl Store {
    /// Opens the store; makes file and directory if missing, and brings an older schema up to date.
    /// It blocks: a start-up call.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writing = Writing::open(path)?;
        Self::start(path, writing)
    }

    /// A store that cannot be opened now. What can be read of it is; each write tries to open it again.
    pub fn open_later(path: &Path) -> Result<Self, StoreError> {
        Self::start(path, Writing::later(path))
    }

    /// Whether what was remembered can be read now. It blocks: a start-up call.
    pub fn is_readable(&self) -> bool {
        schema::check_readable(&self.path).is_ok()
    }

    fn start(path: &Path, writing: Writing) -> Result<Self, StoreError> {
        let reading = Reading::of(path, writing.is_open());
        let (reads, queue) = mpsc::channel(QUEUE);
        let reader = thread("store reads", move || reader::run(reading, queue))?;
        let (writes, queue) = mpsc::channel(QUEUE);
        let commits = writing.commits();
        thread("store", move || writer::run(writing, queue, reader))?;
        Ok(Self {
            path: path.into(),
            run: queue::Run(unix_millis()),
            writes,
            commits,
            reads,
        })
    }

    /// Reads the whole file and says what is damaged in it, as far as the file alone can tell. That takes
    /// seconds, and other reads and writes do not wait; whoever loses interest ends it.
    pub async fn verify(&self) -> Result<(), StoreError> {
        self.read_aside(schema::check_integrity).await
    }

    /// Gives some of the space back that is free in the file; whether there is more.
    pub async fn tidy(&self) -> Result<Tidied, StoreError> {
        let (reply, answer) = oneshot::channel();
        let handed_in = self.writes.send(writer::Command::Tidy(reply)).await;
        handed_in.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Writes what waits and closes the file. Other handles get [`StoreError::Closed`] from then on.
    pub async fn close(self) {
        // An error, here and below, means that the thread has ended, which is what was asked for.
        let _ = self.reads.send(reader::Command::Close).await;
        let (reply, closed) = oneshot::channel();
        if self
            .writes
            .send(writer::Command::Close(reply))
            .await
            .is_ok()
        {
            let _ = closed.await;
        }
    }

    /// This run of the daemon.
    pub fn run(&self) -> queue::Run {
        self.run
    }

    /// Transactions that were written since it was opened; each has waited for the disk once.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    async fn write(
        &self,
        write: impl Fn(&Transaction<'_>) -> Result<u64, StoreError> + Send + 'static,
    ) -> Result<u64, StoreError> {
        let (reply, answer) = oneshot::channel();
        let command = writer::Command::Write(Box::new(write), reply);
        let handed_in = self.writes.send(command).await;
        handed_in.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// A write that answers more than a number.
    async fn change<T: Send + 'static>(
        &self,
        change: impl Fn(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        let written = self.write(move |transaction| {
            let answer = change(transaction)?;
            // Nothing can panic while it is held.
            *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            Ok(0)
        });
        written.await?;
        let answer = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.ok_or(StoreError::Closed)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        reader::quickly(&self.reads, read).await
    }

    /// Keeps quick reads from being answered for so long, as a disk that hangs would.
    #[cfg(test)]
    pub(crate) async fn stall(&self, time: std::time::Duration) {
        let stalled = self.read(move |_| {
            thread::sleep(time);
            Ok(())
        });
        stalled.await.unwrap();
    }

    /// The same for writes.
    #[cfg(test)]
    pub(crate) async fn stall_writes(&self, time: std::time::Duration) {
        let stalled = self.write(move |_| {
            thread::sleep(time);
            Ok(0)
        });
        stalled.await.unwrap();
    }

    /// For what reads much: see [`reader`].
    async fn read_aside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.writes.is_closed() {
            return Err(StoreError::Closed);
        }
        reader::aside(Arc::clone(&self.path), read).await
    }
}

fn thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, StoreError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|error| StoreError::Thread(error.to_string()))
}

/// Executes a statement; how many rows it changed.
fn changed(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: impl Params,
) -> Result<u64, StoreError> {
    let rows = transaction.prepare_cached(sql)?.execute(parameters)?;
    Ok(rows as u64)
}

/// Never 0.
fn unix_millis() -> i64 {
    let since = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// SQLite's integers are signed.
fn seconds(unix: u64) -> i64 {
    i64::try_from(unix).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
