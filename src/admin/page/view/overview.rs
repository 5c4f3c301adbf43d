//! The first page: what is wrong, what was delivered, and how.

use super::super::facts::{
    Counts, DestinationEntry, DnssecState, History, Overview, Period, Share,
};
use super::super::request::{Asked, Shown};
use super::destinations::{link, why};
use super::parts::{age, duration, many, moment, octets, state, words};
use super::{Around, whole};
use crate::html::{
    Bar, Column, Markup, Part, Series, Tone, bars, count, html, percent, shares, timeline,
};

pub(in super::super) fn overview(around: Around<'_>, asked: &Asked, shown: &Overview) -> String {
    let content = html! {
        (notices(shown))
        (tiles(around, shown))
        @if let Some(history) = &shown.history {
            (over_time(history))
            (noted(around, history))
            (shared(asked, history))
        }
        h2 { "This node" }
        (node(around, shown))
    };
    whole(around, &asked.query(), &content)
}

/// What is wrong comes first.
fn notices(shown: &Overview) -> Markup {
    let reload = shown.configuration.problem.as_deref();
    let all_well = shown.problems.is_empty() && reload.is_none() && shown.ready;
    html! {
        @if let Some(why) = &shown.unavailable {
            p class="notice" role="alert" { "This page is not whole: " (why) "." }
        }
        @if !shown.ready {
            p class="notice" role="alert" { "Not ready: new mail should not be sent here now." }
        }
        @for problem in &shown.problems {
            p class="notice" role="alert" { (problem) }
        }
        @if let Some(problem) = reload {
            p class="notice" role="alert" {
                "The configuration was not reloaded, the old one stays in force: " (problem)
            }
        }
        @if let Some(history) = &shown.history {
            @if history.downgraded > 0 {
                p class="notice" {
                    a href="/destinations?state=downgraded" { (many(history.downgraded, "destination")) }
                    " had TLS within 30 days, and the last delivery went in the clear."
                }
            }
            @if history.blocked > 0 {
                p class="notice mild" {
                    "Mail to " a href="/destinations?state=blocked" { (many(history.blocked, "destination")) }
                    " is held back by a TLS policy."
                }
            }
            @if all_well && shown.unavailable.is_none() && history.downgraded == 0 && history.blocked == 0 {
                p class="notice well" { "Ready. Nothing is wrong." }
            }
        }
    }
}

fn tiles(around: Around<'_>, shown: &Overview) -> Markup {
    html! {
        div class="tiles" {
            @if let Some(history) = &shown.history {
                @let day = &history.day.counts;
                (tile(&count(day.delivered()), "delivered in 24 hours"))
                (tile(&percent(day.secured(), day.delivered()), "of them encrypted"))
                (tile(&percent(day.verified(), day.delivered()), "of them verified"))
                (tile(&count(day.plaintext), "in the clear in 24 hours"))
                (tile(&count(history.blocked), "destinations blocked now"))
            }
            @if let Some(queue) = &shown.queue {
                div class="tile" {
                    b { a href="/queue" { (count(queue.messages)) } }
                    span {
                        "in the queue"
                        @if let Some(oldest) = queue.oldest {
                            ", the oldest for " (duration(seconds_since(oldest, around)))
                        }
                    }
                }
            }
        }
    }
}

fn seconds_since(time: jiff::Timestamp, around: Around<'_>) -> u64 {
    let seconds = around.now.as_second() - time.as_second();
    seconds.max(0).unsigned_abs()
}

fn tile(number: &str, words: &str) -> Markup {
    html! { div class="tile" { b { (number) } span { (words) } } }
}

fn over_time(history: &History) -> Markup {
    html! {
        div class="grid" {
            (attempts("The last 24 hours, by the hour", &history.day, "%H:%M"))
            (attempts("The last 30 days, by the day", &history.month, "%-d %b"))
        }
    }
}

fn attempts(title: &str, period: &Period, label: &str) -> Markup {
    charted(title, &period.slots, label)
}

/// What came of attempts over time.
pub(super) fn charted(title: &str, slots: &[super::super::facts::Slot], label: &str) -> Markup {
    let mut sum = [0; KINDS.len()];
    for slot in slots {
        let counts = slot.counts;
        for (sum, (_, _, of)) in sum.iter_mut().zip(&KINDS) {
            *sum += of(&counts);
        }
    }
    // What hardly anybody has is left out where there is none.
    let kept: Vec<_> = KINDS
        .iter()
        .zip(sum)
        .filter(|((label, _, _), sum)| *sum > 0 || !RARE.contains(label))
        .map(|(kind, _)| kind)
        .collect();
    let series: Vec<_> = kept
        .iter()
        .map(|(label, tone, _)| Series {
            label: (*label).to_owned(),
            tone: *tone,
        })
        .collect();
    let columns: Vec<_> = slots
        .iter()
        .map(|slot| Column {
            label: slot.at.strftime(label).to_string(),
            counts: kept.iter().map(|(_, _, of)| of(&slot.counts)).collect(),
        })
        .collect();
    timeline(title, &series, &columns)
}

type Kind = (&'static str, Tone, fn(&Counts) -> u64);

const HALF: &str = "Verified by half-DANE";
const PIN: &str = "Verified by a pin";
const RARE: [&str; 2] = [HALF, PIN];
const KINDS: [Kind; 9] = [
    ("Verified by DANE", Tone::VerifiedBy(0), |counts| {
        counts.dane
    }),
    (HALF, Tone::VerifiedBy(3), |counts| counts.half_dane),
    ("Verified by WebPKI", Tone::VerifiedBy(1), |counts| {
        counts.webpki
    }),
    (PIN, Tone::VerifiedBy(2), |counts| counts.pin),
    ("Encrypted", Tone::Encrypted, |counts| counts.encrypted),
    ("In the clear", Tone::Plaintext, |counts| counts.plaintext),
    ("Blocked by a TLS policy", Tone::Bad, |counts| {
        counts.blocked
    }),
    ("Refused by the receiver", Tone::Neutral, |counts| {
        counts.refused
    }),
    ("Put off", Tone::Faint, |counts| counts.deferred),
];

/// Destinations that somebody should look at.
fn noted(around: Around<'_>, history: &History) -> Markup {
    html! {
        @if !history.blocked_now.is_empty() {
            h2 { "Blocked now" }
            (list(around, &history.blocked_now))
            @if history.blocked > history.blocked_now.len() as u64 {
                p { a href="/destinations?state=blocked" { "All " (count(history.blocked)) } }
            }
        }
        @if !history.downgraded_now.is_empty() {
            h2 { "In the clear, although there was TLS before" }
            (list(around, &history.downgraded_now))
            @if history.downgraded > history.downgraded_now.len() as u64 {
                p { a href="/destinations?state=downgraded" { "All " (count(history.downgraded)) } }
            }
        }
    }
}

fn list(around: Around<'_>, entries: &[DestinationEntry]) -> Markup {
    html! {
        div class="scroll" {
            table class="list stack" {
                thead { tr { th { "Destination" } th { "State" } th { "Last attempt" } th { "Why" } } }
                tbody {
                    @for entry in entries {
                        tr {
                            th scope="row" { (link(&entry.name)) }
                            td { (state(&entry.state)) }
                            td data-label="Last attempt" { (age(entry.last, around.now)) }
                            td class="words" { (why(entry)) }
                        }
                    }
                }
            }
        }
    }
}

fn shared(asked: &Asked, history: &History) -> Markup {
    let (period, what) = match asked.period {
        Shown::Day => (&history.day, "in the last 24 hours"),
        Shown::Month => (&history.month, "in the last 30 days"),
    };
    let of = &period.shares;
    let secured = period.counts.secured();
    html! {
        h2 id="shares" { "How mail was delivered " (what) }
        nav class="pages" aria-label="Time" {
            @if asked.period == Shown::Day {
                a href="/#shares" aria-current="true" { "24 hours" }
                a href="/?period=month#shares" { "30 days" }
            } @else {
                a href="/#shares" { "24 hours" }
                a href="/?period=month#shares" aria-current="true" { "30 days" }
            }
        }
        div class="grid" {
            (shares("TLS version", &parts(&of.tls_version, version)))
            (shares("Certificate: what a full check finds", &parts(&of.certificate_problem, problem)))
            (shares("Where the policy came from", &kinds(&of.policy)))
            (bars("Cipher", &plain(&of.cipher), secured))
            (bars("Key exchange group", &plain(&of.group), secured))
            (bars("Certificate key", &plain(&of.key), secured))
            @if !of.plaintext_cause.is_empty() {
                (bars("Why in the clear", &toned(&of.plaintext_cause, Tone::Plaintext), period.counts.plaintext))
            }
            @if !of.blocked_reason.is_empty() {
                (bars("Why blocked", &toned(&of.blocked_reason, Tone::Bad), period.counts.blocked))
            }
        }
    }
}

fn parts(shares: &[Share], show: impl Fn(&str) -> (String, Tone)) -> Vec<Part> {
    let part = |share: &Share| {
        let (label, tone) = show(&share.label);
        let count = share.count;
        Part { label, count, tone }
    };
    shares.iter().map(part).collect()
}

fn version(label: &str) -> (String, Tone) {
    match label {
        "none" => ("no TLS".to_owned(), Tone::Plaintext),
        "1.3" => ("TLS 1.3".to_owned(), Tone::Verified),
        "1.2" => ("TLS 1.2".to_owned(), Tone::Encrypted),
        other => (format!("TLS {other}"), Tone::Weak),
    }
}

fn problem(label: &str) -> (String, Tone) {
    match label {
        "none" => ("nothing wrong".to_owned(), Tone::Verified),
        "name_mismatch" => (words(label), Tone::Kind(0)),
        "self_signed" => (words(label), Tone::Kind(2)),
        "untrusted" => (words(label), Tone::Kind(5)),
        "expired" => (words(label), Tone::Weak),
        other => (words(other), Tone::Neutral),
    }
}

fn kinds(shares: &[Share]) -> Vec<Part> {
    let numbered = shares.iter().enumerate();
    numbered
        .map(|(number, share)| Part {
            label: words(&share.label),
            count: share.count,
            tone: Tone::Kind(number),
        })
        .collect()
}

fn plain(shares: &[Share]) -> Vec<Bar> {
    let bar = |share: &Share| Bar {
        label: share.label.clone(),
        count: share.count,
        tone: Tone::Encrypted,
    };
    shares.iter().map(bar).collect()
}

fn toned(shares: &[Share], tone: Tone) -> Vec<Bar> {
    let bar = |share: &Share| Bar {
        label: words(&share.label),
        count: share.count,
        tone,
    };
    shares.iter().map(bar).collect()
}

fn node(around: Around<'_>, shown: &Overview) -> Markup {
    let node = &shown.node;
    html! {
        div class="card" {
            dl class="facts" {
                dt { "Name" } dd { (node.hostname) }
                dt { "Version" } dd { "Sealpost " (node.version) }
                dt { "Started" } dd { (moment(node.started)) ", " (duration(node.uptime)) " ago" }
                dt { "DNSSEC" } dd { (dnssec(&shown.dnssec)) }
                dt { "Configuration" } dd {
                    "read " (age(shown.configuration.read, around.now))
                    @if shown.configuration.problem.is_some() { "; the last reload failed" }
                }
                @if let Some(policies) = shown.mta_sts_policies {
                    dt { "MTA-STS" } dd { a href="/policies" { (cached(policies)) } }
                }
                @if let Some(history) = &shown.history {
                    dt { "History" } dd {
                        (many(history.destinations, "destination"))
                        @if let Some(since) = history.since { ", since " (since.strftime("%Y-%m-%d").to_string()) }
                    }
                }
                @if let Some(size) = node.store_size {
                    dt { "Store" } dd { (octets(size)) }
                }
            }
        }
    }
}

fn cached(policies: u64) -> String {
    match policies {
        1 => "1 policy in the cache".to_owned(),
        _ => format!("{} policies in the cache", count(policies)),
    }
}

fn dnssec(state: &DnssecState) -> Markup {
    let reason = state.reason.as_deref().unwrap_or_default();
    html! {
        @match (state.state.as_str(), state.validation.as_deref()) {
            ("works", Some("servers")) => { "works; signatures are checked by the DNS servers, whose AD bit is believed" }
            ("works", _) => { "works; signatures are checked here" }
            ("off", _) => { "off; DANE is not applied" }
            ("no-answer", _) => { "no DNS server answers: " (reason) }
            ("untimely", _) => { "does not work, this clock or that of the DNS servers is wrong: " (reason) }
            _ => { "does not work: " (reason) }
        }
    }
}
