//! `--format table`: a line for each domain for those who look on, and the statistics.

use super::destination::{Colour, Look, Place};
use super::facts::{Facts, codes};
use super::output::Lines;
use crate::cli::print::safe;
use crate::html::{Tone, percent};
use crate::survey::compare::{Changes, Grade};
use crate::survey::record::{Class, Record, Severity};
use crate::survey::stats::{Counts, Group, Label, Property, Subject, Survey};
use console::{Alignment, pad_str};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Groups that have a line; more are for a page or a program.
const MAX_GROUPS: usize = 100;
/// Parts of a chart that have a line.
const MAX_PARTS: usize = 15;
/// Changes that have a line.
const MAX_CHANGES: usize = 200;
/// The narrowest terminal that is laid out for.
const MIN_WIDTH: usize = 60;

pub(super) struct Table {
    look: Look,
    lines: Lines,
}

impl Table {
    pub(super) fn new(look: Look, lines: Lines) -> Self {
        let width = look.width.max(MIN_WIDTH);
        Self {
            look: Look { width, ..look },
            lines,
        }
    }

    /// What is told of a domain as soon as it is surveyed.
    pub(super) fn line(&self, record: &Record) -> Option<String> {
        if self.look.place == Place::Elsewhere && self.lines == Lines::OnTerminal {
            return None;
        }
        let facts = Facts::of(record);
        let domain = cut(&plain(&record.domain), 34);
        let mut line = format!("{} ", padded(&domain, 34));
        let mut used = 35;
        let mut cell = |text: &str, width: usize, tone: Tone| {
            let text = cut(&plain(text), width);
            let padded = format!("{} ", padded(&text, width));
            used += width + 1;
            line.push_str(&self.painted(&padded, tone));
        };
        cell(
            &facts.words(Property::Starttls),
            14,
            facts.tone(Property::Starttls),
        );
        let room = |used: usize| self.look.width.saturating_sub(used);
        if matches!(record.class, Class::NoMail | Class::CouldNotTest) {
            let why = record.reason.clone().unwrap_or_default();
            cell(&why, room(50), Tone::Neutral);
            return Some(line.trim_end().to_owned());
        }
        cell(
            &facts.words(Property::BestVersion),
            7,
            facts.tone(Property::BestVersion),
        );
        cell(
            &facts.words(Property::Verification),
            16,
            facts.tone(Property::Verification),
        );
        cell(
            &protection(record, &facts),
            26,
            facts.tone(Property::Protection),
        );
        let found = codes(record, Severity::Warning).join(" ");
        let left = room(used);
        if left >= 12 {
            let gravest = record.findings.iter().map(|finding| finding.severity).min();
            let tone = if gravest == Some(Severity::Error) {
                Tone::Bad
            } else {
                Tone::Weak
            };
            let found = cut(&plain(&found), left);
            line.push_str(&self.painted(&found, tone));
        }
        Some(line.trim_end().to_owned())
    }

    pub(super) fn end(
        &self,
        survey: &Survey,
        changes: Option<&Changes>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        if let Some(changes) = changes {
            self.changes(changes, out)?;
        }
        writeln!(
            out,
            "\n{} domains, {} MX hosts",
            survey.all.domains, survey.all.hosts
        )?;
        if survey.all.domains == 0 {
            return Ok(());
        }
        self.properties(&survey.all, out)?;
        if survey.group_count() > 0 {
            self.groups(survey, out)?;
        }
        Ok(())
    }

    /// Every chart: domains beside hosts.
    fn properties(&self, group: &Group, out: &mut impl Write) -> io::Result<()> {
        let properties: BTreeSet<Property> =
            group.charts().map(|(chart, _)| chart.property).collect();
        let label_width = self.look.width.saturating_sub(44).clamp(16, 44);
        for property in properties {
            let domains = group.chart(Subject::Domains, property);
            let hosts = group.chart(Subject::Hosts, property);
            let mut labels: Vec<&Label> = Vec::new();
            for (label, _) in [domains, hosts]
                .into_iter()
                .flatten()
                .flat_map(Counts::parts)
            {
                if !labels.iter().any(|known| known.text == label.text) {
                    labels.push(label);
                }
            }
            labels.sort_by_key(|label| label.rank);
            if labels.is_empty() {
                continue;
            }
            let title = cut(property.title(), label_width + 2);
            let of = |counts: Option<&Counts>, subject: Subject| match counts {
                Some(counts) => format!("of {} {}", counts.whole, subject.plural()),
                None => String::new(),
            };
            let line = format!(
                "{:<width$} {:>18} {:>18}",
                title,
                of(domains, Subject::Domains),
                of(hosts, Subject::Hosts),
                width = label_width + 2
            );
            writeln!(out, "\n{}", line.trim_end())?;
            for label in labels.iter().take(MAX_PARTS) {
                let text = cut(&plain(&label.text), label_width);
                let text = self.painted(&padded(&text, label_width), label.tone);
                let cells = [domains, hosts].map(|counts| figure(counts, &label.text));
                writeln!(
                    out,
                    "{}",
                    format!("  {text} {:>18} {:>18}", cells[0], cells[1]).trim_end()
                )?;
            }
            if labels.len() > MAX_PARTS {
                writeln!(out, "  and {} more", labels.len() - MAX_PARTS)?;
            }
        }
        Ok(())
    }

    /// A line for each group with what is asked for most.
    fn groups(&self, survey: &Survey, out: &mut impl Write) -> io::Result<()> {
        let width = self.look.width.saturating_sub(62).clamp(12, 32);
        writeln!(out, "\nBy group, of the domains that could be tested")?;
        writeln!(
            out,
            "  {:<width$} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "", "domains", "all MX", "some MX", "no MX", "DANE", "MTA-STS"
        )?;
        for (name, group) in survey.groups().take(MAX_GROUPS) {
            let name = cut(&plain(name), width);
            let shares = super::figures::of(group);
            write!(out, "  {} {:>9}", padded(&name, width), group.domains)?;
            for (part, whole) in shares {
                write!(out, " {:>9}", percent(part, whole))?;
            }
            writeln!(out)?;
        }
        if survey.group_count() > MAX_GROUPS {
            writeln!(
                out,
                "  and {} more groups",
                survey.group_count() - MAX_GROUPS
            )?;
        }
        Ok(())
    }

    fn changes(&self, changes: &Changes, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "\nSince the old survey: {} of {} domains that both have changed",
            changes.changed, changes.compared
        )?;
        for (what, count) in changes.counts() {
            let title = self.painted(&format!("{:<36}", what.title()), tone(what.grade()));
            writeln!(out, "  {title} {count:>9}")?;
        }
        let kept: Vec<_> = changes.kept().take(MAX_CHANGES + 1).collect();
        for change in kept.iter().take(MAX_CHANGES) {
            let host = change
                .host
                .as_deref()
                .map(|host| format!(" {host}"))
                .unwrap_or_default();
            let values = match (&change.old, &change.new) {
                (Some(old), Some(new)) => format!(": {old} -> {new}"),
                (Some(one), None) | (None, Some(one)) => format!(": {one}"),
                (None, None) => String::new(),
            };
            let text = format!("{}:{host} {}{values}", change.domain, change.change.title());
            let text = cut(&plain(&text), self.look.width);
            writeln!(out, "{}", self.painted(&text, tone(change.grade)))?;
        }
        if kept.len() > MAX_CHANGES {
            writeln!(out, "and more; --format json lists them")?;
        }
        Ok(())
    }

    fn painted(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Verified | Tone::VerifiedBy(_) => "32",
            Tone::Encrypted => "36",
            Tone::Weak | Tone::Plaintext => "33",
            Tone::Bad => "31",
            Tone::Neutral | Tone::Faint => "2",
            Tone::Kind(_) => return text.to_owned(),
        };
        match self.look.colour {
            Colour::Yes if !text.trim().is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Colour::Yes | Colour::No => text.to_owned(),
        }
    }
}

pub(super) fn tone(grade: Grade) -> Tone {
    match grade {
        Grade::Worse => Tone::Bad,
        Grade::Other => Tone::Neutral,
        Grade::Better => Tone::Verified,
    }
}

/// In short, how mail would go, and by whose word.
fn protection(record: &Record, facts: &Facts) -> String {
    let words = facts.words(Property::Protection);
    let words = words.strip_prefix("encrypted, ").unwrap_or(&words);
    match record.verdict.source.as_deref() {
        Some("mta-sts") => format!("{words} (MTA-STS)"),
        Some(_) | None => words.to_owned(),
    }
}

/// `1 234  12.3 %`
fn figure(counts: Option<&Counts>, label: &str) -> String {
    let Some(counts) = counts else {
        return String::new();
    };
    let n = counts.of(label);
    if n == 0 {
        return String::new();
    }
    format!("{n} {:>9}", percent(n, counts.whole))
}

/// On one line, and nothing in it moves the cursor.
fn plain(text: &str) -> String {
    safe(text).replace('\n', " ")
}

/// By what it takes on a terminal, which is not the number of its characters.
fn padded(text: &str, width: usize) -> String {
    pad_str(text, width, Alignment::Left, None).into_owned()
}

fn cut(text: &str, width: usize) -> String {
    if console::measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if console::measure_text_width(&kept) + 2 > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests;
