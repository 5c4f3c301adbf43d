//! One daemon for one database: the queue would otherwise be delivered twice.

use super::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Held for as long as the database is open; the kernel takes it back from whoever dies.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code)] File);

/// Takes the lock of the database at `path`: a file beside it, which stays. A database has one lock, by whatever links
/// it is reached.
pub(super) fn take(path: &Path) -> Result<Lock, StoreError> {
    // Whatever cannot be followed is not there yet.
    let database = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = database.into_os_string();
    name.push(".lock");
    let place = PathBuf::from(name);
    let failed =
        |error: std::io::Error| StoreError::CannotOpen(format!("{}: {error}", place.display()));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(&place)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn a_link_is_no_way_around_the_lock() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().join("db");
        let _first = Store::open(&database).unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&database, &link).unwrap();
        assert_eq!(Store::open(&link).unwrap_err(), StoreError::InUse);
    }
}
