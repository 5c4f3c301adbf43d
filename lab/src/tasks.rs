//! Owned tasks: whatever the lab starts in the background ends with its owner.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

/// Tasks that are aborted when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Tasks(JoinSet<()>);

impl Tasks {
    /// Starts a task, and forgets those that have ended meanwhile.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.0.try_join_next().is_some() {}
        self.0.spawn(task);
    }

    /// Takes over the tasks of another owner.
    pub(crate) fn adopt(&mut self, mut others: Self) {
        let others = std::mem::take(&mut others.0);
        self.0.spawn(async move {
            others.join_all().await;
        });
    }

    /// Aborts all and waits until they, and with them their sockets, are gone.
    pub(crate) async fn stop(&mut self) {
        self.0.shutdown().await;
    }
}

/// Locks even if another test thread panicked while it held the lock: the data is only ever appended to.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
