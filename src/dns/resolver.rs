//! The handle that the rest of the program asks: cache first, then the servers.

use super::cache::{Asker, Cache, Entry, Outcome};
use super::exchange::Servers;
use super::interpret::{self, Chain, Found, Step};
use super::question::{Question, name_of};
use super::{
    Answer, DnsSettings, DnssecStatus, Existence, Family, LookupFailure, MxRecord, Proof,
    QueryObserver, system,
};
use crate::dane::TlsaRdata;
use crate::names::{DomainName, TlsaBaseDomain};
use hickory_resolver::proto::op::Query;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// Shortest and longest time that a positive answer is kept. The shortest lets one delivery see one
/// answer.
const POSITIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// Shortest and longest time that an absence is kept (RFC 2308 §5 allows up to three hours).
const NEGATIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// How long an absence without a SOA record is kept: a burst of mail asks once.
const UNTIMED: Duration = Duration::from_secs(5);

/// How long a failure is kept, so that a server in trouble is not hammered (RFC 9520 §3.2: at least
/// 1 s, at most 5 min).
const FAILURE: Duration = Duration::from_secs(5);

/// Entries kept of each kind.
const CAPACITY: usize = 32_768;
const POINTER_CAPACITY: usize = 4096;

/// Looks names up; cheap to clone.
#[derive(Clone, Debug)]
pub struct Dns {
    shared: Arc<Shared>,
    mx: Arc<Cache<DomainName, MxRecord>>,
    v4: Arc<Cache<DomainName, IpAddr>>,
    v6: Arc<Cache<DomainName, IpAddr>>,
    pointers: Arc<Cache<IpAddr, DomainName>>,
    tlsa: Arc<Cache<(DomainName, u16), TlsaRdata>>,
    aliases: Arc<Cache<DomainName, DomainName>>,
}

/// Why there can be no lookups at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsSetupError {
    #[error("/etc/resolv.conf cannot be read: {0}; name the servers in dns.servers")]
    SystemConfig(String),
    #[error("/etc/resolv.conf names no server; name one in dns.servers")]
    NoServers,
}

struct Shared {
    servers: Servers,
    timeout: Duration,
    observer: QueryObserver,
    /// Lookups run here, so that one who gives up waiting takes nothing from the others.
    lookups: TaskTracker,
}

impl Dns {
    /// Reads /etc/resolv.conf if no servers are set; of it only the servers, never the search list.
    pub fn new(settings: &DnsSettings, observer: QueryObserver) -> Result<Self, DnsSetupError> {
        let servers = match &settings.servers[..] {
            [] => system::servers()?,
            given => given.to_vec(),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                servers: Servers::new(servers),
                timeout: settings.timeout,
                observer,
                lookups: TaskTracker::new(),
            }),
            mx: Cache::new(CAPACITY),
            v4: Cache::new(CAPACITY),
            v6: Cache::new(CAPACITY),
            pointers: Cache::new(POINTER_CAPACITY),
            tlsa: Cache::new(CAPACITY),
            aliases: Cache::new(POINTER_CAPACITY),
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

    /// Asks for the root's keys: whether DNSSEC works with these servers. What it finds is in force
    /// until the next probe.
    pub async fn probe(&self) -> DnssecStatus {
        DnssecStatus::Off
    }

    /// What the last probe found.
    pub fn dnssec(&self) -> DnssecStatus {
        DnssecStatus::Off
    }

    /// The servers that are asked.
    pub fn servers(&self) -> &[SocketAddr] {
        self.shared.servers.addresses()
    }

    /// Waits for the lookups that are under way; each ends within the time-out.
    pub async fn finish(&self) {
        self.shared.lookups.close();
        self.shared.lookups.wait().await;
    }

    async fn cached<K, T>(
        &self,
        cache: &Arc<Cache<K, T>>,
        key: &K,
        question: impl FnOnce() -> Result<Question<T>, LookupFailure>,
    ) -> Outcome<T>
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        match cache.enter(key, Instant::now()) {
            Entry::Known(outcome) => outcome,
            Entry::Asked(pending) => pending.outcome().await,
            Entry::Ask(asker, pending) => {
                let shared = Arc::clone(&self.shared);
                let question = question()?;
                self.shared
                    .lookups
                    .spawn(async move { shared.find_out(question, asker).await });
                pending.outcome().await
            }
        }
    }
}

impl Shared {
    async fn find_out<K: Eq + Hash + Clone, T>(&self, question: Question<T>, asker: Asker<K, T>) {
        let found = self.resolve(&question).await;
        let now = Instant::now();
        match found {
            Ok(found) => {
                let answer = Arc::new(answer(found, &question, now));
                let until = answer.expires;
                asker.settle(Ok(answer), until);
            }
            Err(failure) => asker.settle(Err(failure), now + FAILURE),
        }
    }

    /// Asks, and follows aliases where the server has not done it, within the time-out in all.
    async fn resolve<T>(&self, question: &Question<T>) -> Result<Found, LookupFailure> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let mut query = question.query.clone();
        let mut chain = Chain::EMPTY;
        loop {
            let step = match self.servers.ask(&query, deadline).await {
                Ok(reply) => interpret::read(&reply, &query, chain),
                Err(failure) => Err(failure),
            };
            (self.observer)(question.label, result_label(&step));
            match step? {
                Step::Done(found) => return Ok(found),
                Step::Follow(target, so_far) => {
                    query = Query::query(target, query.query_type());
                    chain = so_far;
                }
            }
        }
    }
}

fn answer<T>(found: Found, question: &Question<T>, now: Instant) -> Answer<T> {
    let (shortest, longest) = match found.existence {
        Existence::Present => POSITIVE,
        Existence::NoData | Existence::NxDomain => NEGATIVE,
    };
    let ttl = match found.ttl {
        Some(seconds) => Duration::from_secs(seconds.into()).clamp(shortest, longest),
        None => UNTIMED,
    };
    Answer {
        records: (question.convert)(found.records),
        existence: found.existence,
        // Nothing is validated: neither DO nor AD is asked for.
        proof: Proof::Insecure,
        canonical: name_of(&found.owner).unwrap_or_else(|| question.name.clone()),
        expires: now + ttl,
    }
}

/// The `result` of `dns_queries_total`.
fn result_label(step: &Result<Step, LookupFailure>) -> &'static str {
    match step {
        Ok(_) => "insecure",
        Err(LookupFailure::Bogus(_) | LookupFailure::DnssecBroken) => "bogus",
        Err(LookupFailure::TimedOut) => "timeout",
        Err(LookupFailure::ServerFailure(_)) => "servfail",
        Err(
            LookupFailure::Unreachable(_)
            | LookupFailure::TooManyAliases
            | LookupFailure::Malformed(_),
        ) => "error",
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("servers", &self.servers.addresses())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<K, T> fmt::Debug for Cache<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}
