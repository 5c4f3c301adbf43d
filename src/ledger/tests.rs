use super::event::{Mail, tell};
use super::*;
use crate::delivery::outcome::{Channel, Dsn, PlaintextCause, PolicyBlock, PossibleDuplicate, Via};
use crate::names::{DomainName, MxHost};
use crate::policy::{CertificateProblem, Level, TlsVersion, Trial};
use crate::smtp::address::{MailDomain, Mailbox, ReversePath};
use crate::smtp::extensions::Extension;
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;
use crate::tls::{Authenticated, Resumed};
use std::collections::BTreeMap;
use std::sync::Mutex;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

pub(super) fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn mailbox(local: &str, domain: &str) -> Mailbox {
    Mailbox {
        local: local.into(),
        domain: MailDomain::Name {
            ascii: name(domain),
            written: domain.into(),
        },
    }
}

fn recipient() -> Recipient {
    Recipient {
        mailbox: mailbox("Bob", "Example.COM"),
        notify: None,
        orcpt: None,
    }
}

pub(super) fn seen() -> TlsSeen {
    TlsSeen {
        version: TlsVersion::V1_3,
        cipher: "TLS_AES_256_GCM_SHA384",
        group: Some("X25519MLKEM768"),
        resumed: Resumed::Yes,
        authenticated: Authenticated::WebPki,
        problem: None,
        key: "p256".into(),
        expires: Some(2_000_000_000),
        trial: Trial::None,
    }
}

pub(super) fn via(channel: Channel) -> Via {
    Via {
        mx: Some(MxHost(name("mx.example.com"))),
        address: "192.0.2.1:25".parse().unwrap(),
        source: Some("192.0.2.10".parse().unwrap()),
        policy: PolicySource::Rule,
        level: Level::Verify,
        rule_name: Some("partner".into()),
        channel,
        dsn: Dsn::NotOffered,
        trial: Trial::None,
    }
}

/// Delivered over TLS under a named rule.
pub(super) fn outcome() -> Outcome {
    Outcome {
        result: DeliveryResult::Delivered,
        reply: Reply::new(250, EnhancedStatus::new(2, 0, 0), "mx said: ok"),
        via: Some(Arc::new(via(Channel::Tls(Arc::new(seen()))))),
        possible_duplicate: PossibleDuplicate::No,
        attempts: 2,
        blocked: None,
        missing: None,
        reached: Reached::Yes,
    }
}

pub(super) fn blocked() -> Outcome {
    Outcome {
        result: DeliveryResult::Deferred,
        via: Some(Arc::new(via(Channel::None))),
        blocked: Some(PolicyBlock {
            policy: PolicySource::Rule,
            reason: "certificate-expired",
        }),
        ..outcome()
    }
}

pub(super) fn plaintext(result: DeliveryResult) -> Outcome {
    Outcome {
        result,
        via: Some(Arc::new(Via {
            policy: PolicySource::Default,
            level: Level::May,
            rule_name: None,
            ..via(Channel::Plaintext(PlaintextCause::NoStarttls))
        })),
        ..outcome()
    }
}

pub(super) fn unreached() -> Outcome {
    Outcome {
        result: DeliveryResult::Rejected,
        via: None,
        ..outcome()
    }
}

/// The value of the series whose line begins with `series`, or `None` without such a line.
fn value(rendered: &str, series: &str) -> Option<f64> {
    rendered.lines().find_map(|line| {
        let value = line.strip_prefix("sealpost_")?.strip_prefix(series)?;
        value.strip_prefix(' ')?.parse().ok()
    })
}

#[test]
fn every_metric_of_this_version_has_help_and_type() {
    let ledger = Ledger::new(LogAddresses::Plain);
    ledger.count(&outcome(), Some("partner"), Duration::ZERO);
    ledger.handshake(&seen(), Duration::ZERO);
    ledger.dns_query("mx", "insecure");
    ledger.policy_lookup(PolicySource::Default, "found", Duration::ZERO);
    let rendered = ledger.render();
    for (metric, kind) in [
        ("deliveries_total", "counter"),
        ("plaintext_total", "counter"),
        ("tls_handshakes_total", "counter"),
        ("tls_failures_total", "counter"),
        ("certificates_total", "counter"),
        ("policy_lookups_total", "counter"),
        ("policy_blocked_total", "counter"),
        ("rule_deliveries_total", "counter"),
        ("dns_queries_total", "counter"),
        ("sessions", "gauge"),
        ("socketmap_answers_total", "counter"),
        ("upstream_connections", "gauge"),
        ("delivery_seconds", "histogram"),
        ("policy_lookup_seconds", "histogram"),
        ("tls_handshake_seconds", "histogram"),
        ("config_last_reload_successful", "gauge"),
        ("build_info", "gauge"),
        ("eightbit_refused_total", "counter"),
    ] {
        let help = format!("# HELP sealpost_{metric} ");
        let kind = format!("# TYPE sealpost_{metric} {kind}\n");
        assert!(rendered.contains(&help), "{metric}");
        assert!(rendered.contains(&kind), "{metric}");
    }
    let version = concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!(value(&rendered, version), Some(1.0));
}

#[test]
fn outcomes_are_counted() {
    let over_tls = r#"deliveries_total{authenticated="webpki",level="verify",policy="rule",result="delivered",tls="1.3"}"#;
    let rule = r#"rule_deliveries_total{result="delivered",rule="partner",tls="1.3"}"#;
    let held = r#"policy_blocked_total{policy="rule",reason="certificate-expired"}"#;
    let held_rule = r#"rule_deliveries_total{result="deferred",rule="partner",tls="none"}"#;
    let clear = r#"plaintext_total{cause="no_starttls"}"#;
    let clear_delivery = r#"deliveries_total{authenticated="none",level="may",policy="default",result="delivered",tls="none"}"#;
    let no_host = r#"deliveries_total{authenticated="none",level="undecided",policy="undecided",result="rejected",tls="none"}"#;
    let once = Some(1.0);
    let zero = Some(0.0);
    for (what, outcome, series, expected) in [
        ("over TLS", outcome(), over_tls, once),
        ("over TLS", outcome(), rule, once),
        ("over TLS", outcome(), clear, zero),
        ("over TLS", outcome(), "delivery_seconds_count", once),
        ("blocked", blocked(), held, once),
        ("blocked", blocked(), held_rule, once),
        (
            "blocked elsewhere, then delivered",
            Outcome {
                blocked: blocked().blocked,
                ..outcome()
            },
            held,
            None,
        ),
        (
            "in the clear",
            plaintext(DeliveryResult::Delivered),
            clear,
            once,
        ),
        (
            "in the clear",
            plaintext(DeliveryResult::Delivered),
            clear_delivery,
            once,
        ),
        (
            "refused in the clear",
            plaintext(DeliveryResult::Rejected),
            clear,
            zero,
        ),
        ("no host", unreached(), no_host, once),
        ("no host", unreached(), rule, None),
    ] {
        let ledger = Ledger::new(LogAddresses::Plain);
        ledger.count(&outcome, Some("partner"), Duration::from_millis(20));
        let got = value(&ledger.render(), series);
        // A series that begins at zero is as good as none.
        assert_eq!(
            got.filter(|v| *v > 0.0),
            expected.filter(|v| *v > 0.0),
            "{what}: {series}"
        );
    }
}

#[test]
fn alerts_find_their_series_before_anything_happened() {
    let ledger = Ledger::new(LogAddresses::Plain);
    ledger.announce_rules(["partner"]);
    let rendered = ledger.render();
    for series in [
        r#"plaintext_total{cause="no_starttls"}"#,
        r#"plaintext_total{cause="tls_failed"}"#,
        r#"plaintext_total{cause="policy_none"}"#,
        r#"policy_blocked_total{policy="rule",reason="certificate-host-mismatch"}"#,
        r#"rule_deliveries_total{result="deferred",rule="partner",tls="none"}"#,
        r#"tls_failures_total{enforced="yes",policy="default",reason="validation-failure"}"#,
        r#"sessions{protocol="lmtp"}"#,
        r#"upstream_connections{state="idle"}"#,
        "eightbit_refused_total",
    ] {
        assert_eq!(value(&rendered, series), Some(0.0), "{series}");
    }
    assert_eq!(value(&rendered, "config_last_reload_successful"), Some(1.0));
}

#[test]
fn eight_bit_content_is_refused_by_outcome_not_by_host() {
    let ledger = Ledger::new(LogAddresses::Plain);
    let refused = Outcome {
        result: DeliveryResult::Rejected,
        missing: Some(Extension::EightBitMime),
        ..outcome()
    };
    ledger.count(&refused, None, Duration::ZERO);
    let deferred = Outcome {
        result: DeliveryResult::Deferred,
        ..refused
    };
    ledger.count(&deferred, None, Duration::ZERO);
    assert_eq!(value(&ledger.render(), "eightbit_refused_total"), Some(1.0));
}

#[test]
fn connections_and_sessions_are_counted() {
    let ledger = Ledger::new(LogAddresses::Plain);
    let expired = TlsSeen {
        problem: Some(CertificateProblem::Expired),
        key: "rsa2049".into(),
        group: None,
        resumed: Resumed::No,
        version: TlsVersion::V1_2,
        ..seen()
    };
    ledger.handshake(&expired, Duration::from_millis(3));
    ledger.handshake(&seen(), Duration::from_millis(3));
    let failure = TlsFailure::Certificate(CertificateProblem::Expired);
    ledger.tls_failure(&failure, PolicySource::Rule, Enforced::Yes);
    ledger.reload(Err("no"));
    let session = ledger.session("smtp");
    crate::delivery::Observer::connections(&ledger, 0, 1);
    let rendered = ledger.render();
    for (series, expected) in [
        (
            r#"certificates_total{key="rsa-other",problem="expired"}"#,
            1.0,
        ),
        (r#"certificates_total{key="p256",problem="none"}"#, 1.0),
        (
            r#"tls_handshakes_total{cipher="TLS_AES_256_GCM_SHA384",group="none",resumed="no",version="1.2"}"#,
            1.0,
        ),
        (
            r#"tls_handshakes_total{cipher="TLS_AES_256_GCM_SHA384",group="X25519MLKEM768",resumed="yes",version="1.3"}"#,
            1.0,
        ),
        ("tls_handshake_seconds_count", 2.0),
        (
            r#"tls_failures_total{enforced="yes",policy="rule",reason="certificate-expired"}"#,
            1.0,
        ),
        ("config_last_reload_successful", 0.0),
        (r#"sessions{protocol="smtp"}"#, 1.0),
        (r#"upstream_connections{state="idle"}"#, 1.0),
        (r#"upstream_connections{state="active"}"#, 0.0),
    ] {
        assert_eq!(value(&rendered, series), Some(expected), "{series}");
    }
    drop(session);
    crate::delivery::Observer::connections(&ledger, 0, 0);
    ledger.reload(Ok(()));
    let rendered = ledger.render();
    assert_eq!(value(&rendered, r#"sessions{protocol="smtp"}"#), Some(0.0));
    assert_eq!(
        value(&rendered, r#"upstream_connections{state="idle"}"#),
        Some(0.0)
    );
    assert_eq!(value(&rendered, "config_last_reload_successful"), Some(1.0));
}

#[test]
fn names_of_rules_are_escaped() {
    let ledger = Ledger::new(LogAddresses::Plain);
    ledger.announce_rules(["a\"b\\c\nd"]);
    let escaped = r#"rule_deliveries_total{result="delivered",rule="a\"b\\c\nd",tls="1.3"}"#;
    assert_eq!(value(&ledger.render(), escaped), Some(0.0));
}

/// Keeps the fields of the last event as text, its severity as `severity`.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<BTreeMap<String, String>>>);

impl<S: tracing::Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        fields.insert("severity".into(), event.metadata().level().to_string());
        event.record(&mut Fields(&mut fields));
        *self.0.lock().unwrap() = fields;
    }
}

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }
}

fn told(
    from: &ReversePath,
    outcome: &Outcome,
    addresses: LogAddresses,
) -> BTreeMap<String, String> {
    let capture = Capture::default();
    let subscriber = tracing_subscriber::registry().with(capture.clone());
    let mail = Mail {
        id: "01ABCDEFGHJKMNPQ",
        message_id: "<1@example.net>",
        client_id: Some("4XyZ"),
        client: "127.0.0.1",
        from,
        size: 1234,
        queued: None,
    };
    tracing::subscriber::with_default(subscriber, || {
        let elapsed = Duration::from_micros(1_234_567);
        tell(&mail, &recipient(), outcome, elapsed, addresses);
    });
    let fields = capture.0.lock().unwrap();
    fields.clone()
}

fn alice() -> ReversePath {
    ReversePath::Mailbox(mailbox("alice", "example.net"))
}

#[test]
fn a_delivery_is_told_with_every_field() {
    let got = told(&alice(), &outcome(), LogAddresses::Plain);
    let expected = [
        ("attempts", "2"),
        ("authenticated", "webpki"),
        ("certificate_problem", "none"),
        ("cipher", "TLS_AES_256_GCM_SHA384"),
        ("client", "127.0.0.1"),
        ("client_id", "4XyZ"),
        ("domain", "example.com"),
        ("elapsed", "1.235"),
        ("from", "alice@example.net"),
        ("group", "X25519MLKEM768"),
        ("id", "01ABCDEFGHJKMNPQ"),
        ("ip", "192.0.2.1"),
        ("level", "verify"),
        ("message", "delivery"),
        ("message_id", "<1@example.net>"),
        ("mx", "mx.example.com"),
        ("policy", "rule"),
        ("port", "25"),
        ("possible_duplicate", "no"),
        ("reply", "250 2.0.0 mx said: ok"),
        ("result", "delivered"),
        ("resumed", "yes"),
        ("rule", "partner"),
        ("severity", "INFO"),
        ("size", "1234"),
        ("source", "192.0.2.10"),
        ("tls", "1.3"),
        ("to", "Bob@Example.COM"),
    ];
    let expected: BTreeMap<String, String> = expected
        .map(|(key, value)| (key.into(), value.into()))
        .into();
    assert_eq!(got, expected);
}

#[test]
fn what_did_not_arrive_is_a_warning() {
    let duplicate = Outcome {
        possible_duplicate: PossibleDuplicate::Yes,
        ..blocked()
    };
    let mut mismatch = seen();
    mismatch.problem = Some(CertificateProblem::NameMismatch {
        presented: vec!["a".repeat(5000)],
    });
    let mismatch = Outcome {
        via: Some(Arc::new(via(Channel::Tls(Arc::new(mismatch))))),
        ..outcome()
    };
    let endless = Outcome {
        reply: Reply::plain(550, "é".repeat(5000)),
        ..unreached()
    };
    let sentence = format!("certificate is for {}", "a".repeat(512 - 19));
    let reply = format!("550 {}", "é".repeat((512 - 4) / 2));
    for (outcome, field, expected) in [
        (&outcome(), "severity", Some("INFO")),
        (&duplicate, "severity", Some("WARN")),
        (&duplicate, "possible_duplicate", Some("yes")),
        (&duplicate, "tls", Some("none")),
        (&duplicate, "cipher", None),
        (&unreached(), "severity", Some("WARN")),
        (&unreached(), "policy", Some("undecided")),
        (&unreached(), "mx", None),
        (&mismatch, "certificate_problem", Some(sentence.as_str())),
        (&endless, "reply", Some(reply.as_str())),
    ] {
        let got = told(&alice(), outcome, LogAddresses::Plain);
        assert_eq!(got.get(field).map(String::as_str), expected, "{field}");
    }
}

#[test]
fn addresses_can_be_hashed() {
    // printf 'alice@example.net' | sha256sum
    let hashed = "85956a993804cda1";
    for (from, addresses, expected) in [
        (alice(), LogAddresses::Plain, "alice@example.net"),
        (alice(), LogAddresses::Hash, hashed),
        (
            ReversePath::Mailbox(mailbox("ALICE", "Example.NET")),
            LogAddresses::Hash,
            hashed,
        ),
        (ReversePath::Null, LogAddresses::Hash, "<>"),
        (ReversePath::Null, LogAddresses::Plain, "<>"),
    ] {
        let got = told(&from, &outcome(), addresses);
        assert_eq!(got["from"], expected);
        assert_eq!(got["domain"], "example.com");
        assert_eq!(got["to"].contains('@'), addresses == LogAddresses::Plain);
    }
    let ledger = Ledger::new(LogAddresses::Plain);
    let clone = ledger.clone();
    ledger.write_addresses(LogAddresses::Hash);
    assert_eq!(clone.addresses(), LogAddresses::Hash);
}
