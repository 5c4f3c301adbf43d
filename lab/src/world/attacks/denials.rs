//! Denials of what exists, and answers that are none.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::{BELOW, NO_ERROR, NO_NAME, Row, STAR, TLSA, WILD, deny, instead, soa, soa_alone};

/// "There is nothing."
pub(super) const DENIALS: &[Row] = &[
    ("no such name, without proof", TLSA, |s, r| {
        deny(s, r, NO_NAME, vec![])
    }),
    ("no such type, without proof", TLSA, |s, r| {
        deny(s, r, NO_ERROR, vec![])
    }),
    ("no such type, the zone's SOA only", TLSA, |s, r| {
        deny(s, r, NO_ERROR, soa(s.honest("no", RecordType::A)));
    }),
    ("no such name, the zone's SOA only", TLSA, |s, r| {
        deny(s, r, NO_NAME, soa(s.honest("no", RecordType::A)));
    }),
    ("no such type, the zone's SOA unsigned", TLSA, |s, r| {
        deny(s, r, NO_ERROR, soa_alone(s.honest("no", RecordType::A)));
    }),
    ("no such type, SOA of an insecure zone", TLSA, |s, r| {
        deny(
            s,
            r,
            NO_ERROR,
            soa_alone(s.oracle.honest("no.plain.test", RecordType::A)),
        );
    }),
    ("no such name, SOA of an insecure zone", TLSA, |s, r| {
        deny(
            s,
            r,
            NO_NAME,
            soa_alone(s.oracle.honest("no.plain.test", RecordType::A)),
        );
    }),
    ("no such type, SOA of an insecure child", TLSA, |s, r| {
        deny(
            s,
            r,
            NO_ERROR,
            soa_alone(s.honest("no.unsigned", RecordType::A)),
        );
    }),
    ("no such name, SOA of an insecure child", TLSA, |s, r| {
        deny(
            s,
            r,
            NO_NAME,
            soa_alone(s.honest("no.unsigned", RecordType::A)),
        );
    }),
    ("proof for another name", TLSA, |s, r| {
        instead(s, r, &s.honest("_25._tcp.no", RecordType::TLSA))
    }),
    ("proof for another name as no such type", TLSA, |s, r| {
        deny(
            s,
            r,
            NO_ERROR,
            s.honest("_25._tcp.no", RecordType::TLSA).authorities,
        );
    }),
    ("proof for another type", TLSA, |s, r| {
        instead(s, r, &s.honest("mx", RecordType::AAAA))
    }),
    ("proof for the empty name above", TLSA, |s, r| {
        instead(s, r, &s.honest("_tcp.mx", RecordType::TLSA))
    }),
    (
        "proof for the empty name above as no such name",
        TLSA,
        |s, r| {
            deny(
                s,
                r,
                NO_NAME,
                s.honest("_tcp.mx", RecordType::TLSA).authorities,
            );
        },
    ),
    ("proof from another secure zone", TLSA, |s, r| {
        instead(
            s,
            r,
            &s.oracle.honest("_25._tcp.no.ed.test", RecordType::TLSA),
        );
    }),
    ("the parent's proof, no such name", TLSA, |s, r| {
        deny(s, r, NO_NAME, s.oracle.denial("test", &s.attack.victim));
    }),
    ("the parent's proof, no such type", TLSA, |s, r| {
        deny(s, r, NO_ERROR, s.oracle.denial("test", &s.attack.victim));
    }),
    (
        "the parent's proof for a name in its child",
        BELOW,
        |s, r| {
            deny(
                s,
                r,
                NO_NAME,
                s.oracle.denial(s.attack.zone, &s.attack.victim),
            );
        },
    ),
    (
        "the proof is for the name, not for the wildcard",
        STAR,
        |s, r| {
            deny(s, r, NO_NAME, s.honest(STAR, RecordType::TLSA).authorities);
        },
    ),
    ("the proof of another wildcard's types", STAR, |s, r| {
        instead(s, r, &s.honest(WILD, RecordType::TLSA))
    }),
];

/// "We do not know." That is no lie about the zone, but no answer either.
pub(super) const FAILURES: &[Row] = &[
    ("SERVFAIL", TLSA, |s, r| {
        deny(s, r, ResponseCode::ServFail, vec![])
    }),
    ("REFUSED", TLSA, |s, r| {
        deny(s, r, ResponseCode::Refused, vec![])
    }),
    ("NOTIMP", TLSA, |s, r| {
        deny(s, r, ResponseCode::NotImp, vec![])
    }),
    ("FORMERR", TLSA, |s, r| {
        deny(s, r, ResponseCode::FormErr, vec![])
    }),
];
