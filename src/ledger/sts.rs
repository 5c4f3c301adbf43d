//! What there is to tell of MTA-STS policies.

use super::{Ledger, NO_LABELS};
use crate::discovery::{FetchFailure, Refreshed, Sign};
use crate::mta_sts::{Policy, RecordFault};
use crate::names::PolicyDomain;
use std::path::Path;
use std::time::Duration;

const TARGET: &str = "sealpost::mta_sts";

impl Ledger {
    /// A fetch has ended. The domain of a failure is left alone for five minutes, as long as it is remembered.
    pub fn sts_fetched(
        &self,
        domain: &PolicyDomain,
        outcome: Result<&Policy, &FetchFailure>,
        elapsed: Duration,
    ) {
        let result = match outcome {
            Ok(policy) => {
                tracing::debug!(
                    target: TARGET,
                    domain = %domain,
                    mode = policy.mode.as_str(),
                    max_age = policy.max_age,
                    elapsed = super::event::seconds(elapsed),
                    "policy fetched",
                );
                "ok"
            }
            // Whoever comes too late may come again at once, and any number of times.
            Err(failure) if !failure.backs_off() => {
                tracing::debug!(target: TARGET, domain = %domain, reason = %failure, "not fetched");
                failure.result_type()
            }
            Err(failure) => {
                tracing::info!(
                    target: TARGET,
                    domain = %domain,
                    result = failure.result_type(),
                    reason = %failure,
                    elapsed = super::event::seconds(elapsed),
                    "policy cannot be fetched",
                );
                failure.result_type()
            }
        };
        let fetches = &self.metrics.mta_sts_fetches;
        fetches.with_label_values(&[result]).inc();
    }

    /// There are records, and none that counts: mail goes as without a policy.
    pub fn sts_record_invalid(&self, domain: &PolicyDomain, fault: RecordFault) {
        tracing::debug!(target: TARGET, domain = %domain, reason = %fault, "invalid record");
    }

    /// A policy was due to be fetched anew.
    pub fn sts_refreshed(&self, domain: &PolicyDomain, result: Refreshed) {
        tracing::debug!(target: TARGET, domain = %domain, result = result.as_str(), "refreshed");
        let refreshes = &self.metrics.mta_sts_refreshes;
        refreshes.with_label_values(&[result.as_str()]).inc();
    }

    /// An administrator had a policy forgotten; `uid` is the one of who asked.
    pub fn sts_forgotten(&self, domain: &PolicyDomain, uid: Option<u32>) {
        tracing::info!(target: TARGET, domain = %domain, uid, "policy forgotten on request");
    }

    /// Somebody may want mail to be sent as if there were no policy.
    pub fn sts_suspicion(&self, domain: &PolicyDomain, sign: Sign) {
        tracing::warn!(
            target: TARGET,
            domain = %domain,
            sign = sign.as_str(),
            "an enforced policy is no longer published as it was: it stays in force until it expires",
        );
        let suspicions = &self.metrics.mta_sts_suspicions;
        suspicions.with_label_values(&[sign.as_str()]).inc();
    }

    /// How many policies are remembered.
    pub fn sts_entries(&self, count: u64) {
        let gauge = self
            .metrics
            .mta_sts_cache_entries
            .with_label_values(&NO_LABELS);
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A list of `policy.preload` is older than one that was seen before under this name.
    pub fn preload_rolled_back(&self, path: &Path) {
        tracing::warn!(
            target: TARGET,
            path = %path.display(),
            "a newer edition of this list was in force before: this one is ignored",
        );
    }
}
