//! Every metric by name: what it means, and its labels.

/// Metrics of one name.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) labels: &'static [&'static str],
}

pub(super) const DELIVERIES: Family = Family {
    name: "deliveries_total",
    help: "Recipients by outcome; policy is where the policy in force came from",
    labels: &["result", "policy", "level", "tls", "authenticated"],
};
pub(super) const PLAINTEXT: Family = Family {
    name: "plaintext_total",
    help: "Recipients whose mail went out unencrypted, and why",
    labels: &["cause"],
};
pub(super) const PLAINTEXT_AFTER_TLS: Family = Family {
    name: "plaintext_after_tls_total",
    help: "Recipients whose mail went out unencrypted to an MX host that had TLS in the last 30 days, and why",
    labels: &["cause"],
};
pub(super) const DOWNGRADES: Family = Family {
    name: "downgrades_total",
    help: "Destinations that had TLS in the last 30 days and got mail unencrypted, once a day for a destination, and why",
    labels: &["cause"],
};
pub(super) const HISTORY_DROPPED: Family = Family {
    name: "history_dropped_total",
    help: "Recipients whose outcome is missing in the history: the store did not work, or there were too many",
    labels: &[],
};
pub(super) const TLS_HANDSHAKES: Family = Family {
    name: "tls_handshakes_total",
    help: "Finished TLS handshakes with MX hosts",
    labels: &["version", "cipher", "group", "resumed"],
};
pub(super) const TLS_FAILURES: Family = Family {
    name: "tls_failures_total",
    help: "Connections to MX hosts on which TLS failed, by RFC 8460 result type; enforced: whether that kept mail back",
    labels: &["reason", "policy", "enforced"],
};
pub(super) const CERTIFICATES: Family = Family {
    name: "certificates_total",
    help: "Certificates of MX hosts, once per connection, by what a full WebPKI check finds wrong",
    labels: &["problem", "key"],
};
pub(super) const POLICY_LOOKUPS: Family = Family {
    name: "policy_lookups_total",
    help: "Policy decisions for destinations, by where the policy came from",
    labels: &["source", "result"],
};
pub(super) const POLICY_BLOCKED: Family = Family {
    name: "policy_blocked_total",
    help: "Recipients whose mail was held back by a TLS policy, by RFC 8460 result type",
    labels: &["policy", "reason"],
};
pub(super) const RULE_DELIVERIES: Family = Family {
    name: "rule_deliveries_total",
    help: "Recipients by outcome, under rules that have a name",
    labels: &["rule", "result", "tls"],
};
pub(super) const RULE_CERTIFICATE_EXPIRY: Family = Family {
    name: "rule_certificate_expiry_timestamp_seconds",
    help: "When the first certificate expires of those seen in the last 7 days under a rule that has a name",
    labels: &["rule"],
};
pub(super) const DNS_QUERIES: Family = Family {
    name: "dns_queries_total",
    help: "Questions that went to a DNS server",
    labels: &["type", "result"],
};
pub(super) const MTA_STS_FETCHES: Family = Family {
    name: "mta_sts_fetches_total",
    help: "Fetches of MTA-STS policies: ok, or the RFC 8460 result type of the failure",
    labels: &["result"],
};
pub(super) const MTA_STS_REFRESHES: Family = Family {
    name: "mta_sts_refreshes_total",
    help: "Remembered MTA-STS policies that were due to be fetched anew, by what came of it",
    labels: &["result"],
};
pub(super) const MTA_STS_SUSPICIONS: Family = Family {
    name: "mta_sts_downgrade_suspicions_total",
    help: "Signs that an enforced MTA-STS policy is to be got rid of, once an hour for a domain",
    labels: &["sign"],
};
pub(super) const MTA_STS_CACHE_ENTRIES: Family = Family {
    name: "mta_sts_cache_entries",
    help: "MTA-STS policies in the store; absent until it was counted, and without a store",
    labels: &[],
};
pub(super) const QUEUE_MESSAGES: Family = Family {
    name: "queue_messages",
    help: "Messages in the queue",
    labels: &["state"],
};
pub(super) const QUEUE_OLDEST_AGE: Family = Family {
    name: "queue_oldest_age_seconds",
    help: "Time since the oldest message in the queue was received; 0 without one",
    labels: &["state"],
};
pub(super) const NOTICES: Family = Family {
    name: "notices_total",
    help: "Delivery status notifications to senders, by RFC 3464 action",
    labels: &["action"],
};
pub(super) const DOUBLE_BOUNCES: Family = Family {
    name: "double_bounces_total",
    help: "Recipients whose mail failed and whose sender could not be told",
    labels: &[],
};
pub(super) const STORE_WRITABLE: Family = Family {
    name: "store_writable",
    help: "Whether mail can be kept in the queue: 1 or 0",
    labels: &[],
};
pub(super) const STORE_COMMITS: Family = Family {
    name: "store_commits_total",
    help: "Transactions of the store, each of which waits once for the disk; messages that arrive together share one",
    labels: &[],
};
pub(super) const SOCKETMAP_ANSWERS: Family = Family {
    name: "socketmap_answers_total",
    help: "Answers to Postfix's smtp_tls_policy_maps: the level, or notfound, temp, perm",
    labels: &["answer"],
};
pub(super) const SESSIONS: Family = Family {
    name: "sessions",
    help: "Sessions of clients that are open",
    labels: &["protocol"],
};
pub(super) const UPSTREAM_CONNECTIONS: Family = Family {
    name: "upstream_connections",
    help: "Connections to MX hosts that are open",
    labels: &["state"],
};
pub(super) const DELIVERY_SECONDS: Family = Family {
    name: "delivery_seconds",
    help: "Time from a client's final dot to a recipient's outcome",
    labels: &[],
};
pub(super) const POLICY_LOOKUP_SECONDS: Family = Family {
    name: "policy_lookup_seconds",
    help: "Time to find out the policy of a destination",
    labels: &[],
};
pub(super) const TLS_HANDSHAKE_SECONDS: Family = Family {
    name: "tls_handshake_seconds",
    help: "Time of finished TLS handshakes with MX hosts",
    labels: &[],
};
pub(super) const EIGHT_BIT_REFUSED: Family = Family {
    name: "eightbit_refused_total",
    help: "Recipients refused because content has 8-bit octets and no MX host takes them",
    labels: &[],
};
pub(super) const CONFIG_LAST_RELOAD_SUCCESSFUL: Family = Family {
    name: "config_last_reload_successful",
    help: "Whether the last reload of the configuration succeeded: 1 or 0",
    labels: &[],
};
pub(super) const CONFIG_LAST_RELOAD_SUCCESS: Family = Family {
    name: "config_last_reload_success_timestamp_seconds",
    help: "When the configuration in force was read: the last successful reload, or the start",
    labels: &[],
};
pub(super) const DNSSEC_WORKING: Family = Family {
    name: "dnssec_working",
    help: "Whether the last probe of the root could be validated: 1 or 0; absent with dns.dnssec = \"off\"",
    labels: &[],
};
pub(super) const BUILD_INFO: Family = Family {
    name: "build_info",
    help: "What is running; always 1",
    labels: &["version"],
};
