//! What an outcome adds to the counters.

use super::Ledger;
use crate::clock;
use crate::delivery::outcome::{Channel, DeliveryResult, Outcome, Via};
use crate::policy::PolicySource;
use crate::smtp::extensions::Extension;
use crate::tls::TlsSeen;
use std::time::Duration;

impl Ledger {
    pub(super) fn count(&self, outcome: &Outcome, rule_name: Option<&str>, elapsed: Duration) {
        let metrics = &self.metrics;
        let result = outcome.result.as_str();
        let Decided {
            policy,
            level,
            tls,
            authenticated,
        } = Decided::of(outcome);
        metrics
            .deliveries
            .with_label_values(&[result, policy, level, tls, authenticated])
            .inc();
        metrics.delivery_seconds.observe(elapsed.as_secs_f64());
        let delivered = outcome.result == DeliveryResult::Delivered;
        if let (true, Some(via)) = (delivered, &outcome.via)
            && let Channel::Plaintext(cause) = &via.channel
        {
            metrics.plaintext.with_label_values(&[cause.as_str()]).inc();
        }
        if let Some(rule) = rule_name {
            metrics
                .rule_deliveries
                .with_label_values(&[rule, result, tls])
                .inc();
            if let Some(via) = &outcome.via {
                metrics.rule_certificates.met(rule, via, clock::now());
            }
        }
        let refused = outcome.result == DeliveryResult::Rejected;
        if refused && outcome.missing == Some(Extension::EightBitMime) {
            metrics.eight_bit_refused.inc();
        }
        if let (false, Some(block)) = (delivered, &outcome.blocked) {
            metrics
                .policy_blocked
                .with_label_values(&[block.policy.as_str(), block.reason])
                .inc();
        }
    }
}

/// The labels of an outcome.
pub(super) struct Decided {
    pub(super) policy: &'static str,
    pub(super) level: &'static str,
    pub(super) tls: &'static str,
    pub(super) authenticated: &'static str,
}

/// `policy` and `level` of an outcome that came before any policy was decided, as when the domain
/// does not exist.
const UNDECIDED: &str = "undecided";

impl Decided {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let via = outcome.via.as_deref();
        let policy = via
            .map(|via| via.policy)
            .or(outcome.blocked.as_ref().map(|block| block.policy));
        let seen = via.and_then(channel);
        Self {
            policy: policy.map_or(UNDECIDED, PolicySource::as_str),
            level: via.map_or(UNDECIDED, |via| via.level.as_str()),
            tls: seen.map_or("none", |seen| seen.version.as_str()),
            authenticated: seen.map_or("none", |seen| seen.authenticated.as_str()),
        }
    }
}

/// What TLS brought, if the channel was TLS.
pub(super) fn channel(via: &Via) -> Option<&TlsSeen> {
    match &via.channel {
        Channel::Tls(seen) => Some(seen),
        Channel::Plaintext(_) | Channel::None => None,
    }
}
