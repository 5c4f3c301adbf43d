//! The zone is made to look unsigned.

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;

use super::{NO_ERROR, Row, Scene, TLSA, only, renamed, soa_alone, tlsa};
use crate::dns::lie;
use crate::name::name;

/// "The zone is not signed."
pub(super) const CHAINS: &[Row] = &[
    ("no signatures anywhere", TLSA, |_, r| lie::strip(r, SIGNED)),
    ("the DS is denied without proof", TLSA, |s, r| {
        unsign(s, r);
        if s.asks(s.attack.zone, RecordType::DS) {
            lie::deny(r, NO_ERROR, vec![]);
        }
    }),
    (
        "the DS is denied with another zone's proof",
        TLSA,
        |s, r| {
            unsign(s, r);
            if s.asks(s.attack.zone, RecordType::DS) {
                lie::replace(r, &s.oracle.honest("plain.test", RecordType::DS));
            }
        },
    ),
    ("the DS is denied by the zone itself", TLSA, |s, r| {
        unsign(s, r);
        if s.asks(s.attack.zone, RecordType::DS) {
            lie::replace(r, &s.honest("", RecordType::AAAA));
        }
    }),
    (
        "the DS is denied with the SOA of an insecure zone",
        TLSA,
        |s, r| {
            unsign(s, r);
            if s.asks(s.attack.zone, RecordType::DS) {
                let soa = soa_alone(s.oracle.honest("plain.test", RecordType::A));
                lie::deny(r, NO_ERROR, soa);
            }
        },
    ),
    ("the zone is said not to exist", TLSA, |s, r| {
        unsign(s, r);
        if s.asks(s.attack.zone, RecordType::DS) {
            lie::replace(r, &s.oracle.honest("no-such-domain.test", RecordType::DS));
        }
    }),
    ("the DS is of an unknown algorithm", TLSA, |s, r| {
        unsign(s, r);
        if s.asks(s.attack.zone, RecordType::DS)
            && let Some(ds) = r.answers.first_mut()
        {
            let mut data = lie::data(ds);
            data[2] = 200;
            *ds = lie::record(s.attack.zone, RecordType::DS, ds.ttl, &data);
        }
    }),
    ("the keys are another zone's", TLSA, |s, r| {
        if s.asks(s.attack.zone, RecordType::DNSKEY) {
            let keys = s.oracle.honest("ed.test", RecordType::DNSKEY);
            lie::replace(r, &renamed(keys, &name(s.attack.zone)));
        }
    }),
    ("the keys have no signature", TLSA, |s, r| {
        if s.asks(s.attack.zone, RecordType::DNSKEY) {
            lie::strip(r, &[RecordType::RRSIG]);
        }
    }),
    ("the keys are denied", TLSA, |s, r| {
        if s.asks(s.attack.zone, RecordType::DNSKEY) {
            lie::deny(r, NO_ERROR, s.honest("no", RecordType::A).authorities);
        }
    }),
];

/// What an unsigned zone does not have.
const SIGNED: &[RecordType] = &[RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3];

/// The victim's records are forged, and neither it nor its zone is signed.
fn unsign(scene: &Scene<'_>, response: &mut Message) {
    if scene.question.name.ends_with(scene.attack.zone)
        && scene.question.record_type != RecordType::DS
    {
        lie::strip(response, SIGNED);
    }
    only(scene, response, |r| r.answers[0] = tlsa(&r.answers[0]));
}
