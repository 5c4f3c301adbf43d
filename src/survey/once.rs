//! What was found out about a host, once for all domains that share it.
//!
//! Bounded by two generations: when the young one is full it becomes the old one, and what has not been used since
//! is forgotten. A host that is shared by many is used often, and stays.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

type Cell<V> = Arc<OnceCell<Arc<V>>>;

/// Values that are made once; whoever comes while one is being made waits for it.
#[derive(Debug)]
pub(super) struct Once<K, V> {
    kept: Mutex<Kept<K, V>>,
    generation: usize,
}

#[derive(Debug)]
struct Kept<K, V> {
    young: HashMap<K, Cell<V>>,
    old: HashMap<K, Cell<V>>,
}

impl<K: Eq + Hash + Clone, V> Once<K, V> {
    /// Keeps at most about twice as many.
    pub(super) fn new(generation: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self {
            kept: Mutex::new(Kept { young, old }),
            generation: generation.max(1),
        }
    }

    pub(super) async fn get(&self, key: K, make: impl AsyncFnOnce() -> V) -> Arc<V> {
        let cell = self.cell(key);
        let value = cell.get_or_init(async || Arc::new(make().await)).await;
        Arc::clone(value)
    }

    fn cell(&self, key: K) -> Cell<V> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = kept.young.get(&key) {
            return Arc::clone(cell);
        }
        let cell = kept.old.remove(&key).unwrap_or_default();
        if kept.young.len() >= self.generation {
            kept.old = std::mem::take(&mut kept.young);
        }
        kept.young.insert(key, Arc::clone(&cell));
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_value_is_made_once_and_what_is_used_is_kept() {
        let (once, made) = (Once::new(10), AtomicUsize::new(0));
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
}
