//! Which destinations could be required to use TLS, by what was delivered, and what a requirement would have blocked.
//!
//! Pure: the evidence comes in as plain values, from the history or from a mail log. Only accepted mail is evidence:
//! what was blocked or refused proves nothing of the host. What the evidence does not say is told as unknown, never
//! taken for a yes.

mod propose;
#[cfg(test)]
mod tests;
mod what_if;

pub use propose::{Certainty, Reason, Suggestion, Suggestions, Terms, propose};
pub use what_if::{Change, Effect, WhatIf, what_if};

use std::fmt;

/// A version of TLS; the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// TLS 1.1 and what was before.
    Older,
    V1_2,
    V1_3,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Older => "older",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        })
    }
}

/// What mail went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    Plaintext,
    /// `None`: of a version that is not known.
    Tls(Option<Version>),
}

/// By what the host was authenticated, because a policy asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    Nobody,
    Dane,
    WebPki,
    Pin,
    /// By one of these; the evidence does not say which.
    Some,
}

/// What a full check of the certificate says: a path to a trusted authority, and the host's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FullCheck {
    Passes,
    Fails,
    Unknown,
}

/// Where the policy of a delivery came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `policy.default`, or nobody knows: there was none yet.
    Default,
    Rule,
    /// DANE, MTA-STS, or the message itself.
    Published,
}

/// Whether the policy of a delivery demanded TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Demand {
    Opportunistic,
    Mandatory,
}

/// One way that mail went to a destination, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Way {
    pub channel: Channel,
    pub proof: Proof,
    pub full_check: FullCheck,
    pub origin: Origin,
    pub demand: Demand,
    /// Recipients whose mail was accepted.
    pub deliveries: u64,
}

/// What protects a destination already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Free,
    /// An administrator's rule, and where it stands.
    Rule(String),
    /// All of its mail went under a policy that the domain publishes.
    Published,
}

/// What is known of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// A domain in A-labels.
    pub domain: String,
    pub ways: Vec<Way>,
    /// Of accepted mail, seconds since 1970.
    pub first: i64,
    pub last: i64,
    pub standing: Standing,
}

impl Destination {
    pub fn deliveries(&self) -> u64 {
        self.ways.iter().map(|way| way.deliveries).sum()
    }

    /// The ways that were gone.
    fn gone(&self) -> impl Iterator<Item = &Way> {
        self.ways.iter().filter(|way| way.deliveries > 0)
    }
}

/// What a rule may require.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Encrypt,
    Verify,
    DaneOnly,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Verify => "verify",
            Self::DaneOnly => "dane-only",
        }
    }
}

/// A level and a version, as a rule has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    pub level: Level,
    pub min_version: Version,
}

/// What would have become of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passed,
    Blocked,
    Unknown,
}

impl Requirement {
    /// What this would have done to mail that went so.
    fn fate(self, way: &Way) -> Fate {
        let Channel::Tls(version) = way.channel else {
            return Fate::Blocked;
        };
        let of_version = match version {
            Some(version) if version < self.min_version => return Fate::Blocked,
            Some(_) => Fate::Passed,
            None => Fate::Unknown,
        };
        let of_host = match (self.level, way.proof, way.full_check) {
            (Level::Encrypt, _, _) => Fate::Passed,
            (Level::Verify, Proof::WebPki, _) | (Level::Verify, _, FullCheck::Passes) => {
                Fate::Passed
            }
            (Level::Verify, _, FullCheck::Fails) => Fate::Blocked,
            (Level::Verify, _, FullCheck::Unknown) => Fate::Unknown,
            (Level::DaneOnly, Proof::Dane, _) => Fate::Passed,
            (Level::DaneOnly, Proof::Some, _) => Fate::Unknown,
            (Level::DaneOnly, Proof::Nobody | Proof::WebPki | Proof::Pin, _) => Fate::Blocked,
        };
        match (of_host, of_version) {
            (Fate::Blocked, _) | (_, Fate::Blocked) => Fate::Blocked,
            (Fate::Unknown, _) | (_, Fate::Unknown) => Fate::Unknown,
            (Fate::Passed, Fate::Passed) => Fate::Passed,
        }
    }
}
