//! One attempt at one host: reach it, hand over what it takes, say what became of each recipient.

use super::connection::{LoopCheck, Mode};
use super::failure::{Failure, Stage};
use super::health::Health;
use super::observer::Observer;
use super::outcome::{Channel, DeliveryResult, PossibleDuplicate, Scope, Settled, Via};
use super::pool::{Limits, Pool, Ready};
use super::reach::{Freshness, Reacher, Reuse, Target, Unreached};
use super::replies;
use super::settings::{DeliverySettings, PlaintextFallback};
use super::tls_memory::{Fallback, TlsMemory};
use super::transaction::{After, Fate, Job, Transacted, reset, transact};
use super::withdrawal::PointOfNoReturn;
use crate::clock;
use crate::discovery::ImplicitTls;
use crate::message::Message;
use crate::names::MxHost;
use crate::policy::{Encryption, HostPolicy};
use crate::smtp::envelope::Recipient;
use crate::smtp::reply::Reply;
use crate::tls::TlsClient;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Recipients of one transaction, as many as Postfix sends; every host must take 100 (RFC 5321
/// §4.5.3.1.8).
const RECIPIENTS_PER_TRANSACTION: usize = 50;
/// How often a kept connection may turn out to be dead before that counts as the host's failure.
const STALE_CONNECTIONS: u32 = 2;
/// For the first reply on a kept connection; a new one is given the RFC's time.
const KEPT_PATIENCE: Duration = Duration::from_secs(15);
/// For QUIT on a connection that is not needed any more.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);
/// How often idle connections are looked through.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

/// Delivers to hosts. Cheap to clone; the clones share connections and memory.
#[derive(Debug, Clone)]
pub struct Courier {
    reacher: Reacher,
    tasks: TaskTracker,
}

/// One host and what it is to get.
#[derive(Debug)]
pub struct Stop<'a> {
    pub host: Option<&'a MxHost>,
    /// In the order in which they are to be tried.
    pub addresses: &'a [IpAddr],
    pub port: u16,
    pub implicit_tls: ImplicitTls,
    pub policy: &'a HostPolicy,
    pub message: &'a Message,
    pub recipients: Vec<&'a Recipient>,
    pub settings: &'a DeliverySettings,
    pub tls: &'a TlsClient,
    pub next_hop: u64,
    /// Not for a rule's bracketed next hop, which may well be this machine.
    pub may_be_this_host: MayBeThisHost,
    /// For reaching the host.
    pub reach_until: Instant,
    pub way: Way,
}

/// Whether a host that greets with our name is taken for a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayBeThisHost {
    No,
    Yes,
}

/// How a host is approached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As the policy says.
    ByPolicy,
    /// In the clear, since TLS failed and `plaintext_fallback` allows it.
    PlaintextFallback,
}

/// What came of it.
#[derive(Debug)]
pub struct Attempt {
    /// In the order of the recipients.
    pub settled: Vec<Settled>,
    /// Addresses tried.
    pub tried: u32,
    pub reached: Reached,
    /// Addresses to which plaintext may be tried once every other host has failed.
    pub fallback: Vec<IpAddr>,
}

/// Told of a recipient, by its place among the stop's: what became of it, and after how many addresses.
pub(super) type Decided<'a> = dyn FnMut(usize, Settled, u32) + Send + 'a;

/// Whether some connection was clear to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    No,
    Yes,
}

/// A delivery's instants.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For everything up to our final dot.
    pub all: Instant,
    /// For the reply to it.
    pub dot: Instant,
}

impl Courier {
    pub fn new(
        settings: &DeliverySettings,
        memory: TlsMemory,
        observer: Arc<dyn Observer>,
        tasks: TaskTracker,
    ) -> Self {
        let limits = Limits {
            total: settings.max_connections,
            per_address: settings.max_connections_per_mx,
            idle: settings.idle_connection_timeout,
        };
        let pool = Pool::new(limits, Arc::clone(&observer));
        let health = Health::default();
        Self {
            reacher: Reacher {
                pool,
                health,
                tls_memory: memory,
                observer,
            },
            tasks,
        }
    }

    /// Closes connections that have been idle for too long, until `stop`; then all of them.
    pub async fn reap(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(REAP_INTERVAL) => {}
            }
            for ready in self.reacher.pool.expired(Instant::now()) {
                self.part(ready);
            }
        }
        for ready in self.reacher.pool.drain() {
            self.part(ready);
        }
    }

    /// Keeps no connection that was made until now: what it was judged by may have changed.
    pub fn begin_anew(&self) {
        for ready in self.reacher.pool.begin_anew() {
            self.part(ready);
        }
    }

    /// Says goodbye, in the background.
    fn part(&self, ready: Ready) {
        self.tasks.spawn(async move {
            ready.session.quit(QUIT_PATIENCE).await;
        });
    }

    /// Hands the message to one host for all of the stop's recipients. Whose fate is decided while
    /// the host is still busy with others is told at once: it stands even if the attempt is given up.
    pub async fn attempt(
        &self,
        stop: &Stop<'_>,
        deadlines: Deadlines,
        no_return: &PointOfNoReturn,
        decided: &mut Decided<'_>,
    ) -> Attempt {
        let addresses: Vec<_> = stop
            .addresses
            .iter()
            .map(|&ip| SocketAddr::new(ip, stop.port))
            .collect();
        let mut visit = Visit::new(stop, (deadlines, no_return), decided);
        self.visit(&mut visit, &addresses).await;
        // A refusal on policy grounds is often about our source address: the other family has one more.
        if let Some(family_tried) = visit.refused_altogether() {
            let is_other = |a: &&SocketAddr| a.is_ipv4() != family_tried.is_ipv4();
            let others: Vec<_> = addresses.iter().filter(is_other).copied().collect();
            if !others.is_empty() {
                visit.begin_again();
                self.visit(&mut visit, &others).await;
            }
        }
        visit.finish()
    }

    async fn visit(&self, visit: &mut Visit<'_>, addresses: &[SocketAddr]) {
        let mut reuse = Reuse::Allowed;
        let mut stale = 0;
        while !visit.pending.is_empty() {
            let waiting = visit.pending.len();
            let target = visit.target(reuse);
            let mut ready = match self.reacher.reach(&target, addresses).await {
                Ok(ready) => ready,
                Err(unreached) => return self.unreached(visit, unreached).await,
            };
            let carried = self.transactions(visit, &mut ready).await;
            if visit.pending.len() < waiting {
                stale = 0; // a host that closes after each message is not dead
            }
            if carried == Carried::Stale && stale < STALE_CONNECTIONS {
                stale += 1;
                reuse = Reuse::No;
                continue;
            }
            // Over a kept connection as well: it is an address at which delivery was tried.
            visit.tried += 1;
            match carried {
                Carried::Stale => return visit.give_up(&ready, Stage::Mail),
                Carried::Done(after) => self.release(ready, after, visit.stop.settings),
            }
        }
    }

    /// As many transactions as the recipients need, while the connection lasts.
    async fn transactions(&self, visit: &mut Visit<'_>, ready: &mut Ready) -> Carried {
        loop {
            let chunk = visit.chunk();
            let recipients: Vec<_> = chunk.iter().map(|&at| visit.stop.recipients[at]).collect();
            let job = Job {
                message: visit.stop.message,
                recipients: &recipients,
                eight_bit: visit.stop.settings.eight_bit,
                deadline: visit.deadlines.all,
                dot_deadline: visit.deadlines.dot,
                mail_until: mail_until(ready, visit),
                no_return: visit.no_return,
            };
            let transacted = transact(&mut ready.session, &job).await;
            if ready.uses > 0 && is_stale(&transacted) {
                return Carried::Stale;
            }
            ready.uses += 1;
            visit.reached = Reached::Yes;
            let target = visit.target(Reuse::Allowed);
            for fate in &transacted.fates {
                if let Fate::Failed(failure) = fate
                    && matches!(failure, Failure::Refused { .. })
                {
                    self.reacher.blame(&target, &ready.key, failure);
                }
            }
            visit.take(&chunk, transacted.fates, ready);
            let mut after = transacted.after;
            if visit.pending.is_empty() {
                return Carried::Done(after);
            }
            if after == After::Reset {
                after = reset(&mut ready.session).await;
            }
            if after == After::Close || ready.uses >= visit.stop.settings.messages_per_connection {
                return Carried::Done(After::Close);
            }
        }
    }

    /// What becomes of a connection when its transactions are over.
    fn release(&self, mut ready: Ready, after: After, settings: &DeliverySettings) {
        let worn = ready.uses >= settings.messages_per_connection;
        match after {
            After::Close => drop(ready),
            After::Keep | After::Reset if worn => self.part(ready),
            After::Keep => self.reacher.pool.give_back(ready),
            After::Reset => {
                let pool = self.reacher.pool.clone();
                self.tasks.spawn(async move {
                    if reset(&mut ready.session).await == After::Keep {
                        pool.give_back(ready);
                    }
                });
            }
        }
    }

    /// The host was not reached: perhaps in the clear, at once or later.
    async fn unreached(&self, visit: &mut Visit<'_>, unreached: Unreached) {
        visit.tried += unreached.tried;
        let stop = visit.stop;
        let opportunistic = stop.policy.enforce.encryption == Encryption::Opportunistic
            && stop.implicit_tls == ImplicitTls::No
            && visit.mode == Mode::Tls;
        if !opportunistic || unreached.tls_failed.is_empty() {
            return visit.unreached(unreached);
        }
        match stop.settings.plaintext_fallback {
            PlaintextFallback::Never => visit.unreached(unreached),
            PlaintextFallback::Immediate => {
                visit.mode = Mode::PlaintextFallback;
                let addresses: Vec<_> = unreached.tls_failed.iter().map(|(a, _)| *a).collect();
                // Once: a visit in the clear does not come back here.
                Box::pin(self.visit(visit, &addresses)).await;
            }
            PlaintextFallback::Delayed => self.delay(visit, unreached),
        }
    }

    /// Plaintext only where TLS has failed for a while, and after all other hosts.
    fn delay(&self, visit: &mut Visit<'_>, unreached: Unreached) {
        let now = clock::now();
        let memory = &self.reacher.tls_memory;
        let mut not_before: Option<SystemTime> = None;
        for (address, freshness) in &unreached.tls_failed {
            let ip = address.ip();
            let fallback = match freshness {
                Freshness::Now => memory.failed(visit.stop.host, ip, now),
                Freshness::Remembered => memory.standing(visit.stop.host, ip, now),
            };
            match fallback {
                Fallback::Due => visit.fallback.push(ip),
                Fallback::NotBefore(time) => {
                    not_before = Some(not_before.map_or(time, |t| t.min(time)));
                }
            }
        }
        let failure = match (unreached.failure.clone(), not_before) {
            (Failure::Tls(failure), Some(time)) if visit.fallback.is_empty() => {
                Failure::TlsDelayed {
                    failure,
                    plaintext_from: replies::timestamp(time),
                }
            }
            (failure, _) => failure,
        };
        visit.unreached(Unreached {
            failure,
            ..unreached
        });
    }
}

#[derive(PartialEq, Eq)]
enum Carried {
    Done(After),
    /// A kept connection was dead or dying: no message's fault.
    Stale,
}

/// A kept connection that the network has forgotten looks like a slow host: how long it may take to
/// answer MAIL before a new one is opened.
fn mail_until(ready: &Ready, visit: &Visit<'_>) -> Instant {
    let deadline = visit.deadlines.all;
    if ready.uses == 0 {
        return deadline;
    }
    let patience = KEPT_PATIENCE.min(visit.stop.settings.reach_timeout / 2);
    deadline.min(Instant::now() + patience)
}

fn is_stale(transacted: &Transacted) -> bool {
    let gone = |fate: &Fate| {
        let stage = Stage::Mail;
        *fate == Fate::Failed(Failure::Lost { stage })
            || *fate == Fate::Failed(Failure::TimedOut { stage })
            || refusal(fate).is_some_and(|(s, r)| s == Stage::Mail && r.code == 421)
    };
    transacted.fates.iter().all(gone)
}

fn mode(way: Way) -> Mode {
    match way {
        Way::ByPolicy => Mode::Tls,
        Way::PlaintextFallback => Mode::PlaintextFallback,
    }
}

/// The state of one attempt.
struct Visit<'a> {
    stop: &'a Stop<'a>,
    deadlines: Deadlines,
    no_return: &'a PointOfNoReturn,
    mode: Mode,
    /// Recipients without an answer yet, by their place in `stop.recipients`.
    pending: Vec<usize>,
    settled: Vec<Option<Settled>>,
    tried: u32,
    reached: Reached,
    fallback: Vec<IpAddr>,
    /// Over which address recipients were first refused on policy grounds.
    refused_over: Option<SocketAddr>,
    /// How many were.
    refusals: usize,
    decided: &'a mut Decided<'a>,
}

impl<'a> Visit<'a> {
    fn new(
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
    fn refused_altogether(&self) -> Option<SocketAddr> {
        self.refused_over
            .filter(|_| self.refusals == self.settled.len())
    }

    fn target(&self, reuse: Reuse) -> Target<'a> {
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

    fn chunk(&self) -> Vec<usize> {
        self.pending
            .iter()
            .copied()
            .take(RECIPIENTS_PER_TRANSACTION)
            .collect()
    }

    fn label(&self, ip: IpAddr) -> String {
        replies::host_label(self.stop.host, ip)
    }

    fn via(&self, address: SocketAddr, source: Option<IpAddr>, channel: Channel) -> Arc<Via> {
        Arc::new(Via {
            mx: self.stop.host.cloned(),
            address,
            source,
            policy: self.stop.policy.source,
            level: self.stop.policy.level,
            rule_name: self.stop.policy.rule_name.clone(),
            channel,
        })
    }

    /// Takes in a transaction's result.
    fn take(&mut self, chunk: &[usize], fates: Vec<Fate>, ready: &Ready) {
        let address = ready.key.address;
        let label = self.label(address.ip());
        let channel = &ready.session.channel;
        let via = self.via(address, ready.key.source, channel.clone());
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
    fn tell_decided(&mut self, chunk: &[usize]) {
        for &at in chunk {
            if let Some(settled) = &self.settled[at]
                && (settled.result == DeliveryResult::Delivered
                    || settled.possible_duplicate == PossibleDuplicate::Yes)
            {
                (self.decided)(at, settled.clone(), self.tried);
            }
        }
    }

    fn settle(&self, label: &str, fate: Fate, via: &Arc<Via>) -> Settled {
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
    fn host_failed(&mut self, address: SocketAddr, failure: Failure) {
        if failure.is_policy_refusal() {
            self.refused_over.get_or_insert(address);
            self.refusals += self.pending.len();
        }
        let via = self.via(address, None, Channel::None);
        let label = self.label(address.ip());
        for at in std::mem::take(&mut self.pending) {
            let settled = self.settle(&label, Fate::Failed(failure.clone()), &via);
            self.settled[at] = Some(settled);
        }
    }

    fn give_up(&mut self, ready: &Ready, stage: Stage) {
        self.host_failed(ready.key.address, Failure::Lost { stage });
    }

    /// The host was not reached. What is only remembered decides nothing for good.
    fn unreached(&mut self, unreached: Unreached) {
        let fresh = unreached.freshness == Freshness::Now;
        let waiting = self.pending.clone();
        self.host_failed(unreached.address, unreached.failure);
        for at in waiting {
            if let Some(settled) = self.settled[at].as_mut().filter(|_| !fresh) {
                settled.reply = replies::softened(settled.reply.clone());
                settled.result = DeliveryResult::Deferred;
            }
        }
    }

    fn begin_again(&mut self) {
        self.refusals = 0;
        self.mode = mode(self.stop.way);
        self.pending = (0..self.settled.len()).collect();
        self.settled = vec![None; self.pending.len()];
    }

    fn finish(self) -> Attempt {
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

fn refusal(fate: &Fate) -> Option<(Stage, &Reply)> {
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
        | Failure::NoSmtpUtf8
        | Failure::NoEightBitMime => Scope::Host,
    }
}
