//! Signatures that are wrong in one way each, and what may be spent on them.

use super::budget::Budget;
use super::flaw::Flaw;
use super::keys::ZoneKeys;
use super::rrset::RrSet;
use super::signature::{Origin, Verified, WallClock, verify};
use crate::dns::testing::{a, mx, name, read_back, response};
use crate::dns::wire::Record;
use crate::dns::world::{Signer, Window};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

struct Case {
    keys: ZoneKeys,
    records: Vec<Record>,
}

/// `host.test. A`, signed by `test.` under the name given.
fn signed_as(source: &str, window: Window) -> Case {
    let signer = Signer::new(&name("test."), window);
    let set = vec![
        a("host.test.", "192.0.2.2", 300),
        a("host.test.", "192.0.2.1", 300),
    ];
    let mut message = response(ResponseCode::NoError);
    message.add_answer(signer.sign(&set, &name(source)));
    message.add_answers(set);
    Case {
        keys: ZoneKeys::of(&name("test."), &[&signer.dnskey()]),
        records: read_back(&message).answers,
    }
}

fn signed() -> Case {
    signed_as("host.test.", Window::NOW)
}

impl Case {
    fn check(&self) -> Result<Verified, Flaw> {
        self.spend(&mut Budget::new())
    }

    fn spend(&self, budget: &mut Budget) -> Result<Verified, Flaw> {
        let owner = name("host.test.");
        let set = RrSet::find(&self.records, &owner, RecordType::A).unwrap();
        let now = WallClock::from(crate::clock::now());
        verify(&set, &self.keys, now, budget)
    }

    /// The data of the signature.
    fn signature(&mut self) -> &mut Box<[u8]> {
        &mut self.records[0].data
    }
}

#[test]
fn one_change_each() {
    let until = |ttl| {
        let origin = Origin::Exact;
        Ok(Verified { ttl, origin })
    };
    let (bad, malformed) = (Err(Flaw::BadSignature), Err(Flaw::MalformedSignature));
    type Change = fn(&mut Case);
    let cases: [(&str, Change, Result<Verified, Flaw>); 14] = [
        ("none", |_| {}, until(300)),
        ("the order", |c| c.records.swap(1, 2), until(300)),
        (
            "a record twice",
            |c| c.records.push(c.records[1].clone()),
            until(300),
        ),
        ("a shorter TTL", |c| c.records[2].ttl = 7, until(7)),
        ("a longer TTL", |c| c.records[2].ttl = 7000, until(300)),
        ("another address", |c| c.records[1].data[3] ^= 1, bad),
        ("a record less", |c| drop(c.records.pop()), bad),
        ("the signed TTL", |c| c.signature()[7] ^= 1, bad),
        ("the expiration", |c| c.signature()[11] ^= 1, bad),
        ("the key tag", |c| c.signature()[17] ^= 1, Err(Flaw::NoKey)),
        ("the algorithm", |c| c.signature()[2] = 8, Err(Flaw::NoKey)),
        (
            "an unknown algorithm",
            |c| c.signature()[2] = 16,
            Err(Flaw::UnknownAlgorithm),
        ),
        ("more labels", |c| c.signature()[3] = 3, malformed),
        ("labels above the zone", |c| c.signature()[3] = 0, malformed),
    ];
    for (what, change, expected) in cases {
        let mut case = signed();
        change(&mut case);
        assert_eq!(case.check(), expected, "{what}");
    }
}

#[test]
fn more_changes() {
    type Change = fn(&mut Case);
    let cases: [(&str, Change, Flaw); 6] = [
        (
            "another signer",
            |case| case.signature()[19] = b'b',
            Flaw::WrongSigner,
        ),
        (
            "another type",
            |case| case.signature()[1] = 28,
            Flaw::NoSignature,
        ),
        (
            "cut",
            |case| *case.signature() = case.records[0].data[..20].into(),
            Flaw::NoSignature,
        ),
        (
            "no signature in it",
            |case| *case.signature() = case.records[0].data[..24].into(),
            Flaw::BadSignature,
        ),
        ("another key", |case| case.keys = signed().keys, Flaw::NoKey),
        (
            "no keys",
            |case| case.keys = ZoneKeys::of(&name("test."), &[]),
            Flaw::NoKey,
        ),
    ];
    for (what, change, expected) in cases {
        let mut case = signed();
        change(&mut case);
        assert_eq!(case.check(), Err(expected), "{what}");
    }
}

/// A zone speaks for its own names only.
#[test]
fn names_outside_the_zone_are_not_signed_by_it() {
    let signer = Signer::new(&name("test."), Window::NOW);
    let owner = name("host.other.");
    let set = vec![a("host.other.", "192.0.2.1", 300)];
    let mut message = response(ResponseCode::NoError);
    message.add_answer(signer.sign(&set, &owner));
    message.add_answers(set);
    let records = read_back(&message).answers;
    let set = RrSet::find(&records, &owner, RecordType::A).unwrap();
    assert!(set.signers().is_empty());
    let keys = ZoneKeys::of(&name("test."), &[&signer.dnskey()]);
    let now = WallClock::from(crate::clock::now());
    let verified = verify(&set, &keys, now, &mut Budget::new());
    assert_eq!(verified, Err(Flaw::WrongSigner));
}

#[test]
fn a_good_signature_among_others_is_enough() {
    let mut case = signed();
    let good = case.records[0].clone();
    let mut bad = good.clone();
    *bad.data.last_mut().unwrap() ^= 1;
    let mut unknown = good.clone();
    unknown.data[2] = 16;
    case.records.splice(..1, [unknown, bad, good]);
    assert!(case.check().is_ok());
}

#[test]
fn the_ttl_ends_with_the_signature() {
    for (to, ttl) in [(100, 100), (1000, 300)] {
        let case = signed_as("host.test.", Window { from: -10, to });
        let got = case.check().unwrap().ttl;
        assert!(got <= ttl && got + 5 > ttl, "{got}");
    }
}

#[test]
fn times_are_serial_numbers() {
    let mut case = signed();
    for (inception, expiration, now, expected) in [
        (100, 200, 150, Flaw::BadSignature),
        (100, 200, 100, Flaw::BadSignature),
        (100, 200, 200, Flaw::BadSignature),
        (100, 200, 99, Flaw::NotYetValid),
        (100, 200, 201, Flaw::Expired),
        (u32::MAX - 50, 50, 10, Flaw::BadSignature), // over the end of the count
        (u32::MAX - 50, 50, u32::MAX - 51, Flaw::NotYetValid),
        (u32::MAX - 50, 50, 51, Flaw::Expired),
        (200, 100, 150, Flaw::NotYetValid),
    ] {
        case.signature()[8..12].copy_from_slice(&u32::to_be_bytes(expiration));
        case.signature()[12..16].copy_from_slice(&u32::to_be_bytes(inception));
        let owner = name("host.test.");
        let set = RrSet::find(&case.records, &owner, RecordType::A).unwrap();
        let got = verify(&set, &case.keys, WallClock(now), &mut Budget::new());
        assert_eq!(got, Err(expected), "{inception} {expiration} {now}");
    }
}

#[test]
fn wildcards_say_where_they_come_from() {
    for (source, encloser) in [("*.test.", 1), ("host.test.", 2)] {
        let origin = match encloser {
            1 => Origin::Wildcard { encloser },
            _ => Origin::Exact,
        };
        let verified = signed_as(source, Window::NOW).check();
        assert_eq!(verified.map(|v| v.origin), Ok(origin), "{source}");
    }
}

#[test]
fn names_in_data_are_signed_in_lower_case() {
    let signer = Signer::new(&name("test."), Window::NOW);
    let owner = name("Host.Test.");
    let set = vec![mx("Host.Test.", 10, "MX.Test.", 300)];
    let mut message = response(ResponseCode::NoError);
    message.add_answer(signer.sign(&set, &owner));
    message.add_answers(set);
    let records = read_back(&message).answers;
    let set = RrSet::find(&records, &owner, RecordType::MX).unwrap();
    let keys = ZoneKeys::of(&name("TEST."), &[&signer.dnskey()]);
    let now = WallClock::from(crate::clock::now());
    assert!(verify(&set, &keys, now, &mut Budget::new()).is_ok());
}

/// CVE-2023-50387: many signatures, and many keys for each.
#[test]
fn little_is_spent_on_what_does_not_verify() {
    let mut case = signed();
    let mut bad = case.records[0].clone();
    *bad.data.last_mut().unwrap() ^= 1;
    // The good one comes too late to be looked at.
    let crowd = std::iter::repeat_n(bad.clone(), 100);
    case.records.splice(0..0, crowd);
    let mut budget = Budget::new();
    assert_eq!(case.spend(&mut budget), Err(Flaw::BadSignature));
    assert_eq!(case.spend(&mut budget), Err(Flaw::BadSignature));
    assert_eq!(case.spend(&mut budget), Err(Flaw::TooMuchWork));

    let case = signed();
    let mut budget = Budget::new();
    let spent = (0..1000).take_while(|_| case.spend(&mut budget).is_ok());
    assert_eq!(spent.count(), 64);

    // Keys that have one tag: the same words in another order.
    let keys: Vec<Vec<u8>> = (0..8)
        .map(|at| {
            let mut dnskey = [vec![1, 0, 3, 15], vec![1; 32]].concat();
            dnskey[4 + 2 * at] = 9;
            dnskey
        })
        .collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let zone = ZoneKeys::of(&name("test."), &keys);
    let tag = super::keys::key_tag(keys[7]);
    assert_eq!(zone.candidates(15, tag).count(), 2);
}
