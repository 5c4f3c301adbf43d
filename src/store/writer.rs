//! The thread that writes. It ends with `Close`, or when the last handle is gone.

use super::StoreError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Writes that share one transaction at most.
const MAX_BATCH: usize = 128;

/// A change, as part of a transaction. What it answers reaches the caller after the commit.
pub(super) type Write = Box<dyn FnOnce(&Transaction<'_>) -> Result<u64, StoreError> + Send>;

type Reply = oneshot::Sender<Result<u64, StoreError>>;

/// What a handle asks for. A reply that nobody waits for any more is dropped.
pub(super) enum Command {
    Write(Write, Reply),
    Close(oneshot::Sender<()>),
}

/// `reader` is awaited before the file is closed: only the last connection tidies up.
pub(super) fn run(
    mut connection: Connection,
    mut queue: mpsc::Receiver<Command>,
    reader: JoinHandle<()>,
) {
    let closing = serve(&mut connection, &mut queue);
    // A reader that panicked has told so by itself.
    let _ = reader.join();
    // Closing copies the log into the file; if it cannot, the log is read at the next start.
    let _ = connection.close();
    if let Some(reply) = closing {
        let _ = reply.send(());
    }
}

/// Writes until it is told to close; who said so.
fn serve(
    connection: &mut Connection,
    queue: &mut mpsc::Receiver<Command>,
) -> Option<oneshot::Sender<()>> {
    let mut next = queue.blocking_recv();
    while let Some(command) = next.take() {
        match command {
            Command::Write(write, reply) => {
                let mut batch = vec![(write, reply)];
                next = gather(&mut batch, queue);
                write_batch(connection, batch);
            }
            Command::Close(reply) => return Some(reply),
        }
        if next.is_none() {
            next = queue.blocking_recv();
        }
    }
    None
}

/// Takes further writes that wait already. The command that ends the batch, if any, is handed back.
fn gather(batch: &mut Vec<(Write, Reply)>, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
    while batch.len() < MAX_BATCH {
        match queue.try_recv().ok()? {
            Command::Write(write, reply) => batch.push((write, reply)),
            close @ Command::Close(_) => return Some(close),
        }
    }
    None
}

/// All or nothing: everybody in the batch is answered after the commit, or gets the same error.
fn write_batch(connection: &mut Connection, batch: Vec<(Write, Reply)>) {
    let (writes, replies): (Vec<Write>, Vec<Reply>) = batch.into_iter().unzip();
    match commit(connection, writes) {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _ = reply.send(Ok(answer));
            }
        }
        Err(error) => {
            for reply in replies {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

fn commit(connection: &mut Connection, writes: Vec<Write>) -> Result<Vec<u64>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let answers: Result<Vec<u64>, StoreError> = writes
        .into_iter()
        .map(|write| write(&transaction))
        .collect();
    let answers = answers?;
    transaction.commit()?;
    Ok(answers)
}
