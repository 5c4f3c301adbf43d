//! Paths and mailboxes (RFC 5321 §4.1.2, RFC 6531 §3.3), kept as written so that a quoted local
//! part stays quoted.

mod hide;
mod parse;

pub use hide::without_addresses;
pub use parse::{AddressError, ForwardPath, PathAndRest};

use super::envelope::Utf8;
use crate::names::DomainName;
use std::fmt;
use std::net::IpAddr;

/// A mailbox as it stood in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The local part as written: quotes and all, UTF-8 where SMTPUTF8 allows it.
    pub local: String,
    pub domain: MailDomain,
}

/// What follows the `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MailDomain {
    /// A name, as A-labels for routing and as it was written.
    Name { ascii: DomainName, written: String },
    /// `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    Literal(IpAddr),
}

/// MAIL FROM's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>` (RFC 5321 §4.5.5).
    Null,
    Mailbox(Mailbox),
}

impl Mailbox {
    /// Whether it can be said without SMTPUTF8 (RFC 6531 §3.3).
    pub fn is_ascii(&self) -> bool {
        let domain = match &self.domain {
            MailDomain::Name { written, .. } => written.is_ascii(),
            MailDomain::Literal(_) => true,
        };
        domain && self.local.is_ascii()
    }
}

impl ReversePath {
    /// Whether it can be said without SMTPUTF8 (RFC 6531 §3.3).
    pub fn is_ascii(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }
}

impl fmt::Display for MailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { written, .. } => f.write_str(written),
            Self::Literal(IpAddr::V4(ip)) => write!(f, "[{ip}]"),
            Self::Literal(IpAddr::V6(ip)) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

impl Mailbox {
    /// The mailbox for a command: as written under SMTPUTF8, else with the domain as A-labels.
    pub fn for_wire(&self, utf8: Utf8) -> String {
        match (utf8, &self.domain) {
            (Utf8::NotNeeded, MailDomain::Name { ascii, written }) if !written.is_ascii() => {
                format!("{}@{ascii}", self.local)
            }
            (Utf8::NotNeeded | Utf8::Needed, _) => self.to_string(),
        }
    }
}

impl ReversePath {
    /// As [`Mailbox::for_wire`]; empty for the null path.
    pub fn for_wire(&self, utf8: Utf8) -> String {
        match self {
            Self::Null => String::new(),
            Self::Mailbox(mailbox) => mailbox.for_wire(utf8),
        }
    }
}
