use super::{
    Assessment, Matching, Presented, Selector, Tlsa, TlsaRdata, Unusable, Usage, assess, usable,
};
use lab::ca::Ca;
use proptest::prelude::*;
use sha2::{Digest, Sha256, Sha512};

/// The record with these three fields and this data.
fn rdata(fields: [u8; 3], data: &[u8]) -> TlsaRdata {
    TlsaRdata([&fields, data].concat())
}

/// A certificate and its key, both in DER.
fn certificate() -> (Vec<u8>, Vec<u8>) {
    let identity = Ca::default().identity("mx.example.test");
    (identity.leaf().to_vec(), identity.spki())
}

#[test]
fn records_are_judged_one_by_one() {
    use Unusable::{
        DigestLength, MatchingUnknown, NoData, NotACertificate, NotAPublicKey, SelectorUnknown,
        TooShort, UsageForWebPki, UsageUnknown,
    };
    let (cert, key) = certificate();
    let (sha256, sha512) = (&[7; 32][..], &[7; 64][..]);
    let length = |wanted, got| Some(DigestLength { wanted, got });
    for (fields, data, expected) in [
        ([3, 1, 1], sha256, None),
        ([3, 1, 2], sha512, None),
        ([2, 0, 1], sha256, None),
        ([2, 0, 0], &cert, None),
        ([3, 1, 0], &key, None),
        ([0, 0, 1], sha256, Some(UsageForWebPki(0))),
        ([1, 1, 1], sha256, Some(UsageForWebPki(1))),
        ([4, 1, 1], sha256, Some(UsageUnknown(4))),
        ([255, 1, 1], sha256, Some(UsageUnknown(255))), // private use
        ([3, 2, 1], sha256, Some(SelectorUnknown(2))),
        ([3, 255, 1], sha256, Some(SelectorUnknown(255))),
        ([3, 1, 3], sha256, Some(MatchingUnknown(3))),
        ([3, 1, 255], sha256, Some(MatchingUnknown(255))),
        ([3, 1, 0], b"", Some(NoData)),
        ([3, 1, 1], b"", Some(NoData)),
        ([2, 0, 2], b"", Some(NoData)),
        ([3, 1, 1], &sha256[1..], length(32, 31)),
        ([3, 1, 1], sha512, length(32, 64)),
        ([3, 1, 2], sha256, length(64, 32)),
        ([3, 1, 1], &[7; 20], length(32, 20)), // SHA-1
        ([2, 0, 0], sha256, Some(NotACertificate)),
        ([2, 0, 0], &key, Some(NotACertificate)),
        ([2, 0, 0], &cert[..cert.len() - 1], Some(NotACertificate)),
        ([3, 1, 0], sha256, Some(NotAPublicKey)),
        ([3, 1, 0], &cert, Some(NotAPublicKey)),
        ([3, 1, 0], &key[1..], Some(NotAPublicKey)),
    ] {
        let got = rdata(fields, data).parse();
        let length = data.len();
        assert_eq!(got.as_ref().err(), expected.as_ref(), "{fields:?} {length}");
        if let Ok(tlsa) = got {
            let numbers = [
                tlsa.usage.number(),
                tlsa.selector.number(),
                tlsa.matching.number(),
            ];
            assert_eq!((numbers, tlsa.data.as_slice()), (fields, data));
        }
    }
    for short in 0..3 {
        assert_eq!(TlsaRdata(vec![3; short]).parse(), Err(TooShort(short)));
    }
}

#[test]
fn what_follows_a_whole_certificate_or_key_spoils_it() {
    let (mut cert, mut key) = certificate();
    cert.push(0);
    key.push(0);
    assert_eq!(
        rdata([2, 0, 0], &cert).parse(),
        Err(Unusable::NotACertificate)
    );
    assert_eq!(rdata([3, 1, 0], &key).parse(), Err(Unusable::NotAPublicKey));
}

/// Which of the records count, by position.
fn counting(records: &[TlsaRdata]) -> Vec<usize> {
    assess(records)
        .iter()
        .enumerate()
        .filter(|(_, assessment)| matches!(assessment, Assessment::Counts(_)))
        .map(|(position, _)| position)
        .collect()
}

#[test]
fn of_the_digests_of_one_usage_and_selector_only_the_strongest_counts() {
    let (cert, key) = certificate();
    let weak = |usage, selector| rdata([usage, selector, 1], &[1; 32]);
    let strong = |usage, selector| rdata([usage, selector, 2], &[1; 64]);
    let cut = rdata([3, 1, 2], &[1; 63]);
    for (what, records, expected) in [
        ("alone", vec![weak(3, 1)], vec![0]),
        ("outranked", vec![weak(3, 1), strong(3, 1)], vec![1]),
        ("the other order", vec![strong(3, 1), weak(3, 1)], vec![0]),
        (
            "two of each",
            vec![weak(3, 1), strong(3, 1), weak(3, 1), strong(3, 1)],
            vec![1, 3],
        ),
        (
            "another selector",
            vec![weak(3, 0), strong(3, 1)],
            vec![0, 1],
        ),
        ("another usage", vec![weak(2, 1), strong(3, 1)], vec![0, 1]),
        (
            "unusable digests outrank nothing",
            vec![weak(3, 1), cut],
            vec![0],
        ),
        (
            "nor do unusable usages",
            vec![weak(3, 1), strong(1, 1)],
            vec![0],
        ),
        (
            "the whole is no digest",
            vec![rdata([3, 1, 0], &key), weak(3, 1), strong(3, 1)],
            vec![0, 2],
        ),
        (
            "and outranks none",
            vec![rdata([2, 0, 0], &cert), weak(2, 0)],
            vec![0, 1],
        ),
    ] {
        assert_eq!(counting(&records), expected, "{what}");
    }
}

#[test]
fn the_same_records_make_the_same_set_in_any_order() {
    let a = rdata([3, 1, 1], &[1; 32]);
    let b = rdata([3, 1, 1], &[2; 32]);
    let c = rdata([2, 0, 1], &[3; 32]);
    let bad = rdata([3, 1, 1], &[4; 31]);
    let set = usable(&[a.clone(), b.clone(), c.clone()]).unwrap();
    for other in [
        vec![c.clone(), b.clone(), a.clone()],
        vec![b.clone(), a.clone(), b.clone(), c.clone()], // twice the same
        vec![bad.clone(), a.clone(), c.clone(), b.clone()],
    ] {
        assert_eq!(usable(&other).as_ref(), Some(&set), "{other:?}");
    }
    assert_ne!(usable(&[a, b]), Some(set));
    assert_eq!(usable(&[bad, rdata([1, 1, 1], &[1; 32])]), None);
    assert_eq!(usable(&[]), None);
}

#[test]
fn a_record_stands_for_a_certificate_or_its_key() {
    let (cert, key) = certificate();
    let (other_cert, other_key) = certificate();
    let presented = Presented::new(&cert, Some(key.clone()));
    let other = Presented::new(&other_cert, Some(other_key));
    let keyless = Presented::new(&cert, None);
    for usage in [Usage::TrustAnchor, Usage::EndEntity] {
        for (selector, content) in [(Selector::Certificate, &cert), (Selector::PublicKey, &key)] {
            for (matching, data) in [
                (Matching::Full, content.clone()),
                (Matching::Sha256, Sha256::digest(content).to_vec()),
                (Matching::Sha512, Sha512::digest(content).to_vec()),
            ] {
                let mut tlsa = Tlsa {
                    usage,
                    selector,
                    matching,
                    data,
                };
                assert!(tlsa.stands_for(&presented), "{tlsa}");
                assert!(!tlsa.stands_for(&other), "{tlsa}");
                let readable = selector == Selector::Certificate;
                assert_eq!(tlsa.stands_for(&keyless), readable, "{tlsa}");
                tlsa.data[9] ^= 1;
                assert!(!tlsa.stands_for(&presented), "{tlsa}");
                tlsa.data[9] ^= 1;
                tlsa.data.pop();
                assert!(!tlsa.stands_for(&presented), "{tlsa}");
            }
        }
    }
}

#[test]
fn people_are_shown_the_fields_and_the_beginning_of_the_data() {
    let whole = format!("3 1 1 {}", "07".repeat(32));
    let cut = format!("3 1 2 {}... (64 octets)", "07".repeat(32));
    for (record, expected) in [
        (rdata([3, 1, 1], &[7; 32]), whole.as_str()),
        (rdata([3, 1, 2], &[7; 64]), &cut),
        (rdata([3, 1, 1], b""), "3 1 1 "),
        (TlsaRdata(vec![3, 1]), "0301"),
        (TlsaRdata(vec![]), ""),
    ] {
        assert_eq!(record.to_string(), expected);
        if let Ok(tlsa) = record.parse() {
            assert_eq!(tlsa.to_string(), expected);
        }
    }
}

/// Records that get past the first checks more often than noise does.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let fields = prop::array::uniform3(0_u8..4);
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        Just(vec![7; 32]),
        Just(vec![7; 64]),
    ];
    (fields, data).prop_map(|(fields, data)| [&fields[..], &data].concat())
}

proptest! {
    #[test]
    fn no_octets_panic(
        records in prop::collection::vec(
            prop_oneof![record(), prop::collection::vec(any::<u8>(), 0..200)],
            0..6,
        ),
        certificate in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let records: Vec<TlsaRdata> = records.into_iter().map(TlsaRdata).collect();
        let counting = counting(&records).len();
        let presented = Presented::new(&certificate, Some(certificate.clone()));
        match usable(&records) {
            None => prop_assert_eq!(counting, 0),
            Some(set) => {
                prop_assert!((1..=counting).contains(&set.records().len()));
                for tlsa in set.records() {
                    let _ = (tlsa.stands_for(&presented), tlsa.to_string());
                }
            }
        }
        for record in &records {
            prop_assert!(record.to_string().len() < 120);
        }
    }

    #[test]
    fn a_certificate_changed_anywhere_is_read_or_refused(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let (mut cert, mut key) = certificate();
        let place = at.index(cert.len());
        cert[place] = to;
        let place = at.index(key.len());
        key[place] = to;
        let _ = (rdata([2, 0, 0], &cert).parse(), rdata([2, 1, 0], &key).parse());
    }
}
