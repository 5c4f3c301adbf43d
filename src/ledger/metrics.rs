//! The metrics: buckets, and the series that exist before anything happened.

use super::families::*;
use super::process::Process;
use super::registrar::{Described, Registrar};
use super::rule_certificates::RuleCertificates;
use super::socketmap::SOCKETMAP_LABELS;
use crate::clock;
use crate::discovery::{FetchFailure, Refreshed, Sign, StsSource};
use crate::policy::PolicySource;
use prometheus::{
    Encoder, Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder,
};
use std::time::{SystemTime, UNIX_EPOCH};

/// From the client's final dot to the outcome, seconds; beyond `relay.dot_deadline` there is nothing.
const DELIVERY_BUCKETS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 90.0, 120.0, 300.0, 600.0,
];
/// From an answer out of the cache to one that timed out at every server, seconds.
const LOOKUP_BUCKETS: &[f64] = &[
    0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// From loopback to the far side of the world with loss, seconds.
const HANDSHAKE_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Every metric, in a registry of its own.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    pub(super) described: Vec<Described>,
    pub(super) deliveries: IntCounterVec,
    pub(super) plaintext: IntCounterVec,
    pub(super) plaintext_after_tls: IntCounterVec,
    pub(super) downgrades: IntCounterVec,
    pub(super) history_dropped: IntCounter,
    pub(super) tls_handshakes: IntCounterVec,
    pub(super) tls_failures: IntCounterVec,
    pub(super) certificates: IntCounterVec,
    pub(super) policy_lookups: IntCounterVec,
    pub(super) policy_blocked: IntCounterVec,
    pub(super) rule_deliveries: IntCounterVec,
    pub(super) rule_certificates: RuleCertificates,
    pub(super) dns_queries: IntCounterVec,
    pub(super) mta_sts_fetches: IntCounterVec,
    pub(super) mta_sts_refreshes: IntCounterVec,
    pub(super) mta_sts_suspicions: IntCounterVec,
    pub(super) mta_sts_cache_entries: IntGaugeVec,
    pub(super) eight_bit_refused: IntCounter,
    pub(super) queue_messages: IntGaugeVec,
    pub(super) queue_oldest_age: IntGaugeVec,
    pub(super) notices: IntCounterVec,
    pub(super) double_bounces: IntCounter,
    /// Absent until it was found out.
    pub(super) store_writable: IntGaugeVec,
    pub(super) store_commits: IntCounter,
    pub(super) socketmap_answers: IntCounterVec,
    pub(super) sessions: IntGaugeVec,
    pub(super) upstream_connections: IntGaugeVec,
    pub(super) config_last_reload_successful: IntGauge,
    pub(super) config_last_reload_success: Gauge,
    /// Absent while nobody wants DNSSEC.
    pub(super) dnssec_working: IntGaugeVec,
    pub(super) delivery_seconds: Histogram,
    pub(super) policy_lookup_seconds: Histogram,
    pub(super) tls_handshake_seconds: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let r = Registrar::default();
        r.gauges(BUILD_INFO)
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        r.register(Process::new());
        let mut metrics = Self {
            registry: Registry::default(),
            described: Vec::new(),
            deliveries: r.counters(DELIVERIES),
            plaintext: r.counters(PLAINTEXT),
            plaintext_after_tls: r.counters(PLAINTEXT_AFTER_TLS),
            downgrades: r.counters(DOWNGRADES),
            history_dropped: r.counter(HISTORY_DROPPED),
            tls_handshakes: r.counters(TLS_HANDSHAKES),
            tls_failures: r.counters(TLS_FAILURES),
            certificates: r.counters(CERTIFICATES),
            policy_lookups: r.counters(POLICY_LOOKUPS),
            policy_blocked: r.counters(POLICY_BLOCKED),
            rule_deliveries: r.counters(RULE_DELIVERIES),
            rule_certificates: r.register(RuleCertificates::new()),
            dns_queries: r.counters(DNS_QUERIES),
            mta_sts_fetches: r.counters(MTA_STS_FETCHES),
            mta_sts_refreshes: r.counters(MTA_STS_REFRESHES),
            mta_sts_suspicions: r.counters(MTA_STS_SUSPICIONS),
            mta_sts_cache_entries: r.gauges(MTA_STS_CACHE_ENTRIES),
            queue_messages: r.gauges(QUEUE_MESSAGES),
            queue_oldest_age: r.gauges(QUEUE_OLDEST_AGE),
            notices: r.counters(NOTICES),
            double_bounces: r.counter(DOUBLE_BOUNCES),
            store_writable: r.gauges(STORE_WRITABLE),
            store_commits: r.counter(STORE_COMMITS),
            socketmap_answers: r.counters(SOCKETMAP_ANSWERS),
            sessions: r.gauges(SESSIONS),
            upstream_connections: r.gauges(UPSTREAM_CONNECTIONS),
            delivery_seconds: r.histogram(DELIVERY_SECONDS, DELIVERY_BUCKETS),
            policy_lookup_seconds: r.histogram(POLICY_LOOKUP_SECONDS, LOOKUP_BUCKETS),
            tls_handshake_seconds: r.histogram(TLS_HANDSHAKE_SECONDS, HANDSHAKE_BUCKETS),
            eight_bit_refused: r.counter(EIGHT_BIT_REFUSED),
            dnssec_working: r.gauges(DNSSEC_WORKING),
            config_last_reload_successful: r.gauge(CONFIG_LAST_RELOAD_SUCCESSFUL),
            config_last_reload_success: r.real_gauge(CONFIG_LAST_RELOAD_SUCCESS),
        };
        (metrics.registry, metrics.described) = r.finish();
        metrics.begin();
        metrics
    }

    /// Starts at zero what alerts watch: a `rate()` does not see a series' first value.
    fn begin(&self) {
        for result in RESULTS {
            for tls in TLS {
                self.deliveries
                    .with_label_values(&[result, "default", "may", tls, "none"]);
            }
        }
        for cause in ["no_starttls", "tls_failed", "policy_none"] {
            self.plaintext.with_label_values(&[cause]);
        }
        for cause in ["no_starttls", "tls_failed"] {
            self.plaintext_after_tls.with_label_values(&[cause]);
            self.downgrades.with_label_values(&[cause]);
        }
        for reason in REASONS {
            for policy in [
                PolicySource::Rule,
                PolicySource::Dane,
                PolicySource::MtaSts,
                PolicySource::Default,
            ] {
                self.policy_blocked
                    .with_label_values(&[policy.as_str(), reason]);
                for enforced in ["yes", "no"] {
                    self.tls_failures
                        .with_label_values(&[reason, policy.as_str(), enforced]);
                }
            }
        }
        for reason in DANE_REASONS {
            for policy in [PolicySource::Rule, PolicySource::Dane] {
                self.policy_blocked
                    .with_label_values(&[policy.as_str(), reason]);
            }
        }
        for reason in STS_REASONS {
            let labels = [PolicySource::MtaSts.as_str(), reason];
            self.policy_blocked.with_label_values(&labels);
        }
        self.begin_sts();
        self.begin_queue();
        for answer in SOCKETMAP_LABELS {
            self.socketmap_answers.with_label_values(&[answer]);
        }
        for protocol in ["smtp", "lmtp", "socketmap"] {
            self.sessions.with_label_values(&[protocol]);
        }
        for state in ["active", "idle"] {
            self.upstream_connections.with_label_values(&[state]);
        }
        self.config_last_reload_successful.set(1);
        self.configuration_read(clock::now());
    }

    fn begin_sts(&self) {
        for source in StsSource::ALL {
            let labels = [PolicySource::MtaSts.as_str(), source.label()];
            self.policy_lookups.with_label_values(&labels);
        }
        for result in FetchFailure::RESULT_TYPES.into_iter().chain(["ok"]) {
            self.mta_sts_fetches.with_label_values(&[result]);
        }
        for result in Refreshed::ALL {
            let refreshes = &self.mta_sts_refreshes;
            refreshes.with_label_values(&[result.as_str()]);
        }
        for sign in Sign::ALL {
            self.mta_sts_suspicions.with_label_values(&[sign.as_str()]);
        }
    }

    fn begin_queue(&self) {
        for state in ["active", "waiting", "held"] {
            self.queue_messages.with_label_values(&[state]);
        }
        for state in ["waiting", "held"] {
            self.queue_oldest_age.with_label_values(&[state]);
        }
        for action in ["failed", "delayed", "relayed"] {
            self.notices.with_label_values(&[action]);
        }
    }

    /// The configuration in force is of this time.
    pub(super) fn configuration_read(&self, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.config_last_reload_success.set(now.as_secs_f64());
    }

    pub(super) fn announce_rule(&self, name: &str) {
        for result in RESULTS {
            for tls in TLS {
                self.rule_deliveries.with_label_values(&[name, result, tls]);
            }
        }
    }

    pub(super) fn render(&self) -> String {
        let mut text = Vec::with_capacity(16 * 1024);
        // Writing to a Vec cannot fail, and a metric without a value is not gathered.
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(problem) => {
                tracing::error!(%problem, "metrics cannot be rendered");
                String::new()
            }
        }
    }
}

const RESULTS: [&str; 4] = ["delivered", "deferred", "rejected", "queued"];
const TLS: [&str; 3] = ["none", "1.2", "1.3"];
/// Result types of RFC 8460 §4.3.1 that this version can find, and our own.
const REASONS: [&str; 7] = [
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "no_common_parameters",
    "tlsa-invalid",
];
/// Why DANE blocks before there is a connection (RFC 8460 §4.3.2.1, and a lookup that brought nothing).
const DANE_REASONS: [&str; 3] = ["dnssec-invalid", "dane-required", "tlsa-lookup-failed"];

/// Likewise for MTA-STS: the answer is forged, or the store does not say what it remembers.
const STS_REASONS: [&str; 2] = ["dnssec-invalid", "sts-policy-unknown"];

/// The `key` label: a certificate's key is a stranger's choice, so only usual ones have a name.
pub(super) fn key_label(key: &str) -> &'static str {
    const USUAL: [&str; 12] = [
        "rsa1024", "rsa2048", "rsa3072", "rsa4096", "rsa8192", "p256", "p384", "p521", "ed25519",
        "ed448", "none", "unknown",
    ];
    match USUAL.into_iter().find(|usual| *usual == key) {
        Some(usual) => usual,
        None if key.starts_with("rsa") => "rsa-other",
        None => "other",
    }
}
