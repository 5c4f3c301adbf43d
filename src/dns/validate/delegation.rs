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
        // Where there is an alias there is no zone cut (RFC 1034 §3.6.2, RFC 6672 §2.3), if it is there.
        if let Some(set) = alias_at(&reply.answers, name, zone) {
            let verified = signature::verify(&set, zone, now, budget)?;
            if let Origin::Wildcard { encloser } = verified.origin {
                let denials = Denials::collect(&reply.authorities, zone, now, budget)?;
                denials.no_closer_match(set.owner, encloser, budget)?;
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::{Record as Typed, cname, name, read_back, response};
    use crate::dns::world::{Denial, OPT_OUT, Window, World, Zone, raw, wire};
    use hickory_resolver::proto::op::ResponseCode;

    /// What the reply to `DS at` with these records says: `signed`, `unsigned`, ..., or the flaw.
    fn say(zone: &Zone, at: &str, answers: Vec<Typed>, authorities: Vec<Typed>) -> String {
        let mut message = response(ResponseCode::NoError);
        message.add_answers(answers);
        message.add_authorities(authorities);
        let keys = ZoneKeys::of(&zone.name, &[&zone.signer.as_ref().unwrap().dnskey()]);
        let now = WallClock::from(crate::clock::now());
        let reply = read_back(&message);
        match Fork::read(&reply, &name(at), &keys, now, &mut Budget::new()) {
            Ok(fork) => match fork.way {
                Way::Signed(ds) => format!("signed {}", ds.len()),
                Way::Unsigned => "unsigned".into(),
                Way::NoCut => "no cut".into(),
                Way::NothingBelow => "nothing below".into(),
            },
            Err(flaw) => flaw.to_string(),
        }
    }

    #[test]
    fn answers_to_ds_questions() {
        let world = World::new();
        let zone = world.zone("test.");
        let ds = zone.answer(&name("ec.test."), RecordType::DS, &name("ec.test."));
        let unknown = world.answer("unknown.test.", RecordType::DS).answers;
        let plain = || zone.deny(&name("plain.test."));
        let child = world.zone("ec.test.").deny(&name("ec.test."));
        let mut unsigned = ds.clone();
        unsigned.pop();
        for (what, at, answers, authorities, expected) in [
            ("signed", "ec.test.", ds.clone(), vec![], "signed 1"),
            (
                "not understood",
                "unknown.test.",
                unknown,
                vec![],
                "unsigned",
            ),
            ("no signature", "ec.test.", unsigned, vec![], "no signature"),
            ("unsigned", "plain.test.", vec![], plain(), "unsigned"),
            (
                "nothing",
                "x.test.",
                vec![],
                zone.deny(&name("x.test.")),
                "nothing below",
            ),
            (
                "no proof",
                "ec.test.",
                vec![],
                vec![],
                "no proof that the delegation is unsigned",
            ),
            (
                "another's proof",
                "ec.test.",
                vec![],
                plain(),
                "no proof that the delegation is unsigned",
            ),
            (
                "the child's proof",
                "ec.test.",
                vec![],
                child,
                "no proof that the delegation is unsigned",
            ),
            (
                "another's DS",
                "x.test.",
                ds,
                zone.deny(&name("x.test.")),
                "nothing below",
            ),
        ] {
            assert_eq!(say(zone, at, answers, authorities), expected, "{what}");
        }
    }

    #[test]
    fn aliases_and_wildcards_at_the_name() {
        let mut zone = Zone::signed("z.", Denial::Nsec3(0, OPT_OUT), Window::NOW);
        zone.records.push(cname("a.z.", "elsewhere.", 60));
        zone.records.push(cname("*.w.z.", "elsewhere.", 60));
        zone.add(&name("d.z."), RecordType::DNAME, wire(&name("elsewhere.")));
        zone.add(&name("*.s.z."), RecordType::DS, vec![0, 1, 13, 2, 9]);
        let alias = zone.answer(&name("a.z."), RecordType::CNAME, &name("a.z."));
        let wild = zone.answer(&name("*.w.z."), RecordType::CNAME, &name("x.w.z."));
        let dname = zone.answer(&name("d.z."), RecordType::DNAME, &name("d.z."));
        let wild_ds = zone.answer(&name("*.s.z."), RecordType::DS, &name("x.s.z."));
        let target = wire(&name("elsewhere."));
        let bare = vec![raw(&name("d.z."), RecordType::DNAME, 60, target)];
        let proof = zone.deny(&name("x.w.z."));
        for (what, at, answers, authorities, expected) in [
            ("CNAME", "a.z.", alias, vec![], "no cut"),
            (
                "CNAME of a wildcard",
                "x.w.z.",
                wild.clone(),
                proof,
                "no cut",
            ),
            (
                "without its proof",
                "x.w.z.",
                wild,
                vec![],
                "no proof of absence",
            ),
            ("DNAME", "x.d.z.", dname, vec![], "nothing below"),
            (
                "DNAME without signature",
                "x.d.z.",
                bare,
                vec![],
                "no signature",
            ),
            (
                "DS of a wildcard",
                "x.s.z.",
                wild_ds,
                vec![],
                "no proof that no closer name matches a wildcard",
            ),
        ] {
            assert_eq!(say(&zone, at, answers, authorities), expected, "{what}");
        }
    }
}
