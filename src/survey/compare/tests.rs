use super::*;
use crate::survey::record::{
    Address, Certificate, Host, Known, MxFacts, MxState, Sts, Tlsa, TlsaState, Tlsrpt, Verdict,
    Verification, Versions,
};

fn domain() -> Record {
    Record {
        domain: "a.example".into(),
        class: Class::StarttlsOnAll,
        mx: MxFacts {
            state: MxState::Present,
            published: 1,
            ..MxFacts::default()
        },
        hosts: vec![Host {
            name: "mx.a.example".into(),
            addresses: vec![Address::default()],
            ..Host::default()
        }],
        ..Record::default()
    }
}

fn with(change: impl FnOnce(&mut Record)) -> Record {
    let mut record = domain();
    change(&mut record);
    record
}

/// What is found when the first is followed by the second, and the other way round.
fn check(old: Record, new: Record, there: &[What], back: &[What]) {
    let found = |old: &Record, new: &Record| -> Vec<What> {
        compare(old, new)
            .iter()
            .map(|change| change.change)
            .collect()
    };
    assert_eq!(found(&old, &old), [], "nothing changed");
    assert_eq!(found(&new, &new), [], "nothing changed");
    assert_eq!(found(&old, &new), there, "{old:?}\n{new:?}");
    assert_eq!(found(&new, &old), back, "{new:?}\n{old:?}");
}

#[test]
fn classes() {
    use Class::{CouldNotTest, NoMail, NoStarttls, StarttlsOnAll, StarttlsOnSome};
    use What::{MailNow, NoLongerTested, NoMailNow, NowTested, StarttlsGained, StarttlsLost};
    for (old, new, there, back) in [
        (StarttlsOnAll, StarttlsOnSome, StarttlsLost, StarttlsGained),
        (StarttlsOnSome, NoStarttls, StarttlsLost, StarttlsGained),
        (StarttlsOnAll, NoStarttls, StarttlsLost, StarttlsGained),
        (StarttlsOnAll, CouldNotTest, NoLongerTested, NowTested), // never "lost"
        (NoStarttls, CouldNotTest, NoLongerTested, NowTested),
        (StarttlsOnAll, NoMail, NoMailNow, MailNow),
        (NoMail, CouldNotTest, NoLongerTested, NoMailNow),
    ] {
        let of = |class| with(|record| record.class = class);
        check(of(old), of(new), &[there], &[back]);
    }
}

#[test]
fn flow() {
    let of = |flow| {
        with(|record| {
            record.verdict = Verdict {
                flow,
                ..Verdict::default()
            }
        })
    };
    for (old, new, there, back) in [
        (
            Flow::Deliverable,
            Flow::NotDeliverable,
            &[What::FlowLost][..],
            &[What::FlowGained][..],
        ),
        (
            Flow::Deliverable,
            Flow::Temporary,
            &[What::FlowLost],
            &[What::FlowGained],
        ),
        (Flow::Temporary, Flow::NotDeliverable, &[], &[]),
        (Flow::Deliverable, Flow::NotTested, &[], &[]),
    ] {
        check(of(old), of(new), there, back);
    }
}

#[test]
fn mta_sts() {
    let of = |(state, mode)| {
        with(|record| {
            record.mta_sts = Sts {
                state,
                mode,
                ..Sts::default()
            }
        })
    };
    let enforce = (StsState::Valid, Some(StsMode::Enforce));
    let testing = (StsState::Valid, Some(StsMode::Testing));
    for (old, new, there, back) in [
        (
            enforce,
            testing,
            &[What::MtaStsWeaker][..],
            &[What::MtaStsStronger][..],
        ),
        (
            enforce,
            (StsState::None, None),
            &[What::MtaStsLost],
            &[What::MtaStsGained],
        ),
        (
            testing,
            (StsState::PolicyFailed, None),
            &[What::MtaStsLost],
            &[What::MtaStsGained],
        ),
        (enforce, (StsState::RecordUnknown, None), &[], &[]),
        (enforce, (StsState::RecordBogus, None), &[], &[]),
        (
            (StsState::None, None),
            (StsState::RecordInvalid, None),
            &[],
            &[],
        ),
    ] {
        check(of(old), of(new), there, back);
    }
}

#[test]
fn tls_reporting() {
    let of = |state| {
        with(|record| {
            record.tlsrpt = Tlsrpt {
                state,
                ..Tlsrpt::default()
            }
        })
    };
    let (valid, none) = (of(TlsrptState::Valid), of(TlsrptState::None));
    check(
        valid.clone(),
        none,
        &[What::TlsrptLost],
        &[What::TlsrptGained],
    );
    check(valid, of(TlsrptState::Unknown), &[], &[]);
}

#[test]
fn dane() {
    let of = |(state, matching)| {
        with(|record| {
            record.hosts[0].tlsa = Tlsa {
                state,
                matching,
                ..Tlsa::default()
            }
        })
    };
    let valid = (TlsaState::Usable, Known::Yes);
    let broken = (TlsaState::Usable, Known::No);
    let none = (TlsaState::Absent, Known::NotTested);
    for (old, new, there, back) in [
        (valid, none, &[What::DaneLost][..], &[What::DaneGained][..]),
        (valid, broken, &[What::DaneBroken], &[What::DaneMended]),
        (none, broken, &[What::DaneBroken], &[What::DaneLost]),
        (valid, (TlsaState::LookupFailed, Known::NotTested), &[], &[]),
        (valid, (TlsaState::Usable, Known::Unknown), &[], &[]), // the host could not be reached
        (none, (TlsaState::Insecure, Known::NotTested), &[], &[]),
    ] {
        check(of(old), of(new), there, back);
    }
}

#[test]
fn certificates() {
    let of = |key: &str, verification| {
        with(|record| {
            record.hosts[0].addresses[0].certificate = Some(Certificate {
                spki_sha256: key.into(),
                verification,
                ..Certificate::default()
            });
        })
    };
    use Verification::{Expired, NotTested, SelfSigned, Valid};
    use What::{CertificateDiffers, CertificateInvalid, CertificateValid, KeyChanged};
    for (old, new, there, back) in [
        (
            of("aa", Valid),
            of("bb", Valid),
            &[KeyChanged][..],
            &[KeyChanged][..],
        ),
        (
            of("aa", Valid),
            of("aa", Expired),
            &[CertificateInvalid],
            &[CertificateValid],
        ),
        (
            of("aa", SelfSigned),
            of("aa", Expired),
            &[CertificateDiffers],
            &[CertificateDiffers],
        ),
        (of("aa", Valid), of("aa", NotTested), &[], &[]),
        (of("aa", Valid), domain(), &[], &[]), // no handshake this time
        (
            of("aa", Valid),
            of("bb", Expired),
            &[CertificateInvalid, KeyChanged],
            &[KeyChanged, CertificateValid],
        ),
    ] {
        check(old, new, there, back);
    }
}

#[test]
fn versions() {
    let of = |v1_0, v1_3| {
        with(|record| {
            record.hosts[0].addresses[0].versions = Versions {
                v1_0,
                v1_3,
                ..Versions::default()
            };
        })
    };
    use Known::{No, NotTested, Unknown, Yes};
    for (old, new, there, back) in [
        (
            of(No, Yes),
            of(No, No),
            &[What::VersionLost][..],
            &[What::VersionGained][..],
        ),
        (
            of(Yes, Yes),
            of(No, Yes),
            &[What::OldVersionGone],
            &[What::OldVersionGained],
        ),
        (of(Yes, Yes), of(NotTested, Unknown), &[], &[]), // a survey of another depth
    ] {
        check(old, new, there, back);
    }
}

#[test]
fn hosts_come_and_go() {
    let other = with(|record| record.hosts[0].name = "mx2.a.example".into());
    let both = [What::MxRemoved, What::MxAdded];
    check(domain(), other.clone(), &both, &both);
    let louder = with(|record| record.hosts[0].name = "MX.a.example".into());
    check(domain(), louder, &[], &[]);
    // DNS failed: nothing is said of hosts.
    let unknown = with(|record| {
        record.mx.state = MxState::Unknown;
        record.hosts.clear();
    });
    check(domain(), unknown, &[], &[]);
    // Of more hosts than are recorded nobody knows which came.
    let mut many = other;
    many.mx.published = 25;
    check(domain(), many, &[What::MxAdded], &[What::MxRemoved]);
}

#[test]
fn the_worst_are_kept_and_all_are_counted() {
    let mut changes = Changes::default();
    let of = |name: String, what| {
        let record = Record {
            domain: name,
            ..Record::default()
        };
        only_in_one(&record, what)
    };
    for i in 0..MAX_KEPT {
        changes.add(of(format!("new{i}.example"), What::DomainNew));
    }
    assert!(!changes.is_cut());
    changes.compared(vec![of("worse.example".into(), What::StarttlsLost)]);
    changes.compared(Vec::new());
    assert!(changes.is_cut());
    assert_eq!(changes.kept().count(), MAX_KEPT);
    assert_eq!(changes.kept().next().unwrap().domain, "worse.example");
    assert_eq!(
        changes.counts(),
        [(What::StarttlsLost, 1), (What::DomainNew, MAX_KEPT as u64)]
    );
    assert_eq!((changes.compared, changes.changed), (2, 1));
}
