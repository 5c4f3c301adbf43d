//! What one attempt has come to so far: who still waits, what was said to whom, and what it means.

use super::MayBeThisHost;
use super::{Attempt, Deadlines, Decided, RECIPIENTS_PER_TRANSACTION, Stop, Way};
use crate::delivery::connection::{LoopCheck, Mode};
use crate::delivery::failure::{Failure, Stage};
use crate::delivery::outcome::{
    Channel, DeliveryResult, Dsn, PossibleDuplicate, Reached, Scope, Settled, Via,
};
use crate::delivery::pool::Ready;
use crate::delivery::reach::{Freshness, Reuse, Target, Unreached};
use crate::delivery::replies;
use crate::delivery::transaction::Fate;
use crate::delivery::withdrawal::PointOfNoReturn;
use crate::smtp::extensions::Extension;
use crate::smtp::reply::Reply;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

fn mode(way: Way) -> Mode {
    match way {
        Way::ByPolicy => Mode::Tls,
        Way::PlaintextFallback => Mode::PlaintextFallback,
    }
}

/// The state of one attempt.
pub(super) struct Visit<'a> {
    pub(super) stop: &'a Stop<'a>,
    pub(super) deadlines: Deadlines,
    pub(super) no_return: &'a PointOfNoReturn,
    pub(super) mode: Mode,
    /// Recipients without an answer yet, by their place in `stop.recipients`.
    pub(super) pending: Vec<usize>,
    pub(super) settled: Vec<Option<Settled>>,
    pub(super) tried: u32,
    pub(super) reached: Reached,
    pub(super) fallback: Vec<IpAddr>,
    /// Over which address recipients were first refused on policy grounds.
    pub(super) refused_over: Option<SocketAddr>,
    /// How many were.
    pub(super) refusals: usize,
    pub(super) decided: &'a mut Decided<'a>,
}

impl<'a> Visit<'a> {
    pub(super) fn new(
        stop: &'a Stop<'a>,
        (deadlines, no_return): (Deadlines, &'a PointOfNoReturn),
        decided: &'a mut Decided<'a>,
    ) -> Self {
        let count = stop.recipients.len();
        Self {
            stop,
            deadlines,
            no_return,
            mode: mode(stop.way),
            pending: (0..count).collect(),
            settled: vec![None; count],
            tried: 0,
            reached: Reached::No,
            fallback: Vec::new(),
            refused_over: None,
            refusals: 0,
            decided,
        }
    }

    /// The address over which every recipient was refused on policy grounds.
    pub(super) fn refused_altogether(&self) -> Option<SocketAddr> {
        self.refused_over
            .filter(|_| self.refusals == self.settled.len())
    }

    pub(super) fn target(&self, reuse: Reuse) -> Target<'a> {
        Target {
            host: self.stop.host,
            policy: self.stop.policy,
            implicit_tls: self.stop.implicit_tls,
            message: self.stop.message,
            settings: self.stop.settings,
            tls: self.stop.tls,
            next_hop: self.stop.next_hop,
            loops: match self.stop.may_be_this_host {
                MayBeThisHost::Yes => LoopCheck::Greeting,
                MayBeThisHost::No => LoopCheck::Skip,
            },
            mode: self.mode,
            reuse,
            until: self.stop.reach_until,
        }
    }

    pub(super) fn chunk(&self) -> Vec<usize> {
        self.pending
            .iter()
            .copied()
            .take(RECIPIENTS_PER_TRANSACTION)
            .collect()
    }

    pub(super) fn label(&self, ip: IpAddr) -> String {
        replies::host_label(self.stop.host, ip)
    }

    pub(super) fn via(
        &self,
        address: SocketAddr,
        source: Option<IpAddr>,
        (channel, dsn): (Channel, Dsn),
    ) -> Arc<Via> {
        Arc::new(Via {
            mx: self.stop.host.cloned(),
            address,
            source,
            policy: self.stop.policy.source,
            level: self.stop.policy.level,
            rule_name: self.stop.policy.rule_name.clone(),
            trial: self.stop.policy.trial(channel.tried()),
            channel,
            dsn,
        })
    }

    /// Takes in a transaction's result.
    pub(super) fn take(&mut self, chunk: &[usize], fates: Vec<Fate>, ready: &Ready) {
        let address = ready.key.address;
        let label = self.label(address.ip());
        let dsn = match ready.session.offered.has(Extension::Dsn) {
            true => Dsn::Offered,
            false => Dsn::NotOffered,
        };
        let channel = (ready.session.channel.clone(), dsn);
        let via = self.via(address, ready.key.source, channel);
        let refused = |fate: &Fate| matches!(fate, Fate::Failed(f) if f.is_policy_refusal());
        if fates.iter().any(refused) {
            self.refused_over.get_or_insert(address);
        }
        let some_accepted = fates.iter().any(|fate| !is_recipient_refusal(fate));
        for (&at, fate) in chunk.iter().zip(fates) {
            // Too many recipients at once: the rest goes in the next transaction (RFC 5321
            // §4.5.3.1.10).
            if some_accepted && is_too_many(&fate) {
                continue;
            }
            self.pending.retain(|&other| other != at);
            self.refusals += usize::from(refused(&fate));
            self.settled[at] = Some(self.settle(&label, fate, &via));
        }
        if !self.pending.is_empty() {
            self.tell_decided(chunk);
        }
    }

    /// A delivery cannot be taken back; a refusal may still be tried over the other address family.
    pub(super) fn tell_decided(&mut self, chunk: &[usize]) {
        for &at in chunk {
            if let Some(settled) = &self.settled[at]
                && (settled.result == DeliveryResult::Delivered
                    || settled.possible_duplicate == PossibleDuplicate::Yes)
            {
                (self.decided)(at, settled.clone(), self.tried);
            }
        }
    }

    pub(super) fn settle(&self, label: &str, fate: Fate, via: &Arc<Via>) -> Settled {
        match fate {
            Fate::Delivered(said) => {
                let id = &self.stop.message.id;
                let policy = self.stop.policy;
                Settled {
                    result: DeliveryResult::Delivered,
                    reply: replies::delivered(label, &said, id, &via.channel, policy),
                    via: Some(Arc::clone(via)),
                    possible_duplicate: PossibleDuplicate::No,
                    blocked: None,
                    missing: None,
                    scope: Scope::Recipient,
                }
            }
            Fate::Uncertain(failure) => {
                let reply = replies::uncertain(label, &failure);
                Settled {
                    possible_duplicate: PossibleDuplicate::Yes,
                    ..Settled::failed(reply, Some(Arc::clone(via)), None, Scope::Recipient)
                }
            }
            Fate::Failed(failure) => {
                let (reply, blocked) = replies::failed(label, &failure, self.stop.policy);
                let scope = scope_of(&failure, &reply);
                Settled {
                    missing: failure.missing(),
                    ..Settled::failed(reply, Some(Arc::clone(via)), blocked, scope)
                }
            }
        }
    }

    /// Nothing could be handed over: the same answer for all who wait.
    pub(super) fn host_failed(&mut self, address: SocketAddr, failure: Failure) {
        if failure.is_policy_refusal() {
            self.refused_over.get_or_insert(address);
            self.refusals += self.pending.len();
        }
        let via = self.via(address, None, (Channel::None, Dsn::NotOffered));
        let label = self.label(address.ip());
        for at in std::mem::take(&mut self.pending) {
            let settled = self.settle(&label, Fate::Failed(failure.clone()), &via);
            self.settled[at] = Some(settled);
        }
    }

    pub(super) fn give_up(&mut self, ready: &Ready, stage: Stage) {
        self.host_failed(ready.key.address, Failure::Lost { stage });
    }

    /// The host was not reached. What is only remembered decides nothing for good.
    pub(super) fn unreached(&mut self, unreached: Unreached) {
        let fresh = unreached.freshness == Freshness::Now;
        if matches!(unreached.failure, Failure::NoSlot | Failure::Local(_)) {
            self.reached = self.reached.max(Reached::Unknown);
        }
        let waiting = self.pending.clone();
        self.host_failed(unreached.address, unreached.failure);
        for at in waiting {
            if let Some(settled) = self.settled[at].as_mut().filter(|_| !fresh) {
                settled.reply = replies::softened(settled.reply.clone());
                settled.result = DeliveryResult::Deferred;
            }
        }
    }

    /// The policy that allowed the host's channel is no longer in force.
    pub(super) fn outdated(&mut self, address: SocketAddr) {
        self.tried += 1;
        self.host_failed(address, Failure::PolicyChanged);
    }

    pub(super) fn begin_again(&mut self) {
        self.refusals = 0;
        self.mode = mode(self.stop.way);
        self.pending = (0..self.settled.len()).collect();
        self.settled = vec![None; self.pending.len()];
    }

    pub(super) fn finish(self) -> Attempt {
        let nobody = || {
            let reply = replies::out_of_time(Duration::ZERO);
            Settled::failed(reply, None, None, Scope::Host)
        };
        Attempt {
            settled: self
                .settled
                .into_iter()
                .map(|s| s.unwrap_or_else(nobody))
                .collect(),
            tried: self.tried,
            reached: self.reached,
            fallback: self.fallback,
        }
    }
}

fn is_recipient_refusal(fate: &Fate) -> bool {
    matches!(
        fate,
        Fate::Failed(Failure::Refused {
            stage: Stage::Rcpt | Stage::Mail,
            ..
        })
    )
}

fn is_too_many(fate: &Fate) -> bool {
    refusal(fate).is_some_and(|(stage, reply)| stage == Stage::Rcpt && reply.code == 452)
}

pub(super) fn refusal(fate: &Fate) -> Option<(Stage, &Reply)> {
    let Fate::Failed(Failure::Refused { stage, reply }) = fate else {
        return None;
    };
    Some((*stage, reply))
}

/// How far a failure reaches: a refusal of the message or of a recipient is final if it is permanent,
/// and otherwise the next host may do better.
fn scope_of(failure: &Failure, reply: &Reply) -> Scope {
    match failure {
        Failure::Refused { .. } if reply.code >= 500 => Scope::Recipient,
        Failure::TooBig { .. } | Failure::Spool(_) => Scope::Message,
        Failure::Refused { .. }
        | Failure::Connect(_)
        | Failure::ConnectTimeout(_)
        | Failure::ConnectHurried(_)
        | Failure::Local(_)
        | Failure::OutOfTime
        | Failure::NoSlot
        | Failure::Lost { .. }
        | Failure::TimedOut { .. }
        | Failure::Protocol { .. }
        | Failure::Unexpected { .. }
        | Failure::Tls(_)
        | Failure::TlsDelayed { .. }
        | Failure::LoopsBack
        | Failure::PolicyChanged
        | Failure::NoSmtpUtf8
        | Failure::NoEightBitMime => Scope::Host,
    }
}
