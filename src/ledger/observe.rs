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
        tracing::warn!(
            target: "sealpost::delivery",
            domain = blocked.domain,
            rule = blocked.rule_name,
            mx = blocked.host,
            reason = %blocked.failure,
            "dry-run"
        );
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
