//! What the store keeps of a message beside what it schedules by: as JSON, so that it can grow.

use crate::message::{EightBit, Origin, TlsRequired};
use crate::names::DomainName;
use crate::smtp::address::PathAndRest;
use crate::smtp::envelope::{Body, MailFrom, Ret, Utf8};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What kind of message is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// Somebody's mail.
    #[default]
    Mail,
    /// Our word on what became of it.
    Notice,
    /// A notice that could not be delivered, for the postmaster.
    LastResort,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Details {
    #[serde(skip_serializing_if = "is_default")]
    pub(super) kind: Kind,
    /// BODY=8BITMIME was said.
    #[serde(skip_serializing_if = "is_default")]
    body_8bit: bool,
    /// SMTPUTF8 was said.
    #[serde(skip_serializing_if = "is_default")]
    utf8: bool,
    #[serde(skip_serializing_if = "is_default")]
    needs_utf8: bool,
    /// RET=FULL: true; RET=HDRS: false.
    #[serde(skip_serializing_if = "is_default")]
    ret_full: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    envid: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    eight_bit: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_required_no: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) message_id: String,
    #[serde(skip_serializing_if = "is_default")]
    client: String,
    #[serde(skip_serializing_if = "is_default")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    hostname: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    bind: Vec<IpAddr>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What [`Details`] says of a message, in the message's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) from: MailFrom,
    pub(super) needs_utf8: Utf8,
    pub(super) eight_bit: EightBit,
    pub(super) tls_required: TlsRequired,
    pub(super) origin: Origin,
}

impl Details {
    pub(super) fn of(kind: Kind, message: &crate::message::Message) -> Self {
        let from = &message.envelope.from;
        let origin = &message.origin;
        Self {
            kind,
            body_8bit: from.body == Body::EightBitMime,
            utf8: from.utf8 == Utf8::Needed,
            needs_utf8: message.needs_utf8 == Utf8::Needed,
            ret_full: from.ret.map(|ret| ret == Ret::Full),
            envid: from.envid.clone(),
            eight_bit: message.content.is_eight_bit(),
            tls_required_no: message.tls_required == TlsRequired::No,
            message_id: message.message_id.clone(),
            client: origin.client.clone(),
            client_id: origin.client_id.clone(),
            hostname: origin.hostname.as_ref().map(ToString::to_string),
            bind: origin.bind.clone(),
        }
    }

    pub(super) fn to_json(&self) -> String {
        // Strings, numbers and lists of them: that cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn from_json(json: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(json).map_err(|error| Unreadable(error.to_string()))
    }

    pub(super) fn facts(&self, sender: &str, size: u64) -> Result<Facts, Unreadable> {
        let path = PathAndRest::split(&format!("<{sender}>"))
            .and_then(|path| path.reverse())
            .map_err(|error| Unreadable(format!("{sender}: {error}")))?;
        let utf8 = |needed| {
            if needed {
                Utf8::Needed
            } else {
                Utf8::NotNeeded
            }
        };
        let ret = |full| if full { Ret::Full } else { Ret::Headers };
        let hostname = match self.hostname.as_deref().map(DomainName::parse) {
            Some(Err(error)) => return Err(Unreadable(error.to_string())),
            Some(Ok(name)) => Some(name),
            None => None,
        };
        Ok(Facts {
            from: MailFrom {
                path,
                size: Some(size),
                body: match self.body_8bit {
                    true => Body::EightBitMime,
                    false => Body::SevenBit,
                },
                utf8: utf8(self.utf8),
                ret: self.ret_full.map(ret),
                envid: self.envid.clone(),
            },
            needs_utf8: utf8(self.needs_utf8),
            eight_bit: match self.eight_bit {
                true => EightBit::Yes,
                false => EightBit::No,
            },
            tls_required: match self.tls_required_no {
                true => TlsRequired::No,
                false => TlsRequired::Unsaid,
            },
            origin: Origin {
                client: self.client.clone(),
                client_id: self.client_id.clone(),
                hostname,
                bind: self.bind.clone(),
            },
        })
    }
}

/// Who gave the last reply, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Speaker {
    /// The MX host's name; none for an address literal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) ip: IpAddr,
}

/// What the store has kept cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message in the queue cannot be read: {0}")]
pub(super) struct Unreadable(pub(super) String);
