//! What a domain publishes besides its MX hosts: MTA-STS, TLS reporting, CAA.

use super::Survey;
use super::record::{Caa, CaaState, Sts, StsMode, StsState, Tlsrpt, TlsrptState};
use super::words::{self, cut, line};
use crate::discovery::{FetchFailure, Looked};
use crate::dns::{CaaRdata, LookupFailure};
use crate::mta_sts::{Mode, Policy, RecordFault};
use crate::names::{DomainName, PolicyDomain};
use crate::policy::StsFinding;
use crate::tlsrpt;
use std::sync::Arc;

/// Patterns of a policy that are told.
const MAX_PATTERNS: usize = 20;
/// Names above a host's that are asked for CAA records: more labels than host names have.
const MAX_CLIMB: usize = 10;
const MAX_ISSUERS: usize = 10;

impl Survey {
    /// The policy that a domain publishes now, and what a delivery that knew nothing of it would go by.
    pub(super) async fn mta_sts(&self, domain: &PolicyDomain) -> (StsFinding, Sts) {
        let mut looked = self.sts.refresh(domain).await;
        let failed = |looked: &Looked| {
            let record = matches!(&looked.record, Err(failure) if !is_bogus(failure));
            record || matches!(&looked.fetched, Some(Err(failure)) if may_pass(failure))
        };
        if failed(&looked) {
            tokio::time::sleep(self.settings.pace.retry).await;
            looked = self.sts.refresh(domain).await;
        }
        (self.finding(domain, &looked), told(&looked))
    }

    fn finding(&self, domain: &PolicyDomain, looked: &Looked) -> StsFinding {
        if let Err(LookupFailure::Bogus(why)) = &looked.record {
            return StsFinding::Bogus(why.clone());
        }
        if let Some(Ok(known)) = &looked.fetched {
            return StsFinding::Policy(Arc::clone(&known.policy));
        }
        let preloaded = self.sts.preloaded(domain);
        preloaded.map_or(StsFinding::NoPolicy, |found| found.finding)
    }

    pub(super) async fn tlsrpt(&self, domain: &DomainName) -> Tlsrpt {
        if tlsrpt::RECORD_LABELS.len() + 1 + domain.as_str().len() > DomainName::MAX {
            return Tlsrpt {
                state: TlsrptState::None,
                ..Tlsrpt::default()
            };
        }
        let answer = match self.dns.report_records(domain).await {
            Ok(answer) => answer,
            Err(failure) => {
                return Tlsrpt {
                    state: TlsrptState::Unknown,
                    failure: Some(line(&failure.to_string())),
                    ..Tlsrpt::default()
                };
            }
        };
        let texts = answer.records.iter().map(|record| &*record.0);
        let (state, failure) = match tlsrpt::read_records(texts) {
            Ok(record) => {
                let rua = record.addresses.iter().map(|uri| cut(uri, 200));
                return Tlsrpt {
                    state: TlsrptState::Valid,
                    rua: rua.collect(),
                    failure: None,
                };
            }
            Err(tlsrpt::RecordFault::Absent) => (TlsrptState::None, None),
            Err(fault @ tlsrpt::RecordFault::Several) => (TlsrptState::Several, Some(fault)),
            Err(fault) => (TlsrptState::Invalid, Some(fault)),
        };
        Tlsrpt {
            state,
            rua: Vec::new(),
            failure: failure.map(|fault| fault.to_string()),
        }
    }

    /// The CAA records that hold for a host: its own, or those of the nearest name above (RFC 8659 §3).
    pub(super) async fn caa(&self, host: &DomainName) -> Caa {
        let mut name = Some(host.clone());
        let mut told = Caa {
            state: CaaState::None,
            ..Caa::default()
        };
        for _ in 0..MAX_CLIMB {
            let Some(at) = name else { break };
            match self.dns.caa(&at).await {
                Err(failure) => {
                    told.state = CaaState::Unknown;
                    told.dnssec = words::failed(&failure);
                    break;
                }
                Ok(answer) => {
                    told.dnssec = words::proof(answer.proof);
                    if !answer.records.is_empty() {
                        (told.state, told.issue) = read_caa(&answer.records);
                        told.at = Some(at.to_string());
                        break;
                    }
                }
            }
            name = at.parent();
        }
        told
    }
}

fn is_bogus(failure: &LookupFailure) -> bool {
    matches!(failure, LookupFailure::Bogus(_))
}

/// Whether a policy host that failed may do better a little later.
fn may_pass(failure: &FetchFailure) -> bool {
    matches!(
        failure,
        FetchFailure::TimedOut
            | FetchFailure::TooMany
            | FetchFailure::Address(crate::discovery::HostFailure::Lookup(_))
            | FetchFailure::Status(429 | 500..)
    )
}

pub(super) fn told(looked: &Looked) -> Sts {
    let mut told = Sts::default();
    match &looked.record {
        Err(failure) => {
            told.state = match is_bogus(failure) {
                true => StsState::RecordBogus,
                false => StsState::RecordUnknown,
            };
            told.failure = Some(line(&failure.to_string()));
        }
        Ok(Err(RecordFault::Absent)) => told.state = StsState::None,
        Ok(Err(fault)) => {
            told.state = match fault {
                RecordFault::Several => StsState::SeveralRecords,
                RecordFault::Absent
                | RecordFault::NoId
                | RecordFault::TwoIds
                | RecordFault::BadId
                | RecordFault::Malformed => StsState::RecordInvalid,
            };
            told.failure = Some(fault.to_string());
        }
        Ok(Ok(id)) => told.id = Some(id.to_string()),
    }
    match &looked.fetched {
        None => {}
        Some(Ok(known)) => describe(&known.policy, &mut told),
        // That we were too busy says nothing of the policy host.
        Some(Err(failure @ (FetchFailure::TooMany | FetchFailure::Stopped))) => {
            told.failure = Some(failure.to_string());
        }
        Some(Err(failure)) => {
            told.state = StsState::PolicyFailed;
            told.failure = Some(line(&failure.to_string()));
            told.result_type = Some(failure.result_type().to_owned());
        }
    }
    told
}

fn describe(policy: &Policy, told: &mut Sts) {
    told.state = StsState::Valid;
    told.mode = Some(match policy.mode {
        Mode::Enforce => StsMode::Enforce,
        Mode::Testing => StsMode::Testing,
        Mode::None => StsMode::None,
    });
    let patterns = policy.mx.iter().map(|pattern| line(&pattern.to_string()));
    told.mx = patterns.take(MAX_PATTERNS).collect();
    told.max_age = Some(policy.max_age);
}

/// Flags, tag and value (RFC 8659 §4.1).
fn read_caa(records: &[CaaRdata]) -> (CaaState, Vec<String>) {
    let mut issue = Vec::new();
    let mut state = CaaState::NoIssue;
    for record in records {
        let Some((tag, value)) = property(&record.0) else {
            return (CaaState::Malformed, Vec::new());
        };
        if tag.eq_ignore_ascii_case(b"issue") {
            state = CaaState::Present;
            if issue.len() < MAX_ISSUERS {
                issue.push(cut(&String::from_utf8_lossy(value), 200));
            }
        }
    }
    (state, issue)
}

fn property(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_flags, rest) = data.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (tag, value) = rest.split_at_checked(usize::from(*length))?;
    let sound = !tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric);
    sound.then_some((tag, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_caa_records_say() {
        let issue: &[u8] = b"\x00\x05issueca.example";
        for (records, state, issuers) in [
            (&[issue][..], CaaState::Present, &["ca.example"][..]),
            (&[b"\x80\x05ISSUE;\x1b[31m"], CaaState::Present, &[";?[31m"]),
            (&[b"\x00\x05iodefmailto:x"], CaaState::NoIssue, &[]),
            (&[issue, b"\x00\x09issue"], CaaState::Malformed, &[]), // the tag is longer than the data
            (&[b"\x00\x00x"], CaaState::Malformed, &[]),
            (&[b""], CaaState::Malformed, &[]),
        ] {
            let records: Vec<_> = records.iter().map(|d| CaaRdata((*d).into())).collect();
            let (is, found) = read_caa(&records);
            assert_eq!(
                (is, found.iter().map(String::as_str).collect()),
                (state, issuers.to_vec())
            );
        }
    }
}
