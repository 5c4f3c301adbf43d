//! What a worker has before it: some recipients of a message, ready to be sent.

use super::details::{Details, Kind};
use super::notices::About;
use super::settings::{QueueSettings, Waivers, millis};
use super::{Queue, now, recipient_of, system_time};
use crate::message::{Content, Earlier, EightBit, Message, MessageId, Origin, Queued, TlsRequired};
use crate::smtp::envelope::{Envelope, Recipient};
use crate::store::queue::{Millis, StoredMessage, UnderWay};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Some recipients of a message, at one destination.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: i64,
    pub(super) kind: Kind,
    /// Its envelope has exactly the recipients of the job, in the same order.
    pub(super) message: Message,
    pub(super) recipients: Vec<JobRecipient>,
    received: Millis,
    pub(super) expires: Millis,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct JobRecipient {
    pub(super) number: i64,
    /// Begun, this one included.
    pub(super) attempts: u32,
    /// An earlier one that was cut off.
    pub(super) cut_off: UnderWay,
}

impl JobRecipient {
    pub(super) fn first(number: i64, recipient: &Recipient) -> (Self, &Recipient) {
        let first = Self {
            number,
            attempts: 1,
            cut_off: UnderWay::No,
        };
        (first, recipient)
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
        let age = millis(message.received_at.elapsed());
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
            expires: received + millis(settings.expire),
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
    /// As the message came, but for source addresses that are configured no more.
    fn origin(&self, origin: Origin) -> Origin {
        let settings = self.settings();
        let known = |address: &IpAddr| settings.sources.contains(address);
        Origin {
            bind: origin.bind.into_iter().filter(known).collect(),
            ..origin
        }
    }

    pub(super) async fn job(&self, stored: &StoredMessage) -> Result<Job, String> {
        let details = Details::from_json(&stored.details).map_err(|e| e.to_string())?;
        let facts = details
            .facts(&stored.sender, stored.size)
            .map_err(|e| e.to_string())?;
        let content = self.content(stored, facts.eight_bit).await;
        let content = content.map_err(|fault| fault.to_string())?;
        let mut envelope = Vec::with_capacity(stored.recipients.len());
        let mut recipients = Vec::with_capacity(stored.recipients.len());
        let mut earlier = Earlier::Settled;
        for recipient in &stored.recipients {
            envelope.push(recipient_of(recipient)?);
            let progress = &recipient.progress;
            recipients.push(JobRecipient {
                number: recipient.number,
                attempts: progress.attempts,
                cut_off: progress.under_way,
            });
            if progress.under_way != UnderWay::No {
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
            id: MessageId::from_text(&stored.id),
            envelope: Envelope {
                from: facts.from,
                recipients: envelope,
            },
            content,
            origin: self.origin(facts.origin),
            message_id: details.message_id.clone(),
            needs_utf8: facts.needs_utf8,
            tls_required: match self.settings().waivers {
                Waivers::Honored => facts.tls_required,
                Waivers::Ignored => TlsRequired::Unsaid,
            },
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
        eight_bit: EightBit,
    ) -> Result<Content, ContentFault> {
        let content = match self.parts.store.content(stored.number).await {
            Ok(Some(octets)) => Content::from_octets(octets),
            Ok(None) => {
                let file = self.parts.files.read(&stored.id, eight_bit).await;
                file.map_err(|error| match error.kind() == ErrorKind::NotFound {
                    true => ContentFault::Gone,
                    false => ContentFault::Unreadable(error.to_string()),
                })?
            }
            Err(error) => return Err(ContentFault::Unreadable(error.to_string())),
        };
        // Half a message would look whole to whoever gets it.
        match content.size() == stored.size {
            true => Ok(content),
            false => Err(ContentFault::Damaged {
                left: content.size(),
                size: stored.size,
            }),
        }
    }
}

/// Why there is no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ContentFault {
    /// It never comes back.
    #[error("its content is gone")]
    Gone,
    /// Neither does what is missing of it.
    #[error("its content is damaged: it has {left} octets of {size}")]
    Damaged { left: u64, size: u64 },
    #[error("{0}")]
    Unreadable(String),
}

impl About {
    pub(super) fn of_job(job: &Job) -> Self {
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
