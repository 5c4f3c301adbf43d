//! MTA-STS policies: what they are looked up with, and who is told of them.

use super::tls_failures;
use crate::admin::Health;
use crate::config::Config;
use crate::discovery::{FetchFailure, PreloadedList, Refreshed, Sign, StsObserver, StsSettings};
use crate::ledger::Ledger;
use crate::mta_sts::{Policy, RecordFault};
use crate::names::PolicyDomain;
use crate::store::StoreError;
use crate::tls::TlsClient;
use std::path::Path;
use std::time::Duration;

/// Passes on to metrics, log and health.
#[derive(Debug)]
pub(super) struct Witness {
    pub ledger: Ledger,
    pub health: Health,
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
        tls_failures::note(&self.health, problem);
    }

    fn rolled_back(&self, path: &Path) {
        self.ledger.preload_rolled_back(path);
    }
}

pub(super) fn settings(config: &Config, tls: &TlsClient) -> StsSettings {
    StsSettings {
        tls: tls.clone(),
        port: config.mta_sts_port,
        address_preference: config.discovery.address_preference,
        blocked_networks: config.discovery.blocked_networks.clone(),
    }
}

pub(super) fn preload(config: &Config) -> Vec<PreloadedList> {
    let lists = config.preload.iter().map(|file| PreloadedList {
        path: file.path.clone(),
        list: file.list.clone(),
    });
    lists.collect()
}
