//! What delivery tells while it works; the ledger listens.

use crate::policy::{PolicySource, TlsFailure};
use crate::smtp::reply::Reply;
use crate::tls::{TlsSeen, TlsSession};
use std::time::Duration;

/// Told once per fact. Implementations must not block.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A host's greeting, and how long it took. Nothing is counted by it.
    fn greeting(&self, _reply: &Reply, _after: Duration) {}

    /// What a host answers to EHLO. Nothing is counted by it.
    fn ehlo(&self, _reply: &Reply, _shelter: Shelter) {}

    /// A handshake that came about and was judged.
    fn handshake(&self, seen: &TlsSeen, elapsed: Duration);

    /// The chain that a peer presented, before it is judged. Nothing is counted by it.
    fn presented(&self, _session: &TlsSession) {}

    /// A TLS failure, once per connection.
    fn tls_failure(&self, failure: &TlsFailure, policy: PolicySource, enforced: Enforced);

    /// A rule that is only tried out would have held mail back; once per connection.
    fn would_block(&self, blocked: &WouldBlock<'_>);

    /// How many connections to MX hosts are in use and how many are kept for later.
    fn connections(&self, active: usize, idle: usize);
}

/// What `enforce = "dry-run"` is for, and mode `testing` of MTA-STS.
#[derive(Debug, Clone, Copy)]
pub struct WouldBlock<'a, F = TlsFailure> {
    pub domain: &'a str,
    /// The rule's `name`.
    pub rule_name: Option<&'a str>,
    /// As in replies: `mx1.example.com[192.0.2.1]`.
    pub host: &'a str,
    pub failure: &'a F,
}

/// Where something was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelter {
    Clear,
    Tls,
}

/// Whether a TLS failure held mail back or was only observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Enforced {
    Yes,
    No,
}

impl Enforced {
    /// The `enforced` label of `tls_failures_total`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}
