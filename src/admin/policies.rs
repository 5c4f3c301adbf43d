//! MTA-STS policies in JSON, as the admin socket answers and `sealpost policy` prints them.
//!
//! Names of fields are for users' scripts: they stay. Times are UTC (RFC 3339).

use crate::discovery::{FetchFailure, Known, Looked, Shown, StsRecord};
use crate::mta_sts::Policy;
use crate::names::PolicyDomain;
use crate::store::StoredPolicy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A policy that was fetched and is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyEntry {
    /// A-labels.
    pub domain: String,
    /// `enforce`, `testing` or `none`.
    pub mode: String,
    /// The patterns, in the policy's order.
    pub mx: Vec<String>,
    /// Seconds.
    pub max_age: u64,
    /// Of the record that announced it.
    pub id: String,
    pub fetched: Timestamp,
    pub expires: Timestamp,
    /// Not to be refreshed before.
    pub refresh: Timestamp,
    /// Of the last use, to a day.
    pub used: Timestamp,
    /// Whether it is in force.
    pub live: bool,
}

/// Answer to a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyPage {
    /// In the order of their domains.
    pub policies: Vec<PolicyEntry>,
    /// After which domain to go on; `None`: that was all.
    pub next: Option<String>,
}

/// Answer to a question for one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyShown {
    #[serde(flatten)]
    pub policy: PolicyEntry,
    /// Why it could not be fetched anew.
    pub last_failure: Option<LastFailure>,
}

/// Answer to a question for one policy, if there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyMissing {
    pub domain: String,
    pub error: String,
    pub last_failure: Option<LastFailure>,
}

/// Why a policy cannot be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub reason: String,
    /// Of RFC 8460 §4.3.2.2.
    pub result: String,
}

/// Why a policy could not be fetched the last time, if that has not succeeded since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    #[serde(flatten)]
    pub failure: Failure,
    /// Seconds since then.
    pub age: u64,
}

/// Answer to a refresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRefreshed {
    pub domain: String,
    pub record: RecordFound,
    /// What was fetched; it is in force.
    pub policy: Option<PolicyEntry>,
    /// Why nothing was fetched although there is a record.
    pub failure: Option<Failure>,
    /// The older policy that stays in force since nothing was fetched.
    pub kept: Option<PolicyEntry>,
}

/// What DNS says: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFound {
    pub id: Option<String>,
    pub problem: Option<String>,
}

/// Answer to the wish to forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyForgotten {
    pub domain: String,
    pub forgotten: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub error: String,
}

impl PolicyEntry {
    pub(super) fn of_known(domain: &PolicyDomain, known: &Known, now: u64) -> Self {
        Self {
            domain: domain.to_string(),
            mode: known.policy.mode.to_string(),
            mx: patterns(&known.policy),
            max_age: known.policy.max_age.into(),
            id: known.id.to_string(),
            fetched: time(known.fetched),
            expires: time(known.expires()),
            refresh: time(known.refresh),
            used: time(known.used),
            live: known.is_live(now),
        }
    }

    /// What this version does not understand is not in force.
    pub(super) fn of_stored(stored: StoredPolicy, now: u64) -> Self {
        let policy = Policy::read(stored.policy.as_bytes());
        Self {
            domain: stored.domain,
            mode: stored.mode,
            mx: policy.as_ref().map(patterns).unwrap_or_default(),
            max_age: stored.expires.saturating_sub(stored.fetched),
            id: stored.id,
            fetched: time(stored.fetched),
            expires: time(stored.expires),
            refresh: time(stored.refresh),
            used: time(stored.used),
            live: policy.is_ok() && now < stored.expires,
        }
    }
}

impl PolicyShown {
    pub(super) fn of(domain: &PolicyDomain, shown: Shown, now: u64) -> Result<Self, PolicyMissing> {
        let last_failure = shown
            .failure
            .map(|(age, failure)| LastFailure::of(age, &failure));
        match shown.known {
            Some(known) => Ok(Self {
                policy: PolicyEntry::of_known(domain, &known, now),
                last_failure,
            }),
            None => Err(PolicyMissing {
                last_failure,
                ..PolicyMissing::of(domain)
            }),
        }
    }
}

impl PolicyMissing {
    pub(super) fn of(domain: &PolicyDomain) -> Self {
        Self {
            domain: domain.to_string(),
            error: "no policy is remembered".to_owned(),
            last_failure: None,
        }
    }
}

impl Failure {
    fn of(failure: &FetchFailure) -> Self {
        Self {
            reason: failure.to_string(),
            result: failure.result_type().to_owned(),
        }
    }
}

impl LastFailure {
    pub(super) fn of(age: Duration, failure: &FetchFailure) -> Self {
        Self {
            failure: Failure::of(failure),
            age: age.as_secs(),
        }
    }
}

impl RecordFound {
    fn of(record: &StsRecord) -> Self {
        let problem = match record {
            Ok(Ok(id)) => {
                return Self {
                    id: Some(id.to_string()),
                    problem: None,
                };
            }
            Ok(Err(fault)) => fault.to_string(),
            Err(failure) => format!("the MTA-STS record cannot be looked up: {failure}"),
        };
        Self {
            id: None,
            problem: Some(problem),
        }
    }
}

impl PolicyRefreshed {
    /// `before` is what was known when nothing was fetched.
    pub(super) fn of(
        domain: &PolicyDomain,
        looked: &Looked,
        before: Option<&Known>,
        now: u64,
    ) -> Self {
        let entry = |known: &Known| PolicyEntry::of_known(domain, known, now);
        let fetched = looked.fetched.as_ref();
        let policy = fetched.and_then(|fetched| fetched.as_ref().ok());
        let failure = fetched.and_then(|fetched| fetched.as_ref().err());
        let kept = before.filter(|known| policy.is_none() && known.is_live(now));
        Self {
            domain: domain.to_string(),
            record: RecordFound::of(&looked.record),
            policy: policy.map(|known| entry(known)),
            failure: failure.map(Failure::of),
            kept: kept.map(entry),
        }
    }
}

fn patterns(policy: &Policy) -> Vec<String> {
    policy.mx.iter().map(ToString::to_string).collect()
}

/// Of UNIX seconds; what cannot be is the end of time.
fn time(seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).ok();
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::MAX)
}
