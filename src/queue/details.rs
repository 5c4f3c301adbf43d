//! What the store keeps of a message beside what it schedules by: as JSON, so that it can grow.

use crate::message::{EightBit, Message, Origin, TlsRequired};
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

/// What a message is, or asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Trait {
    /// BODY=8BITMIME was said.
    #[serde(rename = "8bitmime")]
    EightBitMime,
    /// SMTPUTF8 was said.
    SmtpUtf8,
    NeedsSmtpUtf8,
    /// An octet above 127 occurs.
    #[serde(rename = "8bit")]
    EightBit,
    TlsRequiredNo,
    RetFull,
    RetHeaders,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Details {
    #[serde(skip_serializing_if = "is_default")]
    pub(super) kind: Kind,
    #[serde(skip_serializing_if = "is_default")]
    traits: Vec<Trait>,
    #[serde(skip_serializing_if = "is_default")]
    envid: Option<String>,
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
    pub(super) fn of(kind: Kind, message: &Message) -> Self {
        let from = &message.envelope.from;
        let origin = &message.origin;
        let traits = [
            (from.body == Body::EightBitMime, Trait::EightBitMime),
            (from.utf8 == Utf8::Needed, Trait::SmtpUtf8),
            (message.needs_utf8 == Utf8::Needed, Trait::NeedsSmtpUtf8),
            (message.content.is_eight_bit(), Trait::EightBit),
            (
                message.tls_required == TlsRequired::No,
                Trait::TlsRequiredNo,
            ),
            (from.ret == Some(Ret::Full), Trait::RetFull),
            (from.ret == Some(Ret::Headers), Trait::RetHeaders),
        ];
        let has = |(has, which): (bool, Trait)| has.then_some(which);
        Self {
            kind,
            traits: traits.into_iter().filter_map(has).collect(),
            envid: from.envid.clone(),
            message_id: message.message_id.clone(),
            client: origin.client.clone(),
            client_id: origin.client_id.clone(),
            hostname: origin.hostname.as_ref().map(ToString::to_string),
            bind: origin.bind.clone(),
        }
    }

    fn has(&self, which: Trait) -> bool {
        self.traits.contains(&which)
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
        let hostname = match self.hostname.as_deref().map(DomainName::parse) {
            Some(Err(error)) => return Err(Unreadable(error.to_string())),
            Some(Ok(name)) => Some(name),
            None => None,
        };
        let utf8 = |which| match self.has(which) {
            true => Utf8::Needed,
            false => Utf8::NotNeeded,
        };
        Ok(Facts {
            from: MailFrom {
                path,
                size: Some(size),
                body: match self.has(Trait::EightBitMime) {
                    true => Body::EightBitMime,
                    false => Body::SevenBit,
                },
                utf8: utf8(Trait::SmtpUtf8),
                ret: match (self.has(Trait::RetFull), self.has(Trait::RetHeaders)) {
                    (true, _) => Some(Ret::Full),
                    (false, true) => Some(Ret::Headers),
                    (false, false) => None,
                },
                envid: self.envid.clone(),
            },
            needs_utf8: utf8(Trait::NeedsSmtpUtf8),
            eight_bit: match self.has(Trait::EightBit) {
                true => EightBit::Yes,
                false => EightBit::No,
            },
            tls_required: match self.has(Trait::TlsRequiredNo) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Content, MessageId};
    use crate::smtp::address::ReversePath;
    use crate::smtp::envelope::Envelope;
    use std::time::{Instant, SystemTime};

    fn message(from: MailFrom, tls_required: TlsRequired) -> Message {
        Message {
            id: MessageId::new(SystemTime::UNIX_EPOCH),
            needs_utf8: from.utf8,
            envelope: Envelope {
                from,
                recipients: Vec::new(),
            },
            content: Content::from_octets("größer".into()),
            origin: Origin {
                client: "192.0.2.1".into(),
                client_id: Some("4X\"yz".into()),
                hostname: Some(DomainName::parse("relay.example").unwrap()),
                bind: vec!["2001:db8::1".parse().unwrap()],
            },
            message_id: "<1@\u{e4}>".into(),
            tls_required,
            received_at: Instant::now(),
            queued: None,
        }
    }

    #[test]
    fn everything_comes_back() {
        let path = |text| PathAndRest::split(text).unwrap().reverse().unwrap();
        for (sender, ret, utf8, body) in [
            (
                "<\"a b\"@c.example>",
                Some(Ret::Full),
                Utf8::NotNeeded,
                Body::SevenBit,
            ),
            (
                "<grüße@bücher.example>",
                Some(Ret::Headers),
                Utf8::Needed,
                Body::EightBitMime,
            ),
            ("<>", None, Utf8::NotNeeded, Body::EightBitMime),
        ] {
            for tls_required in [TlsRequired::No, TlsRequired::Unsaid] {
                let from = MailFrom {
                    path: path(sender),
                    size: Some(7),
                    body,
                    utf8,
                    ret,
                    envid: ret.map(|_| "a+2Bb".to_owned()),
                };
                let message = message(from.clone(), tls_required);
                let json = Details::of(Kind::Notice, &message).to_json();
                let details = Details::from_json(&json).unwrap();
                assert_eq!(
                    (details.kind, &*details.message_id),
                    (Kind::Notice, "<1@\u{e4}>")
                );
                let kept = from.path.for_wire(Utf8::Needed);
                let facts = details.facts(&kept, 7).unwrap();
                let expected = Facts {
                    from,
                    needs_utf8: utf8,
                    eight_bit: EightBit::Yes,
                    tls_required,
                    origin: message.origin.clone(),
                };
                assert_eq!(facts, expected, "{json}");
            }
        }
    }

    #[test]
    fn what_cannot_be_understood_is_said_to_be_unreadable() {
        assert!(Details::from_json("{").is_err());
        let details = Details::from_json("{}").unwrap();
        assert_eq!(details.facts("", 1).unwrap().from.path, ReversePath::Null);
        assert!(details.facts("a@b@c", 1).is_err());
    }
}
