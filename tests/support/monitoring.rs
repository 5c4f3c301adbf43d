//! What is shipped for Prometheus and Grafana, read; and what the daemon has to offer to it.

use super::promql::{self, Selected};
use sealpost::ledger::{Described, Ledger, LogAddresses};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One rule of `config/prometheus/alerts.yml`.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// `alert` or `record`.
    pub kind: String,
    pub name: String,
    pub expression: String,
    /// `for`, `severity`, `summary`, `description`, `runbook`.
    pub keys: BTreeMap<String, String>,
}

/// A file of this repository.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The shipped alerts.
pub fn alerts() -> Vec<Rule> {
    let mut rules = rules();
    rules.retain(|rule| rule.kind == "alert");
    rules
}

/// The shipped rules. It reads no YAML but what is written as there.
pub fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    // The indentation of `expr: |`, whose lines are indented more.
    let mut block = None;
    for line in text("config/prometheus/alerts.yml").lines() {
        let indented = line.len() - line.trim_start().len();
        let line = line.trim();
        let begins = line
            .strip_prefix("- ")
            .and_then(|rule| rule.split_once(": "));
        if let Some((kind @ ("alert" | "record"), name)) = begins {
            rules.push(Rule {
                kind: kind.to_owned(),
                name: name.to_owned(),
                ..Rule::default()
            });
        }
        let Some(rule) = rules.last_mut() else {
            continue;
        };
        if let Some(outer) = block {
            if indented > outer {
                rule.expression += &format!("{line}\n");
                continue;
            }
            block = None;
        }
        match line.split_once(": ") {
            Some(("expr", "|")) => block = Some(indented),
            Some(("expr", expression)) => expression.clone_into(&mut rule.expression),
            Some((key, value)) if !key.starts_with(['-', '#']) => {
                let value = value.trim_matches('"').to_owned();
                rule.keys.insert(key.to_owned(), value);
            }
            _ => {}
        }
    }
    rules
}

/// Panels of the shipped dashboard that are no rows, with those inside of rows.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    let mut panels = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        panels.push(panel);
        panels.extend(panel["panels"].as_array().into_iter().flatten());
    }
    panels
}

pub fn dashboard() -> Value {
    let text = text("config/grafana/sealpost.json");
    serde_json::from_str(&text).expect("config/grafana/sealpost.json is JSON")
}

/// Every expression of the dashboard with its panel's title; Grafana's own variables are filled in.
pub fn dashboard_expressions() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut expressions = Vec::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().expect("an expression");
            let filled = expression
                .replace("$__rate_interval", "5m")
                .replace("$__range", "1h");
            expressions.push((title.to_owned(), filled));
        }
    }
    expressions
}

/// Every metric that this version has.
pub fn registry() -> Vec<Described> {
    Ledger::new(LogAddresses::Plain).described().to_vec()
}

/// What is wrong with an expression, seen from the metrics that there are.
pub fn faults(expression: &str, registry: &[Described]) -> Vec<String> {
    let uses = promql::uses(expression);
    let mut faults = Vec::new();
    let mut known: Vec<String> = ["job", "instance"].map(str::to_owned).to_vec();
    for Selected { metric, labels } in &uses.selected {
        let Some(of) = labels_of(metric, registry) else {
            faults.push(format!("there is no metric {metric}"));
            continue;
        };
        known.extend(of.clone());
        let missing = labels
            .iter()
            .filter(|&label| !of.contains(label) && label != "job" && label != "instance");
        faults.extend(missing.map(|label| format!("{metric} has no label {label}")));
    }
    let strange = uses.grouped.iter().filter(|label| !known.contains(label));
    faults.extend(strange.map(|label| format!("nothing has a label {label}")));
    faults
}

/// The labels of a series by its name, beside those that Prometheus adds.
pub fn labels_of(series: &str, registry: &[Described]) -> Option<Vec<String>> {
    // What is recorded is by job and instance.
    if series == "up"
        || rules()
            .iter()
            .any(|rule| rule.kind == "record" && rule.name == series)
    {
        return Some(Vec::new());
    }
    if let Some(metric) = registry.iter().find(|metric| metric.name == series) {
        return (metric.kind != "histogram").then(|| metric.labels.clone());
    }
    registry
        .iter()
        .filter(|metric| metric.kind == "histogram")
        .find_map(|metric| match series.strip_prefix(&metric.name)? {
            "_bucket" => Some([&metric.labels[..], &["le".to_owned()]].concat()),
            "_sum" | "_count" => Some(metric.labels.clone()),
            _ => None,
        })
}
