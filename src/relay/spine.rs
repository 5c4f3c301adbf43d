//! One group's way: discover → decide → deliver → record, host by host.

use super::book::Book;
use super::discover::{Chosen, Destination};
use super::{Patience, Relay, Snapshot};
use crate::delivery::outcome::{Outcome, PolicyBlock, Reached, Settled};
use crate::delivery::{
    Attempt, Deadlines, DeliverySettings, MayBeThisHost, PointOfNoReturn, Signals, Stop, Way,
    Withdrawn, WouldBlock, host_label, say, share, unless_withdrawn,
};
use crate::discovery::{Newer, Route, RouteHost};
use crate::ledger::{Course, Standing};
use crate::message::Message;
use crate::names::{NextHop, RuleTarget};
use crate::policy::{Demand, HostFacts, HostPolicy, HostVerdict, PolicySource, for_host};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// MX hosts tried for one message; RFC 5321 §5.1 asks for at least two.
pub const MAX_HOSTS: usize = 6;

/// A group on its way.
#[derive(Debug)]
pub(super) struct Delivery {
    pub relay: Relay,
    pub snapshot: Arc<Snapshot>,
    pub message: Arc<Message>,
    pub demand: Demand,
    pub withdraw: CancellationToken,
    pub patience: Patience,
}

/// One walk over the hosts of a destination.
struct Walk<'a> {
    deadlines: Deadlines,
    no_return: &'a PointOfNoReturn,
    reach_until: Instant,
    /// Hosts that may still be tried; those without an address cost nothing: they must not stand in the way of
    /// one that has one.
    left: usize,
    offers: Vec<Offer>,
    forbidden: Forbidden,
}

/// Whether an MTA-STS policy has forbidden a host, or its certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forbidden {
    No,
    Yes,
}

/// A host to which plaintext may be tried once all others have failed.
struct Offer {
    host: usize,
    addresses: Vec<IpAddr>,
    policy: HostPolicy,
}

impl<'a> Walk<'a> {
    fn begin(delivery: &Delivery, no_return: &'a PointOfNoReturn) -> Self {
        let settings = delivery.settings();
        let received = Instant::from_std(delivery.message.received_at);
        let all = received + settings.deadline;
        Self {
            deadlines: Deadlines {
                all,
                dot: received + settings.dot_deadline,
            },
            no_return,
            reach_until: all.min(Instant::now() + settings.reach_timeout),
            left: MAX_HOSTS,
            offers: Vec::new(),
            forbidden: Forbidden::No,
        }
    }

    fn is_over(&self) -> bool {
        self.left == 0 || Instant::now() >= self.reach_until
    }

    /// A host has answered: the next one has its time anew.
    fn reached(&mut self, patience: Duration) {
        self.reach_until = self.deadlines.all.min(Instant::now() + patience);
    }

    /// Every host once more, under another policy.
    fn start_over(&mut self) {
        self.left = MAX_HOSTS;
        self.offers.clear();
    }
}

impl Delivery {
    pub(super) fn settings(&self) -> &DeliverySettings {
        self.snapshot.settings(self.patience)
    }

    /// Delivers, and answers every recipient exactly once.
    pub(super) async fn run(self, answers: Vec<(usize, oneshot::Sender<Outcome>)>) {
        let rule = self.snapshot.policy.rules.for_demand(&self.demand);
        let standing = Standing {
            rule: rule.map(|rule| &**rule),
            course: match (&self.demand.recipient_domain, &self.demand.next_hop) {
                (None, NextHop::Rule(_)) => Course::FixedHop,
                (Some(_), _) | (None, NextHop::Domain(_) | NextHop::Literal(_)) => {
                    Course::OwnDomain
                }
            },
        };
        let mut book = Book::new(&self.message, &self.relay.parts.ledger, standing, answers);
        let no_return = PointOfNoReturn::default();
        let walk = self.walk(&mut book, &no_return);
        let signals = Signals {
            withdraw: &self.withdraw,
            abandon: &self.relay.parts.abandoned,
        };
        match unless_withdrawn(walk, signals, &no_return).await {
            Ok(()) => {}
            Err(Withdrawn::InTime) => {
                book.note_reached(Reached::Unknown);
                book.close(&say::withdrawn());
            }
            Err(Withdrawn::TooLate) => book.close_uncertain(&say::abandoned()),
        }
    }

    async fn walk(&self, book: &mut Book<'_>, no_return: &PointOfNoReturn) {
        let mut walk = Walk::begin(self, no_return);
        let Some(mut destination) = self.discover(book, walk.reach_until).await else {
            return;
        };
        self.visit_all(&mut walk, book, &mut destination).await;
        if walk.forbidden == Forbidden::Yes && !book.is_done() {
            match self.newer_policy(&destination, walk.reach_until).await {
                Newer::Same => {}
                Newer::Unknown => book.soften_sts(),
                Newer::Another(sts) => {
                    destination.sts = sts;
                    walk.start_over();
                    book.start_over();
                    self.visit_all(&mut walk, book, &mut destination).await;
                }
            }
        }
        self.fall_back(&walk, book, &mut destination).await;
        book.no_more_hosts(&say::out_of_time(self.settings().reach_timeout));
    }

    /// Host by host, until every recipient's fate is decided.
    async fn visit_all(&self, walk: &mut Walk<'_>, book: &mut Book<'_>, to: &mut Destination) {
        for at in 0..to.route.hosts.len() {
            if book.is_done() {
                return;
            }
            if walk.is_over() {
                return book.soften_sts();
            }
            self.catch_up(to);
            let host = &to.route.hosts[at];
            let Some((addresses, policy)) = self.choose(walk, book, to, host).await else {
                continue;
            };
            let rest = walk.left.min(to.route.hosts.len() - at) + walk.offers.len();
            let until = share(walk.reach_until, rest);
            walk.left -= 1;
            let standing = Chosen {
                delivery: self,
                sts: &to.sts,
            };
            let chosen = (host, addresses, &policy, &standing);
            let stop = self.stop(book, &to.route, chosen, until);
            let attempt = self.attempt(walk, book, &stop).await;
            if attempt.reached == Reached::Yes {
                walk.reached(self.settings().reach_timeout);
            }
            book.note_reached(attempt.reached);
            if is_blocked_by_sts(&attempt.settled) {
                walk.forbidden = Forbidden::Yes;
            }
            book.host_tried(attempt.settled, attempt.tried);
            if !attempt.fallback.is_empty() {
                walk.offers.push(Offer {
                    host: at,
                    addresses: attempt.fallback,
                    policy,
                });
            }
        }
    }

    /// Plaintext, where the policy allows it and TLS failed at all hosts.
    async fn fall_back(&self, walk: &Walk<'_>, book: &mut Book<'_>, to: &mut Destination) {
        for offer in &walk.offers {
            if book.is_done() || Instant::now() >= walk.reach_until {
                break;
            }
            self.catch_up(to);
            if to.sts.is_enforced() {
                // What was offered before there was a policy.
                break;
            }
            let standing = Chosen {
                delivery: self,
                sts: &to.sts,
            };
            let chosen = (
                &to.route.hosts[offer.host],
                &offer.addresses[..],
                &offer.policy,
                &standing,
            );
            let mut stop = self.stop(book, &to.route, chosen, walk.reach_until);
            stop.way = Way::PlaintextFallback;
            let attempt = self.attempt(walk, book, &stop).await;
            book.note_reached(attempt.reached);
            book.host_again(attempt.settled, attempt.tried);
        }
    }

    async fn attempt(&self, walk: &Walk<'_>, book: &mut Book<'_>, stop: &Stop<'_>) -> Attempt {
        let mut decided = |at, settled, addresses| book.decided(at, settled, addresses);
        let courier = &self.relay.parts.courier;
        courier
            .attempt(stop, walk.deadlines, walk.no_return, &mut decided)
            .await
    }

    /// Discover and decide: where the host is and what it must prove, unless it is of no use now.
    async fn choose<'h>(
        &self,
        walk: &mut Walk<'_>,
        book: &mut Book<'_>,
        to: &Destination,
        host: &'h RouteHost,
    ) -> Option<(&'h [IpAddr], HostPolicy)> {
        // A host that the policy does not list is as if it were not there, whether it has addresses or not.
        let addresses = match &host.addresses {
            Err(_) if to.sts.forbids(host.host.as_ref()) => &[][..],
            Ok(_) | Err(_) => addresses_of(book, host)?,
        };
        let facts = HostFacts {
            host: host.host.clone(),
            next_hop_expanded: to.route.expanded.clone(),
            trust: to.route.trust(),
            tlsa: self.tlsa(to, host, walk.reach_until).await,
            sts: to.sts.clone(),
        };
        let first = addresses.first();
        let first = first.map(|ip| SocketAddr::new(*ip, to.route.port));
        match for_host(&self.demand, &facts, &self.snapshot.policy) {
            HostVerdict::Use(policy) => {
                self.tell_objections(&policy, host, addresses);
                return Some((addresses, policy));
            }
            HostVerdict::Defer(deferral) => {
                book.host_deferred(host.host.as_ref(), first, &deferral);
            }
            HostVerdict::Skip(deferral) => {
                walk.forbidden = Forbidden::Yes;
                book.host_forbidden(host.host.as_ref(), first, &deferral);
            }
        }
        None
    }

    /// What is only watched would not have used this host.
    fn tell_objections(&self, policy: &HostPolicy, host: &RouteHost, addresses: &[IpAddr]) {
        for objection in &policy.objections {
            let blocked = WouldBlock {
                domain: &policy.subject,
                rule_name: policy.rule_name.as_deref(),
                host: &host_label(host.host.as_ref(), addresses),
                failure: &objection.reason,
            };
            let ledger = &self.relay.parts.ledger;
            ledger.would_defer(objection.purpose, &blocked);
        }
    }

    fn stop<'s>(
        &'s self,
        book: &Book<'s>,
        route: &Route,
        (host, addresses, policy, standing): (
            &'s RouteHost,
            &'s [IpAddr],
            &'s HostPolicy,
            &'s Chosen<'s>,
        ),
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
            settings: self.settings(),
            tls: &self.snapshot.tls,
            next_hop: hasher.finish(),
            may_be_this_host: if bracketed {
                MayBeThisHost::No
            } else {
                MayBeThisHost::Yes
            },
            reach_until,
            way: Way::ByPolicy,
            standing,
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

fn is_blocked_by_sts(settled: &[Settled]) -> bool {
    let by_sts = |block: &PolicyBlock| block.policy == PolicySource::MtaSts;
    settled
        .iter()
        .any(|settled| settled.blocked.as_ref().is_some_and(by_sts))
}
