//! The thread that writes. It ends with `Close`, or when the last handle is gone.

use super::checkpoint::Copying;
use super::lock::Lock;
use super::{StoreError, Tidied, schema};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
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
    Tidy(oneshot::Sender<Result<Tidied, StoreError>>),
    Close(oneshot::Sender<()>),
}

/// Free pages that are left in the file: they will be needed again.
const SPARE_PAGES: i64 = 2048;
/// Pages that are given back at once: writes wait meanwhile.
const TIDY_STEP: i64 = 256;
/// How long a file that could not be opened is left alone.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// The file, as far as it can be written.
pub(super) struct Writing {
    path: PathBuf,
    open: Option<(Connection, Lock)>,
    /// Whether it is open, for whoever else opens it.
    is_open: Arc<AtomicBool>,
    /// When it could not be opened, and why.
    failed: Option<(Instant, StoreError)>,
    copying: Copying,
    commits: Arc<AtomicU64>,
}

impl Writing {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut writing = Self::later(path);
        writing.connection()?;
        Ok(writing)
    }

    #[cfg(test)]
    pub(super) fn of(path: &Path, open: (Connection, Lock)) -> Self {
        Self {
            open: Some(open),
            ..Self::later(path)
        }
    }

    /// To be opened by the first write.
    pub(super) fn later(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            open: None,
            is_open: Arc::default(),
            failed: None,
            copying: Copying::new(path),
            commits: Arc::default(),
        }
    }

    /// Whether it can be written by now.
    pub(super) fn is_open(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_open)
    }

    /// Transactions so far.
    pub(super) fn commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.commits)
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        if self.open.is_none() {
            if let Some((at, error)) = &self.failed
                && at.elapsed() < REOPEN_PAUSE
            {
                return Err(error.clone());
            }
            match schema::open(&self.path) {
                Ok(open) => {
                    self.open = Some(open);
                    self.is_open.store(true, Ordering::Release);
                }
                Err(error) => {
                    self.failed = Some((Instant::now(), error.clone()));
                    return Err(error);
                }
            }
        }
        match &mut self.open {
            Some((connection, _)) => Ok(connection),
            None => Err(StoreError::Closed),
        }
    }

    fn see_to_log(&mut self) {
        if let Some((connection, _)) = &self.open {
            self.copying.after_commit(connection);
        }
    }
}

/// `reader` is awaited before the file is closed: only the last connection tidies up.
pub(super) fn run(
    mut writing: Writing,
    mut queue: mpsc::Receiver<Command>,
    reader: JoinHandle<()>,
) {
    let closing = serve(&mut writing, &mut queue);
    // Whoever asks from now on is told that the store is closed.
    drop(queue);
    // A reader that panicked has told so by itself.
    let _ = reader.join();
    writing.copying.end();
    if let Some((connection, _lock)) = writing.open {
        // Closing copies the log into the file; if it cannot, the log is read at the next start.
        let _ = connection.close();
    }
    if let Some(reply) = closing {
        let _ = reply.send(());
    }
}

/// Writes until it is told to close; who said so.
fn serve(
    writing: &mut Writing,
    queue: &mut mpsc::Receiver<Command>,
) -> Option<oneshot::Sender<()>> {
    let mut next = queue.blocking_recv();
    while let Some(command) = next.take() {
        match command {
            Command::Write(write, reply) => {
                let mut batch = vec![(write, reply)];
                next = gather(&mut batch, queue);
                write_batch(writing, batch);
            }
            Command::Tidy(reply) => {
                let _ = reply.send(writing.connection().and_then(|open| tidy(open)));
            }
            Command::Close(reply) => return Some(reply),
        }
        writing.see_to_log();
        if next.is_none() {
            next = queue.blocking_recv();
        }
    }
    None
}

fn tidy(connection: &Connection) -> Result<Tidied, StoreError> {
    let free = |connection: &Connection| -> Result<i64, StoreError> {
        Ok(connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?)
    };
    let too_many = free(connection)? - SPARE_PAGES;
    if too_many <= 0 {
        return Ok(Tidied::Done);
    }
    // It gives back a page a step.
    let sql = format!("PRAGMA incremental_vacuum({})", too_many.min(TIDY_STEP));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(match too_many > TIDY_STEP {
        true => Tidied::More,
        false => Tidied::Done,
    })
}

/// Takes further writes that wait already. The command that ends the batch, if any, is handed back.
fn gather(batch: &mut Vec<(Write, Reply)>, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
    while batch.len() < MAX_BATCH {
        match queue.try_recv().ok()? {
            Command::Write(write, reply) => batch.push((write, reply)),
            other @ (Command::Tidy(_) | Command::Close(_)) => return Some(other),
        }
    }
    None
}

/// Everybody in the batch is answered after the commit. If that fails, each has a transaction of its own, so that
/// nobody fails for what another has written.
fn write_batch(writing: &mut Writing, batch: Vec<(Write, Reply)>) {
    let (writes, replies): (Vec<Write>, Vec<Reply>) = batch.into_iter().unzip();
    let answers = match commit(writing, &writes) {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) if writes.len() == 1 || error.concerns_all() => {
            vec![Err(error); writes.len()]
        }
        Err(_) => each_alone(writing, &writes),
    };
    for (reply, answer) in replies.into_iter().zip(answers) {
        let _ = reply.send(answer);
    }
}

fn each_alone(writing: &mut Writing, writes: &[Write]) -> Vec<Result<u64, StoreError>> {
    let mut alone = |write| {
        let answers = commit(writing, std::slice::from_ref(write))?;
        answers.first().copied().ok_or(StoreError::Closed)
    };
    writes.iter().map(&mut alone).collect()
}

fn commit(writing: &mut Writing, writes: &[Write]) -> Result<Vec<u64>, StoreError> {
    let connection = writing.connection()?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let answers: Result<Vec<u64>, StoreError> =
        writes.iter().map(|write| write(&transaction)).collect();
    let answers = answers?;
    transaction.commit()?;
    writing.commits.fetch_add(1, Ordering::Relaxed);
    Ok(answers)
}
