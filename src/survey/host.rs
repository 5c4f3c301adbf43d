//! One MX host, once for all domains that share it: its addresses, TLSA and CAA records.

use super::Survey;
use super::address::{AddressSeen, Door, Probing, Retry};
use super::record::{Address, Caa, Family, Host, HostTls, Known, Offer, TlsaState, Verification};
use super::words;
use crate::delivery::MayBeThisHost;
use crate::discovery::{ImplicitTls, Route, RouteHost, TlsaSearch};
use crate::names::{DomainName, MxHost, NextHop};
use crate::policy::{
    DaneTrust, Demand, HostFacts, HostPolicy, HostVerdict, Level, PolicySettings, Published, Rules,
    StsFinding, TlsVersion, TlsaFinding, for_host,
};
use futures_util::future::join_all;
use std::net::{IpAddr, SocketAddr};

/// Which host: several names may lead to one address, and a rule to another port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct HostKey {
    name: Option<DomainName>,
    /// Of a host without a name.
    address: Option<IpAddr>,
    port: u16,
    implicit_tls: ImplicitTls,
}

/// What was found out about a host, whoever the mail is for.
#[derive(Debug)]
pub(super) struct HostSeen {
    pub addresses: Vec<AddressSeen>,
    pub tlsa: TlsaSearch,
    /// Without what differs from domain to domain.
    pub told: Host,
}

impl HostSeen {
    /// Octets that it takes, more or less: chains of certificates, and words.
    pub(super) fn weight(&self) -> usize {
        const WORDS: usize = 6 * 1024;
        let sessions = self
            .addresses
            .iter()
            .filter_map(|a| a.visited.session.as_ref());
        let chains = sessions.flat_map(|session| &session.chain);
        WORDS * (1 + self.addresses.len()) + chains.map(|cert| cert.len()).sum::<usize>()
    }
}

impl HostKey {
    pub(super) fn of(route: &Route, host: &RouteHost, addresses: &[IpAddr]) -> Self {
        let name = host.host.as_ref().map(|host| host.0.clone());
        let address = addresses.first().copied().filter(|_| name.is_none());
        Self {
            name,
            address,
            port: route.port,
            implicit_tls: route.implicit_tls,
        }
    }
}

impl Survey {
    pub(super) async fn see_host(
        &self,
        (route, host): (&Route, &RouteHost),
        addresses: &[IpAddr],
        may_be_this_host: MayBeThisHost,
    ) -> HostSeen {
        let tlsa = self.discovery.tlsa(route, host).await;
        let sni = self.sni(host, &tlsa);
        let seen = self.see_addresses((route, host), (addresses, sni.as_ref()), may_be_this_host);
        let (seen, caa) = tokio::join!(seen, self.caa_of(host));
        self.describe_host((route, host), addresses, seen, (tlsa, caa))
            .await
    }

    /// The name that a delivery to the host sends: under DANE that at which the TLSA records are (RFC 7672 §8.1).
    fn sni(&self, host: &RouteHost, tlsa: &TlsaSearch) -> Option<MxHost> {
        match &tlsa.finding {
            TlsaFinding::Usable { base, .. } if self.settings.policy.dane == Published::Honor => {
                Some(MxHost(base.0.clone()))
            }
            TlsaFinding::Usable { .. }
            | TlsaFinding::NotSought
            | TlsaFinding::SecurelyAbsent
            | TlsaFinding::Insecure
            | TlsaFinding::NoneUsable(_)
            | TlsaFinding::LookupFailed(_) => host.host.clone(),
        }
    }

    async fn caa_of(&self, host: &RouteHost) -> Caa {
        match &host.host {
            Some(name) => self.caa(&name.0).await,
            None => Caa::default(),
        }
    }

    pub(super) async fn host_records(&self, route: &Route, host: &RouteHost) -> (TlsaSearch, Caa) {
        tokio::join!(self.discovery.tlsa(route, host), self.caa_of(host))
    }

    /// Without what was seen, the addresses are told all the same.
    pub(super) async fn describe_host(
        &self,
        (route, host): (&Route, &RouteHost),
        addresses: &[IpAddr],
        seen: Vec<AddressSeen>,
        (tlsa, caa): (TlsaSearch, Caa),
    ) -> HostSeen {
        let addresses: Vec<Address> = match seen.as_slice() {
            [] => addresses.iter().map(|ip| unvisited(*ip)).collect(),
            seen => seen.iter().map(|seen| seen.told.clone()).collect(),
        };
        let mut told = Host {
            name: host
                .host
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            alias_of: alias(host),
            dnssec: words::proof(host.proof),
            tls: tls_of(&addresses),
            ipv4: family(&addresses, Family::Ipv4),
            ipv6: family(&addresses, Family::Ipv6),
            caa,
            sts_certificate: match valid(&addresses) {
                // Another name was sent than MTA-STS has senders send (RFC 8461 §7.1).
                Known::No if self.sni(host, &tlsa) != host.host => Known::NotTested,
                known @ (Known::Yes | Known::No | Known::Unknown | Known::NotTested) => known,
            },
            addresses,
            ..Host::default()
        };
        told.tlsa = self.describe_tlsa(&tlsa, route.port, &seen);
        if told.tlsa.state == TlsaState::Insecure {
            self.unheeded_tlsa(host, route.port, &mut told.tlsa).await;
        }
        HostSeen {
            addresses: seen,
            tlsa,
            told,
        }
    }

    async fn see_addresses(
        &self,
        (route, host): (&Route, &RouteHost),
        (addresses, sni): (&[IpAddr], Option<&MxHost>),
        may_be_this_host: MayBeThisHost,
    ) -> Vec<AddressSeen> {
        let Some(policy) = bare_policy(host.host.as_ref()) else {
            return Vec::new();
        };
        let probes = addresses.iter().map(|ip| {
            let probing = Probing {
                survey: self,
                name: host.host.as_ref(),
                door: Door {
                    host: sni,
                    address: SocketAddr::new(*ip, route.port),
                    implicit_tls: route.implicit_tls,
                    may_be_this_host,
                },
                policy: &policy,
                connections: 0,
                retry: Retry::Once,
            };
            probing.run()
        });
        let mut seen = join_all(probes).await;
        seen.sort_by_key(|seen| seen.address);
        seen
    }
}

fn unvisited(ip: IpAddr) -> Address {
    Address {
        address: ip.to_string(),
        family: match ip {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        },
        ..Address::default()
    }
}

/// The policy that takes whatever there is and looks at everything.
fn bare_policy(host: Option<&MxHost>) -> Option<HostPolicy> {
    let hop = match host {
        Some(host) => NextHop::Domain(host.0.clone()),
        None => NextHop::Literal(IpAddr::from([0, 0, 0, 0])),
    };
    let demand = Demand {
        recipient_domain: host.map(|host| host.0.clone()),
        next_hop: hop,
        published: Published::Ignore,
    };
    let facts = HostFacts {
        host: host.cloned(),
        next_hop_expanded: None,
        trust: DaneTrust::Half,
        tlsa: TlsaFinding::NotSought,
        sts: StsFinding::NotSought,
    };
    let settings = PolicySettings {
        rules: Rules::default(),
        default: Level::May,
        min_version: TlsVersion::V1_2,
        dane: Published::Ignore,
        mta_sts: Published::Ignore,
    };
    match for_host(&demand, &facts, &settings) {
        HostVerdict::Use(policy) => Some(policy),
        HostVerdict::Defer(_) | HostVerdict::Skip(_) => None,
    }
}

fn alias(host: &RouteHost) -> Option<String> {
    let canonical = host.canonical.as_ref()?;
    let name = &host.host.as_ref()?.0;
    (canonical != name).then(|| canonical.to_string())
}

/// The worst of those that could be tested.
fn tls_of(addresses: &[Address]) -> HostTls {
    let all = addresses.iter().map(|address| match address.starttls {
        Offer::Offered if address.tls.is_some() => HostTls::Works,
        Offer::Offered => HostTls::Broken,
        Offer::NotOffered | Offer::Refused => HostTls::NotOffered,
        Offer::Unknown => HostTls::CouldNotTest,
    });
    let tested = all.filter(|tls| *tls != HostTls::CouldNotTest);
    tested.max().unwrap_or(HostTls::CouldNotTest)
}

fn family(addresses: &[Address], family: Family) -> Known {
    Known::from(addresses.iter().any(|address| address.family == family))
}

/// Whether every certificate that was shown is valid for the host.
fn valid(addresses: &[Address]) -> Known {
    let certificates = addresses.iter().filter_map(|a| a.certificate.as_ref());
    let mut seen = certificates.map(|c| c.verification == Verification::Valid);
    match seen.next() {
        None => Known::NotTested,
        Some(first) => Known::from(first && seen.all(|valid| valid)),
    }
}
