//! How this node is, and what it did in the last day and the last 30 days.

use super::counts::{Span, over_time};
use super::{Counts, DestinationEntry, Shares, Slot, time};
use crate::dns::{DnssecStatus, Validation};
use crate::store::history::{DAY, HOUR, HistorySize, ShownPage, Total};
use crate::store::queue::Totals;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Answer to `/api/v1/overview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    pub node: Node,
    /// As `/readyz` says.
    pub ready: bool,
    /// What is wrong, a sentence each: that of `/readyz`, and of this page.
    pub problems: Vec<String>,
    pub configuration: Configuration,
    pub dnssec: DnssecState,
    /// `null`: there is none, or it cannot be read.
    pub queue: Option<QueueCounts>,
    /// Policies in the MTA-STS cache; `null`: it cannot be read.
    pub mta_sts_policies: Option<u64>,
    /// `null`: it cannot be read.
    pub history: Option<History>,
    /// Why something is missing; then the answer is 503.
    pub unavailable: Option<String>,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub hostname: String,
    pub version: String,
    /// Of the answer.
    pub time: Timestamp,
    pub started: Timestamp,
    /// Seconds.
    pub uptime: u64,
    /// Octets of the database and its log.
    pub store_size: Option<u64>,
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// When it was read.
    pub read: Timestamp,
    /// Why the last reload failed; `null`: it did not.
    pub problem: Option<String>,
}

/// What the last probe of the root found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnssecState {
    /// `off`, `works`, `broken`, `untimely` or `no-answer`.
    pub state: String,
    /// Who checks the signatures while it works: `in-process` or `servers`.
    pub validation: Option<String>,
    /// Why it does not work.
    pub reason: Option<String>,
}

/// Messages in our custody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    pub messages: u64,
    /// Of them, those of which every recipient is held.
    pub held: u64,
    /// When the oldest of the others was received.
    pub oldest: Option<Timestamp>,
    pub oldest_held: Option<Timestamp>,
}

/// What was delivered, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Destinations that are known.
    pub destinations: u64,
    /// The oldest day.
    pub since: Option<Timestamp>,
    /// Destinations whose last attempt a TLS policy held back.
    pub blocked: u64,
    /// Whose last delivery went in the clear.
    pub plaintext: u64,
    /// So it did, although there was TLS before.
    pub downgraded: u64,
    /// The last 24 hours, this one included.
    pub day: Period,
    /// The last 30 days, this one included.
    pub month: Period,
    /// The last seen of those that are blocked, five at most.
    pub blocked_now: Vec<DestinationEntry>,
    /// The same of those that are downgraded.
    pub downgraded_now: Vec<DestinationEntry>,
}

/// A time, in slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    pub from: Timestamp,
    #[serde(flatten)]
    pub counts: Counts,
    pub shares: Shares,
    /// Hours of the day, days of the month.
    pub slots: Vec<Slot>,
}

/// What the store says for a history.
pub(in super::super) struct Found {
    pub(in super::super) size: HistorySize,
    pub(in super::super) hours: Vec<Total>,
    pub(in super::super) days: Vec<Total>,
    pub(in super::super) blocked: ShownPage,
    pub(in super::super) plaintext: u64,
    pub(in super::super) downgraded: ShownPage,
}

impl History {
    pub(in super::super) fn of(found: Found, now: u64) -> Self {
        let entries = |page: ShownPage| page.rows.into_iter().map(DestinationEntry::of).collect();
        Self {
            destinations: found.size.destinations,
            since: found.size.oldest.map(time),
            blocked: found.blocked.matching,
            plaintext: found.plaintext,
            downgraded: found.downgraded.matching,
            day: Period::of(
                &found.hours,
                Span {
                    from: day_from(now),
                    to: now,
                    step: HOUR,
                },
            ),
            month: Period::of(
                &found.days,
                Span {
                    from: month_from(now),
                    to: now,
                    step: DAY,
                },
            ),
            blocked_now: entries(found.blocked),
            downgraded_now: entries(found.downgraded),
        }
    }
}

/// When the last 24 hours began, this one included.
pub(in super::super) fn day_from(now: u64) -> u64 {
    (now - now % HOUR).saturating_sub(23 * HOUR)
}

/// When the last 30 days began, this one included.
pub(in super::super) fn month_from(now: u64) -> u64 {
    (now - now % DAY).saturating_sub(29 * DAY)
}

impl Period {
    fn of(totals: &[Total], span: Span) -> Self {
        let (counts, slots) = over_time(totals, span);
        Self {
            from: time(span.from),
            counts,
            shares: Shares::of(totals),
            slots,
        }
    }
}

impl QueueCounts {
    pub(in super::super) fn of(totals: Totals) -> Self {
        Self {
            messages: totals.messages,
            held: totals.held,
            oldest: totals.oldest.map(|millis| time(millis / 1000)),
            oldest_held: totals.oldest_held.map(|millis| time(millis / 1000)),
        }
    }
}

impl DnssecState {
    pub(in super::super) fn of(status: DnssecStatus) -> Self {
        let (state, validation, reason) = match status {
            DnssecStatus::Off => ("off", None, None),
            DnssecStatus::Works(Validation::InProcess) => ("works", Some("in-process"), None),
            DnssecStatus::Works(Validation::Servers) => ("works", Some("servers"), None),
            DnssecStatus::Broken(why) => ("broken", None, Some(why)),
            DnssecStatus::Untimely(why) => ("untimely", None, Some(why)),
            DnssecStatus::NoAnswer(why) => ("no-answer", None, Some(why)),
        };
        Self {
            state: state.to_owned(),
            validation: validation.map(str::to_owned),
            reason,
        }
    }
}
