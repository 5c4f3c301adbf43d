//! The MTA-STS cache.

use crate::admin::policies::{LastFailure, PolicyEntry};
use serde::{Deserialize, Serialize};

/// Answer to `/api/v1/policies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyList {
    /// How many match, on all pages.
    pub matching: u64,
    /// From 1.
    pub page: u32,
    pub pages: u64,
    /// In the order of their domains.
    pub policies: Vec<CachedPolicy>,
}

/// A policy that is remembered, with what went wrong since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedPolicy {
    #[serde(flatten)]
    pub policy: PolicyEntry,
    /// Why it could not be fetched anew the last time, if that was since this start and none has succeeded since.
    pub last_failure: Option<LastFailure>,
}
