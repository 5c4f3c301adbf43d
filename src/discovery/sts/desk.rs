//! What an administrator asks of policies.

use super::fetch::{self, Queue};
use super::resident::BackOff;
use super::{FetchFailure, Known, Record, STORE_PATIENCE, Sts};
use crate::names::PolicyDomain;
use crate::store::{StoreError, StoredPolicy};
use std::sync::Arc;
use std::time::Duration;

/// What is known of a domain's policy, for people.
#[derive(Debug, Clone)]
pub struct Shown {
    pub known: Option<Arc<Known>>,
    /// Why the last fetch failed, and how long ago, if none has succeeded since.
    pub failure: Option<(Duration, FetchFailure)>,
}

/// What came of looking a domain's policy up anew.
#[derive(Debug, Clone)]
pub struct Looked {
    pub record: Record,
    /// `None`: no record announces a policy.
    pub fetched: Option<Result<Arc<Known>, FetchFailure>>,
}

impl Sts {
    /// What is remembered, in order of domain, after this one.
    pub async fn list(&self, after: &str, most: usize) -> Result<Vec<StoredPolicy>, StoreError> {
        match &self.shared.store {
            Some(store) => store.sts_policies(after, most).await,
            None => Err(StoreError::Closed),
        }
    }

    /// How many policies that are remembered are of a domain with this in its name, and some of them in order.
    pub async fn search(
        &self,
        text: &str,
        offset: usize,
        most: usize,
    ) -> Result<(u64, Vec<StoredPolicy>), StoreError> {
        match &self.shared.store {
            Some(store) => store.sts_policies_matching(text, offset, most).await,
            None => Err(StoreError::Closed),
        }
    }

    /// Why the last fetch of a domain's policy failed, and how long ago, if none has succeeded since and its policy is
    /// in memory; asks nobody.
    pub fn failure(&self, domain: &PolicyDomain) -> Option<(Duration, FetchFailure)> {
        self.shared.residents.find(domain)?.failure()
    }

    /// What is known of a domain's policy; asks nobody but the store.
    pub async fn show(&self, domain: &PolicyDomain) -> Result<Shown, StoreError> {
        let resident = self.resident(domain).await?;
        Ok(Shown {
            known: resident.known(),
            failure: resident.failure(),
        })
    }

    /// Looks the record up and fetches the policy, even if that failed lately. What it brings is in force.
    pub async fn refresh(&self, domain: &PolicyDomain) -> Looked {
        // What the store has is only compared with.
        let resident = match self.resident(domain).await {
            Ok(resident) => resident,
            Err(_) => self.shared.residents.enter(domain),
        };
        let record = self.record(domain).await;
        let Ok(Ok(id)) = &record else {
            return Looked {
                record,
                fetched: None,
            };
        };
        let running = self.fetch_as(&resident, id.clone(), (BackOff::Skip, Queue::Wait));
        let stopped = || Err(FetchFailure::Stopped);
        let fetched = match running {
            None => stopped(),
            Some(running) => {
                let patience = running.since + fetch::TIMEOUT + 2 * STORE_PATIENCE;
                running.outcome(patience).await.unwrap_or_else(stopped)
            }
        };
        Looked {
            record,
            fetched: Some(fetched),
        }
    }

    /// Forgets a domain's policy; whether there was one. An error: it is still there.
    pub async fn forget(&self, domain: &PolicyDomain) -> Result<bool, StoreError> {
        // A row that cannot be read can be forgotten all the same.
        let resident = match self.resident(domain).await {
            Ok(resident) => resident,
            Err(_) => self.shared.residents.enter(domain),
        };
        self.drop_policy(&resident, None).await
    }
}
