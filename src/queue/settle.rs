//! What became of an attempt, written down.

use super::Queue;
use super::accept::{destinations, in_files, reached, speaker};
use super::custody::is_relayed;
use super::job::{Job, JobRecipient};
use super::notices::{About, Gathered, Told};
use super::now;
use super::schedule::Slot;
use super::settings::millis;
use crate::delivery::outcome::{DeliveryResult, Outcome, PossibleDuplicate, Reached};
use crate::smtp::status::EnhancedStatus;
use crate::store::queue::{
    Emptied, Kept, Millis, Progress, Provided, Settlement, StoredMessage, StoredRecipient,
    Whereabouts,
};
use std::time::Duration;

/// What is said where there was no place or no time (RFC 3463 §3.4: not accepting messages now).
const NO_PLACE: EnhancedStatus = EnhancedStatus::new(4, 3, 2);
/// When mail is tried again for which there was no place.
const GIVEN_BACK_PAUSE: Duration = Duration::from_secs(5);
/// How long a store that cannot be written is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(2);

impl Queue {
    pub(super) async fn settle(&self, slot: &Slot, job: &Job, known: Vec<(usize, Outcome)>) {
        let now = now();
        let mut settlement = Settlement {
            message: job.number,
            ..Settlement::default()
        };
        let mut told = Gathered::default();
        let mut reported = Vec::new();
        for (at, outcome) in known {
            let (Some(of_job), Some(recipient)) = (
                job.recipients.get(at),
                job.message.envelope.recipients.get(at),
            ) else {
                continue;
            };
            let kept = || self.kept(of_job, &outcome, (now, job.expires));
            // What the end of the daemon has cut short has its last attempt after the next start.
            let cut_short = self.is_ending() && is_given_back(&outcome);
            let expired = now >= job.expires && !cut_short;
            match outcome.result {
                DeliveryResult::Delivered => {
                    settlement.done.push(of_job.number);
                    if is_relayed(recipient, &outcome) {
                        told.relayed(Told::of_outcome(recipient, &outcome));
                    }
                }
                DeliveryResult::Rejected => {
                    reported.push(kept());
                    told.failed(Told::of_outcome(recipient, &outcome));
                }
                DeliveryResult::Deferred | DeliveryResult::Queued if expired => {
                    self.parts
                        .ledger
                        .expired(&job.message, recipient, &outcome.reply);
                    reported.push(kept());
                    told.failed(Told::of_outcome(recipient, &outcome).expired());
                }
                DeliveryResult::Deferred | DeliveryResult::Queued => settlement.kept.push(kept()),
            }
        }
        match self.notices(&About::of_job(job), told, now).await {
            Ok(notices) => {
                settlement.notices = notices;
                settlement
                    .done
                    .extend(reported.iter().map(|kept| kept.number));
            }
            Err(error) => {
                // Nobody is forgotten because he cannot be told of now.
                self.parts.ledger.not_told(&job.message, &error);
                settlement.kept.extend(reported);
            }
        }
        let again = settlement.kept.iter().map(|kept| kept.progress.next).min();
        self.write_down(settlement, job.message.id.as_str()).await;
        if let Some(at) = again {
            self.parts.schedule.due(slot.destination(), at);
        }
    }

    fn kept(
        &self,
        of_job: &JobRecipient,
        outcome: &Outcome,
        (now, expires): (Millis, Millis),
    ) -> Kept {
        let given_back = is_given_back(outcome);
        let next = match given_back {
            // There was no place for it: soon, but not in a loop.
            true => now + millis(self.settings().pause(1).min(GIVEN_BACK_PAUSE)),
            // The last attempt is made when time is over.
            false => {
                let next = self.settings().retry_at(of_job.attempts, now);
                if now < expires {
                    next.min(expires)
                } else {
                    next
                }
            }
        };
        Kept {
            number: of_job.number,
            progress: Progress {
                next,
                attempts: of_job.attempts - u32::from(given_back),
                // As long as it has not arrived for certain, it may have arrived then.
                under_way: of_job.cut_off,
                reached: reached(outcome),
                last: Some(now),
                reply: Some(outcome.reply.to_line()),
                host: speaker(outcome),
                warn: None,
            },
        }
    }

    /// Writes until it is written: what is not may be attempted again although it has arrived.
    pub(super) async fn write_down(&self, settlement: Settlement, id: &str) {
        let notices: Vec<_> = settlement.notices.iter().flat_map(destinations).collect();
        let files = in_files(&settlement.notices);
        let mut told = false;
        loop {
            match self.parts.store.settle(settlement.clone()).await {
                Ok((emptied, placed)) if placed.is_empty() => {
                    // Nobody is told of what was dropped.
                    for id in files {
                        self.parts.files.remove(&id).await;
                    }
                    self.remove_content(emptied).await;
                    return;
                }
                Ok((emptied, _)) => {
                    for (destination, at) in notices {
                        self.parts.schedule.due(&destination, at);
                    }
                    self.remove_content(emptied).await;
                    return;
                }
                Err(error) if !told => {
                    told = true;
                    self.parts.ledger.not_settled(id, &error);
                }
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_PAUSE) => {}
                () = self.parts.lifetime.abandoned.cancelled() => return,
            }
        }
    }

    async fn remove_content(&self, emptied: Option<Emptied>) {
        if let Some(emptied) = emptied
            && emptied.content == Whereabouts::File
        {
            self.parts.files.remove(&emptied.id).await;
        }
    }

    /// Mail that was taken up and is not attempted after all.
    pub(super) async fn give_back(&self, message: &StoredMessage) {
        let kept = |recipient: &StoredRecipient| Kept {
            number: recipient.number,
            progress: Progress {
                next: now(),
                attempts: recipient.progress.attempts.saturating_sub(1),
                ..recipient.progress.clone()
            },
        };
        let settlement = Settlement {
            message: message.number,
            kept: message.recipients.iter().map(kept).collect(),
            ..Settlement::default()
        };
        self.write_down(settlement, &message.id).await;
    }

    /// Mail that cannot be read is not thrown away: it is tried again, and the administrator is told; in the end, if it
    /// never can be, its sender.
    pub(super) async fn cannot_read(&self, mut message: StoredMessage, problem: &str) {
        self.parts.ledger.unreadable(&message.id, problem);
        let reply = format!("451 4.3.0 the message cannot be read from the queue: {problem}");
        for recipient in &mut message.recipients {
            recipient.progress.reply = Some(reply.clone());
            recipient.progress.host = None;
        }
        let (number, id) = (message.number, message.id.clone());
        let recipients = message.recipients.clone();
        if now() >= message.expires {
            let given_up = self.give_up_all(message, &recipients, Provided::Nothing);
            if given_up.await.is_ok() {
                return;
            }
        }
        let kept = |recipient: StoredRecipient| Kept {
            number: recipient.number,
            progress: recipient.progress,
        };
        let settlement = Settlement {
            message: number,
            kept: recipients.into_iter().map(kept).collect(),
            ..Settlement::default()
        };
        self.write_down(settlement, &id).await;
    }
}

/// Given up by us for want of a place or at the end of the daemon, and certainly not arrived: as if it had not been
/// attempted. Any other fault of our own may last: it is an attempt like those that reach nobody.
fn is_given_back(outcome: &Outcome) -> bool {
    outcome.result == DeliveryResult::Deferred
        && outcome.possible_duplicate == PossibleDuplicate::No
        && outcome.reached == Reached::Unknown
        && outcome.reply.enhanced == Some(NO_PLACE)
}
