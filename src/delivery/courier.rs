//! One attempt at one host: reach it, hand over what it takes, say what became of each recipient.

mod visit;

use super::connection::Mode;
use super::failure::{Failure, Stage};
use super::health::Health;
use super::observer::Observer;
use super::outcome::{Reached, Settled};
use super::pool::{Limits, Pool, Ready};
use super::reach::{Freshness, Reacher, Reuse, Unreached};
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
use crate::tls::TlsClient;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use visit::{Visit, refusal};

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
    pub standing: &'a dyn Standing,
}

/// Whether the policy by which a host is approached still stands: asked when the host has been reached, which may have
/// taken long, and before it gets mail.
pub trait Standing: Send + Sync + std::fmt::Debug {
    fn stands(&self) -> bool;
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
            if !visit.stop.standing.stands() {
                let address = ready.key.address;
                self.release(ready, After::Keep, visit.stop.settings);
                return visit.outdated(address);
            }
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
            if !visit.stop.standing.stands() {
                return Carried::Done(after);
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
