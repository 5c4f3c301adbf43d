//! `--format html`: one page that refers to nothing outside itself.

mod changes;
mod charts;
mod rows;

use super::figures;
use super::output::Ending;
use crate::html::{Frame, Markup, Script, Tone, count, document, html, percent, swatch};
use crate::survey::compare::Changes;
use crate::survey::record::Record;
use crate::survey::stats::{Group, Subject, Survey};
use rows::Rows;

/// Groups that have charts of their own: the largest.
const MAX_CHARTED: usize = 30;

#[derive(Default)]
pub(super) struct Page {
    rows: Rows,
}

impl Page {
    pub(super) fn take(&mut self, record: &Record) {
        self.rows.take(record);
    }

    pub(super) fn render(
        self,
        survey: &Survey,
        changes: Option<&Changes>,
        ending: Ending,
    ) -> String {
        let largest = largest(survey);
        let body = html! {
            header {
                h1 { "TLS of mail servers" }
                p { (period(survey)) }
                nav {
                    @if changes.is_some() { a href="#changes" { "Changes" } }
                    @if survey.group_count() > 0 { a href="#groups" { "Groups" } }
                    a href="#charts" { "Charts" }
                    a href="#findings" { "Findings" }
                    a href="#domains" { "Domains" }
                }
            }
            main {
                @if ending == Ending::Interrupted {
                    p class="notice mild" { "The survey was interrupted: what follows is about the domains it came to." }
                }
                (tiles(&survey.all))
                @if let Some(changes) = changes { (changes::section(changes)) }
                @if survey.group_count() > 0 { (groups(survey, &largest)) }
                section id="charts" {
                    h2 { "All domains" }
                    (charts::subject(&survey.all, Subject::Domains))
                    h2 { "All MX hosts" }
                    p class="soft" { "Each host counts once, however many domains share it." }
                    (charts::subject(&survey.all, Subject::Hosts))
                }
                section id="findings" {
                    h2 { "Findings" }
                    (charts::findings(&survey.all))
                }
                (self.rows.section(survey))
            }
            footer {
                p {
                    "Surveyed with Sealpost as a sending mail server sees it; no mail was sent. \
                    “Could not test” says nothing about TLS."
                }
            }
        };
        document(
            Frame {
                title: "TLS of mail servers",
                script: Script::Search,
            },
            &body,
        )
    }
}

fn period(survey: &Survey) -> String {
    let day = |at: &str| at.get(..10).unwrap_or(at).to_owned();
    match survey
        .period
        .as_ref()
        .map(|(first, last)| (day(first), day(last)))
    {
        Some((first, last)) if first == last => format!("surveyed on {first}"),
        Some((first, last)) => format!("surveyed from {first} to {last}"),
        None => String::new(),
    }
}

fn tiles(group: &Group) -> Markup {
    let [all, some, none, dane, sts] = figures::of(group);
    let tile = |words: &str, (part, whole): (u64, u64)| {
        html! {
            div class="tile" { b { (percent(part, whole)) } span { (words) } }
        }
    };
    html! {
        div class="tiles" {
            div class="tile" { b { (count(group.domains)) } span { "domains" } }
            div class="tile" { b { (count(group.hosts)) } span { "MX hosts" } }
            (tile("STARTTLS on all MX", all))
            (tile("on some MX", some))
            (tile("on no MX", none))
            (tile("with DANE", dane))
            (tile("with MTA-STS", sts))
        }
    }
}

/// The largest groups, in the order of their names.
fn largest(survey: &Survey) -> Vec<(&str, &Group)> {
    let mut groups: Vec<_> = survey.groups().collect();
    groups.sort_by(|(a, one), (b, two)| (two.domains, a).cmp(&(one.domains, b)));
    groups.truncate(MAX_CHARTED);
    groups.sort_by_key(|(name, _)| *name);
    groups
}

fn groups(survey: &Survey, largest: &[(&str, &Group)]) -> Markup {
    html! {
        section id="groups" {
            h2 { "Groups" }
            (table_of_groups(survey))
            @if survey.group_count() > largest.len() {
                p class="soft" { "Charts are drawn for the " (largest.len()) " largest groups." }
            }
            (charts::by_group(&survey.all, largest))
            @for (name, group) in largest {
                details {
                    summary { h3 { (name) } " " span class="soft" { (count(group.domains)) " domains, every chart" } }
                    (charts::subject(group, Subject::Domains))
                    h2 { "MX hosts of " (name) }
                    (charts::subject(group, Subject::Hosts))
                    (charts::findings(group))
                }
            }
        }
    }
}

fn table_of_groups(survey: &Survey) -> Markup {
    let heads = [
        ("on all MX", Tone::Encrypted),
        ("on some MX", Tone::Weak),
        ("on no MX", Tone::Plaintext),
        ("DANE", Tone::Verified),
        ("MTA-STS", Tone::Verified),
    ];
    html! {
        div class="scroll" {
            table class="list searched" {
                thead {
                    tr {
                        th { "Group" }
                        th class="number" { "Domains" }
                        th class="number" { "MX hosts" }
                        @for (head, tone) in heads { th class="number" { (swatch(tone)) (head) } }
                    }
                }
                tbody {
                    @for (name, group) in survey.groups() {
                        tr {
                            th scope="row" { (name) }
                            td class="number" data-sort=(group.domains) { (count(group.domains)) }
                            td class="number" data-sort=(group.hosts) { (count(group.hosts)) }
                            @for (part, whole) in figures::of(group) {
                                td class="number" data-sort=(part * 100_000 / whole.max(1)) { (percent(part, whole)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
