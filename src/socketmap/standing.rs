//! What the engine says of one host, as far as an answer for all of them depends on it.

use super::answer::Question;
use crate::policy::{
    Authentication, DaneTrust, DeferReason, Encryption, HostFacts, HostVerdict, TlsaFinding,
    for_host,
};

/// What the engine says of a host, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// TLSA records that are proven to be the domain's must match.
    Proven,
    /// TLSA records must match; the MX records are not secure.
    HalfProven,
    /// TLS is mandatory; `NoneUsable`: since there are TLSA records.
    Encrypted(Cause),
    /// A certificate for a name.
    Named,
    /// Clear text is possible.
    Open,
    /// Not listed by the MTA-STS policy.
    Barred(Beyond),
    /// It is not known what must hold.
    Unknown(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    NoneUsable,
    Other,
}

/// What Postfix would find out about a host that it must not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    /// Under `dane-only` it would deliver there, or may.
    ReachedByDane,
    Unreached,
}

impl Standing {
    /// By the engine's verdict.
    pub(super) fn of(question: &Question<'_>, facts: &HostFacts) -> Standing {
        let facts = &HostFacts {
            sts: question.sts.clone(),
            ..facts.clone()
        };
        let policy = match for_host(question.demand, facts, question.policy) {
            HostVerdict::Use(policy) => policy,
            HostVerdict::Skip(_) => return Standing::Barred(beyond(facts)),
            HostVerdict::Defer(deferral) => {
                let host = facts.host.as_ref().map(|host| format!("{host}: "));
                return match deferral.reason {
                    // Under dane-only Postfix finds that out for itself.
                    DeferReason::NoTlsa
                    | DeferReason::TlsaInsecure
                    | DeferReason::NoneUsable(_)
                    | DeferReason::MxInsecure => Standing::Encrypted(Cause::Other),
                    DeferReason::TlsaNotSought
                    | DeferReason::TlsaLookup(_)
                    | DeferReason::NotListed
                    | DeferReason::StsBogus(_)
                    | DeferReason::StsUnknown(_) => Standing::Unknown(format!(
                        "{}{}",
                        host.unwrap_or_default(),
                        deferral.reason
                    )),
                };
            }
        };
        let enforce = &policy.enforce;
        match (&enforce.dane, &enforce.authentication, enforce.encryption) {
            (Some(dane), _, _) if dane.trust == DaneTrust::Full => Standing::Proven,
            (_, _, _) if enforce.mta_sts.is_some() => Standing::Named,
            (Some(_), _, _) => Standing::HalfProven,
            (None, Authentication::WebPki(_) | Authentication::Fingerprint(_), _) => {
                Standing::Named
            }
            (None, Authentication::None, Encryption::Mandatory) => {
                Standing::Encrypted(match facts.tlsa {
                    TlsaFinding::NoneUsable(_) => Cause::NoneUsable,
                    TlsaFinding::NotSought
                    | TlsaFinding::SecurelyAbsent
                    | TlsaFinding::Insecure
                    | TlsaFinding::Usable { .. }
                    | TlsaFinding::LookupFailed(_) => Cause::Other,
                })
            }
            (None, Authentication::None, Encryption::Opportunistic | Encryption::Never) => {
                Standing::Open
            }
        }
    }

    /// Why, if it is not known what must hold.
    pub(super) fn unknown(&self) -> Option<&String> {
        match self {
            Self::Unknown(reason) => Some(reason),
            Self::Proven
            | Self::HalfProven
            | Self::Encrypted(_)
            | Self::Named
            | Self::Open
            | Self::Barred(_) => None,
        }
    }
}

fn beyond(facts: &HostFacts) -> Beyond {
    match (&facts.tlsa, facts.trust) {
        (TlsaFinding::Usable { .. } | TlsaFinding::LookupFailed(_), DaneTrust::Full) => {
            Beyond::ReachedByDane
        }
        (
            TlsaFinding::Usable { .. }
            | TlsaFinding::LookupFailed(_)
            | TlsaFinding::NotSought
            | TlsaFinding::SecurelyAbsent
            | TlsaFinding::Insecure
            | TlsaFinding::NoneUsable(_),
            DaneTrust::Half | DaneTrust::Full,
        ) => Beyond::Unreached,
    }
}
