//! What NSEC records deny (RFC 4034 §4, RFC 4035 §5.4).

use super::denial::{NoDs, hides_below, lacks, without_ds};
use super::flaw::Flaw;
use super::names::{common, is_below, last, wildcard_at};
use super::rdata::Nsec;
use hickory_resolver::proto::rr::{Name, RecordType};

/// NSEC records of one zone, verified.
#[derive(Debug)]
pub(super) struct NsecSet {
    zone: Name,
    records: Vec<Nsec>,
}

/// How a name stands to the span that covers it.
enum Gap {
    /// It does not exist; its closest encloser has this many labels.
    Nothing { encloser: usize },
    /// It has no records, but names below it exist: an empty non-terminal.
    Empty,
}

impl NsecSet {
    pub(super) fn new(zone: &Name, mut records: Vec<Nsec>) -> Self {
        records.retain(|nsec| zone.zone_of(&nsec.owner) && zone.zone_of(&nsec.next));
        Self {
            zone: zone.clone(),
            records,
        }
    }

    /// The name exists without the type, or a wildcard does (RFC 4035 §3.1.3.1, §3.1.3.4).
    pub(super) fn no_data(&self, name: &Name, wanted: RecordType) -> Result<(), Flaw> {
        if let Some(nsec) = self.matching(name) {
            return lacks(&nsec.types, wanted);
        }
        match self.gap(name).ok_or(Flaw::NoDenial)? {
            Gap::Empty => Ok(()),
            Gap::Nothing { encloser } => {
                let wildcard = wildcard_at(&last(name, encloser)).ok_or(Flaw::NoDenial)?;
                match self.matching(&wildcard) {
                    Some(nsec) => lacks(&nsec.types, wanted),
                    None if matches!(self.gap(&wildcard), Some(Gap::Empty)) => Ok(()),
                    None => Err(Flaw::NoDenial),
                }
            }
        }
    }

    /// Neither the name nor a wildcard for it exists (RFC 4035 §3.1.3.2).
    pub(super) fn no_name(&self, name: &Name) -> bool {
        let Some(Gap::Nothing { encloser }) = self.gap(name) else {
            return false;
        };
        // A name too long to exist is not there.
        wildcard_at(&last(name, encloser))
            .is_none_or(|wildcard| matches!(self.gap(&wildcard), Some(Gap::Nothing { .. })))
    }

    pub(super) fn no_closer_match(&self, name: &Name, encloser: usize) -> bool {
        matches!(self.gap(name), Some(Gap::Nothing { encloser: closest }) if closest <= encloser)
    }

    pub(super) fn no_ds(&self, name: &Name) -> Result<NoDs, Flaw> {
        if let Some(nsec) = self.matching(name) {
            return without_ds(&nsec.types);
        }
        match self.gap(name).ok_or(Flaw::DelegationUnproven)? {
            Gap::Empty => Ok(NoDs::NoCut),
            Gap::Nothing { .. } => Ok(NoDs::NothingBelow),
        }
    }

    fn matching(&self, name: &Name) -> Option<&Nsec> {
        self.records.iter().find(|nsec| nsec.owner == *name)
    }

    /// The gap that the name, which has no record of its own, falls into.
    fn gap(&self, name: &Name) -> Option<Gap> {
        let nsec = self.records.iter().find(|nsec| self.covers(nsec, name))?;
        if is_below(&nsec.next, name) {
            return Some(Gap::Empty);
        }
        let encloser = common(name, &nsec.owner).max(common(name, &nsec.next));
        Some(Gap::Nothing { encloser })
    }

    /// Whether the name lies between the record's names; the last record's next one is the apex.
    fn covers(&self, nsec: &Nsec, name: &Name) -> bool {
        let after_owner = self.zone.zone_of(name) && nsec.owner < *name;
        let before_next = *name < nsec.next || nsec.next == self.zone;
        let hidden = is_below(name, &nsec.owner) && hides_below(&nsec.types);
        after_owner && before_next && !hidden
    }
}
