//! From facts and verdicts to an answer: pure.
//!
//! Postfix takes one level for all MX hosts of a destination; the policy engine has a verdict for each. The answer is
//! the level under which Postfix delivers to no host that the engine would refuse, and to as many of the others as
//! it can be told of. Where two demands hold for one host and Postfix knows no level for both:
//! - a rule that names certificates (`fingerprint`, `secure`, `verify` with `match`) stands alone; of an enforced
//!   MTA-STS policy it keeps what is in both lists of names;
//! - proven TLSA records (`dane-only`) come before MTA-STS and before the name of the MX host (`verify`), which is as
//!   trustworthy as the MX record that names it; hosts without such records then get no mail from Postfix;
//! - MTA-STS, and whoever demands `encrypt`, come before TLSA records that are proven for the host but not for the
//!   domain (`half-dane`).
//!
//! What is not known makes mail wait, with one exception: `dane-only` is safe whatever a lookup would have brought.

use super::reply::{Answer, Matching, Reported, ServerName, TlsPolicy, of_pattern};
use super::standing::{Beyond, Cause, Standing};
use crate::mta_sts::{MxPattern, Policy};
use crate::names::{DomainName, NextHop, RuleTarget};
use crate::policy::{
    DaneTrust, Demand, Enforce, HostFacts, HostVerdict, Level, MatchName, PolicySettings, Rule,
    SeekTlsa, StsFinding, TlsVersion, TlsaFinding, for_host, seek_tlsa,
};
use std::sync::Arc;

/// One question: whose mail, and what is known of where it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub demand: &'a Demand,
    pub policy: &'a PolicySettings,
    /// None where it is proven that there are none.
    pub hosts: &'a [HostFacts],
    /// Of all hosts, whatever they themselves say of it.
    pub sts: &'a StsFinding,
    pub reports: Reports,
}

/// Whether Postfix is told what it may report on (`smtp_tlsrpt_enable` of Postfix 3.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reports {
    #[default]
    No,
    Yes,
}

/// What the administrator demands, as far as it binds.
struct Floor<'a> {
    level: Level,
    rule: Option<&'a Rule>,
    min_version: Option<TlsVersion>,
}

/// Whether the MX hosts and their TLSA records can change the answer.
pub(super) fn hosts_matter(demand: &Demand, policy: &PolicySettings) -> bool {
    let floor = Floor::of(demand, policy);
    !floor.names_certificates() && seek_tlsa(demand, policy) == SeekTlsa::Yes
}

impl<'a> Floor<'a> {
    fn of(demand: &Demand, policy: &'a PolicySettings) -> Self {
        let rule = policy.rules.for_demand(demand).map(|rule| &**rule);
        let rule = rule.filter(|rule| rule.enforce == Enforce::Yes);
        let least = rule.and_then(|rule| rule.min_version);
        // The usual one is Postfix's own affair (`smtp_tls_mandatory_protocols`).
        let least = least.or(Some(policy.min_version).filter(|v| *v > TlsVersion::V1_2));
        Self {
            level: rule.and_then(|rule| rule.require).unwrap_or(policy.default),
            rule,
            min_version: least,
        }
    }

    /// Whether it says itself which certificates will do; the name of the MX host is whatever DNS says.
    fn names_certificates(&self) -> bool {
        match self.level {
            Level::Fingerprint | Level::Secure => true,
            Level::Verify => self.words().iter().any(|w| *w != MatchName::HostName),
            Level::None | Level::May | Level::Dane | Level::Encrypt | Level::DaneOnly => false,
        }
    }

    /// The words of `match`, or what the level means without them.
    fn words(&self) -> &'a [MatchName] {
        match self.rule {
            Some(rule) if !rule.match_names.is_empty() => &rule.match_names,
            Some(_) | None if self.level == Level::Secure => {
                &[MatchName::NextHop, MatchName::DotNextHop]
            }
            Some(_) | None => &[MatchName::HostName],
        }
    }

    fn found(&self, level: Level) -> Answer {
        self.with(TlsPolicy::of(level))
    }

    /// With the attribute for the oldest version, where the level knows it.
    fn with(&self, policy: TlsPolicy) -> Answer {
        let knows = !matches!(policy.level, Level::None | Level::May);
        Answer::Found(TlsPolicy {
            min_version: self.min_version.filter(|_| knows),
            ..policy
        })
    }

    /// What the rule says where nothing else is said; its `may` is a word, the default's is none.
    fn open(&self) -> Answer {
        match self.rule.and_then(|rule| rule.require) {
            Some(_) => self.found(Level::May),
            None => Answer::NotFound,
        }
    }
}

/// The answer for a next hop.
pub(super) fn answer(question: &Question<'_>) -> Answer {
    let floor = Floor::of(question.demand, question.policy);
    let enforced = match enforced(question) {
        Ok(enforced) => enforced,
        Err(reason) => return Answer::Temporary(reason),
    };
    if needs_a_name(&floor, question.demand) {
        let why = format!("level {}, but an address has no name", floor.level);
        return Answer::Temporary(why);
    }
    if floor.level == Level::None {
        return floor.found(Level::None);
    }
    if floor.names_certificates() {
        return named(&floor, enforced, question.demand);
    }
    published(&floor, enforced, question)
}

/// The MTA-STS policy that is in force for this mail, by the engine's word on a host that nobody lists.
fn enforced<'a>(question: &Question<'a>) -> Result<Option<&'a Arc<Policy>>, String> {
    let nobody = HostFacts {
        host: None,
        next_hop_expanded: None,
        trust: DaneTrust::Full,
        tlsa: TlsaFinding::SecurelyAbsent,
        sts: question.sts.clone(),
    };
    match for_host(question.demand, &nobody, question.policy) {
        HostVerdict::Skip(_) => match question.sts {
            StsFinding::Policy(policy) => Ok(Some(policy)),
            StsFinding::NotSought
            | StsFinding::NoPolicy
            | StsFinding::Bogus(_)
            | StsFinding::Unknown(_) => Ok(None),
        },
        HostVerdict::Defer(deferral) if question.sts.is_uncertain() => {
            Err(deferral.reason.to_string())
        }
        HostVerdict::Defer(_) | HostVerdict::Use(_) => Ok(None),
    }
}

/// Whether a certificate must carry a name, and there is none to compare with.
fn needs_a_name(floor: &Floor<'_>, demand: &Demand) -> bool {
    let by_name = matches!(floor.level, Level::Verify | Level::Secure);
    let is_name = |word: &MatchName| matches!(word, MatchName::Name(_) | MatchName::Below(_));
    by_name && next_hop(demand).is_none() && !floor.words().iter().any(is_name)
}

/// The name of the next hop, for a certificate.
fn next_hop(demand: &Demand) -> Option<&DomainName> {
    match &demand.next_hop {
        NextHop::Domain(domain) => Some(domain),
        NextHop::Literal(_) => None,
        NextHop::Rule(hop) => match &hop.target {
            RuleTarget::Mx(domain) | RuleTarget::Host(domain) => Some(domain),
            RuleTarget::Address(_) => None,
        },
    }
}

/// A rule that names certificates, whatever is published but a list of names.
fn named(floor: &Floor<'_>, enforced: Option<&Arc<Policy>>, demand: &Demand) -> Answer {
    let pins = floor.rule.map_or(&[][..], |rule| &rule.fingerprints);
    if floor.level == Level::Fingerprint {
        return floor.with(TlsPolicy {
            matching: Matching::Fingerprints(pins.into()),
            ..TlsPolicy::of(floor.level)
        });
    }
    let both = enforced.map(|policy| in_both(floor.words(), &policy.mx, demand));
    let names = match both {
        Some(both) if !both.is_empty() => both,
        Some(_) | None => floor.words().to_vec(),
    };
    floor.with(TlsPolicy {
        matching: Matching::Names(names),
        ..TlsPolicy::of(floor.level)
    })
}

/// Names that satisfy a rule and stand for a host that a policy lists.
fn in_both(words: &[MatchName], patterns: &[MxPattern], demand: &Demand) -> Vec<MatchName> {
    let next_hop = next_hop(demand);
    let mut both = Vec::new();
    for word in words {
        let word = match word {
            MatchName::NextHop => next_hop.cloned().map(MatchName::Name),
            MatchName::DotNextHop => next_hop.cloned().map(MatchName::Below),
            MatchName::Name(_) | MatchName::Below(_) | MatchName::HostName => Some(word.clone()),
        };
        let found = patterns
            .iter()
            .filter_map(|pattern| match (&word, pattern) {
                (Some(MatchName::Name(name)), pattern) if pattern.matches(name) => {
                    Some(MatchName::Name(name.clone()))
                }
                (Some(MatchName::Below(above)), MxPattern::Exact(name)) if name.is_below(above) => {
                    Some(of_pattern(pattern))
                }
                (Some(MatchName::Below(above)), MxPattern::OneLabelBelow(parent))
                    if parent == above || parent.is_below(above) =>
                {
                    Some(of_pattern(pattern))
                }
                (Some(MatchName::HostName), pattern) => Some(of_pattern(pattern)),
                (_, _) => None,
            });
        for name in found {
            if !both.contains(&name) {
                both.push(name);
            }
        }
    }
    both
}

/// What the domain publishes, on top of a rule that names no certificates.
fn published(floor: &Floor<'_>, enforced: Option<&Arc<Policy>>, question: &Question<'_>) -> Answer {
    let hosts: Vec<Standing> = question
        .hosts
        .iter()
        .map(|h| Standing::of(question, h))
        .collect();
    let any = |standing: &Standing| hosts.contains(standing);
    let unknown = hosts.iter().find_map(Standing::unknown);
    if floor.level == Level::DaneOnly || any(&Standing::Proven) {
        if any(&Standing::Barred(Beyond::ReachedByDane)) {
            return Answer::Temporary(
                "an MX host has TLSA records, or may have, and is not in the domain's MTA-STS policy: Postfix can be \
                 told to obey one of them only"
                    .into(),
            );
        }
        let encrypted = any(&Standing::Encrypted(Cause::Other));
        let strict = encrypted || enforced.is_some() || unknown.is_some();
        let strict = strict || floor.level > Level::Dane;
        let all = hosts.iter().all(|s| *s == Standing::Proven);
        let level = if strict || all {
            Level::DaneOnly
        } else {
            Level::Dane
        };
        return floor.found(level);
    }
    if let Some(reason) = unknown {
        return Answer::Temporary(reason.clone());
    }
    if let Some(policy) = enforced {
        return by_policy(floor, policy, question);
    }
    without_proof(floor, &hosts)
}

/// Nobody is proven by DNSSEC to be the domain's, and no MTA-STS policy is in force.
fn without_proof(floor: &Floor<'_>, hosts: &[Standing]) -> Answer {
    let any = |standing: &Standing| hosts.contains(standing);
    let by_tlsa = any(&Standing::HalfProven) || any(&Standing::Encrypted(Cause::NoneUsable));
    match floor.level {
        Level::Verify => floor.with(TlsPolicy {
            matching: Matching::Names(floor.words().to_vec()),
            ..TlsPolicy::of(Level::Verify)
        }),
        // Postfix's `dane` is `may` wherever it finds no records, or cannot look.
        Level::Encrypt => floor.found(Level::Encrypt),
        // TLSA records are wanted, and nobody can look: Postfix's `dane` would not be as strict.
        Level::Dane if any(&Standing::Encrypted(Cause::Other)) => floor.found(Level::Encrypt),
        Level::Dane => floor.found(Level::Dane),
        Level::May if by_tlsa => floor.found(Level::Dane),
        Level::May => floor.open(),
        Level::None | Level::Fingerprint | Level::Secure | Level::DaneOnly => {
            floor.found(floor.level)
        }
    }
}

/// Any host whose certificate is for a name that the policy lists (RFC 8461 §4.1, §4.2).
fn by_policy(floor: &Floor<'_>, policy: &Arc<Policy>, question: &Question<'_>) -> Answer {
    let report = question.demand.policy_domain().map(|domain| Reported {
        domain: domain.0,
        policy: Arc::clone(policy),
    });
    floor.with(TlsPolicy {
        matching: Matching::Names(policy.mx.iter().map(of_pattern).collect()),
        server_name: ServerName::HostName,
        report: report.filter(|_| question.reports == Reports::Yes),
        ..TlsPolicy::of(Level::Secure)
    })
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
