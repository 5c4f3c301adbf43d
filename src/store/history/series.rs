//! What was delivered over time: in all, and of one destination.

use super::facet::{Facet, Facets};
use super::list::{self, Destination};
use crate::store::{StoreError, seconds};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::HashMap;
use std::sync::Arc;

/// How finely is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Hour,
    Day,
}

/// Attempts of one kind within an hour or a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// When it began, UNIX seconds.
    pub at: u64,
    pub facet: Arc<Facet>,
    pub count: u64,
}

/// All that is known of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationDetail {
    pub destination: Destination,
    /// Of the last attempt.
    pub facet: Arc<Facet>,
    /// What the rule of the last attempt is called, or where it stands.
    pub rule: Option<String>,
    /// When and how mail was delivered last.
    pub channel: Option<SeenChannel>,
    pub refusal: Option<SeenRefusal>,
    pub days: Vec<Total>,
    pub hours: Vec<Total>,
}

/// The last delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenChannel {
    pub at: u64,
    pub facet: Arc<Facet>,
    /// The MX host's name, or its address.
    pub mx: String,
}

/// What kept mail back last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRefusal {
    pub at: u64,
    pub words: String,
    /// RFC 8460's result type, where it was a policy.
    pub why: Option<String>,
}

/// How a destination was reached in a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationUse {
    pub name: String,
    pub first: u64,
    pub last: u64,
    /// What the rule of the last attempt is called, or where it stands.
    pub rule: Option<String>,
    /// Attempts.
    pub ways: Vec<(Arc<Facet>, u64)>,
}

/// What a rule has caught. Times are UNIX seconds, numbers attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleUse {
    /// What it is called, or where it stands.
    pub rule: String,
    pub first: u64,
    pub last: u64,
    /// Destinations whose last attempt was under it.
    pub destinations: u64,
    pub delivered: u64,
    pub blocked: u64,
    /// Refused or put off for another reason than TLS.
    pub refused: u64,
    /// What it would have held back, in dry-run.
    pub would_block: u64,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistorySize {
    pub destinations: u64,
    /// Rows by destination and day.
    pub day_rows: u64,
    /// The oldest day, UNIX seconds.
    pub oldest: Option<u64>,
}

pub(super) fn totals(
    connection: &Connection,
    slot: Slot,
    from: u64,
    to: u64,
) -> Result<Vec<Total>, StoreError> {
    let snapshot = connection.unchecked_transaction()?;
    let facets = Facets::read(&snapshot)?;
    let mut select = snapshot.prepare_cached(match slot {
        Slot::Hour => {
            "SELECT at, facet, count FROM total_hour WHERE at >= ?1 AND at < ?2 ORDER BY at, facet"
        }
        Slot::Day => {
            "SELECT at, facet, count FROM total_day WHERE at >= ?1 AND at < ?2 ORDER BY at, facet"
        }
    })?;
    let mut rows = select.query(params![seconds(from), seconds(to)])?;
    let mut totals = Vec::new();
    while let Some(row) = rows.next()? {
        totals.push(Total {
            at: row.get::<_, i64>(0)?.unsigned_abs(),
            facet: facets.get(row.get(1)?)?,
            count: row.get::<_, i64>(2)?.unsigned_abs(),
        });
    }
    Ok(totals)
}

pub(super) fn destination(
    connection: &Connection,
    name: &str,
) -> Result<Option<DestinationDetail>, StoreError> {
    let snapshot = connection.unchecked_transaction()?;
    let facets = Facets::read(&snapshot)?;
    let sql = format!(
        "SELECT {}, number, facet, rule, channel, channel_at, mx, refusal, refusal_at, refusal_why
         FROM destination JOIN destination_detail ON destination = number WHERE name = ?1",
        list::COLUMNS
    );
    let mut select = snapshot.prepare(&sql)?;
    let mut rows = select.query([name])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let time = |column| -> Result<u64, StoreError> {
        Ok(row
            .get::<_, Option<i64>>(column)?
            .unwrap_or(0)
            .unsigned_abs())
    };
    let number: i64 = row.get(17)?;
    let channel = match row.get::<_, Option<i64>>(20)? {
        Some(facet) => Some(SeenChannel {
            at: time(21)?,
            facet: facets.get(facet)?,
            mx: row.get::<_, Option<String>>(22)?.unwrap_or_default(),
        }),
        None => None,
    };
    let refusal = match row.get::<_, Option<String>>(23)? {
        Some(words) => Some(SeenRefusal {
            at: time(24)?,
            words,
            why: row.get(25)?,
        }),
        None => None,
    };
    Ok(Some(DestinationDetail {
        destination: list::read(row)?,
        facet: facets.get(row.get(18)?)?,
        rule: row.get(19)?,
        channel,
        refusal,
        days: counted(&snapshot, &facets, Slot::Day, number)?,
        hours: counted(&snapshot, &facets, Slot::Hour, number)?,
    }))
}

/// The rows of one destination: looked up time by time, since they are stored by time.
fn counted(
    connection: &Connection,
    facets: &Facets,
    slot: Slot,
    destination: i64,
) -> Result<Vec<Total>, StoreError> {
    let sql = match slot {
        Slot::Hour => {
            "SELECT facet, count FROM destination_hour WHERE at = ?1 AND destination = ?2 ORDER BY facet"
        }
        Slot::Day => {
            "SELECT facet, count FROM destination_day WHERE at = ?1 AND destination = ?2 ORDER BY facet"
        }
    };
    let mut select = connection.prepare_cached(sql)?;
    let mut totals = Vec::new();
    for at in times(connection, slot)? {
        let mut rows = select.query([at, destination])?;
        while let Some(row) = rows.next()? {
            totals.push(Total {
                at: at.unsigned_abs(),
                facet: facets.get(row.get(0)?)?,
                count: row.get::<_, i64>(1)?.unsigned_abs(),
            });
        }
    }
    Ok(totals)
}

/// The hours or days of which there is anything: whatever is counted of a destination is counted in all.
pub(super) fn times(connection: &Connection, slot: Slot) -> Result<Vec<i64>, StoreError> {
    let mut next = connection.prepare_cached(match slot {
        Slot::Hour => "SELECT min(at) FROM total_hour WHERE at > ?1",
        Slot::Day => "SELECT min(at) FROM total_day WHERE at > ?1",
    })?;
    let mut times = Vec::new();
    let mut last = -1;
    while let Some(at) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
        times.push(at);
        last = at;
    }
    Ok(times)
}

pub(super) fn ways(connection: &Connection, since: u64) -> Result<Vec<DestinationUse>, StoreError> {
    let snapshot = connection.unchecked_transaction()?;
    let facets = Facets::read(&snapshot)?;
    let mut sums: HashMap<i64, Vec<(i64, u64)>> = HashMap::new();
    let mut select = snapshot
        .prepare_cached("SELECT destination, facet, count FROM destination_day WHERE at >= ?1")?;
    let mut rows = select.query([seconds(since - since % super::DAY)])?;
    while let Some(row) = rows.next()? {
        let facet = row.get(1)?;
        let count = row.get::<_, i64>(2)?.unsigned_abs();
        let ways = sums.entry(row.get(0)?).or_default();
        match ways.iter_mut().find(|(known, _)| *known == facet) {
            Some((_, sum)) => *sum += count,
            None => ways.push((facet, count)),
        }
    }
    let mut select = snapshot.prepare_cached(
        "SELECT number, name, first, last, rule FROM destination JOIN destination_detail ON destination = number",
    )?;
    let mut rows = select.query([])?;
    let mut used = Vec::with_capacity(sums.len());
    while let Some(row) = rows.next()? {
        let Some(ways) = sums.remove(&row.get(0)?) else {
            continue;
        };
        let ways = ways
            .into_iter()
            .map(|(facet, sum)| Ok((facets.get(facet)?, sum)));
        used.push(DestinationUse {
            name: row.get(1)?,
            first: row.get::<_, i64>(2)?.unsigned_abs(),
            last: row.get::<_, i64>(3)?.unsigned_abs(),
            rule: row.get(4)?,
            ways: ways.collect::<Result<_, StoreError>>()?,
        });
    }
    // Read in the order of their names, every row would be looked up by itself.
    used.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(used)
}

pub(super) fn rules(connection: &Connection, most: u32) -> Result<Vec<RuleUse>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT rule, first, last, delivered, blocked, refused, would_block,
             (SELECT count(*) FROM destination_detail d WHERE d.rule = u.rule)
         FROM rule_use u ORDER BY delivered + blocked + refused DESC, rule LIMIT ?1",
    )?;
    let rows = select.query_map([most], |row| {
        let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(RuleUse {
            rule: row.get(0)?,
            first: number(1)?,
            last: number(2)?,
            delivered: number(3)?,
            blocked: number(4)?,
            refused: number(5)?,
            would_block: number(6)?,
            destinations: number(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn size(connection: &Connection) -> Result<HistorySize, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT destinations, day_rows, (SELECT min(at) FROM total_day) FROM history_size",
    )?;
    let size = select.query_row([], |row| {
        Ok(HistorySize {
            destinations: row.get::<_, i64>(0)?.unsigned_abs(),
            day_rows: row.get::<_, i64>(1)?.unsigned_abs(),
            oldest: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
        })
    });
    size.optional()?
        .ok_or_else(|| StoreError::Corrupt("history_size is empty".into()))
}
