//! Answers and failures kept for as long as they hold, and questions in flight merged: whoever asks
//! what is already being asked waits for the same answer.
//!
//! Bounded by two generations: when the young one is full it becomes the old one, and what was in the
//! old one and has not been used since is forgotten. A hit costs a lock and a clone of an `Arc`.

use super::LookupFailure;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// What a lookup came to; cheap to clone.
pub(super) type Outcome<V> = Result<V, LookupFailure>;

/// Shards, so that sessions on several threads seldom wait for each other; a power of two.
const SHARDS: usize = 16;

/// Outcomes of lookups by key.
pub(super) struct Cache<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    hasher: RandomState,
    /// Entries of one generation of one shard.
    generation: usize,
}

struct Shard<K, V> {
    young: HashMap<K, Kept<V>>,
    old: HashMap<K, Kept<V>>,
    pending: HashMap<K, Pending<V>>,
}

struct Kept<V> {
    outcome: Outcome<V>,
    until: Instant,
}

/// The answer that will come; `None` until then.
pub(super) struct Pending<V>(watch::Receiver<Option<Outcome<V>>>);

/// What a caller has to do.
pub(super) enum Entry<K: Eq + Hash, V> {
    /// Nothing: it is known.
    Known(Outcome<V>),
    /// Wait for whoever asks already.
    Asked(Pending<V>),
    /// Ask, and settle; others wait for it.
    Ask(Asker<K, V>, Pending<V>),
}

/// The duty to find out. Dropped without an outcome, it wakes the waiting with a failure.
pub(super) struct Asker<K: Eq + Hash, V> {
    cache: Arc<Cache<K, V>>,
    key: K,
    sender: watch::Sender<Option<Outcome<V>>>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// Keeps at most about `capacity` outcomes.
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::new(Shard::default())),
            hasher: RandomState::new(),
            generation: (capacity / SHARDS / 2).max(1),
        })
    }

    /// Looks `key` up; what is not known and not being asked becomes the caller's to ask.
    pub(super) fn enter(self: &Arc<Self>, key: &K, now: Instant) -> Entry<K, V> {
        let mut shard = self.shard(key);
        if let Some(outcome) = shard.find(key, now, self.generation) {
            return Entry::Known(outcome);
        }
        if let Some(Pending(receiver)) = shard.pending.get(key) {
            return Entry::Asked(Pending(receiver.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        shard.pending.insert(key.clone(), Pending(receiver.clone()));
        let asker = Asker {
            cache: Arc::clone(self),
            key: key.clone(),
            sender,
        };
        Entry::Ask(asker, Pending(receiver))
    }
}

impl<K: Eq + Hash, V> Cache<K, V> {
    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, V>> {
        // The low bits choose the bucket inside the map, the high ones the shard.
        let hash = self.hasher.hash_one(key);
        let index = (hash >> 32) as usize % SHARDS;
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Asker<K, V> {
    /// Tells those who wait, and keeps the outcome until `until`.
    pub(super) fn settle(self, outcome: Outcome<V>, until: Instant) {
        let kept = Kept {
            outcome: outcome.clone(),
            until,
        };
        self.cache
            .shard(&self.key)
            .keep(self.key.clone(), kept, self.cache.generation);
        self.sender.send_replace(Some(outcome));
    }
}

impl<K: Eq + Hash, V> Drop for Asker<K, V> {
    fn drop(&mut self) {
        self.cache.shard(&self.key).pending.remove(&self.key);
    }
}

impl<V: Clone> Pending<V> {
    /// Waits; as long as a question may take, since that is what bounds the asker.
    pub(super) async fn outcome(mut self) -> Outcome<V> {
        let aborted = || {
            Err(LookupFailure::ServerFailure(
                "the lookup was aborted".into(),
            ))
        };
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(aborted),
            Err(_) => aborted(),
        }
    }
}

impl<K, V> Default for Shard<K, V> {
    fn default() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            pending: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash, V: Clone> Shard<K, V> {
    /// Finds what still holds; something found in the old generation moves to the young one.
    fn find(&mut self, key: &K, now: Instant, generation: usize) -> Option<Outcome<V>> {
        if let Some(kept) = self.young.get(key) {
            return (now < kept.until).then(|| kept.outcome.clone());
        }
        let (key, kept) = self.old.remove_entry(key)?;
        if now >= kept.until {
            return None;
        }
        let outcome = kept.outcome.clone();
        self.keep(key, kept, generation);
        Some(outcome)
    }

    fn keep(&mut self, key: K, kept: Kept<V>, generation: usize) {
        if self.young.len() >= generation && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Answer, Existence, Proof};
    use crate::names::DomainName;
    use std::time::Duration;

    fn answer(record: u32) -> Outcome<Arc<Answer<u32>>> {
        Ok(Arc::new(Answer {
            records: vec![record],
            existence: Existence::Present,
            proof: Proof::Insecure,
            canonical: DomainName::parse("example.com").unwrap(),
            first_alias: None,
            expires: Instant::now(),
        }))
    }

    fn put(cache: &Arc<Cache<u32, Arc<Answer<u32>>>>, key: u32, now: Instant, until: Instant) {
        match cache.enter(&key, now) {
            Entry::Ask(asker, _) => asker.settle(answer(key), until),
            Entry::Known(_) | Entry::Asked(_) => panic!("{key} is known"),
        }
    }

    fn known(cache: &Arc<Cache<u32, Arc<Answer<u32>>>>, key: u32, now: Instant) -> bool {
        matches!(cache.enter(&key, now), Entry::Known(_))
    }

    #[test]
    fn what_has_expired_is_asked_again() {
        let (cache, now) = (Cache::new(1000), Instant::now());
        let later = now + Duration::from_secs(10);
        put(&cache, 1, now, later);
        assert!(known(&cache, 1, now));
        assert!(!known(&cache, 1, later));
        put(&cache, 1, later, later + Duration::from_secs(1));
        assert!(known(&cache, 1, later));
    }

    #[test]
    fn it_never_grows_beyond_its_capacity_and_forgets_the_unused() {
        let (cache, now) = (Cache::new(SHARDS * 20), Instant::now());
        let until = now + Duration::from_secs(60);
        put(&cache, 0, now, until);
        for key in 1..10_000 {
            put(&cache, key, now, until);
            assert!(known(&cache, 0, now), "used all the time, at {key}");
        }
        let kept: usize = cache
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.lock().unwrap();
                assert!(shard.pending.is_empty());
                shard.young.len() + shard.old.len()
            })
            .sum();
        assert!(kept <= SHARDS * 20, "{kept}");
        assert!(!known(&cache, 1, now));
    }

    #[tokio::test]
    async fn an_asker_that_gives_up_wakes_the_waiting() {
        let (cache, now) = (Cache::<u32, u32>::new(1000), Instant::now());
        let Entry::Ask(asker, first) = cache.enter(&1, now) else {
            panic!("nobody asked before");
        };
        let Entry::Asked(second) = cache.enter(&1, now) else {
            panic!("somebody asks already");
        };
        drop(asker);
        assert!(matches!(
            first.outcome().await,
            Err(LookupFailure::ServerFailure(_))
        ));
        assert!(second.outcome().await.is_err());
        assert!(matches!(cache.enter(&1, now), Entry::Ask(..)));
    }
}
