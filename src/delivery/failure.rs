//! Why one host could not take a message: reasons, and how far each reaches.

use crate::policy::TlsFailure;
use crate::smtp::extensions::Extension;
use crate::smtp::reply::{Reply, ReplyError};
use std::fmt;

/// What we were waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Greeting,
    Ehlo,
    Starttls,
    EhloAfterTls,
    Mail,
    Rcpt,
    Data,
    Content,
    FinalDot,
    Rset,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::Starttls => "STARTTLS",
            Self::EhloAfterTls => "EHLO after STARTTLS",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Content => "sending the message",
            Self::FinalDot => "end of message",
            Self::Rset => "RSET",
        })
    }
}

/// Why an attempt at one host ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("no answer to the connection within {0} s")]
    ConnectTimeout(u64),
    /// As `ConnectTimeout`, when little time was left: it says nothing of the address.
    #[error("no answer to the connection within {0} s")]
    ConnectHurried(u64),
    /// A fault on our side: a source address that is not there, no descriptors.
    #[error("cannot connect from here: {0}")]
    Local(String),
    #[error("no time was left to try it")]
    OutOfTime,
    #[error("no slot for a connection within 30 s")]
    NoSlot,
    /// The host said no.
    #[error("{reply} (reply to {stage})")]
    Refused { stage: Stage, reply: Reply },
    #[error("connection lost ({stage})")]
    Lost { stage: Stage },
    #[error("time-out ({stage})")]
    TimedOut { stage: Stage },
    #[error("{error} ({stage})")]
    Protocol { stage: Stage, error: ReplyError },
    /// A reply of a class that does not belong there, or one that nobody asked for.
    #[error("unexpected reply to {stage}: {reply}")]
    Unexpected { stage: Stage, reply: Reply },
    #[error("{0}")]
    Tls(TlsFailure),
    /// The TLS channel failed and plaintext is not allowed yet (`plaintext_fallback`).
    #[error("{failure}")]
    TlsDelayed {
        failure: TlsFailure,
        plaintext_from: String,
    },
    #[error("mail loops back to this host")]
    LoopsBack,
    #[error("the domain has another policy by now")]
    PolicyChanged,
    #[error("SMTPUTF8 is needed and not offered")]
    NoSmtpUtf8,
    #[error("8BITMIME is needed and not offered (see outbound.assume_8bit)")]
    NoEightBitMime,
    #[error("message of {size} octets is above its limit of {limit}")]
    TooBig { size: u64, limit: u64 },
    #[error("the message cannot be read from the spool: {0}")]
    Spool(String),
}

/// What a failure is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    Nobody,
    /// The address, whatever the policy.
    Address,
    /// Its TLS, for those who ask the same of the same host.
    Tls,
}

impl Failure {
    /// Whose fault it is, whoever the mail is for: worth remembering, so that it does not cost the
    /// next message time. Replies to MAIL, RCPT and DATA never are, but for 421.
    pub(super) fn blame(&self) -> Blame {
        let at = |stage: &Stage| match stage {
            Stage::Greeting | Stage::Ehlo => Blame::Address,
            // Who tries no TLS never gets there.
            Stage::Starttls | Stage::EhloAfterTls => Blame::Tls,
            Stage::Mail
            | Stage::Rcpt
            | Stage::Data
            | Stage::Content
            | Stage::FinalDot
            | Stage::Rset => Blame::Nobody,
        };
        match self {
            Self::Connect(_) | Self::ConnectTimeout(_) => Blame::Address,
            Self::Refused { reply, .. } if reply.code == 421 => Blame::Address,
            Self::Refused { stage, .. }
            | Self::Lost { stage }
            | Self::TimedOut { stage }
            | Self::Protocol { stage, .. }
            | Self::Unexpected { stage, .. } => at(stage),
            Self::Tls(failure) | Self::TlsDelayed { failure, .. } => match failure {
                TlsFailure::Handshake(_)
                | TlsFailure::HandshakeTimeout
                | TlsFailure::ConnectionLost
                | TlsFailure::NoCommonParameters
                | TlsFailure::SurplusAfterStarttls => Blame::Tls,
                // Quick to find out, and other policies may be content with the host.
                TlsFailure::StarttlsNotOffered
                | TlsFailure::StarttlsRefused(_)
                | TlsFailure::VersionTooOld(_)
                | TlsFailure::Certificate(_)
                | TlsFailure::Dane(_)
                | TlsFailure::MtaSts(_) => Blame::Nobody,
            },
            Self::NoSlot
            | Self::ConnectHurried(_)
            | Self::Local(_)
            | Self::OutOfTime
            | Self::LoopsBack
            | Self::PolicyChanged
            | Self::NoSmtpUtf8
            | Self::NoEightBitMime
            | Self::TooBig { .. }
            | Self::Spool(_) => Blame::Nobody,
        }
    }

    /// EHLO was refused for good.
    pub(super) fn is_ehlo_refusal(&self) -> bool {
        let Self::Refused { stage, reply } = self else {
            return false;
        };
        *stage == Stage::Ehlo && reply.code >= 500
    }

    /// A time-out: if we gave it little time, it says nothing of the host.
    pub(super) fn is_time_out(&self) -> bool {
        matches!(
            self,
            Self::ConnectTimeout(_)
                | Self::TimedOut { .. }
                | Self::Tls(TlsFailure::HandshakeTimeout)
        )
    }

    /// What the host would have had to offer.
    pub(super) fn missing(&self) -> Option<Extension> {
        match self {
            Self::NoSmtpUtf8 => Some(Extension::SmtpUtf8),
            Self::NoEightBitMime => Some(Extension::EightBitMime),
            Self::Connect(_)
            | Self::ConnectTimeout(_)
            | Self::ConnectHurried(_)
            | Self::Local(_)
            | Self::OutOfTime
            | Self::NoSlot
            | Self::Refused { .. }
            | Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::Protocol { .. }
            | Self::Unexpected { .. }
            | Self::Tls(_)
            | Self::TlsDelayed { .. }
            | Self::LoopsBack
            | Self::PolicyChanged
            | Self::TooBig { .. }
            | Self::Spool(_) => None,
        }
    }

    /// Whether the host's other address family gives better hope: a refusal on policy grounds before
    /// anything was accepted, which is often about the source address.
    pub(super) fn is_policy_refusal(&self) -> bool {
        let Self::Refused { stage, reply } = self else {
            return false;
        };
        let before_acceptance = match stage {
            Stage::Greeting | Stage::Ehlo | Stage::EhloAfterTls | Stage::Mail | Stage::Rcpt => true,
            Stage::Starttls | Stage::Data | Stage::Content | Stage::FinalDot | Stage::Rset => false,
        };
        before_acceptance
            && (500..=599).contains(&reply.code)
            && reply
                .enhanced
                .is_some_and(|e| e.class == 5 && e.subject == 7)
    }
}
