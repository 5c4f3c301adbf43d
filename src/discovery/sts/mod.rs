//! MTA-STS policies of policy domains: found, fetched, remembered and kept fresh (RFC 8461 §3, §5.1, §10.2).
//!
//! A policy that was fetched holds until its `max_age` has passed, whatever DNS and the policy host say
//! meanwhile; mail never waits for it. Only the first contact with a domain waits, and not long: what its fetch
//! brings is in force as soon as it is there. Everything about one domain goes through its [`Resident`], so that
//! there is one fetch at a time however many messages wait, and whoever changes memory and store does so alone.

mod bring;
mod desk;
mod fetch;
mod gate;
mod known;
mod observer;
mod preload;
mod refresh;
mod resident;
mod residents;
#[cfg(test)]
mod tests;

pub use desk::{Looked, Shown};
pub use fetch::FetchFailure;
pub use known::Known;
pub use observer::{Refreshed, Sign, StsObserver, Unobserved};
pub use preload::PreloadedList;

use super::AddressPreference;
use crate::clock;
use crate::dns::{Dns, LookupFailure};
use crate::mta_sts::{PolicyId, RECORD_LABEL, RecordFault, read_records};
use crate::names::{DomainName, PolicyDomain};
use crate::policy::{Published, StsFinding};
use crate::store::{Store, StoreError};
use crate::tls::TlsClient;
use arc_swap::ArcSwap;
use gate::Gate;
use preload::Preloads;
use resident::Resident;
use residents::Residents;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long mail waits for the record and the first fetch of a domain.
const FIRST_CONTACT: Duration = Duration::from_secs(10);

/// How long one domain's mail, or its fetch, waits for the store, which answers in less than a millisecond.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// What policies are looked up with; a reload may change it.
#[derive(Debug, Clone)]
pub struct StsSettings {
    /// Its roots are those by which policy hosts are authenticated.
    pub tls: TlsClient,
    /// `outbound.mta_sts_port`.
    pub port: u16,
    pub address_preference: AddressPreference,
    /// `outbound.blocked_networks`: a policy host is a stranger's name.
    pub blocked_networks: Vec<ipnet::IpNet>,
    /// `policy.mta_sts`: whether what is remembered is refreshed without anybody asking.
    pub refresh: Published,
}

/// What was found out for one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsFound {
    pub finding: StsFinding,
    pub source: StsSource,
}

/// Where a finding came from, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StsSource {
    Cached,
    Fetched,
    Preloaded,
    /// Proven, or as good as that without DNSSEC: there is no record.
    NotPublished,
    /// There is a record, and it is none that counts (RFC 8461 §3.1).
    RecordInvalid,
    /// DNS did not say whether there is a record.
    RecordUnknown,
    RecordBogus,
    /// The store does not say what it remembers.
    StoreFailed,
    /// The policy could not be fetched, now or less than five minutes ago.
    FetchFailed,
    /// It was not there in time.
    TimedOut,
}

impl StsSource {
    pub const ALL: [Self; 10] = [
        Self::Cached,
        Self::Fetched,
        Self::Preloaded,
        Self::NotPublished,
        Self::RecordInvalid,
        Self::RecordUnknown,
        Self::RecordBogus,
        Self::StoreFailed,
        Self::FetchFailed,
        Self::TimedOut,
    ];

    /// The `result` of `policy_lookups_total`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Fetched => "fetched",
            Self::Preloaded => "preloaded",
            Self::NotPublished => "absent",
            Self::RecordInvalid => "record_invalid",
            Self::RecordUnknown => "lookup_failed",
            Self::RecordBogus => "bogus",
            Self::StoreFailed => "store_failed",
            Self::FetchFailed => "fetch_failed",
            Self::TimedOut => "timed_out",
        }
    }
}

impl StsFound {
    fn of(known: &Known, source: StsSource) -> Self {
        Self {
            finding: StsFinding::Policy(Arc::clone(&known.policy)),
            source,
        }
    }

    fn without(source: StsSource) -> Self {
        Self {
            finding: StsFinding::NoPolicy,
            source,
        }
    }
}

/// What [`Sts::newer`] has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Newer {
    Same,
    Another(StsFinding),
    /// There may be one.
    Unknown,
}

/// What the TXT records say; an error is that they could not be looked up.
pub type Record = Result<Result<PolicyId, RecordFault>, LookupFailure>;

/// The policies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dns: Dns,
    /// `None`: what is fetched is remembered in memory only.
    store: Option<Store>,
    settings: ArcSwap<StsSettings>,
    preloads: Preloads,
    residents: Residents,
    gate: Gate,
    observer: Arc<dyn StsObserver>,
    /// Policies in the store.
    entries: AtomicI64,
    /// Fetches and writes outlive the delivery that has begun them.
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sts {
    pub fn new(
        dns: Dns,
        store: Option<Store>,
        settings: StsSettings,
        observer: Arc<dyn StsObserver>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                dns,
                store,
                settings: ArcSwap::from_pointee(settings),
                preloads: Preloads::default(),
                residents: Residents::default(),
                gate: Gate::default(),
                observer,
                entries: AtomicI64::new(0),
                tasks,
                stop: CancellationToken::new(),
            }),
        }
    }

    /// What lookups obey from now on.
    pub fn replace(&self, settings: StsSettings) {
        self.shared.settings.store(Arc::new(settings));
    }

    /// Gives all fetches up.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }

    /// The policy that is in force for mail to this domain. With a live policy it returns at once; else it
    /// waits ten seconds at most, and never longer than `until`.
    pub async fn find(&self, domain: &PolicyDomain, until: Instant) -> StsFound {
        // What memory has needs no store.
        if let Some(found) = self.in_force(domain) {
            return found;
        }
        let resident = match self.resident(domain).await {
            Ok(resident) => resident,
            // There is no telling what it has: it may be a policy. But what is damaged will not come back.
            Err(StoreError::Corrupt(_)) => self.shared.residents.enter(domain),
            Err(error) => {
                return StsFound {
                    finding: StsFinding::Unknown(error.to_string()),
                    source: StsSource::StoreFailed,
                };
            }
        };
        if let Some(found) = self.in_force(domain) {
            return found;
        }
        let patience = until.min(Instant::now() + FIRST_CONTACT);
        let contact = timeout_at(patience, self.first_contact(&resident, patience));
        let found = contact
            .await
            .unwrap_or_else(|_| StsFound::without(StsSource::TimedOut));
        match &found.finding {
            StsFinding::NoPolicy => self.preloaded(domain).unwrap_or(found),
            StsFinding::Policy(_)
            | StsFinding::Bogus(_)
            | StsFinding::Unknown(_)
            | StsFinding::NotSought => found,
        }
    }

    /// The policy that memory knows to be in force; waits for nothing.
    pub fn in_force(&self, domain: &PolicyDomain) -> Option<StsFound> {
        let resident = self.shared.residents.find(domain)?;
        let now = now();
        let known = resident.live(now)?;
        self.keep_fresh(&resident, &known, now);
        Some(StsFound::of(&known, StsSource::Cached))
    }

    /// Whether there is another policy by now than the one by which a delivery is about to fail: asked before the
    /// failure is told (RFC 8461 §5.1).
    pub async fn newer(&self, domain: &PolicyDomain, than: &StsFinding, until: Instant) -> Newer {
        let StsFinding::Policy(old) = than else {
            return Newer::Same;
        };
        let another = |known: &Known| match known.policy == *old {
            true => Newer::Same,
            false => Newer::Another(StsFinding::Policy(Arc::clone(&known.policy))),
        };
        let Ok(resident) = self.resident(domain).await else {
            return Newer::Unknown;
        };
        // One that has expired is nothing to go by, unless it is the one in question (`max_age` may be 0).
        let counts = |known: &Arc<Known>| known.is_live(now()) || known.policy == *old;
        let known = resident.known().filter(counts);
        if let Some(known) = known.as_deref().filter(|known| known.policy != *old) {
            return another(known);
        }
        let id = match timeout_at(until, self.record(domain)).await {
            Ok(Ok(Ok(id))) => id,
            // Nobody says that there is a newer one.
            Ok(Ok(Err(_))) => return Newer::Same,
            Ok(Err(_)) | Err(_) => return Newer::Unknown,
        };
        if known.is_some_and(|known| known.id == id) {
            return Newer::Same;
        }
        let Some(running) = self.fetch(&resident, id) else {
            return Newer::Unknown;
        };
        match running.outcome(until).await {
            Some(Ok(fetched)) => another(&fetched),
            Some(Err(_)) | None => Newer::Unknown,
        }
    }

    /// What a list of `policy.preload` says of a domain: good as long as nothing was fetched.
    pub fn preloaded(&self, domain: &PolicyDomain) -> Option<StsFound> {
        let policy = self.shared.preloads.find(&domain.0, now())?;
        Some(StsFound {
            finding: StsFinding::Policy(policy),
            source: StsSource::Preloaded,
        })
    }

    /// Nothing is known of the domain that holds: its record, and the policy that it announces.
    async fn first_contact(&self, resident: &Arc<Resident>, patience: Instant) -> StsFound {
        let id = match self.record(&resident.domain).await {
            Err(LookupFailure::Bogus(why)) => {
                return StsFound {
                    finding: StsFinding::Bogus(why),
                    source: StsSource::RecordBogus,
                };
            }
            Err(_) => return StsFound::without(StsSource::RecordUnknown),
            Ok(Err(RecordFault::Absent)) => return StsFound::without(StsSource::NotPublished),
            Ok(Err(fault)) => {
                self.shared.observer.record_invalid(&resident.domain, fault);
                return StsFound::without(StsSource::RecordInvalid);
            }
            Ok(Ok(id)) => id,
        };
        let Some(running) = self.fetch(resident, id) else {
            return StsFound::without(StsSource::FetchFailed);
        };
        let until = patience.min(running.since + FIRST_CONTACT);
        match running.outcome(until).await {
            Some(Ok(known)) => StsFound::of(&known, StsSource::Fetched),
            Some(Err(_)) => StsFound::without(StsSource::FetchFailed),
            None => StsFound::without(StsSource::TimedOut),
        }
    }

    /// The record of a domain (RFC 8461 §3.1).
    async fn record(&self, domain: &PolicyDomain) -> Record {
        if RECORD_LABEL.len() + 1 + domain.0.as_str().len() > DomainName::MAX {
            // A name that cannot be has no records.
            return Ok(Err(RecordFault::Absent));
        }
        let answer = self.shared.dns.policy_records(domain).await?;
        Ok(read_records(answer.records.iter().map(|record| &*record.0)))
    }

    /// All that is known of a domain, with what the store has of it.
    async fn resident(&self, domain: &PolicyDomain) -> Result<Arc<Resident>, StoreError> {
        let resident = self.shared.residents.enter(domain);
        if let Some(store) = &self.shared.store
            && !resident.is_loaded()
        {
            self.in_time(resident.load(store)).await?;
            self.shared.residents.weigh(resident.weight());
        }
        Ok(resident)
    }

    /// So many policies more, or less, in the store.
    fn count(&self, change: i64) {
        let before = self.shared.entries.fetch_add(change, Ordering::Relaxed);
        self.tell_count(before + change);
    }

    fn recounted(&self, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.shared.entries.store(count, Ordering::Relaxed);
        self.tell_count(count);
    }

    fn tell_count(&self, count: i64) {
        self.shared.observer.entries(count.max(0).unsigned_abs());
    }
}

/// UNIX seconds.
fn now() -> u64 {
    let since = clock::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
