//! What there is to tell of answers to Postfix.

use super::Ledger;
use std::time::Duration;

/// Longest key in the log, in characters; nobody has longer names.
const MAX_KEY: usize = 300;

/// Labels of `socketmap_answers_total`: Postfix's levels, and what is no level.
pub const SOCKETMAP_LABELS: [&str; 11] = [
    "none",
    "may",
    "dane",
    "encrypt",
    "fingerprint",
    "verify",
    "secure",
    "dane-only",
    "notfound",
    "temp",
    "perm",
];

/// One answer.
#[derive(Debug)]
pub struct SocketmapEvent<'a> {
    /// As it was asked for.
    pub key: &'a str,
    pub answer: &'static str,
    pub reply: &'a str,
    pub elapsed: Duration,
}

impl Ledger {
    /// A question was answered.
    pub fn socketmap(&self, event: &SocketmapEvent<'_>) {
        let answers = &self.metrics.socketmap_answers;
        answers.with_label_values(&[event.answer]).inc();
        let key: String = event.key.chars().take(MAX_KEY).collect();
        tracing::debug!(
            target: "sealpost::socketmap",
            key = key.as_str(),
            answer = event.answer,
            reply = event.reply,
            elapsed = super::event::seconds(event.elapsed),
            "answer",
        );
    }
}
