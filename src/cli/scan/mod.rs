//! `sealpost scan`: surveys many domains with the code that delivers, and writes what it finds.

mod args;
mod source;

pub(super) use args::EXIT;
pub use args::{DepthWord, ScanArgs};

use super::check::describe;
use super::{EXIT_USAGE, surveyor};
use crate::config::Config;
use crate::dns::DnssecStatus;
use crate::survey::Survey;
use crate::survey::record::Record;
use source::Source;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Records that wait to be written.
const WRITTEN_BEHIND: usize = 100;

/// Surveys and writes.
pub(super) fn run(config: &Config, args: &ScanArgs) -> ExitCode {
    let surveyed = Source::of(args).and_then(|source| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(survey(config, args, source))
    });
    match surveyed {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("sealpost: scan: {problem}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

async fn survey(config: &Config, args: &ScanArgs, source: Source) -> Result<(), String> {
    let survey = Arc::new(prepare(config, args).await?);
    let (targets, reader) = source.read();
    let (sender, mut records) = mpsc::channel(WRITTEN_BEHIND);
    let writing = async {
        let mut lines = Lines;
        while let Some(record) = records.recv().await {
            match lines.write(&record) {
                Ok(()) => {}
                // A reader that has gone away, such as `head`, has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Reader::Gone),
                Err(error) => return Err(format!("stdout: {error}")),
            }
        }
        Ok(Reader::There)
    };
    let mut running = std::pin::pin!(survey.run(targets, sender));
    let mut writing = std::pin::pin!(writing);
    let written = tokio::select! {
        // All that was found out is written before the end is seen.
        biased;
        written = &mut writing => written,
        () = &mut running => writing.await,
    }?;
    if written == Reader::There
        && let Ok(tally) = reader.join()
        && tally.invalid > 0
    {
        eprintln!("sealpost: scan: {} lines name no domain", tally.invalid);
    }
    Ok(())
}

/// Whether what is written is still read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

async fn prepare(config: &Config, args: &ScanArgs) -> Result<Survey, String> {
    let means = surveyor::means(config).await?;
    let status = means.dns.probe().await;
    if !matches!(status, DnssecStatus::Works(_)) {
        let said = describe::dnssec(&status, config.dns.unavailable);
        eprintln!("sealpost: scan: DNSSEC: {said}");
    }
    let thorough = (args.depth.depth(), args.old_versions);
    let settings = surveyor::settings(config, thorough, args.pace());
    Ok(Survey::new(means, settings))
}

/// A line of JSON for each domain.
struct Lines;

impl Lines {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&line)?;
        stdout.flush()
    }
}
