//! What delivery tells while it works.

use super::{Ledger, UpstreamState};
use crate::delivery::{Enforced, Observer, WouldBlock};
use crate::policy::{PolicySource, TlsFailure};
use crate::tls::TlsSeen;
use std::time::Duration;

impl Observer for Ledger {
    fn handshake(&self, seen: &TlsSeen, elapsed: Duration) {
        Self::handshake(self, seen, elapsed);
    }

    fn tls_failure(&self, failure: &TlsFailure, policy: PolicySource, enforced: Enforced) {
        Self::tls_failure(self, failure, policy, enforced);
    }

    fn would_block(&self, blocked: &WouldBlock<'_>) {
        tell_dry_run(blocked);
    }

    fn connections(&self, active: usize, idle: usize) {
        let gauge = &self.metrics.upstream_connections;
        for (state, count) in [(UpstreamState::Active, active), (UpstreamState::Idle, idle)] {
            gauge
                .with_label_values(&[state.as_str()])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// One line for a host and a message that a rule in dry-run would have held back.
pub(super) fn tell_dry_run<F: std::fmt::Display>(blocked: &WouldBlock<'_, F>) {
    tracing::warn!(
        target: "sealpost::delivery",
        domain = blocked.domain,
        rule = blocked.rule_name,
        mx = blocked.host,
        reason = %blocked.failure,
        "dry-run"
    );
}
