//! What `discovery` found out about one host, as plain values.

use super::requirement::DaneTrust;
use super::rules::Published;
use crate::dane::TlsaSet;
use crate::mta_sts::{Mode, Policy};
use crate::names::{DomainName, MxHost, NextHop, PolicyDomain, RuleTarget, TlsaBaseDomain};
use std::sync::Arc;

/// What is known of a host before a connection is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The name that MX records, a rule or the recipient's domain gave; `None` for an address literal.
    pub host: Option<MxHost>,
    /// The next hop's domain after securely published aliases, where it has any (RFC 7672 §3.2.2).
    pub next_hop_expanded: Option<DomainName>,
    /// Whether the host is proven to be the next hop's.
    pub trust: DaneTrust,
    pub tlsa: TlsaFinding,
    /// Of the policy domain; the same for all its hosts.
    pub sts: StsFinding,
}

/// What is known of a host's TLSA records (RFC 7672 §2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsaFinding {
    /// Nobody asked: DANE is off, the policy does not want it, or there is no name to ask for.
    NotSought,
    /// Proven: there are none.
    SecurelyAbsent,
    /// The host's addresses or the records are not signed: DANE does not apply.
    Insecure,
    Usable {
        base: TlsaBaseDomain,
        records: TlsaSet,
    },
    /// There are records, and none can be used: TLS is required all the same (RFC 7672 §2.2).
    NoneUsable(TlsaBaseDomain),
    LookupFailed(TlsaFailure),
}

impl TlsaFinding {
    /// The `result` of `policy_lookups_total`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotSought => "not_sought",
            Self::SecurelyAbsent => "absent",
            Self::Insecure => "insecure",
            Self::Usable { .. } => "usable",
            Self::NoneUsable(_) => "none_usable",
            Self::LookupFailed(TlsaFailure::Bogus(_)) => "bogus",
            Self::LookupFailed(TlsaFailure::NoAnswer(_)) => "lookup_failed",
        }
    }
}

/// What is known of the policy domain's MTA-STS policy (RFC 8461).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StsFinding {
    /// Nobody asked: MTA-STS is off, the policy does not want it, or there is no policy domain.
    NotSought,
    /// There is none, or none was to be had in time: mail goes as without one.
    NoPolicy,
    Policy(Arc<Policy>),
    /// The answer that would say whether there is one is forged or broken.
    Bogus(String),
    /// What is remembered cannot be read: there may be a policy.
    Unknown(String),
}

impl StsFinding {
    /// Whether no host may be used, whatever it is like.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Bogus(_) | Self::Unknown(_))
    }

    /// Whether there is a policy that holds mail back.
    pub fn is_enforced(&self) -> bool {
        matches!(self, Self::Policy(policy) if policy.mode == Mode::Enforce)
    }

    /// Whether the policy, enforced, does not have this host in its list (RFC 8461 §4.1).
    pub fn forbids(&self, host: Option<&MxHost>) -> bool {
        match self {
            Self::Policy(policy) if policy.mode == Mode::Enforce => {
                !host.is_some_and(|host| policy.lists(&host.0))
            }
            Self::Policy(_)
            | Self::NotSought
            | Self::NoPolicy
            | Self::Bogus(_)
            | Self::Unknown(_) => false,
        }
    }
}

/// Why it is not known whether there are TLSA records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsaFailure {
    /// An answer came, and it is forged or broken.
    #[error("{0}")]
    Bogus(String),
    #[error("{0}")]
    NoAnswer(String),
}

impl TlsaFailure {
    /// RFC 8460 §4.3.2.1; a lookup that brought nothing has no word there.
    pub fn result_type(&self) -> &'static str {
        match self {
            Self::Bogus(_) => "dnssec-invalid",
            Self::NoAnswer(_) => "tlsa-lookup-failed",
        }
    }
}

/// Whose delivery is judged: the recipients' domain and where their mail is routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The domain of the recipients; `None` for an address literal.
    pub recipient_domain: Option<DomainName>,
    pub next_hop: NextHop,
    /// The message's own wish: `Ignore` for `TLS-Required: No` (RFC 8689 §3).
    pub published: Published,
}

impl Demand {
    /// Whose published policy counts: the recipients' domain, or the next hop's where a rule routes their
    /// mail to the MX hosts of another (RFC 8461 §3.4); nobody's where no MX records are looked up.
    pub fn policy_domain(&self) -> Option<PolicyDomain> {
        match &self.next_hop {
            NextHop::Domain(domain) => Some(PolicyDomain(domain.clone())),
            NextHop::Literal(_) => None,
            NextHop::Rule(hop) => match &hop.target {
                RuleTarget::Mx(domain) => Some(PolicyDomain(domain.clone())),
                RuleTarget::Host(_) | RuleTarget::Address(_) => None,
            },
        }
    }
}
