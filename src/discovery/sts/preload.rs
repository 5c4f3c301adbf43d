//! Lists of policies for domains that were never written to (`policy.preload`).

use super::{Sts, now};
use crate::mta_sts::{Policy, Preload};
use crate::names::DomainName;
use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::sync::Arc;

/// A list, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreloadedList {
    pub path: PathBuf,
    pub list: Arc<Preload>,
}

/// The lists in force; of two the first counts.
#[derive(Debug, Default)]
pub(super) struct Preloads(ArcSwap<Vec<Arc<Preload>>>);

impl Preloads {
    pub(super) fn find(&self, domain: &DomainName, now: u64) -> Option<Arc<Policy>> {
        let lists = self.0.load();
        lists
            .iter()
            .find_map(|list| list.find(domain, now))
            .map(Arc::clone)
    }
}

impl Sts {
    /// Puts lists in force. One that is older than what was there under its name before is none: somebody may
    /// want to go back behind a policy that was added since.
    pub async fn preload(&self, lists: Vec<PreloadedList>) {
        let mut kept = Vec::new();
        for PreloadedList { path, list } in lists {
            let highest = match &self.shared.store {
                None => list.timestamp,
                // Only an edition that can be used counts as seen.
                Some(_) if now() >= list.expires => list.timestamp,
                Some(store) => {
                    let name = path.display().to_string();
                    let noted = store.note_preload(&name, list.timestamp).await;
                    if let Err(error) = &noted {
                        self.shared.observer.store(Some(error));
                    }
                    noted.unwrap_or(list.timestamp)
                }
            };
            if highest > list.timestamp {
                self.shared.observer.rolled_back(&path);
            } else {
                kept.push(list);
            }
        }
        self.shared.preloads.0.store(Arc::new(kept));
    }
}
