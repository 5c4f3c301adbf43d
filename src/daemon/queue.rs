//! The queue, built of what there is; without a store there is none, and mail flows that nobody has to keep.

use super::program::Background;
use super::run::{Context, StartError};
use super::tls_failures;
use crate::admin::Health;
use crate::config::Config;
use crate::message::SpoolMemory;
use crate::queue::{
    Concurrency, Queue, QueueFiles, QueueLifetime, QueueSettings, Surroundings, Waivers,
};
use crate::relay::Relay;
use crate::server::TlsRequiredNo;
use crate::store::{Store, StoreError};
use std::path::Path;
use std::sync::Arc;

/// Opens the store. One that cannot be opened now is tried again whenever something is to be kept, and mail flows that
/// nobody has to keep; only one that another daemon has is no store to go on without.
pub(super) fn open_store(path: &Path, context: &Context) -> Result<Option<Store>, StartError> {
    let error = match Store::open(path) {
        Ok(store) => return Ok(Some(store)),
        Err(StoreError::InUse) => {
            let problem = format!("{}: {}", path.display(), StoreError::InUse);
            return Err(StartError::failure(problem));
        }
        Err(error) => error,
    };
    tls_failures::note(&context.health, Some(&error));
    context.ledger.store_writable(Some(&error.to_string()));
    Ok(Store::open_later(path).ok())
}

/// `[queue]` and what else it needs.
pub(super) fn settings(config: &Config) -> QueueSettings {
    let queue = config.queue.clone();
    let delivery = &config.delivery;
    let of_listeners = config.listeners.iter().flat_map(|listener| &listener.bind);
    let sources = delivery.bind.iter().chain(of_listeners);
    QueueSettings {
        retry: queue.retry,
        expire: queue.expire,
        delay_warning: queue.delay_warning,
        dsn_via: queue.dsn_via,
        postmaster: queue.postmaster,
        hostname: config.hostname.clone(),
        sources: sources.copied().collect(),
        max_message_size: config.server.max_message_size,
        concurrency: Concurrency {
            total: delivery.max_connections,
            per_destination: delivery.max_connections_per_mx,
        },
        waivers: match config.server.tls_required_no {
            TlsRequiredNo::Honor => Waivers::Honored,
            TlsRequiredNo::Ignore => Waivers::Ignored,
        },
    }
}

/// Builds the queue and starts what belongs to it.
pub(super) async fn start(
    config: &Config,
    store: Option<&Store>,
    (relay, spool): (&Relay, &SpoolMemory),
    context: &Context,
    background: &Background,
) -> Option<Queue> {
    let Some(store) = store else {
        let obstacle = "without a store nothing can be kept";
        told(context.health.clone())(Some(obstacle));
        return None;
    };
    // Beside the database, which may be on a disk of its own.
    let files = QueueFiles::beside(&config.store);
    // If its directory cannot be made now, that is tried again, and told, by whoever watches the room.
    let _ = files.make(store).await;
    let shutdown = &context.shutdown;
    let surroundings = Surroundings {
        relay: relay.clone(),
        ledger: context.ledger.clone(),
        spool: spool.clone(),
        tasks: context.tasks.tracker().clone(),
        lifetime: QueueLifetime {
            draining: shutdown.draining.clone(),
            abandoned: shutdown.abandoned.clone(),
        },
    };
    let queue = Queue::new(store.clone(), files, settings(config), surroundings);
    context.tasks.spawn("queue", queue.clone().run());
    context.tasks.spawn("queue sweeps", queue.clone().sweep());
    let tell = told(context.health.clone());
    context
        .tasks
        .spawn("room in the queue", queue.clone().watch_room(tell));
    background.spawn("left behind", |end| queue.clone().clean_up(end));
    Some(queue)
}

fn told(health: Health) -> crate::queue::Tell {
    Arc::new(move |problem: Option<&str>| health.note("queue", problem.map(ToOwned::to_owned)))
}
