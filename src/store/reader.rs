//! Reading beside the writer: WAL lets readers see what was committed last without waiting for a commit
//! under way. Two lanes, so that what reads much holds up nobody: a thread that lives as long as the
//! store for what takes microseconds, and one of its own for each of the others.

use super::{StoreError, schema};
use rusqlite::{Connection, InterruptHandle};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::sync::{mpsc, oneshot};

type Read = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

/// What the quick lane is told.
pub(super) enum Command {
    Read(Read),
    Close,
}

/// The connection of the quick lane. It is kept open only beside one that writes: one that was opened while the file
/// could not be written would keep this process from writing it for as long as it is open, since SQLite's
/// connections share what they know of the log.
pub(super) struct Reading {
    path: Arc<Path>,
    writable: Arc<AtomicBool>,
    open: Option<Connection>,
}

impl Reading {
    /// `writable`: whether there is a connection that writes.
    pub(super) fn of(path: &Path, writable: Arc<AtomicBool>) -> Self {
        Self {
            path: path.into(),
            writable,
            open: None,
        }
    }

    fn read(&mut self, read: Read) {
        let stays = self.writable.load(Ordering::Acquire);
        let connection = match self.open.take() {
            Some(connection) => Ok(connection),
            None => schema::open_for_reading(&self.path),
        };
        match connection {
            Ok(connection) => {
                read(Ok(&connection));
                self.open = stays.then_some(connection);
            }
            Err(error) => read(Err(error)),
        }
    }
}

/// The thread of the quick lane. It ends with `Close`, or when the last handle is gone.
pub(super) fn run(mut reading: Reading, mut queue: mpsc::Receiver<Command>) {
    while let Some(Command::Read(read)) = queue.blocking_recv() {
        reading.read(read);
    }
}

/// Reads in the quick lane.
pub(super) async fn quickly<T, F>(queue: &mpsc::Sender<Command>, read: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let read: Read = Box::new(move |connection| {
        if !reply.is_closed() {
            let _ = reply.send(connection.and_then(read));
        }
    });
    let handed_in = queue.send(Command::Read(read)).await;
    handed_in.map_err(|_| StoreError::Closed)?;
    answer.await.map_err(|_| StoreError::Closed)?
}

/// Reads on a connection and a thread of its own, until the caller loses interest.
pub(super) async fn aside<T, F>(path: Arc<Path>, read: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    let (begin, begun) = oneshot::channel();
    let (reply, answer) = oneshot::channel();
    thread::Builder::new()
        .name("store aside".into())
        .spawn(move || {
            let result = schema::open_for_reading(&path).and_then(|connection| {
                let wanted = begin.send(connection.get_interrupt_handle());
                wanted.map_err(|_| StoreError::Closed)?;
                read(&connection)
            });
            let _ = reply.send(result);
        })
        .map_err(|error| StoreError::Thread(error.to_string()))?;
    // Without a handle there is no connection, and the answer says why.
    let _interest = begun.await.ok().map(Interest);
    answer.await.map_err(|_| StoreError::Closed)?
}

/// Somebody waits for what a connection reads.
struct Interest(InterruptHandle);

impl Drop for Interest {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}
