//! What became of a recipient, as plain values: the reply to the client, the log and the metrics are
//! made of them.

use crate::names::MxHost;
use crate::policy::{Level, PolicySource, Trial, Tried};
use crate::smtp::extensions::Extension;
use crate::smtp::reply::Reply;
use crate::tls::TlsSeen;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub result: DeliveryResult,
    /// What the client is told: CONTRACT of replies, ready to be sent.
    pub reply: Reply,
    /// The host that decided; `None` if none was reached.
    pub via: Option<Arc<Via>>,
    pub possible_duplicate: PossibleDuplicate,
    /// Hosts and addresses tried for this recipient.
    pub attempts: u32,
    /// Why the policy held it back, if it did.
    pub blocked: Option<PolicyBlock>,
    /// What the host would have had to offer, if that is why it was not sent.
    pub missing: Option<Extension>,
    /// Whether any host was reached for it.
    pub reached: Reached,
}

/// Whether some connection was clear to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    No,
    /// There was no place for a connection, or we gave up: that says nothing of the host.
    Unknown,
    Yes,
}

/// What one attempt at one host made of a recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    pub result: DeliveryResult,
    pub reply: Reply,
    pub via: Option<Arc<Via>>,
    pub possible_duplicate: PossibleDuplicate,
    pub blocked: Option<PolicyBlock>,
    /// See [`Outcome::missing`].
    pub missing: Option<Extension>,
    /// How far it reaches; a delivery is always `Recipient`.
    pub scope: Scope,
}

impl Settled {
    /// A failure that no host stands behind.
    pub fn without_host(reply: Reply, scope: Scope) -> Self {
        Self::failed(reply, None, None, scope)
    }

    /// A failure; its result follows from the reply.
    pub fn failed(
        reply: Reply,
        via: Option<Arc<Via>>,
        blocked: Option<PolicyBlock>,
        scope: Scope,
    ) -> Self {
        let result = if reply.code >= 500 {
            DeliveryResult::Rejected
        } else {
            DeliveryResult::Deferred
        };
        Self {
            result,
            reply,
            via,
            possible_duplicate: PossibleDuplicate::No,
            blocked,
            missing: None,
            scope,
        }
    }
}

/// How far an attempt's result reaches; the walk over the hosts reads this, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This host could not; the next may.
    Host,
    /// No host will take this message.
    Message,
    /// This recipient's fate is decided.
    Recipient,
}

/// The `result` of logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryResult {
    Delivered,
    Deferred,
    Rejected,
    Queued,
}

impl DeliveryResult {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::Rejected => "rejected",
            Self::Queued => "queued",
        }
    }
}

/// Whether the message may have been accepted although we were not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PossibleDuplicate {
    No,
    Yes,
}

/// A delivery that TLS policy held back; labels of `policy_blocked_total`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyBlock {
    pub policy: PolicySource,
    /// RFC 8460's result type.
    pub reason: &'static str,
}

/// The channel over which a recipient's fate was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Via {
    /// Unexpanded; `None` for an address literal.
    pub mx: Option<MxHost>,
    pub address: SocketAddr,
    pub source: Option<IpAddr>,
    pub policy: PolicySource,
    pub level: Level,
    pub rule_name: Option<Arc<str>>,
    pub channel: Channel,
    pub dsn: Dsn,
    /// What a rule in dry-run would have done.
    pub trial: Trial,
}

/// Whether the host reports deliveries itself where that is asked for (RFC 3461 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dsn {
    NotOffered,
    Offered,
}

/// How the mail went.
#[derive(Debug, Clone, PartialEq)]
pub enum Channel {
    Tls(Arc<TlsSeen>),
    Plaintext(PlaintextCause),
    /// No channel came about that mail could use.
    None,
}

impl Channel {
    /// What a rule in dry-run is asked about.
    pub fn tried(&self) -> Tried {
        match self {
            Self::Tls(seen) => Tried::Tls(seen.trial),
            Self::Plaintext(_) => Tried::Plaintext,
            Self::None => Tried::Nothing,
        }
    }
}

/// Why mail went in the clear; the `cause` of `plaintext_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlaintextCause {
    NoStarttls,
    TlsFailed,
    PolicyNone,
}

impl PlaintextCause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoStarttls => "no_starttls",
            Self::TlsFailed => "tls_failed",
            Self::PolicyNone => "policy_none",
        }
    }
}
