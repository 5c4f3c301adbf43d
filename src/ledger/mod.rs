//! The only place that counts, logs an outcome or feeds a report.

use crate::delivery::outcome::Outcome;
use crate::message::Message;
use crate::policy::{PolicySource, TlsFailure};
use crate::smtp::envelope::Recipient;
use crate::tls::TlsSeen;
use std::time::Duration;

/// Counters and the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger;

/// What became of one recipient of one message.
#[derive(Debug)]
pub struct DeliveryEvent<'a> {
    pub message: &'a Message,
    pub recipient: &'a Recipient,
    pub outcome: &'a Outcome,
    /// Since the client's final dot.
    pub elapsed: Duration,
}

/// Whether a TLS failure held mail back or was only observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    Yes,
    No,
}

/// The state label of `upstream_connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamState {
    Active,
    Idle,
}

/// How a client's addresses are written to the log (`log.addresses`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogAddresses {
    #[default]
    Plain,
    Hash,
}

/// How a server session ended, for the debug log.
#[derive(Debug, Clone)]
pub struct SessionSummary {
    pub protocol: &'static str,
    pub client: String,
    pub messages: u64,
    pub elapsed: Duration,
    pub ended: &'static str,
}

/// Counts one thing in a gauge for as long as it lives.
#[derive(Debug)]
pub struct GaugeGuard;

impl Ledger {
    pub fn new(addresses: LogAddresses) -> Self {
        let _ = addresses;
        unimplemented!()
    }

    /// One event, and all counters, for one recipient's outcome.
    pub fn delivery(&self, event: &DeliveryEvent<'_>) {
        let _ = event;
        unimplemented!()
    }

    /// A handshake that came about.
    pub fn handshake(&self, seen: &TlsSeen, elapsed: Duration) {
        let _ = (seen, elapsed);
        unimplemented!()
    }

    /// A TLS failure, once per connection.
    pub fn tls_failure(&self, failure: &TlsFailure, policy: PolicySource, enforced: Enforced) {
        let _ = (failure, policy, enforced);
        unimplemented!()
    }

    /// One DNS question that went to a server; both words are bounded by the caller.
    pub fn dns_query(&self, record_type: &'static str, result: &'static str) {
        let _ = (record_type, result);
        unimplemented!()
    }

    /// One policy decision with its discovery: source, result, time it took.
    pub fn policy_lookup(&self, source: PolicySource, result: &'static str, elapsed: Duration) {
        let _ = (source, result, elapsed);
        unimplemented!()
    }

    /// 8-bit content that no host would take.
    pub fn eight_bit_refused(&self) {
        unimplemented!()
    }

    /// A server session, `smtp` or `lmtp`, while it lasts.
    pub fn session(&self, protocol: &'static str) -> GaugeGuard {
        let _ = protocol;
        unimplemented!()
    }

    /// A server session that ended (debug log).
    pub fn session_ended(&self, summary: &SessionSummary) {
        let _ = summary;
        unimplemented!()
    }

    /// A connection to an MX host in a state, while it lasts.
    pub fn upstream(&self, state: UpstreamState) -> GaugeGuard {
        let _ = state;
        unimplemented!()
    }

    /// A reload of the configuration.
    pub fn reload(&self, result: Result<(), &str>) {
        let _ = result;
        unimplemented!()
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        unimplemented!()
    }
}
