//! What rules make of what is published, and the other way round.

use super::*;

#[test]
fn a_rule_is_a_floor() {
    use Level::{Dane, DaneOnly, Encrypt, May, None, Secure, Verify};
    let verify = "OK verify match=hostname";
    let secure = "OK secure match=nexthop:dot-nexthop";
    for (level, trust, found, policy, expected) in [
        (None, Full, &["usable"][..], BOTH, "OK none"), // implies published = "ignore"
        (May, Full, &["absent"], "none", "OK may"),     // said, thus answered
        (May, Full, &["usable"], "none", "OK dane-only"),
        (May, Full, &["absent"], BOTH, SECURE),
        (Dane, Full, &["absent"], "none", "OK dane"),
        (Dane, Full, &[], "none", "OK dane"),
        (Dane, Full, &["usable"], "none", "OK dane-only"),
        (Dane, Full, &["not sought"], "none", "OK encrypt"), // DNSSEC is off
        (Dane, Full, &["failed"], "none", FAILED),
        (Dane, Full, &["absent"], BOTH, SECURE),
        (Encrypt, Full, &["absent"], "none", "OK encrypt"),
        (Encrypt, Full, &[], "none", "OK encrypt"),
        (Encrypt, Full, &["none usable"], "none", "OK encrypt"),
        // Postfix's dane would send in the clear to mx2.
        (Encrypt, Full, &["usable", "absent"], "none", "OK dane-only"),
        (Encrypt, Half, &["usable", "absent"], "none", "OK encrypt"),
        (Encrypt, Half, &["usable", "usable"], "none", "OK encrypt"),
        (Encrypt, Full, &["failed"], "none", FAILED),
        (Encrypt, Full, &["absent"], BOTH, SECURE),
        (Verify, Full, &["absent"], "none", verify),
        (Verify, Half, &["usable"], "none", verify),
        (Verify, Full, &["usable", "absent"], "none", "OK dane-only"),
        (Verify, Full, &["absent"], BOTH, SECURE),
        (Verify, Full, &["failed"], "none", FAILED),
        (Secure, Full, &["usable"], "none", secure),
        (Secure, Full, &["failed"], "none", secure), // nobody looks
        (
            Secure,
            Full,
            &["absent"],
            BOTH,
            "OK secure match=mx1.a.example:mx2.a.example",
        ),
        (Secure, Full, &["absent"], "enforce mx.b.example", secure),
        (DaneOnly, Full, &["usable"], "none", "OK dane-only"),
        (DaneOnly, Full, &["absent"], "none", "OK dane-only"),
        (DaneOnly, Full, &["failed"], "none", "OK dane-only"),
        (DaneOnly, Half, &["usable"], "none", "OK dane-only"),
        (DaneOnly, Full, &[], "none", "OK dane-only"),
        (DaneOnly, Full, &["absent", "usable"], FIRST, CONFLICT),
    ] {
        let case = Case::new(trust, found, policy).require(level);
        assert_eq!(case.say(), expected, "{level} {trust:?} {found:?} {policy}");
    }
}

#[test]
fn the_default_is_a_floor_for_all() {
    for (default, found, policy, expected) in [
        (Level::Encrypt, "absent", "none", "OK encrypt"),
        (Level::Verify, "absent", "none", "OK verify match=hostname"),
        (Level::Verify, "usable", "none", "OK dane-only"),
        (
            Level::Verify,
            "absent",
            FIRST,
            "OK secure match=mx1.a.example servername=hostname",
        ),
    ] {
        let mut case = Case::new(Full, &[found], policy);
        case.policy.default = default;
        assert_eq!(case.say(), expected, "{default} {found} {policy}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, as rustfmt writes it")]
fn rules_that_name_certificates_stand_alone() {
    let words = |words: &[&str]| -> Vec<MatchName> {
        let word = |w: &&str| crate::policy::postfix_map::match_name(w).unwrap();
        words.iter().map(word).collect()
    };
    for (level, matching, policy, expected) in [
        (
            Level::Verify,
            &["mx.b.example"][..],
            "none",
            "verify match=mx.b.example",
        ),
        (Level::Verify, &["hostname"], "none", "dane-only"), // what verify means anyway
        (
            Level::Secure,
            &["hostname"],
            "none",
            "secure match=hostname",
        ),
        (
            Level::Secure,
            &["nexthop", ".b.example"],
            "none",
            "secure match=nexthop:.b.example",
        ),
        // What is in both lists of names satisfies both.
        (
            Level::Secure,
            &["hostname"],
            BOTH,
            "secure match=mx1.a.example:mx2.a.example",
        ),
        (
            Level::Secure,
            &["mx2.a.example"],
            BOTH,
            "secure match=mx2.a.example",
        ),
        (
            Level::Secure,
            &["x.b.example"],
            "enforce *.b.example",
            "secure match=x.b.example",
        ),
        (
            Level::Secure,
            &["y.x.b.example"],
            "enforce *.b.example",
            "secure match=y.x.b.example",
        ),
        (
            Level::Verify,
            &[".b.example"],
            "enforce *.b.example mx.c.example",
            "verify match=.b.example",
        ),
        (
            Level::Verify,
            &[".b.example"],
            "enforce *.x.b.example",
            "verify match=.x.b.example",
        ),
        (
            Level::Verify,
            &[".x.b.example"],
            "enforce *.b.example",
            "verify match=.x.b.example",
        ),
        (Level::Secure, &["nexthop"], BOTH, "secure match=nexthop"),
    ] {
        let rule = Rule {
            match_names: words(matching),
            ..rule(Some(level))
        };
        let case = Case::new(Full, &["usable"], policy).rule(rule);
        assert_eq!(
            case.say(),
            format!("OK {expected}"),
            "{level} {matching:?} {policy}"
        );
        let looks = hosts_matter(&case.demand, &case.policy);
        assert_eq!(looks, expected == "dane-only", "{level} {matching:?}");
    }
    let pinned = Rule {
        fingerprints: vec![Fingerprint::PublicKey([0xfe; 32])],
        ..rule(Some(Level::Fingerprint))
    };
    let case = Case::new(Full, &["usable"], BOTH).rule(pinned);
    let digest = ["FE"; 32].join(":");
    assert_eq!(case.say(), format!("OK fingerprint match={digest}"));
}

#[test]
fn a_rule_that_is_tried_out_binds_nothing() {
    for (level, found, policy, expected) in [
        (Level::Verify, "absent", "none", "NOTFOUND "),
        (Level::None, "usable", "none", "OK dane-only"),
        (Level::DaneOnly, "absent", "none", "NOTFOUND "),
    ] {
        let rule = Rule {
            enforce: Enforce::DryRun,
            ..rule(Some(level))
        };
        let case = Case::new(Full, &[found], policy).rule(rule);
        assert_eq!(case.say(), expected, "{level} {found}");
    }
}

#[test]
fn what_is_published_may_be_ignored() {
    let ignoring = |level| Rule {
        published: Published::Ignore,
        ..rule(level)
    };
    for (level, expected) in [
        (Some(Level::Encrypt), "OK encrypt"),
        (Some(Level::May), "OK may"),
        (None, "NOTFOUND "),
    ] {
        let case = Case::new(Full, &["not sought"], BOTH).rule(ignoring(level));
        assert!(!hosts_matter(&case.demand, &case.policy));
        assert_eq!(case.say(), expected, "{level:?}");
    }
}

#[test]
fn dane_and_mta_sts_may_be_off() {
    for (dane, mta_sts, found, policy, expected) in [
        (
            Published::Ignore,
            Published::Honor,
            "not sought",
            "none",
            "NOTFOUND ",
        ),
        (
            Published::Ignore,
            Published::Honor,
            "not sought",
            BOTH,
            SECURE,
        ),
        (
            Published::Ignore,
            Published::Honor,
            "not sought",
            "testing mx9.a.example",
            "NOTFOUND ",
        ),
        (
            Published::Honor,
            Published::Ignore,
            "usable",
            BOTH,
            "OK dane-only",
        ),
        (
            Published::Honor,
            Published::Ignore,
            "absent",
            BOTH,
            "NOTFOUND ",
        ),
    ] {
        let mut case = Case::new(Full, &[found], policy);
        (case.policy.dane, case.policy.mta_sts) = (dane, mta_sts);
        case.hosts[0].host = None;
        assert_eq!(
            hosts_matter(&case.demand, &case.policy),
            dane == Published::Honor
        );
        assert_eq!(
            case.say(),
            expected,
            "{dane:?} {mta_sts:?} {found} {policy}"
        );
    }
}

#[test]
fn the_oldest_version_is_said_where_it_is_not_the_usual_one() {
    let old = "protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1";
    for (level, of_rule, of_all, expected) in [
        (
            Level::Encrypt,
            None,
            TlsVersion::V1_2,
            "OK encrypt".to_owned(),
        ),
        (
            Level::Encrypt,
            Some(TlsVersion::V1_2),
            TlsVersion::V1_2,
            format!("OK encrypt {old}"),
        ),
        (
            Level::Encrypt,
            Some(TlsVersion::V1_3),
            TlsVersion::V1_2,
            format!("OK encrypt {old}:!TLSv1.2"),
        ),
        (
            Level::Encrypt,
            Some(TlsVersion::V1_2),
            TlsVersion::V1_3,
            format!("OK encrypt {old}"),
        ),
        (
            Level::Encrypt,
            None,
            TlsVersion::V1_3,
            format!("OK encrypt {old}:!TLSv1.2"),
        ),
        (
            Level::Verify,
            None,
            TlsVersion::V1_3,
            format!("OK verify match=hostname {old}:!TLSv1.2"),
        ),
        (Level::May, None, TlsVersion::V1_3, "OK may".to_owned()),
        (Level::None, None, TlsVersion::V1_3, "OK none".to_owned()),
    ] {
        let rule = Rule {
            min_version: of_rule,
            ..rule(Some(level))
        };
        let mut case = Case::new(Full, &["absent"], "none").rule(rule);
        case.policy.min_version = of_all;
        assert_eq!(case.say(), expected, "{level} {of_rule:?} {of_all:?}");
    }
}

#[test]
fn only_an_answer_that_is_the_policy_s_own_is_reported_on() {
    let attributes = " policy_type=sts policy_domain=a.example mx_host_pattern=mx1.a.example \
                      { policy_string = version: STSv1 } { policy_string = mode: enforce } \
                      { policy_string = mx: mx1.a.example } { policy_string = max_age: 86400 }";
    let secure = "OK secure match=mx1.a.example servername=hostname";
    for (level, found, policy, expected) in [
        (Level::May, "absent", FIRST, format!("{secure}{attributes}")),
        (
            Level::Verify,
            "absent",
            FIRST,
            format!("{secure}{attributes}"),
        ),
        (Level::May, "usable", FIRST, "OK dane-only".into()), // Postfix reports on TLSA by itself
        // Postfix 3.10.5 would put `hostname` in place of `match`.
        (
            Level::Secure,
            "absent",
            FIRST,
            "OK secure match=mx1.a.example".into(),
        ),
        // It would keep mail from hosts that are not listed.
        (
            Level::May,
            "absent",
            "testing mx1.a.example",
            "OK may".into(),
        ),
        (Level::Encrypt, "absent", "none", "OK encrypt".into()),
    ] {
        let mut case = Case::new(Full, &[found], policy).require(level);
        case.reports = Reports::Yes;
        assert_eq!(case.say(), expected, "{level} {found} {policy}");
    }
}
