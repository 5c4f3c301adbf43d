//! What a destination publishes, as far as it may matter to one group: its route, its MTA-STS policy, and the TLSA
//! records of a host.

use super::book::Book;
use super::spine::Delivery;
use crate::delivery::{Standing, say};
use crate::discovery::{Newer, Route, RouteFailure, RouteHost};
use crate::mta_sts::Mode;
use crate::policy::{
    OnFailure, PolicySource, SeekTlsa, StsFinding, TlsaFailure, TlsaFinding, seek_sts, seek_tlsa,
};
use crate::smtp::reply::Reply;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long mail waits for TLSA records that only a rule in dry-run wants.
const RECORD_PATIENCE: Duration = Duration::from_secs(2);

/// How long a failure under a policy that is remembered waits for a newer one: it is only a deferral, unless a rule
/// makes it final (RFC 8461 §5.1).
const DEFERRAL_PATIENCE: Duration = Duration::from_secs(3);
const FINAL_PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no route, as it is told.
enum NoRoute {
    OfDomain(Reply),
    /// It has MX hosts, and none of them will do.
    OfHosts(Reply),
}

/// By what a host was chosen.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) sts: &'a StsFinding,
}

impl Standing for Chosen<'_> {
    fn stands(&self) -> bool {
        self.delivery.late_policy(self.sts).is_none()
    }
}

/// Where the mail of a group may go, and what its policy domain says of that.
pub(super) struct Destination {
    pub(super) route: Route,
    pub(super) sts: StsFinding,
}

impl Delivery {
    /// Both at the same time. Where the domain itself has no route nobody waits for the policy.
    pub(super) async fn discover(
        &self,
        book: &mut Book<'_>,
        until: Instant,
    ) -> Option<Destination> {
        let route = pin!(self.route(until));
        let mut sts = pin!(self.sts(until));
        let (route, known) = match select(route, sts.as_mut()).await {
            Either::Left((route, _)) => (route, None),
            Either::Right((sts, route)) => (route.await, Some(sts)),
        };
        if let Err(NoRoute::OfDomain(reply)) = &route {
            book.close(reply);
            return None;
        }
        let sts = match known {
            Some(sts) => sts,
            None => sts.await,
        };
        match route {
            Ok(route) => return Some(Destination { route, sts }),
            // Hosts that the policy may not list, or whoever put them there, return no mail.
            Err(NoRoute::OfHosts(reply)) if sts.is_enforced() || sts.is_uncertain() => {
                book.close(&say::softened(reply));
            }
            Err(NoRoute::OfHosts(reply) | NoRoute::OfDomain(reply)) => book.close(&reply),
        }
        None
    }

    /// Discover: the route, or the reply that there is none.
    async fn route(&self, until: Instant) -> Result<Route, NoRoute> {
        let parts = &self.relay.parts;
        let started = Instant::now();
        let asked = parts
            .discovery
            .route(&self.demand.next_hop, &self.snapshot.discovery);
        let found = match timeout_at(until, asked).await {
            Ok(found) => found,
            Err(_) => {
                let reply = say::dns_timeout(&self.demand.next_hop);
                return Err(NoRoute::OfDomain(reply));
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
        found.map_err(|failure| {
            let reply = say::no_route(&failure, hop);
            match failure {
                RouteFailure::NoHostHasAddress(_)
                | RouteFailure::ThisHost(_)
                | RouteFailure::OnlyBlocked(_)
                | RouteFailure::FamilyNotUsed(_) => NoRoute::OfHosts(reply),
                RouteFailure::NoSuchDomain(_)
                | RouteFailure::NeitherMxNorAddress(_)
                | RouteFailure::NullMx(_)
                | RouteFailure::Dns { .. } => NoRoute::OfDomain(reply),
            }
        })
    }

    /// The policy domain's MTA-STS policy, where it may matter.
    async fn sts(&self, until: Instant) -> StsFinding {
        let Some(domain) = seek_sts(&self.demand, &self.snapshot.policy) else {
            return StsFinding::NotSought;
        };
        let parts = &self.relay.parts;
        let started = Instant::now();
        // Whatever is waited for it, there is time left to reach a host.
        let patience = until.saturating_duration_since(started) / 2;
        let found = parts.sts.find(&domain, started + patience).await;
        let label = found.source.label();
        parts
            .ledger
            .policy_lookup(PolicySource::MtaSts, label, started.elapsed());
        found.finding
    }

    /// What a fetch has brought since the first contact went on without a policy: it is in force at once.
    pub(super) fn catch_up(&self, destination: &mut Destination) {
        if let Some(late) = self.late_policy(&destination.sts) {
            destination.sts = late;
        }
    }

    /// An enforced policy that has come into force since something weaker was found out.
    fn late_policy(&self, found: &StsFinding) -> Option<StsFinding> {
        match found {
            StsFinding::NoPolicy => {}
            // A list's, or one that its own domain has replaced meanwhile.
            StsFinding::Policy(policy) if policy.mode != Mode::Enforce => {}
            StsFinding::Policy(_)
            | StsFinding::NotSought
            | StsFinding::Bogus(_)
            | StsFinding::Unknown(_) => return None,
        }
        let domain = seek_sts(&self.demand, &self.snapshot.policy)?;
        let found = self.relay.parts.sts.in_force(&domain)?;
        Some(found.finding).filter(StsFinding::is_enforced)
    }

    /// Whether there is another policy than the one that is about to hold mail back.
    pub(super) async fn newer_policy(&self, destination: &Destination, until: Instant) -> Newer {
        let policy = &self.snapshot.policy;
        let Some(domain) = seek_sts(&self.demand, policy) else {
            return Newer::Same;
        };
        let rule = policy.rules.for_demand(&self.demand);
        let patience = match rule.map(|rule| rule.on_failure) {
            Some(OnFailure::Reject) => FINAL_PATIENCE,
            Some(OnFailure::Defer) | None => DEFERRAL_PATIENCE,
        };
        let until = until.min(Instant::now() + patience);
        let sts = &self.relay.parts.sts;
        sts.newer(&domain, &destination.sts, until).await
    }

    /// Discover: the host's TLSA records, where they may matter.
    pub(super) async fn tlsa(
        &self,
        to: &Destination,
        host: &RouteHost,
        until: Instant,
    ) -> TlsaFinding {
        // What does not matter is not asked for: its failure would be told in place of the reason.
        if to.sts.forbids(host.host.as_ref()) || to.sts.is_uncertain() {
            return TlsaFinding::NotSought;
        }
        let until = match seek_tlsa(&self.demand, &self.snapshot.policy) {
            SeekTlsa::No => return TlsaFinding::NotSought,
            SeekTlsa::ForTheRecord => until.min(Instant::now() + RECORD_PATIENCE),
            SeekTlsa::Yes => until,
        };
        let parts = &self.relay.parts;
        let started = Instant::now();
        let finding = match timeout_at(until, parts.discovery.tlsa(&to.route, host)).await {
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
}
