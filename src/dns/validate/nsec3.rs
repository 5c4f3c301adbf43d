//! What NSEC3 records deny (RFC 5155 §8).

use super::budget::Budget;
use super::denial::{NoDs, hides_below, lacks, without_ds};
use super::flaw::Flaw;
use super::names::{append_canonical, labels, last, wildcard_at};
use super::rdata::{Coverage, HASH, Nsec3, Nsec3Parameters};
use crate::dns::Proof;
use aws_lc_rs::digest;
use hickory_resolver::proto::rr::{Name, RecordType};

/// More rounds than this are not computed, and the zone counts as unsigned where they would be needed.
/// RFC 9276 §3.2 allows it from 1 on; 150 is what unbound, BIND and Knot agreed upon in 2021.
pub(super) const MAX_ITERATIONS: u16 = 150;

/// NSEC3 records of one zone with the same parameters, verified.
#[derive(Debug)]
pub(super) struct Nsec3Set {
    zone: Name,
    records: Vec<Nsec3>,
}

/// The closest encloser, and the record that covers the next closer name (RFC 5155 §8.3).
struct Enclosure<'a> {
    encloser: Name,
    cover: &'a Nsec3,
}

impl Nsec3Set {
    /// Records with other parameters than the first are left out (RFC 5155 §8.2).
    pub(super) fn new(zone: &Name, mut records: Vec<Nsec3>) -> Self {
        records.retain(|nsec3| nsec3.zone == *zone);
        if let Some(first) = records.first().map(|nsec3| nsec3.parameters.clone()) {
            records.retain(|nsec3| nsec3.parameters == first);
        }
        Self {
            zone: zone.clone(),
            records,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// RFC 5155 §8.5, §8.7.
    pub(super) fn no_data(
        &self,
        name: &Name,
        wanted: RecordType,
        budget: &mut Budget,
    ) -> Result<Proof, Flaw> {
        if self.parameters()?.iterations > MAX_ITERATIONS {
            return Ok(Proof::Insecure);
        }
        if let Some(nsec3) = self.matching(name, budget)? {
            return lacks(&nsec3.types, wanted).map(|()| Proof::Secure);
        }
        let enclosure = self.enclosure(name, budget)?;
        let wildcard = wildcard_at(&enclosure.encloser).ok_or(Flaw::NoDenial)?;
        match self.matching(&wildcard, budget)? {
            Some(nsec3) => lacks(&nsec3.types, wanted).map(|()| enclosure.proof()),
            // An empty non-terminal above unsigned delegations only need not have a record
            // (RFC 5155 §7.1, erratum 3441).
            None if enclosure.cover.coverage == Coverage::OptOut => Ok(Proof::Insecure),
            None => Err(Flaw::NoDenial),
        }
    }

    /// RFC 5155 §8.4.
    pub(super) fn no_name(&self, name: &Name, budget: &mut Budget) -> Result<Proof, Flaw> {
        if self.parameters()?.iterations > MAX_ITERATIONS {
            return Ok(Proof::Insecure);
        }
        let enclosure = self.enclosure(name, budget)?;
        let wildcard = wildcard_at(&enclosure.encloser).ok_or(Flaw::NoDenial)?;
        self.covering(&wildcard, budget)?.ok_or(Flaw::NoDenial)?;
        Ok(enclosure.proof())
    }

    /// RFC 5155 §8.8.
    pub(super) fn no_closer_match(
        &self,
        name: &Name,
        encloser: usize,
        budget: &mut Budget,
    ) -> Result<Proof, Flaw> {
        if self.parameters()?.iterations > MAX_ITERATIONS {
            return Ok(Proof::Insecure);
        }
        let next_closer = last(name, encloser + 1);
        match self.covering(&next_closer, budget)? {
            Some(cover) => Ok(proof_beside(cover)),
            None => Err(Flaw::WildcardUnproven),
        }
    }

    /// RFC 5155 §8.6.
    pub(super) fn no_ds(&self, name: &Name, budget: &mut Budget) -> Result<NoDs, Flaw> {
        if self.parameters()?.iterations > MAX_ITERATIONS {
            return Ok(NoDs::Unsigned);
        }
        if let Some(nsec3) = self.matching(name, budget)? {
            return without_ds(&nsec3.types);
        }
        let enclosure = self.enclosure(name, budget)?;
        Ok(match enclosure.cover.coverage {
            Coverage::OptOut => NoDs::Unsigned,
            Coverage::Full => NoDs::NothingBelow,
        })
    }

    fn parameters(&self) -> Result<&Nsec3Parameters, Flaw> {
        let first = self.records.first().ok_or(Flaw::NoDenial)?;
        Ok(&first.parameters)
    }

    /// The deepest ancestor that exists; the name one label longer must be shown not to.
    fn enclosure(&self, name: &Name, budget: &mut Budget) -> Result<Enclosure<'_>, Flaw> {
        if !self.zone.zone_of(name) {
            return Err(Flaw::NoDenial);
        }
        for count in (labels(&self.zone)..labels(name)).rev() {
            let encloser = last(name, count);
            let Some(nsec3) = self.matching(&encloser, budget)? else {
                continue;
            };
            if hides_below(&nsec3.types) {
                return Err(Flaw::WrongSide);
            }
            let next_closer = last(name, count + 1);
            let cover = self.covering(&next_closer, budget)?;
            return Ok(Enclosure {
                encloser,
                cover: cover.ok_or(Flaw::NoDenial)?,
            });
        }
        Err(Flaw::NoDenial)
    }

    fn matching(&self, name: &Name, budget: &mut Budget) -> Result<Option<&Nsec3>, Flaw> {
        let hash = hash(name, self.parameters()?, budget)?;
        Ok(self.records.iter().find(|nsec3| nsec3.hash == hash))
    }

    fn covering(&self, name: &Name, budget: &mut Budget) -> Result<Option<&Nsec3>, Flaw> {
        let hash = hash(name, self.parameters()?, budget)?;
        Ok(self.records.iter().find(|nsec3| nsec3.covers(&hash)))
    }
}

impl Enclosure<'_> {
    fn proof(&self) -> Proof {
        proof_beside(self.cover)
    }
}

/// What a denial by this span is worth: under opt-out the name may be an unsigned delegation
/// (RFC 5155 §9.2).
fn proof_beside(cover: &Nsec3) -> Proof {
    match cover.coverage {
        Coverage::Full => Proof::Secure,
        Coverage::OptOut => Proof::Insecure,
    }
}

impl Nsec3 {
    /// Whether the hash lies between the record's; the last record's next one is the first.
    pub(super) fn covers(&self, hash: &[u8; HASH]) -> bool {
        if self.hash < self.next {
            self.hash < *hash && *hash < self.next
        } else {
            self.hash < *hash || *hash < self.next
        }
    }
}

/// RFC 5155 §5.
pub(super) fn hash(
    name: &Name,
    parameters: &Nsec3Parameters,
    budget: &mut Budget,
) -> Result<[u8; HASH], Flaw> {
    budget.hash()?;
    let mut input = Vec::new();
    append_canonical(name, &mut input);
    let mut hashed = [0; HASH];
    for _ in 0..=parameters.iterations {
        input.extend_from_slice(&parameters.salt);
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &input);
        hashed.copy_from_slice(digest.as_ref());
        input.clear();
        input.extend_from_slice(&hashed);
    }
    Ok(hashed)
}
