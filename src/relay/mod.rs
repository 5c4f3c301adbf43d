//! The spine: a message in, an outcome per recipient out.
//!
//! Recipients are grouped by next hop; every group is delivered at the same time by the walk of
//! `spine`: discover → decide → deliver → record.

mod book;
mod discover;
mod group;
mod inflight;
mod spine;

pub use group::next_hop;
pub use inflight::{InFlight, Submit};
pub use spine::MAX_HOSTS;

use crate::delivery::{Courier, DeliverySettings};
use crate::discovery::{Discovery, DiscoverySettings, Sts};
use crate::ledger::Ledger;
use crate::message::{Message, TlsRequired};
use crate::policy::{PolicySettings, Published};
use crate::smtp::envelope::Recipient;
use crate::tls::TlsClient;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    pub policy: PolicySettings,
    pub discovery: DiscoverySettings,
    pub delivery: DeliverySettings,
    pub tls: TlsClient,
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

    /// What messages obey from now on.
    ///
    /// No connection made until now carries another message: roots or certificates by which it was
    /// judged may have changed.
    pub fn replace(&self, snapshot: Snapshot) {
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

impl Submit for Relay {
    fn expect(&self, recipient: &Recipient) {
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

    fn submit(&self, message: Message) -> InFlight {
        let snapshot = self.parts.snapshot.load_full();
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
        let rules = &snapshot.policy.rules;
        for group in group::by_next_hop(&message.envelope.recipients, rules, published) {
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
            };
            self.parts.tasks.spawn(delivery.run(answers));
        }
        InFlight::new(outcomes, Some(withdraw.drop_guard()))
    }
}
