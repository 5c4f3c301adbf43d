//! Finds out what an answer is made of: the same discovery as for a delivery, but by the eyes of a client that routes
//! and connects itself.

use super::answer::{Question, Reports, answer, hosts_matter};
use super::key::Asked;
use super::reply::Answer;
use crate::discovery::{
    AddressPreference, Discovery, DiscoverySettings, HostFailure, Route, RouteFailure, RouteHost,
    Sts, tlsa_failure,
};
use crate::ledger::Ledger;
use crate::names::{NextHop, RuleNextHop, RuleTarget};
use crate::policy::{
    DaneTrust, Demand, HostFacts, PolicySettings, PolicySource, Published, Rules, StsFinding,
    TlsaFinding, seek_sts,
};
use crate::relay::{Relay, Snapshot};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// For one answer in all; Postfix waits 100 s, and meanwhile delivers nothing else with that process.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);
/// Answers that are being found out at the same time; more wait.
const MAX_LOOKUPS: usize = 200;

/// Where answers come from. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    relay: Relay,
    discovery: Discovery,
    sts: Sts,
    ledger: Ledger,
    room: Arc<Semaphore>,
}

impl Lookup {
    pub(super) fn new(relay: Relay, (discovery, sts): (&Discovery, Sts), ledger: Ledger) -> Self {
        Self {
            relay,
            // Which host is the client itself is for the client to know.
            discovery: discovery.for_others(),
            sts,
            ledger,
            room: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }

    /// The answer for a key; bounded in time.
    pub(super) async fn answer(&self, key: &[u8], reports: Reports) -> Answer {
        match timeout(LOOKUP_TIMEOUT, self.look_up(key, reports)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Temporary(format!(
                "the policy could not be found out within {} s",
                LOOKUP_TIMEOUT.as_secs()
            )),
        }
    }

    async fn look_up(&self, key: &[u8], reports: Reports) -> Answer {
        let hop = match Asked::read(key) {
            Asked::Nothing => return Answer::NotFound,
            Asked::UnknownPort(port) => {
                return Answer::Temporary(format!("which port is {port}? write its number"));
            }
            Asked::Unreadable => None,
            Asked::NextHop(hop) => Some(hop),
        };
        // Never closed.
        let _room = self.room.acquire().await;
        let snapshot = self.relay.snapshot_in_force();
        let (demand, own) = demand(hop, &snapshot.policy);
        let policy = own.as_ref().unwrap_or(&snapshot.policy);
        let Some(demand) = demand else {
            return floor_alone(policy, reports);
        };
        let (hosts, sts) = tokio::join!(
            self.hosts(&demand, policy, &snapshot),
            self.sts(&demand, policy)
        );
        match hosts {
            Err(reason) => Answer::Temporary(reason),
            Ok(hosts) => answer(&Question {
                demand: &demand,
                policy,
                hosts: &hosts,
                sts: &sts,
                reports,
            }),
        }
    }

    async fn sts(&self, demand: &Demand, policy: &PolicySettings) -> StsFinding {
        let Some(domain) = seek_sts(demand, policy) else {
            return StsFinding::NotSought;
        };
        let started = Instant::now();
        let found = self.sts.find(&domain, started + LOOKUP_TIMEOUT / 2).await;
        let label = found.source.label();
        let elapsed = started.elapsed();
        self.ledger
            .policy_lookup(PolicySource::MtaSts, label, elapsed);
        found.finding
    }

    /// What is known of every MX host, if it matters; no host where there is proof that there is none. An error is
    /// that it could not be found out.
    async fn hosts(
        &self,
        demand: &Demand,
        policy: &PolicySettings,
        snapshot: &Snapshot,
    ) -> Result<Vec<HostFacts>, String> {
        if !hosts_matter(demand, policy) {
            return Ok(vec![nobody_looked()]);
        }
        if matches!(&demand.next_hop, NextHop::Literal(_)) {
            return Ok(vec![nobody_looked()]);
        }
        let settings = for_a_client(snapshot);
        match self.discovery.route(&demand.next_hop, &settings).await {
            Ok(route) => {
                let hosts = route.hosts.iter().map(|host| self.host(&route, host));
                Ok(join_all(hosts).await.into_iter().flatten().collect())
            }
            Err(failure @ RouteFailure::Dns { .. }) => Err(failure.to_string()),
            // Postfix will find that out, and say so to the sender.
            Err(
                RouteFailure::NoSuchDomain(_)
                | RouteFailure::NeitherMxNorAddress(_)
                | RouteFailure::NoHostHasAddress(_)
                | RouteFailure::NullMx(_)
                | RouteFailure::ThisHost(_)
                | RouteFailure::OnlyBlocked(_)
                | RouteFailure::FamilyNotUsed(_),
            ) => Ok(Vec::new()),
        }
    }

    /// `None` for a host that certainly has no address.
    async fn host(&self, route: &Route, host: &RouteHost) -> Option<HostFacts> {
        let tlsa = match &host.addresses {
            Err(HostFailure::NoAddress) => return None,
            // It may have TLSA records by the time that Postfix finds its address.
            Err(HostFailure::Lookup(failure)) => {
                TlsaFinding::LookupFailed(tlsa_failure("its addresses", failure))
            }
            Ok(_) | Err(HostFailure::OnlyBlocked | HostFailure::FamilyNotUsed) => {
                let started = Instant::now();
                let search = self.discovery.tlsa(route, host).await;
                if search.finding != TlsaFinding::NotSought {
                    let elapsed = started.elapsed();
                    let label = search.finding.label();
                    self.ledger
                        .policy_lookup(PolicySource::Dane, label, elapsed);
                }
                search.finding
            }
        };
        Some(HostFacts {
            host: host.host.clone(),
            next_hop_expanded: route.expanded.clone(),
            trust: route.trust(),
            tlsa,
            sts: StsFinding::NotSought,
        })
    }
}

/// Whose mail it is, and the rule that the key itself has, if it has one, in place of all others. A `next_hop` of a
/// rule means nothing here: Postfix has routed already. No demand for a key that cannot be read.
fn demand(
    hop: Option<RuleNextHop>,
    policy: &PolicySettings,
) -> (Option<Demand>, Option<PolicySettings>) {
    let Some(hop) = hop else { return (None, None) };
    let (recipient_domain, next_hop) = match &hop.target {
        RuleTarget::Address(ip) => (None, NextHop::Literal(*ip)),
        RuleTarget::Mx(domain) if hop.port.is_none() => {
            (Some(domain.clone()), NextHop::Domain(domain.clone()))
        }
        RuleTarget::Mx(domain) | RuleTarget::Host(domain) => {
            (Some(domain.clone()), NextHop::Rule(hop.clone()))
        }
    };
    let own = policy.rules.for_next_hop(&hop).map(|rule| {
        let mut rules = Rules::default();
        // There is no other in it to contradict.
        let _ = match (&recipient_domain, &next_hop) {
            (Some(domain), _) => rules.add_exact(domain.clone(), Arc::clone(rule)),
            (None, NextHop::Literal(ip)) => rules.add_literal(*ip, Arc::clone(rule)),
            (None, NextHop::Domain(_) | NextHop::Rule(_)) => Ok(()),
        };
        PolicySettings { rules, ..*policy }
    });
    let demand = Demand {
        recipient_domain,
        next_hop,
        published: Published::Honor,
    };
    (Some(demand), own)
}

/// For a key that names nothing that could be looked up.
fn floor_alone(policy: &PolicySettings, reports: Reports) -> Answer {
    let demand = Demand {
        recipient_domain: None,
        next_hop: NextHop::Literal(std::net::Ipv4Addr::UNSPECIFIED.into()),
        published: Published::Ignore,
    };
    answer(&Question {
        demand: &demand,
        policy,
        hosts: &[nobody_looked()],
        sts: &StsFinding::NotSought,
        reports,
    })
}

fn nobody_looked() -> HostFacts {
    HostFacts {
        host: None,
        next_hop_expanded: None,
        trust: DaneTrust::Half,
        tlsa: TlsaFinding::NotSought,
        sts: StsFinding::NotSought,
    }
}

/// Postfix has its own idea of which hosts are this machine, and of which addresses it connects to: all are looked at.
fn for_a_client(snapshot: &Snapshot) -> DiscoverySettings {
    DiscoverySettings {
        own_names: Vec::new(),
        nat_addresses: Vec::new(),
        port: snapshot.discovery.port,
        blocked_networks: Vec::new(),
        address_preference: AddressPreference::Any,
    }
}
