//! The administrator's rules, checked and indexed: the most specific domain wins.

use super::facts::Demand;
use super::level::Level;
use super::requirement::{ClientCertificate, Fingerprint, OnFailure, TlsVersion};
use crate::names::{DomainName, NextHop, RuleNextHop};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A rule, whether it came from TOML or from a Postfix map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands, for people: `rule 3` or `/etc/postfix/tls_policy:12`.
    pub origin: String,
    /// Labels its metrics.
    pub name: Option<Arc<str>>,
    /// The floor; `None`: `policy.default`.
    pub require: Option<Level>,
    /// What `match` says; empty: what the level means by default.
    pub match_names: Vec<MatchName>,
    pub fingerprints: Vec<Fingerprint>,
    /// `None`: `tls.min_version`.
    pub min_version: Option<TlsVersion>,
    pub published: Published,
    pub next_hop: Option<RuleNextHop>,
    pub on_failure: OnFailure,
    pub enforce: Enforce,
    pub client_certificate: ClientCertificate,
}

/// A word of `match`, with Postfix's meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MatchName {
    Name(DomainName),
    /// `.example.net`
    Below(DomainName),
    NextHop,
    DotNextHop,
    HostName,
}

/// Whether what the domain publishes is added on top of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Published {
    #[default]
    Honor,
    Ignore,
}

impl Published {
    /// Honoured only if both say so.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Honor, Self::Honor) => Self::Honor,
            (Self::Ignore, _) | (_, Self::Ignore) => Self::Ignore,
        }
    }
}

/// Whether the rule binds or is only watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforce {
    #[default]
    Yes,
    DryRun,
}

/// All rules, indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    exact: HashMap<DomainName, Arc<Rule>>,
    below: HashMap<DomainName, Arc<Rule>>,
    literals: HashMap<IpAddr, Arc<Rule>>,
    /// Of no delivery of ours: of clients that route mail themselves.
    next_hops: HashMap<RuleNextHop, Arc<Rule>>,
}

/// Two rules speak for the same domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern} has a rule already ({first})")]
pub struct RuleConflict {
    pub pattern: String,
    /// The origin of the rule that was there first.
    pub first: String,
}

impl Rules {
    /// Adds a rule for `domain` itself.
    pub fn add_exact(&mut self, domain: DomainName, rule: Arc<Rule>) -> Result<(), RuleConflict> {
        if let Some(first) = self.exact.get(&domain) {
            return Err(RuleConflict {
                pattern: domain.to_string(),
                first: first.origin.clone(),
            });
        }
        self.exact.insert(domain, rule);
        Ok(())
    }

    /// Adds a rule for every name below `domain`, not for `domain` itself.
    pub fn add_below(&mut self, domain: DomainName, rule: Arc<Rule>) -> Result<(), RuleConflict> {
        if let Some(first) = self.below.get(&domain) {
            return Err(RuleConflict {
                pattern: format!("*.{domain}"),
                first: first.origin.clone(),
            });
        }
        self.below.insert(domain, rule);
        Ok(())
    }

    /// Adds a rule for mail to an address literal, `user@[192.0.2.1]`.
    pub fn add_literal(&mut self, ip: IpAddr, rule: Arc<Rule>) -> Result<(), RuleConflict> {
        if let Some(first) = self.literals.get(&ip) {
            let pattern = format!("[{ip}]");
            let first = first.origin.clone();
            return Err(RuleConflict { pattern, first });
        }
        self.literals.insert(ip, rule);
        Ok(())
    }

    /// Adds a rule for mail that a client routes to this next hop, written so.
    pub fn add_next_hop(&mut self, hop: RuleNextHop, rule: Arc<Rule>) {
        self.next_hops.insert(hop, rule);
    }

    /// The rule for mail that a client routes to this next hop.
    pub fn for_next_hop(&self, hop: &RuleNextHop) -> Option<&Arc<Rule>> {
        self.next_hops.get(hop)
    }

    /// The rule for a delivery: that of the recipients' domain, or of their address literal.
    pub fn for_demand(&self, demand: &Demand) -> Option<&Arc<Rule>> {
        match (&demand.recipient_domain, &demand.next_hop) {
            (Some(domain), _) => self.find(domain),
            (None, NextHop::Literal(ip)) => self.literals.get(ip),
            (None, NextHop::Domain(_) | NextHop::Rule(_)) => None,
        }
    }

    /// The rule for a domain: its own, else that of its longest parent.
    pub fn find(&self, domain: &DomainName) -> Option<&Arc<Rule>> {
        if let Some(rule) = self.exact.get(domain) {
            return Some(rule);
        }
        if self.below.is_empty() {
            return None;
        }
        let mut parent = domain.parent();
        while let Some(name) = parent {
            if let Some(rule) = self.below.get(&name) {
                return Some(rule);
            }
            parent = name.parent();
        }
        None
    }

    /// Every pattern with its rule, for `config check` and the like; in no order.
    pub fn iter(&self) -> impl Iterator<Item = (String, &Arc<Rule>)> {
        let exact = self
            .exact
            .iter()
            .map(|(domain, rule)| (domain.to_string(), rule));
        let below = self
            .below
            .iter()
            .map(|(domain, rule)| (format!("*.{domain}"), rule));
        let literals = self
            .literals
            .iter()
            .map(|(ip, rule)| (format!("[{ip}]"), rule));
        exact.chain(below).chain(literals)
    }
}
