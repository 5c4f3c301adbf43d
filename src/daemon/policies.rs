//! Who is told of MTA-STS policies.

use crate::admin::Health;
use crate::discovery::{FetchFailure, Refreshed, Sign, StsObserver};
use crate::ledger::Ledger;
use crate::mta_sts::{Policy, RecordFault};
use crate::names::PolicyDomain;
use crate::store::StoreError;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Passes on to metrics, log and health.
#[derive(Debug)]
pub(super) struct Witness {
    ledger: Ledger,
    health: Health,
    /// What was wrong with the store when it was asked last.
    trouble: Mutex<Option<StoreError>>,
}

impl Witness {
    pub(super) fn new(ledger: Ledger, health: Health) -> Self {
        Self {
            ledger,
            health,
            trouble: Mutex::default(),
        }
    }
}

impl StsObserver for Witness {
    fn fetched(
        &self,
        domain: &PolicyDomain,
        outcome: Result<&Policy, &FetchFailure>,
        elapsed: Duration,
    ) {
        self.ledger.sts_fetched(domain, outcome, elapsed);
    }

    fn record_invalid(&self, domain: &PolicyDomain, fault: RecordFault) {
        self.ledger.sts_record_invalid(domain, fault);
    }

    fn refreshed(&self, domain: &PolicyDomain, result: Refreshed) {
        self.ledger.sts_refreshed(domain, result);
    }

    fn suspicion(&self, domain: &PolicyDomain, sign: Sign) {
        self.ledger.sts_suspicion(domain, sign);
    }

    fn entries(&self, count: u64) {
        self.ledger.sts_entries(count);
    }

    fn store(&self, problem: Option<&StoreError>) {
        // Nothing can panic while it is held.
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.as_ref() == problem {
            return;
        }
        if let Some(problem) = problem {
            tracing::error!(%problem, "the store does not work: MTA-STS policies");
        }
        // Not "store": others write there, and may succeed.
        self.health
            .note("policies", problem.map(ToString::to_string));
        *trouble = problem.cloned();
    }

    fn rolled_back(&self, path: &Path) {
        self.ledger.preload_rolled_back(path);
    }
}
