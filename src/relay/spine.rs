//! One group's way: discover → decide → deliver → record, host by host.

use super::book::Book;
use super::{Relay, Snapshot};
use crate::delivery::outcome::Outcome;
use crate::delivery::{
    Deadlines, MayBeThisHost, PointOfNoReturn, Reached, Signals, Stop, Way, Withdrawn, WouldBlock,
    host_label, say, share, unless_withdrawn,
};
use crate::discovery::{Route, RouteHost};
use crate::message::Message;
use crate::names::{NextHop, RuleTarget};
use crate::policy::{
    Demand, HostFacts, HostPolicy, HostVerdict, PolicySource, SeekTlsa, TlsaFailure, TlsaFinding,
    for_host, seek_tlsa,
};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// MX hosts tried for one message; RFC 5321 §5.1 asks for at least two.
pub const MAX_HOSTS: usize = 6;

/// How long mail waits for TLSA records that only a rule in dry-run wants.
const RECORD_PATIENCE: Duration = Duration::from_secs(2);

/// A group on its way.
#[derive(Debug)]
pub(super) struct Delivery {
    pub relay: Relay,
    pub snapshot: Arc<Snapshot>,
    pub message: Arc<Message>,
    pub demand: Demand,
    pub withdraw: CancellationToken,
}

/// A host to which plaintext may be tried once all others have failed.
struct Offer {
    host: usize,
    addresses: Vec<IpAddr>,
    policy: HostPolicy,
}

impl Delivery {
    /// Delivers, and answers every recipient exactly once.
    pub(super) async fn run(self, answers: Vec<(usize, oneshot::Sender<Outcome>)>) {
        let rule = self.snapshot.policy.rules.for_demand(&self.demand);
        let rule_name = rule.and_then(|rule| rule.name.as_deref());
        let mut book = Book::new(&self.message, &self.relay.parts.ledger, rule_name, answers);
        let no_return = PointOfNoReturn::default();
        let walk = self.walk(&mut book, &no_return);
        let signals = Signals {
            withdraw: &self.withdraw,
            abandon: &self.relay.parts.abandoned,
        };
        match unless_withdrawn(walk, signals, &no_return).await {
            Ok(()) => {}
            Err(Withdrawn::InTime) => book.close(&say::withdrawn()),
            Err(Withdrawn::TooLate) => book.close_uncertain(&say::abandoned()),
        }
    }

    async fn walk(&self, book: &mut Book<'_>, no_return: &PointOfNoReturn) {
        let settings = &self.snapshot.delivery;
        let courier = &self.relay.parts.courier;
        let received = Instant::from_std(self.message.received_at);
        let all = received + settings.deadline;
        let deadlines = Deadlines {
            all,
            dot: received + settings.dot_deadline,
        };
        let mut reach_until = all.min(Instant::now() + settings.reach_timeout);
        let Some(route) = self.route(book, reach_until).await else {
            return;
        };
        let mut offers = Vec::new();
        let hosts = &route.hosts;
        // Hosts without an address cost nothing: they must not stand in the way of one that has one.
        let mut left = MAX_HOSTS;
        for (at, host) in hosts.iter().enumerate() {
            if book.is_done() || left == 0 || Instant::now() >= reach_until {
                break;
            }
            let chosen = self.choose(book, &route, host, reach_until).await;
            let Some((addresses, policy)) = chosen else {
                continue;
            };
            let until = share(reach_until, left.min(hosts.len() - at) + offers.len());
            left -= 1;
            let stop = self.stop(book, &route, (host, addresses, &policy), until);
            let mut decided = |at, settled, addresses| book.decided(at, settled, addresses);
            let attempt = courier
                .attempt(&stop, deadlines, no_return, &mut decided)
                .await;
            if attempt.reached == Reached::Yes {
                reach_until = all.min(Instant::now() + settings.reach_timeout);
            }
            book.host_tried(attempt.settled, attempt.tried);
            if !attempt.fallback.is_empty() {
                offers.push(Offer {
                    host: at,
                    addresses: attempt.fallback,
                    policy,
                });
            }
        }
        for offer in offers {
            if book.is_done() || Instant::now() >= reach_until {
                break;
            }
            let chosen = (&hosts[offer.host], &offer.addresses[..], &offer.policy);
            let mut stop = self.stop(book, &route, chosen, reach_until);
            stop.way = Way::PlaintextFallback;
            let mut decided = |at, settled, addresses| book.decided(at, settled, addresses);
            let attempt = courier
                .attempt(&stop, deadlines, no_return, &mut decided)
                .await;
            book.host_again(attempt.settled, attempt.tried);
        }
        book.no_more_hosts(&say::out_of_time(settings.reach_timeout));
    }

    /// Discover: the route, or the reply that there is none.
    async fn route(&self, book: &mut Book<'_>, until: Instant) -> Option<Route> {
        let parts = &self.relay.parts;
        let started = Instant::now();
        let asked = parts
            .discovery
            .route(&self.demand.next_hop, &self.snapshot.discovery);
        let found = match timeout_at(until, asked).await {
            Ok(found) => found,
            Err(_) => {
                book.close(&say::dns_timeout(&self.demand.next_hop));
                return None;
            }
        };
        let rule = self.snapshot.policy.rules.for_demand(&self.demand);
        let source = if rule.is_some() {
            PolicySource::Rule
        } else {
            PolicySource::Default
        };
        let result = if found.is_ok() { "found" } else { "no_route" };
        parts
            .ledger
            .policy_lookup(source, result, started.elapsed());
        let hop = &self.demand.next_hop;
        found
            .map_err(|failure| book.close(&say::no_route(&failure, hop)))
            .ok()
    }

    /// Discover and decide: where the host is and what it must prove, unless it is of no use now.
    async fn choose<'h>(
        &self,
        book: &mut Book<'_>,
        route: &Route,
        host: &'h RouteHost,
        until: Instant,
    ) -> Option<(&'h [IpAddr], HostPolicy)> {
        let addresses = addresses_of(book, host)?;
        let tlsa = self.tlsa(route, host, until).await;
        let policy = self.decide(book, route, (host, addresses), tlsa)?;
        Some((addresses, policy))
    }

    /// Discover: the host's TLSA records, where they may matter.
    async fn tlsa(&self, route: &Route, host: &RouteHost, until: Instant) -> TlsaFinding {
        let until = match seek_tlsa(&self.demand, &self.snapshot.policy) {
            SeekTlsa::No => return TlsaFinding::NotSought,
            SeekTlsa::ForTheRecord => until.min(Instant::now() + RECORD_PATIENCE),
            SeekTlsa::Yes => until,
        };
        let parts = &self.relay.parts;
        let started = Instant::now();
        let finding = match timeout_at(until, parts.discovery.tlsa(route, host)).await {
            Ok(search) => search.finding,
            Err(_) => TlsaFinding::LookupFailed(TlsaFailure::NoAnswer("time-out".into())),
        };
        if finding != TlsaFinding::NotSought {
            parts
                .ledger
                .policy_lookup(PolicySource::Dane, finding.label(), started.elapsed());
        }
        finding
    }

    /// Decide: what this host must prove, or that it may not be used now.
    fn decide(
        &self,
        book: &mut Book<'_>,
        route: &Route,
        (host, addresses): (&RouteHost, &[IpAddr]),
        tlsa: TlsaFinding,
    ) -> Option<HostPolicy> {
        let facts = HostFacts {
            host: host.host.clone(),
            next_hop_expanded: route.expanded.clone(),
            trust: route.trust(),
            tlsa,
        };
        match for_host(&self.demand, &facts, &self.snapshot.policy) {
            HostVerdict::Use(policy) => {
                self.tell_dry_run(&policy, host, addresses);
                Some(policy)
            }
            HostVerdict::Defer(deferral) => {
                let first = addresses.first().map(|ip| SocketAddr::new(*ip, route.port));
                book.host_deferred(host.host.as_ref(), first, &deferral);
                None
            }
        }
    }

    /// A rule that is tried out would not have used this host.
    fn tell_dry_run(&self, policy: &HostPolicy, host: &RouteHost, addresses: &[IpAddr]) {
        let Some(reason) = &policy.would_defer else {
            return;
        };
        self.relay.parts.ledger.would_defer(&WouldBlock {
            domain: &policy.subject,
            rule_name: policy.rule_name.as_deref(),
            host: &host_label(host.host.as_ref(), addresses),
            failure: reason,
        });
    }

    fn stop<'s>(
        &'s self,
        book: &Book<'s>,
        route: &Route,
        (host, addresses, policy): (&'s RouteHost, &'s [IpAddr], &'s HostPolicy),
        reach_until: Instant,
    ) -> Stop<'s> {
        let bracketed = match &self.demand.next_hop {
            NextHop::Rule(hop) => !matches!(hop.target, RuleTarget::Mx(_)),
            NextHop::Domain(_) | NextHop::Literal(_) => false,
        };
        let mut hasher = DefaultHasher::new();
        self.demand.next_hop.hash(&mut hasher);
        Stop {
            host: host.host.as_ref(),
            addresses,
            port: route.port,
            implicit_tls: route.implicit_tls,
            policy,
            message: &self.message,
            recipients: book.recipients(),
            settings: &self.snapshot.delivery,
            tls: &self.snapshot.tls,
            next_hop: hasher.finish(),
            may_be_this_host: if bracketed {
                MayBeThisHost::No
            } else {
                MayBeThisHost::Yes
            },
            reach_until,
            way: Way::ByPolicy,
        }
    }
}

/// The addresses of a host, or one more host that offers nothing to connect to.
fn addresses_of<'h>(book: &mut Book<'_>, host: &'h RouteHost) -> Option<&'h [IpAddr]> {
    match &host.addresses {
        Ok(addresses) => Some(addresses),
        Err(failure) => {
            let name = host
                .host
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            book.host_skipped(&say::host_without_address(&name, failure));
            None
        }
    }
}
