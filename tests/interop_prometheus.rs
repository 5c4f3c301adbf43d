//! Debian's Prometheus: its promtool on what is shipped, and the server itself scraping the daemon. Where they are not
//! installed these tests say SKIPPED and pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use support::monitoring::{alerts, dashboard_expressions, path, rules, text};
use support::prometheus::Prometheus;
use support::{Script, World};

/// How soon Prometheus must have seen what happened.
const PATIENCE: Duration = Duration::from_secs(30);

fn skipped() -> bool {
    let missing = ["promtool", "prometheus"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        println!("SKIPPED: {program} is not installed");
    }
    missing.is_some()
}

/// What promtool said; panics unless it was content.
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(path("config/prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn the_alerts_are_good_rules() {
    if !skipped() {
        let said = promtool(&["check", "rules", "alerts.yml"], "");
        let found = format!("{} rules found", rules().len());
        assert!(said.contains(&found), "{said}");
    }
}

#[test]
fn the_alerts_do_what_their_tests_say() {
    if !skipped() {
        promtool(&["test", "rules", "alerts_test.yml"], "");
    }
}

#[test]
fn the_alerts_do_what_their_tests_say_over_days() {
    if !skipped() {
        promtool(&["test", "rules", "alerts_days_test.yml"], "");
    }
}

#[test]
fn the_snippet_for_prometheus_is_good() {
    if skipped() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("prometheus.yml");
    let rules = path("config/prometheus/alerts.yml");
    let config = text("config/prometheus/prometheus.yml");
    let there = "/etc/prometheus/rules/sealpost.yml";
    assert!(config.contains(there));
    std::fs::write(&file, config.replace(there, rules.to_str().unwrap())).unwrap();
    promtool(&["check", "config", file.to_str().unwrap()], "");
}

/// Each as a rule that records it.
#[test]
fn the_expressions_of_the_dashboard_are_good() {
    if skipped() {
        return;
    }
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (n, (_, expression)) in dashboard_expressions().into_iter().enumerate() {
        let quoted = expression.replace('\'', "''");
        writeln!(rules, "      - record: panel:{n}\n        expr: '{quoted}'").unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dashboard.yml");
    std::fs::write(&file, rules).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_has_nothing_to_say_of_the_metrics() {
    if skipped() {
        return;
    }
    let world = world().await;
    deliver(&world).await;
    let (_, metrics) = world.daemon.get("/metrics").await.unwrap();
    assert_eq!(promtool(&["check", "metrics"], &metrics), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_what_was_delivered_and_evaluates_the_alerts() {
    if skipped() {
        return;
    }
    let world = world().await;
    let rules = path("config/prometheus/alerts.yml");
    let prometheus = Prometheus::start(&configuration(&world, &rules), PATIENCE).await;
    prometheus.wait_for_healthy_target().await;
    // It has a value to begin with, so that what happens now is a rise.
    let began = "sum(sealpost_plaintext_after_tls_total)";
    prometheus.wait_for(began, 0.0).await;
    deliver(&world).await;
    for (query, value) in [
        (
            r#"sealpost_deliveries_total{job="sealpost",result="delivered",policy="rule",level="verify",tls="1.3",authenticated="webpki"}"#,
            2.0,
        ),
        (
            r#"sum(sealpost_deliveries_total{result="delivered",tls="none"})"#,
            2.0,
        ),
        (r#"sum(sealpost_deliveries_total{result="rejected"})"#, 1.0),
        (r#"sealpost_plaintext_total{cause="no_starttls"}"#, 2.0),
        (
            r#"sealpost_plaintext_after_tls_total{cause="no_starttls"}"#,
            1.0,
        ),
        (
            r#"sealpost_rule_deliveries_total{rule="partner",result="delivered",tls="1.3"}"#,
            2.0,
        ),
        ("sum(sealpost_delivery_seconds_count)", 6.0),
        (
            "count(sealpost_rule_certificate_expiry_timestamp_seconds)",
            1.0,
        ),
        (
            "min(process_start_time_seconds > time() - 3600) > bool 0",
            1.0,
        ),
    ] {
        prometheus.wait_for(query, value).await;
    }
    prometheus.wait_for_alert("SealpostPlaintextAfterTls").await;

    std::fs::write(world.daemon.config_file(), "nonsense = 1").unwrap();
    world.daemon.signal("HUP");
    prometheus.wait_for_alert("SealpostReloadFailed").await;

    check_alerts(&world, &prometheus).await;
}

/// Every rule is in order, and says what happened and nothing else.
async fn check_alerts(world: &World, prometheus: &Prometheus) {
    let evaluated = prometheus.wait_for_evaluated_rules().await;
    let mut expected: Vec<_> = alerts().into_iter().map(|alert| alert.name).collect();
    expected.sort_unstable();
    assert_eq!(evaluated, expected);
    // Nothing else is amiss in a laboratory; the texts say what they are about.
    let alerts = prometheus.alerts().await;
    let mut names: Vec<_> = alerts
        .iter()
        .map(|alert| alert["labels"]["alertname"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["SealpostPlaintextAfterTls", "SealpostReloadFailed"]);
    for alert in &alerts {
        let summary = alert["annotations"]["summary"].as_str().unwrap();
        assert!(
            summary.contains(&world.daemon.admin.to_string()),
            "{summary}"
        );
    }
}

/// Two hosts with TLS, one of them under a named rule, one without.
async fn world() -> World {
    World::new()
        .domain("partner.test", Script::default())
        .domain("a.test", Script::default())
        .domain("clear.test", Script::no_starttls())
        .config(
            "[outbound]\nmessages_per_connection = 1\n\
             [[rule]]\ndomains = ['partner.test']\nrequire = 'verify'\nname = 'partner'",
        )
        .start()
        .await
}

/// Two verified, one over TLS, two in the clear, one of them to a host that had TLS, and one refused.
async fn deliver(world: &World) {
    for (to, code) in [
        ("x@partner.test", 250),
        ("y@partner.test", 250),
        ("x@a.test", 250),
        ("x@clear.test", 250),
        ("x@nowhere.test", 550),
    ] {
        assert_eq!(world.send(to).await.code, code, "{to}");
    }
    world.mx("a.test").set_script(Script::no_starttls());
    assert_eq!(world.send("x@a.test").await.code, 250);
}

fn configuration(world: &World, rules: &Path) -> String {
    format!(
        "global:\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  evaluation_interval: 500ms\n\
         scrape_configs:\n  - job_name: sealpost\n    static_configs:\n      - targets: ['{}']\n\
         rule_files:\n  - '{}'\n",
        world.daemon.admin,
        rules.display()
    )
}
