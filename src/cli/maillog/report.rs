//! The report: what is printed, in the form of its JSON.

use super::impact::{self, Impact};
use crate::maillog::{Channel, Destination, Side, Summary, Trust, Version, Ways};
use jiff::Timestamp;
use serde::Serialize;

/// Names that are listed of ciphers and the like.
const NAMES: usize = 12;
/// Hours up to which a timeline is by the hour.
const BY_HOUR: i64 = 72;
/// Columns of a timeline at most.
const COLUMNS: usize = 366;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of the mail in it.
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    pub(super) lines: Lines,
    pub(super) outbound: Direction,
    pub(super) inbound: Direction,
    pub(super) submitted: Direction,
    /// Recipients that filters and mailboxes of this machine got; not part of `outbound`.
    pub(super) handed_over: u64,
    /// Recipients of `outbound` that Sealpost delivered.
    pub(super) by_sealpost: u64,
    /// Messages that came from this machine; not part of `inbound`.
    pub(super) from_here: u64,
    pub(super) impact: Vec<Impact>,
    pub(super) destinations: Listed<Sent>,
    pub(super) problems: Listed<Trouble>,
}

#[derive(Debug, Serialize)]
pub(super) struct Lines {
    pub(super) read: u64,
    pub(super) used: u64,
    pub(super) older: u64,
    pub(super) unreadable: u64,
    pub(super) too_long: u64,
}

/// The first of many.
#[derive(Debug, Serialize)]
pub(super) struct Listed<T> {
    pub(super) total: usize,
    pub(super) shown: Vec<T>,
}

/// Mail in one direction.
#[derive(Debug, Serialize)]
pub(super) struct Direction {
    /// Whether the log says anything of TLS; if not, the counts of it are null.
    pub(super) tls_logged: bool,
    pub(super) messages: Shares,
    pub(super) connections: Shares,
    /// Connections that neither began TLS nor brought a message.
    pub(super) idle_connections: u64,
    pub(super) failed_handshakes: u64,
    /// Of messages.
    pub(super) versions: Vec<Named>,
    pub(super) proofs: Vec<Named>,
    /// Of connections.
    pub(super) ciphers: Vec<Named>,
    pub(super) key_exchanges: Vec<Named>,
    pub(super) timeline: Vec<Moment>,
}

/// How much of a whole was encrypted.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Shares {
    pub(super) total: u64,
    /// With and without proof of who the other end is.
    pub(super) tls: Option<u64>,
    pub(super) verified: Option<u64>,
    pub(super) plaintext: Option<u64>,
    /// `tls` of `total`, from 0 to 1.
    pub(super) tls_share: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) count: u64,
}

/// An hour or a day.
#[derive(Debug, Serialize)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) verified: u64,
    /// Without proof.
    pub(super) encrypted: u64,
    pub(super) plaintext: u64,
}

/// One destination.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    pub(super) domain: String,
    pub(super) recipients: Shares,
    pub(super) versions: Vec<Named>,
    pub(super) proofs: Vec<Named>,
    pub(super) deferred: u64,
    pub(super) bounced: u64,
    pub(super) blocked: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

/// What went wrong at a destination.
#[derive(Debug, Serialize)]
pub(super) struct Trouble {
    pub(super) domain: String,
    pub(super) problem: &'static str,
    pub(super) count: u64,
    /// What was said last.
    pub(super) words: String,
}

/// Whether what the log does not say can be told from what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Yes,
    No,
}

impl Report {
    pub(super) fn new(summary: &Summary, top: usize) -> Self {
        let lines = summary.lines;
        let [outbound, inbound] = [summary.tells_outbound(), summary.tells_inbound()]
            .map(|tells| if tells { Told::Yes } else { Told::No });
        let sent = |d: &Destination| Sent::new(d, outbound);
        let problems = troubles(&summary.destinations);
        Self {
            from: summary.first.and_then(time),
            to: summary.last.and_then(time),
            lines: Lines {
                read: lines.read,
                used: lines.used,
                older: lines.older,
                unreadable: lines.unreadable,
                too_long: lines.too_long,
            },
            outbound: Direction::new(&summary.outbound, outbound),
            inbound: Direction::new(&summary.inbound, inbound),
            submitted: Direction::new(&summary.submitted, inbound),
            handed_over: summary.handed_over,
            by_sealpost: summary.by_sealpost,
            from_here: summary.from_here,
            impact: impact::of(summary),
            destinations: Listed {
                total: summary.destinations.len(),
                shown: summary.destinations.iter().take(top).map(sent).collect(),
            },
            problems: Listed {
                total: problems.len(),
                shown: problems.into_iter().take(top).collect(),
            },
        }
    }
}

impl Direction {
    fn new(side: &Side, told: Told) -> Self {
        let listed = |names: Vec<(&str, u64)>| {
            let named = names.into_iter().take(NAMES);
            named.map(|(name, count)| Named::new(name, count)).collect()
        };
        let timeline = match told {
            Told::Yes => timeline(side),
            Told::No => Vec::new(),
        };
        Self {
            tls_logged: told == Told::Yes,
            messages: Shares::of(&side.messages, told),
            connections: Shares::of(&side.connections, told),
            idle_connections: side.idle,
            failed_handshakes: side.failures,
            versions: versions(&side.messages),
            proofs: proofs(&side.messages),
            ciphers: listed(side.ciphers.sorted()),
            key_exchanges: listed(side.exchanges.sorted()),
            timeline,
        }
    }
}

impl Shares {
    fn of(ways: &Ways, told: Told) -> Self {
        let (total, tls) = (ways.total(), ways.tls());
        let known = |count| (told == Told::Yes).then_some(count);
        Self {
            total,
            tls: known(tls),
            verified: known(ways.verified()),
            plaintext: known(total - tls),
            tls_share: known(tls)
                .filter(|_| total > 0)
                .map(|tls| tls as f64 / total as f64),
        }
    }
}

impl Named {
    fn new(name: &str, count: u64) -> Self {
        Self {
            name: name.to_owned(),
            count,
        }
    }
}

impl Sent {
    fn new(destination: &Destination, told: Told) -> Self {
        let seen = |at| {
            Some(at)
                .filter(|_| destination.ways.total() > 0)
                .and_then(time)
        };
        Self {
            domain: destination.name.to_string(),
            recipients: Shares::of(&destination.ways, told),
            versions: versions(&destination.ways),
            proofs: proofs(&destination.ways),
            deferred: destination.deferred,
            bounced: destination.bounced,
            blocked: destination.blocked,
            first: seen(destination.first),
            last: seen(destination.last),
        }
    }
}

fn versions(ways: &Ways) -> Vec<Named> {
    let count = |version| {
        ways.sum(|channel| match channel {
            Channel::Tls(seen, _) => seen == version,
            Channel::Plaintext => false,
        })
    };
    let named = Version::ALL.map(|version| Named::new(version.as_str(), count(version)));
    named.into_iter().filter(|named| named.count > 0).collect()
}

fn proofs(ways: &Ways) -> Vec<Named> {
    let count = |trust| {
        ways.sum(|channel| match channel {
            Channel::Tls(_, seen) => seen == trust,
            Channel::Plaintext => false,
        })
    };
    let named = Trust::ALL.map(|trust| Named::new(trust.as_str(), count(trust)));
    named.into_iter().filter(|named| named.count > 0).collect()
}

/// The most frequent first.
fn troubles(destinations: &[Destination]) -> Vec<Trouble> {
    let of = |destination: &Destination| {
        let domain = destination.name.to_string();
        let problems = destination.problems.iter();
        let all: Vec<Trouble> = problems
            .map(|(problem, count, words)| Trouble {
                domain: domain.clone(),
                problem: problem.as_str(),
                count,
                words: words.to_owned(),
            })
            .collect();
        all
    };
    let mut all: Vec<Trouble> = destinations.iter().flat_map(of).collect();
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.domain.cmp(&b.domain)));
    all
}

/// By the hour for three days, else by the day; without holes, and not longer than a year.
fn timeline(side: &Side) -> Vec<Moment> {
    let (Some((first, _)), Some((last, _))) =
        (side.hours.first_key_value(), side.hours.last_key_value())
    else {
        return Vec::new();
    };
    let hours = if last - first < BY_HOUR { 1 } else { 24 };
    let (first, last) = (first.div_euclid(hours), last.div_euclid(hours));
    let first = first.max(last - i64::try_from(COLUMNS).unwrap_or(i64::MAX) + 1);
    let moment = |at: i64| {
        let counts = side.hours.range(at * hours..(at + 1) * hours);
        let [verified, encrypted, plaintext] = counts.fold([0; 3], |sum, (_, add)| {
            [sum[0] + add[0], sum[1] + add[1], sum[2] + add[2]]
        });
        Some(Moment {
            at: time(at * hours * 3600)?,
            verified,
            encrypted,
            plaintext,
        })
    };
    (first..=last).filter_map(moment).collect()
}

fn time(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}
