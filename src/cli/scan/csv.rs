//! `--format csv`: a row for each domain. Columns are added at the end, and none is renamed.

use super::facts::{Facts, codes};
use crate::cli::print::safe;
use crate::survey::record::{Known, Record, Severity};
use crate::survey::stats::{Property, word};
use csv::WriterBuilder;
use std::io::{self, Write};

/// In this order; `docs/scan.md` says what they mean.
const COLUMNS: [&str; 37] = [
    "domain",
    "group",
    "surveyed",
    "class",
    "reason",
    "mx_state",
    "mx_dnssec",
    "mx_hosts",
    "flow",
    "level",
    "source",
    "encrypted",
    "authenticated",
    "reply",
    "tls_best",
    "tls_versions",
    "ciphers",
    "key_exchange",
    "forward_secrecy",
    "post_quantum",
    "verification",
    "days_left",
    "keys",
    "signatures",
    "key_strength",
    "dane",
    "tlsa_rollover",
    "mta_sts",
    "mta_sts_mode",
    "mta_sts_covers_all",
    "mta_sts_certificates_valid",
    "tlsrpt",
    "requiretls",
    "ipv6",
    "errors",
    "warnings",
    "findings",
];

#[derive(Default)]
pub(super) struct Csv {
    begun: bool,
}

impl Csv {
    pub(super) fn row(&mut self, record: &Record, out: &mut impl Write) -> io::Result<()> {
        self.head(out)?;
        write(&cells(record).map(|cell| harmless(&cell)), out)
    }

    /// A survey of nothing has its columns all the same.
    pub(super) fn end(mut self, out: &mut impl Write) -> io::Result<()> {
        self.head(out)
    }

    fn head(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        write(&COLUMNS, out)
    }
}

fn write<T: AsRef<[u8]>>(cells: &[T], out: &mut impl Write) -> io::Result<()> {
    let mut writer = WriterBuilder::new().from_writer(out);
    writer.write_record(cells)?;
    writer.flush()
}

/// Spreadsheets compute what begins like a formula, whoever wrote it (a negative number does not).
fn harmless(cell: &str) -> String {
    let formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<i64>().is_err();
    let text: String = safe(cell)
        .chars()
        .map(|c| if c == '\n' { ' ' } else { c })
        .collect();
    if formula { format!("'{text}") } else { text }
}

fn cells(record: &Record) -> [String; COLUMNS.len()] {
    let facts = Facts::of(record);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let known = |value: Known| word(&value);
    let (verdict, sts) = (&record.verdict, &record.mta_sts);
    let names: Vec<&str> = record.hosts.iter().map(|host| &*host.name).collect();
    let days = record.hosts.iter().flat_map(|host| &host.addresses);
    let days = days
        .filter_map(|address| Some(address.certificate.as_ref()?.days_left))
        .min();
    let count = |severity| {
        record
            .findings
            .iter()
            .filter(|f| f.severity == severity)
            .count()
    };
    [
        record.domain.clone(),
        text(&record.group),
        record.surveyed.clone(),
        word(&record.class),
        text(&record.reason),
        word(&record.mx.state),
        word(&record.mx.dnssec),
        names.join(" "),
        word(&verdict.flow),
        text(&verdict.level),
        text(&verdict.source),
        known(verdict.encrypted),
        text(&verdict.authenticated),
        text(&verdict.reply),
        facts.words(Property::BestVersion),
        facts.words(Property::Versions),
        facts.words(Property::Ciphers),
        facts.words(Property::Groups),
        facts.words(Property::ForwardSecrecy),
        facts.words(Property::PostQuantum),
        facts.words(Property::Verification),
        days.map(|days| days.to_string()).unwrap_or_default(),
        facts.words(Property::Keys),
        facts.words(Property::Signatures),
        facts.words(Property::KeyStrength),
        facts.words(Property::Dane),
        facts.words(Property::Rollover),
        word(&sts.state),
        sts.mode.map(|mode| word(&mode)).unwrap_or_default(),
        known(sts.covers_all),
        known(sts.certificates_valid),
        word(&record.tlsrpt.state),
        facts.words(Property::RequireTls),
        facts.words(Property::Ipv6),
        count(Severity::Error).to_string(),
        count(Severity::Warning).to_string(),
        codes(record, Severity::Info).join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: &[Record]) -> String {
        let (mut csv, mut out) = (Csv::default(), Vec::new());
        for record in records {
            csv.row(record, &mut out).unwrap();
        }
        csv.end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_is_a_head() {
        assert_eq!(written(&[]), format!("{}\n", COLUMNS.join(",")));
    }

    #[test]
    fn cells_cannot_become_formulas_or_rows() {
        for (cell, expected) in [
            ("nl", "nl"),
            ("=1+1", "'=1+1"),
            ("+1 x", "'+1 x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2", "-2"),
            ("-2+3", "'-2+3"),
            ("\t=1", "'?=1"),
            ("a\r\n=b", "a? =b"),
        ] {
            assert_eq!(harmless(cell), expected);
        }
        let record = Record {
            domain: "a.example".into(),
            group: Some("=HYPERLINK(\"x\",\"y\")".into()),
            ..Record::default()
        };
        let text = written(&[record.clone(), record]);
        assert!(
            text.contains("\na.example,\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\",,could-not-test,"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3);
    }
}
