//! Which names a certificate may carry.

use super::facts::{Demand, HostFacts};
use super::requirement::{Authentication, ReferenceName};
use super::rules::{MatchName, Rule};
use crate::names::{DomainName, NextHop, RuleTarget};

/// The names by which a host may be known to a certificate.
pub(super) struct Names {
    pub(super) host: Option<DomainName>,
    pub(super) next_hop: Option<DomainName>,
}

impl Names {
    /// A rule's next hop replaces the recipients' domain; a bracketed host name is a next hop too.
    pub(super) fn of(demand: &Demand, host: &HostFacts) -> Self {
        let next_hop = match &demand.next_hop {
            NextHop::Domain(domain) => Some(domain),
            NextHop::Literal(_) => None,
            NextHop::Rule(hop) => match &hop.target {
                RuleTarget::Mx(domain) | RuleTarget::Host(domain) => Some(domain),
                RuleTarget::Address(_) => None,
            },
        };
        Self {
            host: host.host.as_ref().map(|host| host.0.clone()),
            next_hop: next_hop.cloned(),
        }
    }

    /// What a word of `match` stands for here; nothing where there is no such name.
    pub(super) fn resolve(&self, word: &MatchName) -> Option<ReferenceName> {
        match word {
            MatchName::Name(name) => Some(ReferenceName::Exact(name.clone())),
            MatchName::Below(name) => Some(ReferenceName::Below(name.clone())),
            MatchName::NextHop => self.next_hop.clone().map(ReferenceName::Exact),
            MatchName::DotNextHop => self.next_hop.clone().map(ReferenceName::Below),
            MatchName::HostName => self.host.clone().map(ReferenceName::Exact),
        }
    }

    /// The rule's words, else what the level means by default. An empty result matches nothing.
    pub(super) fn webpki(&self, rule: Option<&Rule>, usual: &[MatchName]) -> Authentication {
        let words = match rule {
            Some(rule) if !rule.match_names.is_empty() => &rule.match_names,
            Some(_) | None => usual,
        };
        Authentication::WebPki(words.iter().filter_map(|word| self.resolve(word)).collect())
    }
}
