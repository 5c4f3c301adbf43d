//! Whether another message could be kept: found out again and again, so that nobody has to wait for the answer.

use super::Queue;
use crate::relay::Room;
use crate::store::StoreError;
use nix::sys::statvfs::statvfs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the file system is asked.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often it is tried whether the store can be written, if nobody else does.
const TRIAL_EVERY: u32 = 5;
/// What is left for the database's own files, octets.
const RESERVE: u64 = 16 << 20;

/// What was found out last.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    full: AtomicBool,
}

/// Told whether mail can be kept; `None`: it can.
pub type Tell = Arc<dyn Fn(Option<&str>) + Send + Sync>;

impl Queue {
    /// Whether another message of the largest size could be kept. Never waits.
    pub(super) fn room(&self) -> Room {
        match self.parts.gauge.full.load(Ordering::Relaxed) {
            true => Room::No,
            false => Room::Yes,
        }
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
                    let full = problem.is_some();
                    self.parts.gauge.full.store(full, Ordering::Relaxed);
                    self.parts.ledger.store_writable(problem.as_deref());
                    tell(problem.as_deref());
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

    /// What is in the way of keeping a message.
    async fn look(&self, round: u32) -> Option<String> {
        let was_full = self.parts.gauge.full.load(Ordering::Relaxed);
        if round == 0 || was_full {
            if let Err(error) = self.try_store().await {
                return Some(error.to_string());
            }
        }
        let needed = self.settings().max_message_size + RESERVE;
        match free(self.parts.files.directory()).await {
            Some(free) if free < needed => Some(format!(
                "{free} octets are left on the disk; a message and the database may need {needed}"
            )),
            Some(_) | None => None,
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
    Some(u64::from(found.blocks_available()).saturating_mul(u64::from(found.fragment_size())))
}
