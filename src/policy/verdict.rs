//! The decision: facts, rules and defaults in, a verdict with its reason out.

use super::case::{Case, Decided, Refused};
use super::facts::{Demand, HostFacts, TlsaFailure};
use super::floor::Floor;
use super::level::{Level, PolicySource};
use super::reference::Names;
use super::requirement::{HostPolicy, OnFailure, Sealed, TlsVersion};
use super::rules::{Enforce, Published, Rules};
use crate::names::{PolicyDomain, TlsaBaseDomain};
use std::sync::Arc;

/// The administrator's word: rules, and what holds without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySettings {
    pub rules: Rules,
    /// `policy.default`
    pub default: Level,
    /// `tls.min_version`; binds unless the rule has its own.
    pub min_version: TlsVersion,
    /// `policy.dane`: whether TLSA records count that no rule asks for.
    pub dane: Published,
    /// `policy.mta_sts`: whether MTA-STS policies count.
    pub mta_sts: Published,
}

/// What to do with one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostVerdict {
    Use(HostPolicy),
    /// No mail may go to this host now, however its TLS may be.
    Defer(Deferral),
    /// The host is none of those to which the domain's mail may go: as if it were not there.
    Skip(Deferral),
}

/// Why a host may not be used now, and whose policy says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    pub level: Level,
    pub source: PolicySource,
    /// As in [`HostPolicy::subject`].
    pub subject: Arc<str>,
    /// As in [`HostPolicy::rule_name`].
    pub rule_name: Option<Arc<str>>,
    pub on_failure: OnFailure,
    pub reason: DeferReason,
}

/// Why a host may not be used now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeferReason {
    #[error("dane-only, but TLSA records are not looked up")]
    TlsaNotSought,
    #[error("TLSA lookup: {0}")]
    TlsaLookup(TlsaFailure),
    #[error("dane-only, but it has no TLSA records")]
    NoTlsa,
    #[error("dane-only, but its addresses or TLSA records are not secured by DNSSEC")]
    TlsaInsecure,
    #[error("dane-only, but none of its TLSA records at {0} can be used")]
    NoneUsable(TlsaBaseDomain),
    #[error("dane-only, but the MX records that name it are not secured by DNSSEC")]
    MxInsecure,
    /// RFC 8461 §4.1.
    #[error("not among the MX hosts that the policy lists")]
    NotListed,
    #[error("MTA-STS record: DNSSEC validation failed (bogus): {0}")]
    StsBogus(String),
    #[error("the policies that are remembered cannot be read: {0}")]
    StsUnknown(String),
}

impl DeferReason {
    /// RFC 8460 §4.3.2.1; the `reason` of `policy_blocked_total`.
    pub fn result_type(&self) -> &'static str {
        match self {
            Self::TlsaLookup(failure) => failure.result_type(),
            Self::TlsaNotSought | Self::NoTlsa | Self::TlsaInsecure | Self::MxInsecure => {
                "dane-required"
            }
            Self::NoneUsable(_) => "tlsa-invalid",
            Self::NotListed => "validation-failure",
            Self::StsBogus(_) => "dnssec-invalid",
            Self::StsUnknown(_) => "sts-policy-unknown",
        }
    }

    /// Whether it is the domain's MTA-STS policy that says so, and no word of DANE's.
    pub(super) fn is_of_sts(&self) -> bool {
        match self {
            Self::NotListed | Self::StsBogus(_) | Self::StsUnknown(_) => true,
            Self::TlsaNotSought
            | Self::TlsaLookup(_)
            | Self::NoTlsa
            | Self::TlsaInsecure
            | Self::NoneUsable(_)
            | Self::MxInsecure => false,
        }
    }
}

/// Whether TLSA records are to be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTlsa {
    No,
    /// Only a rule that is tried out wants them: mail does not wait for them long.
    ForTheRecord,
    Yes,
}

/// Whether TLSA records of the hosts may matter to mail of `demand`. Where they do not, they must not be
/// looked up: the lookup could fail and hold mail back (RFC 8689 §3).
pub fn seek_tlsa(demand: &Demand, settings: &PolicySettings) -> SeekTlsa {
    let (binding, watched) = floors(demand, settings);
    if binding.wants_tlsa(demand) {
        SeekTlsa::Yes
    } else if watched.is_some_and(|floor| floor.wants_tlsa(demand)) {
        SeekTlsa::ForTheRecord
    } else {
        SeekTlsa::No
    }
}

/// The floor that binds, and the one that is only tried out.
fn floors<'a>(demand: &Demand, settings: &'a PolicySettings) -> (Floor<'a>, Option<Floor<'a>>) {
    let default = Floor::of_default(settings);
    let Some(rule) = settings.rules.for_demand(demand) else {
        return (default, None);
    };
    let floor = Floor::of_rule(rule, &default);
    match rule.enforce {
        Enforce::Yes => (floor, None),
        Enforce::DryRun => (default, Some(floor)),
    }
}

/// Whose MTA-STS policy is to be looked up for mail of `demand`, if anybody's.
pub fn seek_sts(demand: &Demand, settings: &PolicySettings) -> Option<PolicyDomain> {
    let (binding, watched) = floors(demand, settings);
    let wanted = binding.wants_sts(demand) || watched.is_some_and(|floor| floor.wants_sts(demand));
    demand.policy_domain().filter(|_| wanted)
}

/// Decides what a connection to `host` must prove for mail of `demand`.
///
/// The rule for the recipients' domain sets the floor, else the default does; what TLSA records demand
/// is added on top. A rule in dry-run enforces nothing: the default is enforced, the rule audited.
pub fn for_host(demand: &Demand, host: &HostFacts, settings: &PolicySettings) -> HostVerdict {
    let case = Case {
        demand,
        host,
        names: Names::of(demand, host),
    };
    let decided = match floors(demand, settings) {
        (binding, None) => case.decide(binding),
        (binding, Some(watched)) => case.dry_run(binding, watched),
    };
    let rule = settings.rules.for_demand(demand);
    let rule_name = rule.and_then(|rule| rule.name.clone());
    verdict(decided, demand, rule_name)
}

fn verdict(decided: Decided<'_>, demand: &Demand, rule_name: Option<Arc<str>>) -> HostVerdict {
    let decision = match decided {
        Ok(decision) => decision,
        Err(refused) => return refusal(refused, demand, rule_name),
    };
    HostVerdict::Use(HostPolicy {
        level: decision.level,
        source: decision.source,
        subject: subject(demand),
        policy_domain: demand.policy_domain(),
        rule_name,
        enforce: Arc::new(decision.enforce),
        audits: decision.audits.into(),
        objections: decision.objections,
        on_failure: decision.floor.on_failure,
        sealed: Sealed,
    })
}

fn refusal(
    Refused { floor, reason }: Refused<'_>,
    demand: &Demand,
    rule_name: Option<Arc<str>>,
) -> HostVerdict {
    let of_sts = reason.is_of_sts();
    let policy_domain = demand.policy_domain().filter(|_| of_sts);
    let deferral = Deferral {
        level: floor
            .level
            .max(if of_sts { Level::Verify } else { Level::Dane }),
        source: if of_sts {
            PolicySource::MtaSts
        } else {
            floor.source_of_tlsa()
        },
        subject: policy_domain.map_or_else(|| subject(demand), |domain| domain.0.as_str().into()),
        rule_name,
        on_failure: floor.on_failure,
        reason,
    };
    match deferral.reason {
        DeferReason::NotListed => HostVerdict::Skip(deferral),
        DeferReason::StsBogus(_)
        | DeferReason::StsUnknown(_)
        | DeferReason::TlsaLookup(_)
        | DeferReason::TlsaNotSought
        | DeferReason::NoTlsa
        | DeferReason::TlsaInsecure
        | DeferReason::NoneUsable(_)
        | DeferReason::MxInsecure => HostVerdict::Defer(deferral),
    }
}

/// Whose policy it is: the recipients' domain, else where their mail goes.
fn subject(demand: &Demand) -> Arc<str> {
    match &demand.recipient_domain {
        Some(domain) => domain.as_str().into(),
        None => demand.next_hop.to_string().into(),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
