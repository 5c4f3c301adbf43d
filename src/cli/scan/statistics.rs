//! `--format statistics`: the counters as one JSON document.

use super::output::Ending;
use crate::survey::stats::{Chart, Counts, Group, Property, Subject, Survey};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    /// Whether the survey came to its end.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<&'a str>,
    all: One<'a>,
    groups: BTreeMap<&'a str, One<'a>>,
}

#[derive(Debug, Serialize)]
struct One<'a> {
    domains: u64,
    mx_hosts: u64,
    charts: Vec<Drawn<'a>>,
}

#[derive(Debug, Serialize)]
struct Drawn<'a> {
    subject: Subject,
    property: Property,
    title: &'static str,
    whole: u64,
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Serialize)]
struct Part<'a> {
    label: &'a str,
    count: u64,
}

pub(super) fn document(survey: &Survey, ending: Ending) -> Document<'_> {
    let period = survey.period.as_ref();
    Document {
        complete: ending == Ending::Complete,
        first: period.map(|(first, _)| &**first),
        last: period.map(|(_, last)| &**last),
        all: one(&survey.all),
        groups: survey
            .groups()
            .map(|(name, group)| (name, one(group)))
            .collect(),
    }
}

fn one(group: &Group) -> One<'_> {
    One {
        domains: group.domains,
        mx_hosts: group.hosts,
        charts: group
            .charts()
            .map(|(chart, counts)| drawn(chart, counts))
            .collect(),
    }
}

fn drawn(chart: Chart, counts: &Counts) -> Drawn<'_> {
    let parts = counts.parts();
    let parts = parts.into_iter().map(|(label, count)| Part {
        label: &label.text,
        count,
    });
    Drawn {
        subject: chart.subject,
        property: chart.property,
        title: chart.property.title(),
        whole: counts.whole,
        parts: parts.collect(),
    }
}
