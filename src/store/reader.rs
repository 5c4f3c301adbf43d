//! Reading beside the writer: WAL lets readers see what was committed last without waiting for a commit
//! under way.

use super::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// What the thread is told.
pub(super) enum Command {
    Read(Read),
    Close,
}

/// The thread that reads. It ends with `Close`, or when the last handle is gone.
pub(super) fn run(connection: &Connection, mut queue: mpsc::Receiver<Command>) {
    while let Some(Command::Read(read)) = queue.blocking_recv() {
        read(connection);
    }
}

/// Reads on that thread.
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
