//! From a next hop to hosts with addresses (RFC 5321 §5).

use super::addresses::{Addresses, is_blocked, is_used};
use super::mx::{self, Candidate, Published};
use super::this_host::{Interfaces, ThisHost};
use super::{DiscoverySettings, HostFailure, ImplicitTls, Route, RouteFailure, RouteHost, host};
use crate::dns::{Answer, Dns, Existence, Family, MxRecord, Proof};
use crate::names::{DomainName, MxHost, NextHop, RuleTarget};
use futures_util::future::join_all;
use std::net::IpAddr;
use std::sync::Arc;

/// MX hosts considered of one domain, the best ones: strangers may publish hundreds.
pub(super) const MAX_HOSTS: usize = 20;

/// Finds out where mail for a next hop can go; cheap to clone.
#[derive(Clone, Debug)]
pub struct Discovery {
    pub(super) dns: Dns,
    interfaces: Arc<Interfaces>,
}

/// Where the hosts of a domain come from; what their absence is called depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Mx,
    /// No MX record: the domain itself is the host (RFC 5321 §5.1).
    Implicit,
}

/// A host that has been looked up.
struct Resolved {
    candidate: Candidate,
    found: Result<Addresses, HostFailure>,
}

impl Discovery {
    pub fn new(dns: Dns) -> Self {
        Self::on(dns, Interfaces::of_machine())
    }

    /// For somebody else who will connect: no host is this machine.
    #[must_use]
    pub fn for_others(&self) -> Self {
        Self::on(self.dns.clone(), Interfaces::read_by(|| None))
    }

    /// On a machine with these interfaces.
    pub(super) fn on(dns: Dns, interfaces: Interfaces) -> Self {
        Self {
            dns,
            interfaces: Arc::new(interfaces),
        }
    }

    /// The hosts for a next hop, in the order in which they are to be tried; a new order each time.
    ///
    /// A host whose addresses could not be looked up is part of the route with its failure, so a route
    /// fails for good only on what is proven.
    pub async fn route(
        &self,
        hop: &NextHop,
        settings: &DiscoverySettings,
    ) -> Result<Route, RouteFailure> {
        let bracketed = |hosts, port| Route {
            hosts,
            port,
            implicit_tls: ImplicitTls::No,
            mx_proof: Proof::Secure,
            expanded: None,
        };
        match hop {
            NextHop::Domain(domain) => self.of_domain(domain, settings.port, settings).await,
            NextHop::Literal(ip) => {
                let host = self.literal(*ip, settings)?;
                Ok(bracketed(vec![host], settings.port))
            }
            NextHop::Rule(rule) => {
                let port = rule.port.unwrap_or(settings.port);
                let mut route = match &rule.target {
                    RuleTarget::Mx(domain) => self.of_domain(domain, port, settings).await?,
                    RuleTarget::Host(host) => {
                        bracketed(vec![self.named(host, settings).await?], port)
                    }
                    RuleTarget::Address(ip) => bracketed(vec![at_address(*ip)], port),
                };
                if rule.is_implicit_tls() {
                    route.implicit_tls = ImplicitTls::Yes;
                }
                Ok(route)
            }
        }
    }

    /// Makes the lookups of [`Self::route`], so that it will find them done.
    pub async fn warm(&self, hop: &NextHop, settings: &DiscoverySettings) {
        // Only the caches matter; the route will say what is wrong.
        let _ = self.route(hop, settings).await;
    }

    /// The MX hosts of a domain, or the domain itself.
    async fn of_domain(
        &self,
        domain: &DomainName,
        port: u16,
        settings: &DiscoverySettings,
    ) -> Result<Route, RouteFailure> {
        let (candidates, origin, answer) = self.candidates(domain).await?;
        let mut ordered = mx::order(candidates, &mut fastrand::Rng::new());
        // Another port is another service, even on this machine.
        let this_host = (port == settings.port).then(|| self.this_host(settings));
        if let Some(ours) = &this_host {
            ordered = mx::cut(ordered, |c| c.preference, |c| ours.is_named(&c.host));
        }
        ordered.truncate(MAX_HOSTS);
        let mut resolved = self.resolve(ordered, settings).await;
        if let Some(ours) = &this_host {
            resolved = mx::cut(resolved, |r| r.candidate.preference, |r| r.is_at(ours));
        }
        if resolved.is_empty() {
            return Err(RouteFailure::ThisHost(domain.to_string()));
        }
        let hosts: Vec<RouteHost> = resolved
            .into_iter()
            .map(|resolved| resolved.into_host(settings))
            .collect();
        refuse_if_proven(&hosts, domain, origin)?;
        Ok(Route {
            hosts,
            port,
            implicit_tls: ImplicitTls::No,
            mx_proof: answer.proof,
            expanded: (answer.proof == Proof::Secure && answer.canonical != *domain)
                .then(|| answer.canonical.clone()),
        })
    }

    /// Only NODATA lets the domain stand for itself; a failed lookup never does.
    async fn candidates(
        &self,
        domain: &DomainName,
    ) -> Result<(Vec<Candidate>, Origin, Arc<Answer<MxRecord>>), RouteFailure> {
        let answer = self
            .dns
            .mx(domain)
            .await
            .map_err(|failure| RouteFailure::Dns {
                name: domain.clone(),
                failure,
            })?;
        match answer.existence {
            Existence::NxDomain => Err(RouteFailure::NoSuchDomain(domain.clone())),
            Existence::NoData => {
                let itself = Candidate {
                    preference: 0,
                    host: domain.clone(),
                };
                Ok((vec![itself], Origin::Implicit, answer))
            }
            Existence::Present => match mx::published(&answer.records) {
                Published::NullMx => Err(RouteFailure::NullMx(domain.clone())),
                Published::NoHost => Err(RouteFailure::NoHostHasAddress(domain.clone())),
                Published::Hosts(hosts) => Ok((hosts, Origin::Mx, answer)),
            },
        }
    }

    async fn resolve(
        &self,
        candidates: Vec<Candidate>,
        settings: &DiscoverySettings,
    ) -> Vec<Resolved> {
        let lookups = candidates.into_iter().map(async |candidate| {
            let preference = settings.address_preference;
            let found = host::look_up(&self.dns, &candidate.host, preference).await;
            Resolved { candidate, found }
        });
        join_all(lookups).await
    }

    /// The host of a rule's `[host]`: the administrator's own word, so neither blocked networks nor the
    /// search for this host apply.
    async fn named(
        &self,
        name: &DomainName,
        settings: &DiscoverySettings,
    ) -> Result<RouteHost, RouteFailure> {
        let found = host::look_up(&self.dns, name, settings.address_preference).await;
        let candidate = Candidate {
            preference: 0,
            host: name.clone(),
        };
        let host = Resolved { candidate, found }.into_host_unfiltered(settings);
        refuse_if_proven(std::slice::from_ref(&host), name, Origin::Mx)?;
        Ok(host)
    }

    fn literal(&self, ip: IpAddr, settings: &DiscoverySettings) -> Result<RouteHost, RouteFailure> {
        let ip = ip.to_canonical();
        let written = format!("[{ip}]");
        if is_blocked(ip, &settings.blocked_networks) {
            return Err(RouteFailure::OnlyBlocked(written));
        }
        if self.this_host(settings).has(&ip) {
            return Err(RouteFailure::ThisHost(written));
        }
        if !is_used(Family::of(ip), settings.address_preference) {
            return Err(RouteFailure::FamilyNotUsed(written));
        }
        Ok(at_address(ip))
    }

    fn this_host<'a>(&self, settings: &'a DiscoverySettings) -> ThisHost<'a> {
        ThisHost {
            settings,
            interfaces: self.interfaces.addresses(),
        }
    }
}

impl Resolved {
    fn is_at(&self, ours: &ThisHost<'_>) -> bool {
        self.found
            .as_ref()
            .is_ok_and(|found| ours.is_named(&found.canonical) || found.any(|ip| ours.has(ip)))
    }

    fn into_host(mut self, settings: &DiscoverySettings) -> RouteHost {
        self.found = self
            .found
            .and_then(|found| found.without(&settings.blocked_networks));
        self.into_host_unfiltered(settings)
    }

    fn into_host_unfiltered(self, settings: &DiscoverySettings) -> RouteHost {
        let canonical = self
            .found
            .as_ref()
            .ok()
            .map(|found| found.canonical.clone());
        let proof = self
            .found
            .as_ref()
            .map_or(Proof::Insecure, |found| found.proof);
        let first_alias = self.found.as_ref().ok().and_then(|found| found.first_alias);
        let preference = settings.address_preference;
        RouteHost {
            host: Some(MxHost(self.candidate.host)),
            canonical,
            proof,
            first_alias,
            addresses: self
                .found
                .map(|found| found.arranged(preference, &mut fastrand::Rng::new())),
        }
    }
}

fn at_address(ip: IpAddr) -> RouteHost {
    RouteHost {
        host: None,
        canonical: None,
        proof: Proof::Insecure,
        first_alias: None,
        addresses: Ok(vec![ip]),
    }
}

/// Fails if no host can ever be reached. One that may only have been unlucky keeps the route alive.
fn refuse_if_proven(
    hosts: &[RouteHost],
    domain: &DomainName,
    origin: Origin,
) -> Result<(), RouteFailure> {
    let mut failure = match origin {
        Origin::Mx => RouteFailure::NoHostHasAddress(domain.clone()),
        Origin::Implicit => RouteFailure::NeitherMxNorAddress(domain.clone()),
    };
    for host in hosts {
        match &host.addresses {
            Ok(_) | Err(HostFailure::Lookup(_)) => return Ok(()),
            Err(HostFailure::NoAddress) => {}
            Err(HostFailure::OnlyBlocked) => {
                if !matches!(failure, RouteFailure::FamilyNotUsed(_)) {
                    failure = RouteFailure::OnlyBlocked(domain.to_string());
                }
            }
            Err(HostFailure::FamilyNotUsed) => {
                failure = RouteFailure::FamilyNotUsed(domain.to_string());
            }
        }
    }
    Err(failure)
}
