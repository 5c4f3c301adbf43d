//! Into the queue: written, answered for, and attempted at once where its destinations allow it.

use super::details::{Details, Kind, Speaker};
use super::files::QueueFiles;
use super::job::{Job, JobRecipient};
use super::notices::{About, Gathered};
use super::schedule::Slot;
use super::settings::millis;
use super::{Queue, now};
use crate::delivery::outcome::{Outcome, Reached};
use crate::dsn::{self, Action, Wanted};
use crate::message::{Content, Message, TlsRequired};
use crate::smtp::address::{MailDomain, ReversePath};
use crate::smtp::envelope::{Recipient, Utf8};
use crate::smtp::reply::Reply;
use crate::store::StoreError;
use crate::store::queue::{
    HostReached, Millis, NewMessage, NewRecipient, Placed, Progress, UnderWay, Whereabouts,
};
use bytes::Bytes;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// How long a reply may be put off by a notice: the client gives up in the end, and sends the message again.
const TELL_PATIENCE: Duration = Duration::from_secs(10);

/// A recipient who is to be kept, and how far its delivery has come.
#[derive(Debug)]
pub(super) struct Part<'a> {
    recipient: &'a Recipient,
    last: Option<&'a Outcome>,
}

impl<'a> Part<'a> {
    pub(super) fn fresh(recipient: &'a Recipient) -> Self {
        let last = None;
        Self { recipient, last }
    }

    /// The client has waited for the first attempt.
    pub(super) fn deferred(recipient: &'a Recipient, outcome: &'a Outcome) -> Self {
        let last = Some(outcome);
        Self { recipient, last }
    }
}

/// What is scheduled together.
pub(super) fn destination(domain: &MailDomain, tls_required: TlsRequired) -> String {
    let name = match domain {
        MailDomain::Name { ascii, .. } => ascii.to_string(),
        MailDomain::Literal(_) => domain.to_string(),
    };
    match tls_required {
        TlsRequired::Unsaid => name,
        // What holds up its other mail does not hold up this one (RFC 8689 §4).
        TlsRequired::No => name + ";tls-required=no",
    }
}

impl Queue {
    /// Takes a message whose client waits for our word alone.
    pub(super) async fn accept(&self, message: Message, reply: &Reply) -> Result<(), StoreError> {
        let parts = message.envelope.recipients.iter().map(Part::fresh);
        let parts = parts.collect();
        let (placed, slots) = self.write(&message, parts, Gathered::default()).await?;
        for recipient in &message.envelope.recipients {
            self.parts.ledger.queued(&message, recipient, reply);
        }
        self.begin(message, &placed, slots);
        Ok(())
    }

    /// Takes what is left of a message that has been attempted.
    pub(super) async fn take_in(
        &self,
        message: &Message,
        (parts, told): (Vec<Part<'_>>, Gathered),
        reply: &Reply,
    ) -> Result<(), StoreError> {
        let deferred: Vec<&Recipient> = parts.iter().map(|part| part.recipient).collect();
        self.write(message, parts, told).await?;
        for recipient in deferred {
            self.parts.ledger.queued(message, recipient, reply);
        }
        Ok(())
    }

    /// Tells the sender, if there is something to tell; a client waits for that.
    pub(super) async fn tell(&self, message: &Message, told: Gathered) {
        if told.is_empty() {
            return;
        }
        // Not given up with the client's patience: what is written is also to be sent.
        let (queue, message) = (self.clone(), message.clone());
        let writing = self.parts.tasks.spawn(async move {
            if let Err(error) = queue.write(&message, Vec::new(), told).await {
                // The message has arrived, which a refusal would deny.
                queue.parts.ledger.not_told(&message, &error);
            }
        });
        // Whatever it came to was told.
        let _ = tokio::time::timeout(TELL_PATIENCE, writing).await;
    }

    /// Writes the parts of a message and the notices about others; who of them may be attempted now.
    async fn write(
        &self,
        message: &Message,
        parts: Vec<Part<'_>>,
        told: Gathered,
    ) -> Result<(Vec<Placed>, Vec<Slot>), StoreError> {
        let now = now();
        let about = About::of(message, now);
        let mut new = self.notices(&about, told, now).await?;
        let notices: Vec<_> = new.iter().flat_map(destinations).collect();
        let mut slots = Vec::new();
        let mut waiting = Vec::new();
        if !parts.is_empty() {
            let kept = self.new_message(message, &parts, now);
            let (kept, begun) = self.with_slots(kept, now);
            slots = begun;
            let content = self.place(&kept.id, &message.content).await?;
            waiting = destinations(&kept).collect();
            new.insert(0, NewMessage { content, ..kept });
        }
        let files: Vec<String> = in_files(&new);
        match self.parts.store.keep(new).await {
            Ok(placed) => {
                let due = notices.into_iter().chain(waiting);
                due.for_each(|(name, at)| match at <= now {
                    true => self.parts.schedule.arrived(&name, at),
                    false => self.parts.schedule.due(&name, at),
                });
                Ok((placed, slots))
            }
            Err(error) => {
                for id in files {
                    self.parts.files.remove(&id).await;
                }
                Err(error)
            }
        }
    }

    fn new_message(&self, message: &Message, parts: &[Part<'_>], now: Millis) -> NewMessage {
        let settings = self.settings();
        let age = millis(message.received_at.elapsed());
        let received = now.saturating_sub(age);
        let from = &message.envelope.from.path;
        let recipient = |part: &Part<'_>| {
            let recipient = part.recipient;
            let failure = part.last;
            let attempts = u32::from(failure.is_some());
            NewRecipient {
                address: recipient.mailbox.to_string(),
                destination: destination(&recipient.mailbox.domain, message.tls_required),
                notify: recipient.notify.clone(),
                orcpt: recipient.orcpt.clone(),
                progress: Progress {
                    next: match failure {
                        Some(_) => settings.retry_at(attempts, now),
                        None => now,
                    },
                    attempts,
                    under_way: UnderWay::No,
                    reached: failure.map_or(HostReached::Yes, reached),
                    last: failure.map(|_| now),
                    reply: failure.map(|outcome| outcome.reply.to_line()),
                    host: failure.and_then(speaker),
                    warn: warning(from, recipient, received, settings.delay_warning),
                },
            }
        };
        NewMessage {
            id: message.id.to_string(),
            sender: from.for_wire(Utf8::Needed),
            size: message.content.size(),
            received,
            expires: received + millis(settings.expire),
            details: Details::of(Kind::Mail, message).to_json(),
            content: None,
            recipients: parts.iter().map(recipient).collect(),
        }
    }

    /// Takes a worker for each destination that may have one now; what it attempts is written as begun.
    fn with_slots(&self, mut message: NewMessage, now: Millis) -> (NewMessage, Vec<Slot>) {
        let settings = self.settings();
        let mut slots: HashMap<String, Option<Slot>> = HashMap::new();
        for recipient in &mut message.recipients {
            let progress = &mut recipient.progress;
            if progress.attempts > 0 {
                continue;
            }
            let name = &recipient.destination;
            let slot = slots
                .entry(name.clone())
                .or_insert_with(|| match self.is_ending() {
                    true => None,
                    false => self.parts.schedule.begin_at_once(name, now),
                });
            if slot.is_some() {
                progress.attempts = 1;
                progress.next = settings.retry_at(1, now);
                progress.last = Some(now);
                progress.under_way = UnderWay::In(self.parts.store.run());
            }
        }
        (message, slots.into_values().flatten().collect())
    }

    /// Attempts what was written as begun.
    fn begin(&self, message: Message, placed: &[Placed], slots: Vec<Slot>) {
        let Some(placed) = placed.first() else { return };
        let message = Arc::new(message);
        for slot in slots {
            let recipients = message.envelope.recipients.iter().zip(&placed.recipients);
            let of_slot = recipients.filter(|(recipient, _)| {
                destination(&recipient.mailbox.domain, message.tls_required) == **slot.destination()
            });
            let recipients = of_slot
                .map(|(recipient, &number)| JobRecipient::first(number, recipient))
                .collect();
            let job = Job::first(placed.number, &message, recipients, &self.settings());
            self.work(slot, Some(job));
        }
    }

    /// Where a content goes: into the database, or into a file that is on disk once this is done.
    pub(super) async fn place(
        &self,
        id: &str,
        content: &Content,
    ) -> Result<Option<Bytes>, StoreError> {
        let written = match QueueFiles::place_of(content) {
            Whereabouts::Database => content.octets().await.map(Some),
            Whereabouts::File => self.parts.files.write(id, content).await.map(|()| None),
        };
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
        written.map_err(|error| match full.contains(&error.kind()) {
            true => StoreError::Full,
            false => StoreError::Io(error.to_string()),
        })
    }
}

/// Those whose content is in a file.
pub(super) fn in_files(messages: &[NewMessage]) -> Vec<String> {
    let in_file = messages.iter().filter(|message| message.content.is_none());
    in_file.map(|message| message.id.clone()).collect()
}

/// Where something is due, and when.
pub(super) fn destinations(message: &NewMessage) -> impl Iterator<Item = (String, Millis)> + use<> {
    let all: HashMap<String, Millis> = message
        .recipients
        .iter()
        .map(|recipient| (recipient.destination.clone(), recipient.progress.next))
        .collect();
    all.into_iter()
}

pub(super) fn reached(outcome: &Outcome) -> HostReached {
    match outcome.reached {
        Reached::Yes | Reached::Unknown => HostReached::Yes,
        Reached::No => HostReached::No,
    }
}

/// Who has given the reply, as it is kept.
pub(super) fn speaker(outcome: &Outcome) -> Option<String> {
    let via = outcome.via.as_deref()?;
    let speaker = Speaker {
        name: via.mx.as_ref().map(|mx| mx.0.to_string()),
        ip: via.address.ip(),
    };
    serde_json::to_string(&speaker).ok()
}

/// When the sender is due a warning, if ever.
fn warning(
    from: &ReversePath,
    recipient: &Recipient,
    received: Millis,
    after: Duration,
) -> Option<Millis> {
    let wanted = dsn::wanted(recipient.notify.as_deref(), Action::Delayed) == Wanted::Yes;
    let somebody = *from != ReversePath::Null;
    (wanted && somebody && !after.is_zero()).then(|| received + millis(after))
}
