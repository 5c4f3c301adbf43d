//! `sealpost scan`: surveys many domains with the code that delivers, and puts out what it finds.

mod args;
mod books;
mod compare;
mod csv;
mod destination;
mod earlier;
mod facts;
mod figures;
mod output;
mod page;
mod progress;
mod resume;
mod source;
mod statistics;
mod table;

pub(super) use args::EXIT;
pub use args::{DepthWord, ScanArgs};
pub use output::{Format, Lines, OutputArgs, Retry};

use super::check::describe;
use super::print::{Trouble, safe};
use super::surveyor;
use crate::config::Config;
use crate::dns::DnssecStatus;
use crate::survey::Survey;
use crate::survey::record::Record;
use books::Books;
use output::Ending;
use source::Source;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Records that wait to be written.
const WRITTEN_BEHIND: usize = 100;
/// Nothing could be found out about any domain.
const EXIT_NOTHING: u8 = 1;
/// As a shell says it of what a signal has ended.
const EXIT_SIGNALLED: u8 = 128;

/// Surveys and puts out.
pub(super) fn run(config: &Config, args: &ScanArgs) -> ExitCode {
    end(start(config, args), &args.output)
}

/// Puts out an earlier survey, without network or configuration.
pub(super) fn earlier(file: &Path, args: &OutputArgs) -> ExitCode {
    end(
        earlier::put_out(file, args).map(|()| ExitCode::SUCCESS),
        args,
    )
}

fn start(config: &Config, args: &ScanArgs) -> Result<ExitCode, Trouble> {
    let source = Source::of(args).map_err(Trouble::Usage)?;
    let books = Books::open(&args.output, source.total())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(survey(config, args, (source, books)));
    // What is in work is dropped; nothing waits for it.
    runtime.shutdown_background();
    outcome
}

async fn survey(
    config: &Config,
    args: &ScanArgs,
    (source, mut books): (Source, Books),
) -> Result<ExitCode, Trouble> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let survey = prepare(config, args).await.map_err(Trouble::Usage)?;
    let (targets, reader) = source.read(books.done());
    let (sender, mut records) = mpsc::channel(WRITTEN_BEHIND);
    let stopped = {
        let mut running = std::pin::pin!(Arc::new(survey).run(targets, sender));
        let mut writing = std::pin::pin!(write(&mut records, &mut books));
        tokio::select! {
            // All that was found out is written before the end is seen.
            biased;
            _ = interrupts.recv() => Some(SignalKind::interrupt()),
            _ = terminations.recv() => Some(SignalKind::terminate()),
            written = &mut writing => written.map(|()| None)?,
            () = &mut running => writing.await.map(|()| None)?,
        }
    };
    let Some(signal) = stopped else {
        if let Ok(tally) = reader.join()
            && tally.invalid > 0
        {
            eprintln!("sealpost: scan: {} lines name no domain", tally.invalid);
        }
        let code = if books.tested() == 0 { EXIT_NOTHING } else { 0 };
        books.finish(Ending::Complete)?;
        return Ok(ExitCode::from(code));
    };
    // What is found out by now is not lost.
    while let Ok(record) = records.try_recv() {
        books.take(&record)?;
    }
    let told = books.interrupted();
    books.finish(Ending::Interrupted)?;
    eprintln!("sealpost: scan: {told}");
    let number = u8::try_from(signal.as_raw_value()).unwrap_or(0);
    Ok(ExitCode::from(EXIT_SIGNALLED + number))
}

/// Until no more come.
async fn write(records: &mut mpsc::Receiver<Record>, books: &mut Books) -> io::Result<()> {
    while let Some(record) = records.recv().await {
        books.take(&record)?;
    }
    Ok(())
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

/// What a command ends with; why is told.
fn end(outcome: Result<ExitCode, Trouble>, args: &OutputArgs) -> ExitCode {
    let problem = match outcome {
        Ok(code) => return code,
        // A reader that has gone away, such as `head`, has seen enough.
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Err(problem) => problem,
    };
    let told = match (&problem, &args.output) {
        (Trouble::Output(error), Some(file)) => format!("{}: {error}", file.display()),
        (Trouble::Output(_) | Trouble::Usage(_) | Trouble::Client(_), _) => problem.to_string(),
    };
    eprintln!("sealpost: scan: {}", safe(&told));
    ExitCode::from(problem.exit_code())
}
