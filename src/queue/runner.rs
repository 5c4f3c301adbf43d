//! Who starts workers: whenever something is due and may be attempted.

use super::{Queue, now};
use std::time::Duration;

/// Longest sleep: clocks are set, and machines sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

impl Queue {
    /// Learns what there is, and starts workers until the queue ends.
    pub async fn run(self) {
        let learning = self.learn();
        let working = self.start_workers();
        let draining = self.parts.lifetime.draining.clone();
        tokio::select! {
            () = draining.cancelled() => {}
            ((), ()) = futures_util::future::join(learning, working) => {}
        }
    }

    /// Reads which destinations have mail. Meanwhile what comes in is attempted.
    async fn learn(&self) {
        loop {
            match self.parts.store.destinations().await {
                Ok(all) => {
                    for due in all {
                        self.parts.schedule.due(&due.destination, due.next);
                    }
                    return;
                }
                Err(error) => self.parts.ledger.queue_unreadable(&error),
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    async fn start_workers(&self) {
        loop {
            let wake = loop {
                match self.parts.schedule.begin(now()) {
                    Ok(slot) => self.work(slot, None),
                    Err(wake) => break wake,
                }
            };
            let sleep = match wake {
                Some(at) => Duration::from_millis(at.saturating_sub(now())).min(LONGEST_SLEEP),
                None => LONGEST_SLEEP,
            };
            tokio::select! {
                () = self.parts.schedule.changed() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }
}
