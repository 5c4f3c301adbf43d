//! The decision: facts, rules and defaults in, a verdict with its reason out.

use super::facts::{Demand, HostFacts, TlsaFailure, TlsaFinding};
use super::floor::Floor;
use super::level::{Level, PolicySource};
use super::reference::Names;
use super::requirement::{
    AuditPurpose, Authentication, DaneRequirement, DaneTrust, Encryption, HostPolicy, OnFailure,
    ReferenceName, Sealed, TlsRequirement, TlsVersion,
};
use super::rules::{Enforce, MatchName, Published, Rules};
use crate::names::{DomainName, TlsaBaseDomain};
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
}

/// What to do with one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostVerdict {
    Use(HostPolicy),
    /// No mail may go to this host now, however its TLS may be.
    Defer(Deferral),
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
    let rule = settings.rules.for_demand(demand).map(|rule| &**rule);
    let default = Floor::of_default(settings);
    let (binding, watched) = match rule {
        None => (default, None),
        Some(rule) => {
            let floor = Floor::of_rule(rule, &default);
            match rule.enforce {
                Enforce::Yes => (floor, None),
                Enforce::DryRun => (default, Some(floor)),
            }
        }
    };
    if binding.wants_tlsa(demand) {
        SeekTlsa::Yes
    } else if watched.is_some_and(|floor| floor.wants_tlsa(demand)) {
        SeekTlsa::ForTheRecord
    } else {
        SeekTlsa::No
    }
}

/// Decides what a connection to `host` must prove for mail of `demand`.
///
/// The rule for the recipients' domain sets the floor, else the default does; what TLSA records demand
/// is added on top. A rule in dry-run enforces nothing: the default is enforced, the rule audited.
pub fn for_host(demand: &Demand, host: &HostFacts, settings: &PolicySettings) -> HostVerdict {
    let rule = settings.rules.for_demand(demand).map(|rule| &**rule);
    let case = Case {
        demand,
        host,
        names: Names::of(demand, host),
    };
    let fallback = Floor::of_default(settings);
    let verdict = match rule {
        None => case.decide(fallback),
        Some(rule) => {
            let floor = Floor::of_rule(rule, &fallback);
            match rule.enforce {
                Enforce::Yes => case.decide(floor),
                Enforce::DryRun => case.dry_run(fallback, floor),
            }
        }
    };
    let subject = subject(demand);
    let rule_name = rule.and_then(|rule| rule.name.clone());
    match verdict {
        Err((floor, reason)) => HostVerdict::Defer(Deferral {
            level: floor.level.max(Level::Dane),
            source: floor.source_of_tlsa(),
            subject,
            rule_name,
            on_failure: floor.on_failure,
            reason,
        }),
        Ok(decision) => HostVerdict::Use(HostPolicy {
            level: decision.level,
            source: decision.source,
            subject,
            rule_name,
            enforce: Arc::new(decision.enforce),
            audit: decision.audit.map(Arc::new),
            purpose: decision.purpose,
            would_defer: decision.would_defer,
            on_failure: decision.floor.on_failure,
            sealed: Sealed,
        }),
    }
}

/// Whose policy it is: the recipients' domain, else where their mail goes.
fn subject(demand: &Demand) -> Arc<str> {
    match &demand.recipient_domain {
        Some(domain) => domain.as_str().into(),
        None => demand.next_hop.to_string().into(),
    }
}

struct Decision<'a> {
    floor: Floor<'a>,
    level: Level,
    source: PolicySource,
    enforce: TlsRequirement,
    audit: Option<TlsRequirement>,
    purpose: AuditPurpose,
    would_defer: Option<DeferReason>,
}

type Decided<'a> = Result<Decision<'a>, (Floor<'a>, DeferReason)>;

/// One host and one demand, under whatever floor.
struct Case<'c> {
    demand: &'c Demand,
    host: &'c HostFacts,
    names: Names,
}

/// What TLSA records make of a floor.
struct Raised {
    level: Level,
    source: PolicySource,
    dane: Option<DaneRequirement>,
}

impl Case<'_> {
    fn decide<'a>(&self, floor: Floor<'a>) -> Decided<'a> {
        let raised = match self.raise(&floor) {
            Ok(raised) => raised,
            Err(reason) => return Err((floor, reason)),
        };
        let mut enforce = requirement(raised.level, &floor, &self.names);
        let authenticated = raised.dane.is_some();
        enforce.dane = raised.dane.map(Arc::new);
        let audit = if authenticated {
            None
        } else {
            usual_audit(raised.level, &floor, &self.names)
        };
        Ok(Decision {
            floor,
            level: raised.level,
            source: raised.source,
            enforce,
            audit,
            purpose: AuditPurpose::Record,
            would_defer: None,
        })
    }

    /// The default binds; what the rule would demand is judged in the same handshake where it demands
    /// TLS.
    fn dry_run<'a>(&self, default: Floor<'a>, watched: Floor<'_>) -> Decided<'a> {
        let mut decision = self.decide(default)?;
        match self.decide(watched) {
            Ok(watched) if watched.enforce.encryption == Encryption::Mandatory => {
                decision.audit = Some(watched.enforce);
                decision.purpose = AuditPurpose::DryRun;
            }
            Ok(_) => {}
            Err((_, reason)) => decision.would_defer = Some(reason),
        }
        Ok(decision)
    }

    /// What is left of a floor, or comes on top of it, once it is known what is known of TLSA records.
    /// Only proof that there are none allows less (RFC 7672 §2.1, §2.2).
    fn raise(&self, floor: &Floor<'_>) -> Result<Raised, DeferReason> {
        let as_it_is = |level| Raised {
            level,
            source: floor.source,
            dane: None,
        };
        let finding = if floor.wants_tlsa(self.demand) {
            &self.host.tlsa
        } else {
            &TlsaFinding::NotSought
        };
        match (floor.level, finding) {
            (_, TlsaFinding::LookupFailed(failure)) => {
                Err(DeferReason::TlsaLookup(failure.clone()))
            }
            (Level::DaneOnly, TlsaFinding::NotSought) => Err(DeferReason::TlsaNotSought),
            (Level::DaneOnly, TlsaFinding::SecurelyAbsent) => Err(DeferReason::NoTlsa),
            (Level::DaneOnly, TlsaFinding::Insecure) => Err(DeferReason::TlsaInsecure),
            (Level::DaneOnly, TlsaFinding::NoneUsable(base)) => {
                Err(DeferReason::NoneUsable(base.clone()))
            }
            (Level::DaneOnly, TlsaFinding::Usable { .. }) if self.host.trust == DaneTrust::Half => {
                Err(DeferReason::MxInsecure)
            }
            (Level::Dane, TlsaFinding::NotSought) => Ok(as_it_is(Level::Encrypt)),
            (Level::Dane, TlsaFinding::SecurelyAbsent | TlsaFinding::Insecure) => {
                Ok(as_it_is(Level::May))
            }
            (
                level,
                TlsaFinding::NotSought | TlsaFinding::SecurelyAbsent | TlsaFinding::Insecure,
            ) => Ok(as_it_is(level)),
            (Level::May | Level::Dane, TlsaFinding::NoneUsable(_)) => Ok(Raised {
                level: Level::Encrypt,
                source: floor.source_of_tlsa(),
                dane: None,
            }),
            (level, TlsaFinding::NoneUsable(_)) => Ok(as_it_is(level)),
            (level, TlsaFinding::Usable { base, records }) => {
                let dane = DaneRequirement {
                    base: base.clone(),
                    records: records.clone(),
                    names: self.reference_names(base),
                    trust: self.host.trust,
                };
                Ok(with_dane(level, floor, dane))
            }
        }
    }

    /// RFC 7672 §3.2.2: the base domain first; the next hop and what it is an alias of, where the host is
    /// proven to be theirs.
    fn reference_names(&self, base: &TlsaBaseDomain) -> Arc<[DomainName]> {
        let more = match self.host.trust {
            DaneTrust::Full => [&self.names.next_hop, &self.host.next_hop_expanded],
            DaneTrust::Half => [&self.names.host, &None],
        };
        let mut names = vec![base.0.clone()];
        for name in more.into_iter().flatten() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names.into()
    }
}

/// A rule that already authenticates keeps its name and its source: both it and DANE must hold. The
/// default is for domains that publish nothing: DANE takes its place where it authenticates the domain.
fn with_dane(level: Level, floor: &Floor<'_>, dane: DaneRequirement) -> Raised {
    let by_default = floor.source == PolicySource::Default;
    let (level, source) = match level {
        Level::None | Level::May | Level::Dane | Level::Encrypt => {
            (Level::Dane, floor.source_of_tlsa())
        }
        Level::Verify if by_default && dane.trust == DaneTrust::Full => {
            (Level::Dane, floor.source_of_tlsa())
        }
        Level::Fingerprint | Level::Verify | Level::Secure | Level::DaneOnly => {
            (level, floor.source)
        }
    };
    Raised {
        level,
        source,
        dane: Some(dane),
    }
}

fn requirement(level: Level, floor: &Floor<'_>, names: &Names) -> TlsRequirement {
    use Encryption::{Mandatory, Never, Opportunistic};
    let (encryption, authentication) = match level {
        Level::None => (Never, Authentication::None),
        Level::May => (Opportunistic, Authentication::None),
        Level::Dane | Level::DaneOnly | Level::Encrypt => (Mandatory, Authentication::None),
        Level::Fingerprint => {
            let pins = floor.rule.map_or(&[][..], |rule| &rule.fingerprints);
            (Mandatory, Authentication::Fingerprint(pins.into()))
        }
        Level::Verify => (Mandatory, names.webpki(floor.rule, &[MatchName::HostName])),
        Level::Secure => {
            let usual = [MatchName::NextHop, MatchName::DotNextHop];
            (Mandatory, names.webpki(floor.rule, &usual))
        }
    };
    TlsRequirement {
        encryption,
        authentication,
        dane: None,
        min_version: floor.min_version,
        client_certificate: floor.client_certificate,
    }
}

/// Where nobody is authenticated, what `verify` would have said is worth knowing.
fn usual_audit(level: Level, floor: &Floor<'_>, names: &Names) -> Option<TlsRequirement> {
    match level {
        Level::May | Level::Dane | Level::Encrypt => {
            let name = ReferenceName::Exact(names.host.clone()?);
            Some(TlsRequirement {
                encryption: Encryption::Mandatory,
                authentication: Authentication::WebPki([name].into()),
                dane: None,
                min_version: floor.min_version,
                client_certificate: floor.client_certificate,
            })
        }
        Level::None | Level::Fingerprint | Level::Verify | Level::Secure | Level::DaneOnly => None,
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
