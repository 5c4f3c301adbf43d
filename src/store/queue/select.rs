//! Which messages a selection means, in the order of arrival, without reading all there is.
//!
//! Messages arrive in the order of their numbers, and so do their recipients; a number is never given twice. What
//! names a domain is found by `recipient_due`, what is held by `recipient_held`. Nothing else has an index: then
//! the messages are walked through, a bounded stretch at a time, and who asks goes on from there.

use super::{HELD, Millis, RecipientState, WAITING, column};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension as _, params};

/// Recipients at a domain up to which they are sorted anew for each page.
pub(in crate::store) const FEW: i64 = 10_000;
/// Messages that are walked through before it is looked where to go on.
pub(in crate::store) const WINDOW: i64 = 10_000;
/// Windows after which a walk is broken off, for another to go on.
const WINDOWS: u32 = 5;

pub(in crate::store) const BY_ID: &str = "SELECT number FROM message WHERE id = ?1";

pub(in crate::store) const HOW_MANY: &str = "SELECT count(*) FROM (
        SELECT 1 FROM recipient INDEXED BY recipient_due
        WHERE destination IN (?1, ?2) AND state IN (?3, ?4) LIMIT ?5)";

/// `CROSS`: in this order.
pub(in crate::store) const OF_FEW: &str =
    "SELECT DISTINCT r.message FROM recipient r INDEXED BY recipient_due
    CROSS JOIN message m ON m.number = r.message
    WHERE r.destination IN (?4, ?5) AND r.state IN (?6, ?7) AND m.number BETWEEN ?1 AND ?2
    AND (?8 IS NULL OR m.sender = ?8 COLLATE NOCASE)
    AND (?9 IS NULL OR m.received < ?9) AND (?10 IS NULL OR m.received > ?10)
    ORDER BY r.message LIMIT ?3";

pub(in crate::store) const WALK: &str = "SELECT m.number FROM message m
    WHERE m.number BETWEEN ?1 AND ?2
    AND (?8 IS NULL OR m.sender = ?8 COLLATE NOCASE)
    AND (?9 IS NULL OR m.received < ?9) AND (?10 IS NULL OR m.received > ?10)
    AND EXISTS (SELECT 1 FROM recipient r INDEXED BY recipient_message WHERE r.message = m.number
        AND (?4 IS NULL OR r.destination IN (?4, ?5)) AND r.state IN (?6, ?7))
    ORDER BY m.number LIMIT ?3";

pub(in crate::store) const NEXT: &str =
    "SELECT number FROM message WHERE number > ?1 ORDER BY number LIMIT 1";

pub(in crate::store) const NEXT_HELD: &str =
    "SELECT message FROM recipient INDEXED BY recipient_held
    WHERE state = 1 AND message > ?1 ORDER BY message LIMIT 1";

/// Reads of the index what concerns the domain, but nothing else.
pub(in crate::store) const NEXT_AT: &str = "SELECT message FROM recipient WHERE number = (
        SELECT min(number) FROM recipient INDEXED BY recipient_due
        WHERE destination IN (?2, ?3) AND state IN (?4, ?5) AND number >= (
            SELECT number FROM recipient INDEXED BY recipient_message
            WHERE message > ?1 ORDER BY message, number LIMIT 1))";

/// What is asked for: messages, and of them the recipients. All that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    pub id: Option<String>,
    /// A-labels in lower case, or an address literal: of recipients.
    pub domain: Option<String>,
    /// Without brackets; empty for the null reverse path. The case of ASCII letters does not matter.
    pub sender: Option<String>,
    /// Of recipients.
    pub state: Option<RecipientState>,
    pub received_before: Option<Millis>,
    pub received_after: Option<Millis>,
}

/// A stretch of the queue, by numbers of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub after: i64,
    /// Included.
    pub until: i64,
    /// Messages.
    pub most: u32,
}

/// Numbers of messages that were found.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) numbers: Vec<i64>,
    /// After which to go on; `None`: that was all.
    pub(super) next: Option<i64>,
}

impl Selection {
    /// Destinations that are a domain's: its ordinary mail, and what waives published policies.
    pub(super) fn destinations(&self) -> [Option<String>; 2] {
        let waiving = |domain: &String| format!("{domain};tls-required=no");
        [self.domain.clone(), self.domain.as_ref().map(waiving)]
    }

    /// The states that will do.
    pub(super) fn states(&self) -> [i64; 2] {
        match self.state {
            None => [WAITING, HELD],
            Some(RecipientState::Waiting) => [WAITING; 2],
            Some(RecipientState::Held) => [HELD; 2],
        }
    }

    /// Messages from one number to another.
    fn query(
        &self,
        connection: &Connection,
        sql: &str,
        (from, to, most): (i64, i64, i64),
    ) -> Result<Vec<i64>, StoreError> {
        let ([ordinary, waiving], [state, other]) = (self.destinations(), self.states());
        let mut statement = connection.prepare_cached(sql)?;
        let bound = params![
            from,
            to,
            most,
            ordinary,
            waiving,
            state,
            other,
            self.sender,
            self.received_before.map(column),
            self.received_after.map(column),
        ];
        let numbers = statement.query_map(bound, |row| row.get(0))?;
        Ok(numbers.collect::<Result<_, _>>()?)
    }

    fn has_few(&self, connection: &Connection) -> Result<bool, StoreError> {
        let ([ordinary, waiving], [state, other]) = (self.destinations(), self.states());
        if ordinary.is_none() {
            return Ok(false);
        }
        let mut statement = connection.prepare_cached(HOW_MANY)?;
        let bound = params![ordinary, waiving, state, other, FEW + 1];
        let count: i64 = statement.query_row(bound, |row| row.get(0))?;
        Ok(count <= FEW)
    }

    /// The first message after one that may be meant.
    fn next(&self, connection: &Connection, after: i64) -> Result<Option<i64>, StoreError> {
        let sql = match (self.domain.is_some(), self.state) {
            (true, _) => return self.next_at(connection, after),
            (false, Some(RecipientState::Held)) => NEXT_HELD,
            (false, Some(RecipientState::Waiting) | None) => NEXT,
        };
        one(connection, sql, after)
    }

    fn next_at(&self, connection: &Connection, after: i64) -> Result<Option<i64>, StoreError> {
        let ([ordinary, waiving], [state, other]) = (self.destinations(), self.states());
        let mut statement = connection.prepare_cached(NEXT_AT)?;
        let bound = params![after, ordinary, waiving, state, other];
        let found = statement.query_row(bound, |row| row.get(0));
        Ok(found.optional()?)
    }
}

/// Looks for what is asked for.
pub(super) fn find(
    connection: &Connection,
    selection: &Selection,
    stretch: Stretch,
) -> Result<Found, StoreError> {
    let from = stretch.after.saturating_add(1);
    let most = i64::from(stretch.most);
    if let Some(id) = &selection.id {
        let mut statement = connection.prepare_cached(BY_ID)?;
        let number = statement.query_row([id], |row| row.get::<_, i64>(0));
        let number = number.optional()?;
        let Some(number) = number.filter(|number| (from..=stretch.until).contains(number)) else {
            return Ok(Found::default());
        };
        let numbers = selection.query(connection, WALK, (number, number, most))?;
        return Ok(Found {
            numbers,
            next: None,
        });
    }
    if selection.has_few(connection)? {
        let numbers = selection.query(connection, OF_FEW, (from, stretch.until, most))?;
        let is_full = numbers.len() as i64 >= most;
        let next = numbers.last().copied().filter(|_| is_full);
        return Ok(Found { numbers, next });
    }
    walk(connection, selection, stretch)
}

/// Messages of a domain that are close to each other are found by the first step of it; where they are not, the
/// index says where the next one is.
fn walk(
    connection: &Connection,
    selection: &Selection,
    stretch: Stretch,
) -> Result<Found, StoreError> {
    let mut found = Found {
        numbers: Vec::new(),
        next: Some(stretch.after),
    };
    for window in 0..WINDOWS {
        let Some(after) = found.next.take() else {
            break;
        };
        let start = match (window, selection.state) {
            (0, Some(RecipientState::Waiting) | None) => one(connection, NEXT, after)?,
            (_, _) => selection.next(connection, after)?,
        };
        let Some(start) = start.filter(|start| *start <= stretch.until) else {
            break;
        };
        let end = start.saturating_add(WINDOW - 1).min(stretch.until);
        let wanted = i64::from(stretch.most) - found.numbers.len() as i64;
        let more = selection.query(connection, WALK, (start, end, wanted))?;
        let is_full = more.len() as i64 >= wanted;
        found.numbers.extend(more);
        if is_full {
            found.next = found.numbers.last().copied();
            break;
        }
        found.next = Some(end).filter(|end| *end < stretch.until);
    }
    Ok(found)
}

fn one(connection: &Connection, sql: &str, after: i64) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([after], |row| row.get(0)).optional()?)
}
