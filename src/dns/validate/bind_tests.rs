//! What BIND has signed, with every algorithm, NSEC and NSEC3.

use super::anchor_file::hex;
use super::budget::Budget;
use super::denial::Denials;
use super::flaw::Flaw;
use super::keys::{Delegation, ZoneKeys};
use super::rdata::Ds;
use super::rrset::RrSet;
use super::signature::{Origin, WallClock, verify};
use crate::dns::testing::name;
use crate::dns::wire::Record;
use crate::dns::{Existence, Proof};
use hickory_resolver::proto::rr::{Name, RecordType};

const ANSWERS: &str = include_str!("fixtures/bind.txt");

/// 2027-01-01; the signatures hold from 2026-01-01 to 2090-01-01.
const NOW: WallClock = WallClock(1_798_761_600);
const BEFORE: WallClock = WallClock(1_700_000_000);
const AFTER: WallClock = WallClock(3_800_000_000);

/// The records of the answer to `TYPE name`.
fn answer(question: &str) -> Vec<Record> {
    let heading = format!("? {question}");
    let mut lines = ANSWERS.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "{question}");
    lines
        .take_while(|line| !line.starts_with(['?', '!']))
        .map(record)
        .collect()
}

fn record(line: &str) -> Record {
    let fields: Vec<&str> = line.split(' ').collect();
    let [owner, ttl, record_type, data] = fields[..] else {
        panic!("{line}");
    };
    let number: u16 = record_type.strip_prefix("TYPE").unwrap().parse().unwrap();
    Record {
        owner: name(owner),
        record_type: RecordType::from(number),
        ttl: ttl.parse().unwrap(),
        data: hex(data).unwrap().into(),
    }
}

fn ds(zone: &Name, digest_type: u8) -> Vec<Ds> {
    let lines = ANSWERS.lines().filter_map(|line| line.strip_prefix("! "));
    let read = lines.map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let read = Ds {
            key_tag: fields[1].parse().unwrap(),
            algorithm: fields[2].parse().unwrap(),
            digest_type: fields[3].parse().unwrap(),
            digest: hex(fields[4]).unwrap().into(),
        };
        (name(fields[0]), read)
    });
    read.filter(|(owner, ds)| owner == zone && ds.digest_type == digest_type)
        .map(|(_, ds)| ds)
        .collect()
}

fn keys(zone: &str) -> ZoneKeys {
    let owner = name(&format!("{zone}."));
    let records = answer(&format!("DNSKEY {zone}"));
    let set = RrSet::find(&records, &owner, RecordType::DNSKEY).unwrap();
    let vouched = ZoneKeys::vouched(&set, &ds(&owner, 2), NOW, &mut Budget::new());
    vouched.unwrap().0
}

#[test]
fn every_algorithm_and_digest() {
    for zone in [
        "rsasha1.test",
        "nsec3rsasha1.test",
        "rsasha256.test",
        "rsasha512.test",
        "ecdsap256sha256.test",
        "ecdsap384sha384.test",
        "ed25519.test",
    ] {
        let owner = name(&format!("{zone}."));
        let records = answer(&format!("DNSKEY {zone}"));
        let dnskeys = RrSet::find(&records, &owner, RecordType::DNSKEY).unwrap();
        for digest_type in [1, 2, 4] {
            let ds = ds(&owner, digest_type);
            assert_eq!(Delegation::of(ds.clone()), Delegation::Signed(ds.clone()));
            let vouched = ZoneKeys::vouched(&dnskeys, &ds, NOW, &mut Budget::new());
            let (zone_keys, verified) = vouched.unwrap();
            assert_eq!((verified.ttl, verified.origin), (300, Origin::Exact));
            let records = answer(&format!("MX {zone}"));
            let mx = RrSet::find(&records, &owner, RecordType::MX).unwrap();
            let check = |now| verify(&mx, &zone_keys, now, &mut Budget::new());
            assert!(check(NOW).is_ok(), "{zone}");
            assert_eq!(check(BEFORE), Err(Flaw::NotYetValid), "{zone}");
            assert_eq!(check(AFTER), Err(Flaw::Expired), "{zone}");
        }
    }
}

#[test]
fn a_ds_record_is_for_one_key() {
    type Change = fn(&mut Ds);
    let changes: [(&str, Change); 3] = [
        ("tag", |ds| ds.key_tag ^= 1),
        ("algorithm", |ds| ds.algorithm = 14),
        ("digest", |ds| ds.digest[31] ^= 1),
    ];
    let owner = name("ecdsap256sha256.test.");
    let records = answer("DNSKEY ecdsap256sha256.test");
    let set = RrSet::find(&records, &owner, RecordType::DNSKEY).unwrap();
    for (what, change) in changes {
        let mut ds = ds(&owner, 2);
        change(&mut ds[0]);
        let vouched = ZoneKeys::vouched(&set, &ds, NOW, &mut Budget::new());
        assert_eq!(vouched.err(), Some(Flaw::NoTrustedKey), "{what}");
    }
}

#[test]
fn ed448_is_not_understood() {
    let ds = ds(&name("ed448.test."), 2);
    assert_eq!(ds.len(), 1);
    assert_eq!(Delegation::of(ds), Delegation::NotUnderstood);
}

#[test]
fn every_type_in_canonical_form() {
    for zone in ["rsasha1.test.", "ecdsap256sha256.test."] {
        let zone_keys = keys(zone.trim_end_matches('.'));
        for (question, owner) in [
            ("SOA", zone.to_owned()),
            ("NS", zone.to_owned()),
            ("A", format!("mx.{zone}")),
            ("TLSA", format!("_25._tcp.mx.{zone}")),
            ("CNAME", format!("alias.{zone}")),
            ("DNAME", format!("dn.{zone}")),
            ("PTR", format!("ptr.{zone}")),
            ("MX", format!("a.b.wild.{zone}")),
        ] {
            let records = answer(&format!("{question} {}", owner.trim_end_matches('.')));
            let owner = name(&owner);
            let mut set = RrSet::find(&records, &owner, question.parse().unwrap()).unwrap();
            let verified = verify(&set, &zone_keys, NOW, &mut Budget::new());
            let origin = match question {
                "MX" => Origin::Wildcard { encloser: 3 },
                _ => Origin::Exact,
            };
            assert_eq!(verified.map(|v| v.origin), Ok(origin), "{question} {zone}");
            let mut altered = set.data[0].to_vec();
            *altered.last_mut().unwrap() ^= 1;
            set.data[0] = &altered;
            let verified = verify(&set, &zone_keys, NOW, &mut Budget::new());
            assert_eq!(verified, Err(Flaw::BadSignature), "{question} {zone}");
        }
    }
}

#[test]
fn every_denial() {
    use Existence::{NoData, NxDomain};
    for zone in ["rsasha1.test", "ecdsap256sha256.test"] {
        let zone_keys = keys(zone);
        for (question, shown, hidden) in [
            ("A none", NxDomain, "mx"),
            ("TXT mx", NoData, "none"),
            ("A _tcp.mx", NoData, "mx"),
            ("TXT a.wild", NoData, "mx"),
        ] {
            let (wanted, label) = question.split_once(' ').unwrap();
            let authorities = answer(&format!("{question}.{zone}"));
            let mut budget = Budget::new();
            let denials = Denials::collect(&authorities, &zone_keys, NOW, &mut budget).unwrap();
            assert_eq!(denials.ttl, 60);
            let mut absence = |label: &str, wanted: &str| {
                let owner = name(&format!("{label}.{zone}."));
                let wanted = wanted.parse().unwrap();
                let absence = denials.absence(&owner, wanted, shown, &mut budget);
                absence.map(|absence| (absence.existence, absence.proof))
            };
            let expected = Ok((shown, Proof::Secure));
            assert_eq!(absence(label, wanted), expected, "{question} {zone}");
            assert!(absence(hidden, "A").is_err(), "{question} {zone}");
        }
    }
}

#[test]
fn every_wildcard() {
    for zone in ["rsasha1.test", "ecdsap256sha256.test"] {
        let zone_keys = keys(zone);
        let authorities = answer(&format!("MX a.b.wild.{zone}"));
        let mut budget = Budget::new();
        let denials = Denials::collect(&authorities, &zone_keys, NOW, &mut budget).unwrap();
        let mut closer = |label: &str, encloser| {
            denials.no_closer_match(&name(&format!("{label}.{zone}.")), encloser, &mut budget)
        };
        assert_eq!(closer("a.b.wild", 3), Ok(Proof::Secure), "{zone}");
        for (label, encloser) in [("a.b.wild", 2), ("mx", 2), ("mx.wild", 1)] {
            assert!(closer(label, encloser).is_err(), "{zone} {label}");
        }
    }
}
