//! The rules and what they caught.

use super::super::facts::{Caught, RuleEntry, RuleList};
use super::super::request::Asked;
use super::parts::{age, badge, pager, search};
use super::{Around, whole};
use crate::html::{Markup, Tone, count, html};

const PATH: &str = "/rules";
/// Domains of one rule that are shown.
const MOST_DOMAINS: usize = 5;

pub(in super::super) fn rules(around: Around<'_>, asked: &Asked, shown: &RuleList) -> String {
    let rows = &shown.rules;
    let content = html! {
        h2 { "Rules" }
        p class="soft" {
            "What no rule names, and no destination publishes a policy for, is at the level " code { (shown.default) }
            " (policy.default)."
        }
        (search(PATH, asked, "Part of a domain, a name or a place", &html! {}))
        (pager(PATH, asked, shown.matching, rows.len()))
        @if rows.is_empty() {
            p class="card nothing" {
                @if shown.matching > 0 { "Nothing on this page." }
                @else if asked.search.is_empty() { "There are no rules." }
                @else { "No rule is like that." }
            }
        } @else {
            div class="scroll" { (table(around, rows)) }
            (pager(PATH, asked, shown.matching, rows.len()))
        }
    };
    whole(around, &asked.query(), &content)
}

fn table(around: Around<'_>, rows: &[RuleEntry]) -> Markup {
    html! {
        table class="list stack" {
            thead { tr {
                th { "Rule" } th { "Domains" } th { "Level" } th { "Enforced" } th class="number" { "Destinations" }
                th class="number" { "Delivered" } th class="number" { "Blocked" }
                th class="number" { "Would block" } th { "Last attempt" }
            } }
            tbody { @for rule in rows { (row(around, rule)) } }
        }
    }
}

fn row(around: Around<'_>, rule: &RuleEntry) -> Markup {
    let caught = rule.caught.as_ref();
    let number = |of: fn(&Caught) -> u64| count(caught.map_or(0, of));
    let dry_run = rule.enforce == "dry-run";
    html! {
        tr {
            th scope="row" {
                @match &rule.name {
                    Some(name) => { (name) span class="soft sub" { (place(&rule.origin)) } },
                    None => (place(&rule.origin)),
                }
            }
            td class="words" data-label="Domains" { (domains(rule)) }
            td data-label="Level" {
                @match &rule.level { Some(level) => (level), None => span class="soft" { "policy.default" } }
                @if rule.published == "ignore" { span class="soft sub" { "published policies ignored" } }
                @if let Some(hop) = &rule.next_hop { span class="soft sub" { "by way of " (hop) } }
            }
            td data-label="Enforced" {
                @if dry_run { (badge(Tone::Weak, "dry-run")) } @else { (badge(Tone::Verified, "yes")) }
            }
            td class="number" data-label="Destinations" { (number(|caught| caught.destinations)) }
            td class="number" data-label="Delivered" { (number(|caught| caught.delivered)) }
            td class="number" data-label="Blocked" { (number(|caught| caught.blocked)) }
            td class="number" data-label="Would block" {
                @if dry_run { (number(|caught| caught.would_block)) } @else { "–" }
            }
            td class="date" data-label="Last attempt" {
                @match caught { Some(caught) => (age(caught.last, around.now)), None => span class="soft" { "none yet" } }
            }
        }
    }
}

/// Where a rule stands: the file without its directory, which is there where somebody points at it.
pub(super) fn place(origin: &str) -> Markup {
    let short = origin.rsplit('/').next().unwrap_or(origin);
    html! { span title=(origin) { (short) } }
}

fn domains(rule: &RuleEntry) -> Markup {
    let shown = rule.domains.iter().take(MOST_DOMAINS);
    let left = rule.domains_total.saturating_sub(MOST_DOMAINS as u64);
    html! {
        (shown.map(String::as_str).collect::<Vec<_>>().join(", "))
        @if left > 0 { span class="soft" { " and " (count(left)) " more" } }
    }
}
