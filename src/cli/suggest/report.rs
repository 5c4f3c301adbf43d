//! What is suggested, in the form of its JSON.

use super::SuggestArgs;
use super::evidence::Evidence;
use crate::suggest::{
    Certainty, Change, Destination, Level, Requirement, Suggestion, Suggestions, Version, WhatIf,
    what_if,
};
use jiff::Timestamp;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) source: &'static str,
    pub(super) days: u32,
    pub(super) min: u64,
    pub(super) destinations: usize,
    pub(super) deliveries: u64,
    pub(super) rules: Vec<Rule>,
    pub(super) left_out: LeftOut,
    pub(super) what_if: Vec<Consequence>,
}

/// A rule for one domain, and why.
#[derive(Debug, Serialize)]
pub(super) struct Rule {
    pub(super) domain: String,
    pub(super) require: &'static str,
    pub(super) min_version: Option<&'static str>,
    /// Whether it should be tried out first: by what the hosts were authenticated is not known.
    pub(super) trial: bool,
    pub(super) deliveries: u64,
    pub(super) weakest_version: Option<String>,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

/// Destinations that get no rule, by the reason.
#[derive(Debug, Serialize)]
pub(super) struct LeftOut {
    pub(super) have_a_rule: u64,
    pub(super) publish_a_policy: u64,
    pub(super) too_few_deliveries: u64,
    pub(super) not_always_tls: u64,
}

/// What a change would have done.
#[derive(Debug, Serialize)]
pub(super) struct Consequence {
    /// As it is written in the configuration.
    pub(super) change: String,
    pub(super) deliveries: u64,
    pub(super) blocked: u64,
    /// `blocked` of `deliveries`, from 0 to 1.
    pub(super) blocked_share: Option<f64>,
    pub(super) unknown: u64,
    pub(super) destinations: usize,
    /// The first of them.
    pub(super) shown: Vec<Affected>,
}

#[derive(Debug, Serialize)]
pub(super) struct Affected {
    pub(super) domain: String,
    pub(super) blocked: u64,
    pub(super) unknown: u64,
}

impl Report {
    pub(super) fn new(evidence: &Evidence, found: &Suggestions, args: &SuggestArgs) -> Self {
        let mut what_if = consequences(evidence, args.top);
        if !found.rules.is_empty() {
            let effect = crate::suggest::what_if(&evidence.ever, Change::Rules(&found.rules));
            what_if.insert(0, Consequence::new("these rules", &effect, args.top));
        }
        Self {
            source: evidence.source,
            days: args.days,
            min: args.min,
            destinations: evidence.lately.len(),
            deliveries: evidence.lately.iter().map(Destination::deliveries).sum(),
            rules: found
                .rules
                .iter()
                .map(|rule| Rule::new(rule, evidence.inherited))
                .collect(),
            left_out: LeftOut {
                have_a_rule: found.with_rule,
                publish_a_policy: found.published,
                too_few_deliveries: found.too_few,
                not_always_tls: found.not_always,
            },
            what_if,
        }
    }
}

impl Rule {
    fn new(suggestion: &Suggestion, inherited: Version) -> Self {
        let time = |at| Timestamp::from_second(at).ok();
        Self {
            domain: suggestion.domain.clone(),
            require: suggestion.requirement.level.as_str(),
            min_version: match (suggestion.requirement.min_version, inherited) {
                (Version::V1_3, _) => Some("1.3"),
                // What it is without being written.
                (Version::V1_2 | Version::Older, Version::V1_2 | Version::Older) => None,
                (Version::V1_2 | Version::Older, Version::V1_3)
                    if suggestion.weakest == Some(Version::V1_3) =>
                {
                    None
                }
                (Version::V1_2 | Version::Older, Version::V1_3) => Some("1.2"),
            },
            trial: suggestion.certainty == Certainty::Trial,
            deliveries: suggestion.deliveries,
            weakest_version: suggestion.weakest.map(|version| version.to_string()),
            first: time(suggestion.first),
            last: time(suggestion.last),
        }
    }
}

/// Of the settings that bind all mail.
fn consequences(evidence: &Evidence, top: usize) -> Vec<Consequence> {
    let default = |level, min_version| Change::Default(Requirement { level, min_version });
    let changes = [
        (
            "policy.default = \"encrypt\"",
            default(Level::Encrypt, Version::V1_2),
        ),
        (
            "policy.default = \"encrypt\", tls.min_version = \"1.3\"",
            default(Level::Encrypt, Version::V1_3),
        ),
        (
            "policy.default = \"verify\"",
            default(Level::Verify, Version::V1_2),
        ),
        (
            "tls.min_version = \"1.3\" (where TLS is demanded now)",
            Change::MinVersion(Version::V1_3),
        ),
    ];
    let consequence = |(words, change): (&str, Change<'_>)| {
        Consequence::new(words, &what_if(&evidence.lately, change), top)
    };
    changes.into_iter().map(consequence).collect()
}

impl Consequence {
    fn new(change: &str, effect: &WhatIf, top: usize) -> Self {
        let shown = effect.destinations.iter().take(top);
        Self {
            change: change.to_owned(),
            deliveries: effect.deliveries,
            blocked: effect.blocked,
            blocked_share: (effect.deliveries > 0)
                .then(|| effect.blocked as f64 / effect.deliveries as f64),
            unknown: effect.unknown,
            destinations: effect.destinations.len(),
            shown: shown
                .map(|affected| Affected {
                    domain: affected.domain.clone(),
                    blocked: affected.blocked,
                    unknown: affected.unknown,
                })
                .collect(),
        }
    }
}
