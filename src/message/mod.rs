//! A message on its way: id, envelope, content and where it came from.

mod content;
mod saving;
mod spool;

pub use content::{Content, ContentReader, ContentWriter, EightBit};
pub use spool::{SpoolLimits, SpoolMemory};

use crate::names::DomainName;
use crate::smtp::envelope::{Envelope, Utf8};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// A message's name in replies, logs and the Received field: time and chance, 16 characters of
/// RFC 4648 §6's alphabet, sortable by time.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageId(Arc<str>);

impl MessageId {
    pub fn new(now: SystemTime) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let since = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let bits = (u128::from(micros) << 28) | u128::from(fastrand::u32(..) >> 4);
        let letter = |i: u32| char::from(ALPHABET[((bits >> (5 * (15 - i))) & 31) as usize]);
        Self((0..16).map(letter).collect::<String>().into())
    }

    /// One that was given earlier.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A received message with everything that its delivery needs. Shared by the deliveries of all its
/// next hops.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: MessageId,
    pub envelope: Envelope,
    pub content: Content,
    pub origin: Origin,
    /// The Message-ID field, cut to 200 octets; empty without one.
    pub message_id: String,
    /// Whether a host must offer SMTPUTF8: asked for by the client, and an address or the header
    /// really holds non-ASCII characters.
    pub needs_utf8: Utf8,
    pub tls_required: TlsRequired,
    /// When the client's final dot arrived, or this attempt began: the deadline counts from here.
    pub received_at: Instant,
    /// `None`: a client waits for the outcome.
    pub queued: Option<Queued>,
}

/// How a message that is in our custody has fared until this attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// Attempts, this one included.
    pub attempt: u32,
    /// When we took it.
    pub since: SystemTime,
    pub earlier: Earlier,
}

/// How the attempt before this one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// As far as is known, nothing of it has arrived.
    Settled,
    /// We were cut off before we could write down what became of it.
    Interrupted,
}

/// The header field TLS-Required (RFC 8689 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsRequired {
    #[default]
    Unsaid,
    /// `TLS-Required: No`
    No,
}

/// Who brought a message, and how its listener wants it sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The client's address, or `unix`.
    pub client: String,
    /// XFORWARD IDENT, else ENVID, else the id in the topmost Received field.
    pub client_id: Option<String>,
    /// The listener's EHLO name where it differs from the daemon's.
    pub hostname: Option<DomainName>,
    /// The listener's source addresses where it has its own.
    pub bind: Vec<IpAddr>,
}
