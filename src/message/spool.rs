//! The memory that all contents share.

use super::content::ContentWriter;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much content is held in memory, and where the rest goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Octets of one message; beyond, it goes to a file.
    pub per_message: usize,
    /// Octets of all messages together; beyond, new ones go to files whatever their size.
    pub total: u64,
    /// Where the unlinked files are made.
    pub directory: PathBuf,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            per_message: 256 * 1024,
            total: 256 * 1024 * 1024,
            directory: std::env::temp_dir(),
        }
    }
}

/// The shared account of content memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SpoolMemory {
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    limits: SpoolLimits,
    used: AtomicU64,
}

/// A part of the shared memory; given back when dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    account: Option<Arc<Account>>,
    octets: u64,
}

/// Least that is reserved at once, octets: most messages ask once.
const STEP: usize = 16 * 1024;

impl SpoolMemory {
    pub fn new(limits: SpoolLimits) -> Self {
        let used = AtomicU64::new(0);
        Self {
            account: Arc::new(Account { limits, used }),
        }
    }

    /// Begins a content with `head`, our own Received field.
    pub fn writer(&self, head: &[u8]) -> ContentWriter {
        ContentWriter::new(self.clone(), head)
    }

    /// Octets in use by all contents.
    pub fn used(&self) -> u64 {
        self.account.used.load(Ordering::Relaxed)
    }

    pub(super) fn per_message(&self) -> usize {
        self.account.limits.per_message
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.account.limits.directory.clone()
    }

    /// Makes `reserved` cover `wanted` octets; `false` if the shared memory has no room.
    pub(super) fn grow(&self, reserved: &mut Reserved, wanted: usize) -> bool {
        if wanted as u64 <= reserved.octets {
            return true;
        }
        // Buffers double when they grow; the account follows what is really allocated.
        let target = wanted.next_power_of_two().max(STEP) as u64;
        let more = target - reserved.octets;
        let within = |used: u64| Some(used + more).filter(|&u| u <= self.account.limits.total);
        let taken = self
            .account
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within);
        if taken.is_ok() {
            reserved.account = Some(Arc::clone(&self.account));
            reserved.octets = target;
        }
        taken.is_ok()
    }
}

impl Reserved {
    pub(super) fn nothing() -> Self {
        Self {
            account: None,
            octets: 0,
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.used.fetch_sub(self.octets, Ordering::Relaxed);
        }
    }
}
