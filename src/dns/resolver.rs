//! The handle that the rest of the program asks: cache first, then the servers.

use super::approach::Approach;
use super::cache::{Asker, Cache, Entry, Outcome};
use super::exchange::{Answered, Asking, SERVFAIL, Servers};
use super::interpret::{self, Chain, Found, Step};
use super::judge::Judged;
use super::probe::Prober;
use super::question::{Question, name_of};
use super::trust::{Trust, Work};
use super::upstream::{Told, Upstream, failure_label};
use super::validate::Anchors;
use super::wire::{Flags, Reply};
use super::{
    Answer, DnsSettings, Dnssec, DnssecStatus, Existence, FAILURE, Family, LookupFailure, MxRecord,
    POSITIVE, Proof, QueryObserver, RemoteAd, system,
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

/// Shortest and longest time that an absence is kept (RFC 2308 §5 allows up to three hours).
const NEGATIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// How long an absence without a SOA record is kept: a burst of mail asks once.
const UNTIMED: Duration = Duration::from_secs(5);

/// How long an answer is kept that plain DNS has given because DNSSEC does not work.
const STOPGAP: Duration = Duration::from_secs(30);

/// Entries kept of each kind.
const CAPACITY: usize = 32_768;
const POINTER_CAPACITY: usize = 4096;

/// Answers by what was asked.
type Answers<K, T> = Arc<Cache<K, Arc<Answer<T>>>>;

/// Looks names up; cheap to clone.
#[derive(Clone, Debug)]
pub struct Dns {
    shared: Arc<Shared>,
    mx: Answers<DomainName, MxRecord>,
    v4: Answers<DomainName, IpAddr>,
    v6: Answers<DomainName, IpAddr>,
    pointers: Answers<IpAddr, DomainName>,
    tlsa: Answers<(DomainName, u16), TlsaRdata>,
    aliases: Answers<DomainName, DomainName>,
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

struct Shared {
    upstream: Arc<Upstream>,
    trust: Arc<Trust>,
    prober: Prober,
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
            shared: Arc::new(Shared {
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
        self.shared.prober.probe().await
    }

    /// What the last probe found.
    pub fn dnssec(&self) -> DnssecStatus {
        self.shared.prober.status()
    }

    /// The servers that are asked.
    pub fn servers(&self) -> &[SocketAddr] {
        self.shared.upstream.servers.addresses()
    }

    /// Waits for the lookups that are under way; each ends within the time-out.
    pub async fn finish(&self) {
        let lookups = &self.shared.upstream.lookups;
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
                let shared = Arc::clone(&self.shared);
                let question = question()?;
                let lookups = &self.shared.upstream.lookups;
                lookups.spawn(async move { shared.find_out(question, asker).await });
                pending.outcome().await
            }
        }
    }
}

/// A question, and the aliases that led to it.
struct Asked {
    query: Query,
    chain: Chain,
}

/// The end of a lookup, and what it is worth.
struct Resolved {
    found: Found,
    proof: Proof,
    /// Nothing is to be kept longer.
    longest: Duration,
}

impl Shared {
    async fn find_out<K: Eq + Hash + Clone, T>(
        &self,
        question: Question<T>,
        asker: Asker<K, Arc<Answer<T>>>,
    ) {
        let found = self.resolve(&question.query).await;
        let now = Instant::now();
        match found {
            Ok(resolved) => {
                let answer = Arc::new(answer(resolved, &question, now));
                let until = answer.expires;
                asker.settle(Ok(answer), until);
            }
            Err(failure) => asker.settle(Err(failure), now + FAILURE),
        }
    }

    /// Asks, and follows aliases where the server has not done it, within the time-out in all.
    async fn resolve(&self, question: &Query) -> Result<Resolved, LookupFailure> {
        let deadline = self.upstream.deadline();
        let approach = self.prober.approach(deadline).await;
        let mut work = Work::until(deadline);
        let mut asked = Asked {
            query: question.clone(),
            chain: Chain::EMPTY,
        };
        let mut proof = Proof::Secure;
        loop {
            let judged = self.ask(&asked, approach, &mut work).await?;
            if judged.proof == Proof::Insecure {
                proof = Proof::Insecure;
            }
            match judged.step {
                Step::Done(found) => {
                    let longest = if approach == Approach::Stopgap {
                        STOPGAP
                    } else {
                        POSITIVE.1
                    };
                    return Ok(Resolved {
                        found,
                        proof,
                        longest,
                    });
                }
                Step::Follow(target, chain) => {
                    let query = Query::query(target, question.query_type());
                    asked = Asked { query, chain };
                }
            }
        }
    }

    /// One question, and what its answer is worth.
    async fn ask(
        &self,
        asked: &Asked,
        approach: Approach,
        work: &mut Work,
    ) -> Result<Judged, LookupFailure> {
        let query = &asked.query;
        let mut avoid = None;
        loop {
            let reply = self
                .upstream
                .servers
                .ask(query, approach.asking(), avoid, work.deadline);
            let (server, judged) = match reply.await {
                Ok(Answered { reply, server }) => {
                    let judged = self.judge(&reply, asked, approach, work).await;
                    (Some(server), judged)
                }
                Err(failure) => (
                    None,
                    Err(self.second_look(query, failure, approach, work).await),
                ),
            };
            self.upstream.count(query.query_type(), told(&judged));
            match judged {
                // Another server may know more of DNSSEC.
                Err(LookupFailure::Bogus(_))
                    if avoid.is_none() && server.is_some() && self.upstream.has_others() =>
                {
                    avoid = server;
                }
                Err(LookupFailure::Bogus(_)) if approach.is_in_vain() => {
                    return Err(LookupFailure::DnssecBroken);
                }
                other => return other,
            }
        }
    }

    async fn judge(
        &self,
        reply: &Reply,
        Asked { query, chain }: &Asked,
        approach: Approach,
        work: &mut Work,
    ) -> Result<Judged, LookupFailure> {
        let reading = interpret::read(reply, query, *chain)?;
        let authentic = reply.flags.has(Flags::AUTHENTIC);
        let proof = match approach {
            Approach::Validate | Approach::ValidateInVain => {
                return self
                    .trust
                    .judge(reply, query.query_type(), reading, work)
                    .await;
            }
            Approach::Plain | Approach::Stopgap => Proof::Insecure,
            Approach::Believe | Approach::BelieveOnlyAd if authentic => Proof::Secure,
            Approach::Believe => Proof::Insecure,
            Approach::BelieveOnlyAd => return Err(LookupFailure::DnssecBroken),
        };
        let step = reading.step;
        Ok(Judged { step, proof })
    }

    /// Whether a validating server's failure means that the answer is bogus: then it has one, and gives
    /// it to who does not ask for validation (RFC 4035 §3.2.2).
    async fn second_look(
        &self,
        query: &Query,
        failure: LookupFailure,
        approach: Approach,
        work: &Work,
    ) -> LookupFailure {
        let LookupFailure::ServerFailure(what) = &failure else {
            return failure;
        };
        if !approach.believes() || !what.starts_with(SERVFAIL) {
            return failure;
        }
        let servers = &self.upstream.servers;
        let asked = servers.ask(query, Asking::Signatures, None, work.deadline);
        match asked.await {
            Ok(_) => LookupFailure::Bogus(format!("{}: {what}", query.name().to_ascii())),
            Err(_) => failure,
        }
    }
}

fn is_loopback(server: &SocketAddr) -> bool {
    server.ip().to_canonical().is_loopback()
}

fn answer<T>(resolved: Resolved, question: &Question<T>, now: Instant) -> Answer<T> {
    let Resolved {
        found,
        proof,
        longest,
    } = resolved;
    let (shortest, most) = match found.existence {
        Existence::Present => POSITIVE,
        Existence::NoData | Existence::NxDomain => NEGATIVE,
    };
    let ttl = match found.ttl {
        Some(seconds) => Duration::from_secs(seconds.into()).clamp(shortest, most),
        None => UNTIMED,
    };
    Answer {
        records: (question.convert)(found.records),
        existence: found.existence,
        proof,
        canonical: name_of(&found.owner).unwrap_or_else(|| question.name.clone()),
        expires: now + ttl.min(longest),
    }
}

fn told(judged: &Result<Judged, LookupFailure>) -> Told {
    match judged {
        Ok(judged) if judged.proof == Proof::Secure => Told::Secure,
        Ok(_) => Told::Insecure,
        Err(failure) => Told::Failed(failure_label(failure)),
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("servers", &self.upstream.servers.addresses())
            .field("timeout", &self.upstream.timeout)
            .finish_non_exhaustive()
    }
}

impl<K, T> fmt::Debug for Cache<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}
