//! One destination: facts, and what came of its mail over time.

use super::super::facts::{DestinationShown, Obtained, RuleEntry};
use super::super::request::Asked;
use super::destinations::policy;
use super::overview::charted;
use super::parts::{age, many, moment, state, words};
use super::policies::in_words;
use super::rules::place;
use super::{Around, whole};
use crate::html::{Markup, count, html};

pub(in super::super) fn destination(
    around: Around<'_>,
    asked: &Asked,
    shown: &DestinationShown,
) -> String {
    let entry = &shown.destination;
    let content = html! {
        h2 class="name" { (entry.name) }
        @if entry.is_kept_back() && let Some(refusal) = &entry.refusal {
            p class="notice" {
                @if entry.state == "blocked" { "Held back by a TLS policy: " } @else { "The last attempt failed: " }
                (refusal.reason)
            }
        }
        @if entry.downgraded {
            p class="notice" {
                "The last delivery went in the clear, although there was TLS before"
                @if let Some(secured) = entry.last_secured { ", the last time " (age(secured, around.now)) }
                "."
            }
        }
        div class="grid halves" {
            (now(around, shown))
            (counted(around, shown))
        }
        h2 { "Over time" }
        div class="grid halves" {
            (charted("The last 72 hours, by the hour", &shown.hours, "%-d %b %H:%M"))
            (charted("The last year, by weeks from Monday", &shown.weeks, "%-d %b %Y"))
        }
    };
    whole(around, &asked.query(), &content)
}

fn now(around: Around<'_>, shown: &DestinationShown) -> Markup {
    let entry = &shown.destination;
    html! {
        div class="card" {
            dl class="facts" {
                dt { "Last attempt" } dd { (state(&entry.state)) ", " (age(entry.last, around.now)) }
                dt { "Policy of it" } dd { (policy(entry)) }
                @if let Some(rule) = &shown.configured {
                    dt { "Rule now" } dd { (configured(rule)) }
                }
                @if let Some(cached) = &shown.mta_sts {
                    dt { "MTA-STS" } dd { (in_words(around, cached)) }
                }
                @if let Some(obtained) = &entry.obtained {
                    (delivered(around, obtained))
                } @else {
                    dt { "Last delivery" } dd { "none" }
                }
            }
        }
    }
}

fn configured(rule: &RuleEntry) -> Markup {
    html! {
        @match &rule.name { Some(name) => (name), None => (place(&rule.origin)) }
        ": "
        @match &rule.level { Some(level) => (level), None => "policy.default" }
        @if rule.enforce == "dry-run" { ", dry-run" }
        @if let Some(hop) = &rule.next_hop { ", by way of " (hop) }
    }
}

fn delivered(around: Around<'_>, obtained: &Obtained) -> Markup {
    let facts = [
        ("Cipher", obtained.cipher.clone()),
        ("Key exchange", obtained.group.clone()),
        ("Certificate key", obtained.key.clone()),
        (
            "Full check",
            match obtained.certificate_problem.as_str() {
                "none" => "finds nothing wrong with the certificate".to_owned(),
                other => words(other),
            },
        ),
    ];
    html! {
        dt { "Last delivery" } dd { (state(&obtained.outcome)) ", " (age(obtained.at, around.now)) }
        dt { "To the host" } dd { (obtained.mx) }
        @if obtained.tls_version.is_empty() {
            @if !obtained.plaintext_cause.is_empty() { dt { "Because" } dd { (words(&obtained.plaintext_cause)) } }
        } @else {
            dt { "TLS version" } dd { (obtained.tls_version) }
            @for (what, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
                dt { (what) } dd { (fact) }
            }
            @if obtained.outcome == "verified" { dt { "Verified by" } dd { (words(&obtained.authenticated)) } }
        }
    }
}

fn counted(around: Around<'_>, shown: &DestinationShown) -> Markup {
    let entry = &shown.destination;
    let counts = [
        ("Verified", entry.verified),
        ("Encrypted", entry.encrypted),
        ("In the clear", entry.plaintext),
        ("Blocked", entry.blocked),
        ("Refused", entry.refused),
        ("Put off", entry.deferred),
    ];
    html! {
        div class="card" {
            dl class="facts" {
                dt { "First seen" } dd { (moment(entry.first)) }
                @for (what, number) in counts { dt { (what) } dd { (count(number)) } }
                @if entry.would_block > 0 {
                    dt { "Dry-run" } dd { "a rule would have held back " (many(entry.would_block, "attempt")) }
                }
                @if let Some(secured) = entry.last_secured {
                    dt { "Last over TLS" } dd { (age(secured, around.now)) }
                }
                @if let (Some(first), Some(last)) = (entry.downgrade_first, entry.downgrade_last) {
                    dt { "Downgrades" } dd {
                        (count(entry.downgrades)) ", first " (moment(first)) ", last " (moment(last))
                    }
                }
                @if let Some(refusal) = entry.refusal.as_ref().filter(|_| !entry.is_kept_back()) {
                    dt { "Last refusal" } dd { (age(refusal.at, around.now)) ": " (refusal.reason) }
                }
            }
        }
    }
}
