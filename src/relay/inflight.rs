//! A message that was handed over: its outcomes, as they become known.

use crate::delivery::outcome::Outcome;
use crate::message::Message;
use crate::smtp::envelope::Recipient;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

/// Takes messages for delivery; what the server side knows of the relay.
pub trait Submit: Send + Sync + std::fmt::Debug {
    /// Says that mail for a recipient will come, so that lookups can begin. Never waits.
    fn expect(&self, recipient: &Recipient);

    /// Starts the delivery of a message to all its recipients.
    fn submit(&self, message: Message) -> InFlight;
}

/// Outcomes to come, one per recipient in the envelope's order. Dropping it withdraws the message:
/// every delivery whose final dot has not gone out is given up.
#[derive(Debug)]
pub struct InFlight {
    outcomes: Vec<Option<oneshot::Receiver<Outcome>>>,
    _withdraw: Option<DropGuard>,
}

impl InFlight {
    pub fn new(outcomes: Vec<oneshot::Receiver<Outcome>>, withdraw: Option<DropGuard>) -> Self {
        Self {
            outcomes: outcomes.into_iter().map(Some).collect(),
            _withdraw: withdraw,
        }
    }

    /// Waits for the outcome of the recipient at `index`. `None` if it was taken already, or if its
    /// delivery ended without one (a bug that must cost a deferral, not a message).
    pub async fn outcome(&mut self, index: usize) -> Option<Outcome> {
        self.outcomes.get_mut(index)?.take()?.await.ok()
    }
}
