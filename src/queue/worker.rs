//! One destination's mail, message by message: taken up, delivered, settled.

use super::accept::{reached, speaker};
use super::custody::{is_passing, is_relayed};
use super::details::{Details, Kind};
use super::notices::{About, Gathered, Told};
use super::schedule::{Claim, Heard, Slot, Turn};
use super::settings::{DsnVia, QueueSettings};
use super::{Queue, now, recipient_of, system_time};
use crate::delivery::outcome::{DeliveryResult, Outcome, PossibleDuplicate, Reached};
use crate::message::{Content, Earlier, Message, Queued};
use crate::relay::{Delivering, Patience, Terms, Via};
use crate::smtp::envelope::{Envelope, Recipient};
use crate::store::StoreError;
use crate::store::queue::{
    Kept, Lease, Millis, Progress, RetryAt, Settlement, StoredMessage, StoredRecipient, UnderWay,
    Whereabouts,
};
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages that a worker takes up at once.
const BATCH: u32 = 10;
/// How long a store that cannot be read or written is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// Some recipients of a message, at one destination.
#[derive(Debug)]
pub(super) struct Job {
    number: i64,
    kind: Kind,
    /// Its envelope has exactly the recipients of the job, in the same order.
    message: Message,
    recipients: Vec<JobRecipient>,
    received: Millis,
    expires: Millis,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct JobRecipient {
    number: i64,
    /// Begun, this one included.
    attempts: u32,
}

impl JobRecipient {
    pub(super) fn first<'a>(number: i64, recipient: &'a Recipient) -> (Self, &'a Recipient) {
        let attempts = 1;
        (Self { number, attempts }, recipient)
    }
}

impl Job {
    /// A message that was accepted just now.
    pub(super) fn first(
        number: i64,
        message: &Arc<Message>,
        recipients: Vec<(JobRecipient, &Recipient)>,
        settings: &QueueSettings,
    ) -> Self {
        let age = super::settings::millis(message.received_at.elapsed());
        let received = now().saturating_sub(age);
        let (recipients, envelope) = recipients
            .into_iter()
            .map(|(job, recipient)| (job, recipient.clone()))
            .unzip();
        let queued = Queued {
            attempt: 1,
            since: system_time(received),
            earlier: Earlier::Settled,
        };
        Self {
            number,
            kind: Kind::Mail,
            message: of_queue(message, envelope, queued),
            recipients,
            received,
            expires: received + super::settings::millis(settings.expire),
        }
    }
}

/// The message as this attempt sends it.
fn of_queue(message: &Message, recipients: Vec<Recipient>, queued: Queued) -> Message {
    Message {
        envelope: Envelope {
            from: message.envelope.from.clone(),
            recipients,
        },
        received_at: Instant::now(),
        queued: Some(queued),
        ..message.clone()
    }
}

impl Queue {
    /// Starts a worker, which begins with `first`.
    pub(super) fn work(&self, slot: Slot, first: Option<Job>) {
        let queue = self.clone();
        self.parts
            .tasks
            .spawn(async move { queue.drain(slot, first).await });
    }

    async fn drain(&self, slot: Slot, first: Option<Job>) {
        let mut claim = Claim::Due; // it was started for that
        if let Some(job) = first {
            self.attempt(&slot, job).await;
            claim = slot.claim(now());
        }
        while claim == Claim::Due {
            if self.is_ending() || !slot.may_go_on(now()) {
                return self.look_ahead(&slot).await;
            }
            match self.take_up(&slot).await {
                Ok(leased) if leased.is_empty() => return self.look_ahead(&slot).await,
                Ok(leased) => self.attempt_all(&slot, leased).await,
                Err(error) => {
                    self.parts.ledger.queue_unreadable(&error);
                    let soon = now() + super::settings::millis(STORE_PAUSE);
                    return self.parts.schedule.due(slot.destination(), soon);
                }
            }
        }
    }

    /// When there will be something to do here again.
    async fn look_ahead(&self, slot: &Slot) {
        let destination = slot.destination();
        let next = match self.parts.store.next_due(destination).await {
            Ok(next) => next,
            Err(error) => {
                self.parts.ledger.queue_unreadable(&error);
                Some(now() + super::settings::millis(STORE_PAUSE))
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
        if leased.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
            // There may be work for another.
            self.parts.schedule.due(slot.destination(), now);
        }
        Ok(leased)
    }

    async fn attempt_all(&self, slot: &Slot, leased: Vec<StoredMessage>) {
        for message in leased {
            let suspended = self.parts.schedule.suspension(slot.destination());
            if self.is_ending() || suspended.is_some() {
                self.give_back(&message).await;
                continue;
            }
            match self.job(&message).await {
                Ok(job) => self.attempt(slot, job).await,
                Err(problem) => self.cannot_read(&message, &problem).await,
            }
        }
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
                .filter_map(|(at, outcome)| Some((at, outcome?)))
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

    async fn settle(&self, slot: &Slot, job: &Job, known: Vec<(usize, Outcome)>) {
        let now = now();
        let mut settlement = Settlement {
            message: job.number,
            ..Settlement::default()
        };
        let mut told = Gathered::default();
        let mut reported = Vec::new();
        for (at, outcome) in known {
            let (Some(of_job), Some(recipient)) = (
                job.recipients.get(at),
                job.message.envelope.recipients.get(at),
            ) else {
                continue;
            };
            let kept = || self.kept(of_job, &outcome, (now, job.expires));
            let expired = now >= job.expires && !self.is_given_back(&outcome);
            match outcome.result {
                DeliveryResult::Delivered => {
                    settlement.done.push(of_job.number);
                    if is_relayed(recipient, &outcome) {
                        told.relayed(Told::of_outcome(recipient, &outcome));
                    }
                }
                DeliveryResult::Rejected => {
                    reported.push(kept());
                    told.failed(Told::of_outcome(recipient, &outcome));
                }
                DeliveryResult::Deferred | DeliveryResult::Queued if expired => {
                    self.parts
                        .ledger
                        .expired(&job.message, recipient, &outcome.reply);
                    reported.push(kept());
                    told.failed(Told::of_outcome(recipient, &outcome).expired());
                }
                DeliveryResult::Deferred | DeliveryResult::Queued => settlement.kept.push(kept()),
            }
        }
        match self.notices(&About::of_job(job), told, now).await {
            Ok(notices) => {
                settlement.notices = notices;
                settlement
                    .done
                    .extend(reported.iter().map(|kept| kept.number));
            }
            Err(error) => {
                // Nobody is forgotten because he cannot be told of now.
                self.parts.ledger.not_told(&job.message, &error);
                settlement.kept.extend(reported);
            }
        }
        let again = settlement.kept.iter().map(|kept| kept.progress.next).min();
        self.write_down(settlement, job.message.id.as_str()).await;
        if let Some(at) = again {
            self.parts.schedule.due(slot.destination(), at);
        }
    }

    fn kept(
        &self,
        of_job: &JobRecipient,
        outcome: &Outcome,
        (now, expires): (Millis, Millis),
    ) -> Kept {
        let given_back = self.is_given_back(outcome);
        let next = match given_back {
            true => now,
            // The last attempt is made when time is over.
            false => {
                let next = self.settings().retry_at(of_job.attempts, now);
                if now < expires {
                    next.min(expires)
                } else {
                    next
                }
            }
        };
        Kept {
            number: of_job.number,
            progress: Progress {
                next,
                attempts: of_job.attempts - u32::from(given_back),
                under_way: UnderWay::No,
                reached: reached(outcome),
                last: Some(now),
                reply: Some(outcome.reply.to_string()),
                host: speaker(outcome),
                warn: None,
            },
        }
    }

    /// Writes until it is written: what is not may be attempted again although it has arrived.
    pub(super) async fn write_down(&self, settlement: Settlement, id: &str) {
        let notices: Vec<_> = settlement
            .notices
            .iter()
            .flat_map(super::accept::destinations)
            .collect();
        let mut told = false;
        loop {
            match self.parts.store.settle(settlement.clone()).await {
                Ok((emptied, _)) => {
                    for (destination, at) in notices {
                        self.parts.schedule.due(&destination, at);
                    }
                    if let Some(emptied) = emptied
                        && emptied.content == Whereabouts::File
                    {
                        self.parts.files.remove(&emptied.id).await;
                    }
                    return;
                }
                Err(error) if !told => {
                    told = true;
                    self.parts.ledger.not_settled(id, &error);
                }
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_PAUSE) => {}
                () = self.parts.lifetime.abandoned.cancelled() => return,
            }
        }
    }

    /// Mail that was taken up and is not attempted after all.
    async fn give_back(&self, message: &StoredMessage) {
        let kept = |recipient: &StoredRecipient| Kept {
            number: recipient.number,
            progress: Progress {
                next: now(),
                attempts: recipient.progress.attempts.saturating_sub(1),
                ..recipient.progress.clone()
            },
        };
        let settlement = Settlement {
            message: message.number,
            kept: message.recipients.iter().map(kept).collect(),
            ..Settlement::default()
        };
        self.write_down(settlement, &message.id).await;
    }

    /// Mail that cannot be read is not thrown away: it is tried again, and the administrator is told.
    async fn cannot_read(&self, message: &StoredMessage, problem: &str) {
        self.parts.ledger.unreadable(&message.id, problem);
        let reply = format!("451 4.3.0 the message cannot be read from the queue: {problem}");
        let kept = |recipient: &StoredRecipient| Kept {
            number: recipient.number,
            progress: Progress {
                under_way: UnderWay::No,
                reply: Some(reply.clone()),
                host: None,
                ..recipient.progress.clone()
            },
        };
        let settlement = Settlement {
            message: message.number,
            kept: message.recipients.iter().map(kept).collect(),
            ..Settlement::default()
        };
        self.write_down(settlement, &message.id).await;
    }

    async fn job(&self, stored: &StoredMessage) -> Result<Job, String> {
        let details = Details::from_json(&stored.details).map_err(|e| e.to_string())?;
        let facts = details
            .facts(&stored.sender, stored.size)
            .map_err(|e| e.to_string())?;
        let content = self.content(stored, facts.eight_bit).await?;
        let mut envelope = Vec::with_capacity(stored.recipients.len());
        let mut recipients = Vec::with_capacity(stored.recipients.len());
        let mut earlier = Earlier::Settled;
        for recipient in &stored.recipients {
            envelope.push(recipient_of(recipient)?);
            let attempts = recipient.progress.attempts;
            let number = recipient.number;
            recipients.push(JobRecipient { number, attempts });
            if recipient.progress.under_way != UnderWay::No {
                earlier = Earlier::Interrupted;
            }
        }
        let attempts = recipients.iter().map(|recipient| recipient.attempts);
        let queued = Queued {
            attempt: attempts.max().unwrap_or(1),
            since: system_time(stored.received),
            earlier,
        };
        let message = Message {
            id: crate::message::MessageId::from_text(&stored.id),
            envelope: Envelope {
                from: facts.from,
                recipients: envelope,
            },
            content,
            origin: facts.origin,
            message_id: details.message_id.clone(),
            needs_utf8: facts.needs_utf8,
            tls_required: facts.tls_required,
            received_at: Instant::now(),
            queued: Some(queued),
        };
        Ok(Job {
            number: stored.number,
            kind: details.kind,
            message,
            recipients,
            received: stored.received,
            expires: stored.expires,
        })
    }

    pub(super) async fn content(
        &self,
        stored: &StoredMessage,
        eight_bit: crate::message::EightBit,
    ) -> Result<Content, String> {
        match self.parts.store.content(stored.number).await {
            Ok(Some(octets)) => Ok(Content::from_octets(octets)),
            Ok(None) => {
                let file = self.parts.files.read(&stored.id, eight_bit).await;
                file.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Given up by us, and certainly not arrived: as if it had not been attempted.
    fn is_given_back(&self, outcome: &Outcome) -> bool {
        self.is_ending()
            && outcome.result == DeliveryResult::Deferred
            && outcome.possible_duplicate == PossibleDuplicate::No
            && outcome.reached == Reached::Unknown
    }

    pub(super) fn is_ending(&self) -> bool {
        self.parts.lifetime.draining.is_cancelled()
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
                reply: first.reply.to_string(),
            }
        }
        // What fails for good says nothing of the host either: there is none.
        (Some(Reached::No | Reached::Unknown) | None, _) => Heard::Nothing,
    }
}

impl About {
    fn of_job(job: &Job) -> Self {
        let message = &job.message;
        Self {
            kind: job.kind,
            id: message.id.to_string(),
            message_id: message.message_id.clone(),
            from: message.envelope.from.clone(),
            needs_utf8: message.needs_utf8,
            tls_required: message.tls_required,
            received: job.received,
            until: None,
            content: message.content.clone(),
        }
    }
}
