//! Answers that say something else.

use hickory_proto::op::Message;
use hickory_proto::rr::{Record, RecordType};

use super::{MX, Row, STAR, Scene, TLSA, WILD, instead, only, renamed, tlsa};
use crate::dns::lie;
use crate::name::Domain;

/// "There is something else."
pub(super) const FORGERIES: &[Row] = &[
    ("signature removed", TLSA, |s, r| {
        only(s, r, |r| lie::strip(r, &[RecordType::RRSIG]))
    }),
    ("signature removed", MX, |s, r| {
        only(s, r, |r| lie::strip(r, &[RecordType::RRSIG]))
    }),
    ("record changed", TLSA, |s, r| {
        only(s, r, |r| r.answers[0] = tlsa(&r.answers[0]))
    }),
    ("record added", TLSA, |s, r| {
        only(s, r, |r| r.answers.push(tlsa(&r.answers[0])))
    }),
    ("TTL raised above the signed one", TLSA, |s, r| {
        only(s, r, |r| change_signature(r, 4, 0xff));
    }),
    ("signature claims a wildcard", TLSA, |s, r| {
        only(s, r, |r| change_signature(r, 3, 2))
    }),
    ("signature claims another key", TLSA, |s, r| {
        only(s, r, |r| change_signature(r, 16, 0))
    }),
    ("signature claims to end later", TLSA, |s, r| {
        only(s, r, |r| change_signature(r, 9, 0x55))
    }),
    ("records of another name", TLSA, |s, r| {
        instead(
            s,
            r,
            &renamed(s.honest("*._tcp.star", RecordType::TLSA), &s.victim()),
        );
    }),
    ("records of another zone", TLSA, |s, r| {
        let other = s.oracle.honest("_25._tcp.mx.ed.test", RecordType::TLSA);
        instead(s, r, &renamed(other, &s.victim()));
    }),
    ("records of an insecure zone", TLSA, |s, r| {
        let other = s.oracle.honest("_25._tcp.mx.plain.test", RecordType::TLSA);
        instead(s, r, &renamed(other, &s.victim()));
    }),
    ("an answer to another question", TLSA, |s, r| {
        instead(s, r, &s.honest("mx", RecordType::A))
    }),
    ("an unsigned alias of an insecure name", TLSA, |s, r| {
        alias(s, r, "_25._tcp.mx.plain.test");
    }),
    (
        "an unsigned alias of a missing insecure name",
        TLSA,
        |s, r| {
            alias(s, r, "_25._tcp.no.plain.test");
        },
    ),
    ("an unsigned DNAME to an insecure zone", TLSA, |s, r| {
        alias_all(s, r, "plain.test");
    }),
    (
        "an alias of another name with its signature",
        TLSA,
        |s, r| {
            let moved = s.honest("to-plain", RecordType::A);
            let mut moved = renamed(moved, &s.victim());
            moved.answers.truncate(2);
            instead(s, r, &moved);
        },
    ),
    (
        "a wildcard without the proof that it applies",
        WILD,
        |s, r| only(s, r, |r| r.authorities.clear()),
    ),
    (
        "a wildcard with the proof for another name",
        WILD,
        |s, r| {
            let proof = s.honest(STAR, RecordType::TLSA).authorities;
            only(s, r, |r| r.authorities = proof);
        },
    ),
];

/// An alias from nowhere, and what the target really has.
fn alias(scene: &Scene<'_>, response: &mut Message, target: &str) {
    let cname = record_of(&scene.attack.victim, RecordType::CNAME, target);
    let mut lied = scene.oracle.honest(target, scene.attack.record_type);
    lied.answers.insert(0, cname);
    instead(scene, response, &lied);
}

/// The same by a DNAME record at the zone's apex.
fn alias_all(scene: &Scene<'_>, response: &mut Message, target: &str) {
    alias(scene, response, &format!("{TLSA}.{target}"));
    let dname = record_of(scene.attack.zone, RecordType::DNAME, target);
    only(scene, response, |r| r.answers.insert(0, dname));
}

fn record_of(owner: &str, record_type: RecordType, target: &str) -> Record {
    lie::record(owner, record_type, 60, &Domain::parse(target).wire())
}

/// Another octet in the data of the signature.
fn change_signature(response: &mut Message, place: usize, octet: u8) {
    for record in &mut response.answers {
        if record.record_type() == RecordType::RRSIG {
            let mut data = lie::data(record);
            data[place] = if data[place] == octet {
                octet ^ 1
            } else {
                octet
            };
            *record = lie::record(
                &record.name.to_ascii(),
                RecordType::RRSIG,
                record.ttl,
                &data,
            );
        }
    }
}
