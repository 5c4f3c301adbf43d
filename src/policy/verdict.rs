//! The decision: facts, rules and defaults in, a verdict with its reason out.

use super::facts::{Demand, HostFacts, TlsaFinding};
use super::level::{Level, PolicySource};
use super::requirement::{
    AuditPurpose, Authentication, ClientCertificate, Encryption, HostPolicy, OnFailure,
    ReferenceName, Sealed, TlsRequirement, TlsVersion,
};
use super::rules::{Enforce, MatchName, Rule, Rules};
use crate::names::{DomainName, NextHop, RuleTarget};
use std::sync::Arc;

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
    pub reason: DeferReason,
}

/// Why a host may not be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeferReason {
    #[error("dane-only, but TLSA records are not looked up")]
    TlsaNotSought,
}

/// Decides what a connection to `host` must prove for mail of `demand`.
///
/// The rule for the recipients' domain sets the floor, else `default` does; `min_version` binds unless
/// the rule has its own. A rule in dry-run enforces nothing: the default is enforced, the rule audited.
pub fn for_host(
    demand: &Demand,
    host: &HostFacts,
    rules: &Rules,
    default: Level,
    min_version: TlsVersion,
) -> HostVerdict {
    let rule = rules.for_demand(demand).map(|rule| &**rule);
    let names = Names::of(demand, host);
    let fallback = Floor::of_default(default, min_version);
    let verdict = match rule {
        None => decide(fallback, host.tlsa, &names),
        Some(rule) => {
            let floor = Floor::of_rule(rule, &fallback);
            match rule.enforce {
                Enforce::Yes => decide(floor, host.tlsa, &names),
                Enforce::DryRun => dry_run(fallback, floor, host.tlsa, &names),
            }
        }
    };
    let subject = subject(demand);
    match verdict {
        Err((floor, reason)) => HostVerdict::Defer(Deferral {
            level: floor.level,
            source: floor.source,
            subject,
            reason,
        }),
        Ok(decision) => HostVerdict::Use(HostPolicy {
            level: decision.level,
            source: decision.floor.source,
            subject,
            rule_name: rule.and_then(|rule| rule.name.clone()),
            enforce: Arc::new(decision.enforce),
            audit: decision.audit.map(Arc::new),
            purpose: decision.purpose,
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

/// What is demanded at least, before anything published is added.
struct Floor<'a> {
    level: Level,
    source: PolicySource,
    min_version: TlsVersion,
    on_failure: OnFailure,
    client_certificate: ClientCertificate,
    rule: Option<&'a Rule>,
}

impl<'a> Floor<'a> {
    fn of_default(level: Level, min_version: TlsVersion) -> Self {
        Self {
            level,
            source: PolicySource::Default,
            min_version,
            on_failure: OnFailure::Defer,
            client_certificate: ClientCertificate::Withhold,
            rule: None,
        }
    }

    fn of_rule(rule: &'a Rule, default: &Floor<'_>) -> Self {
        Self {
            level: rule.require.unwrap_or(default.level),
            source: if binds(rule) {
                PolicySource::Rule
            } else {
                PolicySource::Default
            },
            min_version: rule.min_version.unwrap_or(default.min_version),
            on_failure: rule.on_failure,
            client_certificate: rule.client_certificate,
            rule: Some(rule),
        }
    }
}

/// Whether the rule says anything about the channel; one that only routes or names leaves that to the
/// default.
fn binds(rule: &Rule) -> bool {
    rule.require.is_some()
        || rule.min_version.is_some()
        || !rule.match_names.is_empty()
        || !rule.fingerprints.is_empty()
        || rule.client_certificate == ClientCertificate::Present
}

/// The names by which a host may be known to a certificate.
struct Names {
    host: Option<DomainName>,
    next_hop: Option<DomainName>,
}

impl Names {
    /// A rule's next hop replaces the recipients' domain; a bracketed host name is a next hop too.
    fn of(demand: &Demand, host: &HostFacts) -> Self {
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
    fn resolve(&self, word: &MatchName) -> Option<ReferenceName> {
        match word {
            MatchName::Name(name) => Some(ReferenceName::Exact(name.clone())),
            MatchName::Below(name) => Some(ReferenceName::Below(name.clone())),
            MatchName::NextHop => self.next_hop.clone().map(ReferenceName::Exact),
            MatchName::DotNextHop => self.next_hop.clone().map(ReferenceName::Below),
            MatchName::HostName => self.host.clone().map(ReferenceName::Exact),
        }
    }

    /// The rule's words, else what the level means by default. An empty result matches nothing.
    fn webpki(&self, rule: Option<&Rule>, usual: &[MatchName]) -> Authentication {
        let words = match rule {
            Some(rule) if !rule.match_names.is_empty() => &rule.match_names,
            Some(_) | None => usual,
        };
        Authentication::WebPki(words.iter().filter_map(|word| self.resolve(word)).collect())
    }
}

struct Decision<'a> {
    floor: Floor<'a>,
    level: Level,
    enforce: TlsRequirement,
    audit: Option<TlsRequirement>,
    purpose: AuditPurpose,
}

type Decided<'a> = Result<Decision<'a>, (Floor<'a>, DeferReason)>;

fn decide<'a>(floor: Floor<'a>, tlsa: TlsaFinding, names: &Names) -> Decided<'a> {
    let level = match with_tlsa(floor.level, tlsa) {
        Ok(level) => level,
        Err(reason) => return Err((floor, reason)),
    };
    let enforce = requirement(level, &floor, names);
    let audit = usual_audit(level, &floor, names);
    Ok(Decision {
        floor,
        level,
        enforce,
        audit,
        purpose: AuditPurpose::Record,
    })
}

/// The default binds; what the rule would demand is judged in the same handshake where it demands TLS.
fn dry_run<'a>(
    default: Floor<'a>,
    watched: Floor<'_>,
    tlsa: TlsaFinding,
    names: &Names,
) -> Decided<'a> {
    let mut decision = decide(default, tlsa, names)?;
    if let Ok(watched) = decide(watched, tlsa, names)
        && watched.enforce.encryption == Encryption::Mandatory
    {
        decision.audit = Some(watched.enforce);
        decision.purpose = AuditPurpose::DryRun;
    }
    Ok(decision)
}

/// The level that is left once it is known what is known of TLSA records. Without certainty that there
/// are none, DANE does not get weaker than encryption (RFC 7672 §2.2).
fn with_tlsa(level: Level, tlsa: TlsaFinding) -> Result<Level, DeferReason> {
    match (level, tlsa) {
        (Level::Dane, TlsaFinding::NotSought) => Ok(Level::Encrypt),
        (Level::DaneOnly, TlsaFinding::NotSought) => Err(DeferReason::TlsaNotSought),
        (
            Level::None
            | Level::May
            | Level::Encrypt
            | Level::Fingerprint
            | Level::Verify
            | Level::Secure,
            TlsaFinding::NotSought,
        ) => Ok(level),
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
