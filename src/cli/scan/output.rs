//! What `sealpost scan` puts out: every record goes through one [`Sink`], whether it comes from the network, from an
//! interrupted scan or from a finished file.

use super::compare::Comparison;
use super::csv::Csv;
use super::destination::{Destination, Place};
use super::page::Page;
use super::progress::Progress;
use super::statistics;
use super::table::Table;
use crate::cli::print::{Trouble, json, safe};
use crate::survey::record::{Class, Record, Severity};
use crate::survey::stats::Survey;
use clap::builder::{BoolValueParser, TypedValueParser};
use clap::{ArgAction, Args, ValueEnum};
use std::io::{self, Write as _};
use std::path::PathBuf;

/// How a survey is put out.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// What is written
    #[arg(long, value_enum, default_value_t = Format::Table, help_heading = "Output")]
    pub format: Format,

    /// Write to FILE, which appears when all is written, and not to stdout
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// In a table: a line for each domain also where stdout is no terminal
    #[arg(long = "verbose", short = 'v', action = ArgAction::SetTrue, value_parser = lines(),
          help_heading = "Output")]
    pub lines: Lines,

    /// Read the records of a finished or interrupted scan, `-` for stdin, and survey nothing
    #[arg(
        long,
        visible_alias = "input",
        value_name = "FILE",
        help_heading = "Earlier scans"
    )]
    pub from: Option<PathBuf>,

    /// Say what changed since the survey in OLD, the JSON lines of an earlier scan
    #[arg(long, value_name = "OLD", help_heading = "Earlier scans")]
    pub compare: Option<PathBuf>,

    /// Keep the records in FILE as JSON lines, and do not survey again what is there already
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "from",
        help_heading = "Earlier scans"
    )]
    pub resume: Option<PathBuf>,

    /// With --resume: try again what could not be tested
    #[arg(long = "retry", action = ArgAction::SetTrue, value_parser = again(), requires = "resume",
          help_heading = "Earlier scans")]
    pub retry: Retry,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: a line for each domain on a terminal, and the statistics
    Table,
    /// A record a line, as they come
    Json,
    /// A row for each domain, as they come
    Csv,
    /// One page with charts and a table to search
    Html,
    /// The statistics as JSON
    Statistics,
}

/// Whether a table has a line for each domain where nobody looks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    OnTerminal,
    Always,
}

/// What becomes of domains that could not be tested when their scan is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    No,
    Yes,
}

fn lines() -> impl TypedValueParser<Value = Lines> {
    BoolValueParser::new().map(|on| if on { Lines::Always } else { Lines::OnTerminal })
}

fn again() -> impl TypedValueParser<Value = Retry> {
    BoolValueParser::new().map(|on| if on { Retry::Yes } else { Retry::No })
}

/// How a survey ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    Interrupted,
}

/// Where a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It has just been surveyed.
    Network,
    /// It stands in a file.
    File,
}

/// Where records go.
pub(super) struct Sink {
    writer: Writer,
    destination: Destination,
    survey: Survey,
    comparison: Option<Comparison>,
    progress: Progress,
    tested: u64,
}

enum Writer {
    Table(Table),
    Json,
    /// With `--compare` the changes are the result, and the records are not.
    Changes,
    /// The records are in the file of `--resume`.
    Kept,
    Csv(Box<Csv>),
    Page(Box<Page>),
    Statistics,
}

impl Sink {
    pub(super) fn open(args: &OutputArgs, total: Option<u64>) -> Result<Self, Trouble> {
        let destination = Destination::open(args.output.as_deref())?;
        let comparison = match &args.compare {
            Some(old) => Some(Comparison::open(old).map_err(Trouble::Usage)?),
            None => None,
        };
        let writer = match args.format {
            Format::Table => Writer::Table(Table::new(destination.look(), args.lines)),
            Format::Json if comparison.is_some() => Writer::Changes,
            Format::Json if args.resume.is_some() && args.output.is_none() => Writer::Kept,
            Format::Json => Writer::Json,
            Format::Csv => Writer::Csv(Box::default()),
            Format::Html => Writer::Page(Box::default()),
            Format::Statistics => Writer::Statistics,
        };
        // Lines for programs and a bar on one terminal would be a muddle.
        let lines = matches!(writer, Writer::Json | Writer::Csv(_));
        let progress = if lines && destination.look().place == Place::Terminal {
            Progress::hidden()
        } else {
            Progress::new(total)
        };
        Ok(Self {
            writer,
            destination,
            survey: Survey::default(),
            comparison,
            progress,
            tested: 0,
        })
    }

    pub(super) fn take(&mut self, record: &Record, origin: Origin) -> io::Result<()> {
        self.survey.add(record);
        // A domain whose DNSSEC is broken could not be tested, but that was found out.
        let grave = record
            .findings
            .iter()
            .any(|f| f.severity == Severity::Error);
        let found = record.class != Class::CouldNotTest || grave;
        self.tested += u64::from(found);
        if let Some(comparison) = &mut self.comparison {
            comparison.take(record)?;
        }
        self.progress.count(record, origin);
        let destination = &mut self.destination;
        match &mut self.writer {
            Writer::Table(table) => {
                if let Some(line) = table.line(record).filter(|_| origin == Origin::Network) {
                    self.progress.aside(|| {
                        writeln!(destination, "{line}")?;
                        // While the bar is away.
                        destination.flush()
                    })?;
                }
            }
            Writer::Json => {
                writeln!(destination, "{}", json(record))?;
                destination.flush()?;
            }
            Writer::Csv(csv) => {
                csv.row(record, destination)?;
                destination.flush()?;
            }
            Writer::Page(page) => page.take(record),
            Writer::Changes | Writer::Kept | Writer::Statistics => {}
        }
        Ok(())
    }

    /// Domains that are counted.
    pub(super) fn domains(&self) -> u64 {
        self.survey.all.domains
    }

    /// Domains of which something could be found out.
    pub(super) fn tested(&self) -> u64 {
        self.tested
    }

    /// What comes at the end; a file appears under its name.
    pub(super) fn finish(mut self, ending: Ending) -> io::Result<()> {
        self.progress.finish();
        let changes = match self.comparison {
            // What an interrupted survey has not come to is not gone.
            Some(comparison) => Some(comparison.finish(ending)?),
            None => None,
        };
        let destination = &mut self.destination;
        match self.writer {
            Writer::Table(table) => {
                table.end(&self.survey, changes.as_ref(), destination)?;
            }
            Writer::Changes => {
                for change in changes.iter().flat_map(|changes| changes.kept()) {
                    writeln!(destination, "{}", json(change))?;
                }
            }
            Writer::Csv(csv) => csv.end(destination)?,
            Writer::Page(page) => {
                let page = page.render(&self.survey, changes.as_ref(), ending);
                // A page may be shown on a terminal, too.
                destination.write_all(safe(&page).as_bytes())?;
            }
            Writer::Statistics => {
                writeln!(
                    destination,
                    "{}",
                    json(&statistics::document(&self.survey, ending))
                )?;
            }
            Writer::Json | Writer::Kept => {}
        }
        self.destination.finish()
    }
}
