//! What many records come to: counters, so that a million domains need no more memory than a thousand, but for
//! sixteen octets per MX host, which tell whether it has been counted.
//!
//! A property is counted per domain or per distinct MX host, in all and in each group. "Could not test" is a part of
//! its own in every chart, and never of "no".

mod chart;
mod domain;
mod host;
mod label;
mod tls;

pub use chart::{Chart, Kind, Property, Subject};
pub use label::{Label, word};
pub use tls::key_name;

use super::record::{Known, Record};
use crate::html::Tone;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};

/// Groups beyond these are counted as one: the second column of a file may hold anything.
pub const MAX_GROUPS: usize = 500;
/// The name of all groups beyond.
pub const FURTHER_GROUPS: &str = "(further groups)";
/// Labels of one chart that strangers could make up, such as the object identifiers of signatures.
const MAX_LABELS: usize = 100;

/// Some known property, of how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of how many the property is known to be something, or known not to be known.
    pub whole: u64,
    parts: BTreeMap<Label, u64>,
}

impl Counts {
    /// In the order in which they are shown: as the labels rank, then the most frequent first.
    pub fn parts(&self) -> Vec<(&Label, u64)> {
        let mut parts: Vec<_> = self.parts.iter().map(|(label, n)| (label, *n)).collect();
        parts.sort_by(|(a, n), (b, m)| (a.rank, m, &a.text).cmp(&(b.rank, n, &b.text)));
        parts
    }

    /// How many have the label.
    pub fn of(&self, text: &str) -> u64 {
        let fitting = self.parts.iter().filter(|(label, _)| label.text == text);
        fitting.map(|(_, n)| n).sum()
    }

    fn add(&mut self, label: Label) {
        let label = if self.parts.len() < MAX_LABELS || self.parts.contains_key(&label) {
            label
        } else {
            Label::new(u16::MAX, "others", Tone::Neutral)
        };
        *self.parts.entry(label).or_default() += 1;
    }
}

/// The statistics of a group, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    pub domains: u64,
    /// Distinct MX hosts.
    pub hosts: u64,
    charts: BTreeMap<Chart, Counts>,
}

impl Group {
    /// Every chart that there is something in.
    pub fn charts(&self) -> impl Iterator<Item = (Chart, &Counts)> {
        self.charts.iter().map(|(chart, counts)| (*chart, counts))
    }

    pub fn chart(&self, subject: Subject, property: Property) -> Option<&Counts> {
        self.charts.get(&Chart { subject, property })
    }

    /// One subject more, with what is known of the property: nothing, if it does not apply to it.
    fn count(&mut self, subject: Subject, (property, labels): &(Property, Vec<Label>)) {
        if labels.is_empty() {
            return;
        }
        let counts = self.charts.entry(Chart {
            subject,
            property: *property,
        });
        let counts = counts.or_default();
        counts.whole += 1;
        for label in labels.iter().filter(|label| !label.is_silent()) {
            counts.add(label.clone());
        }
    }
}

/// The statistics of a survey.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    pub all: Group,
    groups: BTreeMap<String, Group>,
    /// Which hosts are counted, in all and by group.
    seen: HashSet<[u8; 16]>,
    /// When the first and the last domain were surveyed, RFC 3339.
    pub period: Option<(String, String)>,
}

impl Survey {
    /// In the order of their names. Domains without a group are counted in all only.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    pub fn add(&mut self, record: &Record) {
        self.extend_period(&record.surveyed);
        let name = record.group.as_deref().map(|name| self.group_name(name));
        let properties = domain::properties(record);
        self.all.add_domain(&properties);
        if let Some(name) = &name {
            let group = self.groups.entry(name.clone()).or_default();
            group.add_domain(&properties);
        }
        for host in &record.hosts {
            let in_all = self.seen.insert(key(None, &host.name));
            let in_group = match &name {
                Some(name) => self.seen.insert(key(Some(name), &host.name)),
                None => false,
            };
            if !in_all && !in_group {
                continue;
            }
            let properties = host::properties(host);
            if in_all {
                self.all.add_host(&properties);
            }
            if let Some(name) = name.as_ref().filter(|_| in_group) {
                let group = self.groups.entry(name.clone()).or_default();
                group.add_host(&properties);
            }
        }
    }

    fn group_name(&self, name: &str) -> String {
        let known = self.groups.contains_key(name) || self.groups.len() < MAX_GROUPS;
        if known { name } else { FURTHER_GROUPS }.to_owned()
    }

    fn extend_period(&mut self, at: &str) {
        if at.is_empty() {
            return;
        }
        // RFC 3339 in UTC is ordered as it is written.
        match &mut self.period {
            None => self.period = Some((at.to_owned(), at.to_owned())),
            Some((first, _)) if at < &**first => at.clone_into(first),
            Some((_, last)) if at > &**last => at.clone_into(last),
            Some(_) => {}
        }
    }
}

impl Group {
    fn add_domain(&mut self, properties: &[(Property, Vec<Label>)]) {
        self.domains += 1;
        for property in properties {
            self.count(Subject::Domains, property);
        }
    }

    fn add_host(&mut self, properties: &[(Property, Vec<Label>)]) {
        self.hosts += 1;
        for property in properties {
            self.count(Subject::Hosts, property);
        }
    }
}

/// Every property of a domain that applies to it, with its parts.
pub fn of_domain(record: &Record) -> Vec<(Property, Vec<Label>)> {
    let mut properties = domain::properties(record);
    for (_, labels) in &mut properties {
        labels.retain(|label| !label.is_silent());
    }
    properties
}

/// A host in a group, as a digest: names are of any length, and strangers choose them.
fn key(group: Option<&str>, host: &str) -> [u8; 16] {
    let mut digest = Sha256::new();
    digest.update(host.to_ascii_lowercase());
    if let Some(group) = group {
        digest.update([0]);
        digest.update(group);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&digest.finalize()[..16]);
    key
}

/// What several answers come to, of which each is known or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    All,
    Some,
    None,
    CouldNotTest,
    /// Nobody tried.
    Nothing,
}

fn extent(answers: impl IntoIterator<Item = Known>) -> Extent {
    let (mut yes, mut no, mut unknown) = (false, false, false);
    for answer in answers {
        match answer {
            Known::Yes => yes = true,
            Known::No => no = true,
            Known::Unknown => unknown = true,
            Known::NotTested => {}
        }
    }
    match (yes, no, unknown) {
        (true, false, _) => Extent::All,
        (true, true, _) => Extent::Some,
        (false, true, _) => Extent::None,
        (false, false, true) => Extent::CouldNotTest,
        (false, false, false) => Extent::Nothing,
    }
}

#[cfg(test)]
mod tests;
