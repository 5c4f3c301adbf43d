//! How a survey goes about it.

use crate::delivery::DeliverySettings;
use crate::discovery::DiscoverySettings;
use crate::policy::PolicySettings;
use std::time::Duration;

/// What a survey obeys: the configuration of the daemon, and how thorough and how fast it is to be.
#[derive(Debug, Clone)]
pub struct SurveySettings {
    pub delivery: DeliverySettings,
    pub discovery: DiscoverySettings,
    pub policy: PolicySettings,
    pub depth: Depth,
    pub old_versions: OldVersions,
    pub pace: Pace,
}

/// How much is tried at each address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Depth {
    /// A delivery's own visit: one connection.
    Visit,
    /// Also the other TLS versions and the post-quantum group: at most four connections.
    #[default]
    Normal,
    /// Also TLS 1.0 and 1.1, weak suites, injection: at most eleven connections.
    Deep,
}

/// Whether TLS 1.0 and 1.1 are tried at depth `normal` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OldVersions {
    #[default]
    Leave,
    Try,
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Domains in work at a time.
    pub domains: usize,
    /// Connections to MX hosts in all.
    pub connections: usize,
    /// And to one address.
    pub per_address: usize,
    /// New connections per second; `None`: as fast as it goes.
    pub rate: Option<f64>,
    /// For one connection, from TCP to QUIT.
    pub visit: Duration,
    /// What failed for a reason that may pass is tried once more, so much later.
    pub retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            domains: 500,
            connections: 200,
            per_address: 2,
            rate: None,
            visit: Duration::from_secs(30),
            // A failed lookup is remembered for 5 s.
            retry: Duration::from_secs(6),
        }
    }
}
