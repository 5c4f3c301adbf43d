//! What a stricter configuration would have blocked.

use super::{Demand, Destination, Fate, Level, Origin, Requirement, Standing, Suggestion, Version};
use std::collections::HashMap;

/// A change of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// These rules are added.
    Rules(&'a [Suggestion]),
    /// `policy.default`, for what neither a rule nor a published policy binds; and `tls.min_version`.
    Default(Requirement),
    /// `tls.min_version`, which binds where TLS is demanded already.
    MinVersion(Version),
}

/// Deliveries that would not have come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub domain: String,
    pub blocked: u64,
    /// Whether they would is not known.
    pub unknown: u64,
}

/// What a change would have done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// All deliveries, blocked or not.
    pub deliveries: u64,
    pub blocked: u64,
    pub unknown: u64,
    /// Where anything would have been blocked, or may have been: the most first.
    pub destinations: Vec<Effect>,
}

/// Goes through all that was delivered.
pub fn what_if(destinations: &[Destination], change: Change<'_>) -> WhatIf {
    let rules: HashMap<&str, Requirement> = match change {
        Change::Rules(rules) => rules
            .iter()
            .map(|rule| (rule.domain.as_str(), rule.requirement))
            .collect(),
        Change::Default(_) | Change::MinVersion(_) => HashMap::new(),
    };
    let mut result = WhatIf::default();
    for destination in destinations {
        let mut effect = Effect {
            domain: destination.domain.clone(),
            blocked: 0,
            unknown: 0,
        };
        for way in &destination.ways {
            result.deliveries += way.deliveries;
            let requirement = match change {
                Change::Rules(_) => rules.get(destination.domain.as_str()).copied(),
                Change::Default(requirement) => (way.origin == Origin::Default
                    && !matches!(destination.standing, Standing::Rule(_)))
                .then_some(requirement),
                Change::MinVersion(min_version) => {
                    (way.demand == Demand::Mandatory).then_some(Requirement {
                        level: Level::Encrypt,
                        min_version,
                    })
                }
            };
            match requirement.map(|requirement| requirement.fate(way)) {
                Some(Fate::Blocked) => effect.blocked += way.deliveries,
                Some(Fate::Unknown) => effect.unknown += way.deliveries,
                Some(Fate::Passed) | None => {}
            }
        }
        result.blocked += effect.blocked;
        result.unknown += effect.unknown;
        if effect.blocked + effect.unknown > 0 {
            result.destinations.push(effect);
        }
    }
    result.destinations.sort_by(|a, b| {
        let weight = |e: &Effect| (e.blocked, e.unknown);
        weight(b).cmp(&weight(a)).then(a.domain.cmp(&b.domain))
    });
    result
}
