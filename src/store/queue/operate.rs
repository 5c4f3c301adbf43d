//! What an administrator does with the queue: look, hold, release, make due, drop.
//!
//! What a change concerns is looked for beside the writer, which then has a bounded number of recipients to
//! change: accepting mail never waits long.

use super::rows::{self, StoredMessage, with_recipients};
use super::select::{Found, Selection, Stretch, find};
use super::settle::{Emptied, end_if_empty};
use super::survey::Due;
use super::{Millis, RecipientState, Run, column};
use crate::store::{Store, StoreError};
use rusqlite::{Connection, Row, Transaction, params};
use std::collections::HashMap;

/// Messages that one step of a change concerns at most.
const STEP: u32 = 250;
/// Recipients after which a step takes no further message.
const STEP_RECIPIENTS: u64 = 500;
/// Recipients after which a page takes no further message.
const PAGE_RECIPIENTS: usize = 2000;

/// The recipients that are meant, in all changes.
macro_rules! concerned {
    () => {
        " WHERE message = ?1 AND (?2 IS NULL OR destination IN (?2, ?3)) AND state IN (?4, ?5)"
    };
}

pub(in crate::store) const HOLD: &str = concat!(
    "UPDATE recipient INDEXED BY recipient_message SET state = 1",
    concerned!(),
    " AND state = 0 RETURNING destination, next"
);

pub(in crate::store) const RELEASE: &str = concat!(
    "UPDATE recipient INDEXED BY recipient_message SET state = 0",
    concerned!(),
    " AND state = 1 RETURNING destination, next"
);

/// Who is being attempted is not attempted a second time.
pub(in crate::store) const RETRY: &str = concat!(
    "UPDATE recipient INDEXED BY recipient_message SET next = min(next, ?6)",
    concerned!(),
    " AND state = 0 AND leased <> ?7 RETURNING destination, next"
);

pub(in crate::store) const DROP: &str = concat!(
    "DELETE FROM recipient INDEXED BY recipient_message",
    concerned!(),
    " RETURNING destination, next"
);

pub(in crate::store) const NEWEST: &str = "SELECT max(number) FROM message";

const COUNT: &str = "SELECT count(*) FROM message";

/// What is done with recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Those that wait are held.
    Hold,
    /// Those that are held wait again.
    Release,
    /// Those that wait are due at this time, unless they are being attempted.
    Retry(Millis),
    /// They are gone, and with its last one the message.
    Drop,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueuePage {
    /// With all their recipients, in the order of arrival.
    pub messages: Vec<StoredMessage>,
    /// After which to go on; `None`: that was all.
    pub next: Option<i64>,
}

/// What a step of a change has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    pub messages: u64,
    pub recipients: u64,
    /// Where something waits now that did not before, or not until then.
    pub due: Vec<Due>,
    /// Messages that are gone.
    pub emptied: Vec<Emptied>,
    /// After which to go on; `None`: that was all.
    pub next: Option<i64>,
}

impl Change {
    fn sql(self) -> &'static str {
        match self {
            Self::Hold => HOLD,
            Self::Release => RELEASE,
            Self::Retry(_) => RETRY,
            Self::Drop => DROP,
        }
    }

    /// The state of those that it can change; `None`: any.
    fn state(self) -> Option<RecipientState> {
        match self {
            Self::Hold | Self::Retry(_) => Some(RecipientState::Waiting),
            Self::Release => Some(RecipientState::Held),
            Self::Drop => None,
        }
    }

    /// What of a selection it can change, if anything.
    fn narrow(self, selection: Selection) -> Option<Selection> {
        match (self.state(), selection.state) {
            (None, _) => Some(selection),
            (Some(own), Some(asked)) if own != asked => None,
            (Some(own), _) => Some(Selection {
                state: Some(own),
                ..selection
            }),
        }
    }

    fn makes_due(self) -> bool {
        match self {
            Self::Release | Self::Retry(_) => true,
            Self::Hold | Self::Drop => false,
        }
    }
}

impl Store {
    /// A part of what is asked for. It may be empty although there is more.
    pub async fn queue_page(
        &self,
        selection: Selection,
        stretch: Stretch,
    ) -> Result<QueuePage, StoreError> {
        self.read_aside(move |connection| {
            let found = find(connection, &selection, stretch)?;
            page(connection, found)
        })
        .await
    }

    /// The message of this id.
    pub async fn queue_message(&self, id: &str) -> Result<Option<StoredMessage>, StoreError> {
        let selection = Selection {
            id: Some(id.to_owned()),
            ..Selection::default()
        };
        let everywhere = Stretch {
            after: 0,
            until: i64::MAX,
            most: 1,
        };
        let page = self.queue_page(selection, everywhere).await?;
        Ok(page.messages.into_iter().next())
    }

    /// How many messages there are.
    pub async fn queue_length(&self) -> Result<u64, StoreError> {
        self.read_aside(|connection| {
            let count: i64 = connection.query_row(COUNT, [], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    /// The number of the message that has come last; 0 if there is none.
    pub async fn queue_newest(&self) -> Result<i64, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(NEWEST)?;
            let newest: Option<i64> = statement.query_row([], |row| row.get(0))?;
            Ok(newest.unwrap_or(0))
        })
        .await
    }

    /// A step of a change; on disk when it is answered.
    pub async fn queue_change(
        &self,
        selection: Selection,
        change: Change,
        stretch: Stretch,
    ) -> Result<Changed, StoreError> {
        let Some(selection) = change.narrow(selection) else {
            return Ok(Changed::default());
        };
        let stretch = Stretch {
            most: stretch.most.min(STEP),
            ..stretch
        };
        let wanted = selection.clone();
        let found = self
            .read_aside(move |connection| find(connection, &wanted, stretch))
            .await?;
        if found.numbers.is_empty() {
            return Ok(Changed {
                next: found.next,
                ..Changed::default()
            });
        }
        let run = self.run();
        self.change(move |transaction| apply(transaction, (&selection, change, run), &found))
            .await
    }
}

fn page(connection: &Connection, found: Found) -> Result<QueuePage, StoreError> {
    let mut page = QueuePage {
        messages: Vec::with_capacity(found.numbers.len()),
        next: found.next,
    };
    let mut recipients = 0;
    let mut last = None;
    for number in found.numbers {
        if recipients >= PAGE_RECIPIENTS {
            page.next = last;
            break;
        }
        last = Some(number);
        let Some(message) = rows::message(connection, number)? else {
            continue;
        };
        let message = with_recipients(connection, message)?;
        recipients += message.recipients.len();
        // One that has just ended may have none left.
        if !message.recipients.is_empty() {
            page.messages.push(message);
        }
    }
    Ok(page)
}

fn apply(
    transaction: &Transaction<'_>,
    (selection, change, run): (&Selection, Change, Run),
    found: &Found,
) -> Result<Changed, StoreError> {
    let mut changed = Changed {
        next: found.next,
        ..Changed::default()
    };
    let mut due: HashMap<String, Millis> = HashMap::new();
    let mut last = None;
    for &number in &found.numbers {
        if changed.recipients >= STEP_RECIPIENTS {
            changed.next = last;
            break;
        }
        last = Some(number);
        let concerned = change_message(transaction, (selection, change, run), number)?;
        if concerned.is_empty() {
            continue;
        }
        changed.messages += 1;
        changed.recipients += concerned.len() as u64;
        if change == Change::Drop {
            changed.emptied.extend(end_if_empty(transaction, number)?);
        }
        for Due { destination, next } in concerned {
            let first = due.entry(destination).or_insert(next);
            *first = next.min(*first);
        }
    }
    if change.makes_due() {
        let due = due.into_iter();
        changed.due = due
            .map(|(destination, next)| Due { destination, next })
            .collect();
    }
    Ok(changed)
}

/// The recipients that are changed.
fn change_message(
    transaction: &Transaction<'_>,
    (selection, change, run): (&Selection, Change, Run),
    number: i64,
) -> Result<Vec<Due>, StoreError> {
    let ([ordinary, waiving], [state, other]) = (selection.destinations(), selection.states());
    let mut statement = transaction.prepare_cached(change.sql())?;
    let due = |row: &Row<'_>| {
        Ok(Due {
            destination: row.get(0)?,
            next: row.get::<_, i64>(1)?.unsigned_abs(),
        })
    };
    let concerned = match change {
        Change::Retry(now) => {
            let now = column(now);
            let bound = params![number, ordinary, waiving, state, other, now, run.0];
            statement.query_map(bound, due)?.collect::<Result<_, _>>()
        }
        Change::Hold | Change::Release | Change::Drop => {
            let bound = params![number, ordinary, waiving, state, other];
            statement.query_map(bound, due)?.collect::<Result<_, _>>()
        }
    };
    Ok(concerned?)
}
