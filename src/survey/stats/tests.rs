use super::*;
use crate::survey::record::{
    Address, Certificate, Class, Code, Finding, Flow, Host, HostTls, KeyType, Negotiated, Sts,
    StsMode, StsState, Tls, Tlsa, TlsaState, Verdict, Verification, Versions,
};

mod order;

fn address(version: &str, cipher: &str) -> Address {
    Address {
        tls: Some(Tls {
            negotiated: Negotiated {
                version: version.into(),
                cipher: cipher.into(),
                group: Some("X25519".into()),
            },
            forward_secrecy: Known::Yes,
            post_quantum: Known::No,
        }),
        certificate: Some(Certificate {
            key: KeyType::Rsa,
            key_bits: 2048,
            signature: "sha256WithRSAEncryption".into(),
            days_left: 60,
            verification: Verification::Valid,
            ..Certificate::default()
        }),
        ..Address::default()
    }
}

fn host(name: &str, addresses: Vec<Address>) -> Host {
    Host {
        name: name.into(),
        tls: if addresses.is_empty() {
            HostTls::CouldNotTest
        } else {
            HostTls::Works
        },
        addresses,
        ..Host::default()
    }
}

fn record(domain: &str, group: Option<&str>, hosts: Vec<Host>) -> Record {
    Record {
        domain: domain.into(),
        group: group.map(str::to_owned),
        class: if hosts.iter().any(|host| host.tls == HostTls::Works) {
            Class::StarttlsOnAll
        } else {
            Class::CouldNotTest
        },
        hosts,
        ..Record::default()
    }
}

fn survey(records: &[Record]) -> Survey {
    let mut survey = Survey::default();
    for record in records {
        survey.add(record);
    }
    survey
}

/// `part count`, in the order in which they are shown.
fn shown(group: &Group, subject: Subject, property: Property) -> Vec<String> {
    let counts = group.chart(subject, property);
    let parts = counts.map(Counts::parts).unwrap_or_default();
    parts
        .iter()
        .map(|(label, n)| format!("{} {n}", label.text))
        .collect()
}

#[test]
fn a_host_counts_once_in_all_and_once_in_each_group() {
    let shared = || host("mx.example", vec![address("1.3", "C")]);
    let survey = survey(&[
        record("a.example", Some("nl"), vec![shared()]),
        record(
            "b.example",
            Some("nl"),
            vec![shared(), host("other.example", vec![])],
        ),
        record(
            "c.example",
            Some("de"),
            vec![host("MX.Example", vec![address("1.3", "C")])],
        ),
        record("d.example", None, vec![shared()]),
    ]);
    let groups: Vec<_> = survey
        .groups()
        .map(|(name, group)| (name, group.domains, group.hosts))
        .collect();
    assert_eq!(groups, [("de", 1, 1), ("nl", 2, 2)]);
    assert_eq!((survey.all.domains, survey.all.hosts), (4, 2));
    assert_eq!(
        shown(&survey.all, Subject::Hosts, Property::Starttls),
        ["works 1", "could not test 1"]
    );
    assert_eq!(
        shown(&survey.all, Subject::Domains, Property::BestVersion),
        ["TLS 1.3 4"]
    );
    assert_eq!(
        shown(&survey.all, Subject::Hosts, Property::BestVersion),
        ["TLS 1.3 1"]
    );
}

#[test]
fn what_could_not_be_tested_is_in_no_chart_of_tls() {
    let survey = survey(&[record("a.example", None, vec![host("mx.example", vec![])])]);
    for subject in [Subject::Domains, Subject::Hosts] {
        assert_eq!(
            shown(&survey.all, subject, Property::Starttls),
            ["could not test 1"]
        );
        for property in [
            Property::Versions,
            Property::Verification,
            Property::Ciphers,
            Property::DaysLeft,
        ] {
            assert_eq!(survey.all.chart(subject, property), None, "{property:?}");
        }
    }
}

#[test]
fn a_domain_is_as_good_as_its_worst_host() {
    let mut old = address("1.2", "B");
    let certificate = old.certificate.as_mut().unwrap();
    certificate.verification = Verification::Expired;
    certificate.days_left = -3;
    old.tls.as_mut().unwrap().forward_secrecy = Known::No;
    let survey = survey(&[record(
        "a.example",
        None,
        vec![
            host("mx1.example", vec![address("1.3", "A")]),
            host("mx2.example", vec![old]),
        ],
    )]);
    for (property, domains, hosts) in [
        (
            Property::BestVersion,
            &["TLS 1.2 1"][..],
            &["TLS 1.3 1", "TLS 1.2 1"][..],
        ),
        (
            Property::Versions,
            &["TLS 1.3 1", "TLS 1.2 1"],
            &["TLS 1.3 1", "TLS 1.2 1"],
        ),
        (Property::Ciphers, &["A 1", "B 1"], &["A 1", "B 1"]),
        (Property::Groups, &["X25519 1"], &["X25519 2"]),
        (Property::ForwardSecrecy, &["on some 1"], &["yes 1", "no 1"]),
        (
            Property::Verification,
            &["expired 1"],
            &["valid 1", "expired 1"],
        ),
        (Property::DaysLeft, &["ended 1"], &["30 to 89 1", "ended 1"]),
        (Property::Keys, &["RSA 2048 1"], &["RSA 2048 2"]),
    ] {
        assert_eq!(
            shown(&survey.all, Subject::Domains, property),
            domains,
            "{property:?}"
        );
        assert_eq!(
            shown(&survey.all, Subject::Hosts, property),
            hosts,
            "{property:?}"
        );
    }
}

#[test]
fn versions_are_those_agreed_on_and_those_found_later() {
    let mut both = address("1.3", "C");
    both.versions = Versions {
        v1_2: Known::Yes,
        v1_0: Known::No,
        ..Versions::default()
    };
    let survey = survey(&[record(
        "a.example",
        None,
        vec![host("mx.example", vec![both])],
    )]);
    let versions = survey
        .all
        .chart(Subject::Hosts, Property::Versions)
        .unwrap();
    assert_eq!(
        (
            versions.of("TLS 1.3"),
            versions.of("TLS 1.2"),
            versions.of("TLS 1.0")
        ),
        (1, 1, 0)
    );
    assert_eq!(versions.whole, 1);
}

#[test]
fn dane_of_a_domain() {
    use Known::{No, NotTested, Yes};
    use TlsaState::{Absent, LookupFailed, NoneUsable, PublishedInsecure, Usable};
    for (hosts, expected) in [
        (&[(Usable, Yes), (Usable, Yes)][..], "valid on all MX"),
        (&[(Usable, Yes), (Absent, NotTested)], "valid on some MX"),
        (&[(Usable, Yes), (Usable, No)], "TLSA that does not match"),
        (&[(Usable, NotTested)], "TLSA, certificate not seen"),
        (&[(NoneUsable, NotTested)], "TLSA that cannot be used"),
        (&[(PublishedInsecure, No)], "TLSA without DNSSEC"),
        (&[(Absent, NotTested)], "none"),
        (
            &[(Absent, NotTested), (LookupFailed, NotTested)],
            "could not test",
        ), // it may have some
        (&[], "could not test"),
    ] {
        let hosts = hosts
            .iter()
            .enumerate()
            .map(|(at, (state, matching))| Host {
                name: format!("mx{at}"),
                tlsa: Tlsa {
                    state: *state,
                    matching: *matching,
                    ..Tlsa::default()
                },
                ..Host::default()
            });
        let survey = survey(&[record("a.example", None, hosts.collect())]);
        assert_eq!(
            shown(&survey.all, Subject::Domains, Property::Dane),
            [format!("{expected} 1")]
        );
    }
}

#[test]
fn how_mail_would_go() {
    for (flow, encrypted, authenticated, expected) in [
        (
            Flow::Deliverable,
            Known::Yes,
            Some("dane"),
            "encrypted, authenticated by DANE",
        ),
        (
            Flow::Deliverable,
            Known::Yes,
            Some("webpki"),
            "encrypted, authenticated by WebPKI",
        ),
        (
            Flow::Deliverable,
            Known::Yes,
            Some("none"),
            "encrypted, not authenticated",
        ),
        (Flow::Deliverable, Known::No, None, "in the clear"),
        (Flow::Deliverable, Known::Unknown, None, "could not test"),
        (Flow::Temporary, Known::No, None, "held back for now"),
        (Flow::NotDeliverable, Known::Yes, Some("none"), "held back"),
        (Flow::NotTested, Known::NotTested, None, "could not test"),
    ] {
        let mut one = record("a.example", None, vec![]);
        one.verdict = Verdict {
            flow,
            encrypted,
            authenticated: authenticated.map(str::to_owned),
            ..Verdict::default()
        };
        let survey = survey(&[one]);
        assert_eq!(
            shown(&survey.all, Subject::Domains, Property::Protection),
            [format!("{expected} 1")]
        );
    }
}

#[test]
fn mta_sts_covers_are_asked_of_policies_only() {
    let mut with = record("a.example", None, vec![]);
    with.mta_sts = Sts {
        state: StsState::Valid,
        mode: Some(StsMode::Enforce),
        covers_all: Known::No,
        ..Sts::default()
    };
    let survey = survey(&[with, record("b.example", None, vec![])]);
    let show = |property| shown(&survey.all, Subject::Domains, property);
    assert_eq!(show(Property::MtaSts), ["enforce 1", "could not test 1"]);
    assert_eq!(show(Property::MtaStsCovers), ["no 1"]);
    assert_eq!(show(Property::MtaStsCertificates), ["could not test 1"]);
}

#[test]
fn a_domain_that_takes_no_mail_is_asked_for_nothing_else() {
    let mut none = record("a.example", None, vec![]);
    none.class = Class::NoMail;
    let survey = survey(&[none]);
    assert_eq!(
        shown(&survey.all, Subject::Domains, Property::Starttls),
        ["takes no mail 1"]
    );
    for property in [
        Property::Flow,
        Property::MtaSts,
        Property::Tlsrpt,
        Property::Dane,
    ] {
        assert_eq!(
            survey.all.chart(Subject::Domains, property),
            None,
            "{property:?}"
        );
    }
}

#[test]
fn a_finding_counts_once_a_domain() {
    let of = |codes: &[Code]| {
        let mut record = record("a.example", None, vec![]);
        record.findings = codes
            .iter()
            .map(|&code| Finding {
                severity: code.severity(),
                code,
                host: None,
                text: String::new(),
            })
            .collect();
        record
    };
    let survey = survey(&[
        of(&[Code::WeakKey, Code::WeakKey, Code::NoTls13]),
        of(&[Code::NoTls13]),
        of(&[]),
    ]);
    let show = |property| shown(&survey.all, Subject::Domains, property);
    assert_eq!(show(Property::Findings), ["weak-key 1", "no-tls-1.3 2"]);
    assert_eq!(
        show(Property::Severity),
        ["error 1", "info 1", "no finding 1"]
    );
    let findings = survey.all.chart(Subject::Domains, Property::Findings);
    assert_eq!(findings.unwrap().whole, 3);
}
