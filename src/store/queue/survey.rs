//! What there is, and what has come due.

use super::rows::{self, StoredMessage, message_columns, message_of, with_recipients};
use super::{Millis, WAITING, column};
use crate::store::{Store, StoreError, changed};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

const DESTINATIONS: &str = "SELECT destination, min(next) FROM recipient INDEXED BY recipient_due
    WHERE state = ?1 AND leased <> ?2 GROUP BY destination";

const NEXT: &str = "SELECT next FROM recipient INDEXED BY recipient_due
    WHERE destination = ?1 AND state = ?2 AND leased <> ?3 ORDER BY next LIMIT 1";

const RECOVERED: &str = "UPDATE recipient SET next = min(next, ?2), reached = 1
    WHERE destination = ?1 AND state = 0 AND leased <> ?3 AND reached = 0";

const EXPIRED: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM message m INDEXED BY message_expires
    WHERE m.expires <= ?1 AND (m.expires, m.number) > (?2, ?3)
    AND EXISTS (SELECT 1 FROM recipient r INDEXED BY recipient_message
        WHERE r.message = m.number AND r.state = 0)
    ORDER BY m.expires, m.number LIMIT ?4"
);

const WARNED: &str = "SELECT DISTINCT message FROM (
        SELECT message FROM recipient INDEXED BY recipient_warn
        WHERE warn IS NOT NULL AND warn <= ?1 AND state = 0 ORDER BY warn LIMIT ?2)";

/// Of those that are held as a whole.
macro_rules! all_held {
    () => {
        " FROM recipient r INDEXED BY recipient_held WHERE state = 1 AND NOT EXISTS (
            SELECT 1 FROM recipient o INDEXED BY recipient_message
            WHERE o.message = r.message AND o.state = 0)"
    };
}

const HELD_COUNT: &str = concat!("SELECT count(DISTINCT message)", all_held!());

const OLDEST_HELD: &str = concat!(
    "SELECT received FROM message WHERE number = (SELECT message",
    all_held!(),
    " ORDER BY message LIMIT 1)"
);

const OLDEST: &str = "SELECT received FROM message m WHERE EXISTS (
        SELECT 1 FROM recipient r INDEXED BY recipient_message
        WHERE r.message = m.number AND r.state = 0) ORDER BY number LIMIT 1";

/// A destination with mail that waits, and when the first of it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub destination: String,
    pub next: Millis,
}

/// What there is, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub messages: u64,
    /// Of them, those of which every recipient is held.
    pub held: u64,
    /// When the oldest of the others was received.
    pub oldest: Option<Millis>,
    /// The same of those that are held.
    pub oldest_held: Option<Millis>,
}

impl Store {
    /// Every destination with mail that waits and is not under way.
    pub async fn destinations(&self) -> Result<Vec<Due>, StoreError> {
        let run = self.run();
        let read = self.read_aside(move |connection| {
            let mut statement = connection.prepare(DESTINATIONS)?;
            let due = |row: &Row<'_>| {
                Ok(Due {
                    destination: row.get(0)?,
                    next: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            };
            let all: Result<_, _> = statement.query_map([WAITING, run.0], due)?.collect();
            Ok(all?)
        });
        read.await
    }

    /// When the next recipient at a destination is due that is not under way; `None`: there is none.
    pub async fn next_due(&self, destination: &str) -> Result<Option<Millis>, StoreError> {
        let destination = destination.to_owned();
        let run = self.run();
        let read = self.read(move |connection| {
            let mut statement = connection.prepare_cached(NEXT)?;
            let waiting = params![destination, WAITING, run.0];
            let next = statement.query_row(waiting, |row| row.get::<_, i64>(0));
            Ok(next.optional()?.map(i64::unsigned_abs))
        });
        read.await
    }

    /// A destination's host was reached again: who failed for want of one is due now. How many are.
    pub async fn recovered(&self, destination: &str, now: Millis) -> Result<u64, StoreError> {
        let destination = destination.to_owned();
        let run = self.run();
        self.write(move |transaction| {
            let changes = params![destination, column(now), run.0];
            changed(transaction, RECOVERED, changes)
        })
        .await
    }

    /// Messages with somebody who waits although their time is over, by the end of it and number; those after
    /// `after` only.
    pub async fn expired(
        &self,
        now: Millis,
        after: (Millis, i64),
        most: u32,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let read = self.read_aside(move |connection| {
            let mut statement = connection.prepare(EXPIRED)?;
            let over = params![column(now), column(after.0), after.1, most];
            let found = statement.query_map(over, message_of)?;
            let found: Vec<StoredMessage> = found.collect::<Result<_, _>>()?;
            found
                .into_iter()
                .map(|message| with_recipients(connection, message))
                .collect()
        });
        read.await
    }

    /// Messages with a recipient of whom the sender is due a warning.
    pub async fn warnings(&self, now: Millis, most: u32) -> Result<Vec<StoredMessage>, StoreError> {
        let read = self.read(move |connection| {
            let mut statement = connection.prepare_cached(WARNED)?;
            let due = statement.query_map(params![column(now), most], |row| row.get(0))?;
            let numbers: Vec<i64> = due.collect::<Result<_, _>>()?;
            let mut found = Vec::with_capacity(numbers.len());
            for number in numbers {
                if let Some(message) = rows::message(connection, number)? {
                    found.push(with_recipients(connection, message)?);
                }
            }
            Ok(found)
        });
        read.await
    }

    /// Whether anything can be written: something is.
    pub async fn touch(&self) -> Result<(), StoreError> {
        self.write(|transaction| changed(transaction, "UPDATE touched SET times = times + 1", []))
            .await
            .map(drop)
    }

    /// What no other database is called: letters and digits.
    pub async fn identity(&self) -> Result<String, StoreError> {
        self.read(|connection| {
            Ok(connection.query_row("SELECT id FROM identity", [], |row| row.get(0))?)
        })
        .await
    }

    /// Whether there is a message of that id.
    pub async fn is_in_queue(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        let read = self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT 1 FROM message WHERE id = ?1")?;
            Ok(statement.exists([id])?)
        });
        read.await
    }

    /// What there is. It may take a while.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        self.read_aside(totals).await
    }
}

fn totals(connection: &Connection) -> Result<Totals, StoreError> {
    let number = |sql: &str| -> Result<Option<u64>, StoreError> {
        let found: Option<i64> = connection
            .query_row(sql, [], |row| row.get(0))
            .optional()?
            .flatten();
        Ok(found.map(i64::unsigned_abs))
    };
    Ok(Totals {
        messages: number("SELECT count(*) FROM message")?.unwrap_or(0),
        held: number(HELD_COUNT)?.unwrap_or(0),
        oldest: number(OLDEST)?,
        oldest_held: number(OLDEST_HELD)?,
    })
}
