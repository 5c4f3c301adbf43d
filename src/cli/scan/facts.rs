//! A domain in a few words, for a line of the table, a row of the page and the columns of CSV.

use crate::html::Tone;
use crate::survey::record::{Record, Severity};
use crate::survey::stats::{Label, Property, of_domain, word};

/// The properties of one domain, as the statistics count them.
pub(super) struct Facts(Vec<(Property, Vec<Label>)>);

impl Facts {
    pub(super) fn of(record: &Record) -> Self {
        Self(of_domain(record))
    }

    /// In the words of the charts; empty if it does not apply.
    pub(super) fn words(&self, property: Property) -> String {
        let words: Vec<&str> = self
            .labels(property)
            .iter()
            .map(|label| &*label.text)
            .collect();
        words.join(", ")
    }

    pub(super) fn tone(&self, property: Property) -> Tone {
        self.labels(property)
            .first()
            .map_or(Tone::Neutral, |label| label.tone)
    }

    fn labels(&self, property: Property) -> &[Label] {
        let found = self.0.iter().find(|(of, _)| *of == property);
        found.map_or(&[], |(_, labels)| labels)
    }
}

/// The codes of what was found that is worth a look, each once, the gravest first.
pub(super) fn codes(record: &Record, least: Severity) -> Vec<String> {
    let mut codes: Vec<_> = record
        .findings
        .iter()
        .filter(|finding| finding.severity <= least)
        .map(|finding| (finding.severity, word(&finding.code)))
        .collect();
    codes.sort();
    codes.dedup();
    codes.into_iter().map(|(_, code)| code).collect()
}
