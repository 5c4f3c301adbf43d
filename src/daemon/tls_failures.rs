//! TLS failures on their way to the store: deliveries do not wait for the disk.

use crate::admin::Health;
use crate::clock;
use crate::delivery::{TlsFailureRecord, TlsFailureStore};
use crate::store::{RememberedFailure, Store, StoreError};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Changes that may wait for the disk; beyond it they are dropped, and a restart forgets them.
const QUEUE: usize = 1000;

/// How often what is too old is forgotten on disk too.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Forgotten so long after the last failure.
const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug)]
enum Change {
    Remember(TlsFailureRecord),
    Forget { mx: String, address: IpAddr },
}

/// The sending end.
#[derive(Debug)]
pub(super) struct Journal {
    changes: mpsc::Sender<Change>,
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Writer {
    changes: mpsc::Receiver<Change>,
    store: Store,
    health: Health,
}

pub(super) fn journal(store: Store, health: Health) -> (Journal, Writer) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (
        Journal { changes: sender },
        Writer {
            changes: receiver,
            store,
            health,
        },
    )
}

impl TlsFailureStore for Journal {
    fn remember(&self, record: TlsFailureRecord) {
        let _ = self.changes.try_send(Change::Remember(record));
    }

    fn forget(&self, mx: &str, address: IpAddr) {
        let _ = self.changes.try_send(Change::Forget {
            mx: mx.to_owned(),
            address,
        });
    }
}

impl Writer {
    /// Writes until every sender is gone.
    pub(super) async fn run(mut self) {
        let mut prune = tokio::time::interval(PRUNE_INTERVAL);
        prune.tick().await; // at start it was done
        loop {
            let written = tokio::select! {
                change = self.changes.recv() => match change {
                    Some(change) => self.write(change).await,
                    None => return,
                },
                _ = prune.tick() => self.store.prune(too_old(clock::now())).await,
            };
            note(&self.health, written.as_ref().err());
        }
    }

    async fn write(&self, change: Change) -> Result<(), StoreError> {
        match change {
            Change::Remember(record) => self.store.remember_tls_failure(to_store(record)).await,
            Change::Forget { mx, address } => self.store.forget_tls_failure(&mx, address).await,
        }
    }
}

/// Says, or takes back, that the store does not work.
pub(super) fn note(health: &Health, problem: Option<&StoreError>) {
    if let Some(problem) = problem {
        tracing::error!(%problem, "the store does not work");
    }
    health.note("store", problem.map(ToString::to_string));
}

/// All that is remembered, after what is too old has been forgotten.
pub(super) async fn load(
    store: &Store,
    now: SystemTime,
) -> Result<Vec<TlsFailureRecord>, StoreError> {
    store.prune(too_old(now)).await?;
    let known = store.tls_failures().await?;
    Ok(known.into_iter().map(from_store).collect())
}

/// The last failures before this time are forgotten, in UNIX seconds.
fn too_old(now: SystemTime) -> u64 {
    seconds(now.checked_sub(MEMORY).unwrap_or(UNIX_EPOCH))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn to_store(record: TlsFailureRecord) -> RememberedFailure {
    RememberedFailure {
        mx: record.mx,
        ip: record.address,
        first: seconds(record.first),
        last: seconds(record.last),
    }
}

fn from_store(known: RememberedFailure) -> TlsFailureRecord {
    let time = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    TlsFailureRecord {
        mx: known.mx,
        address: known.ip,
        first: time(known.first),
        last: time(known.last),
    }
}
