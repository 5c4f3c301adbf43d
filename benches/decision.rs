//! What DANE costs a delivery whose answers are cached: discovery and decision with and without it, in one run, and
//! how many questions a crowd asks.
//!
//!     cargo bench --bench decision

#![allow(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use lab::Internet;
use lab::dns::RecordType;
use lab::mx::Script;
use sealpost::discovery::{AddressPreference, Discovery, DiscoverySettings};
use sealpost::dns::{Dns, DnsSettings, Dnssec};
use sealpost::names::{DomainName, NextHop};
use sealpost::policy::{
    Demand, HostFacts, HostVerdict, Level, PolicySettings, Published, Rules, SeekTlsa, TlsVersion,
    TlsaFinding, for_host, seek_tlsa,
};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Decisions per round, and rounds of which the median is taken.
const DECISIONS: u32 = 20_000;
const ROUNDS: usize = 7;
/// What DANE may add to a delivery.
const TARGET: Duration = Duration::from_micros(50);
/// How many ask for the same name at the same time.
const CROWD: usize = 1000;

struct Bench {
    discovery: Discovery,
    settings: DiscoverySettings,
}

fn domain(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn policy(dane: Published) -> PolicySettings {
    PolicySettings {
        rules: Rules::default(),
        default: Level::May,
        min_version: TlsVersion::V1_2,
        dane,
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
        let discovery = Discovery::new(dns.clone());
        (
            Self {
                discovery,
                settings,
            },
            dns,
        )
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut net = Internet::new().await.unwrap();
    for name in ["dane.test", "absent.test", "plain.test"] {
        net.domain(name, Script::default()).await.unwrap();
    }
    net.dns.ttl(3600).negative_ttl(3600);
    net.dns.secure("dane.test").secure("absent.test");
    net.tlsa("mx.dane.test", "3 1 1");
    let (bench, dns) = Bench::new(&net);
    let (with, without) = (policy(Published::Honor), policy(Published::Ignore));
    let mut met = true;
    println!("a decision with warm caches, median of {ROUNDS} x {DECISIONS}:");
    for (name, what) in [
        ("dane.test", "TLSA records"),
        ("absent.test", "signed, none"),
        ("plain.test", "not signed"),
    ] {
        let name = domain(name);
        let plain = bench.time(&name, &without).await;
        let dane = bench.time(&name, &with).await;
        let added = dane.saturating_sub(plain);
        met &= added < TARGET;
        println!(
            "  {what:<14} without DANE {:>6.2} us, with {:>6.2} us: +{:.2} us",
            plain.as_secs_f64() * 1e6,
            dane.as_secs_f64() * 1e6,
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
