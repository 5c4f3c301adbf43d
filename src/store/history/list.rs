//! The destinations, page by page.

use super::facet::Way;
use crate::store::{StoreError, seconds};
use rusqlite::{Connection, Row, params};

/// Destinations on a page at most.
const MOST: u32 = 500;
/// Octets of what is searched for.
const MAX_SEARCH: usize = 255;

/// Which destinations, in what order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationQuery {
    /// A part of the name, in either case; `None`, like an empty one: all.
    pub search: Option<String>,
    pub filter: DestinationFilter,
    pub sort: Sort,
    pub direction: Direction,
    pub offset: u32,
    /// 500 at most.
    pub limit: u32,
}

impl Default for DestinationQuery {
    fn default() -> Self {
        Self {
            search: None,
            filter: DestinationFilter::All,
            sort: Sort::Last,
            direction: Direction::Descending,
            offset: 0,
            limit: 100,
        }
    }
}

/// What a destination is like now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationFilter {
    All,
    /// A policy held the last attempt back.
    Blocked,
    /// The last delivery went in the clear.
    Plaintext,
    /// So it did, although there was TLS before.
    Downgraded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Name,
    /// When it was seen last.
    Last,
    Deliveries,
    Blocked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// A page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationPage {
    /// How many match, on all pages.
    pub matching: u64,
    pub rows: Vec<Destination>,
}

/// What a list says of a destination. Times are UNIX seconds, numbers attempts since it was first seen, one for each
/// recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub name: String,
    pub first: u64,
    pub last: u64,
    /// What came of the last attempt.
    pub way: Way,
    /// How the last delivery went.
    pub delivered_way: Option<Way>,
    /// Whether the last delivery went in the clear, although there was TLS before.
    pub downgraded: bool,
    /// When there was TLS last, also where the host refused.
    pub last_secured: Option<u64>,
    pub downgrade_first: Option<u64>,
    pub downgrade_last: Option<u64>,
    /// Deliveries in the clear after TLS.
    pub downgrades: u64,
    pub verified: u64,
    pub encrypted: u64,
    pub plaintext: u64,
    pub blocked: u64,
    pub refused: u64,
    pub deferred: u64,
    /// What rules in dry-run would have held back.
    pub would_block: u64,
}

impl Destination {
    pub fn delivered(&self) -> u64 {
        self.verified + self.encrypted + self.plaintext
    }
}

/// The columns of a [`Destination`], in the order in which [`read`] takes them.
pub(super) const COLUMNS: &str = "name, first, last, way, delivered_way, downgraded, last_secured, downgrade_first, \
     downgrade_last, downgrades, verified, encrypted, plaintext, blocked, refused, deferred, would_block";

pub(super) fn read(row: &Row<'_>) -> Result<Destination, StoreError> {
    let number =
        |column| -> Result<u64, StoreError> { Ok(row.get::<_, i64>(column)?.unsigned_abs()) };
    let maybe = |column| -> Result<Option<u64>, StoreError> {
        Ok(row.get::<_, Option<i64>>(column)?.map(i64::unsigned_abs))
    };
    Ok(Destination {
        name: row.get(0)?,
        first: number(1)?,
        last: number(2)?,
        way: Way::of(row.get(3)?)?,
        delivered_way: row.get::<_, Option<i64>>(4)?.map(Way::of).transpose()?,
        downgraded: number(5)? != 0,
        last_secured: maybe(6)?,
        downgrade_first: maybe(7)?,
        downgrade_last: maybe(8)?,
        downgrades: number(9)?,
        verified: number(10)?,
        encrypted: number(11)?,
        plaintext: number(12)?,
        blocked: number(13)?,
        refused: number(14)?,
        deferred: number(15)?,
        would_block: number(16)?,
    })
}

pub(super) fn page(
    connection: &Connection,
    query: &DestinationQuery,
) -> Result<DestinationPage, StoreError> {
    // Both answers are of one moment.
    let snapshot = connection.unchecked_transaction()?;
    let search = query.search.as_deref().unwrap_or_default();
    let search = super::facet::cut(search, MAX_SEARCH).to_ascii_lowercase();
    let condition = condition(query.filter, &search);
    let count = match (query.filter, &*search) {
        // Counting takes as long as searching.
        (DestinationFilter::All, "") => {
            "SELECT destinations FROM history_size WHERE ?1 = ''".into()
        }
        _ => format!("SELECT count(*) FROM destination WHERE {condition}"),
    };
    let matching: i64 = snapshot
        .prepare(&count)?
        .query_row(params![search], |row| row.get(0))?;
    let matching = matching.unsigned_abs();
    let slice = Slice::of(query, matching);
    // The numbers alone are sorted, and then only what is on the page is read.
    let order = match (query.filter, &*search) {
        (DestinationFilter::All, "") => order("name", query.sort, slice.direction),
        // By the index every row would be looked up by itself.
        _ => order("+name", query.sort, slice.direction),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM (SELECT number AS chosen FROM destination WHERE {condition} ORDER BY {order}
             LIMIT ?2 OFFSET ?3) JOIN destination ON number = chosen ORDER BY {order}"
    );
    let mut select = snapshot.prepare(&sql)?;
    let mut rows = select.query(params![search, seconds(slice.limit), seconds(slice.offset)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    if slice.direction != query.direction {
        found.reverse();
    }
    Ok(DestinationPage {
        matching,
        rows: found,
    })
}

/// What is read for a page: from the nearer end, since all that lies before it is sorted too.
struct Slice {
    direction: Direction,
    offset: u64,
    limit: u64,
}

impl Slice {
    fn of(query: &DestinationQuery, matching: u64) -> Self {
        let begin = u64::from(query.offset).min(matching);
        let end = matching.min(begin + u64::from(query.limit.min(MOST)));
        let behind = matching - end;
        let (direction, offset) = match behind < begin {
            true => (query.direction.reversed(), behind),
            false => (query.direction, begin),
        };
        Self {
            direction,
            offset,
            limit: end - begin,
        }
    }
}

/// `?1` is what is searched for.
fn condition(filter: DestinationFilter, search: &str) -> String {
    let state = match filter {
        DestinationFilter::All => "1",
        DestinationFilter::Blocked => "way = 4",
        DestinationFilter::Plaintext => "delivered_way = 3",
        DestinationFilter::Downgraded => "downgraded = 1",
    };
    match search {
        // It is named all the same: a statement takes as many parameters as it is given.
        "" => format!("{state} AND ?1 = ''"),
        _ => format!("{state} AND instr(name, ?1) > 0"),
    }
}

/// Complete, so that no destination is on two pages.
fn order(name: &str, sort: Sort, direction: Direction) -> String {
    let direction = match direction {
        Direction::Ascending => "ASC",
        Direction::Descending => "DESC",
    };
    match sort {
        Sort::Name => format!("{name} {direction}"),
        Sort::Last => format!("last {direction}, number {direction}"),
        Sort::Deliveries => {
            format!("verified + encrypted + plaintext {direction}, number {direction}")
        }
        Sort::Blocked => format!("blocked {direction}, number {direction}"),
    }
}
