//! What became of recipients is written, together with the notices that it gives rise to.

use super::accept::{Placed, insert};
use super::{HostReached, NewMessage, Progress, Run, column};
use crate::store::{Store, StoreError};
use rusqlite::{OptionalExtension as _, Transaction, params};

const REMOVE: &str = "DELETE FROM recipient WHERE number = ?1 AND message = ?2";

const KEEP: &str = "UPDATE recipient SET next = ?2, attempts = ?3, leased = ?4, reached = ?5,
    last = ?6, reply = ?7, host = ?8 WHERE number = ?1 AND message = ?9";

const WARNED: &str = "UPDATE recipient SET warn = NULL WHERE number = ?1 AND message = ?2";

const WAITS: &str = "SELECT 1 FROM recipient
    WHERE number = ?1 AND message = ?2 AND state = 0 AND leased <> ?3";

const LEFT: &str = "SELECT 1 FROM recipient WHERE message = ?1 LIMIT 1";

const END: &str = "DELETE FROM message WHERE number = ?1 RETURNING id";

const END_CONTENT: &str = "DELETE FROM content WHERE message = ?1";

/// What became of some recipients of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settlement {
    pub message: i64,
    /// Who needs nothing more.
    pub done: Vec<i64>,
    pub kept: Vec<Kept>,
    /// Of whom no warning is due any more.
    pub warned: Vec<i64>,
    /// What is to be told of it.
    pub notices: Vec<NewMessage>,
    pub provided: Provided,
}

/// On what it depends; if that is not so, nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provided {
    #[default]
    Nothing,
    /// All who are done wait, and this run is not attempting them.
    AllWait,
}

/// A recipient who goes on waiting; when a warning is due is not changed by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub number: i64,
    pub progress: Progress,
}

/// A message that is gone with its last recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emptied {
    pub id: String,
    /// The content was not in the database.
    pub content: Whereabouts,
}

/// Whether whom the notices are about was still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concern {
    Somebody,
    Nobody,
}

/// Where a content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    Database,
    File,
}

impl Store {
    /// Writes what became of recipients, all of it or nothing. Recipients that were dropped meanwhile are no
    /// error; if all were that the notices are about, nobody is told.
    pub async fn settle(
        &self,
        settlement: Settlement,
    ) -> Result<(Option<Emptied>, Vec<Placed>), StoreError> {
        let run = self.run();
        let settled = self.change(move |transaction| {
            if settlement.provided == Provided::AllWait && !all_wait(transaction, &settlement, run)?
            {
                return Ok((None, Vec::new()));
            }
            let (emptied, concern) = settle(transaction, &settlement)?;
            let notices = match concern {
                Concern::Somebody => settlement.notices.iter(),
                Concern::Nobody => [].iter(),
            };
            let placed: Result<_, _> = notices.map(|new| insert(transaction, new)).collect();
            Ok((emptied, placed?))
        });
        settled.await
    }
}

fn all_wait(
    transaction: &Transaction<'_>,
    settlement: &Settlement,
    run: Run,
) -> Result<bool, StoreError> {
    let mut statement = transaction.prepare_cached(WAITS)?;
    for number in &settlement.done {
        if !statement.exists(params![number, settlement.message, run.0])? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn settle(
    transaction: &Transaction<'_>,
    settlement: &Settlement,
) -> Result<(Option<Emptied>, Concern), StoreError> {
    let message = settlement.message;
    let mut told = 0;
    for number in &settlement.done {
        told += transaction
            .prepare_cached(REMOVE)?
            .execute(params![number, message])?;
    }
    for kept in &settlement.kept {
        let progress = &kept.progress;
        transaction.prepare_cached(KEEP)?.execute(params![
            kept.number,
            column(progress.next),
            progress.attempts,
            progress.under_way.to_column(),
            progress.reached == HostReached::Yes,
            progress.last.map(column),
            progress.reply,
            progress.host,
            message,
        ])?;
    }
    for number in &settlement.warned {
        told += transaction
            .prepare_cached(WARNED)?
            .execute(params![number, message])?;
    }
    let about_none = settlement.done.is_empty() && settlement.warned.is_empty();
    let concern = match told == 0 && !about_none {
        true => Concern::Nobody,
        false => Concern::Somebody,
    };
    let emptied = match settlement.done.is_empty() {
        true => None,
        false => end_if_empty(transaction, message)?,
    };
    Ok((emptied, concern))
}

/// Removes a message without recipients.
pub(super) fn end_if_empty(
    transaction: &Transaction<'_>,
    message: i64,
) -> Result<Option<Emptied>, StoreError> {
    let mut statement = transaction.prepare_cached(LEFT)?;
    if statement.exists([message])? {
        return Ok(None);
    }
    let mut statement = transaction.prepare_cached(END)?;
    let id: Option<String> = statement
        .query_row([message], |row| row.get(0))
        .optional()?;
    let contents = transaction
        .prepare_cached(END_CONTENT)?
        .execute([message])?;
    let content = match contents {
        0 => Whereabouts::File,
        _ => Whereabouts::Database,
    };
    Ok(id.map(|id| Emptied { id, content }))
}
