//! On what terms a message is delivered.

use crate::delivery::{DeliverySettings, KnownFaults};
use crate::discovery::DiscoverySettings;
use crate::names::{RuleNextHop, RuleTarget};
use crate::policy::{Level, PolicySettings};
use crate::tls::TlsClient;
use std::time::Duration;

/// Everything of the configuration that a delivery obeys; replaced as a whole by a reload. A message
/// takes the snapshot once and keeps it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub policy: PolicySettings,
    pub discovery: DiscoverySettings,
    pub delivery: DeliverySettings,
    /// The same for what nobody waits for.
    queued: DeliverySettings,
    pub tls: TlsClient,
}

/// Where no client waits, a host has the times of RFC 5321 §4.5.3.2: five minutes for its greeting, and as much
/// again for what comes before and after.
const QUEUED_REACH: Duration = Duration::from_secs(10 * 60);
/// For everything up to our final dot.
const QUEUED_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// Ten minutes for the reply to it (RFC 5321 §4.5.3.2.6).
const QUEUED_DOT: Duration = Duration::from_secs(40 * 60);

/// How a message is sent, and who waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub patience: Patience,
    pub via: Via,
}

/// For how long a delivery may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A client waits: `relay.reach_timeout` and its like hold.
    OfClient,
    /// Nobody waits.
    OfQueue,
}

/// By which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Each recipient's domain, or what a rule says of it.
    Rules,
    /// This next hop, whoever the recipients are.
    Hop(RuleNextHop),
}

impl Snapshot {
    pub fn new(
        policy: PolicySettings,
        discovery: DiscoverySettings,
        delivery: DeliverySettings,
        tls: TlsClient,
    ) -> Self {
        let queued = DeliverySettings {
            reach_timeout: QUEUED_REACH,
            deadline: QUEUED_DEADLINE,
            dot_deadline: QUEUED_DOT,
            known_faults: KnownFaults::Probe,
            ..delivery.clone()
        };
        Self {
            policy,
            discovery,
            delivery,
            queued,
            tls,
        }
    }

    pub(super) fn settings(&self, patience: Patience) -> &DeliverySettings {
        match patience {
            Patience::OfClient => &self.delivery,
            Patience::OfQueue => &self.queued,
        }
    }

    /// For mail that does not leave this machine: plain SMTP, which nobody can overhear there.
    pub(super) fn inward(&self) -> Self {
        Self {
            policy: PolicySettings {
                default: Level::None,
                ..self.policy.clone()
            },
            ..self.clone()
        }
    }
}

pub(super) fn is_this_machine(hop: &RuleNextHop) -> bool {
    match &hop.target {
        RuleTarget::Address(ip) => ip.to_canonical().is_loopback(),
        // Whatever they are called: DNS says where that is.
        RuleTarget::Host(_) | RuleTarget::Mx(_) => false,
    }
}
