//! The status page on `admin.listen`, and the same as JSON below `/api/v1`: reading only.
//!
//! | page | JSON below `/api/v1` | what |
//! |---|---|---|
//! | `/` | `/overview` | [`facts::Overview`] |
//! | `/destinations` | `/destinations` | [`facts::DestinationList`] |
//! | `/destinations/NAME` | `/destinations/NAME` | [`facts::DestinationShown`] |
//! | `/queue` | `/queue` | [`facts::QueueShown`] |
//! | `/policies` | `/policies` | [`facts::PolicyList`] |
//! | `/rules` | `/rules` | [`facts::RuleList`] |
//!
//! The daemon hands over what can be asked ([`Page::open`]) and what the configuration says ([`Page::configure`]); the
//! page asks the store beside the mail, little at a time, and not for long.

mod answer;
pub mod facts;
mod gather;
mod host;
mod request;
mod routes;
mod view;

pub(super) use routes::routes;

use super::Health;
use crate::clock;
use crate::discovery::Sts;
use crate::dns::Dns;
use crate::names::DomainName;
use crate::policy::PolicySettings;
use crate::queue::Desk;
use crate::store::Store;
use arc_swap::ArcSwapOption;
use facts::Rulebook;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// Requests that ask the store at the same time; others wait for their turn.
const TURNS: usize = 2;

/// The page, from before there is anything to show until the end. Cheap to clone.
#[derive(Clone)]
pub struct Page(Arc<Shared>);

struct Shared {
    health: Health,
    /// UNIX seconds, and the same by a clock that nobody sets.
    started: (u64, Instant),
    parts: ArcSwapOption<PageParts>,
    settings: ArcSwapOption<Configured>,
    /// Why the last reload failed.
    problem: Mutex<Option<String>>,
    turns: Semaphore,
}

/// What can be asked.
#[derive(Debug)]
pub struct PageParts {
    pub store: Option<Store>,
    /// The store's.
    pub file: PathBuf,
    pub sts: Sts,
    pub dns: Dns,
    pub desk: Option<Desk>,
}

/// What the configuration says.
#[derive(Debug)]
pub struct PageSettings {
    /// `admin.page`
    pub offered: Offered,
    pub hostname: DomainName,
    /// `admin.hosts`: further names that the page is called by.
    pub hosts: Vec<DomainName>,
    pub policy: PolicySettings,
}

/// Whether there is a page at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offered {
    #[default]
    Yes,
    No,
}

/// Settings, prepared.
struct Configured {
    offered: Offered,
    hostname: DomainName,
    hosts: Vec<DomainName>,
    rules: Rulebook,
    /// UNIX seconds.
    read: u64,
}

impl Page {
    pub fn new(health: Health) -> Self {
        Self(Arc::new(Shared {
            health,
            started: (now(), Instant::now()),
            parts: ArcSwapOption::empty(),
            settings: ArcSwapOption::empty(),
            problem: Mutex::default(),
            turns: Semaphore::new(TURNS),
        }))
    }

    pub(super) fn health(&self) -> Health {
        self.0.health.clone()
    }

    /// From now on there is something to show.
    pub fn open(&self, parts: PageParts) {
        self.0.parts.store(Some(Arc::new(parts)));
    }

    /// Lets go of all that can be asked.
    pub fn close(&self) {
        self.0.parts.store(None);
    }

    /// A configuration was read, and is in force.
    pub fn configure(&self, settings: PageSettings) {
        self.0.settings.store(Some(Arc::new(Configured {
            offered: settings.offered,
            hostname: settings.hostname,
            hosts: settings.hosts,
            rules: Rulebook::of(settings.policy),
            read: now(),
        })));
        self.set_problem(None);
    }

    /// A configuration was read in vain.
    pub fn reload_failed(&self, problem: &str) {
        self.set_problem(Some(problem.to_owned()));
    }

    fn set_problem(&self, problem: Option<String>) {
        // Nothing can panic while it is held.
        *self
            .0
            .problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = problem;
    }

    fn problem(&self) -> Option<String> {
        let problem = self.0.problem.lock();
        problem.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// UNIX seconds.
fn now() -> u64 {
    let since = clock::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
