//! Messages in our custody: accepted, scheduled, attempted, reported.
//!
//! ```text
//!  client --> custody --(ours)--> accept --> store        one write, then the 250
//!                                   |          ^
//!                                schedule      | settle    what became of it, with the notices it gives rise to
//!                                   |          |
//!                                 runner --> worker --> relay       the same delivery as for a client that waits
//! ```
//!
//! The store is the truth; in memory there is one entry a destination. What is attempted is first written as
//! begun, with the time of the next attempt, so that a crash never makes us call a host in a loop, and what it
//! cut off is known.

mod accept;
mod custody;
mod desk;
mod details;
mod files;
mod job;
mod notices;
mod room;
mod runner;
mod schedule;
mod settings;
mod settle;
mod sweep;
mod tidy;
mod worker;

pub use custody::Custodian;
pub use desk::{Act, Broken, Desk, Order, Rest, Seen, SeenPage, SeenRecipient, Standing, Tally};
pub use files::QueueFiles;
pub use room::Tell;
pub use schedule::{Concurrency, Schedule, Suspension};
pub use settings::{DsnVia, QueueSettings, Waivers};

use crate::clock;
use crate::ledger::Ledger;
use crate::message::SpoolMemory;
use crate::relay::Relay;
use crate::smtp::address::{ForwardPath, PathAndRest};
use crate::smtp::envelope::Recipient;
use crate::store::Store;
use crate::store::queue::{Millis, StoredRecipient};
use arc_swap::ArcSwap;
use room::Gauge;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    parts: Arc<Parts>,
}

/// What the queue is made of.
#[derive(Debug)]
struct Parts {
    store: Store,
    files: QueueFiles,
    schedule: Schedule,
    settings: ArcSwap<QueueSettings>,
    relay: Relay,
    ledger: Ledger,
    spool: SpoolMemory,
    tasks: TaskTracker,
    lifetime: QueueLifetime,
    gauge: Gauge,
    started: SystemTime,
}

/// When the queue ends, in steps.
#[derive(Debug, Clone)]
pub struct QueueLifetime {
    /// Nothing new is attempted, and what has not sent its final dot is given up.
    pub draining: CancellationToken,
    /// Nothing more is written.
    pub abandoned: CancellationToken,
}

/// Whom the queue works with.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub relay: Relay,
    pub ledger: Ledger,
    pub spool: SpoolMemory,
    /// Workers are tasks of it.
    pub tasks: TaskTracker,
    pub lifetime: QueueLifetime,
}

impl Queue {
    pub fn new(
        store: Store,
        files: QueueFiles,
        settings: QueueSettings,
        surroundings: Surroundings,
    ) -> Self {
        let parts = Parts {
            schedule: Schedule::new(settings.concurrency),
            settings: ArcSwap::from_pointee(settings),
            store,
            files,
            relay: surroundings.relay,
            ledger: surroundings.ledger,
            spool: surroundings.spool,
            tasks: surroundings.tasks,
            lifetime: surroundings.lifetime,
            gauge: Gauge::default(),
            started: clock::now(),
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// What holds from now on.
    pub fn replace(&self, settings: QueueSettings) {
        self.parts.schedule.limit(settings.concurrency);
        self.parts.settings.store(Arc::new(settings));
    }

    /// Where it is operated.
    pub fn desk(&self) -> Desk {
        let parts = &self.parts;
        Desk::new(
            parts.store.clone(),
            parts.schedule.clone(),
            parts.files.clone(),
            parts.tasks.clone(),
        )
    }

    fn settings(&self) -> Arc<QueueSettings> {
        self.parts.settings.load_full()
    }
}

fn now() -> Millis {
    let since = clock::now().duration_since(UNIX_EPOCH);
    settings::millis(since.unwrap_or_default())
}

fn system_time(millis: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

/// A recipient as it was accepted.
fn recipient_of(stored: &StoredRecipient) -> Result<Recipient, String> {
    let path = format!("<{}>", stored.address);
    let path = PathAndRest::split(&path).and_then(|path| path.forward());
    match path {
        Ok(ForwardPath::Mailbox(mailbox)) => Ok(Recipient {
            mailbox,
            notify: stored.notify.clone(),
            orcpt: stored.orcpt.clone(),
        }),
        Ok(ForwardPath::Postmaster(_)) => Err("a recipient without a domain".to_owned()),
        Err(error) => Err(format!("a recipient: {error}")),
    }
}
