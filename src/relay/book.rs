//! What is known of each recipient while its group is walked from host to host.

use crate::delivery::outcome::{
    DeliveryResult, Outcome, PolicyBlock, PossibleDuplicate, Reached, Scope, Settled,
};
use crate::delivery::{deferred, say, several};
use crate::ledger::{DeliveryEvent, Ledger, Standing};
use crate::message::Message;
use crate::names::MxHost;
use crate::policy::{Deferral, PolicySource};
use crate::smtp::envelope::Recipient;
use crate::smtp::reply::{Reply, Severity};
use std::net::SocketAddr;
use tokio::sync::oneshot;

/// The group's recipients: those decided have been answered and recorded, once each.
#[derive(Debug)]
pub(super) struct Book<'a> {
    message: &'a Message,
    ledger: &'a Ledger,
    standing: Standing<'a>,
    open: Vec<Entry>,
    hosts: usize,
    tried: u32,
    reached: Reached,
}

#[derive(Debug)]
struct Entry {
    /// The place in the envelope.
    at: usize,
    /// `None` once it is answered.
    answer: Option<oneshot::Sender<Outcome>>,
    last: Option<Settled>,
    soft: Option<Reply>,
    /// What is told if no host may be tried.
    forbidden: Option<Settled>,
}

impl<'a> Book<'a> {
    pub(super) fn new(
        message: &'a Message,
        ledger: &'a Ledger,
        standing: Standing<'a>,
        answers: Vec<(usize, oneshot::Sender<Outcome>)>,
    ) -> Self {
        let entry = |(at, answer)| Entry {
            at,
            answer: Some(answer),
            last: None,
            soft: None,
            forbidden: None,
        };
        let open = answers.into_iter().map(entry).collect();
        Self {
            message,
            ledger,
            standing,
            open,
            hosts: 0,
            tried: 0,
            reached: Reached::No,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Recipients that still want a host.
    pub(super) fn recipients(&self) -> Vec<&'a Recipient> {
        let all = &self.message.envelope.recipients;
        self.open
            .iter()
            .filter_map(|entry| all.get(entry.at))
            .collect()
    }

    /// Whether a host was clear to send to.
    pub(super) fn note_reached(&mut self, reached: Reached) {
        self.reached = self.reached.max(reached);
    }

    /// One more host was tried (or could not be); `settled` stands in the order of `recipients`.
    pub(super) fn host_tried(&mut self, settled: Vec<Settled>, addresses: u32) {
        self.hosts += 1;
        self.host_again(settled, addresses);
    }

    /// A recipient's fate is decided while its host is still busy with others; `at` is its place in
    /// `recipients`.
    pub(super) fn decided(&mut self, at: usize, settled: Settled, addresses: u32) {
        let Some(open) = self.open.get_mut(at) else {
            return;
        };
        let entry = Entry {
            at: open.at,
            answer: open.answer.take(),
            last: None,
            soft: open.soft.take(),
            forbidden: None,
        };
        // The attempt itself will bring its addresses when it is over.
        self.tried += addresses;
        self.reached = Reached::Yes;
        self.decide(entry, settled);
        self.tried -= addresses;
    }

    /// The same host in another way: no new host.
    pub(super) fn host_again(&mut self, settled: Vec<Settled>, addresses: u32) {
        self.tried += addresses;
        let open = std::mem::take(&mut self.open);
        let unanswered = |(entry, _): &(Entry, Settled)| entry.answer.is_some();
        for (mut entry, settled) in open.into_iter().zip(settled).filter(unanswered) {
            match settled.scope {
                Scope::Recipient | Scope::Message => self.decide(entry, settled),
                Scope::Host => {
                    if settled.reply.severity() == Severity::Transient {
                        entry.soft = Some(settled.reply.clone());
                    }
                    entry.last = Some(settled);
                    self.open.push(entry);
                }
            }
        }
    }

    /// A host that offers nothing to connect to: the same for all.
    pub(super) fn host_skipped(&mut self, reply: &Reply) {
        let settled = Settled::without_host(reply.clone(), Scope::Host);
        self.host_tried(vec![settled; self.open.len()], 0);
    }

    /// A host that the policy does not use now: the same for all.
    pub(super) fn host_deferred(
        &mut self,
        host: Option<&MxHost>,
        address: Option<SocketAddr>,
        deferral: &Deferral,
    ) {
        let settled = deferred(host, address, deferral);
        self.host_tried(vec![settled; self.open.len()], 0);
    }

    /// A host to which the domain's mail may not go: it counts only if there is no other, or none that could ever
    /// take the mail.
    pub(super) fn host_forbidden(
        &mut self,
        host: Option<&MxHost>,
        address: Option<SocketAddr>,
        deferral: &Deferral,
    ) {
        let settled = deferred(host, address, deferral);
        for entry in &mut self.open {
            entry.forbidden.get_or_insert_with(|| settled.clone());
        }
    }

    /// What an MTA-STS policy has refused for good is only deferred: there may be a newer policy, or a host that it
    /// allows and that was not tried (RFC 8461 §5.1).
    pub(super) fn soften_sts(&mut self) {
        let of_sts = |block: &PolicyBlock| block.policy == PolicySource::MtaSts;
        for entry in &mut self.open {
            for seen in [&mut entry.last, &mut entry.forbidden]
                .into_iter()
                .flatten()
            {
                if seen.blocked.as_ref().is_some_and(of_sts) {
                    seen.reply = say::softened(seen.reply.clone());
                }
            }
        }
    }

    /// Nothing has been tried yet, as far as replies go.
    pub(super) fn start_over(&mut self) {
        self.hosts = 0;
        for entry in &mut self.open {
            (entry.last, entry.soft, entry.forbidden) = (None, None, None);
        }
    }

    /// There are no more hosts: what was seen last decides, but soft beats hard.
    pub(super) fn no_more_hosts(&mut self, nothing_seen: &Reply) {
        for mut entry in std::mem::take(&mut self.open) {
            let passing = |seen: &Settled| seen.reply.severity() == Severity::Transient;
            let last = match (entry.last.take(), entry.forbidden.take()) {
                (Some(last), Some(forbidden)) if passing(&forbidden) && !passing(&last) => {
                    Some(forbidden)
                }
                (last, forbidden) => last.or(forbidden),
            };
            let settled =
                last.unwrap_or_else(|| Settled::without_host(nothing_seen.clone(), Scope::Message));
            self.decide(entry, settled);
        }
    }

    /// One reply for all who are left.
    pub(super) fn close(&mut self, reply: &Reply) {
        for entry in std::mem::take(&mut self.open) {
            let settled = Settled::without_host(reply.clone(), Scope::Message);
            self.decide(entry, settled);
        }
    }

    /// The same where the message may have been accepted for them.
    pub(super) fn close_uncertain(&mut self, reply: &Reply) {
        for entry in std::mem::take(&mut self.open) {
            let settled = Settled {
                possible_duplicate: PossibleDuplicate::Yes,
                ..Settled::without_host(reply.clone(), Scope::Message)
            };
            self.decide(entry, settled);
        }
    }

    fn decide(&self, entry: Entry, settled: Settled) {
        let Some(answer) = entry.answer else {
            return;
        };
        let delivered = settled.result == DeliveryResult::Delivered;
        let uncertain = settled.possible_duplicate == PossibleDuplicate::Yes;
        let final_here = settled.scope == Scope::Recipient && entry.soft.is_none();
        let reply = if delivered || uncertain || final_here {
            settled.reply
        } else {
            several(self.hosts, settled.reply, entry.soft.as_ref())
        };
        let result = match (delivered, reply.severity()) {
            (true, _) => DeliveryResult::Delivered,
            (false, Severity::Permanent) => DeliveryResult::Rejected,
            (false, _) => DeliveryResult::Deferred,
        };
        let outcome = Outcome {
            result,
            reply,
            via: settled.via,
            possible_duplicate: settled.possible_duplicate,
            attempts: self.tried,
            blocked: settled.blocked,
            missing: settled.missing,
            reached: self.reached,
        };
        if let Some(recipient) = self.message.envelope.recipients.get(entry.at) {
            self.ledger.delivery(&DeliveryEvent {
                message: self.message,
                recipient,
                outcome: &outcome,
                standing: self.standing,
                elapsed: self.message.received_at.elapsed(),
            });
        }
        // The client may have left; the record stands all the same.
        let _ = answer.send(outcome);
    }
}
