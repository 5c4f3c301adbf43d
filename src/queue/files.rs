//! Contents that are too large for the database: one that takes long to write holds up nobody's commit.

use crate::message::{Content, EightBit};
use crate::store::queue::Whereabouts;
use crate::store::{Store, StoreError, directory};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// Largest content in the database, octets.
const MAX_IN_DATABASE: u64 = 64 * 1024;

/// The directory of large contents, one file a message, by its id. Cheap to clone.
///
/// It is named after what the database is called and no other is, so that nobody takes for left behind what is
/// another database's: one that was put aside, for instance.
#[derive(Debug, Clone)]
pub struct QueueFiles {
    base: Arc<Path>,
    /// Once it is there.
    directory: Arc<OnceLock<PathBuf>>,
}

impl QueueFiles {
    /// In `queue/` beside this database.
    pub fn beside(database: &Path) -> Self {
        Self {
            base: database.with_file_name("queue").into(),
            directory: Arc::default(),
        }
    }

    /// Makes the directory if need be, for the owner alone; it is on disk once this is done.
    pub async fn make(&self, store: &Store) -> Result<(), StoreError> {
        if self.directory.get().is_some_and(|made| made.is_dir()) {
            return Ok(());
        }
        let directory = self.base.join(store.identity().await?);
        let making = directory.clone();
        let made = tokio::task::spawn_blocking(move || directory::make(&making, 0o700)).await;
        let failed = |error: io::Error| StoreError::Directory {
            path: directory.clone(),
            reason: error.to_string(),
        };
        made.map_err(io::Error::other)
            .and_then(|made| made)
            .map_err(failed)?;
        self.directory.get_or_init(|| directory);
        Ok(())
    }

    pub(super) fn is_made(&self) -> bool {
        self.directory.get().is_some()
    }

    /// Somewhere on the disk on which contents are kept.
    pub(super) fn disk(&self) -> &Path {
        let base = || self.base.parent().unwrap_or(&self.base);
        self.directory.get().map_or_else(base, PathBuf::as_path)
    }

    pub(super) fn place_of(content: &Content) -> Whereabouts {
        match content.size() > MAX_IN_DATABASE {
            true => Whereabouts::File,
            false => Whereabouts::Database,
        }
    }

    pub(super) async fn write(&self, id: &str, content: &Content) -> io::Result<()> {
        content.save(&self.path(id)?).await
    }

    pub(super) async fn read(&self, id: &str, eight_bit: EightBit) -> io::Result<Content> {
        Content::open(&self.path(id)?, eight_bit).await
    }

    /// Removes the content of a message that is gone. What cannot be removed now is at the next start.
    pub async fn remove(&self, id: &str) {
        let Ok(path) = self.path(id) else { return };
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_file(path)).await;
        if let Ok(Err(error)) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(id, %error, "the content of a message that is gone cannot be removed");
        }
    }

    /// Ids of contents that were there before `started`.
    pub(super) async fn left_behind(&self, started: SystemTime) -> io::Result<HashSet<String>> {
        let directory = self.made()?.to_owned();
        let listing = tokio::task::spawn_blocking(move || {
            let mut found = HashSet::new();
            for entry in std::fs::read_dir(&directory)? {
                let entry = entry?;
                let older = entry.metadata()?.modified()? < started;
                if let (true, Ok(name)) = (older, entry.file_name().into_string()) {
                    found.insert(name);
                }
            }
            Ok(found)
        });
        listing.await.map_err(io::Error::other)?
    }

    fn path(&self, id: &str) -> io::Result<PathBuf> {
        // Ids are ours: letters and digits.
        Ok(self.made()?.join(id))
    }

    fn made(&self) -> io::Result<&Path> {
        let missing = || io::Error::other("the queue has no directory yet");
        self.directory
            .get()
            .map(PathBuf::as_path)
            .ok_or_else(missing)
    }
}
