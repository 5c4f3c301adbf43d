//! What the history is made of: each recipient's attempt, gathered by destination until somebody writes it down.
//!
//! Mail never waits for it: it is kept in memory, within bounds, and what does not fit is counted and left out.

use super::count::{Decided, channel};
use super::event;
use super::metrics::key_label;
use super::{Course, DeliveryEvent, Ledger, Standing};
use crate::delivery::outcome::{Channel, DeliveryResult, Outcome, PlaintextCause, Via};
use crate::smtp::address::{Mailbox, without_addresses};
use crate::store::history::{
    Clear, Downgrade, Facet, HOUR, HourCount, Label, LastAttempt, LastDelivery, LastRefusal,
    Sighting, Stands, Way,
};
use crate::tls::Authenticated;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Destinations that wait to be written at most.
const MOST: usize = 50_000;
/// Kinds of attempts of one destination that are told apart until they are written.
const MOST_KINDS: usize = 64;

/// What has come together since it was last taken. Shared by the clones of its ledger.
#[derive(Debug, Default)]
pub struct History {
    /// Whether somebody writes it down.
    kept: AtomicBool,
    gathered: Mutex<HashMap<Arc<str>, Sighting>>,
    /// Attempts that are missing in it, and were not told of yet.
    dropped: AtomicU64,
}

/// What became of one recipient, as far as the history asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) recipient: &'a Mailbox,
    pub(super) outcome: &'a Outcome,
    pub(super) standing: Standing<'a>,
}

impl<'a> Attempt<'a> {
    pub(super) fn of(event: &DeliveryEvent<'a>) -> Self {
        Self {
            recipient: &event.recipient.mailbox,
            outcome: event.outcome,
            standing: event.standing,
        }
    }

    /// What the rule is called, or where it stands.
    fn rule(self) -> Option<&'a str> {
        let rule = self.standing.rule?;
        Some(rule.name.as_deref().unwrap_or(&rule.origin))
    }
}

impl History {
    /// From now on somebody takes what comes together.
    pub fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// What has come together since this was last asked for, in no order.
    pub fn take(&self) -> Vec<Sighting> {
        let gathered = std::mem::take(&mut *self.lock());
        gathered.into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Sighting>> {
        // Nothing can panic while it is held.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A recipient's attempt has come to something.
    pub(super) fn attempted(&self, attempt: Attempt<'_>, now: SystemTime) {
        if attempt.standing.course == Course::FixedHop || !self.kept.load(Ordering::Relaxed) {
            return;
        }
        let Some(facet) = facet(attempt.outcome) else {
            return;
        };
        let name = event::domain(&attempt.recipient.domain);
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut gathered = self.lock();
        if let Some(sighting) = gathered.get_mut(&*name) {
            let room = count(sighting, facet.clone(), attempt, now);
            if room.is_none() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            observe(sighting, facet, attempt, now);
        } else if gathered.len() < MOST {
            let name: Arc<str> = name.into();
            let mut sighting = first_sighting(Arc::clone(&name), facet.clone(), now);
            count(&mut sighting, facet.clone(), attempt, now);
            observe(&mut sighting, facet, attempt, now);
            gathered.insert(name, sighting);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn first_sighting(name: Arc<str>, facet: Facet, now: u64) -> Sighting {
    Sighting {
        name,
        first: now,
        last: now,
        counts: Vec::with_capacity(1),
        attempt: LastAttempt { facet, rule: None },
        delivery: None,
        refusal: None,
        secured: None,
        clear: None,
    }
}

/// `None` if there is no room for one more kind.
fn count(sighting: &mut Sighting, facet: Facet, attempt: Attempt<'_>, now: u64) -> Option<()> {
    let at = now - now % HOUR;
    let rule = attempt.rule();
    let same = |known: &&mut HourCount| {
        known.at == at && known.rule.as_deref() == rule && known.facet == facet
    };
    if let Some(known) = sighting.counts.iter_mut().find(same) {
        known.count += 1;
        return Some(());
    }
    if sighting.counts.len() >= MOST_KINDS {
        return None;
    }
    sighting.counts.push(HourCount {
        at,
        facet,
        rule: rule.map(Into::into),
        count: 1,
    });
    Some(())
}

/// What is the last of its kind.
fn observe(sighting: &mut Sighting, facet: Facet, attempt: Attempt<'_>, now: u64) {
    sighting.first = sighting.first.min(now);
    sighting.last = now;
    let via = attempt.outcome.via.as_deref();
    // Also what was refused over TLS shows that there is some.
    let had_tls = via.and_then(channel).is_some();
    if facet.way.is_delivered() {
        if let Some(via) = via {
            note_delivery(sighting, facet.clone(), via, now);
        }
        note_clear(sighting, via, now);
    } else {
        sighting.refusal = Some(LastRefusal {
            at: now,
            words: words(attempt),
            why: attempt.outcome.blocked.as_ref().map(|block| block.reason),
        });
    }
    if had_tls {
        sighting.secured = Some(now);
    }
    sighting.attempt.facet = facet;
    let rule = attempt.rule();
    if sighting.attempt.rule.as_deref() != rule {
        sighting.attempt.rule = rule.map(Into::into);
    }
}

fn note_delivery(sighting: &mut Sighting, facet: Facet, via: &Via, now: u64) {
    let mx: Cow<'_, str> = match &via.mx {
        Some(mx) => mx.0.as_str().into(),
        None => via.address.ip().to_string().into(),
    };
    match &mut sighting.delivery {
        Some(known) => {
            known.at = now;
            known.facet = facet;
            if *known.mx != *mx {
                known.mx = mx.into();
            }
        }
        None => {
            sighting.delivery = Some(LastDelivery {
                at: now,
                facet,
                mx: mx.into(),
            });
        }
    }
}

/// Plaintext that nobody asked for: the store knows whether there was TLS before.
fn note_clear(sighting: &mut Sighting, via: Option<&Via>, now: u64) {
    let Some(Channel::Plaintext(cause @ (PlaintextCause::NoStarttls | PlaintextCause::TlsFailed))) =
        via.map(|via| &via.channel)
    else {
        if let Some(clear) = &mut sighting.clear {
            clear.stands = Stands::No;
        }
        return;
    };
    let clear = sighting.clear.get_or_insert(Clear {
        first: now,
        last: now,
        cause: cause.as_str(),
        before: 0,
        after: 0,
        stands: Stands::Yes,
    });
    (clear.last, clear.cause, clear.stands) = (now, cause.as_str(), Stands::Yes);
    match sighting.secured {
        Some(_) => clear.after += 1,
        None => clear.before += 1,
    }
}

/// What kept mail back, on one line and without addresses: the history has none.
fn words(attempt: Attempt<'_>) -> String {
    let recipient = attempt.recipient.to_string();
    let words = without_addresses(&attempt.outcome.reply.to_string(), &[&recipient]);
    event::cut(&words, event::MAX_TEXT).replace(char::is_control, " ")
}

/// What an attempt came to; `None` if it was none.
fn facet(outcome: &Outcome) -> Option<Facet> {
    let decided = Decided::of(outcome);
    let via = outcome.via.as_deref();
    let seen = via.and_then(channel);
    let said = |label: Option<&'static str>| Label::Borrowed(label.unwrap_or(""));
    Some(Facet {
        way: way(outcome)?,
        authenticated: said(seen.map(|seen| seen.authenticated.as_str())),
        version: said(seen.map(|seen| seen.version.as_str())),
        cipher: said(seen.map(|seen| seen.cipher)),
        group: said(seen.and_then(|seen| seen.group)),
        problem: said(seen.map(|seen| seen.problem.as_ref().map_or("none", |p| p.label()))),
        key: said(seen.map(|seen| key_label(&seen.key))),
        policy: decided.policy.into(),
        level: decided.level.into(),
        why: said(why(outcome)),
        dry_run: said(via.map(|via| via.trial.as_str())),
    })
}

fn way(outcome: &Outcome) -> Option<Way> {
    match outcome.result {
        DeliveryResult::Delivered => {
            let channel = outcome.via.as_deref().map(|via| &via.channel);
            Some(match channel {
                Some(Channel::Tls(seen)) => match seen.authenticated {
                    Authenticated::None => Way::Encrypted,
                    Authenticated::WebPki
                    | Authenticated::Dane
                    | Authenticated::HalfDane
                    | Authenticated::Fingerprint => Way::Verified,
                },
                // Of a delivery that says nothing of its channel nothing good is assumed.
                Some(Channel::Plaintext(_) | Channel::None) | None => Way::Plaintext,
            })
        }
        DeliveryResult::Deferred | DeliveryResult::Rejected if outcome.blocked.is_some() => {
            Some(Way::Blocked)
        }
        DeliveryResult::Rejected => Some(Way::Refused),
        DeliveryResult::Deferred => Some(Way::Deferred),
        DeliveryResult::Queued => None,
    }
}

/// Why it went in the clear, or why it was blocked.
fn why(outcome: &Outcome) -> Option<&'static str> {
    if outcome.result != DeliveryResult::Delivered {
        return outcome.blocked.as_ref().map(|block| block.reason);
    }
    match outcome.via.as_deref().map(|via| &via.channel) {
        Some(Channel::Plaintext(cause)) => Some(cause.as_str()),
        Some(Channel::Tls(_) | Channel::None) | None => None,
    }
}

impl Ledger {
    /// What was delivered at which level, for whoever writes it down.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// A destination that had TLS got mail in the clear: once a day for a destination.
    pub fn downgraded(&self, downgrade: &Downgrade) {
        let counter = &self.metrics.downgrades;
        counter.with_label_values(&[downgrade.cause]).inc();
        let last = UNIX_EPOCH + Duration::from_secs(downgrade.last_secured.min(u32::MAX.into()));
        tracing::warn!(
            target: "sealpost::delivery",
            domain = &*downgrade.name,
            cause = downgrade.cause,
            last_tls_day = super::tls_hosts::day(last),
            "downgrade: mail for this destination went over TLS before, and now in the clear (said once a day for a \
             destination)",
        );
    }

    /// So many attempts are missing in the history, beside those that it could not take itself. Whether there are any.
    pub fn history_dropped(&self, attempts: u64) -> u64 {
        let dropped = self.history.dropped.swap(0, Ordering::Relaxed) + attempts;
        self.metrics.history_dropped.inc_by(dropped);
        dropped
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
