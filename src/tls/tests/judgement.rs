use crate::policy::{
    Authentication, CertificateProblem, Encryption, Fingerprint, ReferenceName, TlsFailure,
    TlsRequirement, TlsVersion,
};
use crate::tls::certificate::{self, KeyKind};
use crate::tls::testing::{
    Authority, MX, at_test, ca, client, client_trusting, name, require, rsa_spki, self_signed,
    session, version_1, with_key,
};
use crate::tls::{Authenticated, TlsClient};
use proptest::prelude::*;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};

fn mismatch(names: &[&str]) -> Option<CertificateProblem> {
    Some(CertificateProblem::NameMismatch {
        presented: names.iter().map(ToString::to_string).collect(),
    })
}

/// Full check and judgement must agree; returns what is wrong.
fn check(
    client: &TlsClient,
    chain: &[CertificateDer<'static>],
    at: SystemTime,
) -> Option<CertificateProblem> {
    let session = session(chain);
    let mx = name(MX);
    let problem = client.full_check(&session, Some(&mx), at);
    let requirement = require(Authentication::WebPki([ReferenceName::Exact(mx)].into()));
    let expected = match &problem {
        None => Ok(Authenticated::WebPki),
        Some(problem) => Err(TlsFailure::Certificate(problem.clone())),
    };
    assert_eq!(client.judge(&requirement, &session, at), expected);
    assert_eq!(
        client.full_check(&session, None, at),
        None,
        "no name, nothing to check"
    );
    problem
}

#[test]
fn names_are_those_of_the_san_and_a_wildcard_is_one_label() {
    let root = Authority::root("root");
    let client = client(&root);
    let wrong = |names: &[&str]| mismatch(names);
    for (names, expected) in [
        (&[MX][..], None),
        (&["MX.Example.NET"], None),
        (&["a.test", MX], None),
        (&["*.example.net"], None),
        (&["a.test", "b.test"], wrong(&["a.test", "b.test"])),
        (&["*.mx.example.net"], wrong(&["*.mx.example.net"])), // not the name itself
        (&["*.net"], wrong(&["*.net"])),                       // two labels
        (&["m*.example.net"], wrong(&["m*.example.net"])),     // part of a label
        (&["*"], wrong(&["*"])),
        (&["192.0.2.1"], wrong(&["192.0.2.1"])),
        (&[], wrong(&[])), // the common name is right
    ] {
        let chain = root.issue(names, |_| {}).chain;
        assert_eq!(check(&client, &chain, at_test()), expected, "{names:?}");
    }
}

#[test]
fn a_problem_of_the_certificate_itself_comes_before_its_name() {
    use CertificateProblem::{Expired, NotYetValid, WrongUsage};
    let root = Authority::root("root");
    let client = client(&root);
    let expired: fn(&mut CertificateParams) = |params| params.not_after = date_time_ymd(2029, 1, 1);
    let future: fn(&mut CertificateParams) = |params| params.not_before = date_time_ymd(2031, 1, 1);
    let for_clients: fn(&mut CertificateParams) =
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    for name in [MX, "a.test"] {
        for (change, expected) in [
            (expired, Expired),
            (future, NotYetValid),
            (for_clients, WrongUsage),
        ] {
            let chain = root.issue(&[name], change).chain;
            assert_eq!(check(&client, &chain, at_test()), Some(expected), "{name}");
        }
    }
}

#[test]
fn only_a_path_to_a_root_is_trusted() {
    use CertificateProblem::{Missing, SelfSigned, Untrusted};
    let root = Authority::root("root");
    let client = client(&root);
    let middle = root.intermediate().issue(&[MX], |_| {}).chain;
    let stranger = Authority::root("stranger");
    let with_root = [
        stranger.issue(&[MX], |_| {}).chain,
        vec![stranger.cert.clone()],
    ]
    .concat();
    let own = self_signed(&[MX], IsCa::ExplicitNoCa).chain;
    let own_ca = self_signed(&[MX], ca()).chain;
    let old = vec![version_1(&own_ca[0])];
    for (what, chain, expected) in [
        ("by way of an intermediate", middle.clone(), None),
        (
            "intermediate missing",
            middle[..1].to_vec(),
            Some(Untrusted),
        ),
        ("of a stranger", with_root[..1].to_vec(), Some(Untrusted)),
        ("of a stranger, root sent", with_root, Some(Untrusted)),
        ("self-signed", own, Some(SelfSigned)),
        ("self-signed CA", own_ca, Some(SelfSigned)),
        ("self-signed, version 1", old, Some(SelfSigned)),
        ("none", vec![], Some(Missing)),
    ] {
        assert_eq!(check(&client, &chain, at_test()), expected, "{what}");
    }
}

#[test]
fn a_self_signed_certificate_among_the_roots_is_trusted_if_it_is_no_ca() {
    for (is_ca, expected) in [
        (IsCa::ExplicitNoCa, None),
        (ca(), Some(CertificateProblem::SelfSigned)),
    ] {
        let identity = self_signed(&[MX], is_ca);
        let client = client_trusting(&identity.cert_pem);
        assert_eq!(check(&client, &identity.chain, at_test()), expected);
    }
}

#[test]
fn what_cannot_be_read_is_unacceptable_and_no_end() {
    let root = Authority::root("root");
    let client = client(&root);
    let good = root.issue(&[MX], |_| {});
    let ca_leaf = root.issue(&[MX], |params| params.is_ca = ca());
    for (what, cert) in [
        ("version 1 of an authority", version_1(&good.chain[0])),
        ("an authority's own", ca_leaf.chain[0].clone()),
        (
            "noise",
            CertificateDer::from(vec![0x30, 0x82, 0xFF, 0xFF, 1, 2, 3]),
        ),
        ("nothing", CertificateDer::from(vec![])),
    ] {
        let problem = check(&client, &[cert], at_test());
        assert!(
            matches!(problem, Some(CertificateProblem::Unacceptable(_))),
            "{what} {problem:?}"
        );
    }
}

#[test]
fn names_below_a_domain_count_at_any_depth() {
    let root = Authority::root("root");
    let client = client(&root);
    for (presented, ancestor, expected) in [
        ("mx.example.com", "example.com", true),
        ("a.mx.example.com", "example.com", true),
        ("*.example.com", "example.com", true),
        ("*.a.example.com", "example.com", true),
        ("MX.EXAMPLE.com", "example.com", true),
        ("example.com", "example.com", false),
        ("badexample.com", "example.com", false),
        ("*.com", "example.com", false),
        ("mx.example.com.evil.test", "example.com", false),
    ] {
        let session = session(&root.issue(&[presented], |_| {}).chain);
        let names = [ReferenceName::Below(name(ancestor))];
        let verdict = client.judge(
            &require(Authentication::WebPki(names.into())),
            &session,
            at_test(),
        );
        assert_eq!(
            verdict.is_ok(),
            expected,
            "{presented} .{ancestor}: {verdict:?}"
        );
    }
}

#[test]
fn one_name_of_several_is_enough_and_none_is_never() {
    let root = Authority::root("root");
    let client = client(&root);
    let session = session(&root.issue(&[MX], |_| {}).chain);
    let judge = |names: &[ReferenceName]| {
        client.judge(
            &require(Authentication::WebPki(names.into())),
            &session,
            at_test(),
        )
    };
    let other = ReferenceName::Exact(name("other.test"));
    assert!(judge(&[other.clone(), ReferenceName::Exact(name(MX))]).is_ok());
    assert!(judge(&[other]).is_err());
    assert_eq!(
        judge(&[]),
        Err(TlsFailure::Certificate(mismatch(&[MX]).unwrap()))
    );
}

#[test]
fn a_date_that_passes_is_seen_at_once() {
    let root = Authority::root("root");
    let client = client(&root);
    let day = date_time_ymd(2030, 6, 1);
    let chain = root
        .issue(&[MX], |params| {
            params.not_before = day;
            params.not_after = day + Duration::from_secs(60);
        })
        .chain;
    let start = u64::try_from(day.unix_timestamp()).unwrap();
    let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    for (second, expected) in [
        (start - 1, Some(CertificateProblem::NotYetValid)),
        (start, None),
        (start + 60, None),
        (start + 61, Some(CertificateProblem::Expired)),
        (start + 30, None), // a clock set back
        (start + 61, Some(CertificateProblem::Expired)),
    ] {
        assert_eq!(
            check(&client, &chain, at(second)),
            expected,
            "{}",
            second - start + 1
        );
    }
}

#[test]
fn pins_fit_certificate_key_or_either() {
    let root = Authority::root("root");
    let client = client(&root);
    let identity = self_signed(&[MX], ca());
    let old = vec![version_1(&identity.chain[0])];
    for (what, chain) in [("version 3", identity.chain), ("version 1", old)] {
        let cert: [u8; 32] = Sha256::digest(&chain[0]).into();
        let key = certificate::public_key(&chain[0]).unwrap();
        let key: [u8; 32] = Sha256::digest(key).into();
        for (pins, expected) in [
            (vec![Fingerprint::Certificate(cert)], true),
            (vec![Fingerprint::PublicKey(key)], true),
            (vec![Fingerprint::Either(cert)], true),
            (vec![Fingerprint::Either(key)], true),
            (
                vec![
                    Fingerprint::Certificate([0; 32]),
                    Fingerprint::PublicKey(key),
                ],
                true,
            ),
            (vec![Fingerprint::Certificate(key)], false),
            (vec![Fingerprint::PublicKey(cert)], false),
            (vec![], false),
        ] {
            let requirement = require(Authentication::Fingerprint(pins.clone().into()));
            let verdict = client.judge(&requirement, &session(&chain), at_test());
            let expected = if expected {
                Ok(Authenticated::Fingerprint)
            } else {
                Err(CertificateProblem::FingerprintMismatch.into())
            };
            assert_eq!(verdict, expected, "{what} {pins:?}");
        }
    }
}

#[test]
fn the_minimum_version_binds_where_tls_is_mandatory() {
    let root = Authority::root("root");
    let client = client(&root);
    let session = session(&root.issue(&[MX], |_| {}).chain);
    for (encryption, min_version, expected) in [
        (
            Encryption::Mandatory,
            TlsVersion::V1_2,
            Ok(Authenticated::None),
        ),
        (
            Encryption::Mandatory,
            TlsVersion::V1_3,
            Err(TlsFailure::VersionTooOld(TlsVersion::V1_3)),
        ),
        (
            Encryption::Opportunistic,
            TlsVersion::V1_3,
            Ok(Authenticated::None),
        ),
    ] {
        let requirement = TlsRequirement {
            encryption,
            min_version,
            ..require(Authentication::None)
        };
        assert_eq!(
            client.judge(&requirement, &session, at_test()),
            expected,
            "{encryption:?}"
        );
    }
}

#[test]
fn presented_names_are_bounded() {
    let root = Authority::root("root");
    let names: Vec<String> = (0..50)
        .map(|n| format!("{}{n}.test", "a.".repeat(100)))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let presented = certificate::presented_names(&root.issue(&names, |_| {}).chain[0]);
    assert_eq!(presented.len(), 10);
    assert!(presented.iter().all(|name| name.len() == 100));
}

#[test]
fn kinds_of_keys() {
    let root = Authority::root("root");
    let client = client(&root);
    let p256 = root.issue(&[MX], |_| {}).chain.remove(0);
    let made_with = |algorithm| {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "key");
        params.self_signed(&key).unwrap().der().clone()
    };
    for (cert, expected) in [
        (p256.clone(), "p256"),
        (version_1(&p256), "p256"),
        (made_with(&PKCS_ECDSA_P384_SHA384), "p384"),
        (made_with(&PKCS_ED25519), "ed25519"),
        (with_key(&p256, rsa_spki(1024)), "rsa1024"),
        (with_key(&p256, rsa_spki(2048)), "rsa2048"),
        (with_key(&p256, rsa_spki(2047)), "rsa_other"),
        (with_key(&p256, rsa_spki(3072)), "rsa3072"),
        (with_key(&p256, rsa_spki(4096)), "rsa4096"),
        (CertificateDer::from(vec![1, 2, 3]), "other"),
    ] {
        assert_eq!(&*client.key_kind(&session(&[cert])), expected);
    }
    assert_eq!(&*client.key_kind(&session(&[])), "other");
}

fn examine(client: &TlsClient, der: Vec<u8>) {
    let cert = CertificateDer::from(der);
    let _ = (
        certificate::public_key(&cert),
        KeyKind::of(&cert),
        certificate::validity(&cert),
    );
    let names = [ReferenceName::Below(name("example.net"))];
    let _ = (
        certificate::presented_names(&cert),
        certificate::carries_any(&cert, &names),
    );
    assert!(check(client, &[cert], at_test()).is_some());
}

proptest! {
    #[test]
    fn noise_is_never_accepted(der in prop::collection::vec(any::<u8>(), 0..600)) {
        examine(&client(&Authority::root("root")), der);
    }
}

#[test]
fn a_certificate_cut_or_changed_anywhere_is_never_accepted() {
    let root = Authority::root("root");
    let client = client(&root);
    let good = root.issue(&[MX], |_| {}).chain.remove(0).to_vec();
    for at in 0..good.len() {
        examine(&client, good[..at].to_vec());
        for bit in [0x01, 0x80] {
            let mut changed = good.clone();
            changed[at] ^= bit;
            examine(&client, changed);
        }
    }
}
