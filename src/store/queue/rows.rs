//! Messages and recipients as they are in the database.

use super::{HostReached, Millis, Progress, RecipientState, UnderWay};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension as _, Row};

/// Columns of a message, in the order of [`message_of`].
macro_rules! message_columns {
    () => {
        "m.number, m.id, m.sender, m.size, m.received, m.expires, m.details"
    };
}

/// Columns of a recipient, in the order of [`recipient_of`].
macro_rules! recipient_columns {
    () => {
        "r.number, r.address, r.destination, r.notify, r.orcpt, r.state, r.next, r.attempts, r.leased, \
         r.reached, r.last, r.reply, r.host, r.warn"
    };
}

pub(super) use {message_columns, recipient_columns};

const MESSAGE: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM message m WHERE m.number = ?1"
);

const RECIPIENTS: &str = concat!(
    "SELECT ",
    recipient_columns!(),
    " FROM recipient r WHERE r.message = ?1 ORDER BY r.number"
);

/// A message in custody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    pub number: i64,
    pub id: String,
    /// Without brackets; empty for the null reverse path.
    pub sender: String,
    /// Octets.
    pub size: u64,
    pub received: Millis,
    pub expires: Millis,
    /// JSON.
    pub details: String,
    /// All of them, or those that were asked for.
    pub recipients: Vec<StoredRecipient>,
}

/// A recipient of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecipient {
    pub number: i64,
    pub address: String,
    pub destination: String,
    pub notify: Option<String>,
    pub orcpt: Option<String>,
    pub state: RecipientState,
    pub progress: Progress,
}

/// A message without its recipients.
pub(super) fn message_of(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    Ok(StoredMessage {
        number: row.get(0)?,
        id: row.get(1)?,
        sender: row.get(2)?,
        size: unsigned(row, 3)?,
        received: unsigned(row, 4)?,
        expires: unsigned(row, 5)?,
        details: row.get(6)?,
        recipients: Vec::new(),
    })
}

pub(super) fn recipient_of(row: &Row<'_>) -> rusqlite::Result<StoredRecipient> {
    Ok(StoredRecipient {
        number: row.get(0)?,
        address: row.get(1)?,
        destination: row.get(2)?,
        notify: row.get(3)?,
        orcpt: row.get(4)?,
        state: RecipientState::from_column(row.get(5)?),
        progress: Progress {
            next: unsigned(row, 6)?,
            attempts: row.get(7)?,
            under_way: UnderWay::from_column(row.get(8)?),
            reached: match row.get(9)? {
                true => HostReached::Yes,
                false => HostReached::No,
            },
            last: time(row, 10)?,
            reply: row.get(11)?,
            host: row.get(12)?,
            warn: time(row, 13)?,
        },
    })
}

fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::unsigned_abs)
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Millis>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(i64::unsigned_abs))
}

/// A message without its recipients, by its number.
pub(super) fn message(
    connection: &Connection,
    number: i64,
) -> Result<Option<StoredMessage>, StoreError> {
    let mut statement = connection.prepare_cached(MESSAGE)?;
    Ok(statement.query_row([number], message_of).optional()?)
}

/// Adds all its recipients to a message.
pub(super) fn with_recipients(
    connection: &Connection,
    message: StoredMessage,
) -> Result<StoredMessage, StoreError> {
    let mut statement = connection.prepare_cached(RECIPIENTS)?;
    let found = statement.query_map([message.number], recipient_of)?;
    Ok(StoredMessage {
        recipients: found.collect::<Result<_, _>>()?,
        ..message
    })
}
