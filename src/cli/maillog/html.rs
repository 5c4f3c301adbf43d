//! The report as a page that needs nothing else.

use super::report::{Direction, Listed, Moment, Named, Report, Sent, Shares, Trouble};
use crate::html::{
    Bar, Column, Frame, Markup, Part, Script, Series, Tone, bars, count, document, html, percent,
    shares, timeline,
};
use jiff::Timestamp;

pub(super) fn render(report: &Report) -> String {
    let body = html! {
        header {
            h1 { "TLS in the mail log" }
            p { (period(report)) }
        }
        main {
            (tiles(report))
            (unknown(report))
            (direction("Mail to others", &report.outbound))
            (impact(report))
            (direction("Mail from others", &report.inbound))
            (direction("Mail from users", &report.submitted))
            (destinations(&report.destinations))
            (problems(&report.problems))
        }
        footer { (lines(report)) }
    };
    let frame = Frame {
        title: "TLS in the mail log",
        script: Script::Search,
    };
    document(frame, &body)
}

fn period(report: &Report) -> String {
    let minute = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    match (report.from, report.to) {
        (Some(from), Some(to)) => format!("{} to {}", minute(from), minute(to)),
        (_, _) => String::new(),
    }
}

fn tiles(report: &Report) -> Markup {
    let share = |s: Shares| match s.tls {
        Some(tls) => percent(tls, s.total),
        None => "unknown".to_owned(),
    };
    let (out, come) = (&report.outbound, &report.inbound);
    let all = [
        (share(out.messages), "of the mail to others was encrypted"),
        (share(out.connections), "of the connections to others"),
        (share(come.messages), "of the mail from others"),
        (share(come.connections), "of the connections from others"),
        (count(out.messages.total), "messages to others"),
        (count(report.destinations.total as u64), "destinations"),
    ];
    html! {
        div class="tiles" {
            @for (number, what) in all { div class="tile" { b { (number) } span { (what) } } }
        }
    }
}

fn unknown(report: &Report) -> Markup {
    html! {
        @if !report.outbound.tls_logged && report.outbound.messages.total > 0 {
            p class="notice" {
                "The log says nothing of TLS to others, so that nobody knows how much of it was encrypted: with "
                code { "smtp_tls_loglevel = 1" } " in Postfix's main.cf it will."
            }
        }
    }
}

fn direction(title: &str, direction: &Direction) -> Markup {
    if direction.messages.total + direction.connections.total == 0 {
        return html! {};
    }
    html! {
        h2 { (title) }
        div class="grid" {
            (split("Messages", direction.messages))
            (split("Connections", direction.connections))
            @if !direction.timeline.is_empty() { div class="wide" { (over_time(&direction.timeline)) } }
            (listed("Versions, by messages", &direction.versions))
            (listed("Proofs, by messages", &direction.proofs))
            (listed("Ciphers, by connections", &direction.ciphers))
            (listed("Key exchange, by connections", &direction.key_exchanges))
        }
        @if direction.idle_connections > 0 {
            p class="soft" { (count(direction.idle_connections)) " more connections brought neither TLS nor mail." }
        }
        @if direction.failed_handshakes > 0 {
            p class="soft" { (count(direction.failed_handshakes)) " handshakes failed." }
        }
    }
}

const KINDS: [(&str, Tone); 3] = [
    ("encrypted, host proven", Tone::Verified),
    ("encrypted", Tone::Encrypted),
    ("in the clear", Tone::Plaintext),
];

fn split(title: &str, of: Shares) -> Markup {
    let (Some(tls), Some(verified), Some(plaintext)) = (of.tls, of.verified, of.plaintext) else {
        let part = Part {
            label: "unknown".to_owned(),
            count: of.total,
            tone: Tone::Neutral,
        };
        return shares(title, &[part]);
    };
    let counts = [verified, tls - verified, plaintext];
    let part = |((label, tone), count): ((&str, Tone), u64)| Part {
        label: label.to_owned(),
        count,
        tone,
    };
    let parts: Vec<Part> = KINDS.into_iter().zip(counts).map(part).collect();
    shares(title, &parts)
}

fn over_time(moments: &[Moment]) -> Markup {
    let step = match moments {
        [first, second, ..] => second.at.as_second() - first.at.as_second(),
        _ => 3600,
    };
    let form = if step < 86_400 {
        "%d %b %H:%M"
    } else {
        "%Y-%m-%d"
    };
    let series = KINDS.map(|(label, tone)| Series {
        label: label.to_owned(),
        tone,
    });
    let column = |moment: &Moment| Column {
        label: moment.at.strftime(form).to_string(),
        counts: vec![moment.verified, moment.encrypted, moment.plaintext],
    };
    let columns: Vec<Column> = moments.iter().map(column).collect();
    timeline("Messages over time (UTC)", &series, &columns)
}

fn listed(title: &str, names: &[Named]) -> Markup {
    if names.is_empty() {
        return html! {};
    }
    let bar = |(at, named): (usize, &Named)| Bar {
        label: named.name.clone(),
        count: named.count,
        tone: match named.name.as_str() {
            "TLSv1" | "TLSv1.1" | "SSLv3" => Tone::Weak,
            "dane" | "webpki" | "fingerprint" | "verified" => Tone::Verified,
            "trusted" | "untrusted" | "anonymous" => Tone::Encrypted,
            _ => Tone::Kind(at),
        },
    };
    let drawn: Vec<Bar> = names.iter().enumerate().map(bar).collect();
    bars(title, &drawn, names.iter().map(|named| named.count).sum())
}

fn impact(report: &Report) -> Markup {
    html! {
        @if !report.impact.is_empty() {
            h2 { "What Sealpost would change" }
            div class="scroll" { table class="list stack" {
                thead { tr { th { "Mail to others that" } th class="number" { "Recipients" }
                    th class="number" { "Destinations" } th { "With Sealpost" } } }
                tbody { @for impact in &report.impact { tr {
                    th scope="row" { (impact.what) }
                    td class="number" data-label="Recipients" { (count(impact.recipients)) }
                    td class="number" data-label="Destinations" { (count(impact.destinations)) }
                    td class="words" { (impact.then) }
                } } }
            } }
            p class="soft" { code { "sealpost suggest --maillog FILE" } " proposes rules from this." }
        }
    }
}

fn destinations(listed: &Listed<Sent>) -> Markup {
    html! {
        @if !listed.shown.is_empty() {
            h2 { "Destinations" }
            div class="scroll" { table class="list stack searched" {
                thead { tr { th { "Domain" } th { "Recipients" } th { "TLS" } th { "Proven" } th { "Deferred" }
                    th { "Blocked" } th { "Versions" } } }
                tbody { @for sent in &listed.shown { (destination(sent)) } }
            } }
            (rest(listed.total, listed.shown.len()))
        }
    }
}

fn destination(sent: &Sent) -> Markup {
    let of = sent.recipients;
    let share = |part: Option<u64>| match part {
        Some(part) => percent(part, of.total),
        None => "?".to_owned(),
    };
    let thousandths = |part: Option<u64>| part.unwrap_or(0) * 1000 / of.total.max(1);
    let names = sent.versions.iter().map(|named| named.name.as_str());
    html! {
        tr {
            th scope="row" { (sent.domain) }
            td class="number" data-label="Recipients" data-sort=(of.total) { (count(of.total)) }
            td class="number" data-label="TLS" data-sort=(thousandths(of.tls)) { (share(of.tls)) }
            td class="number" data-label="Proven" data-sort=(thousandths(of.verified)) { (share(of.verified)) }
            td class="number" data-label="Deferred" data-sort=(sent.deferred) { (count(sent.deferred)) }
            td class="number" data-label="Blocked" data-sort=(sent.blocked) { (count(sent.blocked)) }
            td data-label="Versions" { (names.collect::<Vec<_>>().join(" ")) }
        }
    }
}

fn problems(listed: &Listed<Trouble>) -> Markup {
    html! {
        @if !listed.shown.is_empty() {
            h2 { "Troubles with TLS" }
            div class="scroll" { table class="list stack" {
                thead { tr { th { "Domain" } th { "Problem" } th class="number" { "Count" } th { "Said last" } } }
                tbody { @for trouble in &listed.shown { tr {
                    th scope="row" { (trouble.domain) }
                    td data-label="Problem" { (trouble.problem) }
                    td class="number" data-label="Count" { (count(trouble.count)) }
                    td class="words mono" { (trouble.words) }
                } } }
            } }
            (rest(listed.total, listed.shown.len()))
        }
    }
}

fn rest(total: usize, shown: usize) -> Markup {
    html! {
        @if total > shown { p class="soft" { "and " (count((total - shown) as u64)) " more (--top N)" } }
    }
}

fn lines(report: &Report) -> Markup {
    let lines = &report.lines;
    let beside = [
        (lines.older, "older lines"),
        (lines.unreadable, "unreadable lines"),
        (lines.too_long, "lines that are too long"),
        (
            report.handed_over,
            "recipients handed to filters or mailboxes of this machine (not counted above)",
        ),
        (report.by_sealpost, "recipients delivered by Sealpost"),
        (
            report.from_here,
            "messages from this machine (not counted above)",
        ),
    ];
    html! {
        (count(lines.read)) " lines, " (count(lines.used)) " of mail"
        @for (number, what) in beside.into_iter().filter(|(number, _)| *number > 0) { ", " (count(number)) " " (what) }
        "."
    }
}
