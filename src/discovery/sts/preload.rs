//! Lists of policies for domains that were never written to (`policy.preload`).

use super::{Sts, now};
use crate::mta_sts::{Policy, Preload};
use crate::names::DomainName;
use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A list, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreloadedList {
    pub path: PathBuf,
    pub list: Arc<Preload>,
}

/// The lists in force; of two the first counts.
#[derive(Debug, Default)]
pub(super) struct Preloads {
    lists: ArcSwap<Vec<Arc<Preload>>>,
    /// How often lists were announced: those that come late are none.
    announced: AtomicU64,
}

impl Preloads {
    pub(super) fn find(&self, domain: &DomainName, now: u64) -> Option<Arc<Policy>> {
        let lists = self.lists.load();
        lists
            .iter()
            .find_map(|list| list.find(domain, now))
            .map(Arc::clone)
    }
}

impl Sts {
    /// Puts lists in force. One that is older than what was there under its name before is none: somebody may
    /// want to go back behind a policy that was added since. They come into force when the store has been asked,
    /// unless this was called again meanwhile.
    pub fn preload(&self, lists: Vec<PreloadedList>) -> impl Future<Output = ()> + use<> {
        let announced = &self.shared.preloads.announced;
        let number = announced.fetch_add(1, Ordering::Relaxed) + 1;
        let sts = self.clone();
        async move {
            let kept = sts.not_rolled_back(lists).await;
            let preloads = &sts.shared.preloads;
            if preloads.announced.load(Ordering::Relaxed) == number {
                preloads.lists.store(Arc::new(kept));
            }
        }
    }

    async fn not_rolled_back(&self, lists: Vec<PreloadedList>) -> Vec<Arc<Preload>> {
        let mut kept = Vec::new();
        for PreloadedList { path, list } in lists {
            let highest = match &self.shared.store {
                None => list.timestamp,
                // Only an edition that can be used counts as seen.
                Some(_) if now() >= list.expires => list.timestamp,
                Some(store) => {
                    let name = path.display().to_string();
                    let noting = store.note_preload(&name, list.timestamp);
                    self.in_time(noting).await.unwrap_or(list.timestamp)
                }
            };
            if highest > list.timestamp {
                self.shared.observer.rolled_back(&path);
            } else {
                kept.push(list);
            }
        }
        kept
    }
}
