//! What time alone brings: warnings, the end of patience, and the figures that tell how the queue fares.

use super::details::Details;
use super::job::ContentFault;
use super::notices::{About, Gathered, Told};
use super::{Queue, now, recipient_of};
use crate::message::{Content, EightBit, TlsRequired};
use crate::smtp::address::ReversePath;
use crate::smtp::envelope::{Body, MailFrom, Utf8};
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;
use crate::store::StoreError;
use crate::store::queue::{
    Millis, Provided, RecipientState, Settlement, StoredMessage, StoredRecipient, Totals, UnderWay,
};
use std::time::{Duration, Instant};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(1);
/// Messages that are looked at in one go.
const STEP: u32 = 50;
/// Of them, how many times in a row: then other things are looked after.
const PAGES: u32 = 20;
/// Before all messages.
const START: (Millis, i64) = (0, 0);
/// By how much longer than counting takes nothing is counted.
const COUNTING_SHARE: u32 = 20;

/// A stored message with what is needed to tell of it.
struct Known {
    about: About,
    stored: StoredMessage,
    /// Why its content cannot be read now; it may be a moment later.
    problem: Option<String>,
}

impl Queue {
    /// Sweeps until the queue ends.
    pub async fn sweep(self) {
        let draining = self.parts.lifetime.draining.clone();
        let sweeping = async {
            let mut count_again = Instant::now();
            let mut place = START;
            loop {
                if let Err(error) = self.warn_all().await {
                    self.parts.ledger.queue_unreadable(&error);
                }
                place = self.expire_some(place).await.unwrap_or_else(|error| {
                    self.parts.ledger.queue_unreadable(&error);
                    START
                });
                let commits = self.parts.store.commits();
                self.parts.ledger.store_commits(commits);
                if Instant::now() >= count_again {
                    let took = self.count().await;
                    count_again = Instant::now() + took * COUNTING_SHARE;
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            () = draining.cancelled() => {}
            () = sweeping => {}
        }
    }

    async fn warn_all(&self) -> Result<(), StoreError> {
        for _ in 0..PAGES {
            let due = self.parts.store.warnings(now(), STEP).await?;
            let last = due.len() < STEP as usize;
            for message in due {
                self.warn(message).await?;
            }
            if last {
                break;
            }
        }
        Ok(())
    }

    /// Some of those whose time is over, from this place on; where to go on. Who cannot be told of now is passed by
    /// until the next round.
    async fn expire_some(&self, mut place: (Millis, i64)) -> Result<(Millis, i64), StoreError> {
        for _ in 0..PAGES {
            let over = self.parts.store.expired(now(), place, STEP).await?;
            let Some(last) = over.last() else {
                return Ok(START);
            };
            place = (last.expires, last.number);
            for message in over {
                let id = message.id.clone();
                match self.expire(message).await {
                    Ok(()) => {}
                    Err(error @ (StoreError::Full | StoreError::Closed)) => return Err(error),
                    Err(error) => {
                        let error = StoreError::Io(format!("message {id}: {error}"));
                        self.parts.ledger.queue_unreadable(&error);
                    }
                }
            }
        }
        Ok(place)
    }

    /// Tells the sender that some recipients still wait.
    async fn warn(&self, stored: StoredMessage) -> Result<(), StoreError> {
        let now = now();
        let is_due = |recipient: &&StoredRecipient| {
            recipient.state == RecipientState::Waiting
                && recipient.progress.warn.is_some_and(|at| at <= now)
        };
        let due: Vec<StoredRecipient> = stored.recipients.iter().filter(is_due).cloned().collect();
        let mut told = Gathered::default();
        let known = self.known(stored).await;
        if let Some(problem) = &known.problem {
            // Its sender hears of it all the same, and who comes behind it does not wait.
            self.parts.ledger.unreadable(&known.stored.id, problem);
        }
        for recipient in &due {
            let reply = self.last_reply(recipient);
            if let Ok(parsed) = recipient_of(recipient) {
                told.delayed(Told::of_kept(parsed, reply, &recipient.progress));
            }
        }
        let about = About {
            until: Some(known.stored.expires),
            ..known.about
        };
        let notices = self.notices(&about, told, now).await?;
        let settlement = Settlement {
            message: known.stored.number,
            warned: due.iter().map(|recipient| recipient.number).collect(),
            notices,
            ..Settlement::default()
        };
        self.write_down(settlement, &known.stored.id).await;
        Ok(())
    }

    /// Gives up who waits for a destination that is not attempted; the others have a last attempt.
    async fn expire(&self, stored: StoredMessage) -> Result<(), StoreError> {
        let over: Vec<StoredRecipient> = stored
            .recipients
            .iter()
            .filter(|recipient| self.is_hopeless(recipient))
            .cloned()
            .collect();
        // The destination may have been called again meanwhile.
        match over.is_empty() {
            true => Ok(()),
            false => self.give_up_all(stored, &over, Provided::AllWait).await,
        }
    }

    /// Tells the sender that time is over for these recipients of a message, who are then forgotten; not if what is to
    /// be told can only be read later.
    pub(super) async fn give_up_all(
        &self,
        stored: StoredMessage,
        over: &[StoredRecipient],
        provided: Provided,
    ) -> Result<(), StoreError> {
        let known = self.known(stored).await;
        if let Some(problem) = known.problem {
            return Err(StoreError::Io(problem));
        }
        let mut told = Gathered::default();
        let mut lost = Vec::new();
        for recipient in over {
            let reply = self.last_reply(recipient);
            match recipient_of(recipient) {
                Ok(parsed) => {
                    lost.push((parsed.clone(), reply.clone()));
                    told.failed(Told::of_kept(parsed, reply, &recipient.progress).expired());
                }
                Err(problem) => self.parts.ledger.unreadable(&known.stored.id, &problem),
            }
        }
        let notices = self.notices(&known.about, told, now()).await?;
        let (id, from) = (&known.stored.id, &known.about.from.path);
        for (recipient, reply) in &lost {
            let ledger = &self.parts.ledger;
            ledger.expired_in_store(id, from, recipient, reply);
        }
        let settlement = Settlement {
            message: known.stored.number,
            done: over.iter().map(|recipient| recipient.number).collect(),
            notices,
            provided,
            ..Settlement::default()
        };
        self.write_down(settlement, &known.stored.id).await;
        Ok(())
    }

    fn is_hopeless(&self, recipient: &StoredRecipient) -> bool {
        recipient.state == RecipientState::Waiting
            && recipient.progress.under_way != UnderWay::In(self.parts.store.run())
            && self
                .parts
                .schedule
                .suspension(&recipient.destination)
                .is_some()
    }

    /// Why a recipient waits.
    fn last_reply(&self, recipient: &StoredRecipient) -> Reply {
        let kept = recipient.progress.reply.clone();
        let of_destination = || {
            let suspension = self.parts.schedule.suspension(&recipient.destination);
            suspension.map(|suspension| suspension.reply)
        };
        match kept.or_else(of_destination) {
            Some(text) => Reply::from_line(&text),
            None => Reply::new(451, EnhancedStatus::new(4, 4, 1), "not attempted yet"),
        }
    }

    /// What can be said of a message, also where something of it cannot be read.
    async fn known(&self, stored: StoredMessage) -> Known {
        let details = Details::from_json(&stored.details).unwrap_or_default();
        let facts = match details.facts(&stored.sender, stored.size) {
            Ok(facts) => Some(facts),
            Err(problem) => {
                self.parts
                    .ledger
                    .unreadable(&stored.id, &problem.to_string());
                None
            }
        };
        let eight_bit = facts.as_ref().map_or(EightBit::No, |facts| facts.eight_bit);
        let (content, problem) = match self.readable(&stored, eight_bit).await {
            Ok(content) => (content, None),
            Err(fault @ (ContentFault::Gone | ContentFault::Damaged { .. })) => {
                let problem = fault.to_string();
                self.parts.ledger.unreadable(&stored.id, &problem);
                (Content::from_octets(bytes::Bytes::new()), None)
            }
            Err(ContentFault::Unreadable(problem)) => {
                (Content::from_octets(bytes::Bytes::new()), Some(problem))
            }
        };
        let nobody = MailFrom {
            path: ReversePath::Null,
            size: None,
            body: Body::SevenBit,
            utf8: Utf8::NotNeeded,
            ret: None,
            envid: None,
        };
        let needs_utf8 = facts
            .as_ref()
            .map_or(Utf8::NotNeeded, |facts| facts.needs_utf8);
        let tls_required = facts
            .as_ref()
            .map_or(TlsRequired::Unsaid, |facts| facts.tls_required);
        let about = About {
            kind: details.kind,
            id: stored.id.clone(),
            message_id: details.message_id.clone(),
            from: facts.map_or(nobody, |facts| facts.from),
            needs_utf8,
            tls_required,
            received: stored.received,
            until: None,
            content,
        };
        Known {
            about,
            stored,
            problem,
        }
    }

    /// A content of which at least the header can be read.
    async fn readable(
        &self,
        stored: &StoredMessage,
        eight_bit: EightBit,
    ) -> Result<Content, ContentFault> {
        let content = self.content(stored, eight_bit).await?;
        match content.header().await {
            Ok(_) => Ok(content),
            Err(error) => Err(ContentFault::Unreadable(error.to_string())),
        }
    }

    /// Counts what there is; how long that took.
    async fn count(&self) -> Duration {
        let began = Instant::now();
        match self.parts.store.totals().await {
            Ok(totals) => self.tell_totals(&totals, now()),
            Err(error) => self.parts.ledger.queue_unreadable(&error),
        }
        began.elapsed()
    }

    fn tell_totals(&self, totals: &Totals, now: Millis) {
        let age = |since: Option<Millis>| {
            Duration::from_millis(since.map_or(0, |since| now.saturating_sub(since)))
        };
        let active = self.parts.schedule.active() as u64;
        let loose = totals.messages.saturating_sub(totals.held);
        let active = active.min(loose);
        let ledger = &self.parts.ledger;
        ledger.queue_state("active", active, None);
        ledger.queue_state("waiting", loose - active, Some(age(totals.oldest)));
        ledger.queue_state("held", totals.held, Some(age(totals.oldest_held)));
    }
}
