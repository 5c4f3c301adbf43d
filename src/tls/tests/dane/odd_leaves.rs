//! Leaves that webpki takes for none, under DANE-TA(2).

use super::{problem, tlsa};
use crate::policy::CertificateProblem::{
    self, Expired, NotYetValid, TlsaMismatch, Unacceptable, Untrusted, WrongUsage,
};
use crate::tls::testing::{Authority, MX, ca};
use lab::ca::{Ca, Cert};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use rustls_pki_types::CertificateDer;

fn version_1() -> Cert {
    Cert::new([MX]).issued_version_1()
}

fn authority() -> Cert {
    Cert::new([MX]).authority()
}

#[test]
fn version_1_and_ca_leaves_are_judged_as_all_others() {
    let ca = Ca::default();
    let another = CertificateProblem::NameMismatch {
        presented: vec!["a.test".into()],
    };
    let for_clients = CertificateProblem::WrongUsage;
    for (what, cert, expected) in [
        ("version 1", version_1(), None),
        ("expired", version_1().expired(), Some(Expired)),
        (
            "not yet valid",
            version_1().not_yet_valid(),
            Some(NotYetValid),
        ),
        (
            "for another name",
            Cert::new(["a.test"]).issued_version_1(),
            Some(another.clone()),
        ),
        ("an authority", authority(), None),
        ("an expired one", authority().expired(), Some(Expired)),
        (
            "a future one",
            authority().not_yet_valid(),
            Some(NotYetValid),
        ),
        (
            "one for clients",
            authority().client_only(),
            Some(for_clients),
        ),
        (
            "one of another name",
            Cert::new(["a.test"]).authority(),
            Some(another),
        ),
    ] {
        let chain = ca.issue(&cert.with_root()).chain;
        for fields in ["2 0 1", "2 1 1", "2 0 0", "2 1 0"] {
            let got = problem(&chain, &[tlsa(fields, ca.root())]);
            assert_eq!(got, expected, "{what} {fields}");
        }
        for fields in ["2 0 0", "2 1 0"] {
            let got = problem(&chain[..1], &[tlsa(fields, ca.root())]);
            assert_eq!(got, expected, "{what} {fields}, not presented");
        }
        assert_eq!(problem(&chain, &[tlsa("3 1 1", &chain[0])]), None, "{what}");
    }
}

#[test]
fn somebody_elses_signature_or_name_does_not_make_an_issuer() {
    let ca = Ca::default();
    let namesake = ca.namesake();
    for (what, cert) in [("version 1", version_1()), ("an authority", authority())] {
        let leaf = ca.issue(&cert).chain.remove(0);
        for (kind, issuer, expected) in [
            ("its own", ca.root(), None),
            ("one of the same name", namesake.root(), Some(Untrusted)),
            ("its intermediate", ca.intermediate(), Some(Untrusted)),
        ] {
            let chain = [leaf.clone(), issuer.clone()];
            for fields in ["2 0 1", "2 1 1"] {
                let got = problem(&chain, &[tlsa(fields, issuer)]);
                assert_eq!(got, expected, "{what} {kind} {fields}");
            }
            let unrelated = expected.is_some().then_some(TlsaMismatch);
            for fields in ["2 0 0", "2 1 0"] {
                let got = problem(&chain[..1], &[tlsa(fields, issuer)]);
                assert_eq!(got, unrelated, "{what} {kind} {fields}, not presented");
            }
        }
    }
}

type Change = fn(&mut CertificateParams);

/// A chain whose leaf is CA:TRUE below an intermediate and a root with these changes; and the root.
fn below(middle: Change, root: Change) -> (Vec<CertificateDer<'static>>, Authority) {
    let root = Authority::root_with("root", root);
    let middle = root.intermediate_with("middle", middle);
    let mut chain = middle.issue(&[MX], |params| params.is_ca = ca()).chain;
    chain.push(root.cert.clone());
    (chain, root)
}

#[test]
fn the_certificates_in_between_are_held_to_the_same_rules_as_under_other_leaves() {
    let limits = Some(Unacceptable("name constraints of its issuer".into()));
    let usual: Change = |_| {};
    for (what, middle, root, expected) in [
        ("as usual", usual, usual, None),
        (
            "expired",
            |p| p.not_after = date_time_ymd(2021, 1, 1),
            usual,
            Some(Expired),
        ),
        (
            "future",
            |p| p.not_before = date_time_ymd(2040, 1, 1),
            usual,
            Some(NotYetValid),
        ),
        (
            "CA:FALSE",
            |p| p.is_ca = IsCa::ExplicitNoCa,
            usual,
            Some(Untrusted),
        ),
        (
            "no basic constraints",
            |p| p.is_ca = IsCa::NoCa,
            usual,
            Some(Untrusted),
        ),
        (
            "CRLs only",
            |p| p.key_usages = vec![KeyUsagePurpose::CrlSign],
            usual,
            Some(Untrusted),
        ),
        ("for clients", for_clients, usual, Some(WrongUsage)),
        ("limited names", limited_names, usual, limits.clone()),
        ("limited names above", usual, limited_names, limits),
        ("no length above", usual, no_length, Some(Untrusted)),
        ("no length needed", no_length, usual, None),
        ("strange and critical", strange, usual, Some(Untrusted)),
    ]
        as [(&str, Change, Change, Option<CertificateProblem>); 12]
    {
        let (chain, root) = below(middle, root);
        let swapped = [chain[0].clone(), chain[2].clone(), chain[1].clone()];
        for chain in [&chain[..], &swapped] {
            let got = problem(chain, &[tlsa("2 0 1", &root.cert)]);
            assert_eq!(got, expected, "{what}");
        }
    }
}

fn for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

fn limited_names(params: &mut CertificateParams) {
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.net".into())],
        excluded_subtrees: vec![],
    });
}

fn no_length(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
}

fn strange(params: &mut CertificateParams) {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions = vec![extension];
}

#[test]
fn every_signature_on_the_way_counts_and_circles_end() {
    let root = Authority::root("root");
    let middle = root.intermediate();
    let leaf = middle
        .issue(&[MX], |params| params.is_ca = ca())
        .chain
        .remove(0);
    let impostor = Authority::root("root");
    let forged = impostor.intermediate(); // of the same name, with another key
    let record = [tlsa("2 0 1", &root.cert)];
    for (what, others, expected) in [
        ("as usual", vec![&middle.cert, &root.cert], None),
        (
            "forged first",
            vec![&forged.cert, &middle.cert, &root.cert],
            None,
        ),
        ("forged", vec![&forged.cert, &root.cert], Some(Untrusted)),
        ("none", vec![&root.cert], Some(Untrusted)),
    ] {
        let mut chain = vec![leaf.clone()];
        chain.extend(others.into_iter().cloned());
        assert_eq!(problem(&chain, &record), expected, "{what}");
    }
    // The issuer's key in a certificate of another name.
    let renamed = impostor.certify("renamed", &middle);
    let got = problem(&[leaf.clone(), renamed.clone()], &[tlsa("2 1 1", &renamed)]);
    assert_eq!(got, Some(Untrusted));
    // Two authorities that certify each other, and no way out of the circle.
    let (a, b) = (
        root.certify("intermediate", &middle),
        middle.certify("root", &root),
    );
    let got = problem(
        &[leaf, a, b, impostor.cert.clone()],
        &[tlsa("2 0 1", &impostor.cert)],
    );
    assert_eq!(got, Some(Untrusted));
}
