use super::{problem, tlsa};
use crate::policy::CertificateProblem::{self, TlsaMismatch, Unacceptable, Untrusted};
use crate::tls::testing::{Authority, MX, ca, self_signed, version_1};
use rcgen::{
    BasicConstraints, CertificateParams, GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints,
    date_time_ymd,
};
use rustls_pki_types::CertificateDer;

type Change = fn(&mut CertificateParams);

/// A chain of leaf, intermediate and root.
fn three() -> (Vec<CertificateDer<'static>>, Authority, Authority) {
    let root = Authority::root("root");
    let middle = root.intermediate();
    let mut chain = middle.issue(&[MX], |_| {}).chain;
    chain.push(root.cert.clone());
    (chain, middle, root)
}

/// RFC 5280 §6.1.1(d): an anchor is a name and a key; §4.2.1.9: what says that it is no authority is none.
#[test]
fn what_an_anchors_certificate_says_counts_only_if_it_is_about_issuing() {
    let past: Change = |params| params.not_after = date_time_ymd(2021, 1, 1);
    let future: Change = |params| params.not_before = date_time_ymd(2040, 1, 1);
    let no_authority: Change = |params| params.is_ca = IsCa::ExplicitNoCa;
    let says_nothing: Change = |params| params.is_ca = IsCa::NoCa;
    let only_crls: Change = |params| params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let certificates: Change = |params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    for (what, change, expected) in [
        ("as usual", (|_| {}) as Change, None),
        ("expired", past, None),
        ("not yet valid", future, None),
        ("may sign certificates", certificates, None),
        ("CA:FALSE", no_authority, Some(Untrusted)),
        ("no basic constraints", says_nothing, Some(Untrusted)),
        ("may sign CRLs only", only_crls, Some(Untrusted)),
    ] {
        let root = Authority::root_with("root", change);
        let middle = Authority::root("above").intermediate_with("middle", change);
        for (kind, anchor) in [("root", root), ("intermediate", middle)] {
            let leaf = anchor.issue(&[MX], |_| {}).chain.remove(0);
            let chain = [leaf.clone(), anchor.cert.clone()];
            for fields in ["2 0 1", "2 1 1", "2 0 0", "2 1 0", "2 0 2", "2 1 2"] {
                let got = problem(&chain, &[tlsa(fields, &anchor.cert)]);
                assert_eq!(got, expected, "{fields} {kind} {what}");
            }
            // Not presented: the certificate in the record says the same, a bare key says nothing.
            let got = problem(std::slice::from_ref(&leaf), &[tlsa("2 0 0", &anchor.cert)]);
            let unrelated = expected.is_some().then_some(TlsaMismatch);
            assert_eq!(got, unrelated, "2 0 0 {kind} {what}");
            assert_eq!(problem(&[leaf], &[tlsa("2 1 0", &anchor.cert)]), None);
        }
    }
}

#[test]
fn an_anchor_of_version_1_is_one_because_the_record_says_so() {
    let root = Authority::root("root");
    let old = version_1(&root.cert);
    let chain = [root.issue(&[MX], |_| {}).chain.remove(0), old.clone()];
    for fields in ["2 0 1", "2 1 1", "2 0 0", "2 1 0"] {
        assert_eq!(problem(&chain, &[tlsa(fields, &old)]), None, "{fields}");
    }
    // As an intermediate nobody vouches for it (RFC 5280 §6.1.4(k)).
    let (mut chain, _, root) = three();
    chain[1] = version_1(&chain[1]);
    assert_eq!(
        problem(&chain, &[tlsa("2 0 1", &root.cert)]),
        Some(Untrusted)
    );
}

/// RFC 7671 §5.2.1: constraints in the anchor's certificate apply.
#[test]
fn the_path_below_an_anchor_is_no_longer_than_it_allows() {
    let limited = |length| {
        let change = move |params: &mut CertificateParams| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        };
        Authority::root_with("root", change)
    };
    for (length, intermediates, expected) in [
        (0, 0, None),
        (0, 1, Some(Untrusted)),
        (1, 1, None),
        (1, 2, Some(Untrusted)),
    ] {
        let root = limited(length);
        let (mut chain, below) = match intermediates {
            0 => (root.issue(&[MX], |_| {}).chain, None),
            1 => {
                let middle = root.intermediate();
                (middle.issue(&[MX], |_| {}).chain, Some(middle))
            }
            _ => {
                let lower = root.intermediate().intermediate_with("lower", |_| {});
                (lower.issue(&[MX], |_| {}).chain, Some(lower))
            }
        };
        let bare = chain.clone();
        chain.push(root.cert.clone());
        for fields in ["2 0 1", "2 1 1", "2 1 0"] {
            let got = problem(&chain, &[tlsa(fields, &root.cert)]);
            assert_eq!(got, expected, "{fields} {length} {intermediates}");
        }
        // A bare key has no limits, and an anchor below the limit none of its own.
        assert_eq!(problem(&bare, &[tlsa("2 1 0", &root.cert)]), None);
        if let Some(below) = below {
            assert_eq!(problem(&chain, &[tlsa("2 0 1", &below.cert)]), None);
        }
    }
}

/// RFC 5280 §4.2.1.9: self-issued certificates, as at a change of keys, are not counted.
#[test]
fn a_self_issued_intermediate_does_not_lengthen_the_path() {
    let limited: Change = |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let old = Authority::root_with("root", limited);
    let new = Authority::root("root");
    let mut chain = new.issue(&[MX], |_| {}).chain;
    chain.extend([old.certify("root", &new), old.cert.clone()]);
    assert_eq!(problem(&chain, &[tlsa("2 0 1", &old.cert)]), None);
}

#[test]
fn an_intermediate_must_be_an_authority_too() {
    let root = Authority::root("root");
    for (what, change, expected) in [
        ("as usual", (|_| {}) as Change, None),
        (
            "CA:FALSE",
            |p| p.is_ca = IsCa::ExplicitNoCa,
            Some(Untrusted),
        ),
        (
            "no basic constraints",
            |p| p.is_ca = IsCa::NoCa,
            Some(Untrusted),
        ),
        (
            "may sign CRLs only",
            |p| p.key_usages = vec![KeyUsagePurpose::CrlSign],
            Some(Untrusted),
        ),
        (
            "expired",
            |p| p.not_after = date_time_ymd(2021, 1, 1),
            Some(CertificateProblem::Expired),
        ),
    ] {
        let middle = root.intermediate_with("middle", change);
        let mut chain = middle.issue(&[MX], |_| {}).chain;
        chain.push(root.cert.clone());
        for fields in ["2 0 1", "2 1 1", "2 0 0", "2 1 0"] {
            let got = problem(&chain, &[tlsa(fields, &root.cert)]);
            assert_eq!(got, expected, "{fields} {what}");
        }
    }
}

#[test]
fn a_path_is_found_in_any_order_and_among_certificates_of_no_use() {
    let (chain, middle, root) = three();
    let [leaf, middle_cert, root_cert] = <[_; 3]>::try_from(chain).unwrap();
    let stranger = Authority::root("root"); // of the same name
    let junk = CertificateDer::from(vec![0x30, 3, 2, 1, 5]);
    for (what, others) in [
        ("in order", vec![&middle_cert, &root_cert]),
        ("the other way round", vec![&root_cert, &middle_cert]),
        (
            "twice",
            vec![&middle_cert, &middle_cert, &root_cert, &root_cert],
        ),
        (
            "the leaf again",
            vec![&leaf, &root_cert, &leaf, &middle_cert],
        ),
        (
            "others between",
            vec![&stranger.cert, &junk, &middle_cert, &junk, &root_cert],
        ),
    ] {
        let mut chain = vec![leaf.clone()];
        chain.extend(others.into_iter().cloned());
        for anchor in [&root.cert, &middle.cert] {
            for fields in ["2 0 1", "2 1 2", "2 0 0", "2 1 0"] {
                let records = [tlsa(fields, anchor)];
                assert_eq!(problem(&chain, &records), None, "{what} {fields}");
            }
        }
        let got = problem(&chain, &[tlsa("2 0 1", &stranger.cert)]);
        assert!(
            matches!(got, Some(Untrusted | TlsaMismatch)),
            "{what} {got:?}"
        );
    }
}

#[test]
fn of_several_anchors_one_that_issued_is_enough() {
    let (chain, middle, root) = three();
    let other = Authority::root("other");
    // The intermediate's key in a second certificate, under another authority.
    let twin = other.certify("intermediate", &middle);
    let mut with_twin = vec![chain[0].clone(), other.cert.clone(), twin.clone()];
    with_twin.extend(chain[1..].iter().cloned());
    for (records, expected) in [
        (vec![tlsa("2 1 1", &middle.cert)], None), // stands for both
        (vec![tlsa("2 0 1", &twin)], None),
        (vec![tlsa("2 0 1", &other.cert)], None),
        (vec![tlsa("2 0 1", &root.cert)], None),
        (
            vec![tlsa("2 1 1", &other.cert), tlsa("2 0 0", &root.cert)],
            None,
        ),
    ] {
        assert_eq!(problem(&with_twin, &records), expected, "{records:?}");
    }
    let unrelated = Authority::root("unrelated");
    let mut with_unrelated = chain.clone();
    with_unrelated.push(unrelated.cert.clone());
    let wrong = tlsa("2 0 1", &unrelated.cert);
    let right = tlsa("2 1 1", &root.cert);
    assert_eq!(problem(&with_unrelated, &[wrong.clone(), right]), None);
    assert_eq!(problem(&with_unrelated, &[wrong]), Some(Untrusted));
}

#[test]
fn a_bare_key_is_an_anchor_wherever_it_signed() {
    let (chain, middle, root) = three();
    let [leaf, middle_cert, root_cert] = <[_; 3]>::try_from(chain).unwrap();
    let key_of = |authority: &Authority| [tlsa("2 1 0", &authority.cert)];
    for (what, chain, authority, expected) in [
        ("the leaf alone", vec![leaf.clone()], &middle, None),
        (
            "under an intermediate",
            vec![leaf.clone(), middle_cert.clone()],
            &root,
            None,
        ),
        (
            "in no order",
            vec![leaf.clone(), root_cert, middle_cert],
            &root,
            None,
        ),
        ("with a gap", vec![leaf], &root, Some(TlsaMismatch)),
    ] {
        assert_eq!(problem(&chain, &key_of(authority)), expected, "{what}");
    }
}

/// A certificate is no part of its own path (RFC 5280 §6.1), nor does Postfix let it be.
#[test]
fn the_leaf_is_never_its_own_anchor() {
    let by_root = Authority::root("root").issue(&[MX], |_| {}).chain;
    for (what, chain) in [
        ("issued", by_root),
        ("self-signed", self_signed(&[MX], IsCa::NoCa).chain),
        ("self-signed CA", self_signed(&[MX], ca()).chain),
    ] {
        let leaf = &chain[0];
        let twice = [leaf.clone(), leaf.clone()];
        let key_signed_it = what != "issued";
        for fields in ["2 0 0", "2 0 1", "2 0 2", "2 1 1", "2 1 2"] {
            let records = [tlsa(fields, leaf)];
            assert_eq!(
                problem(&chain, &records),
                Some(TlsaMismatch),
                "{what} {fields}"
            );
            assert_eq!(
                problem(&twice, &records),
                Some(TlsaMismatch),
                "{what} {fields}"
            );
        }
        // RFC 7671 §5.2.3 asks of a bare key only that it signed the topmost certificate.
        let expected = (!key_signed_it).then_some(TlsaMismatch);
        let records = [tlsa("2 1 0", leaf)];
        assert_eq!(problem(&chain, &records), expected, "{what}");
        assert_eq!(problem(&twice, &records), expected, "{what}");
    }
}

#[test]
fn an_authority_that_serves_with_its_own_key_is_still_another_certificate() {
    let root = Authority::root("root");
    let mut chain = root.issue_with_own_key(&[MX]).chain;
    chain.push(root.cert.clone());
    for fields in ["2 0 1", "2 1 1", "2 0 0", "2 1 0"] {
        assert_eq!(
            problem(&chain, &[tlsa(fields, &root.cert)]),
            None,
            "{fields}"
        );
    }
}

#[test]
fn names_stay_within_what_issuers_allow() {
    let constrained = |domain: &str| {
        let domain = domain.to_owned();
        move |params: &mut CertificateParams| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName(domain)],
                excluded_subtrees: vec![],
            });
        }
    };
    let limits = Some(Unacceptable("name constraints of its issuer".into()));
    let as_authority: Change = |params| params.is_ca = ca();
    for (domain, names, change, expected) in [
        ("example.net", &[MX][..], (|_| {}) as Change, None),
        ("example.org", &[MX], |_| {}, limits.clone()),
        // The CN is no name to those who check the limits, so none may stand in for a DNS-ID.
        ("example.net", &[], |_| {}, limits.clone()),
        // And of leaves that are checked by hand the limits are not known to be kept.
        ("example.net", &[MX], as_authority, limits.clone()),
    ] {
        let root = Authority::root_with("root", constrained(domain));
        let mut direct = root.issue(names, change).chain;
        direct.push(root.cert.clone());
        let above = Authority::root("above");
        let middle = above.intermediate_with("middle", constrained(domain));
        let mut by_middle = middle.issue(names, change).chain;
        by_middle.push(above.cert.clone());
        let got = problem(&direct, &[tlsa("2 0 1", &root.cert)]);
        assert_eq!(got, expected, "{domain} {names:?}");
        let got = problem(&by_middle, &[tlsa("2 0 1", &middle.cert)]);
        assert_eq!(
            got, expected,
            "{domain} {names:?}, an intermediate as anchor"
        );
        let got = problem(&by_middle, &[tlsa("2 0 1", &above.cert)]);
        assert_eq!(
            got.is_none(),
            expected.is_none(),
            "{domain} {names:?} {got:?}"
        );
    }
}
