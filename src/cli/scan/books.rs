//! What becomes of each record of a running survey: kept first, if it is to be kept, then put out.

use super::output::{Ending, Origin, OutputArgs, Sink};
use super::resume::{Done, Kept};
use crate::cli::print::Trouble;
use crate::survey::record::Record;
use std::io;

pub(super) struct Books {
    sink: Sink,
    kept: Option<Kept>,
    done: Done,
}

impl Books {
    /// What an interrupted scan has found out goes where its own records would have gone.
    pub(super) fn open(args: &OutputArgs, total: Option<u64>) -> Result<Self, Trouble> {
        let mut sink = Sink::open(args, total)?;
        let Some(file) = &args.resume else {
            return Ok(Self {
                sink,
                kept: None,
                done: Done::default(),
            });
        };
        let (kept, done) = Kept::open(file, args.retry, |record| sink.take(record, Origin::File))?;
        Ok(Self {
            sink,
            kept: Some(kept),
            done,
        })
    }

    /// The domains that need not be surveyed any more; to be asked for once.
    pub(super) fn done(&mut self) -> Done {
        std::mem::take(&mut self.done)
    }

    pub(super) fn take(&mut self, record: &Record) -> io::Result<()> {
        if let Some(kept) = &mut self.kept {
            kept.append(record)?;
        }
        self.sink.take(record, Origin::Network)
    }

    /// Domains of which something could be found out.
    pub(super) fn tested(&self) -> u64 {
        self.sink.tested()
    }

    pub(super) fn finish(self, ending: Ending) -> io::Result<()> {
        self.sink.finish(ending)
    }

    /// What somebody is told who has interrupted it.
    pub(super) fn interrupted(&self) -> String {
        let domains = self.sink.domains();
        match &self.kept {
            Some(kept) => format!(
                "interrupted after {domains} domains; the same command goes on from {}",
                kept.path().display()
            ),
            None => format!(
                "interrupted after {domains} domains; with --resume FILE a scan can be gone on with"
            ),
        }
    }
}
