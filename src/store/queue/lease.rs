//! What is due at a destination is taken up: when it may be attempted again is written before it is attempted,
//! so that a crash never makes a host be called in a loop.

use super::rows::{self, StoredMessage, StoredRecipient, recipient_columns, recipient_of};
use super::{Millis, Run, WAITING, column};
use crate::store::{Store, StoreError};
use bytes::Bytes;
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::fmt;
use std::sync::Arc;

const DUE: &str = "SELECT DISTINCT message FROM (
        SELECT message FROM recipient
        WHERE destination = ?1 AND state = ?2 AND next <= ?3 AND leased <> ?5 ORDER BY next LIMIT ?4)";

const RECIPIENTS: &str = concat!(
    "SELECT ",
    recipient_columns!(),
    " FROM recipient r INDEXED BY recipient_message
    WHERE r.message = ?1 AND r.destination = ?2 AND r.state = ?3 AND r.next <= ?4 AND r.leased <> ?5
    ORDER BY r.number"
);

const TAKE: &str = "UPDATE recipient SET leased = ?5, attempts = ?2, next = ?3, last = ?4
    WHERE number = ?1";

const PUT_ASIDE: &str = "UPDATE recipient SET state = 1 WHERE message = ?1";

const STILL: &str = "SELECT number FROM recipient INDEXED BY recipient_message
    WHERE message = ?1 AND state = ?2 AND leased = ?3";

const CONTENT: &str = "SELECT octets FROM content WHERE message = ?1";

/// When a recipient that has been attempted so often, the attempt about to begin included, may be attempted again.
#[derive(Clone)]
pub struct RetryAt(pub Arc<dyn Fn(u32) -> Millis + Send + Sync>);

impl fmt::Debug for RetryAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryAt")
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Lease {
    pub destination: String,
    pub now: Millis,
    pub retry: RetryAt,
    /// Recipients, about.
    pub most: u32,
}

impl Store {
    /// Takes up what is due at a destination, the longest overdue first; nothing that this run is attempting
    /// already. On disk when it is answered. Of each recipient it says how it stood before, but that the attempt
    /// about to begin is counted and `next` is when another may: an attempt that is still under way was cut off,
    /// and may have succeeded.
    pub async fn lease(&self, lease: Lease) -> Result<Vec<StoredMessage>, StoreError> {
        let run = self.run();
        self.change(move |transaction| take_up(transaction, &lease, run))
            .await
    }

    /// Who of a message's recipients this run has taken up and may still attempt, by number.
    pub async fn still_taken_up(&self, message: i64) -> Result<Vec<i64>, StoreError> {
        let run = self.run();
        let read = self.read(move |connection| {
            let mut statement = connection.prepare_cached(STILL)?;
            let numbers =
                statement.query_map(params![message, WAITING, run.0], |row| row.get(0))?;
            Ok(numbers.collect::<Result<_, _>>()?)
        });
        read.await
    }

    /// The content of a message, unless it is in a file.
    pub async fn content(&self, message: i64) -> Result<Option<Bytes>, StoreError> {
        let read = self.read(move |connection| {
            let mut statement = connection.prepare_cached(CONTENT)?;
            let octets = statement.query_row([message], |row| row.get::<_, Vec<u8>>(0));
            Ok(octets.optional()?.map(Bytes::from))
        });
        read.await
    }
}

fn take_up(
    transaction: &Transaction<'_>,
    lease: &Lease,
    run: Run,
) -> Result<Vec<StoredMessage>, StoreError> {
    let mut statement = transaction.prepare_cached(DUE)?;
    let due = params![
        lease.destination,
        WAITING,
        column(lease.now),
        lease.most,
        run.0
    ];
    let numbers: Vec<i64> = statement
        .query_map(due, |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut leased = Vec::with_capacity(numbers.len());
    for number in numbers {
        let Some(message) = rows::message(transaction, number)? else {
            // The file is damaged: who has lost his message is put aside, so that the others have theirs.
            let put_aside = transaction.prepare_cached(PUT_ASIDE)?.execute([number])?;
            tracing::error!(
                message = number,
                recipients = put_aside,
                "the store has lost a message of the queue"
            );
            continue;
        };
        let recipients = recipients(transaction, number, (lease, run))?;
        leased.push(StoredMessage {
            recipients,
            ..message
        });
    }
    Ok(leased)
}

fn recipients(
    transaction: &Transaction<'_>,
    message: i64,
    (lease, run): (&Lease, Run),
) -> Result<Vec<StoredRecipient>, StoreError> {
    let mut statement = transaction.prepare_cached(RECIPIENTS)?;
    let due = params![
        message,
        lease.destination,
        WAITING,
        column(lease.now),
        run.0
    ];
    let mut recipients: Vec<StoredRecipient> = statement
        .query_map(due, recipient_of)?
        .collect::<Result<_, _>>()?;
    let mut take = transaction.prepare_cached(TAKE)?;
    for recipient in &mut recipients {
        let progress = &mut recipient.progress;
        progress.attempts = progress.attempts.saturating_add(1);
        progress.next = (lease.retry.0)(progress.attempts);
        let (next, last) = (column(progress.next), column(lease.now));
        take.execute(params![
            recipient.number,
            progress.attempts,
            next,
            last,
            run.0
        ])?;
    }
    Ok(recipients)
}
