//! The spine: a message in, an outcome per recipient out.
//!
//! Recipients are grouped by next hop; every group is delivered at the same time by the walk of
//! `spine`: discover → decide → deliver → record.

mod book;
mod discover;
mod group;
mod inflight;
mod spine;
mod terms;

pub use group::next_hop;
pub use inflight::{Answering, InFlight, Replies, Room, Submit};
pub use spine::MAX_HOSTS;
pub use terms::{Patience, Snapshot, Terms, Via};

use crate::delivery::Courier;
use crate::delivery::outcome::Outcome;
use crate::discovery::{Discovery, Sts};
use crate::ledger::Ledger;
use crate::message::{Message, TlsRequired};
use crate::policy::Published;
use crate::smtp::envelope::Recipient;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// `relay.custody`: who keeps what could not be delivered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Custody {
    /// The client, but where recipients of one reply differ: then we.
    #[default]
    Auto,
    /// The client keeps it until it is answered with the outcome.
    Client,
    /// Ours once on disk (RFC 5321 §6.1).
    Queue,
}

/// Lookups made ahead of a message at the same time, over all sessions.
const MAX_AHEAD: usize = 200;

/// Takes messages and delivers them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Relay {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    snapshot: ArcSwap<Snapshot>,
    /// The same for mail that does not leave this machine.
    inward: ArcSwap<Snapshot>,
    discovery: Discovery,
    sts: Sts,
    courier: Courier,
    ledger: Ledger,
    tasks: TaskTracker,
    /// The grace of a shutdown is over: whatever has not sent its final dot is given up.
    expired: CancellationToken,
    /// So is everything else.
    abandoned: CancellationToken,
    ahead: Arc<Semaphore>,
}

impl Relay {
    pub fn new(
        snapshot: Snapshot,
        (discovery, sts): (Discovery, Sts),
        courier: Courier,
        ledger: Ledger,
        lifetime: Lifetime,
    ) -> Self {
        let parts = Parts {
            inward: ArcSwap::from_pointee(snapshot.inward()),
            snapshot: ArcSwap::from_pointee(snapshot),
            discovery,
            sts,
            courier,
            ledger,
            tasks: lifetime.tasks,
            expired: lifetime.expired,
            abandoned: lifetime.abandoned,
            ahead: Arc::new(Semaphore::new(MAX_AHEAD)),
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// What a message that came now would obey.
    pub fn snapshot_in_force(&self) -> Arc<Snapshot> {
        self.parts.snapshot.load_full()
    }

    /// What messages obey from now on.
    ///
    /// No connection made until now carries another message: roots or certificates by which it was
    /// judged may have changed.
    pub fn replace(&self, snapshot: Snapshot) {
        self.parts.inward.store(Arc::new(snapshot.inward()));
        self.parts.snapshot.store(Arc::new(snapshot));
        self.parts.courier.begin_anew();
    }
}

/// On which tasks deliveries run, and when those that can be given up are.
#[derive(Debug, Clone)]
pub struct Lifetime {
    pub tasks: TaskTracker,
    pub expired: CancellationToken,
    /// When all the others are.
    pub abandoned: CancellationToken,
}

/// Outcomes to come, one per recipient in the envelope's order.
#[derive(Debug)]
pub struct Delivering {
    pub outcomes: Vec<oneshot::Receiver<Outcome>>,
    /// Dropping it gives up every delivery whose final dot has not gone out.
    pub withdraw: DropGuard,
}

impl Relay {
    /// Says that mail for a recipient will come, so that lookups can begin. Never waits.
    pub fn expect(&self, recipient: &Recipient) {
        // Only a favour: under load the message finds out for itself.
        let Ok(permit) = Arc::clone(&self.parts.ahead).try_acquire_owned() else {
            return;
        };
        let snapshot = self.parts.snapshot.load_full();
        let hop = group::next_hop(&recipient.mailbox.domain, &snapshot.policy.rules);
        let discovery = self.parts.discovery.clone();
        self.parts.tasks.spawn(async move {
            discovery.warm(&hop, &snapshot.discovery).await;
            drop(permit);
        });
    }

    /// Starts the delivery of a message to all its recipients.
    pub fn deliver(&self, message: Message, terms: &Terms) -> Delivering {
        let snapshot = self.snapshot(terms);
        let message = Arc::new(message);
        let withdraw = self.parts.expired.child_token();
        let (senders, outcomes): (Vec<_>, Vec<_>) = message
            .envelope
            .recipients
            .iter()
            .map(|_| oneshot::channel())
            .unzip();
        let mut senders: Vec<_> = senders.into_iter().map(Some).collect();
        // RFC 8689 §3: such a message wants to arrive rather than to be protected.
        let published = match message.tls_required {
            TlsRequired::No => Published::Ignore,
            TlsRequired::Unsaid => Published::Honor,
        };
        let recipients = &message.envelope.recipients;
        let groups = match &terms.via {
            Via::Rules => group::by_next_hop(recipients, &snapshot.policy.rules, published),
            Via::Hop(hop) => vec![group::to_hop(recipients.len(), hop)],
        };
        for group in groups {
            let answers = group
                .recipients
                .iter()
                .filter_map(|&at| Some((at, senders.get_mut(at)?.take()?)))
                .collect();
            let delivery = spine::Delivery {
                relay: self.clone(),
                snapshot: Arc::clone(&snapshot),
                message: Arc::clone(&message),
                demand: group.demand,
                withdraw: withdraw.clone(),
                patience: terms.patience,
            };
            self.parts.tasks.spawn(delivery.run(answers));
        }
        Delivering {
            outcomes,
            withdraw: withdraw.drop_guard(),
        }
    }

    fn snapshot(&self, terms: &Terms) -> Arc<Snapshot> {
        match &terms.via {
            Via::Hop(hop) if terms::is_this_machine(hop) => self.parts.inward.load_full(),
            Via::Hop(_) | Via::Rules => self.parts.snapshot.load_full(),
        }
    }
}
