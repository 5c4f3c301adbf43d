//! The metrics: names, help, labels, buckets, and the series that exist before anything happened.

use crate::policy::PolicySource;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder, core::Collector,
};
use std::time::UNIX_EPOCH;

/// Prefix of every metric but `process_start_time_seconds`, whose name is Prometheus' own.
const NAMESPACE: &str = "sealpost";

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
    pub(super) deliveries: IntCounterVec,
    pub(super) plaintext: IntCounterVec,
    pub(super) tls_handshakes: IntCounterVec,
    pub(super) tls_failures: IntCounterVec,
    pub(super) certificates: IntCounterVec,
    pub(super) policy_lookups: IntCounterVec,
    pub(super) policy_blocked: IntCounterVec,
    pub(super) rule_deliveries: IntCounterVec,
    pub(super) dns_queries: IntCounterVec,
    pub(super) eight_bit_refused: IntCounter,
    pub(super) sessions: IntGaugeVec,
    pub(super) upstream_connections: IntGaugeVec,
    pub(super) config_last_reload_successful: IntGauge,
    pub(super) delivery_seconds: Histogram,
    pub(super) policy_lookup_seconds: Histogram,
    pub(super) tls_handshake_seconds: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            deliveries: counters(
                r,
                "deliveries_total",
                "Recipients by outcome; policy is where the policy in force came from",
                &["result", "policy", "level", "tls", "authenticated"],
            ),
            plaintext: counters(
                r,
                "plaintext_total",
                "Recipients whose mail went out unencrypted, and why",
                &["cause"],
            ),
            tls_handshakes: counters(
                r,
                "tls_handshakes_total",
                "Finished TLS handshakes with MX hosts",
                &["version", "cipher", "group", "resumed"],
            ),
            tls_failures: counters(
                r,
                "tls_failures_total",
                "Connections to MX hosts on which TLS failed, by RFC 8460 result type; enforced: \
                 whether that kept mail back",
                &["reason", "policy", "enforced"],
            ),
            certificates: counters(
                r,
                "certificates_total",
                "Certificates of MX hosts, once per connection, by what a full WebPKI check finds \
                 wrong",
                &["problem", "key"],
            ),
            policy_lookups: counters(
                r,
                "policy_lookups_total",
                "Policy decisions for destinations, by where the policy came from",
                &["source", "result"],
            ),
            policy_blocked: counters(
                r,
                "policy_blocked_total",
                "Recipients whose mail was held back by a TLS policy, by RFC 8460 result type",
                &["policy", "reason"],
            ),
            rule_deliveries: counters(
                r,
                "rule_deliveries_total",
                "Recipients by outcome, under rules that have a name",
                &["rule", "result", "tls"],
            ),
            dns_queries: counters(
                r,
                "dns_queries_total",
                "Questions that went to a DNS server",
                &["type", "result"],
            ),
            eight_bit_refused: eight_bit_refused(r),
            sessions: gauges(
                r,
                "sessions",
                "Sessions of clients that are open",
                &["protocol"],
            ),
            upstream_connections: gauges(
                r,
                "upstream_connections",
                "Connections to MX hosts that are open",
                &["state"],
            ),
            config_last_reload_successful: config_last_reload_successful(r),
            delivery_seconds: histogram(
                r,
                "delivery_seconds",
                "Time from a client's final dot to a recipient's outcome",
                DELIVERY_BUCKETS,
            ),
            policy_lookup_seconds: histogram(
                r,
                "policy_lookup_seconds",
                "Time to find out the policy of a destination",
                LOOKUP_BUCKETS,
            ),
            tls_handshake_seconds: histogram(
                r,
                "tls_handshake_seconds",
                "Time of finished TLS handshakes with MX hosts",
                HANDSHAKE_BUCKETS,
            ),
            registry,
        };
        metrics.begin();
        metrics
    }

    /// Starts at zero what alerts watch: a `rate()` does not see a series' first value.
    fn begin(&self) {
        describe_process(&self.registry);
        for result in RESULTS {
            for tls in TLS {
                self.deliveries
                    .with_label_values(&[result, "default", "may", tls, "none"]);
            }
        }
        for cause in ["no_starttls", "tls_failed", "policy_none"] {
            self.plaintext.with_label_values(&[cause]);
        }
        for reason in REASONS {
            for policy in [PolicySource::Rule, PolicySource::Default] {
                self.policy_blocked
                    .with_label_values(&[policy.as_str(), reason]);
                for enforced in ["yes", "no"] {
                    self.tls_failures
                        .with_label_values(&[reason, policy.as_str(), enforced]);
                }
            }
        }
        for protocol in ["smtp", "lmtp"] {
            self.sessions.with_label_values(&[protocol]);
        }
        for state in ["active", "idle"] {
            self.upstream_connections.with_label_values(&[state]);
        }
        self.config_last_reload_successful.set(1);
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

/// `queued` comes with the queue.
const RESULTS: [&str; 3] = ["delivered", "deferred", "rejected"];
const TLS: [&str; 3] = ["none", "1.2", "1.3"];
/// Result types of RFC 8460 §4.3.1 that this version can find, and our own.
const REASONS: [&str; 6] = [
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "no_common_parameters",
];

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

fn eight_bit_refused(registry: &Registry) -> IntCounter {
    let help = "Recipients refused because content has 8-bit octets and no MX host takes them";
    let opts = Opts::new("eightbit_refused_total", help).namespace(NAMESPACE);
    register(registry, IntCounter::with_opts(opts))
}

fn config_last_reload_successful(registry: &Registry) -> IntGauge {
    let help = "Whether the last reload of the configuration succeeded: 1 or 0";
    let opts = Opts::new("config_last_reload_successful", help).namespace(NAMESPACE);
    register(registry, IntGauge::with_opts(opts))
}

fn describe_process(registry: &Registry) {
    let opts = Opts::new("build_info", "What is running; always 1").namespace(NAMESPACE);
    let info = register(registry, IntGaugeVec::new(opts, &["version"]));
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let help = "Start time of the process since the unix epoch in seconds";
    let opts = Opts::new("process_start_time_seconds", help);
    let started = register(registry, Gauge::with_opts(opts));
    let now = crate::clock::now().duration_since(UNIX_EPOCH);
    started.set(now.unwrap_or_default().as_secs_f64());
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let opts = Opts::new(name, help).namespace(NAMESPACE);
    register(registry, IntCounterVec::new(opts, labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let opts = Opts::new(name, help).namespace(NAMESPACE);
    register(registry, IntGaugeVec::new(opts, labels))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let opts = HistogramOpts::new(name, help)
        .namespace(NAMESPACE)
        .buckets(buckets.to_vec());
    register(registry, Histogram::with_opts(opts))
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> C {
    // Names, labels and buckets are constants of this file: a bad one fails every test of the ledger.
    let metric = metric.expect("the metric is well-formed");
    // A name given twice likewise.
    let registered = registry.register(Box::new(metric.clone()));
    registered.expect("the metric is registered once");
    metric
}
