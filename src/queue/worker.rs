//! One destination's mail, message by message: taken up, delivered, settled.

use super::custody::is_passing;
use super::details::Kind;
use super::job::Job;
use super::schedule::{Claim, Heard, Slot, Turn};
use super::settings::{DsnVia, millis};
use super::{Queue, now};
use crate::delivery::outcome::{DeliveryResult, Outcome, PossibleDuplicate, Reached};
use crate::relay::{Delivering, Patience, Terms, Via};
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;
use crate::store::StoreError;
use crate::store::queue::{Lease, RetryAt, StoredMessage, StoredRecipient};
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Recipients, about, that a worker takes up at once.
const BATCH: u32 = 10;
/// How long what was taken up waits behind others before it is given back.
const BATCH_PATIENCE: Duration = Duration::from_secs(60);
/// How long a store that cannot be read is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(2);

impl Queue {
    /// Starts a worker, which begins with `first`.
    pub(super) fn work(&self, slot: Slot, first: Option<Job>) {
        let queue = self.clone();
        self.parts
            .tasks
            .spawn(async move { queue.drain(slot, first).await });
    }

    async fn drain(&self, slot: Slot, first: Option<Job>) {
        if let Some(job) = first {
            self.attempt(&slot, job).await;
            if slot.claim(now()) == Claim::Nothing {
                return;
            }
            if !slot.may_go_on(now()) {
                return self.look_ahead(&slot).await;
            }
        }
        // Who was given a place uses it before he makes room for others.
        while !self.is_ending() {
            match self.take_up(&slot).await {
                Ok(leased) if leased.is_empty() => break,
                Ok(leased) => self.attempt_all(&slot, leased).await,
                Err(error) => {
                    self.parts.ledger.queue_unreadable(&error);
                    let soon = now() + millis(STORE_PAUSE);
                    return self.parts.schedule.due(slot.destination(), soon);
                }
            }
            if !slot.may_go_on(now()) {
                break;
            }
        }
        self.look_ahead(&slot).await;
    }

    /// When there will be something to do here again.
    async fn look_ahead(&self, slot: &Slot) {
        let destination = slot.destination();
        let next = match self.parts.store.next_due(destination).await {
            Ok(next) => next,
            Err(error) => {
                self.parts.ledger.queue_unreadable(&error);
                Some(now() + millis(STORE_PAUSE))
            }
        };
        if let Some(next) = next {
            // Not ahead of those who wait while this destination had its turn.
            self.parts.schedule.due(destination, next.max(now()));
        }
    }

    async fn take_up(&self, slot: &Slot) -> Result<Vec<StoredMessage>, StoreError> {
        let (now, settings) = (now(), self.settings());
        let most = slot.batch(BATCH);
        let lease = Lease {
            destination: slot.destination().to_string(),
            now,
            retry: RetryAt(Arc::new(move |attempts| settings.retry_at(attempts, now))),
            most,
        };
        let leased = self.parts.store.lease(lease).await?;
        let recipients: usize = leased.iter().map(|m| m.recipients.len()).sum();
        if recipients >= usize::try_from(most).unwrap_or(usize::MAX) {
            // There may be work for another.
            self.parts.schedule.due(slot.destination(), now);
        }
        Ok(leased)
    }

    async fn attempt_all(&self, slot: &Slot, leased: Vec<StoredMessage>) {
        let began = Instant::now();
        for (at, message) in leased.into_iter().enumerate() {
            let suspended = self.parts.schedule.suspension(slot.destination());
            let stale = at > 0 && began.elapsed() > BATCH_PATIENCE;
            if self.is_ending() || suspended.is_some() || stale {
                self.give_back(&message).await;
                continue;
            }
            // Behind others it may have been held or dropped.
            let Some(message) = self.still_wanted(message, at).await else {
                continue;
            };
            match self.job(&message).await {
                Ok(job) => self.attempt(slot, job).await,
                Err(problem) => {
                    // It may just have been dropped, content and all.
                    if let Some(message) = self.still_wanted(message, 1).await {
                        self.cannot_read(message, &problem).await;
                    }
                }
            }
        }
    }

    /// What of a message that was taken up may still be attempted.
    async fn still_wanted(&self, message: StoredMessage, at: usize) -> Option<StoredMessage> {
        if at == 0 {
            return Some(message);
        }
        let wanted = match self.parts.store.still_taken_up(message.number).await {
            Ok(wanted) => wanted,
            Err(error) => {
                self.parts.ledger.queue_unreadable(&error);
                self.give_back(&message).await;
                return None;
            }
        };
        let is_wanted = |recipient: &StoredRecipient| wanted.contains(&recipient.number);
        let (recipients, others): (Vec<_>, Vec<_>) =
            message.recipients.iter().cloned().partition(is_wanted);
        let part = |recipients| StoredMessage {
            recipients,
            ..message.clone()
        };
        if !others.is_empty() {
            self.give_back(&part(others)).await;
        }
        (!recipients.is_empty()).then(|| part(recipients))
    }

    /// One attempt. What became of a recipient is written as soon as it is known.
    async fn attempt(&self, slot: &Slot, job: Job) {
        let terms = Terms {
            patience: Patience::OfQueue,
            via: self.way(&job),
        };
        let Delivering { outcomes, withdraw } =
            self.parts.relay.deliver(job.message.clone(), &terms);
        let mut open: FuturesUnordered<_> = outcomes
            .into_iter()
            .enumerate()
            .map(|(at, outcome)| outcome.map(move |outcome| (at, outcome.ok())))
            .collect();
        let mut withdraw = Some(withdraw);
        loop {
            let first = tokio::select! {
                biased;
                next = open.next() => match next {
                    Some(first) => first,
                    None => break,
                },
                // Nobody waits for it: what has not sent its final dot is given up at once.
                () = self.parts.lifetime.draining.cancelled(), if withdraw.is_some() => {
                    withdraw = None;
                    continue;
                }
            };
            let mut known = vec![first];
            while let Some(Some(more)) = open.next().now_or_never() {
                known.push(more);
            }
            let known: Vec<_> = known
                .into_iter()
                .map(|(at, outcome)| (at, outcome.unwrap_or_else(no_outcome)))
                .collect();
            let heard = heard(&known);
            self.settle(slot, &job, known).await;
            self.hear(slot, heard).await;
        }
    }

    /// By which way it goes: notices have one of their own.
    fn way(&self, job: &Job) -> Via {
        match (job.kind, &self.settings().dsn_via) {
            (Kind::Mail, _) | (_, DsnVia::Mx) => Via::Rules,
            (Kind::Notice | Kind::LastResort, DsnVia::Hop(hop)) => Via::Hop(hop.clone()),
        }
    }

    /// What an attempt says of its destination.
    async fn hear(&self, slot: &Slot, heard: Heard) {
        let settings = self.settings();
        let turn = slot.heard(heard, |failures| settings.retry_at(failures, now()));
        if turn == Turn::Recovered {
            let destination = slot.destination();
            match self.parts.store.recovered(destination, now()).await {
                Ok(_) => self.parts.schedule.due(destination, now()),
                Err(error) => self.parts.ledger.queue_unreadable(&error),
            }
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        self.parts.lifetime.draining.is_cancelled()
    }
}

/// A delivery has ended without saying how: a fault of the program, which is to cost no more than a deferral.
fn no_outcome() -> Outcome {
    let reply = Reply::new(
        451,
        EnhancedStatus::new(4, 3, 0),
        "delivery ended without an outcome",
    );
    Outcome {
        result: DeliveryResult::Deferred,
        reply,
        via: None,
        possible_duplicate: PossibleDuplicate::Yes,
        attempts: 0,
        blocked: None,
        missing: None,
        reached: Reached::Unknown,
    }
}

fn heard(known: &[(usize, Outcome)]) -> Heard {
    let most = known.iter().map(|(_, outcome)| outcome.reached).max();
    let passing = |outcome: &Outcome| is_passing(&outcome.reply);
    match (most, known.first()) {
        (Some(Reached::Yes), _) => Heard::Answer,
        (Some(Reached::No), Some((_, first)))
            if known.iter().all(|(_, outcome)| passing(outcome)) =>
        {
            Heard::Silence {
                reply: first.reply.to_line(),
            }
        }
        // What fails for good says nothing of the host either: there is none.
        (Some(Reached::No | Reached::Unknown) | None, _) => Heard::Nothing,
    }
}
