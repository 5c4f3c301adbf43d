//! What there is to tell of policies; the ledger listens.

use super::FetchFailure;
use crate::mta_sts::{Policy, RecordFault};
use crate::names::PolicyDomain;
use crate::store::StoreError;
use std::path::Path;
use std::time::Duration;

/// Told once per fact. Implementations must not block.
pub trait StsObserver: Send + Sync + std::fmt::Debug {
    /// A fetch has ended.
    fn fetched(
        &self,
        domain: &PolicyDomain,
        outcome: Result<&Policy, &FetchFailure>,
        elapsed: Duration,
    );

    /// There are records, and none that counts.
    fn record_invalid(&self, domain: &PolicyDomain, fault: RecordFault);

    /// A policy was due to be fetched anew.
    fn refreshed(&self, domain: &PolicyDomain, result: Refreshed);

    /// Somebody may want mail to be sent as if there were no policy. Once an hour for a domain at most.
    fn suspicion(&self, domain: &PolicyDomain, sign: Sign);

    /// How many policies are remembered.
    fn entries(&self, count: u64);

    /// What is wrong with the store; `None`: nothing any more.
    fn store(&self, problem: Option<&StoreError>);

    /// A list of `policy.preload` is older than one that was seen before under this name.
    fn rolled_back(&self, path: &Path);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

impl StsObserver for Unobserved {
    fn fetched(&self, _: &PolicyDomain, _: Result<&Policy, &FetchFailure>, _: Duration) {}
    fn record_invalid(&self, _: &PolicyDomain, _: RecordFault) {}
    fn refreshed(&self, _: &PolicyDomain, _: Refreshed) {}
    fn suspicion(&self, _: &PolicyDomain, _: Sign) {}
    fn entries(&self, _: u64) {}
    fn store(&self, _: Option<&StoreError>) {}
    fn rolled_back(&self, _: &Path) {}
}

/// What came of a refresh; the `result` of `mta_sts_refreshes_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refreshed {
    Changed,
    Unchanged,
    /// The old policy stays in force until it expires.
    Failed,
}

impl Refreshed {
    pub const ALL: [Self; 3] = [Self::Changed, Self::Unchanged, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// What is odd while an enforced policy is remembered (RFC 8461 §10.2); the `sign` of
/// `mta_sts_downgrade_suspicions_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sign {
    /// The record is gone.
    RecordMissing,
    /// There is none any more that counts, or it is forged.
    RecordInvalid,
    /// The policy cannot be fetched any more.
    FetchFailed,
}

impl Sign {
    pub const ALL: [Self; 3] = [Self::RecordMissing, Self::RecordInvalid, Self::FetchFailed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecordMissing => "record_missing",
            Self::RecordInvalid => "record_invalid",
            Self::FetchFailed => "fetch_failed",
        }
    }
}
