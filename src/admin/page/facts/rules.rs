//! The administrator's rules, and what they caught.

use super::time;
use crate::names::DomainName;
use crate::policy::{Enforce, PolicySettings, Published, Rule};
use crate::store::history::RuleUse;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// Domains of one rule that are shown at most.
const MOST_DOMAINS: usize = 50;

/// Answer to `/api/v1/rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleList {
    /// How many match, on all pages.
    pub matching: u64,
    /// From 1.
    pub page: u32,
    pub pages: u64,
    /// `policy.default`: what holds where there is no rule and nothing is published.
    pub default: String,
    /// In the order in which they stand.
    pub rules: Vec<RuleEntry>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEntry {
    /// Where it stands.
    pub origin: String,
    pub name: Option<String>,
    /// Fifty at most.
    pub domains: Vec<String>,
    /// How many there are in all.
    pub domains_total: u64,
    /// `null`: `policy.default`.
    pub level: Option<String>,
    /// `yes` or `dry-run`.
    pub enforce: String,
    /// Whether what the domains publish counts as well: `honor` or `ignore`.
    pub published: String,
    pub next_hop: Option<String>,
    /// `null`: nothing yet.
    pub caught: Option<Caught>,
}

/// What a rule has caught, as long as the history goes back. Numbers are attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caught {
    pub first: Timestamp,
    pub last: Timestamp,
    /// Destinations whose last attempt was under it.
    pub destinations: u64,
    pub delivered: u64,
    pub blocked: u64,
    /// Refused or put off for another reason than TLS.
    pub refused: u64,
    /// What it would have held back, in dry-run.
    pub would_block: u64,
}

/// The rules in force, in the order in which they stand.
#[derive(Debug)]
pub(in super::super) struct Rulebook {
    policy: PolicySettings,
    entries: Vec<RuleEntry>,
}

impl Rulebook {
    pub(in super::super) fn of(policy: PolicySettings) -> Self {
        let mut domains: HashMap<*const Rule, (Arc<Rule>, Vec<String>)> = HashMap::new();
        for (pattern, rule) in policy.rules.iter() {
            let of = domains.entry(Arc::as_ptr(rule));
            let (_, patterns) = of.or_insert_with(|| (Arc::clone(rule), Vec::new()));
            patterns.push(pattern);
        }
        let domains = domains.into_values();
        let mut entries: Vec<_> = domains
            .map(|(rule, patterns)| RuleEntry::of(&rule, patterns))
            .collect();
        entries.sort_by_cached_key(|entry| place(&entry.origin));
        Self { policy, entries }
    }

    /// The rules with this in their name, place or domains; how many, and some of them with what they caught.
    pub(in super::super) fn search(&self, text: &str) -> Vec<&RuleEntry> {
        let text = text.to_ascii_lowercase();
        let has = |field: &str| field.to_ascii_lowercase().contains(&text);
        let found = self.entries.iter().filter(|entry| {
            let name = entry.name.as_deref().unwrap_or_default();
            has(&entry.origin) || has(name) || entry.domains.iter().any(|domain| has(domain))
        });
        found.collect()
    }

    pub(in super::super) fn default(&self) -> String {
        self.policy.default.to_string()
    }

    /// The rule for a destination.
    pub(in super::super) fn find(&self, destination: &str) -> Option<RuleEntry> {
        let rule = match destination.starts_with('[') {
            true => self.policy.rules.iter().find_map(|(pattern, rule)| {
                pattern.eq_ignore_ascii_case(destination).then_some(rule)
            })?,
            false => self
                .policy
                .rules
                .find(&DomainName::parse(destination).ok()?)?,
        };
        let at = self
            .entries
            .iter()
            .find(|entry| entry.origin == rule.origin);
        at.cloned()
    }
}

/// What sorts `rule 10` behind `rule 9`.
fn place(origin: &str) -> (String, u64) {
    let digits = origin.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (text, number) = origin.split_at(digits);
    (text.to_owned(), number.parse().unwrap_or(0))
}

impl RuleEntry {
    fn of(rule: &Rule, mut patterns: Vec<String>) -> Self {
        patterns.sort_unstable();
        let domains_total = patterns.len() as u64;
        patterns.truncate(MOST_DOMAINS);
        Self {
            origin: rule.origin.clone(),
            name: rule.name.as_deref().map(str::to_owned),
            domains: patterns,
            domains_total,
            level: rule.require.map(|level| level.to_string()),
            enforce: match rule.enforce {
                Enforce::Yes => "yes",
                Enforce::DryRun => "dry-run",
            }
            .to_owned(),
            published: match rule.published {
                Published::Honor => "honor",
                Published::Ignore => "ignore",
            }
            .to_owned(),
            next_hop: rule.next_hop.as_ref().map(ToString::to_string),
            caught: None,
        }
    }

    /// What the history calls it.
    pub(in super::super) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.origin)
    }
}

impl Caught {
    pub(in super::super) fn of(seen: &RuleUse) -> Self {
        Self {
            first: time(seen.first),
            last: time(seen.last),
            destinations: seen.destinations,
            delivered: seen.delivered,
            blocked: seen.blocked,
            refused: seen.refused,
            would_block: seen.would_block,
        }
    }
}
