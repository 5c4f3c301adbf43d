//! The thread that writes. It ends with `Close`, or when the last handle is gone.

use super::StoreError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Writes that share one transaction at most.
const MAX_BATCH: usize = 128;

/// A change, as part of a transaction. What it answers reaches the caller after the commit. It may be run again
/// after a transaction that came to nothing.
pub(super) type Write = Box<dyn Fn(&Transaction<'_>) -> Result<u64, StoreError> + Send>;

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

/// Everybody in the batch is answered after the commit. If that fails, each has a transaction of its own, so that
/// nobody fails for what another has written.
fn write_batch(connection: &mut Connection, batch: Vec<(Write, Reply)>) {
    let (writes, replies): (Vec<Write>, Vec<Reply>) = batch.into_iter().unzip();
    let answers = match commit(connection, &writes) {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) if writes.len() == 1 || error.concerns_all() => {
            vec![Err(error); writes.len()]
        }
        Err(_) => each_alone(connection, &writes),
    };
    for (reply, answer) in replies.into_iter().zip(answers) {
        let _ = reply.send(answer);
    }
}

fn each_alone(connection: &mut Connection, writes: &[Write]) -> Vec<Result<u64, StoreError>> {
    let mut alone = |write| {
        let answers = commit(connection, std::slice::from_ref(write))?;
        answers.first().copied().ok_or(StoreError::Closed)
    };
    writes.iter().map(&mut alone).collect()
}

fn commit(connection: &mut Connection, writes: &[Write]) -> Result<Vec<u64>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let answers: Result<Vec<u64>, StoreError> =
        writes.iter().map(|write| write(&transaction)).collect();
    let answers = answers?;
    transaction.commit()?;
    Ok(answers)
}
