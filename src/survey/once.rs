//! What was found out about a host, once for all domains that share it.
//!
//! Bounded by two generations: when the young one is full it becomes the old one, and what has not been used since
//! is forgotten. A host that is shared by many is used often, and stays.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

type Cell<V> = Arc<OnceCell<Arc<V>>>;

/// Values that are made once; whoever comes while one is being made waits for it.
#[derive(Debug)]
pub(super) struct Once<K, V> {
    kept: Mutex<Kept<K, V>>,
    most: Most<V>,
}

/// How much a generation may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most<V> {
    pub values: usize,
    pub weight: usize,
    /// Octets, more or less: strangers decide how long what they send is.
    pub weigh: fn(&V) -> usize,
}

#[derive(Debug)]
struct Kept<K, V> {
    young: HashMap<K, Cell<V>>,
    old: HashMap<K, Cell<V>>,
    /// Of the young ones.
    weight: usize,
}

impl<K: Eq + Hash + Clone, V> Once<K, V> {
    pub(super) fn new(most: Most<V>) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        let kept = Kept {
            young,
            old,
            weight: 0,
        };
        Self {
            kept: Mutex::new(kept),
            most,
        }
    }

    pub(super) async fn get(&self, key: K, make: impl AsyncFnOnce() -> V) -> Arc<V> {
        let cell = self.cell(key);
        let value = cell.get_or_init(async || {
            let value = Arc::new(make().await);
            self.kept().weight += (self.most.weigh)(&value);
            value
        });
        Arc::clone(value.await)
    }

    /// What was made elsewhere.
    pub(super) fn put(&self, key: K, value: V) {
        let weight = (self.most.weigh)(&value);
        // One that is there already is as good.
        let _ = self.cell(key).set(Arc::new(value));
        self.kept().weight += weight;
    }

    fn cell(&self, key: K) -> Cell<V> {
        let mut kept = self.kept();
        if let Some(cell) = kept.young.get(&key) {
            return Arc::clone(cell);
        }
        let cell = kept.old.remove(&key).unwrap_or_default();
        if kept.young.len() >= self.most.values || kept.weight >= self.most.weight {
            kept.old = std::mem::take(&mut kept.young);
            kept.weight = 0;
        }
        kept.weight += cell.get().map_or(0, |value| (self.most.weigh)(value));
        kept.young.insert(key, Arc::clone(&cell));
        cell
    }

    fn kept(&self) -> MutexGuard<'_, Kept<K, V>> {
        // Nothing that holds the lock leaves the maps half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_value_is_made_once_and_what_is_used_is_kept() {
        let most = Most {
            values: 10,
            weight: usize::MAX,
            weigh: |_| 1,
        };
        let (once, made) = (Once::new(most), AtomicUsize::new(0));
        let get = |key: usize| {
            once.get(key, async || {
                tokio::task::yield_now().await;
                made.fetch_add(1, Ordering::Relaxed)
            })
        };
        join_all((0..5).map(|_| get(0))).await;
        assert_eq!(made.load(Ordering::Relaxed), 1, "together");
        for key in 1..1000 {
            get(key).await;
            assert_eq!(*get(0).await, 0, "{key}");
        }
        let kept = once.kept.lock().unwrap();
        assert!(kept.young.len() + kept.old.len() <= 20);
    }

    #[tokio::test]
    async fn what_weighs_much_leaves_room_for_little() {
        let once = Once::new(Most {
            values: 1000,
            weight: 100,
            weigh: |value: &usize| *value,
        });
        for key in 0..100 {
            once.get(key, async || 50).await;
            let kept = once.kept();
            assert!(kept.young.len() + kept.old.len() <= 4, "{key}");
        }
    }
}
