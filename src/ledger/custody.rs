//! What becomes of messages in our custody.

use super::{DeliveryEvent, Ledger, NO_LABELS, Standing};
use crate::delivery::outcome::{DeliveryResult, Outcome, PossibleDuplicate, Reached};
use crate::message::Message;
use crate::smtp::address::{Mailbox, ReversePath};
use crate::smtp::envelope::Recipient;
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;
use crate::store::StoreError;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How often at most it is said that the store fails.
const UNREADABLE_INTERVAL: Duration = Duration::from_secs(10);

impl Ledger {
    /// A recipient's mail is ours, and answered for.
    pub fn queued(&self, message: &Message, recipient: &Recipient, reply: &Reply) {
        self.without_host(message, recipient, DeliveryResult::Queued, reply.clone());
    }

    /// A recipient's mail has been attempted for as long as it may be.
    pub fn expired(&self, message: &Message, recipient: &Recipient, last: &Reply) {
        let text = format!("given up; the last attempt: {last}");
        let reply = Reply::new(554, EnhancedStatus::new(5, 4, 7), text);
        self.without_host(message, recipient, DeliveryResult::Rejected, reply);
    }

    /// The same of a message that is not at hand.
    pub fn expired_in_store(
        &self,
        id: &str,
        from: &ReversePath,
        recipient: &Recipient,
        last: &Reply,
    ) {
        let labels = ["rejected", "undecided", "undecided", "none", "none"];
        self.metrics.deliveries.with_label_values(&labels).inc();
        tracing::warn!(
            target: "sealpost::delivery",
            id,
            from = &*super::event::address(from, self.addresses()),
            to = &*super::event::address(&recipient.mailbox, self.addresses()),
            result = DeliveryResult::Rejected.as_str(),
            reply = &*super::event::hide(&last.to_string(), self.addresses()),
            "given up without another attempt: nobody answers there, or the message cannot be read",
        );
    }

    fn without_host(
        &self,
        message: &Message,
        recipient: &Recipient,
        result: DeliveryResult,
        reply: Reply,
    ) {
        let outcome = Outcome {
            result,
            reply,
            via: None,
            possible_duplicate: PossibleDuplicate::No,
            attempts: 0,
            blocked: None,
            missing: None,
            reached: Reached::No,
        };
        self.tell(&DeliveryEvent {
            message,
            recipient,
            outcome: &outcome,
            standing: Standing::default(),
            elapsed: message.received_at.elapsed(),
        });
    }

    /// A message that should have become ours did not; its client keeps it.
    pub fn not_kept(&self, id: &str, error: &StoreError) {
        tracing::error!(target: "sealpost::queue", id, %error, "a message cannot be kept");
    }

    /// Some recipients have a message that its client will send again.
    pub fn will_arrive_twice(&self, message: &Message, to: &[&Mailbox], error: &StoreError) {
        let addresses = self.addresses();
        let to: Vec<_> = to
            .iter()
            .map(|mailbox| super::event::address(*mailbox, addresses))
            .collect();
        tracing::error!(
            target: "sealpost::queue",
            id = message.id.as_str(),
            %error,
            to = to.join(" "),
            possible_duplicate = "yes",
            "delivered to some, the rest cannot be kept: these will get the message twice",
        );
    }

    /// A notice cannot be written.
    pub fn not_told(&self, message: &Message, error: &StoreError) {
        let id = message.id.as_str();
        tracing::error!(target: "sealpost::queue", id, %error, "a notice cannot be written");
    }

    /// What became of an attempt cannot be written; it is tried again and again.
    pub fn not_settled(&self, id: &str, error: &StoreError) {
        tracing::error!(
            target: "sealpost::queue",
            id,
            %error,
            possible_duplicate = "yes",
            "what became of an attempt cannot be written yet: if the daemon ends before it is, the message may \
             arrive twice",
        );
    }

    /// The queue as a whole cannot be read or written now. Said every ten seconds at most.
    pub fn queue_unreadable(&self, error: &StoreError) {
        // Nothing can panic while it is held.
        let mut told = self
            .told_unreadable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|at| at.elapsed() < UNREADABLE_INTERVAL) {
            return;
        }
        *told = Some(Instant::now());
        tracing::error!(target: "sealpost::queue", %error, "the queue's store fails");
    }

    /// A message in the queue cannot be read.
    pub fn unreadable(&self, id: &str, problem: &str) {
        tracing::error!(target: "sealpost::queue", id, problem, "a message in the queue cannot be read");
    }

    /// A notice about a message, `about`, to its sender.
    pub fn notice(&self, notice: &Message, action: &'static str, about: &str) {
        self.metrics.notices.with_label_values(&[action]).inc();
        let to = notice.envelope.recipients.first();
        tracing::info!(
            target: "sealpost::queue",
            id = notice.id.as_str(),
            about,
            action,
            to = to.map(|to| super::event::address(&to.mailbox, self.addresses())),
            "notice",
        );
    }

    /// Mail that has failed and whose sender cannot be told.
    pub fn double_bounce(
        &self,
        (id, message_id, what): (&str, &str, Option<&'static str>),
        from: &ReversePath,
        recipient: &Recipient,
        reply: &Reply,
    ) {
        self.metrics.double_bounces.inc();
        let addresses = self.addresses();
        tracing::error!(
            target: "sealpost::queue",
            id,
            message_id,
            what = what.unwrap_or("mail with a null sender"),
            from = &*super::event::address(from, addresses),
            to = &*super::event::address(&recipient.mailbox, addresses),
            reply = &*super::event::hide(&reply.to_string(), addresses),
            "double bounce: it cannot be delivered, and there is no sender to tell",
        );
    }

    /// Messages in the queue in a state, and the age of the oldest.
    pub fn queue_state(&self, state: &'static str, messages: u64, oldest: Option<Duration>) {
        let number = i64::try_from(messages).unwrap_or(i64::MAX);
        let gauge = self.metrics.queue_messages.with_label_values(&[state]);
        gauge.set(number);
        if let Some(oldest) = oldest {
            let gauge = self.metrics.queue_oldest_age.with_label_values(&[state]);
            gauge.set(i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX));
        }
    }

    /// So many transactions of the store so far.
    pub fn store_commits(&self, commits: u64) {
        let counter = &self.metrics.store_commits;
        counter.inc_by(commits.saturating_sub(counter.get()));
    }

    /// Whether mail can be kept; `None`: it can.
    pub fn store_writable(&self, problem: Option<&str>) {
        let gauge = self.metrics.store_writable.with_label_values(&NO_LABELS);
        gauge.set(i64::from(problem.is_none()));
        if let Some(problem) = problem {
            tracing::error!(target: "sealpost::queue", problem, "mail cannot be kept now");
        }
    }
}
