//! The metrics: names, help, labels, buckets, and the series that exist before anything happened.

use crate::discovery::{FetchFailure, Refreshed, Sign, StsSource};
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
    pub(super) sessions: IntGaugeVec,
    pub(super) upstream_connections: IntGaugeVec,
    pub(super) config_last_reload_successful: IntGauge,
    /// Absent while nobody wants DNSSEC.
    pub(super) dnssec_working: IntGaugeVec,
    pub(super) delivery_seconds: Histogram,
    pub(super) policy_lookup_seconds: Histogram,
    pub(super) tls_handshake_seconds: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            deliveries: counters(r, DELIVERIES),
            plaintext: counters(r, PLAINTEXT),
            tls_handshakes: counters(r, TLS_HANDSHAKES),
            tls_failures: counters(r, TLS_FAILURES),
            certificates: counters(r, CERTIFICATES),
            policy_lookups: counters(r, POLICY_LOOKUPS),
            policy_blocked: counters(r, POLICY_BLOCKED),
            rule_deliveries: counters(r, RULE_DELIVERIES),
            dns_queries: counters(r, DNS_QUERIES),
            mta_sts_fetches: counters(r, MTA_STS_FETCHES),
            mta_sts_refreshes: counters(r, MTA_STS_REFRESHES),
            mta_sts_suspicions: counters(r, MTA_STS_SUSPICIONS),
            mta_sts_cache_entries: gauges(r, MTA_STS_CACHE_ENTRIES),
            queue_messages: gauges(r, QUEUE_MESSAGES),
            queue_oldest_age: gauges(r, QUEUE_OLDEST_AGE),
            notices: counters(r, NOTICES),
            double_bounces: register(r, IntCounter::with_opts(DOUBLE_BOUNCES.opts())),
            store_writable: gauges(r, STORE_WRITABLE),
            store_commits: register(r, IntCounter::with_opts(STORE_COMMITS.opts())),
            sessions: gauges(r, SESSIONS),
            upstream_connections: gauges(r, UPSTREAM_CONNECTIONS),
            delivery_seconds: histogram(r, DELIVERY_SECONDS, DELIVERY_BUCKETS),
            policy_lookup_seconds: histogram(r, POLICY_LOOKUP_SECONDS, LOOKUP_BUCKETS),
            tls_handshake_seconds: histogram(r, TLS_HANDSHAKE_SECONDS, HANDSHAKE_BUCKETS),
            eight_bit_refused: register(r, IntCounter::with_opts(EIGHT_BIT_REFUSED.opts())),
            dnssec_working: gauges(r, DNSSEC_WORKING),
            config_last_reload_successful: register(
                r,
                IntGauge::with_opts(CONFIG_LAST_RELOAD_SUCCESSFUL.opts()),
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
        self.begin_queue();
        for protocol in ["smtp", "lmtp"] {
            self.sessions.with_label_values(&[protocol]);
        }
        for state in ["active", "idle"] {
            self.upstream_connections.with_label_values(&[state]);
        }
        self.config_last_reload_successful.set(1);
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

fn describe_process(registry: &Registry) {
    let info = gauges(registry, BUILD_INFO);
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let help = "Start time of the process since the unix epoch in seconds";
    let opts = Opts::new("process_start_time_seconds", help);
    let started = register(registry, Gauge::with_opts(opts));
    let now = crate::clock::now().duration_since(UNIX_EPOCH);
    started.set(now.unwrap_or_default().as_secs_f64());
}

/// Metrics of one name.
struct Family {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
}

const DELIVERIES: Family = Family {
    name: "deliveries_total",
    help: "Recipients by outcome; policy is where the policy in force came from",
    labels: &["result", "policy", "level", "tls", "authenticated"],
};
const PLAINTEXT: Family = Family {
    name: "plaintext_total",
    help: "Recipients whose mail went out unencrypted, and why",
    labels: &["cause"],
};
const TLS_HANDSHAKES: Family = Family {
    name: "tls_handshakes_total",
    help: "Finished TLS handshakes with MX hosts",
    labels: &["version", "cipher", "group", "resumed"],
};
const TLS_FAILURES: Family = Family {
    name: "tls_failures_total",
    help: "Connections to MX hosts on which TLS failed, by RFC 8460 result type; enforced: whether that kept mail back",
    labels: &["reason", "policy", "enforced"],
};
const CERTIFICATES: Family = Family {
    name: "certificates_total",
    help: "Certificates of MX hosts, once per connection, by what a full WebPKI check finds wrong",
    labels: &["problem", "key"],
};
const POLICY_LOOKUPS: Family = Family {
    name: "policy_lookups_total",
    help: "Policy decisions for destinations, by where the policy came from",
    labels: &["source", "result"],
};
const POLICY_BLOCKED: Family = Family {
    name: "policy_blocked_total",
    help: "Recipients whose mail was held back by a TLS policy, by RFC 8460 result type",
    labels: &["policy", "reason"],
};
const RULE_DELIVERIES: Family = Family {
    name: "rule_deliveries_total",
    help: "Recipients by outcome, under rules that have a name",
    labels: &["rule", "result", "tls"],
};
const DNS_QUERIES: Family = Family {
    name: "dns_queries_total",
    help: "Questions that went to a DNS server",
    labels: &["type", "result"],
};
const MTA_STS_FETCHES: Family = Family {
    name: "mta_sts_fetches_total",
    help: "Fetches of MTA-STS policies: ok, or the RFC 8460 result type of the failure",
    labels: &["result"],
};
const MTA_STS_REFRESHES: Family = Family {
    name: "mta_sts_refreshes_total",
    help: "Remembered MTA-STS policies that were due to be fetched anew, by what came of it",
    labels: &["result"],
};
const MTA_STS_SUSPICIONS: Family = Family {
    name: "mta_sts_downgrade_suspicions_total",
    help: "Signs that an enforced MTA-STS policy is to be got rid of, once an hour for a domain",
    labels: &["sign"],
};
const MTA_STS_CACHE_ENTRIES: Family = Family {
    name: "mta_sts_cache_entries",
    help: "MTA-STS policies in the store; absent until it was counted, and without a store",
    labels: &[],
};
const QUEUE_MESSAGES: Family = Family {
    name: "queue_messages",
    help: "Messages in the queue",
    labels: &["state"],
};
const QUEUE_OLDEST_AGE: Family = Family {
    name: "queue_oldest_age_seconds",
    help: "Time since the oldest message in the queue was received; 0 without one",
    labels: &["state"],
};
const NOTICES: Family = Family {
    name: "notices_total",
    help: "Delivery status notifications to senders, by RFC 3464 action",
    labels: &["action"],
};
const DOUBLE_BOUNCES: Family = Family {
    name: "double_bounces_total",
    help: "Recipients whose mail failed and whose sender could not be told",
    labels: &[],
};
const STORE_WRITABLE: Family = Family {
    name: "store_writable",
    help: "Whether mail can be kept in the queue: 1 or 0",
    labels: &[],
};
const STORE_COMMITS: Family = Family {
    name: "store_commits_total",
    help: "Transactions of the store, each of which waits once for the disk; messages that arrive together share one",
    labels: &[],
};
const SESSIONS: Family = Family {
    name: "sessions",
    help: "Sessions of clients that are open",
    labels: &["protocol"],
};
const UPSTREAM_CONNECTIONS: Family = Family {
    name: "upstream_connections",
    help: "Connections to MX hosts that are open",
    labels: &["state"],
};
const DELIVERY_SECONDS: Family = Family {
    name: "delivery_seconds",
    help: "Time from a client's final dot to a recipient's outcome",
    labels: &[],
};
const POLICY_LOOKUP_SECONDS: Family = Family {
    name: "policy_lookup_seconds",
    help: "Time to find out the policy of a destination",
    labels: &[],
};
const TLS_HANDSHAKE_SECONDS: Family = Family {
    name: "tls_handshake_seconds",
    help: "Time of finished TLS handshakes with MX hosts",
    labels: &[],
};
const EIGHT_BIT_REFUSED: Family = Family {
    name: "eightbit_refused_total",
    help: "Recipients refused because content has 8-bit octets and no MX host takes them",
    labels: &[],
};
const CONFIG_LAST_RELOAD_SUCCESSFUL: Family = Family {
    name: "config_last_reload_successful",
    help: "Whether the last reload of the configuration succeeded: 1 or 0",
    labels: &[],
};
const DNSSEC_WORKING: Family = Family {
    name: "dnssec_working",
    help: "Whether the last probe of the root could be validated: 1 or 0; absent with dns.dnssec = \"off\"",
    labels: &[],
};
const BUILD_INFO: Family = Family {
    name: "build_info",
    help: "What is running; always 1",
    labels: &["version"],
};

impl Family {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help).namespace(NAMESPACE)
    }
}

fn counters(registry: &Registry, family: Family) -> IntCounterVec {
    register(registry, IntCounterVec::new(family.opts(), family.labels))
}

fn gauges(registry: &Registry, family: Family) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(family.opts(), family.labels))
}

fn histogram(registry: &Registry, family: Family, buckets: &[f64]) -> Histogram {
    let opts = HistogramOpts::from(family.opts()).buckets(buckets.to_vec());
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
