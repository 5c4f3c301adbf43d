//! The server's own replies: one place for code, enhanced code and text (CONTRACT of replies).

use super::settings::Protocol;
use crate::names::DomainName;
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;

/// Everything that the server side says for itself; what became of a message comes with its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    Ok,
    SenderOk,
    RecipientOk,
    ChunkOk,
    Bye,
    Help,
    CannotVerify,
    StartContent,
    ReadyForTls,
    NotAllowed,
    NoLongerAllowed,
    TooManySessions,
    ShuttingDown,
    TimedOut,
    TooManyErrors,
    TooManyIdleCommands,
    BadSequence,
    HelloFirst,
    WrongHello,
    NestedMail,
    MailFirst,
    NoRecipients,
    NoLmtpRecipients,
    DataAfterBdat,
    NotOffered,
    AlreadySecured,
    NeedsUtf8,
    TooBig,
    TooManyRecipients,
    OneRecipient,
    NoRoomForSecond,
    BareLineEnd,
    NoRoom,
    StoreFailed,
    NoOutcome,
    TooManyHops,
    Loop,
}

impl Say {
    pub(super) fn reply(self) -> Reply {
        let (code, subject, detail, text) = self.parts();
        if self == Self::StartContent {
            return Reply::plain(code, text); // RFC 2034 §4: no enhanced code in 3xx
        }
        let class = u8::try_from(code / 100).unwrap_or(5);
        Reply::new(code, EnhancedStatus::new(class, subject, detail), text)
    }

    fn parts(self) -> (u16, u16, u16, &'static str) {
        match self {
            Self::Ok => (250, 0, 0, "ok"),
            Self::SenderOk => (250, 1, 0, "ok"),
            Self::RecipientOk => (250, 1, 5, "ok"),
            Self::ChunkOk => (250, 0, 0, "chunk received"),
            Self::Bye => (221, 0, 0, "bye"),
            Self::Help => (214, 0, 0, "see RFC 5321; this relay is Sealpost"),
            Self::CannotVerify => (252, 0, 0, "cannot verify, will try to deliver"),
            Self::StartContent => (354, 0, 0, "end with CRLF.CRLF"),
            Self::ReadyForTls => (220, 0, 0, "ready to start TLS"),
            Self::NotAllowed => (554, 7, 1, "relay access denied: not in client.networks"),
            // The next connection hears the reason.
            Self::NoLongerAllowed => (421, 7, 0, "client.networks has changed"),
            Self::TooManySessions => (421, 3, 2, "too many sessions"),
            Self::ShuttingDown => (421, 3, 2, "shutting down"),
            Self::TimedOut => (421, 4, 2, "timed out waiting for the client"),
            Self::TooManyErrors => (421, 7, 0, "too many errors"),
            Self::TooManyIdleCommands => (421, 7, 0, "too many commands without mail"),
            Self::BadSequence => (503, 5, 1, "bad sequence of commands"),
            Self::HelloFirst => (503, 5, 1, "say hello first"),
            Self::WrongHello => (500, 5, 1, "wrong hello for this protocol"),
            Self::NestedMail => (503, 5, 1, "nested MAIL"),
            Self::MailFirst => (503, 5, 1, "need MAIL first"),
            Self::NoRecipients => (554, 5, 1, "no valid recipients"),
            Self::NoLmtpRecipients => (503, 5, 1, "no valid recipients"),
            Self::DataAfterBdat => (503, 5, 1, "DATA and BDAT cannot be mixed"),
            Self::NotOffered => (502, 5, 1, "not offered here"),
            Self::AlreadySecured => (503, 5, 1, "TLS is active already"),
            Self::NeedsUtf8 => (553, 6, 7, "a non-ASCII address needs SMTPUTF8"),
            Self::TooBig => (552, 3, 4, "message too big"),
            Self::TooManyRecipients => (452, 5, 3, "too many recipients"),
            Self::OneRecipient => (
                452,
                5,
                3,
                "custody \"client\" takes one recipient per transaction over SMTP \
                 (Postfix: TRANSPORT_destination_recipient_limit = 1, or use LMTP)",
            ),
            Self::NoRoomForSecond => (
                452,
                5,
                3,
                "one recipient per transaction now: there is no room to keep what could not be delivered",
            ),
            Self::BareLineEnd => (550, 6, 11, "bare LF or bare CR in the message"),
            Self::NoRoom => (452, 3, 1, "no room to store the message"),
            Self::StoreFailed => (451, 3, 0, "cannot store the message"),
            Self::NoOutcome => (451, 3, 0, "delivery ended without an outcome"),
            Self::TooManyHops => (554, 4, 6, "too many hops"),
            Self::Loop => (554, 4, 6, "mail loops back to this relay"),
        }
    }
}

/// The greeting: no enhanced code (RFC 2034 §4).
pub(super) fn greeting(protocol: Protocol, hostname: &DomainName) -> Reply {
    let protocol = match protocol {
        Protocol::Smtp => "ESMTP",
        Protocol::Lmtp => "LMTP",
    };
    Reply::plain(220, format!("{hostname} {protocol} Sealpost"))
}
