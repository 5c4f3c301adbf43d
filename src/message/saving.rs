//! Contents that outlive the process.

use super::content::{Content, blocking};
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

impl Content {
    /// Writes the whole to a new file, which is on disk, and in its directory, once this is done. What an error
    /// leaves behind is removed as far as possible.
    pub async fn save(&self, path: &Path) -> io::Result<()> {
        let at = path.to_owned();
        let file = blocking(move || new_file(&at)).await?;
        let saved = self.write_to(file, path.parent()).await;
        if saved.is_err() {
            let path = path.to_owned();
            // The first error is the one to tell.
            let _ = blocking(move || std::fs::remove_file(path)).await;
        }
        saved
    }

    async fn write_to(&self, mut file: File, directory: Option<&Path>) -> io::Result<()> {
        let mut reader = self.reader();
        while let Some(piece) = reader.chunk().await? {
            file = blocking(move || {
                file.write_all(&piece)?;
                Ok(file)
            })
            .await?;
        }
        let directory = directory.map(Path::to_owned);
        blocking(move || {
            file.sync_data()?;
            match directory {
                Some(directory) => File::open(directory)?.sync_all(),
                None => Ok(()),
            }
        })
        .await
    }

    /// The whole in memory; for what is known to be small.
    pub async fn octets(&self) -> io::Result<Bytes> {
        let mut reader = self.reader();
        let first = reader.chunk().await?.unwrap_or_default();
        if first.len() as u64 == self.size() {
            return Ok(first);
        }
        let mut all = first.to_vec();
        while let Some(piece) = reader.chunk().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }
}

/// Mail is for the owner alone.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::super::{EightBit, SpoolLimits, SpoolMemory};
    use super::*;

    #[tokio::test]
    async fn what_was_saved_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let memory = SpoolMemory::new(SpoolLimits {
            per_message: 100_000,
            directory: directory.path().to_owned(),
            ..SpoolLimits::default()
        });
        for size in [0, 10, 65_536, 300_000] {
            let path = directory.path().join(size.to_string());
            let mut writer = memory.writer(b"");
            let octets: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
            writer.write(&octets).await.unwrap();
            let content = writer.finish().await.unwrap();
            content.save(&path).await.unwrap();
            assert!(content.octets().await.unwrap() == octets, "{size}");
            let again = Content::open(&path, EightBit::Yes).await.unwrap();
            assert_eq!(again.size(), u64::from(size));
            assert!(again.octets().await.unwrap() == octets, "{size}");
            assert!(content.save(&path).await.is_err(), "never overwritten");
            assert!(path.exists());
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let content = Content::from_octets(Bytes::from_static(b"a"));
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("missing/file");
        assert!(content.save(&nowhere).await.is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
