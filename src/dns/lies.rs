//! Lies about published TLSA records.

use super::testing::{cname, name, ns, soa};
use super::world::{Answers, Signer, TTL, Window, World, raw, wire};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, Record, RecordType};

/// Whose zone, and what is said to the question `TYPE name`.
pub(super) type Lie = fn(&World, &str, &str, &mut Answers);

fn tlsa(zone: &str) -> String {
    format!("_25._tcp.mx.{zone}")
}

fn is_for_tlsa(zone: &str, question: &str) -> bool {
    question == format!("TLSA {}", tlsa(zone))
}

fn signer<'w>(world: &'w World, zone: &str) -> &'w Signer {
    world.zone(zone).signer.as_ref().unwrap()
}

fn is_signature(record: &Record) -> bool {
    record.record_type() == RecordType::RRSIG
}

/// Octets of a record whose data are not in hickory's types.
fn octets(record: &mut Record) -> &mut Vec<u8> {
    let RData::Unknown { rdata, .. } = &mut record.data else {
        panic!("typed data");
    };
    &mut rdata.anything
}

fn empty(said: &mut Answers, code: ResponseCode, authorities: Vec<Record>) {
    said.answers.clear();
    said.code = code;
    said.authorities = authorities;
}

pub(super) fn unsigned(mut records: Vec<Record>) -> Vec<Record> {
    records.retain(|record| !is_signature(record));
    records
}

/// No answer has a TLSA record with a proof of absence from elsewhere.
fn denied(world: &World, zone: &str, said: &mut Answers, what: &str) {
    let (kind, of) = what.split_once(' ').unwrap();
    let kind = kind.parse().unwrap();
    let borrowed = world.answer(&of.replace('@', zone), kind);
    empty(said, borrowed.code, borrowed.authorities);
}

pub(super) const LIES: &[(&str, Lie)] = &[
    ("signatures are stripped", |_, zone, question, said| {
        if is_for_tlsa(zone, question) {
            said.answers.retain(|record| !is_signature(record));
        }
    }),
    ("a server that knows no DNSSEC", |_, _, _, said| {
        let dnssec = [RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3];
        said.answers.retain(|r| !dnssec.contains(&r.record_type()));
        said.authorities
            .retain(|r| !dnssec.contains(&r.record_type()));
    }),
    ("nothing at all", |_, zone, question, said| {
        if is_for_tlsa(zone, question) {
            empty(said, ResponseCode::NoError, vec![]);
        }
    }),
    (
        "no data, with an unsigned SOA",
        |_, zone, question, said| {
            if is_for_tlsa(zone, question) {
                empty(said, ResponseCode::NoError, vec![soa(zone, 60, 60)]);
            }
        },
    ),
    (
        "no data, with a SOA of an unsigned zone",
        |_, zone, question, said| {
            if is_for_tlsa(zone, question) {
                let soa = soa("plain.test.", 60, 60);
                empty(said, ResponseCode::NoError, vec![soa]);
            }
        },
    ),
    (
        "no name, with a SOA of an unsigned zone",
        |_, zone, question, said| {
            if is_for_tlsa(zone, question) {
                let soa = soa("child.opt.test.", 60, 60);
                empty(said, ResponseCode::NXDomain, vec![soa]);
            }
        },
    ),
    (
        "no data, with the signed SOA",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                empty(said, ResponseCode::NoError, world.zone(zone).soa());
            }
        },
    ),
    ("denial of another name", |world, zone, question, said| {
        if is_for_tlsa(zone, question) {
            denied(world, zone, said, "TLSA _25._tcp.none.@");
        }
    }),
    (
        "denial of another type at the host",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                denied(world, zone, said, "TLSA mx.@");
            }
        },
    ),
    (
        "denial of a type at the name itself, for the name",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                denied(world, zone, said, "TXT _25._tcp.mx.@");
                said.code = ResponseCode::NXDomain;
            }
        },
    ),
    (
        "denial of an empty non-terminal",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                denied(world, zone, said, "TLSA _tcp.mx.@");
            }
        },
    ),
    ("denial at the apex", |world, zone, question, said| {
        if is_for_tlsa(zone, question) {
            denied(world, zone, said, "TLSA @");
        }
    }),
    (
        "denial at the apex, no name",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                denied(world, zone, said, "TLSA @");
                said.code = ResponseCode::NXDomain;
            }
        },
    ),
    (
        "the parent's denial at the delegation",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                empty(
                    said,
                    ResponseCode::NXDomain,
                    world.zone("test.").deny(&name("ec.test.")),
                );
            }
        },
    ),
    (
        "the parent's denial of its own names",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                denied(world, zone, said, "TLSA nowhere.test.");
            }
        },
    ),
    ("the root's denial", |world, zone, question, said| {
        if is_for_tlsa(zone, question) {
            denied(world, zone, said, "TLSA nowhere.");
        }
    }),
    (
        "denial by the zone beside",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                denied(world, zone, said, "TLSA _25._tcp.none.sib.test.");
            }
        },
    ),
    ("opt-out of another zone", |world, zone, question, said| {
        if is_for_tlsa(zone, question) && zone != "opt.test." {
            denied(world, zone, said, "DS child.opt.test.");
            said.code = ResponseCode::NXDomain;
        }
    }),
    (
        "opt-out of the zone itself",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                denied(world, zone, said, "TLSA none.opt.test.");
            }
        },
    ),
    (
        "too many rounds in another zone",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                denied(world, zone, said, "TLSA none.iter.test.");
            }
        },
    ),
    ("an altered record", |_, zone, question, said| {
        if is_for_tlsa(zone, question) {
            octets(&mut said.answers[0])[3] ^= 1;
        }
    }),
    ("an added record", |_, zone, question, said| {
        if is_for_tlsa(zone, question) {
            let data = [&[3, 1, 1][..], &[8; 32]].concat();
            let added = raw(&name(&tlsa(zone)), RecordType::TLSA, TTL, data);
            said.answers.push(added);
        }
    }),
    (
        "a signature of an unknown algorithm",
        |_, zone, question, said| {
            if is_for_tlsa(zone, question) {
                said.answers
                    .iter_mut()
                    .filter(|r| is_signature(r))
                    .for_each(|r| octets(r)[2] = 200);
            }
        },
    ),
    ("an altered signature", |_, zone, question, said| {
        if is_for_tlsa(zone, question) {
            for record in said.answers.iter_mut().filter(|r| is_signature(r)) {
                *octets(record).last_mut().unwrap() ^= 1;
            }
        }
    }),
    (
        "a signature by the zone beside",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                resign(said, signer(world, "sib.test."), zone);
            }
        },
    ),
    (
        "a signature by a key that is not published",
        |_, zone, question, said| {
            if is_for_tlsa(zone, question) {
                resign(said, &Signer::new(&name(zone), Window::NOW), zone);
            }
        },
    ),
    (
        "a signature by an unsigned zone below",
        |_, zone, question, said| {
            if is_for_tlsa(zone, question) {
                let below = name(&format!("_tcp.mx.{zone}"));
                resign(said, &Signer::new(&below, Window::NOW), zone);
            }
        },
    ),
    ("an expired signature", |world, zone, question, said| {
        if is_for_tlsa(zone, question) {
            let set = unsigned(said.answers.clone());
            let past = Window {
                from: -200,
                to: -100,
            };
            let old = signer(world, zone).sign_for(&set, &name(&tlsa(zone)), past);
            said.answers = [set, vec![old]].concat();
        }
    }),
    ("an alias to an unsigned zone", |_, zone, question, said| {
        if is_for_tlsa(zone, question) {
            let alias = cname(&tlsa(zone), "_25._tcp.mx.plain.test.", TTL);
            said.answers = vec![alias];
            said.authorities = vec![soa("plain.test.", 60, 60)];
        }
    }),
    (
        "a signed alias of another name",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                let borrowed = world
                    .answer(&format!("out.{zone}"), RecordType::CNAME)
                    .answers;
                said.answers = borrowed;
                said.answers
                    .iter_mut()
                    .for_each(|r| r.name = name(&tlsa(zone)));
            }
        },
    ),
    ("an unsigned DNAME above", |_, zone, question, said| {
        if is_for_tlsa(zone, question) {
            let owner = name(&format!("mx.{zone}"));
            let target = wire(&name("mx.plain.test."));
            said.answers = vec![raw(&owner, RecordType::DNAME, TTL, target)];
        }
    }),
    ("a forged unsigned delegation", |_, zone, question, said| {
        if is_for_tlsa(zone, question) {
            empty(said, ResponseCode::NoError, vec![]);
        }
        if question == format!("DS {zone}") {
            let authorities = vec![soa("test.", 60, 60), ns(zone, "ns.evil.test.")];
            empty(said, ResponseCode::NoError, authorities);
        }
    }),
    (
        "a forged unsigned delegation at the host",
        |_, zone, question, said| {
            if is_for_tlsa(zone, question) {
                empty(said, ResponseCode::NoError, vec![]);
            }
            if question == format!("DS mx.{zone}") {
                empty(
                    said,
                    ResponseCode::NoError,
                    vec![ns(&format!("mx.{zone}"), "ns.evil.test.")],
                );
            }
        },
    ),
    (
        "DS denied by the child's own denial",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                said.answers.retain(|record| !is_signature(record));
            }
            if question == format!("DS {zone}") {
                let authorities =
                    [world.zone(zone).soa(), world.zone(zone).deny(&name(zone))].concat();
                empty(said, ResponseCode::NoError, authorities);
            }
        },
    ),
    (
        "DS denied by the denial of another delegation",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                said.answers.retain(|record| !is_signature(record));
            }
            if question == format!("DS {zone}") {
                let of = match zone {
                    "sec.opt.test." => "DS child.opt.test.",
                    _ => "DS plain.test.",
                };
                denied(world, zone, said, of);
            }
        },
    ),
    ("DS without signature", |_, zone, question, said| {
        if question == format!("DS {zone}") {
            said.answers.retain(|record| !is_signature(record));
        }
    }),
    (
        "DS of an unknown algorithm",
        |world, zone, question, said| {
            if is_for_tlsa(zone, question) {
                said.answers.retain(|record| !is_signature(record));
            }
            if question == format!("DS {zone}") {
                said.answers = world.answer("unknown.test.", RecordType::DS).answers;
                said.answers.iter_mut().for_each(|r| r.name = name(zone));
            }
        },
    ),
    ("another key set", |_, zone, question, said| {
        if question == format!("DNSKEY {zone}") {
            let other = Signer::new(&name(zone), Window::NOW);
            let key = raw(&name(zone), RecordType::DNSKEY, TTL, other.dnskey());
            let signature = other.sign(std::slice::from_ref(&key), &name(zone));
            said.answers = vec![key, signature];
        }
    }),
    ("a key added to the set", |_, zone, question, said| {
        let other = Signer::new(&name(zone), Window::NOW);
        if question == format!("DNSKEY {zone}") {
            let key = raw(&name(zone), RecordType::DNSKEY, TTL, other.dnskey());
            said.answers.push(key);
        }
    }),
    ("no keys", |_, zone, question, said| {
        if question == format!("DNSKEY {zone}") {
            said.answers.clear();
        }
    }),
];

fn resign(said: &mut Answers, signer: &Signer, zone: &str) {
    let set = unsigned(said.answers.clone());
    let signature = signer.sign(&set, &name(&tlsa(zone)));
    said.answers = [set, vec![signature]].concat();
}
