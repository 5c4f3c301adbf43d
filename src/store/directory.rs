//! Directories that are still there when the power comes back.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes a directory, and those above it that are missing. Their names are on disk once this is done: to sync what is in
/// a directory does not say that the directory itself is found again (fsync(2)). It blocks.
pub fn make(directory: &Path, mode: u32) -> io::Result<()> {
    let missing = directory
        .ancestors()
        .take_while(|ancestor| !ancestor.exists());
    let missing: Vec<&Path> = missing.collect();
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(directory)?;
    for made in &missing {
        sync_name(made)?;
    }
    if missing.is_empty() {
        // Whoever made it may have died before this. Not everybody may read what is above.
        let _ = sync_name(directory);
    }
    Ok(())
}

/// What `directory` is called is in the one above it.
fn sync_name(directory: &Path) -> io::Result<()> {
    match directory.parent() {
        Some(above) if above.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_missing_is_made_with_this_mode() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("a/b");
        for _ in 0..2 {
            make(&directory, 0o700).unwrap();
            for made in [&directory, &base.path().join("a")] {
                let mode = made.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o700, "{made:?}");
            }
        }
        std::fs::write(base.path().join("file"), "").unwrap();
        assert!(make(&base.path().join("file/c"), 0o700).is_err());
    }
}
