//! Asking for what is shown. Mail never waits for it: few ask at a time, on connections of their own, and not for long.

use super::facts::{
    CachedPolicy, Caught, Configuration, DestinationList, DestinationShown, DnssecState, Found,
    History, Node, Overview, PolicyList, QueueCounts, QueueShown, RuleList, Trouble, day_from,
    month_from, time,
};
use super::request::Asked;
use super::{Configured, Page, PageParts, now};
use crate::admin::Readiness;
use crate::admin::policies::{LastFailure, PolicyEntry};
use crate::names::{DomainName, PolicyDomain};
use crate::queue::Desk;
use crate::store::Store;
use crate::store::history::{DestinationFilter, DestinationQuery};
use crate::store::queue::Selection;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// How long one waits for a turn, and for what is asked then.
const PATIENCE: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(10);

/// Rows of each list on the overview.
const MOST_NOTED: u32 = 5;
/// Messages on a page of the queue at most.
const MOST_MAIL: u32 = 100;
/// Rules of which is said what they caught.
const MOST_RULES: u32 = 10_000;

impl Page {
    pub(super) fn parts(&self) -> Result<Arc<PageParts>, Trouble> {
        self.0.parts.load_full().ok_or(Trouble::Starting)
    }

    pub(super) fn configured(&self) -> Result<Arc<Configured>, Trouble> {
        self.0.settings.load_full().ok_or(Trouble::Starting)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Trouble> {
        let turn = tokio::time::timeout(PATIENCE, self.0.turns.acquire());
        match turn.await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Trouble::Busy),
        }
    }

    /// Whatever of it can be found out.
    pub(super) async fn overview(&self) -> Result<Overview, Trouble> {
        let (parts, configured) = (self.parts()?, self.configured()?);
        let _turn = self.turn().await?;
        let now = now();
        let history = within(history(&parts, now)).await;
        let queue = within(queue_counts(&parts)).await;
        let policies = within(async { Ok(parts.sts.search("", 0, 0).await?.0) }).await;
        let report = self.0.health.report();
        let mut lines = report.lines.into_iter();
        // The first says whether we are ready; it stands beside.
        lines.next();
        let unavailable = [
            history.as_ref().err(),
            queue.as_ref().err(),
            policies.as_ref().err(),
        ];
        let unavailable = unavailable.into_iter().flatten().next();
        Ok(Overview {
            unavailable: unavailable.map(ToString::to_string),
            ready: report.readiness == Readiness::Ready,
            problems: lines.collect(),
            node: self.node(&parts, &configured, now).await,
            configuration: Configuration {
                read: time(configured.read),
                problem: self.problem(),
            },
            dnssec: DnssecState::of(parts.dns.dnssec()),
            queue: queue.ok(),
            mta_sts_policies: policies.ok(),
            history: history.ok(),
        })
    }

    async fn node(&self, parts: &PageParts, configured: &Configured, now: u64) -> Node {
        let (started, since) = self.0.started;
        Node {
            hostname: configured.hostname.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: time(now),
            started: time(started),
            uptime: since.elapsed().as_secs(),
            store_size: size(&parts.file).await,
        }
    }

    pub(super) async fn destinations(&self, asked: &Asked) -> Result<DestinationList, Trouble> {
        let parts = self.parts()?;
        let _turn = self.turn().await?;
        let asking = async {
            Ok(store(&parts)?
                .destinations_shown(asked.destinations())
                .await?)
        };
        let page = within(asking).await?;
        Ok(DestinationList::of(page, asked.page, asked.limit))
    }

    pub(super) async fn destination(&self, name: &str) -> Result<DestinationShown, Trouble> {
        let (parts, configured) = (self.parts()?, self.configured()?);
        let _turn = self.turn().await?;
        let name = name.to_ascii_lowercase();
        let now = now();
        let asking = async {
            let seen = store(&parts)?.destination_seen(&name).await?;
            let policy = cached(&parts, &name, now).await?;
            Ok((seen, policy))
        };
        let (seen, policy) = within(asking).await?;
        let seen = seen.ok_or_else(|| {
            let words =
                "nothing is known of this destination: no mail was sent there, or not for long";
            Trouble::Missing(words.to_owned())
        })?;
        let rule = configured.rules.find(&name);
        Ok(DestinationShown::of(seen, rule, policy, now))
    }

    pub(super) async fn queue(&self, asked: &Asked) -> Result<QueueShown, Trouble> {
        let parts = self.parts()?;
        let _turn = self.turn().await?;
        let asking = async {
            let counts = queue_counts(&parts).await?;
            let all = Selection::default();
            let page = desk(&parts)?.page(all, asked.after, MOST_MAIL).await?;
            Ok(QueueShown::of(counts, page))
        };
        within(asking).await
    }

    pub(super) async fn policies(&self, asked: &Asked) -> Result<PolicyList, Trouble> {
        let parts = self.parts()?;
        let _turn = self.turn().await?;
        let (offset, limit) = (asked.offset() as usize, asked.limit as usize);
        let asking = async { Ok(parts.sts.search(&asked.search, offset, limit).await?) };
        let (matching, stored) = within(asking).await?;
        let now = now();
        let policies = stored.into_iter().map(|stored| {
            let domain = DomainName::parse(&stored.domain).ok().map(PolicyDomain);
            let failure = domain.and_then(|domain| parts.sts.failure(&domain));
            CachedPolicy {
                policy: PolicyEntry::of_stored(stored, now),
                last_failure: failure.map(|(age, failure)| LastFailure::of(age, &failure)),
            }
        });
        Ok(PolicyList {
            matching,
            page: asked.page,
            pages: matching.div_ceil(u64::from(asked.limit)).max(1),
            policies: policies.collect(),
        })
    }

    pub(super) async fn rules(&self, asked: &Asked) -> Result<RuleList, Trouble> {
        let (parts, configured) = (self.parts()?, self.configured()?);
        let _turn = self.turn().await?;
        let asking = async { Ok(store(&parts)?.rules_caught(MOST_RULES).await?) };
        let caught = within(asking).await?;
        let found = configured.rules.search(&asked.search);
        let matching = found.len() as u64;
        let found = found.into_iter().skip(asked.offset() as usize);
        let rules = found.take(asked.limit as usize).map(|rule| {
            let seen = caught.iter().find(|seen| seen.rule == rule.label());
            let mut rule = rule.clone();
            rule.caught = seen.map(Caught::of);
            rule
        });
        Ok(RuleList {
            matching,
            page: asked.page,
            pages: matching.div_ceil(u64::from(asked.limit)).max(1),
            default: configured.rules.default(),
            rules: rules.collect(),
        })
    }
}

async fn within<T>(asking: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let answered = tokio::time::timeout(LIMIT, asking).await;
    answered.unwrap_or(Err(Trouble::Late))
}

fn store(parts: &PageParts) -> Result<&Store, Trouble> {
    parts.store.as_ref().ok_or(Trouble::NoStore)
}

fn desk(parts: &PageParts) -> Result<&Desk, Trouble> {
    parts.desk.as_ref().ok_or(Trouble::NoStore)
}

async fn queue_counts(parts: &PageParts) -> Result<QueueCounts, Trouble> {
    Ok(QueueCounts::of(store(parts)?.totals().await?))
}

async fn history(parts: &PageParts, now: u64) -> Result<History, Trouble> {
    let store = store(parts)?;
    let noted = |filter, limit| DestinationQuery {
        filter,
        limit,
        ..DestinationQuery::default()
    };
    let blocked = noted(DestinationFilter::Blocked, MOST_NOTED);
    let plaintext = noted(DestinationFilter::Plaintext, 0);
    let downgraded = noted(DestinationFilter::Downgraded, MOST_NOTED);
    let found = Found {
        size: store.history_size().await?,
        hours: store.totals_by_hour(day_from(now), now + 1).await?,
        days: store.totals_by_day(month_from(now), now + 1).await?,
        blocked: store.destinations_shown(blocked).await?,
        plaintext: store.destinations_seen(plaintext).await?.matching,
        downgraded: store.destinations_shown(downgraded).await?,
    };
    Ok(History::of(found, now))
}

/// What is remembered of a domain's MTA-STS policy.
async fn cached(parts: &PageParts, name: &str, now: u64) -> Result<Option<CachedPolicy>, Trouble> {
    let Ok(name) = DomainName::parse(name) else {
        return Ok(None);
    };
    let domain = PolicyDomain(name);
    let shown = parts.sts.show(&domain).await?;
    let failure = shown.failure;
    Ok(shown.known.map(|known| CachedPolicy {
        policy: PolicyEntry::of_known(&domain, &known, now),
        last_failure: failure.map(|(age, failure)| LastFailure::of(age, &failure)),
    }))
}

/// Octets of the database and of its log.
async fn size(file: &Path) -> Option<u64> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let database = tokio::fs::metadata(file).await.ok()?.len();
    let log = tokio::fs::metadata(log).await;
    Some(database + log.map_or(0, |log| log.len()))
}
