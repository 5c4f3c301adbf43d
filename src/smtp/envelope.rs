//! The envelope of a message: reverse path, recipients and their parameters, kept as received so
//! that they can be passed on (RFC 5321 §3.3, RFC 3461 §4, RFC 6531 §3.4).

use super::address::{Mailbox, ReversePath};

/// Everything that MAIL said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFrom {
    pub path: ReversePath,
    /// SIZE as declared, octets (RFC 1870 §6.1).
    pub size: Option<u64>,
    pub body: Body,
    /// SMTPUTF8 was given (RFC 6531 §3.4).
    pub utf8: Utf8,
    pub ret: Option<Ret>,
    /// ENVID, decoded-checked but kept as xtext (RFC 3461 §4.4).
    pub envid: Option<String>,
}

/// BODY (RFC 6152 §2); BINARYMIME is not announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    #[default]
    SevenBit,
    EightBitMime,
}

/// Whether the transaction needs SMTPUTF8 (RFC 6531 §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Utf8 {
    #[default]
    NotNeeded,
    Needed,
}

/// RET (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    Full,
    Headers,
}

/// One RCPT with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    pub mailbox: Mailbox,
    /// NOTIFY, in canonical spelling, `NEVER` or a comma list (RFC 3461 §4.1).
    pub notify: Option<String>,
    /// ORCPT, `type;xtext` as received (RFC 3461 §4.2).
    pub orcpt: Option<String>,
}

/// A whole envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub from: MailFrom,
    /// At least one.
    pub recipients: Vec<Recipient>,
}
