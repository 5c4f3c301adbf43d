//! The queue without addresses: who may read the page may not know who writes to whom.

use super::overview::QueueCounts;
use crate::admin::queue::{QueueEntry, QueueRecipient, QueueState};
use crate::queue::SeenPage;
use crate::smtp::address::without_addresses;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Recipients of one message that are shown at most.
const MOST_RECIPIENTS: usize = 20;

/// Answer to `/api/v1/queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueShown {
    #[serde(flatten)]
    pub counts: QueueCounts,
    /// Those that have waited longest: they are the next to be returned.
    pub mail: Vec<QueuedMail>,
    /// `after` of what follows; `null`: that was all.
    pub next: Option<i64>,
}

/// A message that waits, or is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedMail {
    pub id: String,
    /// `waiting`, `held` or `active`.
    pub state: QueueState,
    /// Octets.
    pub size: u64,
    pub received: Timestamp,
    pub next_attempt: Option<Timestamp>,
    /// When the sender gets it back.
    pub expires: Timestamp,
    /// Twenty at most.
    pub recipients: Vec<QueuedRecipient>,
    /// How many there are in all.
    pub recipients_total: u64,
}

/// A recipient, by domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRecipient {
    pub domain: String,
    pub state: QueueState,
    pub attempts: u32,
    /// What came of the last attempt, with addresses left out.
    pub reply: Option<String>,
    pub last_attempt: Option<Timestamp>,
    pub next_attempt: Option<Timestamp>,
}

impl QueueShown {
    pub(in super::super) fn of(counts: QueueCounts, page: SeenPage) -> Self {
        let messages = page.messages.into_iter();
        Self {
            counts,
            mail: messages
                .map(|seen| QueuedMail::of(QueueEntry::of(seen)))
                .collect(),
            next: page.next,
        }
    }
}

impl QueuedMail {
    fn of(entry: QueueEntry) -> Self {
        let recipients_total = entry.recipients.len() as u64;
        let sender = entry.sender;
        let recipients = entry.recipients.into_iter().take(MOST_RECIPIENTS);
        Self {
            id: entry.id,
            state: entry.state,
            size: entry.size,
            received: entry.received,
            next_attempt: entry.next_attempt,
            expires: entry.expires,
            recipients: recipients
                .map(|one| QueuedRecipient::of(one, &sender))
                .collect(),
            recipients_total,
        }
    }
}

impl QueuedRecipient {
    fn of(recipient: QueueRecipient, sender: &str) -> Self {
        let known = [recipient.address.as_str(), sender];
        Self {
            domain: recipient.domain,
            state: recipient.status,
            attempts: recipient.attempts,
            reply: recipient
                .reply
                .map(|reply| without_addresses(&reply, &known)),
            last_attempt: recipient.last_attempt,
            next_attempt: recipient.next_attempt,
        }
    }
}
