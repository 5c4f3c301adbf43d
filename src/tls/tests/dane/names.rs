use super::{problem, problem_for, tlsa};
use crate::policy::CertificateProblem;
use crate::tls::testing::{Authority, MX};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, SanType};
use std::net::IpAddr;

fn mismatch(presented: &[&str]) -> Option<CertificateProblem> {
    Some(CertificateProblem::NameMismatch {
        presented: presented.iter().map(ToString::to_string).collect(),
    })
}

/// RFC 7672 §3.2.2 and §3.2.3.
#[test]
fn one_of_the_names_is_enough_and_a_wildcard_is_one_label() {
    let root = Authority::root("root");
    for (references, presented, expected) in [
        (&[MX][..], &[MX][..], None),
        (&[MX], &["MX.Example.NET"], None),
        (&[MX], &["other.test", MX], None),
        (&[MX, "example.org"], &["example.org"], None),
        (&[MX, "example.org"], &["*.org"], mismatch(&["*.org"])),
        (&[MX], &["*.example.net"], None),
        (&[MX], &["*.net"], mismatch(&["*.net"])),
        (
            &[MX],
            &["*.mx.example.net"],
            mismatch(&["*.mx.example.net"]),
        ),
        (
            &["a.mx.example.net"],
            &["*.example.net"],
            mismatch(&["*.example.net"]),
        ),
        (
            &["example.net"],
            &["*.example.net"],
            mismatch(&["*.example.net"]),
        ),
        (&[MX], &["m*.example.net"], mismatch(&["m*.example.net"])),
        (&[MX], &["example.net"], mismatch(&["example.net"])),
        (&["mx_1.example.net"], &["mx_1.example.net"], None),
        (&[], &[MX], mismatch(&[MX])),
    ] {
        let mut chain = root.issue(presented, |_| {}).chain;
        chain.push(root.cert.clone());
        let got = problem_for(references, &chain, &[tlsa("2 0 1", &root.cert)]);
        assert_eq!(got, expected, "{references:?} {presented:?}");
        // DANE-EE asks for none.
        let got = problem_for(references, &chain, &[tlsa("3 0 1", &chain[0])]);
        assert_eq!(got, None, "{references:?} {presented:?}");
    }
}

fn with_common_name(name: &'static str) -> impl Fn(&mut CertificateParams) {
    move |params| {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, MX);
        params.distinguished_name.push(DnType::CommonName, name);
    }
}

#[test]
fn the_common_name_counts_only_where_there_is_no_dns_id() {
    let root = Authority::root("root");
    let address = |params: &mut CertificateParams| {
        let address = SanType::IpAddress(IpAddr::from([192, 0, 2, 1]));
        let mail = SanType::Rfc822Name("postmaster@example.net".try_into().unwrap());
        params.subject_alt_names = vec![address, mail];
    };
    let unreadable = |content: &[u8]| {
        let content = content.to_vec();
        move |params: &mut CertificateParams| {
            let san = CustomExtension::from_oid_content(&[2, 5, 29, 17], content.clone());
            params.custom_extensions = vec![san];
        }
    };
    let none: &dyn Fn(&mut CertificateParams) = &|_| {};
    let dns: &dyn Fn(&mut CertificateParams) =
        &|params| params.subject_alt_names = vec![SanType::DnsName("a.test".try_into().unwrap())];
    for (what, common_name, san, expected) in [
        ("the name", MX, none, None),
        ("in capitals", "MX.EXAMPLE.NET", none, None),
        ("a wildcard", "*.example.net", none, None),
        ("too wide", "*.net", none, mismatch(&["*.net"])),
        (
            "two labels",
            "*.mx.example.net",
            none,
            mismatch(&["*.mx.example.net"]),
        ),
        (
            "a part of a label",
            "m*.example.net",
            none,
            mismatch(&["m*.example.net"]),
        ),
        ("prose", "mail \u{e9}", none, mismatch(&["mail ?"])),
        ("beside an address", MX, &address, None),
        ("beside a DNS-ID", MX, dns, mismatch(&["a.test"])),
        // SEQUENCE { [2] "mx\xff" }: a DNS-ID that nobody can read is one all the same.
        (
            "a broken DNS-ID",
            MX,
            &unreadable(&[0x30, 5, 0x82, 3, b'm', b'x', 0xFF]),
            mismatch(&[]),
        ),
        (
            "a broken extension",
            MX,
            &unreadable(&[0x30, 9, 1]),
            Some(CertificateProblem::Unacceptable("cannot be read".into())),
        ),
    ] {
        let mut chain = root
            .issue(&[], |params| {
                with_common_name(common_name)(params);
                san(params);
            })
            .chain;
        chain.push(root.cert.clone());
        let got = problem(&chain, &[tlsa("2 0 1", &root.cert)]);
        assert_eq!(got, expected, "{what}");
    }
}
