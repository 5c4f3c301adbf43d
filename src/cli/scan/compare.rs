//! `--compare OLD`: the old survey stays on disk; in memory is where each domain's record is.

use super::output::Ending;
use super::resume::key;
use crate::cli::print::safe;
use crate::survey::compare::{Changes, What, compare, only_in_one};
use crate::survey::lines::{Line, Lines};
use crate::survey::record::Record;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

pub(super) struct Comparison {
    old: BufReader<File>,
    path: PathBuf,
    /// Where the last record of a domain begins.
    index: HashMap<[u8; 16], u64>,
    /// Domains that have been compared: a domain in several groups is compared once.
    seen: HashSet<[u8; 16]>,
    changes: Changes,
}

impl Comparison {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let problem = |error: io::Error| format!("{}: {error}", path.display());
        let mut old = BufReader::new(File::open(path).map_err(problem)?);
        old.stream_position()
            .map_err(|_| format!("{}: not a file that can be read twice", path.display()))?;
        let mut index = HashMap::new();
        let mut lines = Lines::new(&mut old);
        while let Some(found) = lines.next_line().map_err(problem)? {
            match found.line {
                Line::Record(record) => {
                    index.insert(key(&record.domain, None), found.offset);
                }
                Line::Unreadable(defect) => {
                    eprintln!(
                        "sealpost: scan: {} line {}: {}",
                        path.display(),
                        found.number,
                        safe(&defect.to_string())
                    );
                }
            }
        }
        if index.is_empty() {
            return Err(format!(
                "{}: there is no record of a survey in it",
                path.display()
            ));
        }
        Ok(Self {
            old,
            path: path.to_owned(),
            index,
            seen: HashSet::new(),
            changes: Changes::default(),
        })
    }

    pub(super) fn take(&mut self, new: &Record) -> io::Result<()> {
        let key = key(&new.domain, None);
        if !self.seen.insert(key) {
            return Ok(());
        }
        match self.index.remove(&key) {
            Some(offset) => {
                let old = self.read(offset)?;
                self.changes.compared(compare(&old, new));
            }
            None => self.changes.add(only_in_one(new, What::DomainNew)),
        }
        Ok(())
    }

    pub(super) fn finish(mut self, ending: Ending) -> io::Result<Changes> {
        if ending == Ending::Complete {
            let mut left: Vec<u64> = self.index.values().copied().collect();
            left.sort_unstable();
            for offset in left {
                let old = self.read(offset)?;
                self.changes.add(only_in_one(&old, What::DomainGone));
            }
        }
        Ok(self.changes)
    }

    fn read(&mut self, offset: u64) -> io::Result<Record> {
        self.old.seek(SeekFrom::Start(offset))?;
        let found = Lines::new(self.old.by_ref()).next_line()?;
        match found.map(|found| found.line) {
            Some(Line::Record(record)) => Ok(*record),
            Some(Line::Unreadable(_)) | None => Err(io::Error::other(format!(
                "{} was changed while it was read",
                self.path.display()
            ))),
        }
    }
}
