//! Alerts, dashboard and documentation speak of metrics that exist, and of all of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use support::monitoring::{
    alerts, dashboard, dashboard_expressions, faults, labels_of, panels, registry, rules, text,
};
use support::promql;

#[test]
fn alerts_use_what_there_is() {
    let registry = registry();
    for rule in rules() {
        let name = &rule.name;
        let found = faults(&rule.expression, &registry);
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_alert_says_what_an_administrator_needs() {
    let alerts = alerts();
    assert!(alerts.len() > 20, "only {} were found", alerts.len());
    for alert in &alerts {
        let name = &alert.name;
        let key = |key: &str| {
            let value = alert.keys.get(key).map(String::as_str);
            value.unwrap_or_else(|| panic!("{name} has no {key}"))
        };
        assert!(
            !key("for").is_empty() && key("summary").len() > 20 && key("description").len() > 60
        );
        assert!(
            ["critical", "warning", "info"].contains(&key("severity")),
            "{name}"
        );
        let runbook = format!("docs/alerts.md#{}", name.to_lowercase());
        assert_eq!(key("runbook"), runbook, "{name}");
        // What the texts name must be there when they are written.
        let mut there = promql::uses(&alert.expression).grouped;
        if there.is_empty() {
            there.insert("instance".to_owned()); // a series as it is
        }
        for text in [key("summary"), key("description")] {
            for label in text.split("$labels.").skip(1) {
                let end = label
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap();
                assert!(there.contains(&label[..end]), "{name}: {label}");
            }
        }
    }
}

#[test]
fn every_alert_is_tested_with_what_makes_it_fire() {
    let tests =
        text("config/prometheus/alerts_test.yml") + &text("config/prometheus/alerts_days_test.yml");
    for alert in alerts() {
        let fires = format!("alertname=\"{}\"", alert.name);
        assert!(tests.contains(&fires), "{fires}");
    }
}

#[test]
fn every_alert_has_its_section_and_no_section_is_left_over() {
    let documentation = text("docs/alerts.md");
    let sections = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("## Sealpost"));
    let sections: Vec<_> = sections.map(|rest| format!("Sealpost{rest}")).collect();
    let alerts: Vec<_> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(sections, alerts, "in the order of alerts.yml");
}

/// `| name | kind | labels | meaning |`
#[test]
fn every_metric_is_documented_and_no_other() {
    let code = |cell: &str| {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut documented = BTreeMap::new();
    for line in text("docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
    {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells[..] else {
            continue; // a table of labels
        };
        assert!(meaning.len() > 10, "{line}");
        let name = code(name).remove(0);
        let row = (kind.to_owned(), code(labels));
        assert!(
            documented.insert(name.clone(), row).is_none(),
            "{name} twice"
        );
    }
    let there: BTreeMap<_, _> = registry()
        .into_iter()
        .map(|metric| (metric.name, (metric.kind.to_owned(), metric.labels)))
        .collect();
    assert_eq!(documented, there, "docs/metrics.md, and what there is");
}

/// Wherever the documentation names a metric.
#[test]
fn documentation_names_metrics_that_exist() {
    let registry = registry();
    let documents = std::fs::read_dir(support::monitoring::path("docs")).unwrap();
    let documents = documents.map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    for name in documents.chain(["README.md".to_owned()]) {
        for word in text(&name).split("sealpost_").skip(1) {
            let end = word.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            let metric = format!("sealpost_{}", &word[..end.unwrap_or(word.len())]);
            let known = registry.iter().any(|known| known.name == metric);
            // `sealpost_x_...`: several; `sealpost_destination_...`: of Postfix.
            let other = metric.ends_with('_') || metric.contains("_destination_");
            assert!(
                known || other || labels_of(&metric, &registry).is_some(),
                "{name}: {metric}"
            );
        }
    }
}

#[test]
fn the_dashboard_uses_what_there_is() {
    let registry = registry();
    let expressions = dashboard_expressions();
    assert!(
        expressions.len() > 40,
        "only {} were found",
        expressions.len()
    );
    for (title, expression) in &expressions {
        let found = faults(expression, &registry);
        assert_eq!(found, Vec::<String>::new(), "{title}: {expression}");
        for chosen in ["instance=~\"$instance\"", "job=\"$job\""] {
            assert!(expression.contains(chosen), "{title}: {expression}");
        }
    }
    // Nothing that is counted is left out, but what the process takes.
    let used: String = expressions
        .iter()
        .map(|(_, expression)| expression.as_str())
        .collect();
    for metric in registry
        .iter()
        .filter(|metric| metric.name.starts_with("sealpost_"))
    {
        assert!(
            used.contains(&metric.name),
            "{} is in no panel",
            metric.name
        );
    }
}

#[test]
fn the_dashboard_is_well_formed() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables
        .iter()
        .map(|v| v["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    assert!(dashboard["id"].is_null() && dashboard["uid"] == "sealpost");
    let mut ids = BTreeSet::new();
    let mut taken = BTreeMap::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "the id of {title} is not its own"
        );
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{title}");
        for square in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            if let Some(other) = taken.insert(square, title) {
                panic!("{title} lies on {other}");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(
            panel["description"].as_str().is_some_and(|d| d.len() > 10),
            "{title}"
        );
        let targets = panel["targets"].as_array().unwrap();
        let refs: BTreeSet<_> = targets
            .iter()
            .map(|t| t["refId"].as_str().unwrap())
            .collect();
        assert_eq!(refs.len(), targets.len(), "{title}");
        assert!(
            targets
                .iter()
                .all(|t| t["datasource"] == panel["datasource"]),
            "{title}"
        );
    }
    assert!(!has_address(&dashboard), "an address of somebody's machine");
}

fn has_address(value: &Value) -> bool {
    let text = value.to_string();
    ["127.0.0.1", "localhost", "http://", "https://"]
        .iter()
        .any(|address| text.contains(address))
}
