//! Whether DNSSEC works with the servers: the keys of the root, asked for and judged.
//!
//! Whether a server validates cannot be seen from outside for certain: a forwarder on loopback hands on what
//! others claim, and there are many (Docker's, AdGuard Home, dnscrypt-proxy). So `dnssec = "auto"` validates
//! here wherever the root's keys can be validated here, and once it could, always. Where they cannot, as with
//! a private root whose anchor only the server has, this is demanded before a server's AD bit is believed:
//! the server is on loopback; it is neither systemd-resolved's stub nor Docker's nor dnsmasq; it sets AD for
//! the root's keys; it does not set AD when neither DO nor AD is asked for (RFC 6840 §5.8), as a server that
//! always sets it would; and not for what can never be authentic, an answer of class CH, as one that echoes
//! the question's flags would.

use super::approach::Approach;
use super::cache::{Cache, Entry};
use super::exchange::Unanswered;
use super::query::Asking;
use super::trust::{Trust, anchor_keys};
use super::upstream::Upstream;
use super::validate::{Anchor, Budget, Flaw};
use super::wire::{Flags, Reply};
use super::{DnsSettings, Dnssec, DnssecStatus, DnssecUnavailable, LookupFailure, Validation};
use futures_util::future::join_all;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{DNSClass, Name, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Where forwarders listen that are known by their address: systemd-resolved (systemd-resolved.service(8)) and
/// Docker's.
const FORWARDERS: [[u8; 4]; 3] = [[127, 0, 0, 53], [127, 0, 0, 54], [127, 0, 0, 11]];

/// Probes, and remembers what came of it.
pub(super) struct Prober {
    mode: Dnssec,
    unavailable: DnssecUnavailable,
    trust: Arc<Trust>,
    found: Arc<Mutex<Option<DnssecStatus>>>,
    /// Servers that were found to validate, or not to, a moment ago.
    vouched: Arc<Cache<usize, ()>>,
    /// Whether a probe has ever been validated in this process.
    here: Arc<AtomicBool>,
    /// Rung when an answer makes it doubtful that the last probe's finding still holds.
    doubt: Arc<Notify>,
    /// Merges probes under way; keeps nothing.
    running: Arc<Cache<(), DnssecStatus>>,
}

/// How long it holds that a server validates, by which the missing of AD is believed: a resolver that has ceased to
/// validate must not make published records vanish.
const FRESH: Duration = Duration::from_secs(5);

/// Servers whose standing is kept.
const MAX_VOUCHED: usize = 1024;

/// Whether `auto` may come to believe the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    Believe,
    /// Signatures could be checked here before: whoever keeps them from us now is not to be believed.
    Distrust,
}

/// Why one server fails the probe.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    Broken(String),
    /// A clock is wrong, ours or the server's.
    Untimely(String),
    NoAnswer(String),
}

impl Prober {
    pub(super) fn new(settings: &DnsSettings, trust: Arc<Trust>) -> Self {
        Self {
            mode: settings.dnssec,
            unavailable: settings.unavailable,
            trust,
            found: Arc::default(),
            vouched: Cache::new(MAX_VOUCHED),
            here: Arc::default(),
            doubt: Arc::default(),
            running: Cache::new(1),
        }
    }

    /// What the last probe found.
    pub(super) fn status(&self) -> DnssecStatus {
        match (self.mode, self.last()) {
            (Dnssec::Off, _) => DnssecStatus::Off,
            (_, Some(status)) => status,
            (_, None) => DnssecStatus::NoAnswer("not probed yet".into()),
        }
    }

    /// How to go about a question. Where all depends on the servers, they are probed first.
    pub(super) async fn approach(&self, deadline: Instant) -> Approach {
        let mut last = self.last();
        if self.mode == Dnssec::TrustAd && last.is_none() {
            last = timeout_at(deadline, self.probe()).await.ok();
        }
        Approach::of(self.mode, self.unavailable, last.as_ref())
    }

    pub(super) async fn probe(&self) -> DnssecStatus {
        if self.mode == Dnssec::Off {
            return DnssecStatus::Off;
        }
        let now = std::time::Instant::now();
        let pending = match self.running.enter(&(), now) {
            Entry::Known(outcome) => return outcome.unwrap_or_else(no_answer),
            Entry::Asked(pending) => pending,
            Entry::Ask(asker, pending) => {
                let (trust, mode, found) =
                    (Arc::clone(&self.trust), self.mode, Arc::clone(&self.found));
                let here = Arc::clone(&self.here);
                self.trust.upstream.lookups.spawn(async move {
                    let others = if here.load(Ordering::Relaxed) {
                        Others::Distrust
                    } else {
                        Others::Believe
                    };
                    let status = trust.probe(mode, others).await;
                    if status == DnssecStatus::Works(Validation::InProcess) {
                        here.store(true, Ordering::Relaxed);
                    }
                    *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(status.clone());
                    asker.settle(Ok(status), now);
                });
                pending
            }
        };
        pending.outcome().await.unwrap_or_else(no_answer)
    }

    pub(super) fn is_plain(&self) -> bool {
        let approach = Approach::of(self.mode, self.unavailable, self.last().as_ref());
        approach.asking() == Asking::Plain
    }

    /// That this server validates now; an answer of its own without AD says that something is insecure only
    /// then. What is found holds for a moment, and all who want to know it wait for the same.
    pub(super) async fn vouch(
        &self,
        server: usize,
        deadline: Instant,
    ) -> Result<(), LookupFailure> {
        let pending = match self.vouched.enter(&server, std::time::Instant::now()) {
            Entry::Known(outcome) => return outcome,
            Entry::Asked(pending) => pending,
            Entry::Ask(asker, pending) => {
                let trust = Arc::clone(&self.trust);
                let doubt = Arc::clone(&self.doubt);
                self.trust.upstream.lookups.spawn(async move {
                    let outcome = trust.still_validates(server).await;
                    if outcome.is_err() {
                        doubt.notify_one();
                    }
                    asker.settle(outcome, std::time::Instant::now() + FRESH);
                });
                pending
            }
        };
        match timeout_at(deadline, pending.outcome()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(LookupFailure::TimedOut),
        }
    }

    /// Whether it may turn out that the servers need not have been believed.
    pub(super) fn may_change_its_mind(&self) -> bool {
        self.mode == Dnssec::Auto
    }

    /// An answer is not what it should be: perhaps nothing can be proven any more.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Waits for such an answer.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    fn last(&self) -> Option<DnssecStatus> {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn no_answer(failure: LookupFailure) -> DnssecStatus {
    DnssecStatus::NoAnswer(failure.to_string())
}

impl Trust {
    /// Whether one server calls the root's keys authentic.
    async fn still_validates(&self, server: usize) -> Result<(), LookupFailure> {
        let Some(anchor) = self.anchors().highest() else {
            return Err(LookupFailure::DnssecBroken);
        };
        let probe = Probe {
            upstream: &self.upstream,
            anchor,
            deadline: self.upstream.deadline(),
        };
        let authentic = probe.authentic(server).await;
        authentic.map_err(|_| LookupFailure::DnssecBroken)
    }

    async fn probe(&self, mode: Dnssec, others: Others) -> DnssecStatus {
        let servers = self.upstream.servers.addresses();
        let Some(anchor) = self.anchors().highest() else {
            return DnssecStatus::Broken("there is no trust anchor".into());
        };
        let start = Instant::now();
        let probe_for = |part| Probe {
            upstream: &self.upstream,
            anchor,
            deadline: start + self.upstream.timeout / part,
        };
        let probe = probe_for(1);
        let each = || 0..servers.len();
        match mode {
            Dnssec::Off => DnssecStatus::Off,
            Dnssec::Validate => in_process(&join_all(each().map(|i| probe.signed(i))).await),
            Dnssec::TrustAd => by_servers(&join_all(each().map(|i| probe.authentic(i))).await),
            Dnssec::Auto => {
                // Half the time, so that there is some left for what the servers say.
                let half = probe_for(2);
                let here = in_process(&join_all(each().map(|i| half.signed(i))).await);
                let settled = matches!(here, DnssecStatus::Works(_) | DnssecStatus::NoAnswer(_));
                if settled || others == Others::Distrust || !servers.iter().all(may_validate) {
                    return here;
                }
                let they = join_all(each().map(|i| probe.validates(i))).await;
                if they.iter().all(|seems| *seems == Validates::Seems) {
                    return DnssecStatus::Works(Validation::Servers);
                }
                here
            }
        }
    }
}

/// One that gives signed answers is enough: it is found when another's are bogus.
fn in_process(results: &[Result<(), Trouble>]) -> DnssecStatus {
    if results.iter().any(Result::is_ok) {
        return DnssecStatus::Works(Validation::InProcess);
    }
    worst(results)
}

/// All that answer must validate: an answer without AD is believed, whoever gives it.
fn by_servers(results: &[Result<(), Trouble>]) -> DnssecStatus {
    let worst = worst(results);
    let silent = matches!(worst, DnssecStatus::NoAnswer(_));
    if silent && results.iter().any(Result::is_ok) {
        return DnssecStatus::Works(Validation::Servers);
    }
    worst
}

fn worst(results: &[Result<(), Trouble>]) -> DnssecStatus {
    let (mut silent, mut untimely) = (None, None);
    for result in results {
        match result {
            Err(Trouble::Broken(why)) => return DnssecStatus::Broken(why.clone()),
            Err(Trouble::Untimely(why)) => untimely = untimely.or(Some(why)),
            Err(Trouble::NoAnswer(why)) => silent = silent.or(Some(why)),
            Ok(()) => {}
        }
    }
    if let Some(why) = untimely {
        return DnssecStatus::Untimely(why.clone());
    }
    DnssecStatus::NoAnswer(silent.cloned().unwrap_or_default())
}

/// Whether it may be a validating resolver on this host.
fn may_validate(server: &SocketAddr) -> bool {
    let ip = server.ip().to_canonical();
    ip.is_loopback() && !FORWARDERS.iter().any(|stub| ip == IpAddr::from(*stub))
}

/// What a server seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validates {
    Seems,
    /// Or it does not answer.
    No,
}

struct Probe<'a> {
    upstream: &'a Upstream,
    anchor: &'a Anchor,
    deadline: Instant,
}

impl Probe<'_> {
    /// Whether the server gives the anchor's keys with a good signature.
    async fn signed(&self, server: usize) -> Result<(), Trouble> {
        let reply = self.keys(server, Asking::Signatures).await?;
        let Err(flaw) = anchor_keys(&reply, self.anchor, &mut Budget::new()) else {
            return Ok(());
        };
        let hint = if flaw == Flaw::NoSignature {
            ": answers come without signatures"
        } else if matches!(flaw, Flaw::Expired | Flaw::NotYetValid) {
            "; is the clock right?"
        } else if flaw == Flaw::NotTheAnchor {
            "; see dns.trust_anchor"
        } else {
            ""
        };
        let zone = &self.anchor.zone;
        let why = format!("the keys of {zone} are not proven: {flaw}{hint}");
        let why = self.says(server, &why);
        Err(if matches!(flaw, Flaw::Expired | Flaw::NotYetValid) {
            Trouble::Untimely(why)
        } else {
            Trouble::Broken(why)
        })
    }

    /// Whether the server calls the anchor's keys authentic.
    async fn authentic(&self, server: usize) -> Result<(), Trouble> {
        match self.keys(server, Asking::Verdict).await {
            Ok(reply) if reply.flags.has(Flags::AUTHENTIC) => Ok(()),
            Ok(_) => Err(Trouble::Broken(
                self.says(server, &"the AD bit is not set, so it does not validate"),
            )),
            // It has the keys, but does not believe them.
            Err(trouble) => match self.keys(server, Asking::Signatures).await {
                Ok(_) => Err(Trouble::Untimely(self.says(
                    server,
                    &"bogus to the server; are its clock and its trust anchor right?",
                ))),
                Err(_) => Err(trouble),
            },
        }
    }

    /// Whether the server seems to validate: see above.
    async fn validates(&self, server: usize) -> Validates {
        let Ok(()) = self.authentic(server).await else {
            return Validates::No;
        };
        let plain = self.keys(server, Asking::Plain).await;
        if !plain.is_ok_and(|reply| !reply.flags.has(Flags::AUTHENTIC)) {
            return Validates::No;
        }
        let Ok(name) = Name::from_ascii("version.bind.") else {
            return Validates::No;
        };
        let mut version = Query::query(name, RecordType::TXT);
        version.set_query_class(DNSClass::CH);
        match self.ask(server, &version, Asking::Verdict).await {
            Ok(reply) if reply.flags.has(Flags::AUTHENTIC) || is_dnsmasq(&reply) => Validates::No,
            Ok(_) => Validates::Seems,
            Err(unanswered) if unanswered.code.is_some() => Validates::Seems,
            Err(_) => Validates::No,
        }
    }

    async fn keys(&self, server: usize, asking: Asking) -> Result<Reply, Trouble> {
        let query = Query::query(self.anchor.zone.clone(), RecordType::DNSKEY);
        let asked = self.ask(server, &query, asking).await;
        asked.map_err(|unanswered| Trouble::NoAnswer(self.says(server, &unanswered.failure)))
    }

    async fn ask(&self, server: usize, query: &Query, asking: Asking) -> Result<Reply, Unanswered> {
        let servers = &self.upstream.servers;
        servers.ask_one(server, query, asking, self.deadline).await
    }

    fn says(&self, server: usize, what: &dyn std::fmt::Display) -> String {
        let address = self.upstream.servers.addresses()[server];
        format!("{address}: {what}")
    }
}

/// Its answer is `dnsmasq-2.90`.
fn is_dnsmasq(reply: &Reply) -> bool {
    let needle = b"dnsmasq";
    reply.answers.iter().any(|record| {
        record
            .data
            .windows(needle.len())
            .any(|part| part.eq_ignore_ascii_case(needle))
    })
}
