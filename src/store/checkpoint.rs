//! Copying the log into the file, on a thread and a connection of its own, so that no commit waits for it.
//!
//! SQLite begins its log anew only when all of it is copied, which never comes while others go on writing. So the
//! helper copies until little is left, and the writer that rest, between two of its transactions.

use super::{StoreError, schema, thread};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

/// Size of the log at which it is copied, octets: what is kept for moments only never is.
const FULL: i64 = 32 << 20;
/// By how much the log grows until it is copied again, where a reader kept it from beginning anew.
const STEP: i64 = FULL / 4;
/// What is little enough to be left to the writer.
const REST: i64 = 1 << 20;
/// Rounds of the helper: each has less to copy, but where writes come faster than they can be copied.
const ROUNDS: usize = 5;

/// Sees to the log of a database; part of its writer.
pub(super) struct Copying {
    path: PathBuf,
    helper: Option<Helper>,
    stage: Stage,
    /// Size of the log at which it is copied next, octets.
    due_at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    UnderWay,
}

struct Helper {
    thread: JoinHandle<()>,
    begin: SyncSender<()>,
    done: Receiver<()>,
}

impl Copying {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            helper: None,
            stage: Stage::Idle,
            due_at: FULL,
        }
    }

    /// Has the log copied if it is time. Whatever fails is tried again; the log holds what the file does not.
    pub(super) fn after_commit(&mut self, connection: &Connection) {
        if self.stage == Stage::UnderWay && !self.is_nearly_done() {
            return;
        }
        let Ok(log) = log_size(connection) else {
            return;
        };
        if self.stage == Stage::UnderWay {
            self.finish(connection, log);
            return;
        }
        if log < self.due_at - STEP {
            self.due_at = FULL;
        }
        if log >= self.due_at && self.begin().is_err() {
            self.finish(connection, log);
        }
    }

    /// Ends the helper, and with it its connection.
    pub(super) fn end(self) {
        if let Some(Helper { thread, begin, .. }) = self.helper {
            drop(begin);
            // If it panicked, it has told so by itself.
            let _ = thread.join();
        }
    }

    fn is_nearly_done(&mut self) -> bool {
        let heard = self.helper.as_ref().map(|helper| helper.done.try_recv());
        match heard {
            Some(Err(TryRecvError::Empty)) => false,
            Some(Ok(())) => true,
            Some(Err(TryRecvError::Disconnected)) | None => {
                self.helper = None;
                true
            }
        }
    }

    fn finish(&mut self, connection: &Connection, log: i64) {
        let _ = copy(connection);
        self.stage = Stage::Idle;
        self.due_at = log + STEP;
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        let helper = match &mut self.helper {
            Some(helper) => helper,
            none => none.insert(Helper::start(&self.path)?),
        };
        helper.begin.try_send(()).map_err(|_| StoreError::Closed)?;
        self.stage = Stage::UnderWay;
        Ok(())
    }
}

impl Helper {
    fn start(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::open_for_copying(path)?;
        let (begin, begun) = sync_channel(1);
        let (tell, done) = sync_channel(1);
        let thread = thread("store log", move || {
            while begun.recv().is_ok() {
                copy_most(&connection);
                if tell.send(()).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self {
            thread,
            begin,
            done,
        })
    }
}

/// Until little is left.
fn copy_most(connection: &Connection) {
    for _ in 0..ROUNDS {
        match copy(connection) {
            Ok(left) if left > REST => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Copies what there is now; how much has come meanwhile, octets.
fn copy(connection: &Connection) -> Result<i64, StoreError> {
    let copied = look(connection, "PRAGMA wal_checkpoint(PASSIVE)")?.copied;
    let log = look(connection, "PRAGMA wal_checkpoint(NOOP)")?;
    Ok((log.frames - copied) * log.page)
}

fn log_size(connection: &Connection) -> Result<i64, StoreError> {
    let log = look(connection, "PRAGMA wal_checkpoint(NOOP)")?;
    Ok(log.frames * log.page)
}

/// The log: pages in it, those of them that are in the file, and how large a page is.
struct Log {
    frames: i64,
    copied: i64,
    page: i64,
}

fn look(connection: &Connection, how: &str) -> Result<Log, StoreError> {
    let mut statement = connection.prepare_cached("PRAGMA page_size")?;
    let page = statement.query_row([], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(how)?;
    Ok(statement.query_row([], |row| {
        Ok(Log {
            frames: row.get(1)?,
            copied: row.get(2)?,
            page,
        })
    })?)
}
