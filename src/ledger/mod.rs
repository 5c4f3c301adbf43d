//! The only place that counts, logs an outcome or feeds a report.
//!
//! Who did something says so here once; the metrics and the log event are made of the same values, so
//! that they cannot contradict each other. No label ever carries a domain, an address or a host:
//! strangers choose those.

mod configuration;
mod count;
mod custody;
mod event;
mod families;
mod history;
mod metrics;
mod observe;
mod process;
mod queue;
mod registrar;
mod rule_certificates;
mod socketmap;
mod sts;
mod tls_hosts;

pub use history::History;
pub use registrar::Described;
pub use socketmap::{SOCKETMAP_LABELS, SocketmapEvent};
pub use tls_hosts::{TlsHost, TlsHosts};

use crate::clock;
use crate::delivery::outcome::{DeliveryResult, Outcome, PossibleDuplicate, Reached};
use crate::delivery::{Enforced, WouldBlock};
use crate::message::{Message, MessageId};
use crate::policy::{AuditPurpose, DeferReason, PolicySource, Rule, TlsFailure};
use crate::smtp::envelope::{Envelope, Recipient};
use crate::smtp::reply::{Reply, Severity};
use crate::tls::TlsSeen;
use event::Mail;
use metrics::Metrics;
use prometheus::IntGauge;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counters and the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    metrics: Arc<Metrics>,
    tls_hosts: Arc<TlsHosts>,
    history: Arc<History>,
    /// Whether addresses are hashed.
    hash: Arc<AtomicBool>,
    /// When [`Self::second_recipient`] said something last.
    warned: Arc<Mutex<Option<Instant>>>,
    /// The same of [`Self::queue_unreadable`].
    told_unreadable: Arc<Mutex<Option<Instant>>>,
}

/// How often at most a client's wrong set-up is complained of.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// What became of one recipient of one message.
#[derive(Debug)]
pub struct DeliveryEvent<'a> {
    pub message: &'a Message,
    pub recipient: &'a Recipient,
    pub outcome: &'a Outcome,
    pub standing: Standing<'a>,
    /// Since the client's final dot.
    pub elapsed: Duration,
}

/// Under what a recipient's mail is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing<'a> {
    /// The rule for the recipient's domain, also where no host was ever decided on.
    pub rule: Option<&'a Rule>,
    pub course: Course,
}

impl<'a> Standing<'a> {
    fn rule_name(self) -> Option<&'a str> {
        self.rule?.name.as_deref()
    }
}

/// Where a recipient's mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Course {
    /// To the recipient's domain, by whatever route.
    #[default]
    OwnDomain,
    /// To a next hop that takes everybody's, as a notice by `queue.dsn_via`.
    FixedHop,
}

/// A message whose content the server refused: nobody was asked to take it.
#[derive(Debug)]
pub struct Refusal<'a> {
    pub id: &'a MessageId,
    pub message_id: &'a str,
    pub client_id: Option<&'a str>,
    pub client: &'a str,
    pub envelope: &'a Envelope,
    /// Octets.
    pub size: u64,
    pub reply: &'a Reply,
}

/// The state label of `upstream_connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamState {
    Active,
    Idle,
}

impl UpstreamState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
        }
    }
}

/// How a client's addresses are written to the log (`log.addresses`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogAddresses {
    #[default]
    Plain,
    /// The first 16 hexadecimal digits of the SHA-256 of the address in lower case: the same address
    /// has the same digits, on every node and after every restart.
    Hash,
}

/// How a server session ended, for the debug log.
#[derive(Debug, Clone)]
pub struct SessionSummary {
    pub protocol: &'static str,
    pub client: String,
    /// Or questions.
    pub messages: u64,
    pub elapsed: Duration,
    pub ended: &'static str,
}

/// What a probe of the root's signatures came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Works,
    Fails,
}

const NO_LABELS: [&str; 0] = [];

/// Counts one thing in a gauge for as long as it lives.
#[derive(Debug)]
pub struct GaugeGuard(IntGauge);

impl GaugeGuard {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Ledger {
    pub fn new(addresses: LogAddresses) -> Self {
        let ledger = Self {
            metrics: Arc::new(Metrics::new()),
            tls_hosts: Arc::default(),
            history: Arc::default(),
            hash: Arc::new(AtomicBool::new(false)),
            warned: Arc::default(),
            told_unreadable: Arc::default(),
        };
        ledger.write_addresses(addresses);
        ledger
    }

    /// How addresses are written from now on, for all clones; a reload may change it.
    pub fn write_addresses(&self, addresses: LogAddresses) {
        let hash = addresses == LogAddresses::Hash;
        self.hash.store(hash, Ordering::Relaxed);
    }

    fn addresses(&self) -> LogAddresses {
        if self.hash.load(Ordering::Relaxed) {
            LogAddresses::Hash
        } else {
            LogAddresses::Plain
        }
    }

    /// One event, and all counters, for one recipient's outcome.
    pub fn delivery(&self, event: &DeliveryEvent<'_>) {
        self.history
            .attempted(history::Attempt::of(event), clock::now());
        self.tell(event);
    }

    /// The same for what was no attempt.
    fn tell(&self, event: &DeliveryEvent<'_>) {
        self.count(event.outcome, event.standing.rule_name(), event.elapsed);
        self.watch_channel(event);
        event::tell(
            &Mail::of(event.message),
            event.recipient,
            event.outcome,
            event.elapsed,
            self.addresses(),
        );
    }

    /// The same for every recipient of a message that was refused before anything was decided.
    pub fn refused(&self, refusal: &Refusal<'_>) {
        let outcome = Outcome {
            result: match refusal.reply.severity() {
                Severity::Permanent => DeliveryResult::Rejected,
                Severity::Positive | Severity::Intermediate | Severity::Transient => {
                    DeliveryResult::Deferred
                }
            },
            reply: refusal.reply.clone(),
            via: None,
            possible_duplicate: PossibleDuplicate::No,
            attempts: 0,
            blocked: None,
            missing: None,
            reached: Reached::No,
        };
        let mail = Mail {
            id: refusal.id.as_str(),
            message_id: refusal.message_id,
            client_id: refusal.client_id,
            client: refusal.client,
            from: &refusal.envelope.from.path,
            size: refusal.size,
            queued: None,
        };
        for recipient in &refusal.envelope.recipients {
            self.count(&outcome, None, Duration::ZERO);
            event::tell(&mail, recipient, &outcome, Duration::ZERO, self.addresses());
        }
    }

    /// A handshake that came about: once per connection.
    pub fn handshake(&self, seen: &TlsSeen, elapsed: Duration) {
        let metrics = &self.metrics;
        metrics
            .tls_handshakes
            .with_label_values(&[
                seen.version.as_str(),
                seen.cipher,
                seen.group.unwrap_or("none"),
                event::resumed(seen.resumed),
            ])
            .inc();
        let problem = seen.problem.as_ref().map_or("none", |p| p.label());
        metrics
            .certificates
            .with_label_values(&[problem, metrics::key_label(&seen.key)])
            .inc();
        metrics.tls_handshake_seconds.observe(elapsed.as_secs_f64());
    }

    /// A TLS failure, once per connection.
    pub fn tls_failure(&self, failure: &TlsFailure, policy: PolicySource, enforced: Enforced) {
        self.metrics
            .tls_failures
            .with_label_values(&[failure.result_type(), policy.as_str(), enforced.as_str()])
            .inc();
    }

    /// What is only watched would not have used a host, whatever its TLS is like.
    pub fn would_defer(&self, purpose: AuditPurpose, blocked: &WouldBlock<'_, DeferReason>) {
        let source = match purpose {
            AuditPurpose::Record => PolicySource::Default,
            AuditPurpose::Testing => PolicySource::MtaSts,
            AuditPurpose::DryRun => {
                observe::tell_dry_run(blocked);
                PolicySource::Rule
            }
        };
        self.metrics
            .tls_failures
            .with_label_values(&[
                blocked.failure.result_type(),
                source.as_str(),
                Enforced::No.as_str(),
            ])
            .inc();
    }

    /// One DNS question that went to a server; both words are bounded by the caller.
    pub fn dns_query(&self, record_type: &'static str, result: &'static str) {
        self.metrics
            .dns_queries
            .with_label_values(&[record_type, result])
            .inc();
    }

    /// One policy decision with its discovery: source, result, time it took.
    pub fn policy_lookup(&self, source: PolicySource, result: &'static str, elapsed: Duration) {
        self.metrics
            .policy_lookups
            .with_label_values(&[source.as_str(), result])
            .inc();
        self.metrics
            .policy_lookup_seconds
            .observe(elapsed.as_secs_f64());
    }

    /// What the last probe of the root found; not called where DNSSEC is off.
    pub fn dnssec(&self, probe: Probe) {
        let works = match probe {
            Probe::Works => 1,
            Probe::Fails => 0,
        };
        let gauge = self.metrics.dnssec_working.with_label_values(&NO_LABELS);
        gauge.set(works);
    }

    /// A server session, `smtp` or `lmtp`, while it lasts.
    pub fn session(&self, protocol: &'static str) -> GaugeGuard {
        GaugeGuard::new(self.metrics.sessions.with_label_values(&[protocol]))
    }

    /// A server session that ended (debug log).
    pub fn session_ended(&self, summary: &SessionSummary) {
        tracing::debug!(
            target: "sealpost::session",
            protocol = summary.protocol,
            client = summary.client.as_str(),
            messages = summary.messages,
            elapsed = event::seconds(summary.elapsed),
            ended = summary.ended,
            "session",
        );
    }

    /// A client that sends to several recipients over SMTP, where each but the first is deferred. Said
    /// at most once a minute.
    pub fn second_recipient(&self, client: &str) {
        // Nothing can panic while it is held.
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
            return;
        }
        *warned = Some(Instant::now());
        tracing::warn!(
            target: "sealpost::session",
            client,
            "a second recipient in one SMTP transaction is deferred: relay.custody is \"client\"; set \
             TRANSPORT_destination_recipient_limit = 1 in Postfix, or use LMTP",
        );
    }

    /// What each metric is, also of those that have no value yet.
    pub fn described(&self) -> &[Described] {
        &self.metrics.described
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        self.metrics.render()
    }
}

#[cfg(test)]
mod tests;
