//! What the status page shows, as values: `/api/v1` answers with them, and the pages are made of nothing else.
//!
//! Names of fields are for users' scripts: they stay. Times are UTC (RFC 3339), to a second.

mod counts;
mod destinations;
mod overview;
mod policies;
mod queue;
mod rules;

pub use counts::{Counts, Share, Shares, Slot};
pub use destinations::{
    DestinationEntry, DestinationList, DestinationShown, Obtained, PolicySeen, RefusalSeen,
};
pub use overview::{Configuration, DnssecState, History, Node, Overview, Period, QueueCounts};
pub use policies::{CachedPolicy, PolicyList};
pub use queue::{QueueShown, QueuedMail, QueuedRecipient};
pub use rules::{Caught, RuleEntry, RuleList};

pub(super) use overview::{Found, day_from, month_from};
pub(super) use rules::Rulebook;

use crate::store::StoreError;
use jiff::Timestamp;

/// Why there is no answer, or not the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing is served yet.
    #[error("Sealpost is starting")]
    Starting,
    #[error("the page is asked for too often; try again")]
    Busy,
    #[error("the store did not answer in time")]
    Late,
    #[error("there is no store: it could not be opened, see the log")]
    NoStore,
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Wrong(String),
    #[error("{0}")]
    Missing(String),
}

/// What cannot be is the end of time.
pub(super) fn time(seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).ok();
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::MAX)
}
