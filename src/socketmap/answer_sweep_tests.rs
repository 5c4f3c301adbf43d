//! Every combination of floor, policy and TLSA records of two hosts: Postfix, told the answer, delivers to no host to
//! which the engine would not, save for the exceptions that are documented.

use super::*;
use crate::policy::{Authentication, DeferReason, Encryption, HostPolicy};

/// What Postfix makes of a host under an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Nothing is sent.
    Refused,
    /// The certificate matches TLSA records.
    Tlsa,
    /// The certificate is pinned, or trusted and for one of the names of the answer.
    Named,
    Encrypted,
    Open,
    Clear,
}

fn treat(answer: &Answer, facts: &HostFacts) -> Treatment {
    let policy = match answer {
        Answer::Temporary(_) | Answer::Refused(_) => return Treatment::Refused,
        // smtp_tls_security_level = may, the least that config/postfix has.
        Answer::NotFound => return Treatment::Open,
        Answer::Found(policy) => policy,
    };
    match policy.level {
        Level::None => Treatment::Clear,
        Level::May => Treatment::Open,
        Level::Encrypt => Treatment::Encrypted,
        Level::Fingerprint | Level::Verify | Level::Secure => Treatment::Named,
        Level::DaneOnly => match (&facts.tlsa, facts.trust) {
            (TlsaFinding::Usable { .. }, Full) => Treatment::Tlsa,
            (_, _) => Treatment::Refused,
        },
        // With smtp_tls_dane_insecure_mx_policy = dane.
        Level::Dane => match facts.tlsa {
            TlsaFinding::Usable { .. } => Treatment::Tlsa,
            TlsaFinding::NoneUsable(_) => Treatment::Encrypted,
            TlsaFinding::LookupFailed(_) => Treatment::Refused,
            TlsaFinding::NotSought | TlsaFinding::SecurelyAbsent | TlsaFinding::Insecure => {
                Treatment::Open
            }
        },
    }
}

/// Whether the engine would deliver wherever Postfix does.
fn is_enough(treatment: Treatment, policy: &HostPolicy, case: &super::Case) -> bool {
    let needs = &policy.enforce;
    let proven = needs.dane.as_ref().is_some_and(|dane| dane.trust == Full);
    let named = matches!(
        needs.authentication,
        Authentication::WebPki(_) | Authentication::Fingerprint(_)
    );
    let pinned = !hosts_matter(&case.demand, &case.policy);
    match treatment {
        Treatment::Refused => true,
        // Proven records stand in for names that are as trustworthy as the MX records.
        Treatment::Tlsa => proven || (needs.dane.is_some() && needs.mta_sts.is_none() && !named),
        // A rule that names certificates stands alone; names of a policy stand in for half-dane.
        Treatment::Named => !proven || pinned,
        Treatment::Encrypted => {
            let floors = [Level::Encrypt, Level::Dane];
            let half = needs.dane.is_some() && floors.contains(&case.policy_level());
            !named && needs.mta_sts.is_none() && (needs.dane.is_none() || half) && !proven
        }
        Treatment::Open => needs.encryption != Encryption::Mandatory,
        Treatment::Clear => needs.encryption == Encryption::Never,
    }
}

impl super::Case {
    fn policy_level(&self) -> Level {
        Floor::of(&self.demand, &self.policy).level
    }
}

#[test]
fn postfix_is_never_told_less_than_holds_for_a_host() {
    let (mut seen, mut answers) = (0, std::collections::BTreeSet::new());
    let policies = [
        "none",
        FIRST,
        BOTH,
        "enforce mx9.b.example",
        "testing mx9.b.example",
        "bogus",
        "unknown",
    ];
    for trust in [Full, Half] {
        for (one, two) in TLSA.iter().flat_map(|one| TLSA.map(|two| (*one, two))) {
            for policy in policies {
                for floor in Level::ALL.map(Some).into_iter().chain([None]) {
                    let case = super::Case::new(trust, &[one, two], policy);
                    let case = match floor {
                        None => case,
                        Some(level) => case.rule(Rule {
                            fingerprints: vec![Fingerprint::Either([1; 32])],
                            ..rule(Some(level))
                        }),
                    };
                    check(&case, &format!("{trust:?} {one} {two} {policy} {floor:?}"));
                    answers.insert(case.answer().label());
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 2 * 36 * 7 * 9);
    let missing: Vec<_> = crate::ledger::SOCKETMAP_LABELS
        .into_iter()
        .filter(|label| !answers.contains(label))
        .collect();
    assert_eq!(missing, ["perm"]);
}

fn check(case: &super::Case, what: &str) {
    let answer = case.answer();
    let said = answer.render();
    // Whatever Postfix finds, or cannot look for.
    if case.policy_level() >= Level::Encrypt {
        let may_be_clear = match &answer {
            Answer::Found(policy) => policy.level < Level::Encrypt,
            Answer::NotFound => true,
            Answer::Temporary(_) | Answer::Refused(_) => false,
        };
        assert!(!may_be_clear, "{what}: {said}");
    }
    for facts in &case.hosts {
        let facts = HostFacts {
            sts: case.sts.clone(),
            ..facts.clone()
        };
        let treatment = treat(&answer, &facts);
        match for_host(&case.demand, &facts, &case.policy) {
            HostVerdict::Use(policy) => {
                let enough = is_enough(treatment, &policy, case);
                assert!(
                    enough,
                    "{what}: {said}, {:?}: {treatment:?}, {policy:?}",
                    facts.host
                );
            }
            // Not in the list: a certificate for a name that is makes it one that is.
            HostVerdict::Skip(_) => {
                let kept = matches!(treatment, Treatment::Refused | Treatment::Named);
                assert!(kept, "{what}: {said}: {treatment:?}");
            }
            // Where rules name certificates nobody asks for the records that could not be found.
            HostVerdict::Defer(deferral) => {
                let named = treatment == Treatment::Named
                    && matches!(deferral.reason, DeferReason::TlsaLookup(_))
                    && !hosts_matter(&case.demand, &case.policy);
                let kept = treatment == Treatment::Refused || named;
                assert!(kept, "{what}: {said}: {treatment:?}, {deferral:?}");
            }
        }
    }
}
