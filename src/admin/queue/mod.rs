//! The queue in JSON, as the admin socket answers and `sealpost queue` prints it.
//!
//! Names of fields are for users' scripts: they stay. Times are UTC (RFC 3339), to a second.

mod client;
mod query;
mod routes;

pub use query::{QueueSelection, queue_domain, queue_id, queue_sender};
pub(super) use routes::routes;

use crate::queue::{Act, Seen, SeenRecipient, Standing, Tally};
use crate::store::queue::Millis;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Messages in one answer at most.
pub const MAX_PAGE: u32 = 1000;

/// A message in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntry {
    pub id: String,
    /// Held if every recipient is, else active if one is, else waiting.
    pub state: QueueState,
    /// Without brackets; empty for the null sender.
    pub sender: String,
    /// Octets.
    pub size: u64,
    pub received: Timestamp,
    /// Of the recipient that waits whose turn comes first, not before; `None`: none waits.
    pub next_attempt: Option<Timestamp>,
    /// When the sender gets it back.
    pub expires: Timestamp,
    pub recipients: Vec<QueueRecipient>,
}

/// A recipient of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRecipient {
    /// Without brackets.
    pub address: String,
    /// A-labels, or an address literal.
    pub domain: String,
    pub status: QueueState,
    /// What came of the last attempt, or why there is none; `None`: nothing has happened yet.
    pub reply: Option<String>,
    /// Begun.
    pub attempts: u32,
    pub last_attempt: Option<Timestamp>,
    /// Not before; `None`: it is held, or being attempted.
    pub next_attempt: Option<Timestamp>,
}

/// How a message or a recipient stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueState {
    /// For its next attempt.
    Waiting,
    /// It is not attempted until it is released.
    Held,
    /// An attempt is under way.
    Active,
}

/// Answer to a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePage {
    /// In the order of arrival; it may be none although there are more.
    pub messages: Vec<QueueEntry>,
    /// After what to go on; `None`: that was all.
    pub next: Option<i64>,
    /// How many messages there are in all; only if all were asked for, and from the first.
    pub total: Option<u64>,
}

/// Answer to a question for one message, if there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueMissing {
    pub id: String,
    pub error: String,
}

/// Answer to a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueChanged {
    pub messages: u64,
    pub recipients: u64,
    /// What is left of it, to be asked for again; `None`: that was all.
    pub rest: Option<QueueRest>,
}

/// What is left of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRest {
    pub after: i64,
    pub until: i64,
}

impl QueueState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Active => "active",
        }
    }
}

impl fmt::Display for QueueState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Standing> for QueueState {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Waiting => Self::Waiting,
            Standing::Held => Self::Held,
            Standing::Active => Self::Active,
        }
    }
}

impl QueueEntry {
    pub(super) fn of(seen: Seen) -> Self {
        let message = seen.message;
        let recipients = seen.recipients.into_iter();
        let recipients: Vec<QueueRecipient> = recipients.map(QueueRecipient::of).collect();
        let next = recipients.iter().filter_map(|one| one.next_attempt).min();
        Self {
            id: message.id,
            state: state_of(&recipients),
            sender: message.sender,
            size: message.size,
            received: time(message.received),
            next_attempt: next,
            expires: time(message.expires),
            recipients,
        }
    }
}

fn state_of(recipients: &[QueueRecipient]) -> QueueState {
    let stands = |state| move |recipient: &QueueRecipient| recipient.status == state;
    if recipients.iter().all(stands(QueueState::Held)) {
        QueueState::Held
    } else if recipients.iter().any(stands(QueueState::Active)) {
        QueueState::Active
    } else {
        QueueState::Waiting
    }
}

impl QueueRecipient {
    fn of(seen: SeenRecipient) -> Self {
        let (stored, status) = (seen.stored, seen.standing.into());
        let progress = stored.progress;
        let waits = status == QueueState::Waiting;
        Self {
            domain: query::domain_of(&stored.address, &stored.destination),
            address: stored.address,
            status,
            reply: progress.reply,
            attempts: progress.attempts,
            last_attempt: progress.last.map(time),
            next_attempt: waits.then(|| time(progress.next)),
        }
    }
}

impl QueueMissing {
    fn of(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            error: "no such message in the queue".to_owned(),
        }
    }
}

impl From<Tally> for QueueChanged {
    fn from(tally: Tally) -> Self {
        let rest = tally.rest.map(|rest| QueueRest {
            after: rest.after,
            until: rest.until,
        });
        Self {
            messages: tally.messages,
            recipients: tally.recipients,
            rest,
        }
    }
}

/// What was done, as the log says it.
pub fn done(act: Act) -> &'static str {
    match act {
        Act::Hold => "held",
        Act::Release => "released",
        Act::Retry => "made due",
        Act::Drop => "dropped",
    }
}

/// What cannot be is the end of time.
fn time(millis: Millis) -> Timestamp {
    let seconds = i64::try_from(millis / 1000).ok();
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
