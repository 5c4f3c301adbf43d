//! The report for a terminal.

use super::report::{Direction, Named, Report, Sent, Shares, Trouble};
use crate::cli::print::safe;
use crate::html::percent;
use jiff::Timestamp;

/// Widest column of words.
const WORDS: usize = 100;

pub(super) fn render(report: &Report) -> String {
    let mut out = vec![heading(report), String::new()];
    for (title, direction) in [
        ("MAIL TO OTHERS", &report.outbound),
        ("MAIL FROM OTHERS", &report.inbound),
        ("MAIL FROM USERS", &report.submitted),
    ] {
        if direction.messages.total + direction.connections.total > 0 {
            out.push(shares(title, direction));
            out.extend(details(direction));
            out.push(String::new());
        }
    }
    out.extend(beside(report));
    if !report.impact.is_empty() {
        out.push("WHAT SEALPOST WOULD CHANGE FOR MAIL TO OTHERS".to_owned());
        for impact in &report.impact {
            out.push(format!(
                "  {} recipients at {} destinations: {}\n      then: {}",
                impact.recipients, impact.destinations, impact.what, impact.then
            ));
        }
        out.push("  sealpost suggest --maillog FILE proposes rules from this".to_owned());
        out.push(String::new());
    }
    if !report.destinations.shown.is_empty() {
        out.push(destinations(report));
    }
    if !report.problems.shown.is_empty() {
        out.push(problems(&report.problems.shown, report.problems.total));
    }
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    safe(&(out.join("\n") + "\n"))
}

fn heading(report: &Report) -> String {
    let lines = &report.lines;
    let mut text = format!("{} lines, {} of mail", lines.read, lines.used);
    for (count, what) in [
        (lines.older, "older"),
        (lines.unreadable, "unreadable"),
        (lines.too_long, "too long"),
    ] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    if let (Some(from), Some(to)) = (report.from, report.to) {
        text += &format!("; {} to {}", minute(from), minute(to));
    }
    text
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn shares(title: &str, direction: &Direction) -> String {
    let (messages, connections) = (direction.messages, direction.connections);
    let mut rows = vec![row(&[title, "messages", "", "connections", ""])];
    for (name, of) in [
        (
            "  encrypted, host proven",
            (|s| s.verified) as fn(Shares) -> Option<u64>,
        ),
        ("  encrypted", |s| Some(s.tls? - s.verified?)),
        ("  in the clear", |s| s.plaintext),
    ] {
        let cells = [messages, connections].map(|s| match of(s) {
            Some(count) => (count.to_string(), percent(count, s.total)),
            None => ("unknown".to_owned(), String::new()),
        });
        let [(m, m_share), (c, c_share)] = cells;
        rows.push(vec![name.to_owned(), m, m_share, c, c_share]);
    }
    let total = [messages.total, connections.total].map(|total| total.to_string());
    rows.push(row(&["  in all", &total[0], "", &total[1], ""]));
    table(&rows)
}

fn details(direction: &Direction) -> Vec<String> {
    let mut lines = Vec::new();
    for (title, names) in [
        ("versions", &direction.versions),
        ("proofs", &direction.proofs),
        ("ciphers", &direction.ciphers),
        ("key exchange", &direction.key_exchanges),
    ] {
        if !names.is_empty() {
            lines.push(format!("  {title:13} {}", named(names)));
        }
    }
    if direction.failed_handshakes > 0 {
        lines.push(format!(
            "  {} handshakes failed",
            direction.failed_handshakes
        ));
    }
    if direction.idle_connections > 0 {
        lines.push(format!(
            "  {} more connections brought neither TLS nor mail",
            direction.idle_connections
        ));
    }
    lines
}

fn named(names: &[Named]) -> String {
    let total: u64 = names.iter().map(|n| n.count).sum();
    let share = |n: &Named| format!("{} {}", n.name, percent(n.count, total));
    names.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// What is not part of the counts above, or only looks so.
fn beside(report: &Report) -> Vec<String> {
    let lines: Vec<String> = [
        (
            report.by_sealpost,
            "recipients were delivered by Sealpost; what it did is in its replies",
        ),
        (
            report.handed_over,
            "recipients were handed to filters or mailboxes here, and are not counted above",
        ),
        (
            report.from_here,
            "messages came from this machine, and are not counted above",
        ),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    match lines.is_empty() {
        true => lines,
        false => [lines, vec![String::new()]].concat(),
    }
}

fn destinations(report: &Report) -> String {
    let listed = &report.destinations;
    let mut rows = vec![row(&[
        "DESTINATION",
        "RECIPIENTS",
        "TLS",
        "PROVEN",
        "DEFERRED",
        "BLOCKED",
        "VERSIONS",
    ])];
    rows.extend(listed.shown.iter().map(destination));
    let more = listed.total.saturating_sub(listed.shown.len());
    let mut text = table(&rows);
    if more > 0 {
        text += &format!("\n  and {more} more destinations (--top N)");
    }
    text + "\n"
}

fn destination(sent: &Sent) -> Vec<String> {
    let of = sent.recipients;
    let share = |count: Option<u64>| match count {
        Some(count) => percent(count, of.total),
        None => "?".to_owned(),
    };
    vec![
        sent.domain.clone(),
        of.total.to_string(),
        share(of.tls),
        share(of.verified),
        sent.deferred.to_string(),
        sent.blocked.to_string(),
        sent.versions
            .iter()
            .map(|n| n.name.as_str())
            .collect::<Vec<_>>()
            .join(" "),
    ]
}

fn problems(shown: &[Trouble], total: usize) -> String {
    let mut lines = vec!["TROUBLES WITH TLS".to_owned()];
    for trouble in shown {
        let words: String = trouble.words.chars().take(WORDS).collect();
        lines.push(format!(
            "  {} {}x {}: {words}",
            trouble.domain, trouble.count, trouble.problem
        ));
    }
    if total > shown.len() {
        lines.push(format!("  and {} more", total - shown.len()));
    }
    lines.join("\n")
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// The first column and the last of seven are words, on the left; numbers are on the right.
fn table(rows: &[Vec<String>]) -> String {
    const LAST: usize = 6;
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..=LAST).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column.min(LAST)];
            match column {
                0 | LAST => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
