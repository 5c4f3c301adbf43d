//! The table of domains.

use crate::cli::scan::facts::{Facts, codes};
use crate::html::{Markup, Tone, count, html, swatch};
use crate::survey::record::{Address, Host, Record, Severity};
use crate::survey::stats::{Property, Survey, key_name, word};
use std::collections::BTreeMap;

/// Rows that a browser can search and sort while somebody waits.
pub(super) const MAX_ROWS: usize = 10_000;

/// The rows by gravity: errors, warnings, all others. Each is bounded, and keeps the first by name, so that the page
/// does not depend on the order in which the domains were surveyed.
#[derive(Default)]
pub(super) struct Rows {
    by_gravity: [BTreeMap<(String, Option<String>), Markup>; 3],
    left_out: u64,
}

impl Rows {
    pub(super) fn take(&mut self, record: &Record) {
        let gravity = match record.findings.iter().map(|finding| finding.severity).min() {
            Some(Severity::Error) => 0,
            Some(Severity::Warning) => 1,
            Some(Severity::Info) | None => 2,
        };
        let rows = &mut self.by_gravity[gravity];
        rows.insert((record.domain.clone(), record.group.clone()), row(record));
        self.cut();
    }

    /// The less grave make room for the grave.
    fn cut(&mut self) {
        let mut room = MAX_ROWS;
        for rows in &mut self.by_gravity {
            while rows.len() > room {
                rows.pop_last();
                self.left_out += 1;
            }
            room -= rows.len();
        }
    }

    pub(super) fn section(self, survey: &Survey) -> Markup {
        let groups = survey.group_count() > 0;
        let left_out = self.left_out;
        let rows: BTreeMap<_, _> = self.by_gravity.into_iter().flatten().collect();
        html! {
            section id="domains" {
                h2 { "Domains" }
                @if left_out > 0 {
                    p class="notice mild" {
                        "The table is cut to " (count(rows.len() as u64)) " domains, those with errors first, then those \
                        with warnings; " (count(left_out)) " are left out. The charts count all. CSV and JSON hold all."
                    }
                }
                div class="scroll" {
                    table class="list stack searched" {
                        thead {
                            tr {
                                th { "Domain" }
                                @if groups { th { "Group" } }
                                th { "STARTTLS" }
                                th { "Delivery" }
                                th { "TLS" }
                                th { "Certificate" }
                                th { "DANE" }
                                th { "MTA-STS" }
                                th { "Findings" }
                            }
                        }
                        tbody {
                            @for ((domain, group), row) in &rows {
                                tr {
                                    th scope="row" { (domain) }
                                    @if groups { td data-label="Group" { (group.as_deref().unwrap_or("")) } }
                                    (row)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// All cells but the name and the group.
fn row(record: &Record) -> Markup {
    let facts = Facts::of(record);
    let cell = |label: &str, property: Property| {
        badge(label, &facts.words(property), facts.tone(property))
    };
    let (delivery, tls) = (
        facts.words(Property::Protection),
        facts.words(Property::BestVersion),
    );
    html! {
        (cell("STARTTLS", Property::Starttls))
        (badge("Delivery", shortened(&delivery), facts.tone(Property::Protection)))
        (badge("TLS", tls.trim_start_matches("TLS "), facts.tone(Property::BestVersion)))
        (cell("Certificate", Property::Verification))
        (cell("DANE", Property::Dane))
        (cell("MTA-STS", Property::MtaSts))
        (findings(record))
    }
}

/// Words up to this length are not broken over lines.
const SHORT: usize = 17;

fn badge(label: &str, words: &str, tone: Tone) -> Markup {
    let class = if words.len() <= SHORT { "badge" } else { "" };
    html! {
        td data-label=(label) {
            @if !words.is_empty() { span class=(class) { (swatch(tone)) (words) } }
        }
    }
}

/// `DANE` of `encrypted, authenticated by DANE`: what the column is about need not be said in each row.
fn shortened(protection: &str) -> &str {
    let encrypted = protection.strip_prefix("encrypted, ").unwrap_or(protection);
    encrypted
        .strip_prefix("authenticated by ")
        .unwrap_or(encrypted)
}

fn findings(record: &Record) -> Markup {
    let of = |severity| {
        record
            .findings
            .iter()
            .filter(|f| f.severity == severity)
            .count()
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    // Errors outweigh any number of warnings.
    let weight = errors * 10_000 + warnings * 100 + of(Severity::Info);
    let words = codes(record, Severity::Warning).join(", ");
    html! {
        td class="words" data-label="Findings" data-sort=(weight) {
            details {
                summary { @if words.is_empty() { "details" } @else { (words) } }
                @if let Some(reason) = &record.reason { p { (reason) } }
                @if let Some(reply) = &record.verdict.reply { p { "A sender would be told: " code { (reply) } } }
                ul {
                    @for finding in &record.findings {
                        li {
                            (swatch(tone(finding.severity)))
                            @if let Some(host) = &finding.host { code { (host) } ": " }
                            (finding.text)
                        }
                    }
                }
                @if !record.hosts.is_empty() {
                    ul { @for host in &record.hosts { li { (line(host)) } } }
                }
            }
        }
    }
}

fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Weak,
        Severity::Info => Tone::Encrypted,
    }
}

/// A host and what was seen at its addresses.
fn line(host: &Host) -> Markup {
    html! {
        code { (host.name) }
        @if let Some(preference) = host.preference { " (" (preference) ")" }
        @if let Some(failure) = &host.failure { ": " (failure) }
        @for address in &host.addresses {
            br;
            code { (address.address) } ": " (seen(address))
        }
    }
}

fn seen(address: &Address) -> String {
    let mut seen = Vec::new();
    match &address.tls {
        Some(tls) => {
            let negotiated = &tls.negotiated;
            seen.push(format!("TLS {} {}", negotiated.version, negotiated.cipher));
            seen.extend(negotiated.group.clone());
        }
        None => seen.push(format!(
            "{}, STARTTLS {}",
            word(&address.reach),
            word(&address.starttls)
        )),
    }
    if let Some(certificate) = &address.certificate {
        seen.push(key_name(certificate.key, certificate.key_bits));
        let day = certificate.not_after.get(..10).unwrap_or_default();
        seen.push(format!("until {day}"));
        seen.extend(certificate.problem.clone());
    }
    seen.extend(
        address
            .tls_failure
            .as_ref()
            .map(|failure| failure.text.clone()),
    );
    seen.extend(address.failure.clone());
    seen.join(", ")
}
