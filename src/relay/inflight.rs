//! A message that was handed over: its replies, as they become known.

use super::{Custody, Delivering};
use crate::delivery::outcome::Outcome;
use crate::message::Message;
use crate::smtp::envelope::Recipient;
use crate::smtp::reply::Reply;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

/// Takes messages from clients; what the server side knows of custody and delivery.
pub trait Submit: Send + Sync + std::fmt::Debug {
    /// Says that mail for a recipient will come, so that lookups can begin. Never waits.
    fn expect(&self, recipient: &Recipient);

    /// Takes a message that is to be answered on these terms.
    fn submit(&self, message: Message, answering: Answering) -> InFlight;

    /// Whether another message could be kept now. Never waits.
    fn room(&self) -> Room;
}

/// How a client is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answering {
    pub custody: Custody,
    pub replies: Replies,
}

/// How many replies end a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// SMTP: one for all recipients.
    One,
    /// LMTP: one for each (RFC 2033 §4.2).
    Each,
}

/// Whether the store would take another message of the largest size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    No,
    Yes,
}

/// Replies to come, one per recipient in the envelope's order, or one for all. Dropping it withdraws the
/// message: every delivery whose final dot has not gone out is given up, and nothing is kept.
#[derive(Debug)]
pub struct InFlight {
    replies: Vec<Option<Pending>>,
    _withdraw: Option<DropGuard>,
}

#[derive(Debug)]
enum Pending {
    Outcome(oneshot::Receiver<Outcome>),
    Reply(oneshot::Receiver<Reply>),
}

impl InFlight {
    /// The outcomes are the replies.
    pub fn of_outcomes(delivering: Delivering) -> Self {
        let pending = |outcome| Some(Pending::Outcome(outcome));
        Self {
            replies: delivering.outcomes.into_iter().map(pending).collect(),
            _withdraw: Some(delivering.withdraw),
        }
    }

    pub fn of_replies(replies: Vec<oneshot::Receiver<Reply>>, withdraw: Option<DropGuard>) -> Self {
        let pending = |reply| Some(Pending::Reply(reply));
        Self {
            replies: replies.into_iter().map(pending).collect(),
            _withdraw: withdraw,
        }
    }

    /// Waits for the reply at `index`. `None` if it was taken already, or if there will never be one (a bug that
    /// must cost a deferral, not a message).
    pub async fn reply(&mut self, index: usize) -> Option<Reply> {
        match self.replies.get_mut(index)?.take()? {
            Pending::Outcome(outcome) => outcome.await.ok().map(|outcome| outcome.reply),
            Pending::Reply(reply) => reply.await.ok(),
        }
    }
}
