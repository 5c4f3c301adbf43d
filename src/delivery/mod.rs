//! Delivery of a message to the hosts of one route: obey the verdict.

mod connection;
mod courier;
mod failure;
mod handshakes;
mod health;
mod judgement;
mod observer;
pub mod outcome;
mod pool;
mod probe;
mod reach;
mod replies;
mod settings;
mod tls_memory;
mod transaction;
mod visit;
mod wire;
mod withdrawal;

pub use courier::{Attempt, Courier, Deadlines, MayBeThisHost, Standing, Stop, Way};
pub use handshakes::{Smuggling, Unmade, handshake, hello, smuggle};
pub use observer::{Enforced, Observer, Shelter, WouldBlock};
pub use tls_memory::{TlsFailureRecord, TlsFailureStore, TlsMemory};
pub use withdrawal::{PointOfNoReturn, Signals, Withdrawn, unless_withdrawn};

pub use settings::{DeliverySettings, EightBit, KnownFaults, PlaintextFallback};

pub use probe::{Call, Found, Probed, judged, probe, settle};
pub use reach::share;
pub use replies::{after_several as several, deferred, first_label as host_label};
pub use visit::{Heard, Reach, Visited, visit};

/// Replies that no attempt stands behind.
pub mod say {
    pub use super::replies::{
        abandoned, dns_timeout, host_without_address, no_route, out_of_time, policy_defers,
        softened, withdrawn,
    };
}
