//! Every task of the daemon, by name: the one place that spawns.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Owns tasks until they have ended. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    names: Names,
}

/// The names of what runs, in the order of their start.
#[derive(Debug, Clone, Default)]
struct Names {
    running: Arc<Mutex<BTreeMap<u64, Arc<str>>>>,
    next: Arc<AtomicU64>,
}

impl Tasks {
    /// Starts a task. Its name tells at shutdown who is waited for, and who panicked.
    pub fn spawn<F>(&self, name: impl Into<Arc<str>>, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let entry = self.names.enter(name.into());
        self.tracker.spawn(async move {
            let _entry = entry;
            task.await;
        });
    }

    /// For tasks that are too many to be named one by one, such as sessions; they are waited for
    /// like the others.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Who runs: names, and how many have none.
    pub fn running(&self) -> String {
        let names: Vec<Arc<str>> = self.names.lock().values().cloned().collect();
        match self.tracker.len().saturating_sub(names.len()) {
            0 => names.join(", "),
            unnamed if names.is_empty() => format!("{unnamed} sessions or deliveries"),
            unnamed => format!("{}, {unnamed} sessions or deliveries", names.join(", ")),
        }
    }

    /// Waits until every task has ended.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Waits until every task has ended; `Err` with who has not in time.
    pub async fn ended_within(&self, limit: Duration) -> Result<(), String> {
        let ended = tokio::time::timeout(limit, self.ended()).await;
        ended.map_err(|_| self.running())
    }
}

impl Names {
    fn enter(&self, name: Arc<str>) -> Entry {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, name);
        Entry {
            names: self.clone(),
            id,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<str>>> {
        // Nothing can panic while it is held.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name's place in the list, given back when the task ends, also by a panic.
struct Entry {
    names: Names,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let name = self.names.lock().remove(&self.id);
        if std::thread::panicking() {
            tracing::error!(task = name.as_deref(), "a task panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn shutdown_says_whom_it_waits_for() {
        let tasks = Tasks::default();
        let stop = CancellationToken::new();
        tasks.spawn("ends at once", async {});
        tasks.spawn("panics", async { panic!("on purpose") });
        tasks.spawn("waits", stop.clone().cancelled_owned());
        tasks.tracker().spawn(stop.clone().cancelled_owned());
        let waiting = tasks.ended_within(Duration::from_millis(50)).await;
        assert_eq!(waiting, Err("waits, 1 sessions or deliveries".into()));
        stop.cancel();
        assert_eq!(tasks.ended_within(Duration::from_secs(10)).await, Ok(()));
        assert_eq!(tasks.running(), "");
    }
}
