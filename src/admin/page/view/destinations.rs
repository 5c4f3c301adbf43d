//! The list of destinations.

use super::super::facts::{DestinationEntry, DestinationList, Obtained};
use super::super::request::{Asked, ORDERS, SORTS, STATES, escape, natural, word};
use super::parts::{age, choice, pager, search, state, words};
use super::rules::place;
use super::{Around, whole};
use crate::html::{Markup, count, html};
use crate::store::history::{Direction, Sort};

const PATH: &str = "/destinations";

pub(in super::super) fn destinations(
    around: Around<'_>,
    asked: &Asked,
    shown: &DestinationList,
) -> String {
    let rows = &shown.destinations;
    let content = html! {
        h2 { "Destinations" }
        (search(PATH, asked, "Part of a domain", &fields(asked)))
        (pager(PATH, asked, shown.matching, rows.len()))
        @if rows.is_empty() {
            p class="card nothing" {
                @if shown.matching > 0 { "Nothing on this page." }
                @else if asked.search.is_empty() && asked.state == Asked::default().state { "No mail was sent yet." }
                @else { "No destination is like that." }
            }
        } @else {
            div class="scroll" { (table(around, asked, rows)) }
            (pager(PATH, asked, shown.matching, rows.len()))
        }
    };
    whole(around, &asked.query(), &content)
}

fn fields(asked: &Asked) -> Markup {
    let states = [
        ("all", "all"),
        ("blocked", "blocked now"),
        ("plaintext", "in the clear"),
        ("downgraded", "downgraded"),
    ];
    let sorts = [
        ("name", "by name"),
        ("last", "by last attempt"),
        ("deliveries", "by deliveries"),
        ("blocked", "by blocked attempts"),
    ];
    let orders = [("asc", "ascending"), ("desc", "descending")];
    html! {
        (choice("state", "Which", &states, word(&STATES, asked.state)))
        (choice("sort", "Sorted", &sorts, word(&SORTS, asked.sort)))
        (choice("order", "Order", &orders, word(&ORDERS, asked.direction)))
        @if asked.limit != Asked::default().limit { input type="hidden" name="limit" value=(asked.limit); }
    }
}

fn table(around: Around<'_>, asked: &Asked, rows: &[DestinationEntry]) -> Markup {
    html! {
        table class="list stack" {
            thead {
                tr {
                    (heading(asked, Sort::Name, "Destination"))
                    th { "State" }
                    th { "Policy" }
                    th { "Last obtained" }
                    (heading(asked, Sort::Deliveries, "Delivered"))
                    (heading(asked, Sort::Blocked, "Blocked"))
                    (heading(asked, Sort::Last, "Last attempt"))
                }
            }
            tbody { @for entry in rows { (row(around, entry)) } }
        }
    }
}

/// By which the list can be sorted; once more turns it round.
fn heading(asked: &Asked, sort: Sort, words: &str) -> Markup {
    let current = asked.sort == sort;
    let direction = match (current, asked.direction) {
        (false, _) => natural(sort),
        (true, Direction::Ascending) => Direction::Descending,
        (true, Direction::Descending) => Direction::Ascending,
    };
    let to = Asked {
        sort,
        direction,
        page: 1,
        ..asked.clone()
    };
    let sorted = match asked.direction {
        Direction::Ascending => ("ascending", "▲"),
        Direction::Descending => ("descending", "▼"),
    };
    let class = (sort == Sort::Deliveries || sort == Sort::Blocked).then_some("number");
    html! {
        th class=[class] aria-sort=[current.then_some(sorted.0)] {
            a href=(format!("{PATH}{}", to.query())) { (words) }
            @if current { span aria-hidden="true" { " " (sorted.1) } }
        }
    }
}

fn row(around: Around<'_>, entry: &DestinationEntry) -> Markup {
    html! {
        tr {
            th scope="row" { (link(&entry.name)) }
            td {
                (state(&entry.state))
                @if entry.downgraded { span class="flag" { "downgraded" } }
            }
            td data-label="Policy" { (policy(entry)) }
            td class="words" data-label="Last obtained" {
                @match &entry.obtained {
                    Some(obtained) => (obtained_briefly(obtained)),
                    None => span class="soft" { "nothing was delivered" },
                }
                @if entry.is_kept_back() { (why(entry)) }
            }
            td class="number" data-label="Delivered" { (count(entry.delivered)) }
            td class="number" data-label="Blocked" { (count(entry.blocked)) }
            td class="date" data-label="Last attempt" { (age(entry.last, around.now)) }
        }
    }
}

pub(super) fn link(name: &str) -> Markup {
    html! { a href=(format!("{PATH}/{}", escape(name))) { (name) } }
}

/// Where the policy came from, and what it demands.
pub(super) fn policy(entry: &DestinationEntry) -> Markup {
    let policy = &entry.policy;
    html! {
        span class="badge" {
            (words(&policy.source))
            @if !policy.level.is_empty() && policy.level != policy.source { ": " (policy.level) }
        }
        @if let Some(rule) = &entry.rule { span class="soft sub" { (place(rule)) } }
    }
}

pub(super) fn obtained_briefly(obtained: &Obtained) -> Markup {
    html! {
        @if obtained.tls_version.is_empty() {
            "in the clear"
            @if !obtained.plaintext_cause.is_empty() { ": " (words(&obtained.plaintext_cause)) }
        } @else {
            "TLS " (obtained.tls_version)
            @if !obtained.group.is_empty() { ", " (obtained.group) }
            @if obtained.outcome == "verified" { ", verified by " (words(&obtained.authenticated)) }
            @else if obtained.certificate_problem != "none" && !obtained.certificate_problem.is_empty() {
                ", certificate: " (words(&obtained.certificate_problem))
            }
        }
    }
}

/// Why mail is kept back, or was delivered in the clear.
pub(super) fn why(entry: &DestinationEntry) -> Markup {
    let refusal = entry.refusal.as_ref().filter(|_| entry.is_kept_back());
    let class = match entry.state == "blocked" {
        true => "why bad",
        false => "why",
    };
    html! {
        @match (refusal, &entry.obtained) {
            (Some(refusal), _) => span class=(class) { (refusal.reason) },
            (None, Some(obtained)) => (obtained_briefly(obtained)),
            (None, None) => {},
        }
    }
}
