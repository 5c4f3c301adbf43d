//! The verdict on a handshake, and what is told of TLS failures.

use super::connection::Plan;
use super::failure::Failure;
use super::observer::{Enforced, WouldBlock};
use super::replies::host_label;
use crate::clock;
use crate::policy::{AuditPurpose, Encryption, PolicySource, TlsFailure, Trial};
use crate::tls::{Authenticated, TlsSeen, TlsSession};
use std::time::Duration;

/// Judges a handshake by what is enforced, and then by what is only watched.
pub(super) fn judge(
    session: &TlsSession,
    plan: &Plan<'_>,
    elapsed: Duration,
) -> Result<TlsSeen, Failure> {
    plan.observer.presented(session);
    let now = clock::now();
    let verdict = plan.tls.judge(&plan.policy.enforce, session, now);
    let problem = plan
        .tls
        .full_check(session, plan.host.map(|host| &host.0), now);
    let mut seen = TlsSeen {
        version: session.version,
        cipher: session.cipher,
        group: session.group,
        resumed: session.resumed,
        authenticated: *verdict.as_ref().unwrap_or(&Authenticated::None),
        problem,
        key: plan.tls.key_kind(session),
        expires: session.expires(),
        trial: Trial::None,
    };
    plan.observer.handshake(&seen, elapsed);
    if let Err(failure) = verdict {
        plan.observer
            .tls_failure(&failure, plan.policy.source_of(&failure), Enforced::Yes);
        return Err(Failure::Tls(failure));
    }
    for audit in &*plan.policy.audits {
        let judged = plan.tls.judge(&audit.requirement, session, now);
        if let Err(failure) = &judged {
            observe_audit(failure, audit.purpose, plan);
        }
        if audit.purpose == AuditPurpose::DryRun {
            seen.trial = match judged {
                Ok(_) => Trial::Pass,
                Err(_) => Trial::Block,
            };
        }
    }
    Ok(seen)
}

/// No channel that satisfies the policy came about.
pub(super) fn observe_failure(failure: &TlsFailure, plan: &Plan<'_>) {
    match plan.policy.enforce.encryption {
        Encryption::Mandatory => {
            plan.observer
                .tls_failure(failure, plan.policy.source_of(failure), Enforced::Yes);
            // What a domain only tests is reported to it, whatever else held the mail back.
            for audit in &*plan.policy.audits {
                match audit.purpose {
                    AuditPurpose::Testing => observe_audit(failure, audit.purpose, plan),
                    AuditPurpose::Record | AuditPurpose::DryRun => {}
                }
            }
        }
        Encryption::Opportunistic | Encryption::Never => observe_audits(failure, plan),
    }
}

/// Once for each who watches; a failure that nobody in particular watches for counts all the same.
fn observe_audits(failure: &TlsFailure, plan: &Plan<'_>) {
    if plan.policy.audits.is_empty() {
        observe_audit(failure, AuditPurpose::Record, plan);
    }
    for audit in &*plan.policy.audits {
        observe_audit(failure, audit.purpose, plan);
    }
}

/// Without STARTTLS nothing has failed at level `may`; what is tried out would have held mail back.
pub(super) fn observe_no_offer(plan: &Plan<'_>) {
    for audit in &*plan.policy.audits {
        match audit.purpose {
            AuditPurpose::Record => {}
            AuditPurpose::Testing | AuditPurpose::DryRun => {
                observe_audit(&TlsFailure::StarttlsNotOffered, audit.purpose, plan);
            }
        }
    }
}

fn observe_audit(failure: &TlsFailure, purpose: AuditPurpose, plan: &Plan<'_>) {
    let source = match purpose {
        AuditPurpose::Record => plan.policy.source_of(failure),
        AuditPurpose::Testing => PolicySource::MtaSts,
        AuditPurpose::DryRun => {
            plan.observer.would_block(&WouldBlock {
                domain: &plan.policy.subject,
                rule_name: plan.policy.rule_name.as_deref(),
                host: &host_label(plan.host, plan.address.ip()),
                failure,
            });
            PolicySource::Rule
        }
    };
    plan.observer.tls_failure(failure, source, Enforced::No);
}
