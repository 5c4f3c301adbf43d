//! Proofs of absence: the NSEC or NSEC3 records of one zone in a reply, verified, and what they show
//! (RFC 4035 §5.4, RFC 5155 §8, RFC 6840 §4).

use super::budget::Budget;
use super::flaw::Flaw;
use super::keys::ZoneKeys;
use super::names::{last, wildcard_at};
use super::nsec::NsecSet;
use super::nsec3::Nsec3Set;
use super::rdata::{Nsec, Nsec3, TypeBitmap};
use super::rrset::{RrSet, denial_signers};
use super::signature::{self, Origin, WallClock};
use crate::dns::wire::Record;
use crate::dns::{Existence, Proof};
use hickory_resolver::proto::rr::{Name, RecordType};

/// Sets of NSEC or NSEC3 records in one reply that are looked at; a proof needs up to three, and a chain
/// of aliases may bring several proofs.
const MAX_DENIALS: usize = 24;

/// The denials of one zone.
#[derive(Debug)]
pub(in crate::dns) struct Denials {
    nsec: NsecSet,
    nsec3: Nsec3Set,
    /// The lowest of their TTLs, in seconds.
    pub ttl: u32,
}

/// An absence that has been shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dns) struct Absence {
    pub existence: Existence,
    /// Insecure where an unsigned delegation may be hidden (RFC 5155 §9.2), or where hashing would cost
    /// too much (RFC 9276 §3.2).
    pub proof: Proof,
}

/// What the denial of a DS set shows of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dns) enum NoDs {
    /// A delegation that is not signed, or what cannot be told from one.
    Unsigned,
    /// No delegation: the name, if it exists, belongs to the zone.
    NoCut,
    /// Nor is there anything below it.
    NothingBelow,
}

impl Denials {
    /// Takes those with a good signature by the zone.
    pub(in crate::dns) fn collect(
        authorities: &[Record],
        zone: &ZoneKeys,
        now: WallClock,
        budget: &mut Budget,
    ) -> Result<Self, Flaw> {
        let mut nsec = Vec::new();
        let mut nsec3 = Vec::new();
        let mut ttl = u32::MAX;
        for (owner, record_type) in denial_owners(authorities) {
            let Some(set) = RrSet::find(authorities, owner, record_type) else {
                continue;
            };
            let verified = match signature::verify(&set, zone, now, budget) {
                Ok(verified) => verified,
                Err(Flaw::TooMuchWork) => return Err(Flaw::TooMuchWork),
                Err(_) => continue,
            };
            ttl = ttl.min(verified.ttl);
            let records = authorities
                .iter()
                .filter(|record| record.record_type == record_type && record.owner == *owner);
            match (record_type, verified.origin) {
                (RecordType::NSEC, Origin::Exact) => nsec.extend(records.filter_map(Nsec::read)),
                // One that a server has given another name speaks for the wildcard that it is of.
                (RecordType::NSEC, Origin::Wildcard { encloser }) => {
                    let Some(wildcard) = wildcard_at(&last(owner, encloser)) else {
                        continue;
                    };
                    nsec.extend(records.filter_map(Nsec::read).map(|nsec| Nsec {
                        owner: wildcard.clone(),
                        ..nsec
                    }));
                }
                (_, Origin::Exact) => nsec3.extend(records.filter_map(Nsec3::read)),
                (_, Origin::Wildcard { .. }) => {}
            }
        }
        Ok(Self {
            nsec: NsecSet::new(&zone.zone, nsec),
            nsec3: Nsec3Set::new(&zone.zone, nsec3),
            ttl,
        })
    }

    /// The zones that might have signed denials for `name`.
    pub(in crate::dns) fn signers(authorities: &[Record], name: &Name) -> Vec<Name> {
        denial_signers(authorities, name)
    }

    /// Whether there is no such type at `name`, or no such name. What is claimed is tried first; a zone may
    /// deny the type only where its server says that there is no such name, but never the reverse.
    pub(in crate::dns) fn absence(
        &self,
        name: &Name,
        wanted: RecordType,
        claimed: Existence,
        budget: &mut Budget,
    ) -> Result<Absence, Flaw> {
        if claimed == Existence::NxDomain
            && let Ok(proof) = self.no_name(name, budget)
        {
            return Ok(Absence {
                existence: Existence::NxDomain,
                proof,
            });
        }
        let proof = match self.nsec.no_data(name, wanted) {
            Ok(()) => Proof::Secure,
            Err(flaw) if self.nsec3.is_empty() => return Err(flaw),
            Err(_) => self.nsec3.no_data(name, wanted, budget)?,
        };
        Ok(Absence {
            existence: Existence::NoData,
            proof,
        })
    }

    fn no_name(&self, name: &Name, budget: &mut Budget) -> Result<Proof, Flaw> {
        if self.nsec.no_name(name) {
            return Ok(Proof::Secure);
        }
        self.nsec3.no_name(name, budget)
    }

    /// Whether no name matches `name` better than the wildcard below its last `encloser` labels
    /// (RFC 4035 §5.3.4, RFC 5155 §8.8).
    pub(in crate::dns) fn no_closer_match(
        &self,
        name: &Name,
        encloser: usize,
        budget: &mut Budget,
    ) -> Result<Proof, Flaw> {
        if self.nsec.no_closer_match(name, encloser) {
            return Ok(Proof::Secure);
        }
        self.nsec3.no_closer_match(name, encloser, budget)
    }

    /// Whether there is no DS set at `name`, which is below the zone, and what that makes of it.
    pub(in crate::dns) fn no_ds(&self, name: &Name, budget: &mut Budget) -> Result<NoDs, Flaw> {
        match self.nsec.no_ds(name) {
            Ok(no_ds) => Ok(no_ds),
            Err(flaw) if self.nsec3.is_empty() => Err(flaw),
            Err(_) => self.nsec3.no_ds(name, budget),
        }
    }
}

/// Whether the types at a name deny `wanted` (RFC 6840 §4.1, §4.3).
pub(super) fn lacks(types: &TypeBitmap, wanted: RecordType) -> Result<(), Flaw> {
    if types.is_delegation() {
        return Err(Flaw::WrongSide);
    }
    if types.has(wanted) || types.has(RecordType::CNAME) {
        return Err(Flaw::Listed);
    }
    Ok(())
}

/// What the types at a name below the zone's apex, where there is no DS set, make of it.
pub(super) fn without_ds(types: &TypeBitmap) -> Result<NoDs, Flaw> {
    if types.has(RecordType::SOA) {
        return Err(Flaw::WrongSide); // of the child's apex (RFC 4035 §5.2)
    }
    if types.has(RecordType::DS) {
        return Err(Flaw::Listed);
    }
    Ok(if types.has(RecordType::NS) {
        NoDs::Unsigned
    } else {
        NoDs::NoCut
    })
}

/// Whether the name that owns these types hides what is below it: a delegation or a DNAME record
/// (RFC 6840 §4.1, RFC 6672 §5.3.4.1).
pub(super) fn hides_below(types: &TypeBitmap) -> bool {
    types.is_delegation() || types.has(RecordType::DNAME)
}

fn denial_owners(authorities: &[Record]) -> Vec<(&Name, RecordType)> {
    let mut owners: Vec<(&Name, RecordType)> = Vec::new();
    for record in authorities {
        let kind = (&record.owner, record.record_type);
        let denies = matches!(record.record_type, RecordType::NSEC | RecordType::NSEC3);
        if denies && owners.len() < MAX_DENIALS && !owners.contains(&kind) {
            owners.push(kind);
        }
    }
    owners
}
