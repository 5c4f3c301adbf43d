//! The spine: a message in, an outcome per recipient out.

mod inflight;

pub use inflight::{InFlight, Submit};

use crate::delivery::DeliverySettings;
use crate::discovery::DiscoverySettings;
use crate::policy::{Level, Rules, TlsVersion};
use crate::tls::TlsClient;

/// `relay.custody`: who keeps what could not be delivered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Custody {
    /// The client keeps it until it is answered with the outcome.
    #[default]
    Client,
}

/// Everything of the configuration that a delivery obeys; replaced as a whole by a reload. A message
/// takes the snapshot once and keeps it.
#[derive(Debug)]
pub struct Snapshot {
    pub rules: Rules,
    pub default_level: Level,
    /// `tls.min_version`.
    pub min_version: TlsVersion,
    pub discovery: DiscoverySettings,
    pub delivery: DeliverySettings,
    pub tls: TlsClient,
}
