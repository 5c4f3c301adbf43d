//! What is told to senders: which notices are due, to whom they go, and what becomes of those that cannot be sent.

use super::accept::destination;
use super::details::{Details, Kind, Speaker};
use super::settings::DsnVia;
use super::settings::millis;
use super::{Queue, system_time};
use crate::clock;
use crate::delivery::outcome::Outcome;
use crate::dsn::{
    self, Action, EightBitContent, Remote, Report, Returned, TlsRequiredField, Wanted,
};
use crate::message::{Content, Message, MessageId, Origin, TlsRequired};
use crate::names::DomainName;
use crate::smtp::address::{MailDomain, Mailbox, ReversePath};
use crate::smtp::envelope::{Body, Envelope, MailFrom, Recipient, Utf8};
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;
use crate::store::StoreError;
use crate::store::queue::{Millis, NewMessage, NewRecipient, Progress};
use std::net::IpAddr;
use std::time::{Instant, SystemTime};

/// The message that is told of.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) message_id: String,
    pub(super) from: MailFrom,
    pub(super) needs_utf8: Utf8,
    pub(super) tls_required: TlsRequired,
    pub(super) received: Millis,
    /// Until when it is attempted.
    pub(super) until: Option<Millis>,
    pub(super) content: Content,
}

/// Ends the local part of a last resort's Message-ID: by it is known what comes back to us through the postmaster's
/// own mail server, as where he is an alias.
const LAST_RESORT: &str = "postmaster";

/// What is told of one recipient.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) recipient: Recipient,
    pub(super) reply: Reply,
    pub(super) status: EnhancedStatus,
    pub(super) remote: Option<(Option<DomainName>, IpAddr)>,
    pub(super) last: Option<SystemTime>,
}

/// What is to be told, by what has happened.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered {
    failed: Vec<Told>,
    delayed: Vec<Told>,
    relayed: Vec<Told>,
}

impl Gathered {
    pub(super) fn failed(&mut self, told: Told) {
        self.failed.push(told);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.failed.is_empty() && self.delayed.is_empty() && self.relayed.is_empty()
    }

    pub(super) fn delayed(&mut self, told: Told) {
        self.delayed.push(told);
    }

    pub(super) fn relayed(&mut self, told: Told) {
        self.relayed.push(told);
    }
}

impl Told {
    pub(super) fn of_outcome(recipient: &Recipient, outcome: &Outcome) -> Self {
        let reply = outcome.reply.clone();
        let remote = outcome.via.as_deref().map(|via| {
            let name = via.mx.as_ref().map(|mx| mx.0.clone());
            (name, via.address.ip())
        });
        Self {
            recipient: recipient.clone(),
            status: status(&reply),
            reply,
            remote,
            last: Some(clock::now()),
        }
    }

    /// From what is kept of the last attempt.
    pub(super) fn of_kept(recipient: Recipient, reply: Reply, progress: &Progress) -> Self {
        let speaker = progress.host.as_deref();
        let speaker = speaker.and_then(|json| serde_json::from_str::<Speaker>(json).ok());
        let remote = speaker.map(|speaker| {
            let name = speaker.name.and_then(|name| DomainName::parse(&name).ok());
            (name, speaker.ip)
        });
        Self {
            recipient,
            status: status(&reply),
            reply,
            remote,
            last: progress.last.map(system_time),
        }
    }

    /// There is no time left for it (RFC 3463 §3.5).
    pub(super) fn expired(self) -> Self {
        let status = EnhancedStatus::new(5, 4, 7);
        Self { status, ..self }
    }
}

fn status(reply: &Reply) -> EnhancedStatus {
    let class = u8::try_from(reply.code / 100).unwrap_or(5);
    reply.enhanced.unwrap_or(EnhancedStatus::new(class, 0, 0))
}

impl About {
    /// A message that a client has just handed over.
    pub(super) fn of(message: &Message, now: Millis) -> Self {
        Self {
            kind: Kind::Mail,
            id: message.id.to_string(),
            message_id: message.message_id.clone(),
            from: message.envelope.from.clone(),
            needs_utf8: message.needs_utf8,
            tls_required: message.tls_required,
            received: now.saturating_sub(millis(message.received_at.elapsed())),
            until: None,
            content: message.content.clone(),
        }
    }

    /// Whether it is a copy for the postmaster that this host has written, however it came here.
    fn is_last_resort_of(&self, hostname: &DomainName) -> bool {
        let ours = format!("{LAST_RESORT}@{hostname}>");
        self.message_id.ends_with(&ours)
    }
}

impl Queue {
    /// The notices that are due, ready to be written. What nobody may be told of is only recorded.
    pub(super) async fn notices(
        &self,
        about: &About,
        told: Gathered,
        now: Millis,
    ) -> Result<Vec<NewMessage>, StoreError> {
        let mut new = Vec::new();
        for (action, told) in [
            (Action::Failed, told.failed),
            (Action::Delayed, told.delayed),
            (Action::Relayed, told.relayed),
        ] {
            if told.is_empty() {
                continue;
            }
            let sender = match (&about.from.path, about.kind) {
                (ReversePath::Mailbox(sender), Kind::Mail) => sender,
                // A notice about a notice is never sent (RFC 5321 §4.5.5, RFC 3834 §2).
                (ReversePath::Null, _) | (ReversePath::Mailbox(_), _) => {
                    if action == Action::Failed {
                        new.extend(self.give_up(about, &told, now).await?);
                    }
                    continue;
                }
            };
            let wanted =
                |told: &Told| dsn::wanted(told.recipient.notify.as_deref(), action) == Wanted::Yes;
            let told: Vec<Told> = told.into_iter().filter(wanted).collect();
            if !told.is_empty() {
                let notice = (Kind::Notice, action, sender);
                new.push(self.notice(about, notice, &told, now).await?);
            }
        }
        Ok(new)
    }

    /// A double bounce: told to the administrator, and to the postmaster where there is one.
    async fn give_up(
        &self,
        about: &About,
        told: &[Told],
        now: Millis,
    ) -> Result<Option<NewMessage>, StoreError> {
        for told in told {
            let of_notice = about.kind != Kind::Mail;
            self.parts.ledger.double_bounce(
                (&about.id, &about.message_id, of_notice.then_some("notice")),
                &about.from.path,
                &told.recipient,
                &told.reply,
            );
        }
        let settings = self.settings();
        // Who cannot be reached is not told so; the copy would come back through his own server for ever.
        let of = |postmaster: &Mailbox| told.iter().any(|t| same(&t.recipient.mailbox, postmaster));
        let came_back = about.is_last_resort_of(&settings.hostname);
        match (&settings.postmaster, about.kind) {
            (Some(postmaster), _) if came_back || of(postmaster) => Ok(None),
            (Some(postmaster), Kind::Mail | Kind::Notice) => {
                let notice = (Kind::LastResort, Action::Failed, postmaster);
                self.notice(about, notice, told, now).await.map(Some)
            }
            (Some(_), Kind::LastResort) | (None, _) => Ok(None),
        }
    }

    async fn notice(
        &self,
        about: &About,
        (kind, action, to): (Kind, Action, &Mailbox),
        told: &[Told],
        now: Millis,
    ) -> Result<NewMessage, StoreError> {
        let id = MessageId::new(clock::now());
        let content = self
            .compose(&name_of(&id, kind), about, (action, to), told)
            .await
            .map_err(|error| StoreError::Io(error.to_string()))?;
        let needs_utf8 = match about.needs_utf8 == Utf8::Needed || !to.is_ascii() {
            true => Utf8::Needed,
            false => Utf8::NotNeeded,
        };
        let recipient = Recipient {
            mailbox: to.clone(),
            notify: Some("NEVER".to_owned()),
            orcpt: None,
        };
        let message = Message {
            id,
            envelope: Envelope {
                from: MailFrom {
                    path: ReversePath::Null,
                    size: None,
                    body: match content.is_eight_bit() {
                        true => Body::EightBitMime,
                        false => Body::SevenBit,
                    },
                    utf8: needs_utf8,
                    ret: None,
                    envid: None,
                },
                recipients: vec![recipient],
            },
            content,
            origin: Origin {
                client: "sealpost".to_owned(),
                ..Origin::default()
            },
            message_id: String::new(),
            needs_utf8,
            tls_required: about.tls_required,
            received_at: Instant::now(),
            queued: None,
        };
        self.parts
            .ledger
            .notice(&message, action.as_str(), &about.id);
        self.new_notice(kind, &message, to, now).await
    }

    async fn new_notice(
        &self,
        kind: Kind,
        message: &Message,
        to: &Mailbox,
        now: Millis,
    ) -> Result<NewMessage, StoreError> {
        let settings = self.settings();
        let id = message.id.to_string();
        Ok(NewMessage {
            content: self.place(&id, &message.content).await?,
            id,
            sender: String::new(),
            size: message.content.size(),
            received: now,
            expires: now + millis(settings.expire),
            details: Details::of(kind, message).to_json(),
            recipients: vec![NewRecipient {
                address: to.to_string(),
                destination: match &settings.dsn_via {
                    DsnVia::Mx => destination(&to.domain, message.tls_required),
                    DsnVia::Hop(hop) => format!("via;{hop}"),
                },
                notify: Some("NEVER".to_owned()),
                orcpt: None,
                progress: Progress {
                    next: now,
                    ..Progress::default()
                },
            }],
        })
    }

    async fn compose(
        &self,
        name: &str,
        about: &About,
        (action, to): (Action, &Mailbox),
        told: &[Told],
    ) -> std::io::Result<Content> {
        let settings = self.settings();
        // Room for what is said around it, and of each recipient.
        let around = 64 * 1024 + 4096 * told.len() as u64;
        let most = settings.max_message_size.saturating_sub(around);
        let returned = dsn::returned(action, about.from.ret, about.content.size(), most);
        let eight_bit = match about.content.is_eight_bit() {
            true => EightBitContent::Yes,
            false => EightBitContent::No,
        };
        let original = MailFrom {
            path: ReversePath::Mailbox(to.clone()),
            ..about.from.clone()
        };
        let recipients: Vec<dsn::Told<'_>> = told.iter().map(Told::for_report).collect();
        let report = Report {
            action,
            reporting_mta: &settings.hostname,
            message_id: name,
            original_id: &about.id,
            now: clock::now(),
            arrival: system_time(about.received),
            original: &original,
            needs_utf8: about.needs_utf8,
            tls_required_no: match about.tls_required {
                TlsRequired::No => TlsRequiredField::No,
                TlsRequired::Unsaid => TlsRequiredField::Unsaid,
            },
            recipients: &recipients,
            until: about.until.map(system_time),
        };
        let notice = dsn::compose(&report, returned, eight_bit);
        let mut writer = self.parts.spool.writer(b"");
        writer.write(&notice.head).await?;
        match returned {
            Returned::Headers => writer.write(&about.content.header().await?).await?,
            Returned::Full => {
                let mut reader = about.content.reader();
                while let Some(piece) = reader.chunk().await? {
                    writer.write(&piece).await?;
                }
            }
        }
        writer.write(&notice.tail).await?;
        writer.finish().await
    }
}

/// What a notice is called in its Message-ID.
fn name_of(id: &MessageId, kind: Kind) -> String {
    match kind {
        Kind::Mail | Kind::Notice => id.to_string(),
        Kind::LastResort => format!("{id}{LAST_RESORT}"),
    }
}

/// Domains, and the local part but for its case.
fn same(one: &Mailbox, other: &Mailbox) -> bool {
    let domains = match (&one.domain, &other.domain) {
        (MailDomain::Name { ascii: a, .. }, MailDomain::Name { ascii: b, .. }) => a == b,
        (a, b) => a == b,
    };
    domains && one.local.eq_ignore_ascii_case(&other.local)
}

impl Told {
    fn for_report(&self) -> dsn::Told<'_> {
        dsn::Told {
            recipient: &self.recipient,
            status: self.status,
            diagnostic: &self.reply,
            remote: self.remote.as_ref().map(|(name, ip)| Remote {
                name: name.as_ref(),
                ip: *ip,
            }),
            last_attempt: self.last,
        }
    }
}
