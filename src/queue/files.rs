//! Contents that are too large for the database: one that takes long to write holds up nobody's commit.

use crate::message::{Content, EightBit};
use crate::store::queue::Whereabouts;
use crate::store::{Store, StoreError, directory};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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
    directory: Arc<OnceLock<Made>>,
}

/// The directory, and what was in it before this process put anything there.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    found: Mutex<io::Result<HashSet<String>>>,
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
        if self.directory.get().is_some_and(|made| made.path.is_dir()) {
            return Ok(());
        }
        let directory = self.base.join(store.identity().await?);
        let making = directory.clone();
        let made = tokio::task::spawn_blocking(move || {
            directory::make(&making, 0o700)?;
            Ok(names(&making))
        });
        let failed = |error: io::Error| StoreError::Directory {
            path: directory.clone(),
            reason: error.to_string(),
        };
        let found = made.await.map_err(io::Error::other);
        let found = found.and_then(|made| made).map_err(&failed)?;
        self.directory.get_or_init(|| Made {
            path: directory.clone(),
            found: Mutex::new(found),
        });
        Ok(())
    }

    pub(super) fn is_made(&self) -> bool {
        self.directory.get().is_some()
    }

    /// Somewhere on the disk on which contents are kept.
    pub(super) fn disk(&self) -> &Path {
        let base = || self.base.parent().unwrap_or(&self.base);
        self.directory.get().map_or_else(base, |made| &made.path)
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

    /// Ids of contents that were there before `started`, and before this process put anything there: its clock may have
    /// been set back meanwhile. They are told once.
    pub(super) async fn left_behind(&self, started: SystemTime) -> io::Result<HashSet<String>> {
        let made = self.made()?;
        let found = {
            // Nothing can panic while it is held.
            let mut found = made.found.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *found, Ok(HashSet::new()))?
        };
        let directory = made.path.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let is_older = |id: &String| {
                let time = std::fs::metadata(directory.join(id)).and_then(|of| of.modified());
                time.is_ok_and(|time| time < started)
            };
            found.into_iter().filter(is_older).collect()
        });
        looking.await.map_err(io::Error::other)
    }

    fn path(&self, id: &str) -> io::Result<PathBuf> {
        // Ids are ours: letters and digits.
        Ok(self.made()?.path.join(id))
    }

    fn made(&self) -> io::Result<&Made> {
        let missing = || io::Error::other("the queue has no directory yet");
        self.directory.get().ok_or_else(missing)
    }
}

fn names(directory: &Path) -> io::Result<HashSet<String>> {
    let mut found = HashSet::new();
    for entry in std::fs::read_dir(directory)? {
        found.extend(entry?.file_name().into_string());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[tokio::test]
    async fn what_this_process_has_written_is_never_left_behind_whatever_the_clock_says() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().join("db");
        let store = Store::open(&database).unwrap();
        let content = Content::from_octets("x".into());
        let early = UNIX_EPOCH + Duration::from_secs(1000);
        let write = async |files: &QueueFiles, id: &str| {
            files.write(id, &content).await.unwrap();
            let file = std::fs::File::options()
                .write(true)
                .open(files.path(id).unwrap());
            file.unwrap().set_modified(early).unwrap();
        };
        let earlier = QueueFiles::beside(&database);
        earlier.make(&store).await.unwrap();
        write(&earlier, "OLD").await;
        let files = QueueFiles::beside(&database);
        files.make(&store).await.unwrap();
        // The clock was set back before it, and before anybody has looked.
        write(&files, "NEW").await;
        let started = early + Duration::from_secs(60);
        let found = files.left_behind(started).await.unwrap();
        assert_eq!(found, HashSet::from(["OLD".to_owned()]));
    }
}
