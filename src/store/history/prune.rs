//! Forgetting, in small steps: writes of the queue wait for each of them.

use super::facet;
use super::record::resize;
use super::series::{self, Slot};
use super::{DAY, HOURS_KEPT};
use crate::store::{StoreError, changed, seconds};
use rusqlite::{Connection, Transaction, params};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// How long, in seconds: no less than a day.
    pub retention: u64,
    /// Destinations.
    pub destinations: u64,
    /// Rows by destination and day.
    pub day_rows: u64,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            retention: 366 * DAY,
            destinations: 200_000,
            day_rows: 5_000_000,
        }
    }
}

/// Whether there may be more to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruned {
    Done,
    More,
}

/// Rows that go at once.
const STEP: u64 = 500;
/// Destinations that go at once: each may have rows on every day.
pub(super) const DESTINATIONS_AT_ONCE: usize = 25;
/// Destinations that are looked up at once.
const LOOKED_UP: i64 = 1000;
/// Facets at which those that nothing refers to are looked for.
const MANY_FACETS: i64 = facet::MOST / 4 * 3;

/// A destination that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unseen {
    number: i64,
    /// If it is seen again meanwhile, it stays.
    last: i64,
}

/// Destinations that were not seen for too long, or are too many: those first that were not seen the longest.
pub(super) fn unseen(
    connection: &Connection,
    limits: HistoryLimits,
    now: u64,
) -> Result<Vec<Unseen>, StoreError> {
    let destinations = series::size(connection)?.destinations;
    let excess = destinations.saturating_sub(limits.destinations);
    let mut select = connection.prepare_cached(
        "SELECT number, last FROM destination WHERE ?1 > 0 OR last < ?2 ORDER BY last LIMIT ?3",
    )?;
    let most = match excess {
        0 => LOOKED_UP,
        _ => seconds(excess).min(LOOKED_UP),
    };
    let before = seconds(now.saturating_sub(limits.retention));
    let rows = select.query_map(params![seconds(excess), before, most], |row| {
        Ok(Unseen {
            number: row.get(0)?,
            last: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets destinations with all that is known of them.
pub(super) fn forget(transaction: &Transaction<'_>, unseen: &[Unseen]) -> Result<u64, StoreError> {
    let days = series::times(transaction, Slot::Day)?;
    let hours = series::times(transaction, Slot::Hour)?;
    let mut gone = 0;
    let mut day_rows = 0;
    for destination in unseen {
        let mut select = transaction.prepare_cached(
            "DELETE FROM destination WHERE number = ?1 AND last = ?2 RETURNING first",
        )?;
        let mut rows = select.query(params![destination.number, destination.last])?;
        let Some(row) = rows.next()? else { continue };
        let first: i64 = row.get(0)?;
        while rows.next()?.is_some() {}
        gone += 1;
        changed(
            transaction,
            "DELETE FROM destination_detail WHERE destination = ?1",
            [destination.number],
        )?;
        let within = |at: &&i64| **at > first - seconds(DAY) && **at <= destination.last;
        for at in days.iter().filter(within) {
            let sql = "DELETE FROM destination_day WHERE at = ?1 AND destination = ?2";
            day_rows += changed(transaction, sql, [*at, destination.number])?;
        }
        for at in hours.iter().filter(within) {
            let sql = "DELETE FROM destination_hour WHERE at = ?1 AND destination = ?2";
            changed(transaction, sql, [*at, destination.number])?;
        }
    }
    resize(transaction, -seconds(gone), -seconds(day_rows))?;
    Ok(gone)
}

/// Forgets some of what is too old, or too much.
pub(super) fn step(
    transaction: &Transaction<'_>,
    limits: HistoryLimits,
    now: u64,
) -> Result<Pruned, StoreError> {
    let hours_before = seconds(now.saturating_sub(HOURS_KEPT));
    let days_before = seconds(now.saturating_sub(limits.retention));
    // Totals go last: whatever is counted of a destination is counted in all.
    let mut gone = old_rows(transaction, "destination_hour", hours_before)?;
    if gone < STEP {
        gone += old_totals(transaction, "total_hour", hours_before)?;
    }
    let days = old_days(transaction, limits, days_before)?;
    if days < STEP {
        gone += old_totals(transaction, "total_day", days_before)?;
    }
    changed(
        transaction,
        "DELETE FROM rule_use WHERE rule IN (SELECT rule FROM rule_use WHERE last < ?1 LIMIT ?2)",
        params![days_before, seconds(STEP)],
    )?;
    if gone < STEP && days < STEP && facet::count(transaction)? > MANY_FACETS {
        forget_facets(transaction)?;
    }
    Ok(match gone >= STEP || days >= STEP {
        true => Pruned::More,
        false => Pruned::Done,
    })
}

fn old_days(
    transaction: &Transaction<'_>,
    limits: HistoryLimits,
    before: i64,
) -> Result<u64, StoreError> {
    let excess = series::size(transaction)?
        .day_rows
        .saturating_sub(limits.day_rows);
    let gone = match excess {
        0 => old_rows(transaction, "destination_day", before)?,
        // The oldest first, so that these are too old as well, if any are.
        _ => oldest_rows(transaction, excess.min(STEP))?,
    };
    resize(transaction, 0, -seconds(gone))?;
    Ok(gone)
}

fn oldest_rows(transaction: &Transaction<'_>, most: u64) -> Result<u64, StoreError> {
    changed(
        transaction,
        "DELETE FROM destination_day WHERE (at, destination, facet) IN
             (SELECT at, destination, facet FROM destination_day ORDER BY at, destination, facet LIMIT ?1)",
        [seconds(most)],
    )
}

fn old_rows(
    transaction: &Transaction<'_>,
    table: &'static str,
    before: i64,
) -> Result<u64, StoreError> {
    let sql = format!(
        "DELETE FROM {table} WHERE (at, destination, facet) IN
             (SELECT at, destination, facet FROM {table} WHERE at < ?1 ORDER BY at, destination, facet LIMIT ?2)"
    );
    changed(transaction, &sql, params![before, seconds(STEP)])
}

fn old_totals(
    transaction: &Transaction<'_>,
    table: &'static str,
    before: i64,
) -> Result<u64, StoreError> {
    let sql = format!(
        "DELETE FROM {table} WHERE (at, facet) IN
             (SELECT at, facet FROM {table} WHERE at < ?1 ORDER BY at, facet LIMIT ?2)"
    );
    changed(transaction, &sql, params![before, seconds(STEP)])
}

/// Those that nothing refers to. Strangers choose most of what they say.
fn forget_facets(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    changed(
        transaction,
        "DELETE FROM facet WHERE number NOT IN (
             SELECT facet FROM total_day UNION SELECT facet FROM total_hour UNION
             SELECT facet FROM destination_detail UNION
             SELECT channel FROM destination_detail WHERE channel IS NOT NULL)",
        [],
    )?;
    Ok(())
}
