//! What is handed over to be remembered, and what comes of it.

use super::facet::Facet;
use std::sync::Arc;

/// Destinations that are written at once at most: writes of the queue wait meanwhile.
pub const MOST_AT_ONCE: usize = 250;

/// What has come together of one destination. Times are UNIX seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub name: Arc<str>,
    pub first: u64,
    pub last: u64,
    pub counts: Vec<HourCount>,
    pub attempt: LastAttempt,
    pub delivery: Option<LastDelivery>,
    pub refusal: Option<LastRefusal>,
    /// When there was TLS last, also where the host refused.
    pub secured: Option<u64>,
    /// Deliveries in the clear that nobody had asked for.
    pub clear: Option<Clear>,
}

/// Attempts of one kind within an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HourCount {
    /// When the hour began.
    pub at: u64,
    pub facet: Facet,
    /// What the rule is called, or where it stands.
    pub rule: Option<Arc<str>>,
    pub count: u64,
}

/// The last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    pub facet: Facet,
    pub rule: Option<Arc<str>>,
}

/// The last delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastDelivery {
    pub at: u64,
    pub facet: Facet,
    /// The MX host's name, or its address.
    pub mx: Arc<str>,
}

/// What kept mail back last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRefusal {
    pub at: u64,
    pub words: String,
    /// RFC 8460's result type, where it was a policy.
    pub why: Option<&'static str>,
}

/// Deliveries in the clear, although TLS was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clear {
    pub first: u64,
    pub last: u64,
    /// Of the last one.
    pub cause: &'static str,
    /// Before anything of this sighting went over TLS: whether there was TLS earlier, the store knows.
    pub before: u64,
    /// After something of this sighting went over TLS.
    pub after: u64,
    pub stands: Stands,
}

/// Whether the last delivery was one of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    Yes,
    No,
}

/// What came of writing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Those that are to be told of today.
    pub downgrades: Vec<Downgrade>,
    /// Destinations in the store by now.
    pub destinations: u64,
}

/// A destination that had TLS and has been delivered to in the clear: the first time on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downgrade {
    pub name: Arc<str>,
    pub cause: &'static str,
    /// When there was TLS last, UNIX seconds.
    pub last_secured: u64,
}
