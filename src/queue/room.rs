//! Whether another message could be kept: found out again and again, so that nobody has to wait for the answer.

use super::Queue;
use crate::relay::Room;
use crate::store::StoreError;
use arc_swap::ArcSwapOption;
use nix::sys::statvfs::statvfs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often the file system is asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often it is tried whether the store can be written.
const TRIAL_EVERY: u32 = 10;
/// What is left for the database's own files, octets: also what is to be removed has to be written first.
const RESERVE: u64 = 16 << 20;

/// What was found out last.
#[derive(Debug, Default)]
pub(super) struct Gauge(ArcSwapOption<StoreError>);

/// Told whether mail can be kept; `None`: it can.
pub type Tell = Arc<dyn Fn(Option<&str>) + Send + Sync>;

impl Queue {
    /// Whether another message of the largest size could be kept. Never waits.
    pub(super) fn room(&self) -> Room {
        match self.obstacle() {
            Some(_) => Room::No,
            None => Room::Yes,
        }
    }

    /// What is in the way of keeping a message. Never waits.
    pub(super) fn obstacle(&self) -> Option<StoreError> {
        let known = self.parts.gauge.0.load();
        known.as_deref().cloned()
    }

    /// Watches until the queue ends, and tells each change.
    pub async fn watch_room(self, tell: Tell) {
        let end = self.parts.lifetime.draining.clone();
        let watching = async {
            let mut known = None;
            let mut round = 0;
            loop {
                let problem = self.look(round).await;
                if known.as_ref() != Some(&problem) {
                    self.parts.gauge.0.store(problem.clone().map(Arc::new));
                    let said = problem.as_ref().map(ToString::to_string);
                    self.parts.ledger.store_writable(said.as_deref());
                    tell(said.as_deref());
                    known = Some(problem);
                }
                round = (round + 1) % TRIAL_EVERY;
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = watching => {}
        }
    }

    async fn look(&self, round: u32) -> Option<StoreError> {
        let needed = self.settings().max_message_size + RESERVE;
        let files = &self.parts.files;
        let free = free(files.disk()).await;
        if free.is_some_and(|free| free < needed) {
            return Some(StoreError::Full);
        }
        if round != 0 && self.obstacle().is_none() {
            return None;
        }
        match self.try_store().await {
            Ok(()) => files.make(&self.parts.store).await.err(),
            Err(error) => Some(error),
        }
    }

    async fn try_store(&self) -> Result<(), StoreError> {
        let tried = tokio::time::timeout(Duration::from_secs(10), self.parts.store.touch()).await;
        tried.unwrap_or_else(|_| Err(StoreError::Io("it does not answer".to_owned())))
    }
}

/// Octets that are free for us; `None`: it cannot be found out.
async fn free(directory: &Path) -> Option<u64> {
    let directory = directory.to_owned();
    let asked = tokio::task::spawn_blocking(move || statvfs(&directory).ok());
    let found = asked.await.ok()??;
    Some(
        found
            .blocks_available()
            .saturating_mul(found.fragment_size()),
    )
}
