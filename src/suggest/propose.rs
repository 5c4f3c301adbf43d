//! The rules that the evidence bears out.

use super::{Channel, Destination, Fate, FullCheck, Level, Proof, Requirement, Standing, Version};

/// How much evidence there must be, and what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Deliveries to a destination at least.
    pub least: u64,
    /// `V1_3`: demanded wherever it was always had.
    pub min_version: Version,
    /// Whether destinations that what they publish protects are proposed too.
    pub published: Reason,
}

/// What becomes of destinations that are protected by what they publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    LeaveOut,
    Propose,
}

/// How sure it is that a rule would not have blocked anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    Certain,
    /// Each delivery was authenticated, but by what is not known: try the rule out first.
    Trial,
}

/// A rule for one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    pub domain: String,
    pub requirement: Requirement,
    pub certainty: Certainty,
    pub deliveries: u64,
    pub first: i64,
    pub last: i64,
    /// The weakest that was seen; `None`: not known of all.
    pub weakest: Option<Version>,
}

/// What is proposed, and how many destinations are not, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// The most mail first.
    pub rules: Vec<Suggestion>,
    /// They have a rule.
    pub with_rule: u64,
    /// What they publish protects them.
    pub published: u64,
    /// Too little mail.
    pub too_few: u64,
    /// Not always over TLS, or over TLS that is too old.
    pub not_always: u64,
}

/// Looks at each destination.
pub fn propose(destinations: &[Destination], terms: Terms) -> Suggestions {
    let mut found = Suggestions::default();
    for destination in destinations {
        let deliveries = destination.deliveries();
        match (&destination.standing, terms.published) {
            (Standing::Rule(_), _) => found.with_rule += 1,
            (Standing::Published, Reason::LeaveOut) => found.published += 1,
            (Standing::Published | Standing::Free, _) if deliveries < terms.least.max(1) => {
                found.too_few += 1;
            }
            (Standing::Published, Reason::Propose) | (Standing::Free, _) => {
                match rule(destination, terms) {
                    Some(rule) => found.rules.push(rule),
                    None => found.not_always += 1,
                }
            }
        }
    }
    found
        .rules
        .sort_by(|a, b| (b.deliveries, &a.domain).cmp(&(a.deliveries, &b.domain)));
    found
}

fn rule(destination: &Destination, terms: Terms) -> Option<Suggestion> {
    let base = Requirement {
        level: Level::Encrypt,
        min_version: Version::V1_2,
    };
    if !always(destination, base) {
        return None;
    }
    let (level, certainty) = level(destination);
    let strict = Requirement {
        level: Level::Encrypt,
        min_version: terms.min_version,
    };
    let min_version = if always(destination, strict) {
        terms.min_version
    } else {
        Version::V1_2
    };
    Some(Suggestion {
        domain: destination.domain.clone(),
        requirement: Requirement { level, min_version },
        certainty,
        deliveries: destination.deliveries(),
        first: destination.first,
        last: destination.last,
        weakest: weakest(destination),
    })
}

/// Whether this would have let everything pass, as far as is known for sure.
fn always(destination: &Destination, requirement: Requirement) -> bool {
    destination
        .gone()
        .all(|way| requirement.fate(way) == Fate::Passed)
}

/// The strongest level that all of the mail would have passed.
fn level(destination: &Destination) -> (Level, Certainty) {
    let all = |proven: fn(Proof, FullCheck) -> bool| {
        destination
            .gone()
            .all(|way| proven(way.proof, way.full_check))
    };
    if all(|proof, _| proof == Proof::Dane) {
        return (Level::DaneOnly, Certainty::Certain);
    }
    if all(|proof, check| proof == Proof::WebPki || check == FullCheck::Passes) {
        return (Level::Verify, Certainty::Certain);
    }
    let maybe = |proof, check| match (proof, check) {
        (Proof::WebPki, _) | (_, FullCheck::Passes) => true,
        (Proof::Some, FullCheck::Unknown) => true,
        (Proof::Nobody | Proof::Dane | Proof::Pin | Proof::Some, _) => false,
    };
    if all(maybe) {
        return (Level::Verify, Certainty::Trial);
    }
    (Level::Encrypt, Certainty::Certain)
}

fn weakest(destination: &Destination) -> Option<Version> {
    let versions = destination.gone().map(|way| match way.channel {
        Channel::Plaintext => None,
        Channel::Tls(version) => version,
    });
    versions.min().flatten()
}
