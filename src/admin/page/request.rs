//! What is asked for, as the query of a URL. What is not known is ignored; what is wrong is said.

use crate::store::history::{DestinationFilter, DestinationQuery, Direction, Sort};

/// Longest query, octets.
const MAX_QUERY: usize = 2048;
/// Longest text that is searched for, octets.
const MAX_SEARCH: usize = 255;
/// Rows on a page: unless it is said, and at most.
const ROWS: u32 = 50;
const MOST_ROWS: u32 = 500;
/// Pages are counted up to here.
const MOST_PAGES: u32 = 1_000_000;

/// A query, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// In any case; empty: everything.
    pub(super) search: String,
    pub(super) sort: Sort,
    pub(super) direction: Direction,
    pub(super) state: DestinationFilter,
    /// From 1.
    pub(super) page: u32,
    pub(super) limit: u32,
    /// After which message of the queue.
    pub(super) after: i64,
    pub(super) period: Shown,
}

/// Of which time shares are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Day,
    Month,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            search: String::new(),
            sort: Sort::Last,
            direction: Direction::Descending,
            state: DestinationFilter::All,
            page: 1,
            limit: ROWS,
            after: 0,
            period: Shown::Day,
        }
    }
}

/// What a sort, an order or a state is called.
pub(super) const SORTS: [(&str, Sort); 4] = [
    ("name", Sort::Name),
    ("last", Sort::Last),
    ("deliveries", Sort::Deliveries),
    ("blocked", Sort::Blocked),
];
pub(super) const ORDERS: [(&str, Direction); 2] = [
    ("asc", Direction::Ascending),
    ("desc", Direction::Descending),
];
pub(super) const STATES: [(&str, DestinationFilter); 4] = [
    ("all", DestinationFilter::All),
    ("blocked", DestinationFilter::Blocked),
    ("plaintext", DestinationFilter::Plaintext),
    ("downgraded", DestinationFilter::Downgraded),
];
const PERIODS: [(&str, Shown); 2] = [("day", Shown::Day), ("month", Shown::Month)];

impl Asked {
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        if query.len() > MAX_QUERY {
            return Err(format!("the query is longer than {MAX_QUERY} octets"));
        }
        let mut asked = Self::default();
        let mut order = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = unescape(value).ok_or_else(|| format!("{} is no text", quoted(name)))?;
            match name {
                "q" => asked.search = search(&text)?,
                "sort" => asked.sort = one_of(name, &text, &SORTS)?,
                "order" => order = Some(one_of(name, &text, &ORDERS)?),
                "state" => asked.state = one_of(name, &text, &STATES)?,
                "period" => asked.period = one_of(name, &text, &PERIODS)?,
                "page" => asked.page = number(name, &text, MOST_PAGES)?,
                "limit" => asked.limit = number(name, &text, MOST_ROWS)?,
                "after" => {
                    let after = text.parse().ok().filter(|after| *after >= 0);
                    asked.after = after.ok_or_else(|| "after is no number".to_owned())?;
                }
                _ => {}
            }
        }
        asked.direction = order.unwrap_or(natural(asked.sort));
        Ok(asked)
    }

    /// How many rows are on the pages before this one.
    pub(super) fn offset(&self) -> u32 {
        (self.page - 1).saturating_mul(self.limit)
    }

    pub(super) fn destinations(&self) -> DestinationQuery {
        DestinationQuery {
            search: Some(self.search.clone()),
            filter: self.state,
            sort: self.sort,
            direction: self.direction,
            offset: self.offset(),
            limit: self.limit,
        }
    }

    /// The query that asks for this; what would be understood anyway is left out.
    pub(super) fn query(&self) -> String {
        let usual = Self::default();
        let mut pairs = Vec::new();
        if !self.search.is_empty() {
            pairs.push(format!("q={}", escape(&self.search)));
        }
        if self.state != usual.state {
            pairs.push(format!("state={}", word(&STATES, self.state)));
        }
        if self.sort != usual.sort {
            pairs.push(format!("sort={}", word(&SORTS, self.sort)));
        }
        if self.direction != natural(self.sort) {
            pairs.push(format!("order={}", word(&ORDERS, self.direction)));
        }
        if self.limit != usual.limit {
            pairs.push(format!("limit={}", self.limit));
        }
        if self.period != usual.period {
            pairs.push(format!("period={}", word(&PERIODS, self.period)));
        }
        if self.page != usual.page {
            pairs.push(format!("page={}", self.page));
        }
        match pairs.is_empty() {
            true => String::new(),
            false => format!("?{}", pairs.join("&")),
        }
    }
}

/// How something is sorted unless it is said: names from A, else the most first.
pub(super) fn natural(sort: Sort) -> Direction {
    match sort {
        Sort::Name => Direction::Ascending,
        Sort::Last | Sort::Deliveries | Sort::Blocked => Direction::Descending,
    }
}

pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    let found = words.iter().find(|(_, known)| *known == value);
    found.map_or("", |(word, _)| word)
}

fn search(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.len() > MAX_SEARCH {
        return Err(format!("q is longer than {MAX_SEARCH} octets"));
    }
    Ok(text.to_lowercase())
}

fn one_of<T: Copy>(name: &str, text: &str, words: &[(&'static str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    Err(format!("{name} is one of: {}", words.join(", ")))
}

fn number(name: &str, text: &str, most: u32) -> Result<u32, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("{name} is not 1 to {most}"))
}

/// A stranger's word in a sentence.
fn quoted(name: &str) -> String {
    let cut: String = name.chars().take(40).collect();
    format!("\"{}\"", cut.escape_debug())
}

/// Percent-encoding (RFC 3986 §2.1), for a path or a query.
pub(super) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for octet in value.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(octet.into());
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// As forms encode it; `None`: it is no UTF-8, or no escape.
fn unescape(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(octets).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_was_written() {
        for asked in [
            Asked::default(),
            Asked {
                search: "a&b=+%\"<é".into(),
                sort: Sort::Name,
                direction: Direction::Descending,
                state: DestinationFilter::Downgraded,
                page: 7,
                limit: 500,
                after: 0,
                period: Shown::Month,
            },
            Asked {
                sort: Sort::Blocked,
                direction: Direction::Ascending,
                ..Asked::default()
            },
        ] {
            let query = asked.query();
            assert!(
                query.is_ascii() && !query.contains(['<', '"', ' ']),
                "{query}"
            );
            assert_eq!(
                Asked::parse(query.trim_start_matches('?')),
                Ok(asked),
                "{query}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_the_rest_ignored() {
        for (query, wrong) in [
            (
                "sort=size",
                "sort is one of: name, last, deliveries, blocked",
            ),
            ("order=up", "order is one of: asc, desc"),
            ("state=", "state is one of"),
            ("page=0", "page is not 1 to"),
            ("page=1000001", "page is not 1 to"),
            ("page=x", "page is not 1 to"),
            ("limit=501", "limit is not 1 to 500"),
            ("after=-1", "after is no number"),
            ("q=%zz", "\"q\" is no text"),
            ("q=%ff", "\"q\" is no text"),
        ] {
            assert!(
                Asked::parse(query).unwrap_err().starts_with(wrong),
                "{query}"
            );
        }
        assert!(Asked::parse(&format!("q={}", "x".repeat(256))).is_err());
        assert!(
            Asked::parse(&"x".repeat(2049))
                .unwrap_err()
                .contains("2048")
        );
        for query in ["", "&&", "utm=1&x", "page=1&foo=%20"] {
            assert_eq!(Asked::parse(query), Ok(Asked::default()), "{query}");
        }
        let spaced = Asked::parse("q=+MX.Example+").unwrap();
        assert_eq!(spaced.search, "mx.example");
    }
}
