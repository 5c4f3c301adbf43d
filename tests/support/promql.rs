//! PromQL, as far as one has to understand it to see which metrics and labels an expression uses.

use std::collections::BTreeSet;

/// A metric in an expression, and the labels by which it is selected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selected {
    pub metric: String,
    pub labels: Vec<String>,
}

/// What an expression uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    pub selected: BTreeSet<Selected>,
    /// Labels of `by (...)`, `on (...)` and the like.
    pub grouped: BTreeSet<String>,
}

const GROUPING: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
const WORDS: [&str; 18] = [
    "and",
    "or",
    "unless",
    "offset",
    "bool",
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "topk",
    "bottomk",
    "quantile",
    "stddev",
    "stdvar",
    "group",
    "count_values",
    "inf",
];

/// Panics where it does not understand.
pub fn uses(expression: &str) -> Uses {
    let mut uses = Uses::default();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = word(rest);
        if first == '"' {
            rest = after_string(rest);
        } else if first == '[' {
            rest = after(rest, ']').1;
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if word.is_empty() {
            assert_ne!(first, '{', "a selector without a name: {expression}");
            rest = &rest[first.len_utf8()..];
        } else {
            rest = rest[word.len()..].trim_start();
            if GROUPING.contains(&word) {
                let (inside, behind) = after(rest.strip_prefix('(').unwrap_or(rest), ')');
                let labels = inside.split(',').map(str::trim).filter(|l| !l.is_empty());
                uses.grouped.extend(labels.map(ToOwned::to_owned));
                rest = behind;
            } else if !WORDS.contains(&word) && !rest.starts_with('(') {
                let (labels, behind) = labels(rest);
                let metric = word.to_owned();
                uses.selected.insert(Selected { metric, labels });
                rest = behind;
            }
        }
        rest = rest.trim_start();
    }
    uses
}

fn word(text: &str) -> &str {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !inside(c)).unwrap_or(text.len());
    match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => "",
        false => &text[..end],
    }
}

fn after(text: &str, end: char) -> (&str, &str) {
    let split = text.split_once(end);
    split.unwrap_or_else(|| panic!("no {end} in {text:?}"))
}

fn after_string(text: &str) -> &str {
    let inside = &text[1..];
    let end = inside
        .find('"')
        .unwrap_or_else(|| panic!("no end of {text:?}"));
    assert!(!inside[..end].contains('\\'), "escapes: {text:?}");
    &inside[end + 1..]
}

/// The labels of `{...}`, if that is next, and what comes behind.
fn labels(text: &str) -> (Vec<String>, &str) {
    let Some(mut rest) = text.strip_prefix('{') else {
        return (Vec::new(), text);
    };
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n']);
        if let Some(behind) = rest.strip_prefix('}') {
            return (labels, behind);
        }
        let label = word(rest);
        assert!(!label.is_empty(), "no label: {rest:?}");
        labels.push(label.to_owned());
        rest = rest[label.len()..].trim_start_matches(['=', '!', '~', ' ']);
        rest = after_string(rest);
    }
}

#[test]
fn expressions_are_understood() {
    let uses = uses(
        "sum by (job, rule) (increase(a_total{x=\"1\",y!~\"b}{\"}[2h] offset 1w)) >= 0.5\n\
         unless on (job) group_left () time() - b{} > 7 * 86400 or c",
    );
    let selected = |metric: &str, labels: &[&str]| Selected {
        metric: metric.to_owned(),
        labels: labels.iter().map(|&l| l.to_owned()).collect(),
    };
    let expected = [
        selected("a_total", &["x", "y"]),
        selected("b", &[]),
        selected("c", &[]),
    ];
    assert_eq!(uses.selected, BTreeSet::from(expected));
    let grouped = ["job".to_owned(), "rule".to_owned()];
    assert_eq!(uses.grouped, BTreeSet::from(grouped));
}
