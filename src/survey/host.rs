//! One MX host, once for all domains that share it: its addresses, TLSA and CAA records.

use super::Survey;
use super::address::{AddressSeen, Door, Probing, Retry};
use super::record::{
    Address, Caa, Family, Host, HostTls, Known, Offer, Tlsa, TlsaEntry, TlsaMatch, TlsaState,
    TlsaWorth, Verification,
};
use super::words;
use crate::clock;
use crate::dane::{Assessment, Tlsa as TlsaRecord, Usage, assess};
use crate::delivery::MayBeThisHost;
use crate::discovery::{ImplicitTls, Route, RouteHost, TlsaSearch};
use crate::dns::Existence;
use crate::names::{DomainName, MxHost, NextHop, TlsaBaseDomain};
use crate::policy::{
    DaneRequirement, DaneTrust, Demand, HostFacts, HostPolicy, HostVerdict, Level, PolicySettings,
    Published, Rules, StsFinding, TlsVersion, TlsaFinding, for_host,
};
use crate::tls::DaneMatch;
use futures_util::future::join_all;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

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
        let seen = self.see_addresses((route, host), addresses, may_be_this_host);
        let (seen, published) = tokio::join!(seen, self.host_records(route, host));
        self.describe_host((route, host), addresses, seen, published)
            .await
    }

    pub(super) async fn host_records(&self, route: &Route, host: &RouteHost) -> (TlsaSearch, Caa) {
        let caa = async {
            match &host.host {
                Some(name) => self.caa(&name.0).await,
                None => Caa::default(),
            }
        };
        tokio::join!(self.discovery.tlsa(route, host), caa)
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
            sts_certificate: valid(&addresses),
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
        addresses: &[IpAddr],
        may_be_this_host: MayBeThisHost,
    ) -> Vec<AddressSeen> {
        let Some(policy) = bare_policy(host.host.as_ref()) else {
            return Vec::new();
        };
        let probes = addresses.iter().map(|ip| {
            let probing = Probing {
                survey: self,
                door: Door {
                    host: host.host.as_ref(),
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

    fn describe_tlsa(&self, search: &TlsaSearch, port: u16, seen: &[AddressSeen]) -> Tlsa {
        let asked = search.asked.last();
        let mut told = Tlsa {
            state: tlsa_state(&search.finding),
            at: asked.map(|asked| format!("_{port}._tcp.{}", asked.base)),
            ..Tlsa::default()
        };
        if let TlsaFinding::LookupFailed(failure) = &search.finding {
            told.failure = Some(words::line(&failure.to_string()));
        }
        if let Some(Ok(answer)) = asked.map(|asked| &asked.answer) {
            let worth = assess(&answer.records);
            let records = answer.records.iter().zip(&worth);
            told.records = records
                .map(|(rdata, worth)| entry(rdata.to_string(), worth))
                .collect();
            self.match_tlsa(&search.finding, &worth, seen, &mut told);
        }
        told
    }

    /// What the records that count have to do with the chains that were seen.
    fn match_tlsa(
        &self,
        finding: &TlsaFinding,
        worth: &[Assessment],
        seen: &[AddressSeen],
        told: &mut Tlsa,
    ) {
        let TlsaFinding::Usable { base, records } = finding else {
            return;
        };
        told.rollover = Known::from(can_roll(records.records()));
        let requirement = DaneRequirement {
            base: base.clone(),
            records: records.clone(),
            names: Arc::from([base.0.clone()]),
            trust: DaneTrust::Full,
        };
        let now = clock::now();
        let sessions = seen.iter().filter_map(|seen| seen.visited.session.as_ref());
        let explained: Vec<Vec<DaneMatch>> = sessions
            .map(|session| self.tls.explain_dane(&requirement, session, now))
            .collect();
        if explained.is_empty() {
            return;
        }
        let satisfied = |found: &Vec<DaneMatch>| found.iter().any(|one| one.verdict.is_ok());
        told.matching = Known::from(explained.iter().all(satisfied));
        for (entry, worth) in told.records.iter_mut().zip(worth) {
            if let Assessment::Counts(record) = worth {
                let of_it = explained
                    .iter()
                    .flatten()
                    .filter(|one| one.record == *record);
                compare(entry, of_it);
            }
        }
    }

    /// Records that are published where nobody heeds them: somebody believes to have DANE.
    async fn unheeded_tlsa(&self, host: &RouteHost, port: u16, told: &mut Tlsa) {
        if self.dns.is_plain() || told.at.is_some() && !told.records.is_empty() {
            if !told.records.is_empty() {
                told.state = TlsaState::PublishedInsecure;
            }
            return;
        }
        let Some(name) = &host.host else {
            return;
        };
        let base = TlsaBaseDomain(name.0.clone());
        let Ok(answer) = self.dns.tlsa(&base, port).await else {
            return;
        };
        if answer.existence == Existence::Present {
            told.state = TlsaState::PublishedInsecure;
            told.at = Some(format!("_{port}._tcp.{base}"));
            let worth = assess(&answer.records);
            let records = answer.records.iter().zip(&worth);
            told.records = records
                .map(|(rdata, worth)| entry(rdata.to_string(), worth))
                .collect();
        }
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

fn tlsa_state(finding: &TlsaFinding) -> TlsaState {
    match finding {
        TlsaFinding::NotSought => TlsaState::NotTested,
        TlsaFinding::SecurelyAbsent => TlsaState::Absent,
        TlsaFinding::Insecure => TlsaState::Insecure,
        TlsaFinding::Usable { .. } => TlsaState::Usable,
        TlsaFinding::NoneUsable(_) => TlsaState::NoneUsable,
        TlsaFinding::LookupFailed(failure) => match failure {
            crate::policy::TlsaFailure::Bogus(_) => TlsaState::Bogus,
            crate::policy::TlsaFailure::NoAnswer(_) => TlsaState::LookupFailed,
        },
    }
}

fn entry(record: String, worth: &Assessment) -> TlsaEntry {
    let (worth, reason) = match worth {
        Assessment::Counts(_) => (TlsaWorth::Usable, None),
        Assessment::Outranked(_) => {
            let reason = "a stronger digest is published".to_owned();
            (TlsaWorth::Outranked, Some(reason))
        }
        Assessment::Unusable(why) => (TlsaWorth::Unusable, Some(why.to_string())),
    };
    TlsaEntry {
        record,
        worth,
        matches: TlsaMatch::NotTested,
        reason,
    }
}

fn compare<'a>(entry: &mut TlsaEntry, found: impl Iterator<Item = &'a DaneMatch>) {
    let (mut all, mut some) = (true, false);
    for one in found {
        match &one.verdict {
            Ok(()) => some = true,
            Err(problem) => {
                all = false;
                entry.reason = Some(words::line(&problem.to_string()));
            }
        }
    }
    entry.matches = match (some, all) {
        (true, true) => TlsaMatch::Yes,
        (true, false) => TlsaMatch::Partly,
        (false, _) => TlsaMatch::No,
    };
}

/// Internet.nl's test: two records of usage 3, or one of them and an anchor.
fn can_roll(records: &[TlsaRecord]) -> bool {
    let of = |usage| {
        records
            .iter()
            .filter(|record| record.usage == usage)
            .count()
    };
    let (ends, anchors) = (of(Usage::EndEntity), of(Usage::TrustAnchor));
    ends >= 2 || (ends == 1 && anchors >= 1)
}
