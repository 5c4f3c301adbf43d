//! The handle that the rest of the program asks: cache first, then the servers.

use super::cache::{Cache, Entry, Outcome};
use super::exchange::Servers;
use super::lookup::Lookup;
use super::probe::Prober;
use super::question::Question;
use super::trust::Trust;
use super::upstream::Upstream;
use super::validate::Anchors;
use super::{
    Answer, CaaRdata, DnsSettings, Dnssec, DnssecStatus, Family, LookupFailure, MxRecord,
    PolicyRecord, QueryObserver, RemoteAd, ReportRecord, system,
};
use crate::dane::TlsaRdata;
use crate::names::{DomainName, PolicyDomain, TlsaBaseDomain};
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::task::TaskTracker;

/// Entries kept of each kind.
const CAPACITY: usize = 32_768;
const POINTER_CAPACITY: usize = 4096;

/// Answers by what was asked.
type Answers<K, T> = Arc<Cache<K, Arc<Answer<T>>>>;

/// Looks names up; cheap to clone.
#[derive(Clone, Debug)]
pub struct Dns {
    lookup: Arc<Lookup>,
    mx: Answers<DomainName, MxRecord>,
    v4: Answers<DomainName, IpAddr>,
    v6: Answers<DomainName, IpAddr>,
    pointers: Answers<IpAddr, DomainName>,
    tlsa: Answers<(DomainName, u16), TlsaRdata>,
    aliases: Answers<DomainName, DomainName>,
    policy_records: Answers<PolicyDomain, PolicyRecord>,
    report_records: Answers<DomainName, ReportRecord>,
    caa: Answers<DomainName, CaaRdata>,
}

/// Why there can be no lookups at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsSetupError {
    #[error("/etc/resolv.conf cannot be read: {0}; name the servers in dns.servers")]
    SystemConfig(String),
    #[error("/etc/resolv.conf names no server; name one in dns.servers")]
    NoServers,
    #[error(
        "dns.dnssec is \"trust-ad\", but {0} is not on this host: anybody on the way could set the AD bit; \
         use a validating resolver on 127.0.0.1, or dnssec = \"validate\", or trust_remote_ad = true"
    )]
    RemoteAd(SocketAddr),
    #[error("dns.trust_anchor: {0}")]
    TrustAnchor(String),
}

impl Dns {
    /// Reads /etc/resolv.conf if no servers are set; of it only the servers, never the search list.
    pub fn new(settings: &DnsSettings, observer: QueryObserver) -> Result<Self, DnsSetupError> {
        let servers = match &settings.servers[..] {
            [] => system::servers()?,
            given => given.to_vec(),
        };
        let remote = servers.iter().find(|server| !is_loopback(server));
        if let Some(remote) = remote
            && settings.dnssec == Dnssec::TrustAd
            && settings.remote_ad == RemoteAd::Distrust
        {
            return Err(DnsSetupError::RemoteAd(*remote));
        }
        let anchors = match &settings.trust_anchor {
            Some(path) => Anchors::load(path).map_err(DnsSetupError::TrustAnchor)?,
            None => Anchors::iana(),
        };
        let upstream = Arc::new(Upstream {
            servers: Servers::new(servers),
            timeout: settings.timeout,
            observer,
            lookups: TaskTracker::new(),
        });
        let trust = Trust::new(Arc::clone(&upstream), anchors);
        Ok(Self {
            lookup: Arc::new(Lookup {
                prober: Prober::new(settings, Arc::clone(&trust)),
                upstream,
                trust,
            }),
            mx: Cache::new(CAPACITY),
            v4: Cache::new(CAPACITY),
            v6: Cache::new(CAPACITY),
            pointers: Cache::new(POINTER_CAPACITY),
            tlsa: Cache::new(CAPACITY),
            aliases: Cache::new(POINTER_CAPACITY),
            policy_records: Cache::new(CAPACITY),
            report_records: Cache::new(POINTER_CAPACITY),
            caa: Cache::new(POINTER_CAPACITY),
        })
    }

    /// The MX records of a domain, best first; those that name no host are left out.
    pub async fn mx(&self, name: &DomainName) -> Result<Arc<Answer<MxRecord>>, LookupFailure> {
        self.cached(&self.mx, name, || Question::mx(name)).await
    }

    /// The addresses of a host in one family, in no particular order.
    pub async fn addresses(
        &self,
        name: &DomainName,
        family: Family,
    ) -> Result<Arc<Answer<IpAddr>>, LookupFailure> {
        let cache = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        self.cached(cache, name, || Question::addresses(name, family))
            .await
    }

    /// The names that an address points to (RFC 1035 §3.5).
    pub async fn pointer(&self, ip: IpAddr) -> Result<Arc<Answer<DomainName>>, LookupFailure> {
        self.cached(&self.pointers, &ip, || Question::pointer(ip))
            .await
    }

    /// The TLSA records for a service over TCP, as published, well-formed or not (RFC 6698 §3).
    pub async fn tlsa(
        &self,
        base: &TlsaBaseDomain,
        port: u16,
    ) -> Result<Arc<Answer<TlsaRdata>>, LookupFailure> {
        let key = (base.0.clone(), port);
        self.cached(&self.tlsa, &key, || Question::tlsa(base, port))
            .await
    }

    /// The name that a name is an alias of, itself and no further: the proof is that of this one record.
    pub async fn alias(&self, name: &DomainName) -> Result<Arc<Answer<DomainName>>, LookupFailure> {
        self.cached(&self.aliases, name, || Question::alias(name))
            .await
    }

    /// The MTA-STS records of a policy domain (RFC 8461 §3.1); other TXT records at that name are left out.
    pub async fn policy_records(
        &self,
        domain: &PolicyDomain,
    ) -> Result<Arc<Answer<PolicyRecord>>, LookupFailure> {
        self.cached(&self.policy_records, domain, || {
            Question::policy_records(domain)
        })
        .await
    }

    /// The TLS reporting records of a domain (RFC 8460 §3); other TXT records at that name are left out.
    pub async fn report_records(
        &self,
        domain: &DomainName,
    ) -> Result<Arc<Answer<ReportRecord>>, LookupFailure> {
        self.cached(&self.report_records, domain, || {
            Question::report_records(domain)
        })
        .await
    }

    /// The CAA records at a name, itself and none above it, as published (RFC 8659 §4).
    pub async fn caa(&self, name: &DomainName) -> Result<Arc<Answer<CaaRdata>>, LookupFailure> {
        self.cached(&self.caa, name, || Question::caa(name)).await
    }

    /// Asks for the root's keys: whether DNSSEC works with these servers. What it finds is in force
    /// until the next probe.
    pub async fn probe(&self) -> DnssecStatus {
        self.lookup.prober.probe().await
    }

    /// What the last probe found.
    pub fn dnssec(&self) -> DnssecStatus {
        self.lookup.prober.status()
    }

    /// Waits until an answer makes it doubtful that what the last probe found still holds.
    pub async fn doubted(&self) {
        self.lookup.prober.doubted().await;
    }

    /// Whether answers are what plain DNS gives, and nothing is proven or disproven by them: with
    /// `dnssec = "off"`, and with `dnssec_unavailable = "without-dane"` while DNSSEC does not work.
    pub fn is_plain(&self) -> bool {
        self.lookup.prober.is_plain()
    }

    /// The servers that are asked.
    pub fn servers(&self) -> &[SocketAddr] {
        self.lookup.upstream.servers.addresses()
    }

    /// Waits for the lookups that are under way; each ends within the time-out.
    pub async fn finish(&self) {
        let lookups = &self.lookup.upstream.lookups;
        lookups.close();
        lookups.wait().await;
    }

    async fn cached<K, T>(
        &self,
        cache: &Answers<K, T>,
        key: &K,
        question: impl FnOnce() -> Result<Question<T>, LookupFailure>,
    ) -> Outcome<Arc<Answer<T>>>
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        match cache.enter(key, Instant::now()) {
            Entry::Known(outcome) => outcome,
            Entry::Asked(pending) => pending.outcome().await,
            Entry::Ask(asker, pending) => {
                let lookup = Arc::clone(&self.lookup);
                let question = question()?;
                let lookups = &self.lookup.upstream.lookups;
                lookups.spawn(async move { lookup.find_out(question, asker).await });
                pending.outcome().await
            }
        }
    }
}

fn is_loopback(server: &SocketAddr) -> bool {
    server.ip().to_canonical().is_loopback()
}

impl<K, T> fmt::Debug for Cache<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}
