//! One host and one demand under one floor: what TLSA records and an MTA-STS policy make of it.

use super::facts::{Demand, HostFacts, StsFinding, TlsaFinding};
use super::floor::Floor;
use super::level::{Level, PolicySource};
use super::reference::Names;
use super::requirement::{
    Audit, AuditPurpose, Authentication, DaneRequirement, DaneTrust, Encryption, Objection,
    ReferenceName, TlsRequirement,
};
use super::rules::MatchName;
use super::verdict::DeferReason;
use crate::mta_sts::Mode;
use crate::names::{DomainName, TlsaBaseDomain};
use std::sync::Arc;

/// What was decided under a floor.
pub(super) struct Decision<'a> {
    pub(super) floor: Floor<'a>,
    pub(super) level: Level,
    pub(super) source: PolicySource,
    pub(super) enforce: TlsRequirement,
    pub(super) audits: Vec<Audit>,
    pub(super) objections: Vec<Objection>,
}

/// Why the host may not be used, under which floor.
pub(super) struct Refused<'a> {
    pub(super) floor: Floor<'a>,
    pub(super) reason: DeferReason,
}

pub(super) type Decided<'a> = Result<Decision<'a>, Refused<'a>>;

/// One host and one demand, under whatever floor.
pub(super) struct Case<'c> {
    pub(super) demand: &'c Demand,
    pub(super) host: &'c HostFacts,
    pub(super) names: Names,
}

/// What published policies make of a floor.
struct Raised {
    level: Level,
    source: PolicySource,
    dane: Option<DaneRequirement>,
    mta_sts: Option<DomainName>,
}

/// What the domain's MTA-STS policy says of the host (RFC 8461 §5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sts {
    Silent,
    Enforced,
    Tested,
    /// In mode `testing`, and the host is none of those listed.
    TestedNotListed,
}

impl Case<'_> {
    pub(super) fn decide<'a>(&self, floor: Floor<'a>) -> Decided<'a> {
        let found = self
            .sts(&floor)
            .and_then(|sts| Ok((sts, self.raise(&floor, sts)?)));
        let (sts, raised) = match found {
            Ok(found) => found,
            Err(reason) => return Err(Refused { floor, reason }),
        };
        let (audits, objections) = self.watch(&raised, &floor, sts);
        Ok(Decision {
            level: raised.level,
            source: raised.source,
            enforce: requirement(raised, &floor, &self.names),
            audits,
            objections,
            floor,
        })
    }

    /// The default binds; what the rule would demand is judged in the same handshake where it demands
    /// TLS.
    pub(super) fn dry_run<'a>(&self, default: Floor<'a>, watched: Floor<'_>) -> Decided<'a> {
        let mut decision = self.decide(default)?;
        let purpose = AuditPurpose::DryRun;
        match self.decide(watched) {
            Ok(watched) if watched.enforce.encryption == Encryption::Mandatory => {
                let requirement = watched.enforce;
                let of_domain = |audit: &Audit| audit.purpose == AuditPurpose::Testing;
                decision.audits.retain(of_domain);
                decision.audits.push(Audit {
                    purpose,
                    requirement,
                });
            }
            Ok(_) => {}
            Err(Refused { reason, .. }) => decision.objections.push(Objection { purpose, reason }),
        }
        Ok(decision)
    }

    fn sts(&self, floor: &Floor<'_>) -> Result<Sts, DeferReason> {
        if !floor.wants_sts(self.demand) {
            return Ok(Sts::Silent);
        }
        let policy = match &self.host.sts {
            StsFinding::NotSought | StsFinding::NoPolicy => return Ok(Sts::Silent),
            StsFinding::Bogus(why) => return Err(DeferReason::StsBogus(why.clone())),
            StsFinding::Unknown(why) => return Err(DeferReason::StsUnknown(why.clone())),
            StsFinding::Policy(policy) => policy,
        };
        let host = self.host.host.as_ref();
        let listed = host.is_some_and(|host| policy.lists(&host.0));
        match (policy.mode, listed) {
            (Mode::None, _) => Ok(Sts::Silent),
            (Mode::Enforce, true) => Ok(Sts::Enforced),
            (Mode::Enforce, false) => Err(DeferReason::NotListed),
            (Mode::Testing, true) => Ok(Sts::Tested),
            (Mode::Testing, false) => Ok(Sts::TestedNotListed),
        }
    }

    /// DANE decides first; an enforced MTA-STS policy comes on top where DANE does not prove that the host is
    /// the domain's (RFC 8461 §2: it never stands in for DANE that has failed).
    fn raise(&self, floor: &Floor<'_>, sts: Sts) -> Result<Raised, DeferReason> {
        let raised = self.raise_by_tlsa(floor)?;
        Ok(if sts == Sts::Enforced && !raised.is_proven() {
            self.with_sts(raised, floor)
        } else {
            raised
        })
    }

    /// A rule that already authenticates keeps its name and its source: both must hold. The default is for
    /// domains that publish nothing.
    fn with_sts(&self, raised: Raised, floor: &Floor<'_>) -> Raised {
        let by_default = floor.source == PolicySource::Default;
        let (level, source) = match raised.level {
            Level::None | Level::May | Level::Dane | Level::Encrypt => {
                (Level::Verify, PolicySource::MtaSts)
            }
            Level::Verify if by_default => (Level::Verify, PolicySource::MtaSts),
            Level::Fingerprint | Level::Verify | Level::Secure | Level::DaneOnly => {
                (raised.level, raised.source)
            }
        };
        Raised {
            level,
            source,
            mta_sts: self.names.host.clone(),
            ..raised
        }
    }

    /// What is left of a floor, or comes on top of it, once it is known what is known of TLSA records.
    /// Only proof that there are none allows less (RFC 7672 §2.1, §2.2).
    fn raise_by_tlsa(&self, floor: &Floor<'_>) -> Result<Raised, DeferReason> {
        let as_it_is = |level| Raised {
            level,
            source: floor.source,
            dane: None,
            mta_sts: None,
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
                mta_sts: None,
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

    /// What is judged beside what is enforced, for the record.
    fn watch(&self, raised: &Raised, floor: &Floor<'_>, sts: Sts) -> (Vec<Audit>, Vec<Objection>) {
        let mut objections = Vec::new();
        let audit = |purpose| {
            self.full_check(floor).map(|requirement| Audit {
                purpose,
                requirement,
            })
        };
        let audit = match sts {
            // Enforced, it would leave that to DANE.
            Sts::Tested if raised.is_proven() => None,
            Sts::Tested => audit(AuditPurpose::Testing),
            Sts::TestedNotListed => {
                objections.push(Objection {
                    purpose: AuditPurpose::Testing,
                    reason: DeferReason::NotListed,
                });
                None
            }
            Sts::Silent | Sts::Enforced if raised.authenticates() => None,
            Sts::Silent | Sts::Enforced => audit(AuditPurpose::Record),
        };
        (audit.into_iter().collect(), objections)
    }

    /// What `verify` would have said, which is also what an MTA-STS policy demands.
    fn full_check(&self, floor: &Floor<'_>) -> Option<TlsRequirement> {
        let name = ReferenceName::Exact(self.names.host.clone()?);
        Some(TlsRequirement {
            encryption: Encryption::Mandatory,
            authentication: Authentication::WebPki([name].into()),
            dane: None,
            mta_sts: None,
            min_version: floor.min_version,
            client_certificate: floor.client_certificate,
        })
    }
}

impl Raised {
    /// Whether DANE proves that the host is the domain's.
    fn is_proven(&self) -> bool {
        let dane = self.dane.as_ref();
        dane.is_some_and(|dane| dane.trust == DaneTrust::Full)
    }

    /// Whether somebody is authenticated, so that a full check would tell nothing more.
    fn authenticates(&self) -> bool {
        let by_level = match self.level {
            Level::Fingerprint | Level::Verify | Level::Secure | Level::DaneOnly => true,
            Level::None | Level::May | Level::Dane | Level::Encrypt => false,
        };
        by_level || self.dane.is_some() || self.level == Level::None
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
        mta_sts: None,
    }
}

/// The floor's own authentication holds as long as the floor is what decides.
fn requirement(raised: Raised, floor: &Floor<'_>, names: &Names) -> TlsRequirement {
    let encryption = match raised.level {
        Level::None => Encryption::Never,
        Level::May => Encryption::Opportunistic,
        Level::Dane
        | Level::DaneOnly
        | Level::Encrypt
        | Level::Fingerprint
        | Level::Verify
        | Level::Secure => Encryption::Mandatory,
    };
    let authentication = if raised.source == floor.source {
        authentication(raised.level, floor, names)
    } else {
        Authentication::None
    };
    TlsRequirement {
        encryption,
        authentication,
        dane: raised.dane.map(Arc::new),
        mta_sts: raised.mta_sts,
        min_version: floor.min_version,
        client_certificate: floor.client_certificate,
    }
}

fn authentication(level: Level, floor: &Floor<'_>, names: &Names) -> Authentication {
    match level {
        Level::None | Level::May | Level::Dane | Level::DaneOnly | Level::Encrypt => {
            Authentication::None
        }
        Level::Fingerprint => {
            let pins = floor.rule.map_or(&[][..], |rule| &rule.fingerprints);
            Authentication::Fingerprint(pins.into())
        }
        Level::Verify => names.webpki(floor.rule, &[MatchName::HostName]),
        Level::Secure => names.webpki(floor.rule, &[MatchName::NextHop, MatchName::DotNextHop]),
    }
}
