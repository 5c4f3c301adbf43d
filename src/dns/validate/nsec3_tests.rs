//! What NSEC3 records deny, one oddity each.

use super::budget::Budget;
use super::denial::NoDs;
use super::flaw::Flaw;
use super::nsec3::{MAX_ITERATIONS, Nsec3Set, hash};
use super::rdata::{Coverage, HASH, Nsec3, Nsec3Parameters, TypeBitmap, base32hex};
use crate::dns::Proof;
use crate::dns::testing::name;
use hickory_resolver::proto::rr::RecordType;

/// RFC 5155 appendix A.
#[test]
fn hashes_of_the_rfc() {
    let parameters = Nsec3Parameters {
        iterations: 12,
        salt: [0xaa, 0xbb, 0xcc, 0xdd].into(),
    };
    for (owner, expected) in [
        ("example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
        ("a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
        ("ai.example.", "gjeqe526plbf1g8mklp59enfd789njgi"),
        ("NS1.example.", "2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
        ("x.w.example.", "b4um86eghhds6nea196smvmlo4ors995"),
        ("*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ("xx.example.", "t644ebqk9bibcna874givr6joj62mlhv"),
    ] {
        let got = hash(&name(owner), &parameters, &mut Budget::new());
        assert_eq!(got.ok(), base32hex(expected.as_bytes()));
    }
}

fn plain() -> Nsec3Parameters {
    Nsec3Parameters {
        iterations: 0,
        salt: [].into(),
    }
}

fn hashed(owner: &str) -> [u8; HASH] {
    hash(&name(owner), &plain(), &mut Budget::new()).unwrap()
}

fn shifted(hash: [u8; HASH], by: i64) -> [u8; HASH] {
    let (start, end) = hash.split_last_chunk::<8>().unwrap();
    let end = u64::from_be_bytes(*end).strict_add_signed(by).to_be_bytes();
    [start, &end].concat().try_into().unwrap()
}

/// `=name types` matches the name, `~name` covers it, `?name` covers it with opt-out.
fn record(text: &str) -> Nsec3 {
    let (kind, rest) = text.split_at(1);
    let words: Vec<&str> = rest.split(' ').collect();
    let types: Vec<RecordType> = words[1..].iter().map(|t| t.parse().unwrap()).collect();
    let at = hashed(words[0]);
    let (hash, next) = match kind {
        "=" => (at, shifted(at, 1)),
        _ => (shifted(at, -1), shifted(at, 1)),
    };
    Nsec3 {
        zone: name("test."),
        hash,
        next,
        parameters: plain(),
        coverage: match kind {
            "?" => Coverage::OptOut,
            _ => Coverage::Full,
        },
        types: TypeBitmap::of(&types),
    }
}

fn set(records: &[&str]) -> Nsec3Set {
    Nsec3Set::new(&name("test."), records.iter().map(|r| record(r)).collect())
}

const APEX: &str = "=test. SOA NS";

#[test]
fn no_name() {
    for (what, records, expected) in [
        (
            "whole",
            &[APEX, "~a.test.", "~*.test."][..],
            Ok(Proof::Secure),
        ),
        (
            "opt-out",
            &[APEX, "?a.test.", "~*.test."],
            Ok(Proof::Insecure),
        ),
        (
            "opt-out of the wildcard",
            &[APEX, "~a.test.", "?*.test."],
            Ok(Proof::Secure),
        ),
        ("no wildcard", &[APEX, "~a.test."], Err(Flaw::NoDenial)),
        (
            "a wildcard",
            &[APEX, "~a.test.", "=*.test. A"],
            Err(Flaw::NoDenial),
        ),
        ("no next closer", &[APEX, "~*.test."], Err(Flaw::NoDenial)),
        (
            "no encloser",
            &["~a.test.", "~*.test."],
            Err(Flaw::NoDenial),
        ),
        (
            "the name itself, not the next closer",
            &[APEX, "~b.a.test.", "~*.test."],
            Err(Flaw::NoDenial),
        ),
        (
            "a delegation",
            &["=a.test. NS", "~b.a.test.", "~*.a.test."],
            Err(Flaw::WrongSide),
        ),
        (
            "a DNAME",
            &["=a.test. DNAME", "~b.a.test.", "~*.a.test."],
            Err(Flaw::WrongSide),
        ),
        (
            "a host",
            &["=a.test. A", "~b.a.test.", "~*.a.test."],
            Ok(Proof::Secure),
        ),
        ("none", &[], Err(Flaw::NoDenial)),
    ] {
        let got = set(records).no_name(&name("b.a.test."), &mut Budget::new());
        assert_eq!(got, expected, "{what}");
    }
}

#[test]
fn no_data() {
    for (what, records, expected) in [
        ("another type", &["=a.test. A"][..], Ok(Proof::Secure)),
        ("the type", &["=a.test. TXT"], Err(Flaw::Listed)),
        ("an alias", &["=a.test. CNAME"], Err(Flaw::Listed)),
        ("the parent's side", &["=a.test. NS"], Err(Flaw::WrongSide)),
        ("a non-terminal", &["=a.test."], Ok(Proof::Secure)),
        (
            "wildcard",
            &[APEX, "~a.test.", "=*.test. A"],
            Ok(Proof::Secure),
        ),
        (
            "wildcard with it",
            &[APEX, "~a.test.", "=*.test. TXT"],
            Err(Flaw::Listed),
        ),
        (
            "wildcard, opt-out",
            &[APEX, "?a.test.", "=*.test. A"],
            Ok(Proof::Insecure),
        ),
        ("opt-out", &[APEX, "?a.test."], Ok(Proof::Insecure)),
        ("no wildcard", &[APEX, "~a.test."], Err(Flaw::NoDenial)),
        ("elsewhere", &["=b.test. A"], Err(Flaw::NoDenial)),
    ] {
        let got = set(records).no_data(&name("a.test."), RecordType::TXT, &mut Budget::new());
        assert_eq!(got, expected, "{what}");
    }
}

#[test]
fn no_ds() {
    for (what, records, expected) in [
        ("unsigned", &["=a.test. NS"][..], Ok(NoDs::Unsigned)),
        ("signed", &["=a.test. NS DS"], Err(Flaw::Listed)),
        (
            "the child's side",
            &["=a.test. NS SOA"],
            Err(Flaw::WrongSide),
        ),
        ("a host", &["=a.test. A"], Ok(NoDs::NoCut)),
        ("a non-terminal", &["=a.test."], Ok(NoDs::NoCut)),
        ("opt-out", &[APEX, "?a.test."], Ok(NoDs::Unsigned)),
        ("nothing", &[APEX, "~a.test."], Ok(NoDs::NothingBelow)),
        (
            "opt-out of another",
            &[APEX, "?b.test."],
            Err(Flaw::NoDenial),
        ),
    ] {
        let got = set(records).no_ds(&name("a.test."), &mut Budget::new());
        assert_eq!(got, expected, "{what}");
    }
}

#[test]
fn no_closer_match() {
    for (what, records, expected) in [
        ("covered", &["~b.test."][..], Ok(Proof::Secure)),
        ("opt-out", &["?b.test."], Ok(Proof::Insecure)),
        (
            "the name, not the next closer",
            &["~a.b.test."],
            Err(Flaw::WildcardUnproven),
        ),
        ("it exists", &["=b.test. A"], Err(Flaw::WildcardUnproven)),
    ] {
        let got = set(records).no_closer_match(&name("a.b.test."), 1, &mut Budget::new());
        assert_eq!(got, expected, "{what}");
    }
}

#[test]
fn the_last_record_leads_to_the_first() {
    let spanning = |hash: u8, next: u8| Nsec3 {
        hash: [hash; HASH],
        next: [next; HASH],
        ..record(APEX)
    };
    for (hash, next, at, expected) in [
        (5, 9, 7, true),
        (5, 9, 5, false),
        (5, 9, 9, false),
        (5, 9, 4, false),
        (9, 5, 10, true),
        (9, 5, 4, true),
        (9, 5, 7, false),
        (5, 5, 6, true), // the only one
        (5, 5, 5, false),
    ] {
        let got = spanning(hash, next).covers(&[at; HASH]);
        assert_eq!(got, expected, "{hash} {next} {at}");
    }
}

#[test]
fn too_many_rounds_count_as_unsigned_and_hashes_are_counted() {
    let with = |iterations| {
        let mut only = record("=b.test. A");
        only.parameters.iterations = iterations;
        Nsec3Set::new(&name("test."), vec![only])
    };
    let deep = name(&format!("{}test.", "x.".repeat(100)));
    for (iterations, expected) in [
        (MAX_ITERATIONS + 1, Ok(Proof::Insecure)),
        (MAX_ITERATIONS, Err(Flaw::NoDenial)),
    ] {
        let got = with(iterations).no_name(&deep, &mut Budget::new());
        assert_eq!(got, expected, "{iterations}");
    }
    let mut budget = Budget::new();
    let _ = with(0).no_name(&deep, &mut budget);
    let again = with(0).no_name(&deep, &mut budget);
    assert_eq!(again, Err(Flaw::TooMuchWork));
}

#[test]
fn records_that_do_not_belong_together() {
    let whole = [record(APEX), record("~a.test."), record("~*.test.")];
    let with = |change: fn(&mut Nsec3)| {
        let mut records = whole.to_vec();
        change(&mut records[2]);
        Nsec3Set::new(&name("test."), records).no_name(&name("a.test."), &mut Budget::new())
    };
    assert_eq!(with(|_| {}), Ok(Proof::Secure));
    for change in [
        |nsec3: &mut Nsec3| nsec3.zone = name("other."),
        |nsec3: &mut Nsec3| nsec3.parameters.iterations = 1,
        |nsec3: &mut Nsec3| nsec3.parameters.salt = [1].into(),
    ] {
        assert_eq!(with(change), Err(Flaw::NoDenial));
    }
}
