//! Who holds a message: decided in one place, on what the relay made of it.

use super::Queue;
use super::accept::Part;
use super::notices::{self, Told};
use crate::delivery::outcome::{DeliveryResult, Dsn, Outcome};
use crate::dsn::{self, Action, Wanted};
use crate::ledger::Ledger;
use crate::message::Message;
use crate::relay::{
    Answering, Custody, Delivering, InFlight, Patience, Relay, Replies, Room, Submit, Terms, Via,
};
use crate::smtp::envelope::Recipient;
use crate::smtp::reply::{Reply, Severity};
use crate::smtp::status::EnhancedStatus;
use crate::store::StoreError;
use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Takes messages from clients, and answers for them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Custodian {
    pub relay: Relay,
    /// `None`: nothing can be kept.
    pub queue: Option<Queue>,
    pub ledger: Ledger,
    pub tasks: TaskTracker,
}

/// What outcomes mean for one reply to all.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// The client keeps what it has.
    Shared(Reply),
    /// The delivered are done; the others are ours.
    Differ,
}

impl Submit for Custodian {
    fn expect(&self, recipient: &Recipient) {
        self.relay.expect(recipient);
    }

    fn room(&self) -> Room {
        self.queue.as_ref().map_or(Room::No, Queue::room)
    }

    fn submit(&self, message: Message, answering: Answering) -> InFlight {
        match (answering.custody, answering.replies) {
            (Custody::Queue, replies) => self.take(message, replies),
            (Custody::Auto | Custody::Client, Replies::Each) => self.pass_on(message),
            (Custody::Auto | Custody::Client, Replies::One)
                if message.envelope.recipients.len() == 1 =>
            {
                self.pass_on(message)
            }
            (Custody::Auto | Custody::Client, Replies::One) => self.decide(message),
        }
    }
}

/// The terms on which a client waits.
const WAITING: Terms = Terms {
    patience: Patience::OfClient,
    via: Via::Rules,
};

impl Custodian {
    /// Ours as soon as it is on disk.
    fn take(&self, message: Message, replies: Replies) -> InFlight {
        let count = match replies {
            Replies::One => 1,
            Replies::Each => message.envelope.recipients.len(),
        };
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..count).map(|_| oneshot::channel::<Reply>()).unzip();
        let this = self.clone();
        self.tasks.spawn(async move {
            let reply = this.keep_all(message).await;
            for sender in senders {
                // Whoever has left hears nothing; the message is kept all the same.
                let _ = sender.send(reply.clone());
            }
        });
        InFlight::of_replies(receivers, None)
    }

    async fn keep_all(&self, message: Message) -> Reply {
        let Some(queue) = &self.queue else {
            return not_kept(&StoreError::Closed);
        };
        if let Some(error) = queue.obstacle() {
            return not_kept(&error); // told once, when it was found
        }
        let id = message.id.clone();
        let reply = queued(&id, "");
        match queue.accept(message, &reply).await {
            Ok(()) => reply,
            Err(error) => {
                self.ledger.not_kept(id.as_str(), &error);
                not_kept(&error)
            }
        }
    }

    /// Each outcome is a reply. Who asked to be told of success is, before it is answered.
    fn pass_on(&self, message: Message) -> InFlight {
        let asked = |recipient: &Recipient| {
            dsn::wanted(recipient.notify.as_deref(), Action::Relayed) == Wanted::Yes
        };
        let queue = match &self.queue {
            Some(queue) if message.envelope.recipients.iter().any(asked) => queue.clone(),
            Some(_) | None => return InFlight::of_outcomes(self.relay.deliver(message, &WAITING)),
        };
        let kept = message.clone();
        let Delivering { outcomes, withdraw } = self.relay.deliver(message, &WAITING);
        let (senders, receivers): (Vec<_>, Vec<_>) =
            outcomes.iter().map(|_| oneshot::channel::<Reply>()).unzip();
        self.tasks.spawn(async move {
            let mut known = Vec::new();
            for (at, (mut outcome, sender)) in outcomes.into_iter().zip(senders).enumerate() {
                // What is known at once is told of at once, in one notice.
                let ready = match (&mut outcome).now_or_never() {
                    Some(ready) => ready,
                    None => {
                        queue.tell_relayed(&kept, std::mem::take(&mut known)).await;
                        outcome.await
                    }
                };
                if let Ok(outcome) = ready {
                    known.push((at, outcome, sender));
                }
            }
            queue.tell_relayed(&kept, known).await;
        });
        InFlight::of_replies(receivers, Some(withdraw))
    }

    /// One reply for all: the outcomes' own if they share one, else the message becomes ours.
    fn decide(&self, message: Message) -> InFlight {
        let kept = message.clone();
        let Delivering { outcomes, withdraw } = self.relay.deliver(message, &WAITING);
        let (sender, receiver) = oneshot::channel();
        let this = self.clone();
        self.tasks.spawn(async move {
            let mut known = Vec::with_capacity(outcomes.len());
            for outcome in outcomes {
                match outcome.await {
                    Ok(outcome) => known.push(outcome),
                    Err(_) => return, // told as a fault by whoever waits
                }
            }
            let reply = match verdict(&known) {
                Verdict::Shared(reply) => {
                    this.tell_success(&kept, &known).await;
                    reply
                }
                // The client keeps all of it, and sends it again.
                Verdict::Differ if sender.is_closed() => return,
                Verdict::Differ => this.keep_rest(kept, &known).await,
            };
            let _ = sender.send(reply);
        });
        InFlight::of_replies(vec![receiver], Some(withdraw))
    }

    async fn tell_success(&self, message: &Message, outcomes: &[Outcome]) {
        let Some(queue) = &self.queue else { return };
        let mut told = notices::Gathered::default();
        for (recipient, outcome) in message.envelope.recipients.iter().zip(outcomes) {
            if is_relayed(recipient, outcome) {
                told.relayed(Told::of_outcome(recipient, outcome));
            }
        }
        queue.tell(message, told).await;
    }

    async fn keep_rest(&self, message: Message, outcomes: &[Outcome]) -> Reply {
        let Some(queue) = &self.queue else {
            return self.lost(&message, outcomes, &StoreError::Closed);
        };
        let count = |result| outcomes.iter().filter(|o| o.result == result).count();
        let (delivered, failed) = (
            count(DeliveryResult::Delivered),
            count(DeliveryResult::Rejected),
        );
        let deferred = outcomes.len() - delivered - failed;
        let text = format!(" ({delivered} delivered, {deferred} deferred, {failed} failed)");
        let reply = queued(&message.id, &text);
        match queue.take_rest(&message, outcomes, &reply).await {
            Ok(()) => reply,
            Err(error) => self.lost(&message, outcomes, &error),
        }
    }

    /// A duplicate is better than a loss.
    fn lost(&self, message: &Message, outcomes: &[Outcome], error: &StoreError) -> Reply {
        let recipients = message.envelope.recipients.iter().zip(outcomes);
        let twice: Vec<_> = recipients
            .filter(|(_, outcome)| outcome.result == DeliveryResult::Delivered)
            .map(|(recipient, _)| &recipient.mailbox)
            .collect();
        self.ledger.will_arrive_twice(message, &twice, error);
        Reply::new(
            451,
            EnhancedStatus::new(4, 3, 0),
            "delivered to some, and the rest cannot be kept: send it again",
        )
    }
}

/// A recipient's place in the envelope, what became of it, and who waits to hear of it.
type Known = (usize, Outcome, oneshot::Sender<Reply>);

impl Queue {
    /// Tells the sender of those that will not be told of otherwise, and then answers the client.
    async fn tell_relayed(&self, message: &Message, known: Vec<Known>) {
        let mut told = notices::Gathered::default();
        for (at, outcome, _) in &known {
            if let Some(recipient) = message.envelope.recipients.get(*at)
                && is_relayed(recipient, outcome)
            {
                told.relayed(Told::of_outcome(recipient, outcome));
            }
        }
        self.tell(message, told).await;
        for (_, outcome, sender) in known {
            // Whoever has left hears nothing.
            let _ = sender.send(outcome.reply);
        }
    }

    /// What some recipients' outcomes leave to do: the deferred wait, the failed are reported.
    async fn take_rest(
        &self,
        message: &Message,
        outcomes: &[Outcome],
        reply: &Reply,
    ) -> Result<(), StoreError> {
        let mut parts = Vec::new();
        let mut told = notices::Gathered::default();
        for (recipient, outcome) in message.envelope.recipients.iter().zip(outcomes) {
            match outcome.result {
                DeliveryResult::Deferred | DeliveryResult::Queued => {
                    parts.push(Part::deferred(recipient, outcome));
                }
                DeliveryResult::Rejected => told.failed(Told::of_outcome(recipient, outcome)),
                DeliveryResult::Delivered => {
                    if is_relayed(recipient, outcome) {
                        told.relayed(Told::of_outcome(recipient, outcome));
                    }
                }
            }
        }
        self.take_in(message, (parts, told), reply).await
    }
}

/// The host has taken the message, and will not tell the sender who asked for that.
pub(super) fn is_relayed(recipient: &Recipient, outcome: &Outcome) -> bool {
    let asked = dsn::wanted(recipient.notify.as_deref(), Action::Relayed) == Wanted::Yes;
    let silent = |via: &crate::delivery::outcome::Via| via.dsn == Dsn::NotOffered;
    asked
        && outcome.result == DeliveryResult::Delivered
        && outcome.via.as_deref().is_some_and(silent)
}

pub(super) fn verdict(outcomes: &[Outcome]) -> Verdict {
    let Some(first) = outcomes.first() else {
        return Verdict::Differ;
    };
    if outcomes
        .iter()
        .any(|outcome| outcome.result != first.result)
    {
        return Verdict::Differ;
    }
    let reply = match first.result {
        DeliveryResult::Rejected => most_common(outcomes).unwrap_or(&first.reply),
        DeliveryResult::Delivered | DeliveryResult::Deferred | DeliveryResult::Queued => {
            &first.reply
        }
    };
    Verdict::Shared(and_more(reply, outcomes.len() - 1))
}

/// The first reply with the code that most have.
fn most_common(outcomes: &[Outcome]) -> Option<&Reply> {
    let votes = |code: u16| outcomes.iter().filter(|o| o.reply.code == code).count();
    let mut best: Option<(usize, &Reply)> = None;
    for Outcome { reply, .. } in outcomes {
        let count = votes(reply.code);
        if best.is_none_or(|(most, _)| count > most) {
            best = Some((count, reply));
        }
    }
    best.map(|(_, reply)| reply)
}

/// The reply's text, cut so that what is added is not.
fn and_more(reply: &Reply, more: usize) -> Reply {
    if more == 0 {
        return reply.clone();
    }
    let ours = format!(" (and {more} more)");
    let mut text = reply.text();
    let taken = reply.enhanced.map_or(0, |e| e.to_string().len() + 1) + "250 \r\n".len();
    let mut room = 512_usize.saturating_sub(taken + ours.len());
    if text.len() > room {
        while !text.is_char_boundary(room) {
            room -= 1; // 0 is a boundary
        }
        text.truncate(room);
    }
    Reply {
        lines: vec![text + &ours],
        ..reply.clone()
    }
}

fn queued(id: &crate::message::MessageId, more: &str) -> Reply {
    let text = format!("queued as {id}{more}");
    Reply::new(250, EnhancedStatus::new(2, 0, 0), text)
}

fn not_kept(error: &StoreError) -> Reply {
    match error {
        StoreError::Full => Reply::new(
            452,
            EnhancedStatus::new(4, 3, 1),
            "no room to keep the message",
        ),
        StoreError::Directory { .. }
        | StoreError::CannotOpen(_)
        | StoreError::Corrupt(_)
        | StoreError::ReadOnly(_)
        | StoreError::Locked
        | StoreError::Io(_)
        | StoreError::Newer { .. }
        | StoreError::InUse
        | StoreError::Closed
        | StoreError::Thread(_)
        | StoreError::Other(_) => Reply::new(
            451,
            EnhancedStatus::new(4, 3, 0),
            "the message cannot be kept now",
        ),
    }
}

/// Whether a reply is worth another attempt.
pub(super) fn is_passing(reply: &Reply) -> bool {
    match reply.severity() {
        Severity::Transient => true,
        Severity::Positive | Severity::Intermediate | Severity::Permanent => false,
    }
}

#[cfg(test)]
#[path = "custody_tests.rs"]
mod tests;
