use super::{dane, problem, stranger, tlsa};
use crate::dane::{TlsaRdata, Usage};
use crate::policy::{
    Authentication, CertificateProblem, DaneRequirement, DaneTrust, Fingerprint, ReferenceName,
    TlsFailure, TlsRequirement,
};
use crate::tls::testing::{
    Authority, MX, at_test, ca, client, demand, name, require, self_signed, session, version_1,
};
use crate::tls::{Authenticated, DaneMatch, StandsFor};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

type Change = fn(&mut CertificateParams);

const PAST: Change = |params| params.not_after = date_time_ymd(2021, 1, 1);
const FUTURE: Change = |params| params.not_before = date_time_ymd(2040, 1, 1);
const FOR_CLIENTS: Change =
    |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
const ANY_USE: Change = |params| params.extended_key_usages = vec![];

#[test]
fn what_is_wrong_below_an_anchor_is_told_and_what_has_no_anchor_is_a_mismatch() {
    use CertificateProblem::{Expired, NotYetValid, TlsaMismatch, Untrusted, WrongUsage};
    let root = Authority::root("root");
    let other = Authority::root("other");
    let wrong_name = CertificateProblem::NameMismatch {
        presented: vec!["a.test".into()],
    };
    let as_authority: Change = |params| {
        params.is_ca = ca();
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    for (what, names, change, expected) in [
        ("good", &[MX], (|_| {}) as Change, None),
        ("no extended key usage", &[MX], ANY_USE, None),
        ("expired", &[MX], PAST, Some(Expired)),
        ("not yet valid", &[MX], FUTURE, Some(NotYetValid)),
        ("for clients", &[MX], FOR_CLIENTS, Some(WrongUsage)),
        ("another name", &["a.test"], |_| {}, Some(wrong_name)),
        ("another name and expired", &["a.test"], PAST, Some(Expired)),
        ("an expired authority", &[MX], as_authority, Some(Expired)),
    ] {
        let leaf = root.issue(names, change).chain.remove(0);
        let presented = [leaf.clone(), root.cert.clone(), other.cert.clone()];
        for fields in ["2 0 1", "2 1 2", "2 0 0", "2 1 0"] {
            let got = problem(&presented, &[tlsa(fields, &root.cert)]);
            assert_eq!(got, expected, "{what} {fields}");
            let got = problem(&presented, &[tlsa(fields, &other.cert)]);
            assert_eq!(
                got,
                Some(Untrusted),
                "{what} {fields}, of another authority"
            );
        }
        let alone = std::slice::from_ref(&leaf);
        for fields in ["2 0 0", "2 1 0"] {
            let got = problem(alone, &[tlsa(fields, &root.cert)]);
            assert_eq!(got, expected, "{what} {fields}, not presented");
            let got = problem(alone, &[tlsa(fields, &other.cert)]);
            assert_eq!(got, Some(TlsaMismatch), "{what} {fields}, of a stranger");
        }
        for fields in ["2 0 1", "2 1 2"] {
            let got = problem(alone, &[tlsa(fields, &root.cert)]);
            assert_eq!(got, Some(TlsaMismatch), "{what} {fields}, not presented");
        }
        assert_eq!(problem(alone, &[tlsa("3 1 1", &leaf)]), None, "{what}");
    }
}

#[test]
fn a_self_signed_leaf_beside_an_anchor_is_told_as_such() {
    let root = Authority::root("root");
    for leaf in [
        self_signed(&[MX], ca()).chain.remove(0),
        version_1(&self_signed(&[MX], ca()).chain[0]),
    ] {
        let got = problem(&[leaf, root.cert.clone()], &[tlsa("2 0 1", &root.cert)]);
        assert_eq!(got, Some(CertificateProblem::SelfSigned));
    }
}

#[test]
fn the_problem_nearest_to_success_is_told() {
    let root = Authority::root("root");
    let mut chain = root.issue(&["a.test"], |_| {}).chain;
    chain.push(root.cert.clone());
    let nothing = tlsa("3 1 1", &root.cert);
    let stray = tlsa("2 1 1", &chain[0]);
    let near = tlsa("2 0 1", &root.cert);
    let wrong_name = Some(CertificateProblem::NameMismatch {
        presented: vec!["a.test".into()],
    });
    for records in [
        vec![near.clone()],
        vec![nothing.clone(), near.clone()],
        vec![near.clone(), stray.clone(), nothing.clone()],
    ] {
        assert_eq!(problem(&chain, &records), wrong_name);
    }
    let mismatch = Some(CertificateProblem::TlsaMismatch);
    assert_eq!(problem(&chain, &[nothing, stray]), mismatch);
    assert_eq!(problem(&[], &[near]), Some(CertificateProblem::Missing));
}

#[test]
fn what_the_rule_demands_and_what_dane_demands_must_both_hold() {
    use DaneTrust::{Full, Half};
    let root = Authority::root("root");
    let client = client(&root);
    let chain = root.issue(&[MX], |_| {}).chain;
    let good = tlsa("3 1 1", &chain[0]);
    let bad = tlsa("3 1 1", &root.cert);
    let pin = |certificate: &[u8]| {
        let pin = Fingerprint::Certificate(Sha256::digest(certificate).into());
        Authentication::Fingerprint([pin].into())
    };
    let web = |text: &str| Authentication::WebPki([ReferenceName::Exact(name(text))].into());
    let mismatch = TlsFailure::Dane(CertificateProblem::TlsaMismatch);
    let unpinned = TlsFailure::Certificate(CertificateProblem::FingerprintMismatch);
    let wrong_name = TlsFailure::Certificate(CertificateProblem::NameMismatch {
        presented: vec![MX.into()],
    });
    for (authentication, record, trust, expected) in [
        (Authentication::None, &good, Full, Ok(Authenticated::Dane)),
        (
            Authentication::None,
            &good,
            Half,
            Ok(Authenticated::HalfDane),
        ),
        (Authentication::None, &bad, Full, Err(mismatch.clone())),
        (Authentication::None, &bad, Half, Err(mismatch.clone())),
        (web(MX), &good, Half, Ok(Authenticated::WebPki)),
        (web(MX), &bad, Half, Err(mismatch.clone())),
        (web("a.test"), &good, Full, Err(wrong_name)),
        (pin(&chain[0]), &good, Full, Ok(Authenticated::Fingerprint)),
        (pin(&chain[0]), &bad, Full, Err(mismatch)),
        (pin(b"another"), &good, Full, Err(unpinned)),
    ] {
        let what = format!("{authentication:?} {record} {trust:?}");
        let requirement = TlsRequirement {
            authentication,
            ..demand(DaneRequirement {
                trust,
                ..dane(std::slice::from_ref(record), &[MX])
            })
        };
        let got = client.judge(&requirement, &session(&chain), at_test());
        assert_eq!(got, expected, "{what}");
    }
    let without = require(web(MX));
    let got = client.judge(&without, &session(&chain), at_test());
    assert_eq!(got, Ok(Authenticated::WebPki));
}

fn explain(chain: &[CertificateDer<'static>], records: &[TlsaRdata]) -> Vec<DaneMatch> {
    let requirement = dane(records, &[MX]);
    stranger().explain_dane(&requirement, &session(chain), at_test())
}

#[test]
fn each_record_is_explained() {
    use CertificateProblem::{TlsaMismatch, Untrusted};
    let root = Authority::root("root");
    let middle = root.intermediate();
    let unrelated = Authority::root("unrelated");
    let mut chain = middle.issue(&[MX], |_| {}).chain;
    chain.push(unrelated.cert.clone());
    let at = |depth, subject: &str| StandsFor::Presented {
        depth,
        subject: format!("CN={subject}"),
    };
    let [leaf, middle_cert, ..] = &chain[..] else {
        panic!()
    };
    for (record, stands_for, verdict) in [
        (tlsa("3 1 1", leaf), at(0, MX), Ok(())),
        (tlsa("3 0 0", leaf), at(0, MX), Ok(())),
        (
            tlsa("3 1 1", middle_cert),
            at(1, "intermediate"),
            Err(TlsaMismatch),
        ),
        (
            tlsa("3 1 1", &root.cert),
            StandsFor::Nothing,
            Err(TlsaMismatch),
        ),
        (tlsa("2 0 1", middle_cert), at(1, "intermediate"), Ok(())),
        (tlsa("2 0 1", leaf), at(0, MX), Err(TlsaMismatch)),
        (
            tlsa("2 0 1", &root.cert),
            StandsFor::Nothing,
            Err(TlsaMismatch),
        ),
        (tlsa("2 0 0", &root.cert), StandsFor::Published, Ok(())),
        (tlsa("2 1 0", &root.cert), StandsFor::Published, Ok(())),
        (
            tlsa("2 0 1", &unrelated.cert),
            at(2, "unrelated"),
            Err(Untrusted),
        ),
    ] {
        let got = explain(&chain, std::slice::from_ref(&record));
        let record = record.parse().unwrap();
        let expected = DaneMatch {
            record,
            stands_for,
            verdict,
        };
        assert_eq!(got, [expected]);
    }
    let records = [tlsa("3 1 1", leaf), tlsa("2 0 1", middle_cert)];
    let usages: Vec<Usage> = explain(&chain, &records)
        .iter()
        .map(|found| found.record.usage)
        .collect();
    assert_eq!(usages, [Usage::TrustAnchor, Usage::EndEntity]);
    assert_eq!(explain(&[], &records), []);
}

#[test]
fn what_is_explained_is_short_and_printable() {
    let loud = Authority::root_with("root", |params| {
        let name = format!("\u{1b}[31m\r\n{}", "x".repeat(3000));
        params.distinguished_name.push(DnType::CommonName, name);
    });
    let mut chain = loud.issue(&[MX], |_| {}).chain;
    chain.push(loud.cert.clone());
    let found = explain(&chain, &[tlsa("2 1 1", &loud.cert)]);
    let StandsFor::Presented { depth: 1, subject } = &found[0].stands_for else {
        panic!("{found:?}");
    };
    assert_eq!(subject.len(), 100);
    assert!(subject.bytes().all(|octet| (b' '..=b'~').contains(&octet)));

    let many: Vec<TlsaRdata> = (0..=255)
        .map(|n| TlsaRdata([&[3, 1, 1][..], &[n; 32]].concat()))
        .collect();
    assert_eq!(explain(&chain, &many).len(), 64);
}
