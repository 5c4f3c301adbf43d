//! `--resume FILE`: the records of a scan, kept line by line. Whatever ends the scan, what stands in the file is done.

use super::output::Retry;
use crate::cli::print::{Trouble, json, safe};
use crate::survey::lines::{Defect, Line, Lines};
use crate::survey::record::{Class, Record};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The file, locked against another scan that would write to it.
pub(super) struct Kept {
    file: File,
    path: PathBuf,
}

/// Which domains are in a file, in which group.
#[derive(Debug, Default)]
pub(super) struct Done(HashSet<[u8; 16]>);

impl Done {
    pub(super) fn has(&self, domain: &str, group: Option<&str>) -> bool {
        !self.0.is_empty() && self.0.contains(&key(domain, group))
    }
}

/// What is done with a record that the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Keep,
    Again,
}

impl Kept {
    /// Opens the file, makes it whole, and hands over every record in it that counts.
    pub(super) fn open(
        path: &Path,
        retry: Retry,
        mut each: impl FnMut(&Record) -> io::Result<()>,
    ) -> Result<(Self, Done), Trouble> {
        let problem = |error: io::Error| Trouble::Usage(format!("{}: {error}", path.display()));
        let mut file = lock(path).map_err(Trouble::Usage)?;
        let mut done = HashSet::new();
        let mut end = 0;
        let mut again = 0_u64;
        let mut lines = Lines::new(BufReader::new(&file));
        while let Some(found) = lines.next_line().map_err(problem)? {
            match found.line {
                Line::Record(record) if wanted(&record, retry) == Use::Again => again += 1,
                Line::Record(record) => {
                    if done.insert(key(&record.domain, record.group.as_deref())) {
                        each(&record)?;
                    }
                }
                Line::Unreadable(defect) => {
                    // A list of domains given by mistake is not written to.
                    if done.is_empty() && again == 0 && !begins_like_a_record(path, found.offset) {
                        return Err(Trouble::Usage(format!(
                            "{}: not the JSON lines of a scan: {}",
                            path.display(),
                            safe(&defect.to_string())
                        )));
                    }
                    let defect_words = safe(&defect.to_string());
                    eprintln!(
                        "sealpost: scan: {} line {}: {defect_words}",
                        path.display(),
                        found.number
                    );
                    if defect == Defect::Unfinished {
                        break;
                    }
                }
            }
            end = found.end;
        }
        if again > 0 {
            file = without_untested(path, &file).map_err(problem)?;
        } else {
            file.set_len(end).map_err(problem)?;
        }
        end_line(&mut file).map_err(problem)?;
        let path = path.to_owned();
        Ok((Self { file, path }, Done(done)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// In one write: a scan that is killed leaves at most one line that is not whole.
    pub(super) fn append(&mut self, record: &Record) -> io::Result<()> {
        self.file
            .write_all(format!("{}\n", json(record)).as_bytes())
    }
}

fn wanted(record: &Record, retry: Retry) -> Use {
    match retry {
        Retry::Yes if record.class == Class::CouldNotTest => Use::Again,
        Retry::Yes | Retry::No => Use::Keep,
    }
}

/// The file with the lock on it; it is made if it does not exist.
fn lock(path: &Path) -> Result<File, String> {
    let problem = |error: io::Error| format!("{}: {error}", path.display());
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(problem)?;
    let found = file.metadata().map_err(problem)?;
    if !found.is_file() {
        return Err(format!("{}: not a file", path.display()));
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(format!("{}: another scan is writing to it", path.display()));
        }
        Err(TryLockError::Error(error)) => return Err(problem(error)),
    }
    // Another scan may have put a new file in its place between opening and locking.
    let named = std::fs::metadata(path).map_err(problem)?;
    if (named.dev(), named.ino()) != (found.dev(), found.ino()) {
        return Err(format!("{}: another scan is writing to it", path.display()));
    }
    Ok(file)
}

fn begins_like_a_record(path: &Path, offset: u64) -> bool {
    let first = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut first = [0];
        file.read_exact(&mut first)?;
        Ok(first[0])
    };
    matches!(first(), Ok(b'{'))
}

/// A file without the records that are made anew, in the place of the old one, and locked before it is there.
fn without_untested(path: &Path, old: &File) -> io::Result<File> {
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let mut builder = tempfile::Builder::new();
    let builder = builder
        .prefix(".sealpost-")
        .permissions(old.metadata()?.permissions());
    let new = builder
        .append(true)
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    new.as_file().try_lock().map_err(io::Error::from)?;
    let mut written = BufWriter::new(new.as_file());
    let mut again = BufReader::new(old.try_clone()?);
    again.seek(SeekFrom::Start(0))?;
    let mut lines = Lines::new(again);
    let mut source = File::open(path)?;
    while let Some(found) = lines.next_line()? {
        if let Line::Record(record) = found.line
            && wanted(&record, Retry::Yes) == Use::Keep
        {
            // As it stands there, with what a later version may have written.
            source.seek(SeekFrom::Start(found.offset))?;
            io::copy(&mut (&source).take(found.end - found.offset), &mut written)?;
        }
    }
    written.flush()?;
    drop(written);
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)
}

/// A record that is whole but for the end of its line gets it.
fn end_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// A domain in a group as a digest: a million of them take little room.
pub(super) fn key(domain: &str, group: Option<&str>) -> [u8; 16] {
    let mut digest = Sha256::new();
    digest.update(domain.to_ascii_lowercase());
    if let Some(group) = group {
        digest.update([0]);
        digest.update(group);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&digest.finalize()[..16]);
    key
}
