//! What must be proven before mail may flow: the verdict's payload, and half of the pool's key.

use super::failure::TlsFailure;
use super::level::{Level, PolicySource};
use super::verdict::DeferReason;
use crate::dane::TlsaSet;
use crate::names::{DomainName, PolicyDomain, TlsaBaseDomain};
use std::fmt;
use std::sync::Arc;

/// A TLS version that can be demanded or was negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

impl TlsVersion {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLSv{}", self.as_str())
    }
}

/// Whether the channel must be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encryption {
    Never,
    Opportunistic,
    Mandatory,
}

/// A name that a certificate must carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReferenceName {
    /// This name; a certificate's `*.` matches exactly one label (RFC 6125 §6.4.3).
    Exact(DomainName),
    /// `.example.com`: any name below it, as in Postfix.
    Below(DomainName),
}

impl fmt::Display for ReferenceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Below(name) => write!(f, ".{name}"),
        }
    }
}

/// A pinned leaf: SHA-256 of the certificate or of its SubjectPublicKeyInfo, both in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fingerprint {
    Certificate([u8; 32]),
    PublicKey([u8; 32]),
    /// A pin from a Postfix map, which may mean either.
    Either([u8; 32]),
}

/// How the MX must be authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Authentication {
    None,
    Fingerprint(Arc<[Fingerprint]>),
    /// A path to a trusted root, and one of these names; an empty list matches nothing.
    WebPki(Arc<[ReferenceName]>),
}

/// What TLSA records demand of a host (RFC 7672).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DaneRequirement {
    /// Where the records were found; sent as SNI (RFC 7672 §8.1).
    pub base: TlsaBaseDomain,
    pub records: TlsaSet,
    /// Names of which a certificate under DANE-TA must carry one (RFC 7672 §3.2.2); the base domain is
    /// the first.
    pub names: Arc<[DomainName]>,
    pub trust: DaneTrust,
}

/// Whether the host itself is proven to serve the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DaneTrust {
    /// The MX RRset is secure, or the administrator named the host.
    Full,
    /// The MX RRset is not: the host is who it says it is, but whether it is the domain's is unproven
    /// (RFC 7672 §2.2.1).
    Half,
}

/// Whether our client certificate is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientCertificate {
    #[default]
    Withhold,
    Present,
}

/// What a rule that is only tried out would have done with mail (`enforce = "dry-run"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Trial {
    /// There is none, or it asks for nothing.
    #[default]
    None,
    Pass,
    Block,
}

impl Trial {
    /// The `dry_run` of the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Pass => "pass",
            Self::Block => "block",
        }
    }
}

/// What a channel must be. Equality is what lets two domains share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsRequirement {
    pub encryption: Encryption,
    pub authentication: Authentication,
    /// Must hold as well as `authentication`.
    pub dane: Option<Arc<DaneRequirement>>,
    /// The MX host's name, for which a trusted authority must vouch as well: what an MTA-STS policy
    /// demands (RFC 8461 §4.2).
    pub mta_sts: Option<DomainName>,
    /// Binds wherever TLS is mandatory; opportunistic delivery takes what it gets.
    pub min_version: TlsVersion,
    pub client_certificate: ClientCertificate,
}

/// What becomes of a message that the policy blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnFailure {
    #[default]
    Defer,
    Reject,
}

/// Why a channel is judged by more than is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditPurpose {
    /// For the record: what a full check would have said.
    Record,
    /// An MTA-STS policy in mode `testing`: its failures are counted (RFC 8461 §5).
    Testing,
    /// A rule is tried out (`enforce = "dry-run"`): it is told where the rule would have held mail back.
    DryRun,
}

/// What is judged in the same handshake, recorded, and never fatal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audit {
    pub purpose: AuditPurpose,
    pub requirement: TlsRequirement,
}

/// Why a host would not be used at all, if what is only watched were in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    pub purpose: AuditPurpose,
    pub reason: DeferReason,
}

/// The verdict for one host, with its why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPolicy {
    pub level: Level,
    pub source: PolicySource,
    /// Whose policy it is, for replies: a domain, or the next hop.
    pub subject: Arc<str>,
    /// Whose MTA-STS policy counts, if anybody's.
    pub policy_domain: Option<PolicyDomain>,
    /// The `name` of the rule in force, for metrics.
    pub rule_name: Option<Arc<str>>,
    pub enforce: Arc<TlsRequirement>,
    /// Two at most.
    pub audits: Arc<[Audit]>,
    pub objections: Vec<Objection>,
    pub on_failure: OnFailure,
    pub(super) sealed: Sealed,
}

impl HostPolicy {
    /// What a rule in dry-run makes of mail that goes over a channel; of TLS it was judged in the handshake.
    pub fn trial(&self, channel: Tried) -> Trial {
        let of_dry_run = |purpose| purpose == AuditPurpose::DryRun;
        if self.objections.iter().any(|o| of_dry_run(o.purpose)) {
            return Trial::Block;
        }
        // Where TLS is never tried, nobody knows what would have come of it.
        let tries = self.enforce.encryption != Encryption::Never;
        let demands_tls = tries && self.audits.iter().any(|audit| of_dry_run(audit.purpose));
        match channel {
            Tried::Tls(judged) => judged,
            Tried::Plaintext if demands_tls => Trial::Block,
            Tried::Plaintext | Tried::Nothing => Trial::None,
        }
    }
}

/// How mail went, as far as a trial asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Over TLS, of which the handshake was judged so.
    Tls(Trial),
    Plaintext,
    Nothing,
}

/// Only `policy` builds verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sealed;

/// Leave to send in the clear. Only `policy` can make one: sending in the clear against the policy
/// does not compile.
#[derive(Debug)]
pub struct PlaintextPermit {
    _sealed: (),
}

impl HostPolicy {
    /// The permit, where the policy in force lets mail go in the clear at all.
    pub fn plaintext_permit(&self) -> Option<PlaintextPermit> {
        match self.enforce.encryption {
            Encryption::Never | Encryption::Opportunistic => Some(PlaintextPermit { _sealed: () }),
            Encryption::Mandatory => None,
        }
    }

    /// Whose policy it is that a failure violates: what the domain publishes may stand beside a rule.
    pub fn source_of(&self, failure: &TlsFailure) -> PolicySource {
        match (failure, self.level) {
            (TlsFailure::MtaSts(_), _) => PolicySource::MtaSts,
            (TlsFailure::Dane(_), Level::Fingerprint | Level::Verify | Level::Secure) => {
                PolicySource::Dane
            }
            (_, _) => self.source,
        }
    }

    /// How replies and logs name the policy that a failure violates: `rule policy of example.com`.
    pub fn describe(&self, failure: &TlsFailure) -> String {
        let source = self.source_of(failure);
        match (source, &self.policy_domain) {
            (PolicySource::MtaSts, Some(domain)) => format!("{source} policy of {domain}"),
            (_, _) => format!("{source} policy of {}", self.subject),
        }
    }

    /// The name to send as SNI, if a policy says which: the MX host's, where MTA-STS demands a certificate for it
    /// (RFC 8461 §7.1); else that at which the TLSA records are (RFC 7672 §8.1).
    pub fn server_name(&self) -> Option<&DomainName> {
        let by_dane = || self.enforce.dane.as_ref().map(|dane| &dane.base.0);
        self.enforce.mta_sts.as_ref().or_else(by_dane)
    }
}
