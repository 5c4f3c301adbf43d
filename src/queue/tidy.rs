//! What a crash has left behind, and what drained mail has left empty.

use super::Queue;
use crate::store::Tidied;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked for space that can be given back.
const INTERVAL: Duration = Duration::from_secs(5);
/// Between two steps of giving it back: other writes come first.
const STEP_PAUSE: Duration = Duration::from_millis(20);

/// By how much a file's time may be behind the clock, and more.
const CLOCK_GRAIN: Duration = Duration::from_secs(1);

impl Queue {
    /// Removes contents that are nobody's, then keeps the database small, until the end.
    pub async fn clean_up(self, end: CancellationToken) {
        let working = async {
            while !self.parts.files.is_made() {
                tokio::time::sleep(INTERVAL).await;
            }
            self.remove_orphans().await;
            loop {
                let pause = match self.parts.store.tidy().await {
                    Ok(Tidied::More) => STEP_PAUSE,
                    // Who cannot write is told of elsewhere.
                    Ok(Tidied::Done) | Err(_) => INTERVAL,
                };
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = working => {}
        }
    }

    /// Contents of messages that were never written, or whose end was cut off.
    async fn remove_orphans(&self) {
        let before = self.parts.started - CLOCK_GRAIN;
        let found = match self.parts.files.left_behind(before).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the queue's directory cannot be read");
                return;
            }
        };
        for id in found {
            match self.parts.store.is_in_queue(&id).await {
                Ok(true) => {}
                Ok(false) => self.parts.files.remove(&id).await,
                Err(_) => return,
            }
        }
    }
}
