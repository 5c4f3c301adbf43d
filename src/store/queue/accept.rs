//! Into custody.

use super::{HostReached, NewMessage, NewRecipient, WAITING, column};
use crate::store::{Store, StoreError};
use rusqlite::{Transaction, params};

const MESSAGE: &str = "INSERT INTO message (id, sender, size, received, expires, details)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const CONTENT: &str = "INSERT INTO content (message, octets) VALUES (?1, ?2)";

const RECIPIENT: &str = "INSERT INTO recipient
    (message, address, destination, notify, orcpt, state, next, attempts, leased, reached, last, reply, host, warn)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

/// Where a message was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub number: i64,
    /// In the order in which they were given.
    pub recipients: Vec<i64>,
}

impl Store {
    /// Takes messages into custody, all or none. Once this is answered they outlive a loss of power.
    pub async fn keep(&self, messages: Vec<NewMessage>) -> Result<Vec<Placed>, StoreError> {
        let kept = self.change(move |transaction| {
            messages
                .iter()
                .map(|message| insert(transaction, message))
                .collect()
        });
        kept.await
    }
}

pub(super) fn insert(
    transaction: &Transaction<'_>,
    message: &NewMessage,
) -> Result<Placed, StoreError> {
    transaction.prepare_cached(MESSAGE)?.execute(params![
        message.id,
        message.sender,
        column(message.size),
        column(message.received),
        column(message.expires),
        message.details,
    ])?;
    let number = transaction.last_insert_rowid();
    if let Some(octets) = &message.content {
        let octets: &[u8] = octets;
        transaction
            .prepare_cached(CONTENT)?
            .execute(params![number, octets])?;
    }
    let recipients = message
        .recipients
        .iter()
        .map(|recipient| insert_recipient(transaction, number, recipient))
        .collect::<Result<_, _>>()?;
    Ok(Placed { number, recipients })
}

fn insert_recipient(
    transaction: &Transaction<'_>,
    message: i64,
    recipient: &NewRecipient,
) -> Result<i64, StoreError> {
    let progress = &recipient.progress;
    transaction.prepare_cached(RECIPIENT)?.execute(params![
        message,
        recipient.address,
        recipient.destination,
        recipient.notify,
        recipient.orcpt,
        WAITING,
        column(progress.next),
        progress.attempts,
        progress.under_way.to_column(),
        progress.reached == HostReached::Yes,
        progress.last.map(column),
        progress.reply,
        progress.host,
        progress.warn.map(column),
    ])?;
    Ok(transaction.last_insert_rowid())
}
