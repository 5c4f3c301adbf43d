//! The queue, without addresses.

use super::super::facts::{QueueShown, QueuedMail};
use super::super::request::Asked;
use super::destinations::link;
use super::parts::{age, badge, duration, octets};
use super::{Around, whole};
use crate::admin::queue::QueueState;
use crate::html::{Markup, Tone, count, html};
use std::collections::BTreeSet;

/// Domains of one message that are shown.
const MOST_DOMAINS: usize = 3;

pub(in super::super) fn queue(around: Around<'_>, asked: &Asked, shown: &QueueShown) -> String {
    let counts = &shown.counts;
    let waiting = counts.messages.saturating_sub(counts.held);
    let oldest = |time: Option<jiff::Timestamp>| match time {
        Some(time) => duration(
            (around.now.as_second() - time.as_second())
                .max(0)
                .unsigned_abs(),
        ),
        None => "–".to_owned(),
    };
    let content = html! {
        h2 { "Queue" }
        div class="tiles" {
            div class="tile" { b { (count(waiting)) } span { "waiting or under way" } }
            div class="tile" { b { (count(counts.held)) } span { "held" } }
            div class="tile" { b { (oldest(counts.oldest)) } span { "the oldest that waits" } }
            div class="tile" { b { (oldest(counts.oldest_held)) } span { "the oldest that is held" } }
        }
        @if shown.mail.is_empty() {
            p class="card nothing" { @if counts.messages == 0 { "The queue is empty." } @else { "Nothing follows." } }
        } @else {
            p class="soft" {
                "The longest waiting first: they are the next to be returned to their senders. Senders and recipients are \
                 not shown here; " code { "sealpost queue list" } " shows them."
            }
            div class="scroll" { (table(around, &shown.mail)) }
        }
        nav class="pages" aria-label="Pages of the list" {
            @if asked.after > 0 { a href="/queue" { "From the beginning" } }
            @if let Some(next) = shown.next { a rel="next" href=(format!("/queue?after={next}")) { "Next" } }
        }
    };
    whole(around, &format!("?after={}", asked.after), &content)
}

fn table(around: Around<'_>, mail: &[QueuedMail]) -> Markup {
    html! {
        table class="list stack" {
            thead { tr {
                th { "Destination" } th { "State" } th { "Last reply" } th class="number" { "Attempts" }
                th { "Received" } th { "Next attempt" } th { "Returned" } th class="number" { "Size" }
            } }
            tbody { @for message in mail { (row(around, message)) } }
        }
    }
}

fn row(around: Around<'_>, message: &QueuedMail) -> Markup {
    let tone = match message.state {
        QueueState::Waiting => Tone::Encrypted,
        QueueState::Held => Tone::Weak,
        QueueState::Active => Tone::Verified,
    };
    let reply = message
        .recipients
        .iter()
        .find_map(|one| one.reply.as_deref());
    let attempts = message.recipients.iter().map(|one| one.attempts).max();
    html! {
        tr {
            th scope="row" { (domains(message)) span class="soft sub mono" { (message.id) } }
            td { (badge(tone, message.state.as_str())) }
            td class="words" data-label="Last reply" {
                @match reply { Some(reply) => (reply), None => span class="soft" { "none yet" } }
            }
            td class="number" data-label="Attempts" { (attempts.unwrap_or(0)) }
            td class="date" data-label="Received" { (age(message.received, around.now)) }
            td class="date" data-label="Next attempt" {
                @match message.next_attempt { Some(next) => (age(next, around.now)), None => "–" }
            }
            td class="date" data-label="Returned" { (age(message.expires, around.now)) }
            td class="number" data-label="Size" { (octets(message.size)) }
        }
    }
}

fn domains(message: &QueuedMail) -> Markup {
    let domains = message.recipients.iter().map(|one| one.domain.as_str());
    let domains: BTreeSet<_> = domains.collect();
    let left = domains.len().saturating_sub(MOST_DOMAINS);
    html! {
        @for (number, domain) in domains.iter().take(MOST_DOMAINS).enumerate() {
            @if number > 0 { ", " }
            (link(domain))
        }
        @if left > 0 { " and " (left) " more" }
    }
}
