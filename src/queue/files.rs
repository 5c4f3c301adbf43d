//! Contents that are too large for the database: one that takes long to write holds up nobody's commit.

use crate::message::{Content, EightBit};
use crate::store::directory;
use crate::store::queue::Whereabouts;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Largest content in the database, octets.
const MAX_IN_DATABASE: u64 = 64 * 1024;

/// The directory of large contents, one file a message, by its id. Cheap to clone.
#[derive(Debug, Clone)]
pub struct QueueFiles {
    directory: Arc<Path>,
}

impl QueueFiles {
    /// Makes the directory if need be, for the owner alone. It blocks: a start-up call.
    pub fn open(directory: &Path) -> io::Result<Self> {
        directory::make(directory, 0o700)?;
        Ok(Self {
            directory: directory.into(),
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn place_of(content: &Content) -> Whereabouts {
        match content.size() > MAX_IN_DATABASE {
            true => Whereabouts::File,
            false => Whereabouts::Database,
        }
    }

    pub(super) async fn write(&self, id: &str, content: &Content) -> io::Result<()> {
        content.save(&self.path(id)).await
    }

    pub(super) async fn read(&self, id: &str, eight_bit: EightBit) -> io::Result<Content> {
        Content::open(&self.path(id), eight_bit).await
    }

    /// Removes the content of a message that is gone. What cannot be removed now is at the next start.
    pub async fn remove(&self, id: &str) {
        let path = self.path(id);
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_file(path)).await;
        if let Ok(Err(error)) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(id, %error, "the content of a message that is gone cannot be removed");
        }
    }

    /// Ids of contents that were there before `started`.
    pub(super) async fn left_behind(&self, started: SystemTime) -> io::Result<HashSet<String>> {
        let directory = Arc::clone(&self.directory);
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

    fn path(&self, id: &str) -> PathBuf {
        // Ids are ours: letters and digits.
        self.directory.join(id)
    }
}
