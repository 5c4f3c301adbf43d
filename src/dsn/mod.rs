//! Delivery status notifications (RFC 3461, RFC 3464; RFC 6533 for addresses in UTF-8): whether one is
//! due, how much of the message goes along, and the notice itself as a `multipart/report` (RFC 6522).
//!
//! Pure. The queue decides about each recipient and gathers those that are told the same in a
//! [`Report`]; [`compose`] writes what stands before and behind the returned content, which the queue
//! streams. A notice is sent with the null reverse path, and none is made for a message that came with
//! it (RFC 3464 §2).

mod compose;
mod lines;
mod status;
mod text;

#[cfg(test)]
mod tests;

pub use compose::{Notice, compose};

use crate::names::DomainName;
use crate::smtp::envelope::{MailFrom, Recipient, Ret, Utf8};
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;
use std::net::IpAddr;
use std::time::SystemTime;

/// What became of a recipient, as far as a relay can say (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// No more attempts.
    Failed,
    /// Not yet, and it will be tried again.
    Delayed,
    /// Handed to a server that does not offer DSN and thus confirms nothing (RFC 3461 §5.2.2).
    Relayed,
}

impl Action {
    /// The field's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }

    /// The word of NOTIFY that asks for it (RFC 3461 §4.1).
    fn keyword(self) -> &'static str {
        match self {
            Self::Failed => "FAILURE",
            Self::Delayed => "DELAY",
            Self::Relayed => "SUCCESS",
        }
    }
}

/// Whether a notice is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Yes,
    No,
}

/// Whether a recipient's NOTIFY, in its canonical spelling, asks for this notice (RFC 3461 §4.1). Without
/// NOTIFY failures and delays are told, as Postfix does.
pub fn wanted(notify: Option<&str>, action: Action) -> Wanted {
    let asked = notify.unwrap_or("FAILURE,DELAY");
    if asked.split(',').any(|word| word == action.keyword()) {
        Wanted::Yes
    } else {
        Wanted::No
    }
}

/// How much of the original goes along (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    Full,
    Headers,
}

/// Largest message that is returned whole without being asked for, octets (Postfix's
/// `bounce_size_limit`).
const UNASKED: u64 = 50 * 1024;

/// What is returned of a message of `size` octets. RET speaks of failures alone: who is told of anything
/// else still has the message (RFC 3461 §4.3). Above `most` octets the notice would not be accepted back.
pub fn returned(action: Action, ret: Option<Ret>, size: u64, most: u64) -> Returned {
    let limit = match (action, ret) {
        (Action::Delayed | Action::Relayed, _) | (Action::Failed, Some(Ret::Headers)) => {
            return Returned::Headers;
        }
        (Action::Failed, Some(Ret::Full)) => most,
        (Action::Failed, None) => most.min(UNASKED),
    };
    if size <= limit {
        Returned::Full
    } else {
        Returned::Headers
    }
}

/// Whether what is returned has octets above 127, so that it travels as `8bit` (RFC 2045 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EightBitContent {
    No,
    Yes,
}

/// Whether the message said `TLS-Required: No`; its notices then say it, too (RFC 8689 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsRequiredField {
    Unsaid,
    No,
}

/// One notice about one message and one action.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    pub action: Action,
    /// Our own name.
    pub reporting_mta: &'a DomainName,
    /// Unique, letters and digits, at most 40: it makes the Message-ID and the boundary.
    pub message_id: &'a str,
    /// Our id of the message that the notice is about.
    pub original_id: &'a str,
    /// The notice's Date.
    pub now: SystemTime,
    /// When the message came in.
    pub arrival: SystemTime,
    /// Whom the notice goes to, and ENVID.
    pub original: &'a MailFrom,
    /// Whether the message needed SMTPUTF8: its notice then has the types of RFC 6533 and needs it, too.
    pub needs_utf8: Utf8,
    pub tls_required_no: TlsRequiredField,
    /// At least one.
    pub recipients: &'a [Told<'a>],
    /// For [`Action::Delayed`]: when the last attempt will have been made.
    pub until: Option<SystemTime>,
}

/// What is told about one recipient.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub recipient: &'a Recipient,
    /// Of the class that the action demands (RFC 3464 §2.3.4); another is put right.
    pub status: EnhancedStatus,
    /// Our reply for this recipient: a stranger's words, mostly.
    pub diagnostic: &'a Reply,
    /// The host that decided, if one did.
    pub remote: Option<Remote<'a>>,
    pub last_attempt: Option<SystemTime>,
}

/// An MX host that was talked to.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    /// `None`: mail for an address literal.
    pub name: Option<&'a DomainName>,
    pub ip: IpAddr,
}
