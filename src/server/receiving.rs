//! A message on its way in, and the pace at which it must come.

use super::header::HeaderFacts;
use super::session::{ContentFault, Session};
use super::settings::TlsRequiredNo;
use crate::clock;
use crate::message::{Content, ContentWriter, MessageId, SpoolMemory};
use crate::names::DomainName;
use crate::smtp::dot::{LineEndCheck, LineEnds};
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// Least average rate of content, octets a second, after one idle time-out's grace; as Postfix's
/// `smtpd_min_data_rate`.
const MIN_RATE: u64 = 500;

/// Takes in the content of one message, by DATA or in chunks.
#[derive(Debug)]
pub(super) struct Receiving {
    id: MessageId,
    /// The writer until something is wrong; then what.
    writer: Result<ContentWriter, ContentFault>,
    /// Of chunks; DATA's decoder has its own.
    pub(super) line_ends: LineEndCheck,
    /// Of the whole message, in however many chunks it comes.
    pub(super) pace: Pace,
    size: u64,
    limit: u64,
    hostname: DomainName,
    tls_required_no: TlsRequiredNo,
}

/// A message that was taken in whole.
#[derive(Debug)]
pub(super) struct Complete {
    pub(super) id: MessageId,
    pub(super) facts: HeaderFacts,
    pub(super) content: Content,
    /// When its last octet arrived.
    pub(super) received_at: std::time::Instant,
}

impl Receiving {
    pub(super) fn new(session: &Session, spool: &SpoolMemory, pace: Pace) -> Self {
        let now = clock::now();
        let id = MessageId::new(now);
        let head = session.received_field(&id, now);
        let settings = session.settings();
        Self {
            id,
            writer: Ok(spool.writer(head.as_bytes())),
            line_ends: LineEndCheck::default(),
            pace,
            size: 0,
            limit: settings.max_message_size,
            hostname: session.hostname().clone(),
            tls_required_no: settings.tls_required_no,
        }
    }

    /// Takes a piece, or only counts it once something is wrong.
    pub(super) async fn take(&mut self, piece: &[u8]) {
        self.size = self.size.saturating_add(piece.len() as u64);
        if self.size > self.limit {
            self.refuse(ContentFault::TooBig);
        }
        if let Ok(writer) = &mut self.writer
            && let Err(error) = writer.write(piece).await
        {
            self.refuse(storage(&error));
        }
    }

    pub(super) fn id(&self) -> &MessageId {
        &self.id
    }

    /// Octets that came, those that were not kept included.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What is wrong so far.
    pub(super) fn fault(&self) -> Option<ContentFault> {
        self.writer.as_ref().err().copied()
    }

    /// The first fault stands, except that line ends tell how far the client can be trusted.
    pub(super) fn refuse(&mut self, fault: ContentFault) {
        if self.writer.is_ok() || fault == ContentFault::BareLineEnd {
            self.writer = Err(fault);
        }
    }

    /// The whole message; `line_ends` is the verdict on its lines.
    pub(super) async fn complete(mut self, line_ends: LineEnds) -> Result<Complete, ContentFault> {
        let received_at = Instant::now().into_std();
        if line_ends == LineEnds::Bare {
            self.refuse(ContentFault::BareLineEnd);
        }
        let writer = self.writer?;
        let facts = HeaderFacts::read(writer.header(), &self.hostname, self.tls_required_no);
        let content = writer.finish().await.map_err(|error| storage(&error))?;
        Ok(Complete {
            id: self.id,
            facts,
            content,
            received_at,
        })
    }
}

fn storage(error: &io::Error) -> ContentFault {
    tracing::error!(%error, "cannot write a message to disk");
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    if full.contains(&error.kind()) {
        ContentFault::NoRoom
    } else {
        ContentFault::Store
    }
}

/// Sees to it that content keeps coming.
#[derive(Debug)]
pub(super) struct Pace {
    started: Instant,
    patience: Duration,
    received: u64,
}

impl Pace {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            started: Instant::now(),
            patience,
            received: 0,
        }
    }

    /// Content that was taken in.
    pub(super) fn count(&mut self, octets: usize) {
        self.received += octets as u64;
    }

    /// When the next octets must be there: neither silence nor dripping may last.
    pub(super) fn deadline(&self) -> Instant {
        let earned = Duration::from_secs(self.received / MIN_RATE);
        let overall = self.started + self.patience + earned;
        overall.min(Instant::now() + self.patience)
    }
}
