//! The record: the `delivery` event, the metrics, and what strangers can put into them.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use lab::ca::Cert;
use serde_json::{Value, json};
use support::{CONTENT, Daemon, Script, World, WorldBuilder};

fn usual() -> WorldBuilder {
    World::new().domain("a.test", Script::default())
}

/// Every field of the event that users are promised, and the two that came to it.
const FIELDS: &[&str] = &[
    "id",
    "message_id",
    "client_id",
    "client",
    "from",
    "to",
    "domain",
    "mx",
    "ip",
    "port",
    "policy",
    "level",
    "tls",
    "cipher",
    "group",
    "resumed",
    "authenticated",
    "certificate_problem",
    "result",
    "reply",
    "size",
    "attempts",
    "elapsed",
    "queue_age",
    "queue_attempt",
    "possible_duplicate",
    "source",
    "rule",
];

fn has(event: &Value, expected: &[(&str, Value)]) {
    for (field, value) in expected {
        assert_eq!(&event[*field], value, "{field} in {event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "tables, as rustfmt writes them")]
async fn a_delivery_is_told_with_every_field() {
    let world = usual()
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'verify'\nname = 'partner'")
        .start()
        .await;
    let mut client = world.smtp().await;
    client.command("XFORWARD IDENT=4Xyz").await.unwrap();
    let reply = client
        .mail("s@client.test", &["X@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let event = world.daemon.deliveries().remove(0);
    let mut fields: Vec<&str> = event
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.retain(|f| !["timestamp", "severity", "target", "message"].contains(f));
    fields.sort_unstable();
    let mut expected = FIELDS.to_vec();
    expected.sort_unstable();
    assert_eq!(fields, expected);
    let mx = world.mx("a.test");
    let message = mx.messages().remove(0);
    let seen = mx.connections()[0].tls.clone().unwrap();
    has(
        &event,
        &[
            ("severity", json!("INFO")),
            ("message_id", json!("<1@client.test>")),
            ("client_id", json!("4Xyz")),
            ("client", json!("127.0.0.1")),
            ("from", json!("s@client.test")),
            ("to", json!("X@a.test")),
            ("domain", json!("a.test")),
            ("mx", json!("mx.a.test")),
            ("ip", json!(mx.address().ip().to_string())),
            ("port", json!(mx.address().port())),
            ("policy", json!("rule")),
            ("level", json!("verify")),
            ("rule", json!("partner")),
            ("tls", json!("1.3")),
            ("resumed", json!("no")),
            ("authenticated", json!("webpki")),
            ("certificate_problem", json!("none")),
            ("result", json!("delivered")),
            ("size", json!(message.content.len())),
            ("attempts", json!(1)),
            ("possible_duplicate", json!("no")),
        ],
    );
    assert!(
        seen.cipher.contains("AES") && event["cipher"].as_str().unwrap().starts_with("TLS"),
        "{event}"
    );
    assert!(
        event["group"].as_str().unwrap().contains("25519"),
        "{event}"
    );
    let told = event["reply"].as_str().unwrap();
    assert_eq!(told, format!("250 {}", reply.text()));
    let id = event["id"].as_str().unwrap();
    assert!(
        message.text().contains(&format!(" id {id};")) && told.contains(id),
        "{event}"
    );
    let elapsed = event["elapsed"].as_f64().unwrap();
    assert!((0.0..5.0).contains(&elapsed), "{event}");
    // A second message over the kept connection is a delivery like any other.
    client
        .mail("s@client.test", &["y@a.test"], CONTENT)
        .await
        .unwrap();
    has(
        &world.daemon.deliveries()[1],
        &[("attempts", json!(1)), ("client_id", Value::Null)],
    );
    assert_eq!(mx.connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "tables, as rustfmt writes them")]
async fn what_went_wrong_is_told_with_what_was_seen() {
    let world = World::new()
        .domain("clear.test", Script::no_starttls())
        .certified("old.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.old.test"]).expired()))
        })
        .domain(
            "no.test",
            Script {
                rcpt: (550, "5.1.1 unknown").into(),
                ..Script::default()
            },
        )
        .domain("later.test", Script::greylisting())
        .certified("strict.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["other.test"])))
        })
        .config("[[rule]]\ndomains = ['strict.test']\nrequire = 'verify'")
        .start()
        .await;
    for (to, code, expected) in [
        (
            "x@clear.test",
            250,
            vec![
                ("tls", json!("none")),
                ("cipher", Value::Null),
                ("authenticated", json!("none")),
            ],
        ),
        (
            "x@old.test",
            250,
            vec![
                ("tls", json!("1.3")),
                ("authenticated", json!("none")),
                ("level", json!("may")),
            ],
        ),
        (
            "x@no.test",
            550,
            vec![
                ("result", json!("rejected")),
                ("mx", json!("mx.no.test")),
                ("severity", json!("WARN")),
            ],
        ),
        ("x@later.test", 450, vec![("result", json!("deferred"))]),
        (
            "x@strict.test",
            451,
            vec![
                ("result", json!("deferred")),
                ("level", json!("verify")),
                ("policy", json!("rule")),
            ],
        ),
        (
            "x@nowhere.test",
            550,
            vec![
                ("result", json!("rejected")),
                ("mx", Value::Null),
                ("attempts", json!(0)),
            ],
        ),
    ] {
        let reply = world.send(to).await;
        assert_eq!(reply.code, code, "{to}: {reply}");
        let event = world.daemon.deliveries().pop().unwrap();
        has(&event, &[("to", json!(to))]);
        has(&event, &expected);
    }
    let events = world.daemon.deliveries();
    let problem = |to: &str| {
        let event = events.iter().find(|e| e["to"] == to).unwrap();
        event["certificate_problem"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        problem("x@old.test").contains("expired"),
        "{}",
        problem("x@old.test")
    );
    let metrics = world.daemon.metrics().await;
    for (name, labels, value) in [
        ("deliveries_total", &[("result", "delivered")][..], 2.0),
        (
            "deliveries_total",
            &[("result", "delivered"), ("tls", "none")],
            1.0,
        ),
        ("deliveries_total", &[("result", "rejected")], 2.0),
        ("deliveries_total", &[("result", "deferred")], 2.0),
        (
            "deliveries_total",
            &[
                ("policy", "rule"),
                ("level", "verify"),
                ("result", "deferred"),
            ],
            1.0,
        ),
        ("plaintext_total", &[("cause", "no_starttls")], 1.0),
        ("plaintext_total", &[], 1.0),
        ("certificates_total", &[("problem", "expired")], 1.0),
        ("policy_blocked_total", &[("policy", "rule")], 1.0),
        (
            "tls_failures_total",
            &[("reason", "certificate-host-mismatch"), ("enforced", "yes")],
            1.0,
        ),
        ("delivery_seconds_count", &[], 6.0),
    ] {
        assert_eq!(metrics.get(name, labels), value, "{name} {labels:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_this_version_is_there_from_the_start() {
    let world = usual()
        .config("[[rule]]\ndomains = ['p.test']\nrequire = 'encrypt'\nname = 'partner'")
        .start()
        .await;
    let metrics = world.daemon.metrics().await;
    let names = metrics.names();
    for name in [
        "deliveries_total",
        "plaintext_total",
        "tls_failures_total",
        "policy_blocked_total",
        "rule_deliveries_total",
        "sessions",
        "upstream_connections",
        "delivery_seconds_bucket",
        "policy_lookup_seconds_count",
        "tls_handshake_seconds_sum",
        "config_last_reload_successful",
        "build_info",
        "eightbit_refused_total",
    ] {
        let full = format!("sealpost_{name}");
        assert!(names.contains(&full.as_str()), "{name}: {names:?}");
    }
    assert_eq!(metrics.get("deliveries_total", &[]), 0.0);
    assert_eq!(metrics.get("config_last_reload_successful", &[]), 1.0);
    assert_eq!(
        metrics.get("build_info", &[("version", env!("CARGO_PKG_VERSION"))]),
        1.0
    );
    assert_eq!(world.send("x@a.test").await.code, 250);
    let metrics = world.daemon.metrics().await;
    for (name, labels) in [
        (
            "tls_handshakes_total",
            &[("version", "1.3"), ("resumed", "no")][..],
        ),
        ("certificates_total", &[("problem", "none")]),
        ("policy_lookups_total", &[("source", "default")]),
        ("dns_queries_total", &[("type", "MX")]),
        ("upstream_connections", &[("state", "idle")]),
    ] {
        assert_eq!(metrics.get(name, labels), 1.0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_label_is_chosen_by_a_stranger() {
    let world = World::new()
        .domain("odd-domain.test", Script { rcpt: (599, "9.9.9 weird").into(), ..Script::default() })
        .domain("xn--bcher-kva.test", Script::no_starttls())
        .domain("reset.test", Script { greeting: support::Act::Reset, ..Script::default() })
        .certified("odd.test", |ca| Script::with_identity(ca.issue(&Cert::new(["stranger.test"]))))
        .config("[relay]\nreach_timeout = '3s'\n[[rule]]\ndomains = ['odd.test']\nrequire = 'secure'\nname = 'odd-one'")
        .start()
        .await;
    for to in [
        "x@odd-domain.test",
        "x@bücher.test",
        "x@reset.test",
        "x@odd.test",
        "x@nowhere.test",
        "x@[127.0.0.9]",
    ] {
        let mut client = world.smtp().await;
        let line = format!(
            "MAIL FROM:<s@client.test>{}",
            if to.is_ascii() { "" } else { " SMTPUTF8" }
        );
        client
            .pipeline(&[&line, &format!("RCPT TO:<{to}>")])
            .await
            .unwrap();
        client.bdat(CONTENT, " LAST").await.unwrap();
    }
    assert_eq!(world.daemon.deliveries().len(), 6);
    let metrics = world.daemon.metrics().await;
    for value in metrics.label_values() {
        let known =
            value.len() <= 40 && (value == env!("CARGO_PKG_VERSION") || !value.contains("127."));
        assert!(
            known && !value.contains("test") && !value.contains('@'),
            "{value:?}"
        );
    }
    assert!(metrics.get("rule_deliveries_total", &[("rule", "odd-one")]) > 0.0);
    // Whatever one such domain brings, twenty more bring nothing else.
    world.send("x@unheard-of.test").await;
    let before = world.daemon.metrics().await.label_values().len();
    for n in 0..20 {
        world.send(&format!("x@unheard-of-{n}.test")).await;
    }
    // A lookup that nobody waited for may still bring one.
    let after = world.daemon.metrics().await.label_values().len();
    assert!(
        after < before + 20,
        "a series for each domain: {before} labels, then {after}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_stranger_says_breaks_a_line_of_the_log() {
    let hostile = "5.1.1 no\u{1b}[2J\u{7} result=delivered \"quoted\" \u{9b}x";
    let raw = format!("550-{hostile}\r\n550 5.1.1 second\rline\r\n");
    let world = World::new()
        .domain(
            "evil.test",
            Script {
                rcpt: support::Act::raw(raw),
                ..Script::default()
            },
        )
        .config("[log]\nformat = 'text'")
        .start()
        .await;
    let content = "Message-ID: <a\u{202e}b\u{1b}[31m result=delivered>\r\nSubject: secret-marker\r\n\r\nsecret-marker\r\n";
    let mut client = world.smtp().await;
    let reply = client
        .mail(
            "\"s result=delivered\"@client.test",
            &["\"x\\\" y\"@evil.test"],
            content.as_bytes(),
        )
        .await
        .unwrap();
    assert!((400..600).contains(&reply.code), "{reply}");
    let log = world.daemon.stderr();
    let lines: Vec<&str> = log.lines().filter(|l| l.contains(" delivery ")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(
        !log.chars().any(|c| c.is_control() && c != '\n') && !log.contains('\u{202e}'),
        "{log:?}"
    );
    for line in log.lines() {
        assert!(
            line.starts_with("20") && line.as_bytes()[23] == b'Z',
            "{line}"
        );
    }
    // Outside of quotes nothing was delivered.
    let bare: String = lines[0].replace("\\\"", "").split('"').step_by(2).collect();
    assert!(
        bare.contains(" result=") && !bare.contains("result=delivered"),
        "{}",
        lines[0]
    );
    assert!(!log.contains("secret-marker"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_content_is_recorded_for_every_recipient() {
    let world = usual()
        .config("[client]\nmax_message_size = 1000\n[relay]\nhop_limit = 3")
        .start()
        .await;
    let mut client = world.lmtp().await;
    let to = ["x@a.test", "y@b.test"];
    let hops =
        "Received: from a by b; Mon\r\n".repeat(4) + "Message-ID: <loop@client.test>\r\n\r\n";
    client.command("XFORWARD IDENT=4Loop").await.unwrap();
    for (content, code) in [
        (hops.as_str(), "554 5.4.6"),
        ("a\nb\r\n", "550 5.6.11"),
        (&"x".repeat(1001), "552 5.3.4"),
    ] {
        client
            .lmtp_mail("s@client.test", &to, content.as_bytes())
            .await
            .unwrap();
        let told = world.daemon.deliveries();
        let told = &told[told.len() - 2..];
        for (event, to) in told.iter().zip(to) {
            has(
                event,
                &[
                    ("to", json!(to)),
                    ("from", json!("s@client.test")),
                    ("result", json!("rejected")),
                ],
            );
            has(
                event,
                &[
                    ("mx", Value::Null),
                    ("attempts", json!(0)),
                    ("client", json!("127.0.0.1")),
                ],
            );
            assert!(
                event["reply"].as_str().unwrap().starts_with(code),
                "{event}"
            );
        }
    }
    let told = world.daemon.deliveries();
    has(
        &told[0],
        &[
            ("client_id", json!("4Loop")),
            ("message_id", json!("<loop@client.test>")),
        ],
    );
    assert_eq!(told.len(), 6);
    assert_eq!(
        world
            .daemon
            .metric("deliveries_total", &[("result", "rejected")])
            .await,
        6.0
    );
    assert_eq!(world.mx("a.test").connections().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_message_id_is_cut_and_content_is_never_logged() {
    let world = usual().start().await;
    let content = format!(
        "Message-ID: <{}>\r\nSubject: secret-marker\r\n\r\nsecret-marker\r\n",
        "i".repeat(900)
    );
    let mut client = world.smtp().await;
    client
        .mail("s@client.test", &["x@a.test"], content.as_bytes())
        .await
        .unwrap();
    let event = world.daemon.deliveries().remove(0);
    assert_eq!(event["message_id"].as_str().unwrap().len(), 200);
    assert!(!world.daemon.stderr().contains("secret-marker"));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_can_be_hashed_and_a_reload_changes_it() {
    let world = usual().config("[log]\naddresses = 'hash'").start().await;
    let mut client = world.smtp().await;
    for from in ["s@client.test", "S@client.test", ""] {
        client
            .mail(from, &["secretive@a.test"], CONTENT)
            .await
            .unwrap();
    }
    let events = world.daemon.deliveries();
    let hash = events[0]["from"].as_str().unwrap();
    assert!(
        hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
        "{hash}"
    );
    assert_eq!(events[1]["from"], hash, "the case does not matter");
    assert_eq!(events[2]["from"], "<>");
    assert_eq!(events[0]["domain"], "a.test");
    assert!(!world.daemon.stderr().contains("secretive"));
    world.reload("[log]\naddresses = 'plain'");
    world
        .daemon
        .wait_log(|l| l["message"] == "configuration reloaded")
        .await;
    client
        .mail("s@client.test", &["open@a.test"], CONTENT)
        .await
        .unwrap();
    assert_eq!(
        world.daemon.deliveries().pop().unwrap()["to"],
        "open@a.test"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_told_at_debug_only() {
    let world = usual().start().await;
    world.send("x@a.test").await;
    let session = world.daemon.wait_log(|l| l["message"] == "session").await;
    has(
        &session,
        &[
            ("severity", json!("DEBUG")),
            ("protocol", json!("smtp")),
            ("messages", json!(1)),
            ("ended", json!("quit")),
        ],
    );
    world.reload("[log]\nlevel = 'info'");
    world
        .daemon
        .wait_log(|l| l["message"] == "configuration reloaded")
        .await;
    world.send("y@a.test").await;
    world.send("z@a.test").await;
    assert_eq!(
        world
            .daemon
            .log()
            .iter()
            .filter(|l| l["message"] == "session")
            .count(),
        1
    );
    assert_eq!(world.daemon.deliveries().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn monitoring_is_answered_and_nothing_else_is() {
    let world = usual().start().await;
    assert_eq!(
        world.daemon.get("/healthz").await.unwrap(),
        (200, "ok\n".to_owned())
    );
    assert_eq!(
        world.daemon.get("/readyz").await.unwrap(),
        (200, "ready\n".to_owned())
    );
    for path in ["/api/v1", "/../etc/passwd", "/metrics/x"] {
        assert_eq!(world.daemon.get(path).await.unwrap().0, 404, "{path}");
    }
    let mut client = world.smtp().await;
    let open = [("protocol", "smtp")];
    assert_eq!(world.daemon.metric("sessions", &open).await, 1.0);
    client.command("QUIT").await.unwrap();
    client.until_closed().await.unwrap();
    world.daemon.wait_log(|l| l["message"] == "session").await;
    assert_eq!(world.daemon.metric("sessions", &open).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_version_lacks_says_so() {
    let said = Daemon::command(&["report"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.stderr.contains("not in this version"), "{said:?}");
}
