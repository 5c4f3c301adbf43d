//! The MTA-STS cache.

use super::super::facts::{CachedPolicy, PolicyList};
use super::super::request::Asked;
use super::destinations::link;
use super::parts::{age, badge, duration, pager, search};
use super::{Around, whole};
use crate::html::{Markup, Tone, html};

const PATH: &str = "/policies";
/// MX patterns of one policy that are shown.
const MOST_PATTERNS: usize = 5;

pub(in super::super) fn policies(around: Around<'_>, asked: &Asked, shown: &PolicyList) -> String {
    let rows = &shown.policies;
    let content = html! {
        h2 { "MTA-STS policies in the cache" }
        (search(PATH, asked, "Part of a domain", &html! {}))
        (pager(PATH, asked, shown.matching, rows.len()))
        @if rows.is_empty() {
            p class="card nothing" {
                @if shown.matching > 0 { "Nothing on this page." }
                @else if asked.search.is_empty() { "No policy was fetched yet." }
                @else { "No domain with a policy is called so." }
            }
        } @else {
            div class="scroll" {
                table class="list stack" {
                    thead { tr {
                        th { "Domain" } th { "Mode" } th { "MX" } th { "Fetched" } th { "Expires" } th { "Last failure" }
                    } }
                    tbody { @for cached in rows { (row(around, cached)) } }
                }
            }
            (pager(PATH, asked, shown.matching, rows.len()))
        }
    };
    whole(around, &asked.query(), &content)
}

fn row(around: Around<'_>, cached: &CachedPolicy) -> Markup {
    let policy = &cached.policy;
    html! {
        tr {
            th scope="row" { (link(&policy.domain)) }
            td { (mode(cached)) }
            td class="words" data-label="MX" { (patterns(&policy.mx)) }
            td class="date" data-label="Fetched" { (age(policy.fetched, around.now)) }
            td class="date" data-label="Expires" { (age(policy.expires, around.now)) }
            td class="words" data-label="Last failure" { (failure(cached)) }
        }
    }
}

fn mode(cached: &CachedPolicy) -> Markup {
    let policy = &cached.policy;
    let tone = match (policy.live, policy.mode.as_str()) {
        (false, _) => Tone::Faint,
        (true, "enforce") => Tone::Verified,
        (true, "testing") => Tone::Weak,
        (true, _) => Tone::Neutral,
    };
    html! {
        (badge(tone, &policy.mode))
        @if !policy.live { span class="soft sub" { "not in force" } }
    }
}

fn patterns(mx: &[String]) -> Markup {
    let left = mx.len().saturating_sub(MOST_PATTERNS);
    html! {
        (mx.iter().take(MOST_PATTERNS).map(String::as_str).collect::<Vec<_>>().join(", "))
        @if left > 0 { span class="soft" { " and " (left) " more" } }
    }
}

fn failure(cached: &CachedPolicy) -> Markup {
    html! {
        @if let Some(failed) = &cached.last_failure {
            (failed.failure.reason) span class="soft" { ", " (duration(failed.age)) " ago" }
        }
    }
}

/// In one line.
pub(super) fn in_words(around: Around<'_>, cached: &CachedPolicy) -> Markup {
    let policy = &cached.policy;
    html! {
        (policy.mode) @if !policy.live { ", not in force" }
        ", fetched " (age(policy.fetched, around.now)) ", expires " (age(policy.expires, around.now))
        ", MX " (patterns(&policy.mx))
        @if cached.last_failure.is_some() { "; the last fetch failed: " (failure(cached)) }
    }
}
