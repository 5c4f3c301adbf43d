//! What there is to tell of the queue.

use super::Ledger;

const TARGET: &str = "sealpost::queue";

impl Ledger {
    /// An administrator had recipients held, released, made due or dropped; `uid` is the one of who asked.
    pub fn queue_changed(
        &self,
        what: &'static str,
        messages: u64,
        recipients: u64,
        uid: Option<u32>,
    ) {
        tracing::info!(
            target: TARGET,
            what,
            messages,
            recipients,
            uid,
            "queue changed on request",
        );
    }
}
