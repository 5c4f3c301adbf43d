//! Adding what was seen. The rows are the authority on what was before, so that a restart forgets nothing.

use super::facet::{Numbers, Way, cut};
use super::sighting::{Downgrade, HourCount, Recorded, Sighting, Stands};
use super::{DAY, DOWNGRADE_MEMORY};
use crate::store::{StoreError, changed, seconds};
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Octets of a destination's name: of a domain name RFC 1035 allows fewer.
const MAX_NAME: usize = 255;
/// Octets of what a host has said.
const MAX_WORDS: usize = 512;
/// Octets of what a rule is called.
const MAX_RULE: usize = 255;
/// Rules that are told apart at most.
const MOST_RULES: i64 = 10_000;

/// What a row says before it is changed.
struct Known {
    number: i64,
    last_secured: Option<i64>,
    downgrade_first: Option<i64>,
    downgrade_last: Option<i64>,
    downgraded: i64,
}

pub(super) fn record(
    transaction: &Transaction<'_>,
    sightings: &[Sighting],
    now: u64,
) -> Result<Recorded, StoreError> {
    let mut numbers = Numbers::default();
    let mut recorded = Recorded::default();
    let mut totals = BTreeMap::new();
    let mut rules = BTreeMap::new();
    let mut day_rows = 0;
    let mut added = 0;
    for sighting in sightings {
        let known = match find(transaction, sighting)? {
            Some(known) => known,
            None => {
                added += 1;
                insert(transaction, sighting)?
            }
        };
        let number = known.number;
        let downgrade = update(transaction, sighting, known, now)?;
        recorded.downgrades.extend(downgrade);
        let attempt = numbers.of(transaction, &sighting.attempt.facet)?;
        let delivery = match &sighting.delivery {
            Some(delivery) => Some(numbers.of(transaction, &delivery.facet)?),
            None => None,
        };
        detail(transaction, sighting, (number, attempt, delivery))?;
        for count in &sighting.counts {
            let facet = numbers.of(transaction, &count.facet)?;
            *totals.entry((count.at, facet)).or_insert(0) += count.count;
            let key = (seconds(count.at), number, facet);
            bump(transaction, HOURLY, key, count.count)?;
            day_rows += bump(
                transaction,
                DAILY,
                (day(count.at), number, facet),
                count.count,
            )?;
            if let Some(rule) = &count.rule {
                add_use(rules.entry(&**rule).or_default(), sighting, count);
            }
        }
    }
    for ((at, facet), count) in totals {
        add_total(transaction, at, facet, count)?;
    }
    for (rule, used) in &rules {
        add_rule(transaction, rule, used)?;
    }
    recorded.destinations = resize(transaction, added, day_rows)?;
    Ok(recorded)
}

fn day(at: u64) -> i64 {
    seconds(at - at % DAY)
}

fn find(transaction: &Transaction<'_>, seen: &Sighting) -> Result<Option<Known>, StoreError> {
    let mut select = transaction.prepare_cached(
        "SELECT number, last_secured, downgrade_first, downgrade_last, downgraded FROM destination WHERE name = ?1",
    )?;
    let found = select.query_row([cut(&seen.name, MAX_NAME)], |row| {
        Ok(Known {
            number: row.get(0)?,
            last_secured: row.get(1)?,
            downgrade_first: row.get(2)?,
            downgrade_last: row.get(3)?,
            downgraded: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}

fn insert(transaction: &Transaction<'_>, seen: &Sighting) -> Result<Known, StoreError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO destination (name, first, last, way, downgraded, downgrades, verified, encrypted, plaintext,
             blocked, refused, deferred, would_block)
         VALUES (?1, ?2, ?2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
    )?;
    let number = insert.insert(params![cut(&seen.name, MAX_NAME), seconds(seen.first)])?;
    Ok(Known {
        number,
        last_secured: None,
        downgrade_first: None,
        downgrade_last: None,
        downgraded: 0,
    })
}

/// Changes the row; whether there is a downgrade to tell of.
fn update(
    transaction: &Transaction<'_>,
    seen: &Sighting,
    known: Known,
    now: u64,
) -> Result<Option<Downgrade>, StoreError> {
    // A time in the future was written by a clock that was wrong.
    let had = known.last_secured.map(|at| at.unsigned_abs().min(now));
    let (fell, secured) = fall(seen, had);
    let told_today = known.downgrade_last.is_some_and(|at| {
        fell.as_ref()
            .is_some_and(|fell| day(at.unsigned_abs()) == day(fell.last))
    });
    let downgraded = match (&fell, &seen.delivery) {
        (Some(fell), _) => i64::from(fell.stands == Stands::Yes),
        (None, Some(_)) => 0,
        (None, None) => known.downgraded,
    };
    let delivered = seen.delivery.as_ref().map(|seen| seen.facet.way.number());
    let sums = Sums::of(seen);
    changed(
        transaction,
        "UPDATE destination SET first = min(first, ?2), last = ?3, way = ?4, delivered_way = coalesce(?5, delivered_way),
             downgraded = ?6, last_secured = ?7, downgrade_first = ?8, downgrade_last = ?9, downgrades = downgrades + ?10,
             verified = verified + ?11, encrypted = encrypted + ?12, plaintext = plaintext + ?13,
             blocked = blocked + ?14, refused = refused + ?15, deferred = deferred + ?16, would_block = would_block + ?17
         WHERE number = ?1",
        params![
            known.number,
            seconds(seen.first),
            seconds(seen.last),
            seen.attempt.facet.way.number(),
            delivered,
            downgraded,
            secured.map(seconds),
            known.downgrade_first.or(fell.as_ref().map(|fell| seconds(fell.first))),
            fell.as_ref().map(|fell| seconds(fell.last)).or(known.downgrade_last),
            fell.as_ref().map_or(0, |fell| seconds(fell.count)),
            sums.of_way(Way::Verified),
            sums.of_way(Way::Encrypted),
            sums.of_way(Way::Plaintext),
            sums.of_way(Way::Blocked),
            sums.of_way(Way::Refused),
            sums.of_way(Way::Deferred),
            seconds(sums.would_block),
        ],
    )?;
    let told = fell.filter(|_| !told_today).map(|fell| Downgrade {
        name: Arc::clone(&seen.name),
        cause: fell.cause,
        last_secured: fell.since,
    });
    Ok(told)
}

/// Deliveries in the clear that were downgrades.
struct Fall {
    first: u64,
    last: u64,
    cause: &'static str,
    /// The last TLS.
    since: u64,
    count: u64,
    stands: Stands,
}

/// What of a sighting was a downgrade, and when there was TLS last.
fn fall(seen: &Sighting, had: Option<u64>) -> (Option<Fall>, Option<u64>) {
    let secured = seen.secured.or(had);
    let Some(clear) = seen.clear else {
        return (None, secured);
    };
    let earlier = had.filter(|had| clear.first <= had.saturating_add(DOWNGRADE_MEMORY));
    let before = earlier.map_or(0, |_| clear.before);
    let count = before + clear.after;
    let since = match clear.after {
        0 => earlier,
        _ => seen.secured.or(earlier),
    };
    let fell = since.filter(|_| count > 0).map(|since| Fall {
        first: clear.first,
        last: clear.last,
        cause: clear.cause,
        since,
        count,
        stands: clear.stands,
    });
    (fell, secured)
}

/// Attempts by what came of them.
struct Sums {
    ways: [u64; Way::ALL.len()],
    would_block: u64,
}

impl Sums {
    fn of(seen: &Sighting) -> Self {
        let mut sums = Self {
            ways: [0; Way::ALL.len()],
            would_block: 0,
        };
        for count in &seen.counts {
            sums.ways[count.facet.way as usize] += count.count;
            if count.facet.would_block() {
                sums.would_block += count.count;
            }
        }
        sums
    }

    fn of_way(&self, way: Way) -> i64 {
        seconds(self.ways[way as usize])
    }
}

fn detail(
    transaction: &Transaction<'_>,
    seen: &Sighting,
    (number, attempt, delivery): (i64, i64, Option<i64>),
) -> Result<(), StoreError> {
    let rule = seen.attempt.rule.as_deref().map(|rule| cut(rule, MAX_RULE));
    changed(
        transaction,
        "INSERT INTO destination_detail (destination, facet, rule, channel, channel_at, mx, refusal, refusal_at, refusal_why)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (destination) DO UPDATE SET facet = ?2, rule = ?3, channel = coalesce(?4, channel),
             channel_at = coalesce(?5, channel_at), mx = coalesce(?6, mx), refusal = coalesce(?7, refusal),
             refusal_at = coalesce(?8, refusal_at), refusal_why = CASE WHEN ?8 IS NULL THEN refusal_why ELSE ?9 END",
        params![
            number,
            attempt,
            rule,
            delivery,
            seen.delivery.as_ref().map(|seen| seconds(seen.at)),
            seen.delivery.as_ref().map(|seen| cut(&seen.mx, MAX_NAME)),
            seen.refusal.as_ref().map(|seen| cut(&seen.words, MAX_WORDS)),
            seen.refusal.as_ref().map(|seen| seconds(seen.at)),
            seen.refusal.as_ref().and_then(|seen| seen.why),
        ],
    )?;
    Ok(())
}

/// How to count in a table.
struct Counting {
    update: &'static str,
    insert: &'static str,
}

const HOURLY: Counting = Counting {
    update: "UPDATE destination_hour SET count = count + ?4 WHERE at = ?1 AND destination = ?2 AND facet = ?3",
    insert: "INSERT INTO destination_hour (at, destination, facet, count) VALUES (?1, ?2, ?3, ?4)",
};
const DAILY: Counting = Counting {
    update: "UPDATE destination_day SET count = count + ?4 WHERE at = ?1 AND destination = ?2 AND facet = ?3",
    insert: "INSERT INTO destination_day (at, destination, facet, count) VALUES (?1, ?2, ?3, ?4)",
};

/// Counts; how many rows were added.
fn bump(
    transaction: &Transaction<'_>,
    counting: Counting,
    (at, destination, facet): (i64, i64, i64),
    count: u64,
) -> Result<i64, StoreError> {
    let parameters = params![at, destination, facet, seconds(count)];
    if changed(transaction, counting.update, parameters)? > 0 {
        return Ok(0);
    }
    changed(transaction, counting.insert, parameters)?;
    Ok(1)
}

fn add_total(
    transaction: &Transaction<'_>,
    at: u64,
    facet: i64,
    count: u64,
) -> Result<(), StoreError> {
    changed(
        transaction,
        "INSERT INTO total_hour (at, facet, count) VALUES (?1, ?2, ?3)
         ON CONFLICT (at, facet) DO UPDATE SET count = count + ?3",
        params![seconds(at), facet, seconds(count)],
    )?;
    changed(
        transaction,
        "INSERT INTO total_day (at, facet, count) VALUES (?1, ?2, ?3)
         ON CONFLICT (at, facet) DO UPDATE SET count = count + ?3",
        params![day(at), facet, seconds(count)],
    )?;
    Ok(())
}

/// What a rule has caught.
#[derive(Default)]
struct Used {
    first: Option<u64>,
    last: u64,
    delivered: u64,
    blocked: u64,
    refused: u64,
    would_block: u64,
}

fn add_use(used: &mut Used, seen: &Sighting, count: &HourCount) {
    used.first = Some(used.first.map_or(seen.first, |first| first.min(seen.first)));
    used.last = used.last.max(seen.last);
    match count.facet.way {
        Way::Verified | Way::Encrypted | Way::Plaintext => used.delivered += count.count,
        Way::Blocked => used.blocked += count.count,
        Way::Refused | Way::Deferred => used.refused += count.count,
    }
    if count.facet.would_block() {
        used.would_block += count.count;
    }
}

fn add_rule(transaction: &Transaction<'_>, rule: &str, used: &Used) -> Result<(), StoreError> {
    changed(
        transaction,
        "INSERT INTO rule_use (rule, first, last, delivered, blocked, refused, would_block)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
         WHERE EXISTS (SELECT 1 FROM rule_use WHERE rule = ?1) OR (SELECT count(*) FROM rule_use) < ?8
         ON CONFLICT (rule) DO UPDATE SET first = min(first, ?2), last = ?3, delivered = delivered + ?4,
             blocked = blocked + ?5, refused = refused + ?6, would_block = would_block + ?7",
        params![
            cut(rule, MAX_RULE),
            seconds(used.first.unwrap_or(used.last)),
            seconds(used.last),
            seconds(used.delivered),
            seconds(used.blocked),
            seconds(used.refused),
            seconds(used.would_block),
            MOST_RULES,
        ],
    )?;
    Ok(())
}

/// Adds to what there is; how many destinations there are.
pub(super) fn resize(
    transaction: &Transaction<'_>,
    destinations: i64,
    day_rows: i64,
) -> Result<u64, StoreError> {
    let mut update = transaction.prepare_cached(
        "UPDATE history_size SET destinations = destinations + ?1, day_rows = day_rows + ?2 RETURNING destinations",
    )?;
    let destinations: i64 = update.query_row([destinations, day_rows], |row| row.get(0))?;
    Ok(destinations.unsigned_abs())
}
