//! Reading beside the writer: WAL lets readers see what was committed last without waiting for a commit
//! under way. Two lanes, so that what reads much holds up nobody: a thread that lives as long as the
//! store for what takes microseconds, and one of its own for each of the others.

use super::{StoreError, schema};
use rusqlite::{Connection, InterruptHandle};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use tokio::sync::{mpsc, oneshot};

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// What the quick lane is told.
pub(super) enum Command {
    Read(Read),
    Close,
}

/// The thread of the quick lane. It ends with `Close`, or when the last handle is gone.
pub(super) fn run(connection: &Connection, mut queue: mpsc::Receiver<Command>) {
    while let Some(Command::Read(read)) = queue.blocking_recv() {
        read(connection);
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
            let _ = reply.send(read(connection));
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
