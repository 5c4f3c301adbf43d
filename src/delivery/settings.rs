//! What delivery needs of the configuration.

use crate::names::DomainName;
use std::net::IpAddr;
use std::time::Duration;

/// Parts of `[outbound]` and `[relay]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// Our EHLO name, unless the listener has its own.
    pub hostname: DomainName,
    /// Source addresses; empty: the kernel chooses.
    pub bind: Vec<IpAddr>,
    pub max_connections: usize,
    pub max_connections_per_mx: usize,
    pub idle_connection_timeout: Duration,
    pub messages_per_connection: u32,
    pub connect_timeout: Duration,
    pub eight_bit: EightBit,
    pub plaintext_fallback: PlaintextFallback,
    pub reach_timeout: Duration,
    pub deadline: Duration,
    pub dot_deadline: Duration,
    pub known_faults: KnownFaults,
}

/// What becomes of an address that is known to have failed a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KnownFaults {
    /// It is not tried: a client waits for the answer, and has others to send to.
    #[default]
    Heed,
    /// One tries it all the same: somebody has waited before it came to that.
    Probe,
}

/// `outbound.assume_8bit`: what to do with 8-bit content and a host without 8BITMIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EightBit {
    #[default]
    NeedsExtension,
    Assume,
}

/// `relay.plaintext_fallback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlaintextFallback {
    #[default]
    Delayed,
    Immediate,
    Never,
}
