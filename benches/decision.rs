//! What DANE and MTA-STS cost a delivery whose answers are cached: discovery and decision with and without them, in one
//! run, and how many questions a crowd asks.
//!
//!     cargo bench --bench decision

#![allow(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use lab::Internet;
use lab::dns::RecordType;
use lab::mx::Script;
use lab::sts::policy as sts_policy;
use sealpost::discovery::{
    AddressPreference, Discovery, DiscoverySettings, Sts, StsSettings, Unobserved,
};
use sealpost::dns::{Dns, DnsSettings, Dnssec};
use sealpost::names::{DomainName, NextHop};
use sealpost::policy::{
    Demand, HostFacts, HostVerdict, Level, PolicySettings, Published, Rules, SeekTlsa, StsFinding,
    TlsVersion, TlsaFinding, for_host, seek_sts, seek_tlsa,
};
use sealpost::tls::{Roots, TlsClient, TlsSettings};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Decisions per round, and rounds of which the median is taken.
const DECISIONS: u32 = 20_000;
const ROUNDS: usize = 7;
/// What DANE or MTA-STS may add to a delivery.
const TARGET: Duration = Duration::from_micros(50);
/// How many ask for the same name at the same time.
const CROWD: usize = 1000;

struct Bench {
    discovery: Discovery,
    sts: Sts,
    settings: DiscoverySettings,
}

fn domain(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn policy(dane: Published, mta_sts: Published) -> PolicySettings {
    PolicySettings {
        rules: Rules::default(),
        default: Level::May,
        min_version: TlsVersion::V1_2,
        dane,
        mta_sts,
    }
}

impl Bench {
    fn new(net: &Internet) -> (Self, Dns) {
        let settings = DnsSettings {
            servers: vec![net.dns.address()],
            timeout: Duration::from_secs(5),
            dnssec: Dnssec::Validate,
            trust_anchor: Some(net.dns.trust_anchor_file()),
            ..DnsSettings::default()
        };
        let dns = Dns::new(&settings, Arc::new(|_, _| {})).unwrap();
        let settings = DiscoverySettings {
            own_names: Vec::new(),
            nat_addresses: Vec::new(),
            port: net.ports.port(),
            blocked_networks: Vec::new(),
            address_preference: AddressPreference::Any,
        };
        let bench = Self {
            discovery: Discovery::new(dns.clone()),
            sts: policies(net, &dns),
            settings,
        };
        (bench, dns)
    }

    /// As a delivery does it, up to the first host.
    async fn decide(&self, name: &DomainName, policy: &PolicySettings) -> HostVerdict {
        let demand = Demand {
            recipient_domain: Some(name.clone()),
            next_hop: NextHop::Domain(name.clone()),
            published: Published::Honor,
        };
        let route = self
            .discovery
            .route(&demand.next_hop, &self.settings)
            .await
            .unwrap();
        let sts = match seek_sts(&demand, policy) {
            Some(domain) => {
                let until = tokio::time::Instant::now() + Duration::from_secs(10);
                self.sts.find(&domain, until).await.finding
            }
            None => StsFinding::NotSought,
        };
        let host = &route.hosts[0];
        let tlsa = match seek_tlsa(&demand, policy) {
            SeekTlsa::Yes | SeekTlsa::ForTheRecord => {
                self.discovery.tlsa(&route, host).await.finding
            }
            SeekTlsa::No => TlsaFinding::NotSought,
        };
        let facts = HostFacts {
            host: host.host.clone(),
            next_hop_expanded: route.expanded.clone(),
            trust: route.trust(),
            tlsa,
            sts,
        };
        for_host(&demand, &facts, policy)
    }

    /// The median time of a decision.
    async fn time(&self, name: &DomainName, policy: &PolicySettings) -> Duration {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            for _ in 0..DECISIONS {
                black_box(self.decide(name, policy).await);
            }
            rounds.push(began.elapsed() / DECISIONS);
        }
        rounds.sort();
        rounds[ROUNDS / 2]
    }
}

fn policies(net: &Internet, dns: &Dns) -> Sts {
    let tls = TlsSettings {
        roots: Roots::Files(vec![net.ca.roots_file()]),
        client_certificate: None,
    };
    let settings = StsSettings {
        tls: TlsClient::new(&tls).unwrap(),
        port: net.ports.port(),
        address_preference: AddressPreference::Any,
        blocked_networks: Vec::new(),
        refresh: Published::Honor,
    };
    let tasks = tokio_util::task::TaskTracker::new();
    Sts::new(dns.clone(), None, settings, Arc::new(Unobserved), tasks)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut net = Internet::new().await.unwrap();
    net.dns.ttl(3600).negative_ttl(3600);
    for name in ["dane.test", "absent.test", "plain.test", "sts.test"] {
        net.domain(name, Script::default()).await.unwrap();
    }
    let week = sts_policy("enforce", &["mx.sts.test"], 604_800);
    net.sts("sts.test", "1", week).await.unwrap();
    net.dns.secure("dane.test").secure("absent.test");
    net.tlsa("mx.dane.test", "3 1 1");
    let (bench, dns) = Bench::new(&net);
    use Published::{Honor, Ignore};
    let without = policy(Ignore, Ignore);
    let (dane, sts) = (policy(Honor, Ignore), policy(Ignore, Honor));
    let mut met = true;
    println!("a decision with warm caches, median of {ROUNDS} x {DECISIONS}:");
    for (name, what, with) in [
        ("dane.test", "DANE: TLSA records", &dane),
        ("absent.test", "DANE: signed, none", &dane),
        ("plain.test", "DANE: not signed", &dane),
        ("sts.test", "MTA-STS: a policy", &sts),
        ("plain.test", "MTA-STS: none", &sts),
    ] {
        let name = domain(name);
        let without = bench.time(&name, &without).await;
        let with = bench.time(&name, with).await;
        let added = with.saturating_sub(without);
        met &= added < TARGET;
        println!(
            "  {what:<18} without {:>6.2} us, with {:>6.2} us: +{:.2} us",
            without.as_secs_f64() * 1e6,
            with.as_secs_f64() * 1e6,
            added.as_secs_f64() * 1e6,
        );
    }
    println!(
        "  target: below +50 us: {}",
        if met { "met" } else { "NOT MET" }
    );
    let asked = crowd(&net, &dns).await;
    println!("{CROWD} deliveries ask for one new name at once: {asked} TLSA question(s)");
    if met && asked == 1 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn crowd(net: &Internet, dns: &Dns) -> usize {
    let base = sealpost::names::TlsaBaseDomain(domain("mx.absent.test"));
    let asking = (0..CROWD).map(|_| dns.tlsa(&base, 7));
    for answer in futures_util::future::join_all(asking).await {
        answer.unwrap();
    }
    net.dns.queries("_7._tcp.mx.absent.test", RecordType::TLSA)
}
