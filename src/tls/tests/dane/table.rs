//! Every line of the lab's table against the judgement; what is expected is worked out there, from the
//! RFCs.

use super::stranger;
use crate::dane::{TlsaRdata, usable};
use crate::names::TlsaBaseDomain;
use crate::policy::{DaneRequirement, DaneTrust, TlsFailure};
use crate::tls::testing::{MX, at_test, demand, name, session};
use crate::tls::{Authenticated, TlsClient};
use lab::ca::Ca;
use lab::dane::{Case, Certificate, Expected, Host, cases};
use std::sync::Arc;

fn outcome(client: &TlsClient, host: &Host<'_>, case: &Case) -> (Expected, String) {
    let records: Vec<TlsaRdata> = host
        .publish(&case.records)
        .into_iter()
        .map(TlsaRdata)
        .collect();
    let Some(records) = usable(&records) else {
        return (Expected::EncryptedOnly, String::new());
    };
    let requirement = demand(DaneRequirement {
        base: TlsaBaseDomain(name(MX)),
        records,
        names: Arc::from([name(MX)]),
        trust: DaneTrust::Full,
    });
    match client.judge(&requirement, &session(&host.identity.chain), at_test()) {
        Ok(Authenticated::Dane) => (Expected::Authenticated, String::new()),
        Err(TlsFailure::Dane(problem)) => (Expected::Deferred, problem.to_string()),
        other => panic!("{case} {other:?}"),
    }
}

fn check(certificates: &[Certificate]) {
    let client = stranger();
    let ca = Ca::default();
    let mut wrong = Vec::new();
    for certificate in certificates {
        let host = certificate.host(&ca, MX);
        for case in cases()
            .iter()
            .filter(|case| case.certificate == *certificate)
        {
            let (got, why) = outcome(&client, &host, case);
            let expected = case.expected();
            if got != expected {
                wrong.push(format!("{case}: {got:?} ({why}), expected {expected:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lines:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn good_chains_complete_or_not() {
    check(&[
        Certificate::Good,
        Certificate::RootOmitted,
        Certificate::ByIntermediate,
        Certificate::ByIntermediateRootOmitted,
        Certificate::IntermediateOmitted,
        Certificate::Padded,
    ]);
}

#[test]
fn dates_names_and_uses() {
    check(&[
        Certificate::Expired,
        Certificate::NotYetValid,
        Certificate::WrongName,
        Certificate::Wildcard,
        Certificate::ClientOnly,
        Certificate::CommonName,
        Certificate::CommonNameWildcard,
        Certificate::CommonNameBesideSan,
    ]);
}

#[test]
fn odd_and_self_signed() {
    check(&[
        Certificate::Authority,
        Certificate::Version1,
        Certificate::SelfSigned,
        Certificate::SelfSignedAuthority,
        Certificate::SelfSignedExpiredWrongName,
        Certificate::SelfSignedVersion1,
    ]);
}
