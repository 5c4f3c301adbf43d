//! What the answer to a DS question says of the name below a signed zone (RFC 4035 §5.2).

use super::budget::Budget;
use super::denial::{Denials, NoDs};
use super::flaw::Flaw;
use super::keys::{Delegation, ZoneKeys};
use super::names::is_below;
use super::rdata::Ds;
use super::rrset::RrSet;
use super::signature::{self, Origin, WallClock};
use crate::dns::wire::{Record, Reply};
use hickory_resolver::proto::rr::{Name, RecordType};

/// What lies at a name below the apex of a signed zone, proven by the zone, and for how many seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) struct Fork {
    pub way: Way,
    pub ttl: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) enum Way {
    /// A signed zone: one of these is a digest of a key of it.
    Signed(Vec<Ds>),
    /// An unsigned zone, or what cannot be told from one.
    Unsigned,
    /// The same zone.
    NoCut,
    /// The same zone, and nothing exists there or below.
    NothingBelow,
}

impl Fork {
    /// Reads the reply to the DS question for `name`; only what `zone` has signed counts, so that an
    /// answer of the child's side is none.
    pub(in crate::dns) fn read(
        reply: &Reply,
        name: &Name,
        zone: &ZoneKeys,
        now: WallClock,
        budget: &mut Budget,
    ) -> Result<Self, Flaw> {
        if let Some(set) = RrSet::find(&reply.answers, name, RecordType::DS) {
            let verified = signature::verify(&set, zone, now, budget)?;
            if verified.origin != Origin::Exact {
                return Err(Flaw::WildcardUnproven);
            }
            let way = match Delegation::read(&set) {
                Delegation::Signed(ds) => Way::Signed(ds),
                Delegation::NotUnderstood => Way::Unsigned,
            };
            let ttl = verified.ttl;
            return Ok(Self { way, ttl });
        }
        // Where there is an alias there is no zone cut (RFC 1034 §3.6.2, RFC 6672 §2.3). At worst, if it
        // comes from a wildcard that does not apply, too much is taken for signed.
        if let Some(set) = alias_at(&reply.answers, name, zone) {
            let verified = signature::verify(&set, zone, now, budget)?;
            let way = if set.record_type == RecordType::CNAME {
                Way::NoCut
            } else {
                Way::NothingBelow
            };
            let ttl = verified.ttl;
            return Ok(Self { way, ttl });
        }
        let denials = Denials::collect(&reply.authorities, zone, now, budget)?;
        let way = match denials.no_ds(name, budget)? {
            NoDs::Unsigned => Way::Unsigned,
            NoDs::NoCut => Way::NoCut,
            NoDs::NothingBelow => Way::NothingBelow,
        };
        Ok(Self {
            way,
            ttl: denials.ttl,
        })
    }
}

/// The DNAME set above the name, or the CNAME set at it.
fn alias_at<'a>(answers: &'a [Record], name: &'a Name, zone: &ZoneKeys) -> Option<RrSet<'a>> {
    let above = answers.iter().find(|record| {
        record.record_type == RecordType::DNAME
            && is_below(name, &record.owner)
            && zone.zone.zone_of(&record.owner)
    });
    match above {
        Some(record) => RrSet::find(answers, &record.owner, RecordType::DNAME),
        None => RrSet::find(answers, name, RecordType::CNAME),
    }
}
