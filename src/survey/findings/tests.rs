use super::*;
use crate::survey::record::{
    Address, Certificate, Class, Deep, Dnssec, Host, HostTls, Known, MxFacts, MxState, Offer,
    Severity, Strength, Sts, StsMode, StsState, Tls, Tlsa, TlsaState, Tlsrpt, TlsrptState, Verdict,
    Verification, Versions,
};

/// A host that has everything.
fn good(name: &str) -> Host {
    let address = Address {
        starttls: Offer::Offered,
        tls: Some(Tls::default()),
        versions: Versions {
            v1_2: Known::Yes,
            v1_3: Known::Yes,
            ..Versions::default()
        },
        post_quantum: Known::Yes,
        certificate: Some(Certificate {
            verification: Verification::Valid,
            days_left: 60,
            key_strength: Strength::Good,
            signature_strength: Strength::Good,
            ..Certificate::default()
        }),
        ..Address::default()
    };
    Host {
        name: name.into(),
        tls: HostTls::Works,
        ipv4: Known::Yes,
        ipv6: Known::Yes,
        sts_certificate: Known::Yes,
        tlsa: Tlsa {
            state: TlsaState::Usable,
            matching: Known::Yes,
            rollover: Known::Yes,
            ..Tlsa::default()
        },
        sts_listed: Known::Yes,
        addresses: vec![address],
        ..Host::default()
    }
}

/// A domain that has everything.
fn sound() -> Record {
    Record {
        class: Class::StarttlsOnAll,
        mx: MxFacts {
            state: MxState::Present,
            dnssec: Dnssec::Secure,
            ..MxFacts::default()
        },
        hosts: vec![good("a"), good("b")],
        mta_sts: Sts {
            state: StsState::Valid,
            mode: Some(StsMode::Enforce),
            max_age: Some(604_800),
            ..Sts::default()
        },
        tlsrpt: Tlsrpt {
            state: TlsrptState::Valid,
            ..Tlsrpt::default()
        },
        ..Record::default()
    }
}

fn address(record: &mut Record) -> &mut Address {
    &mut record.hosts[1].addresses[0]
}

fn certificate(record: &mut Record) -> &mut Certificate {
    address(record).certificate.as_mut().unwrap()
}

type Change = fn(&mut Record);

/// One change to a domain that has everything is one finding.
const CASES: &[(Code, Change)] = &[
    (Code::NotDeliverable, |r| {
        r.verdict = Verdict {
            flow: Flow::NotDeliverable,
            ..Verdict::default()
        };
    }),
    (Code::MxBogus, |r| r.mx.dnssec = Dnssec::Bogus),
    (Code::HostBogus, |r| {
        r.hosts[1].tlsa.state = TlsaState::Bogus
    }),
    (Code::NoStarttls, |r| {
        r.class = Class::NoStarttls;
        for host in &mut r.hosts {
            host.tls = HostTls::NotOffered;
        }
    }),
    (Code::OnlySomeMxEncrypted, |r| {
        r.class = Class::StarttlsOnSome;
        r.hosts[1].tls = HostTls::NotOffered;
    }),
    (Code::TlsBroken, |r| r.hosts[1].tls = HostTls::Broken),
    (Code::StarttlsInjection, |r| {
        address(r).injection = Known::Yes
    }),
    (Code::TlsaNoneUsable, |r| {
        r.hosts[1].tlsa.state = TlsaState::NoneUsable
    }),
    (Code::MtaStsCoversNoMx, |r| {
        for host in &mut r.hosts {
            host.sts_listed = Known::No;
        }
    }),
    (Code::MtaStsPolicyHostBroken, |r| {
        r.mta_sts.state = StsState::PolicyFailed
    }),
    (Code::MtaStsCertificateNotValidForMx, |r| {
        r.hosts[1].sts_certificate = Known::No
    }),
    (Code::CertificateExpired, |r| certificate(r).days_left = -1),
    (Code::WeakKey, |r| {
        certificate(r).key_strength = Strength::Weak
    }),
    (Code::WeakSignature, |r| {
        certificate(r).signature_strength = Strength::Weak
    }),
    (Code::MtaStsDoesNotCoverMx, |r| {
        r.hosts[1].sts_listed = Known::No
    }),
    (Code::MtaStsRecordInvalid, |r| {
        r.mta_sts.state = StsState::SeveralRecords
    }),
    (Code::MtaStsMaxAgeShort, |r| r.mta_sts.max_age = Some(3600)),
    (Code::CertificateExpiresSoon, |r| {
        certificate(r).days_left = 13
    }),
    (Code::TlsaInsecure, |r| {
        r.hosts[1].tlsa.state = TlsaState::PublishedInsecure
    }),
    (Code::NoTlsaRollover, |r| {
        r.hosts[1].tlsa.rollover = Known::No
    }),
    (Code::OneMxUnreachable, |r| {
        r.hosts[1].tls = HostTls::CouldNotTest;
        address(r).reach = crate::survey::record::Reach::Unreachable;
    }),
    (Code::MxWithoutAddress, |r| {
        r.hosts[1].addresses.clear();
        r.hosts[1].failure = Some("has no address".into());
    }),
    (Code::AddressesDiffer, |r| {
        let plain = Address {
            starttls: Offer::NotOffered,
            ..Address::default()
        };
        r.hosts[1].addresses.push(plain);
    }),
    (Code::MxIsCname, |r| r.hosts[1].alias_of = Some("c".into())),
    (Code::NullMxWithOthers, |r| {
        r.mx.null_among_others = Known::Yes
    }),
    (Code::OldTlsAccepted, |r| {
        address(r).versions.v1_0 = Known::Yes
    }),
    (Code::WeakCiphers, |r| {
        address(r).deep = Some(Deep {
            weak_suites: Known::Yes,
            ..Deep::default()
        });
    }),
    (Code::Compression, |r| {
        address(r).deep = Some(Deep {
            compression: Known::Yes,
            ..Deep::default()
        });
    }),
    (Code::InsecureRenegotiation, |r| {
        address(r).deep = Some(Deep {
            secure_renegotiation: Known::No,
            ..Deep::default()
        });
    }),
    (Code::TlsrptInvalid, |r| {
        r.tlsrpt.state = TlsrptState::Several
    }),
    (Code::CertificateNotValid, |r| {
        certificate(r).verification = Verification::SelfSigned;
    }),
    (Code::NoTls13, |r| address(r).versions.v1_3 = Known::No),
    (Code::NoPostQuantum, |r| address(r).post_quantum = Known::No),
    (Code::TlsrptMissingAlthoughPolicy, |r| {
        r.tlsrpt.state = TlsrptState::None
    }),
    (Code::MtaStsTesting, |r| {
        r.mta_sts.mode = Some(StsMode::Testing)
    }),
    (Code::Ipv6Missing, |r| {
        for host in &mut r.hosts {
            host.ipv6 = Known::No;
        }
    }),
    (Code::KeyPhaseOut, |r| {
        certificate(r).key_strength = Strength::PhaseOut
    }),
    (Code::CaaMissing, |r| {
        r.hosts[1].caa.state = crate::survey::record::CaaState::None;
    }),
];

#[test]
fn each_finding_has_its_cause() {
    assert_eq!(codes(&sound()), []);
    for (code, change) in CASES {
        let mut record = sound();
        change(&mut record);
        assert_eq!(codes(&record), [*code]);
    }
    let told = |code: &&Code| CASES.iter().any(|(told, _)| told == *code);
    let untold: Vec<_> = Code::ALL.iter().filter(|code| !told(code)).collect();
    // These two do not come alone.
    let both = [
        Code::TlsaMismatch,
        Code::MtaStsListsHostThatDaneContradicts,
        Code::OldTlsOnly,
    ];
    assert_eq!(untold, both.iter().collect::<Vec<_>>());
}

fn codes(record: &Record) -> Vec<Code> {
    let found = findings(record);
    assert!(found.is_sorted_by_key(|finding| finding.severity));
    found.iter().map(|finding| finding.code).collect()
}

#[test]
fn policies_that_contradict_each_other() {
    let mut record = sound();
    record.hosts[1].tlsa.matching = Known::No;
    let both = [Code::TlsaMismatch, Code::MtaStsListsHostThatDaneContradicts];
    assert_eq!(codes(&record), both);
    record.mta_sts.state = StsState::None;
    assert_eq!(codes(&record), [Code::TlsaMismatch]);
    assert!(
        findings(&record)
            .iter()
            .all(|f| f.host.as_deref() == Some("b"))
    );
    assert_eq!(findings(&record)[0].severity, Severity::Error);
}

#[test]
fn only_old_versions() {
    let mut record = sound();
    address(&mut record).versions = Versions {
        v1_0: Known::Yes,
        v1_2: Known::No,
        ..Versions::default()
    };
    assert_eq!(codes(&record)[0], Code::OldTlsOnly);
}

#[test]
fn what_is_not_known_of_new_versions_is_no_refusal() {
    let mut record = sound();
    for v1_2 in [Known::Unknown, Known::NotTested] {
        address(&mut record).versions = Versions {
            v1_0: Known::Yes,
            v1_2,
            ..Versions::default()
        };
        assert_eq!(codes(&record), [Code::OldTlsAccepted], "{v1_2:?}");
    }
}

#[test]
fn what_is_not_known_of_an_address_is_no_difference() {
    let mut record = sound();
    let mut other = record.hosts[1].addresses[0].clone();
    other.versions.v1_3 = Known::Unknown;
    record.hosts[1].addresses.push(other.clone());
    assert_eq!(codes(&record), []);
    other.versions.v1_2 = Known::No;
    record.hosts[1].addresses.push(other);
    assert_eq!(
        codes(&record),
        [Code::AddressesDiffer],
        "the first and the last"
    );
}

/// Nothing is wrong with a domain that takes no mail, nor with what could not be tested.
#[test]
fn what_was_not_tested_is_not_held_against_anybody() {
    let mut record = Record::default();
    assert_eq!(codes(&record), []);
    record.class = Class::NoMail;
    record.verdict.flow = Flow::NotDeliverable;
    assert_eq!(codes(&record), []);
}
