//! Values of the pipeline in the words of a report.

use super::report::Policy;
use crate::dane::Usage;
use crate::dns::{DnssecStatus, DnssecUnavailable, Proof, Validation};
use crate::names::{NextHop, RuleTarget};
use crate::policy::{
    AuditPurpose, Authentication, DaneRequirement, DaneTrust, Deferral, Encryption, HostPolicy,
    TlsVersion,
};

/// Whether there is an MX lookup at all.
pub(super) fn has_mx(hop: &NextHop) -> bool {
    match hop {
        NextHop::Domain(_) => true,
        NextHop::Literal(_) => false,
        NextHop::Rule(hop) => matches!(hop.target, RuleTarget::Mx(_)),
    }
}

pub(super) fn proof(proof: Proof) -> &'static str {
    match proof {
        Proof::Secure => "secure",
        Proof::Insecure => "insecure",
    }
}

pub(in crate::cli) fn dnssec(status: &DnssecStatus, unavailable: DnssecUnavailable) -> String {
    match (status, unavailable) {
        (DnssecStatus::Off, _) => "off: no DANE".into(),
        (DnssecStatus::Works(Validation::InProcess), _) => "works, validated here".into(),
        (DnssecStatus::Works(Validation::Servers), _) => "works, validated by dns.servers".into(),
        (DnssecStatus::NoAnswer(why), _) => {
            format!(
                "not known, DNS does not answer for the root's keys: {why}; mail that needs DNS is deferred"
            )
        }
        (DnssecStatus::Broken(why) | DnssecStatus::Untimely(why), DnssecUnavailable::Defer) => {
            format!("does NOT work: {why}; mail that needs DNS is deferred")
        }
        (
            DnssecStatus::Broken(why) | DnssecStatus::Untimely(why),
            DnssecUnavailable::WithoutDane,
        ) => format!("does NOT work: {why}; DANE is not applied"),
    }
}

pub(super) fn policy(policy: &HostPolicy) -> Policy {
    let names = match &policy.enforce.authentication {
        Authentication::None => Vec::new(),
        Authentication::WebPki(names) => names.iter().map(ToString::to_string).collect(),
        Authentication::Fingerprint(prints) => vec![format!("{} fingerprints", prints.len())],
    };
    let plaintext = match policy.enforce.encryption {
        Encryption::Never => "always",
        Encryption::Opportunistic => "possible",
        Encryption::Mandatory => "never",
    };
    Policy {
        level: policy.level.as_str(),
        source: policy.source.as_str(),
        subject: policy.subject.to_string(),
        accepts: names,
        dane: policy.enforce.dane.as_ref().map(|dane| match dane.trust {
            DaneTrust::Full => "dane",
            DaneTrust::Half => "half-dane",
        }),
        dane_names: match &policy.enforce.dane {
            Some(dane) if wants_names(dane) => dane.names.iter().map(ToString::to_string).collect(),
            Some(_) | None => Vec::new(),
        },
        plaintext,
        min_version: policy.enforce.min_version.as_str(),
        dry_run: objection(policy, AuditPurpose::DryRun),
        testing: objection(policy, AuditPurpose::Testing),
        mta_sts: policy.enforce.mta_sts.as_ref().map(ToString::to_string),
    }
}

fn objection(policy: &HostPolicy, purpose: AuditPurpose) -> Option<String> {
    let mut objections = policy.objections.iter();
    let of_it = objections.find(|objection| objection.purpose == purpose)?;
    Some(of_it.reason.to_string())
}

/// Names count under DANE-TA alone (RFC 7672 §3.1.1).
fn wants_names(dane: &DaneRequirement) -> bool {
    let records = dane.records.records();
    records.iter().any(|tlsa| tlsa.usage == Usage::TrustAnchor)
}

/// The policy that does not use a host at all.
pub(super) fn deferral(deferral: &Deferral, min_version: TlsVersion) -> Policy {
    Policy {
        level: deferral.level.as_str(),
        source: deferral.source.as_str(),
        subject: deferral.subject.to_string(),
        accepts: Vec::new(),
        dane: None,
        dane_names: Vec::new(),
        mta_sts: None,
        plaintext: "never",
        min_version: min_version.as_str(),
        dry_run: None,
        testing: None,
    }
}
