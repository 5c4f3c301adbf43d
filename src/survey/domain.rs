//! One domain: where its mail goes, what was found out about the hosts, and what Sealpost would do.

use super::Survey;
use super::findings::findings;
use super::host::{HostKey, HostSeen};
use super::input::Target;
use super::judge::Judge;
use super::record::{
    Class, Dnssec, FORMAT, Flow, Host, HostTls, Known, MxFacts, MxState, Record, Sts, StsMode,
    Verdict,
};
use super::words::{self, line};
use crate::clock;
use crate::delivery::{MayBeThisHost, say};
use crate::discovery::{HostFailure, Route, RouteFailure, RouteHost};
use crate::mta_sts::Mode;
use crate::names::{DomainName, NextHop, PolicyDomain, RuleTarget};
use crate::policy::{Demand, Published, StsFinding, seek_sts};
use crate::smtp::address::MailDomain;
use futures_util::future::join_all;
use std::sync::Arc;
use tokio::time::Instant;

/// A host of the route, with what was seen of it; `None`: it has no address.
type Met<'a> = (&'a RouteHost, Option<Arc<HostSeen>>);

impl Survey {
    /// Everything about one domain.
    pub async fn domain(&self, target: &Target) -> Record {
        let policy_domain = PolicyDomain(target.domain.clone());
        self.record(target, self.mta_sts(&policy_domain)).await
    }

    pub(super) async fn record(
        &self,
        target: &Target,
        mta_sts: impl Future<Output = (StsFinding, Sts)>,
    ) -> Record {
        let began = Instant::now();
        let mut record = Record {
            format: FORMAT,
            domain: target.domain.to_string(),
            group: target.group.clone(),
            surveyed: words::timestamp(words::unix(clock::now())),
            ..Record::default()
        };
        let demand = self.demand(&target.domain);
        let published = async { tokio::join!(mta_sts, self.tlsrpt(&target.domain)) };
        let (route, ((finding, sts), tlsrpt)) = tokio::join!(self.route(&demand), published);
        (record.mta_sts, record.tlsrpt) = (sts, tlsrpt);
        record.mx = self.mx(&target.domain).await;
        match route {
            Ok(route) => self.hosts(&demand, (&route, finding), &mut record).await,
            Err(failure) => no_route(&failure, &demand, &mut record),
        }
        record.findings = findings(&record);
        record.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        record
    }

    fn demand(&self, domain: &DomainName) -> Demand {
        let written = MailDomain::Name {
            ascii: domain.clone(),
            written: domain.to_string(),
        };
        Demand {
            recipient_domain: Some(domain.clone()),
            next_hop: crate::relay::next_hop(&written, &self.settings.policy.rules),
            published: Published::Honor,
        }
    }

    /// As for a delivery; what failed for a reason that may pass is asked once more.
    async fn route(&self, demand: &Demand) -> Result<Route, RouteFailure> {
        let settings = &self.settings.discovery;
        let found = self.discovery.route(&demand.next_hop, settings).await;
        let may_pass = match &found {
            Err(RouteFailure::Dns { .. }) => true,
            Err(_) => false,
            Ok(route) => {
                let lost = |host: &RouteHost| matches!(host.addresses, Err(HostFailure::Lookup(_)));
                route.hosts.iter().any(lost)
            }
        };
        if !may_pass {
            return found;
        }
        tokio::time::sleep(self.settings.pace.retry).await;
        self.discovery.route(&demand.next_hop, settings).await
    }

    /// The records themselves; the route has looked them up already.
    async fn mx(&self, domain: &DomainName) -> MxFacts {
        match self.dns.mx(domain).await {
            Ok(answer) => MxFacts {
                state: MxState::Unknown,
                dnssec: match self.dns.is_plain() {
                    true => Dnssec::NotTested,
                    false => words::proof(answer.proof),
                },
                published: answer.records.iter().filter(|mx| mx.host.is_some()).count(),
                null_among_others: Known::from(
                    answer.records.len() > 1 && answer.records.iter().any(|mx| mx.host.is_none()),
                ),
                alias_of: (answer.canonical != *domain).then(|| answer.canonical.to_string()),
                failure: None,
            },
            Err(failure) => MxFacts {
                dnssec: words::failed(&failure),
                failure: Some(line(&failure.to_string())),
                ..MxFacts::default()
            },
        }
    }

    async fn hosts(
        &self,
        demand: &Demand,
        (route, finding): (&Route, StsFinding),
        record: &mut Record,
    ) {
        record.mx.state = match record.mx.published {
            0 => MxState::Implicit,
            _ => MxState::Present,
        };
        let may_be_this_host = match &demand.next_hop {
            NextHop::Rule(hop) if !matches!(hop.target, RuleTarget::Mx(_)) => MayBeThisHost::No,
            NextHop::Rule(_) | NextHop::Domain(_) | NextHop::Literal(_) => MayBeThisHost::Yes,
        };
        let met = route.hosts.iter().map(async |host| -> Met<'_> {
            let Ok(addresses) = &host.addresses else {
                return (host, None);
            };
            let key = HostKey::of(route, host, addresses);
            let see = async || {
                self.see_host((route, host), addresses, may_be_this_host)
                    .await
            };
            (host, Some(self.hosts.get(key, see).await))
        });
        let met = join_all(met).await;
        let judge = Judge {
            survey: self,
            demand,
            route,
            sts: match seek_sts(demand, &self.settings.policy) {
                Some(_) => finding.clone(),
                None => StsFinding::NotSought,
            },
            may_be_this_host,
        };
        let mut hosts: Vec<Host> = met
            .iter()
            .map(|(host, seen)| judge.host(host, seen.as_deref(), &finding))
            .collect();
        record.verdict = judge.verdict(&hosts);
        self.number(&mut hosts, record).await;
        record.hosts = hosts;
        (record.class, record.reason) = classify(&record.hosts);
        cover(&finding, record);
    }

    /// Preferences, by which the hosts are listed.
    async fn number(&self, hosts: &mut [Host], record: &Record) {
        let Ok(domain) = DomainName::parse(&record.domain) else {
            return;
        };
        let Ok(answer) = self.dns.mx(&domain).await else {
            return;
        };
        for host in hosts.iter_mut() {
            let named = |name: &DomainName| name.as_str() == host.name;
            let mut records = answer.records.iter();
            let found = records.find(|mx| mx.host.as_ref().is_some_and(named));
            host.preference = found.map(|mx| mx.preference);
        }
        hosts.sort_by(|a, b| (a.preference, &a.name).cmp(&(b.preference, &b.name)));
    }
}

fn no_route(failure: &RouteFailure, demand: &Demand, record: &mut Record) {
    let (class, state, flow) = match failure {
        RouteFailure::NoSuchDomain(_) => {
            (Class::NoMail, MxState::NoSuchDomain, Flow::NotDeliverable)
        }
        RouteFailure::NullMx(_) => (Class::NoMail, MxState::NullMx, Flow::NotDeliverable),
        RouteFailure::NeitherMxNorAddress(_) => {
            (Class::NoMail, MxState::NoAddress, Flow::NotDeliverable)
        }
        RouteFailure::NoHostHasAddress(_)
        | RouteFailure::ThisHost(_)
        | RouteFailure::OnlyBlocked(_)
        | RouteFailure::FamilyNotUsed(_) => {
            (Class::CouldNotTest, MxState::Unusable, Flow::NotDeliverable)
        }
        RouteFailure::Dns { .. } => (Class::CouldNotTest, MxState::Unknown, Flow::Temporary),
    };
    (record.class, record.mx.state) = (class, state);
    record.reason = Some(line(&failure.to_string()));
    record.verdict = Verdict {
        flow,
        reply: Some(line(&say::no_route(failure, &demand.next_hop).to_string())),
        ..Verdict::default()
    };
}

/// What could not be tested counts neither way.
fn classify(hosts: &[Host]) -> (Class, Option<String>) {
    let tested = || {
        hosts
            .iter()
            .filter(|host| host.tls != HostTls::CouldNotTest)
    };
    let works = tested().filter(|host| host.tls == HostTls::Works).count();
    match (works, tested().count()) {
        (_, 0) => (Class::CouldNotTest, why_not(hosts)),
        (0, _) => (Class::NoStarttls, None),
        (works, tested) if works == tested => (Class::StarttlsOnAll, None),
        (_, _) => (Class::StarttlsOnSome, None),
    }
}

/// The first reason that is known.
fn why_not(hosts: &[Host]) -> Option<String> {
    let of_host = |host: &Host| {
        let addresses = host.addresses.iter();
        let mut failures = addresses.filter_map(|address| {
            let failure = address.failure.as_ref()?;
            Some(format!("{}[{}]: {failure}", host.name, address.address))
        });
        let own = host.failure.as_ref();
        failures
            .next()
            .or(own.map(|failure| format!("{}: {failure}", host.name)))
    };
    hosts.iter().find_map(of_host).map(|text| line(&text))
}

/// What the MTA-STS policy says of the hosts together.
fn cover(finding: &StsFinding, record: &mut Record) {
    let StsFinding::Policy(policy) = finding else {
        return;
    };
    if policy.mode == Mode::None || record.mta_sts.mode.is_none_or(|m| m == StsMode::None) {
        return;
    }
    let Record { hosts, mta_sts, .. } = record;
    let Sts {
        covers_all,
        certificates_valid,
        ..
    } = mta_sts;
    *covers_all = Known::from(hosts.iter().all(|host| host.sts_listed == Known::Yes));
    let listed = hosts.iter().filter(|host| host.sts_listed == Known::Yes);
    for host in listed {
        *certificates_valid = match (*certificates_valid, host.sts_certificate) {
            (Known::No, _) | (_, Known::No) => Known::No,
            (_, Known::Yes) => Known::Yes,
            (known, Known::Unknown | Known::NotTested) => known,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(tls: HostTls) -> Host {
        Host {
            tls,
            ..Host::default()
        }
    }

    #[test]
    fn could_not_test_is_never_no_tls() {
        use HostTls::{Broken, CouldNotTest, NotOffered, Works};
        for (hosts, class) in [
            (&[Works, Works][..], Class::StarttlsOnAll),
            (&[Works, CouldNotTest], Class::StarttlsOnAll),
            (&[Works, NotOffered], Class::StarttlsOnSome),
            (&[Works, Broken], Class::StarttlsOnSome),
            (&[NotOffered, CouldNotTest], Class::NoStarttls),
            (&[CouldNotTest, CouldNotTest], Class::CouldNotTest),
            (&[], Class::CouldNotTest),
        ] {
            let hosts: Vec<_> = hosts.iter().map(|tls| host(*tls)).collect();
            assert_eq!(classify(&hosts).0, class, "{hosts:?}");
        }
    }
}
