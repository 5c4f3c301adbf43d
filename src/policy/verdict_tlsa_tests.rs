//! What TLSA records make of every floor.

use super::*;
use crate::dane::{TlsaRdata, TlsaSet, usable};
use crate::policy::{AuditPurpose, TlsaFailure};

fn set(octet: u8) -> TlsaSet {
    usable(&[TlsaRdata([&[3, 1, 1], &[octet; 32][..]].concat())]).unwrap()
}

pub(super) fn usable_finding() -> TlsaFinding {
    TlsaFinding::Usable {
        base: TlsaBaseDomain(name("mx.example.net")),
        records: set(1),
    }
}

pub(super) fn none_usable() -> TlsaFinding {
    TlsaFinding::NoneUsable(TlsaBaseDomain(name("mx.example.net")))
}

pub(super) fn failed() -> TlsaFinding {
    TlsaFinding::LookupFailed(TlsaFailure::NoAnswer("SERVFAIL".into()))
}

pub(super) fn bogus() -> TlsaFinding {
    TlsaFinding::LookupFailed(TlsaFailure::Bogus("bogus".into()))
}

/// `level source encryption authentication dane`, or `defer source reason`.
pub(super) fn said(verdict: &HostVerdict) -> String {
    match verdict {
        HostVerdict::Use(policy) => {
            let dane = match &policy.enforce.dane {
                Some(dane) => match dane.trust {
                    DaneTrust::Full => " +dane",
                    DaneTrust::Half => " +half",
                },
                None => "",
            };
            let sts = match &policy.enforce.mta_sts {
                Some(host) => format!(" +sts:{host}"),
                None => String::new(),
            };
            let enforce = short(&policy.enforce);
            format!("{} {} {enforce}{dane}{sts}", policy.level, policy.source)
        }
        HostVerdict::Skip(deferral) => {
            let reason = deferral.reason.result_type();
            format!("skip {} {reason}", deferral.source)
        }
        HostVerdict::Defer(deferral) => {
            format!(
                "defer {} {}",
                deferral.source,
                deferral.reason.result_type()
            )
        }
    }
}

pub(super) fn require(level: Level) -> Rules {
    rules(Rule {
        require: Some(level),
        fingerprints: vec![Fingerprint::Certificate([1; 32])],
        ..rule()
    })
}

pub(super) fn case(tlsa: TlsaFinding) -> Case {
    let mut case = Case::new();
    case.host.tlsa = tlsa;
    case
}

#[test]
fn published_records_are_added_on_top_of_the_default() {
    for (default, tlsa, expected) in [
        (Level::May, usable_finding(), "dane dane must +dane"),
        (Level::May, none_usable(), "encrypt dane must"),
        (Level::May, TlsaFinding::SecurelyAbsent, "may default try"),
        (Level::May, TlsaFinding::Insecure, "may default try"),
        (Level::May, TlsaFinding::NotSought, "may default try"),
        (Level::May, failed(), "defer dane tlsa-lookup-failed"),
        (Level::May, bogus(), "defer dane dnssec-invalid"),
        (Level::Encrypt, usable_finding(), "dane dane must +dane"),
        (Level::Encrypt, none_usable(), "encrypt default must"),
        (Level::Encrypt, failed(), "defer dane tlsa-lookup-failed"),
        // The default is for domains that publish nothing.
        (Level::Verify, usable_finding(), "dane dane must +dane"),
        (
            Level::Verify,
            none_usable(),
            "verify default must webpki:mx.example.net",
        ),
    ] {
        let mut case = case(tlsa);
        case.default = default;
        let got = said(&case.verdict(&Rules::default()));
        assert_eq!(got, expected, "{default} {:?}", case.host.tlsa);
    }
}

/// Half-dane authenticates a host, but not that it is the domain's: the default goes on to bind.
#[test]
fn half_dane_does_not_stand_in_for_a_default_that_authenticates() {
    let mut case = case(usable_finding());
    case.default = Level::Verify;
    case.host.trust = DaneTrust::Half;
    let got = said(&case.verdict(&Rules::default()));
    assert_eq!(got, "verify default must webpki:mx.example.net +half");
}

#[test]
fn a_rule_is_a_floor_that_published_records_may_raise_and_never_lower() {
    for (level, tlsa, expected) in [
        (Level::None, usable_finding(), "none rule never"),
        (Level::None, failed(), "none rule never"),
        (Level::May, usable_finding(), "dane dane must +dane"),
        (Level::Dane, usable_finding(), "dane rule must +dane"),
        (Level::Dane, none_usable(), "encrypt rule must"),
        (Level::Dane, TlsaFinding::SecurelyAbsent, "may rule try"),
        (Level::Dane, TlsaFinding::Insecure, "may rule try"),
        // DANE is off: nothing is proven.
        (Level::Dane, TlsaFinding::NotSought, "encrypt rule must"),
        (Level::Dane, failed(), "defer rule tlsa-lookup-failed"),
        (Level::Encrypt, usable_finding(), "dane dane must +dane"),
        (
            Level::Fingerprint,
            usable_finding(),
            "fingerprint rule must pins:1 +dane",
        ),
        (
            Level::Secure,
            usable_finding(),
            "secure rule must webpki:example.com,.example.com +dane",
        ),
        (Level::Secure, bogus(), "defer dane dnssec-invalid"),
        (
            Level::DaneOnly,
            usable_finding(),
            "dane-only rule must +dane",
        ),
        (Level::DaneOnly, none_usable(), "defer rule tlsa-invalid"),
        (
            Level::DaneOnly,
            TlsaFinding::SecurelyAbsent,
            "defer rule dane-required",
        ),
        (
            Level::DaneOnly,
            TlsaFinding::Insecure,
            "defer rule dane-required",
        ),
        (
            Level::DaneOnly,
            TlsaFinding::NotSought,
            "defer rule dane-required",
        ),
        (Level::DaneOnly, bogus(), "defer rule dnssec-invalid"),
    ] {
        let case = case(tlsa);
        let got = said(&case.verdict(&require(level)));
        assert_eq!(got, expected, "{level} {:?}", case.host.tlsa);
    }
}

/// RFC 7672 §2.2.1: who forged the MX records chose the host.
#[test]
fn an_insecure_mx_rrset_makes_half_dane_and_never_dane_only() {
    let mut case = case(usable_finding());
    case.host.trust = DaneTrust::Half;
    for (level, expected) in [
        (Level::May, "dane dane must +half"),
        (Level::Dane, "dane rule must +half"),
        (Level::DaneOnly, "defer rule dane-required"),
    ] {
        assert_eq!(said(&case.verdict(&require(level))), expected, "{level}");
    }
}

#[test]
fn what_is_ignored_is_not_even_sought() {
    let ignoring = |level| {
        rules(Rule {
            require: Some(level),
            published: Published::Ignore,
            ..rule()
        })
    };
    use Published::{Honor, Ignore};
    use SeekTlsa::{No, Yes};
    for (what, rules, wish, dane, expected) in [
        ("nothing said", Rules::default(), Honor, Honor, Yes),
        ("policy.dane = false", Rules::default(), Honor, Ignore, No),
        ("TLS-Required: No", Rules::default(), Ignore, Honor, No),
        ("published = ignore", ignoring(Level::May), Honor, Honor, No),
        ("dane", ignoring(Level::Dane), Ignore, Ignore, Yes),
        ("dane-only", ignoring(Level::DaneOnly), Ignore, Ignore, Yes),
        ("none", require(Level::None), Honor, Honor, No),
        ("encrypt", require(Level::Encrypt), Honor, Honor, Yes),
        ("encrypt, No", require(Level::Encrypt), Ignore, Honor, No),
    ] {
        let mut case = case(failed());
        case.demand.published = wish;
        case.dane = dane;
        assert_eq!(
            seek_tlsa(&case.demand, &case.settings(&rules)),
            expected,
            "{what}"
        );
        let deferred = matches!(case.verdict(&rules), HostVerdict::Defer(_));
        assert_eq!(deferred, expected == Yes, "{what}");
    }
}

/// RFC 7672 §3.2.2.
#[test]
fn reference_names_of_dane() {
    let expanded = || Some(name("expanded.example.org"));
    for (trust, base, expanded, expected) in [
        (
            DaneTrust::Full,
            "mx.example.net",
            None,
            "mx.example.net example.com",
        ),
        (
            DaneTrust::Full,
            "base.example.org",
            expanded(),
            "base.example.org example.com expanded.example.org",
        ),
        (DaneTrust::Full, "example.com", None, "example.com"),
        (
            DaneTrust::Half,
            "mx.example.net",
            expanded(),
            "mx.example.net",
        ),
        (
            DaneTrust::Half,
            "base.example.org",
            expanded(),
            "base.example.org mx.example.net",
        ),
    ] {
        let mut case = case(TlsaFinding::Usable {
            base: TlsaBaseDomain(name(base)),
            records: set(1),
        });
        case.host.trust = trust;
        case.host.next_hop_expanded = expanded;
        let policy = case.policy(&Rules::default());
        let dane = policy.enforce.dane.as_ref().unwrap();
        let names: Vec<&str> = dane.names.iter().map(DomainName::as_str).collect();
        assert_eq!(names.join(" "), expected, "{trust:?} {base}");
        assert_eq!(policy.server_name(), Some(&name(base)), "SNI");
    }
}

/// The pool's key holds the requirement: a connection judged by other records is another connection.
#[test]
fn other_records_are_another_requirement() {
    let enforce = |octet| {
        let case = case(TlsaFinding::Usable {
            base: TlsaBaseDomain(name("mx.example.net")),
            records: set(octet),
        });
        case.policy(&Rules::default()).enforce
    };
    assert_eq!(enforce(1), enforce(1));
    assert_ne!(enforce(1), enforce(2));
}

/// A rule that is tried out is told what it would demand; what is published binds all the same.
#[test]
fn dry_run_enforces_what_is_published() {
    let watching = |level| {
        rules(Rule {
            enforce: Enforce::DryRun,
            require: Some(level),
            ..rule()
        })
    };
    let policy = case(usable_finding()).policy(&watching(Level::DaneOnly));
    assert_eq!(
        said(&HostVerdict::Use(policy.clone())),
        "dane dane must +dane"
    );
    assert!(sole_audit(&policy).unwrap().dane.is_some());
    let policy = case(TlsaFinding::SecurelyAbsent).policy(&watching(Level::Encrypt));
    assert_eq!(policy.level, Level::May);
    assert_eq!(policy.audits[0].purpose, AuditPurpose::DryRun);
}

#[test]
fn a_failure_names_whose_policy_it_violates() {
    let mismatch = TlsFailure::Dane(CertificateProblem::TlsaMismatch);
    let untrusted = TlsFailure::Certificate(CertificateProblem::Untrusted);
    for (level, failure, expected) in [
        (Level::May, &mismatch, "dane policy of example.com"),
        (Level::Dane, &mismatch, "rule policy of example.com"),
        (Level::Verify, &mismatch, "dane policy of example.com"),
        (Level::Verify, &untrusted, "rule policy of example.com"),
    ] {
        let policy = case(usable_finding()).policy(&require(level));
        assert_eq!(policy.describe(failure), expected, "{level} {failure}");
    }
}
