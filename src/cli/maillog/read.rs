//! Files into lines: plain or gzip, in the order of their first line.

use crate::cli::print::safe;
use crate::clock;
use crate::maillog::{Era, Reader, Summary, Tally, first_stamp};
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Octets that are read at once.
const CHUNK: usize = 256 * 1024;
/// Where the first line with a time is sought.
const HEAD: u64 = 64 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const USUAL: [&str; 2] = ["/var/log/mail.log", "/var/log/maillog"];
const DAY: i64 = 86_400;

/// The files that are meant.
pub(super) fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let mut usual = USUAL.iter().map(PathBuf::from);
    match usual.find(|path| path.exists()) {
        Some(path) => Ok(vec![path]),
        None => Err(format!(
            "there is neither {}: name the mail log, or give it to `sealpost maillog -`",
            USUAL.join(" nor ")
        )),
    }
}

/// Reads all of it for a command; the last `days` only.
pub(in crate::cli) fn all(
    command: &str,
    files: &[PathBuf],
    days: Option<u32>,
) -> Result<Summary, String> {
    let now = Timestamp::try_from(clock::now()).unwrap_or(Timestamp::UNIX_EPOCH);
    let since = days.map(|days| now.as_second() - i64::from(days) * DAY);
    let mut sources = Vec::new();
    for path in files {
        let source = Source::open(path, now).map_err(|e| format!("{}: {e}", path.display()))?;
        sources.push(source);
    }
    // A file without a time has no mail; it is read for its counts.
    sources.sort_by_key(|source| first_stamp(&source.head, source.era));
    let mut tally = Tally::since(since);
    let mut buffer = vec![0; CHUNK];
    for source in sources {
        let name = source.name.clone();
        if let Err(error) = source.read(&mut buffer, &mut tally) {
            complain(command, &format!("{name}: read in part: {error}"));
        }
    }
    Ok(tally.finish())
}

/// Tells of a problem without moving the cursor.
pub(in crate::cli) fn complain(command: &str, problem: &str) {
    eprintln!("sealpost: {command}: {}", safe(problem).replace('\n', " "));
}

struct Source {
    name: String,
    era: Era,
    head: Vec<u8>,
    rest: Box<dyn Read>,
}

impl Source {
    fn open(path: &Path, now: Timestamp) -> io::Result<Self> {
        let (mut raw, modified): (Box<dyn Read>, _) = if path == Path::new("-") {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path)?;
            let about = file.metadata()?;
            if about.is_dir() {
                return Err(io::Error::other("is a directory"));
            }
            let modified = about.modified().ok().filter(|_| about.is_file());
            (Box::new(file), modified)
        };
        let mut magic = Vec::new();
        raw.by_ref().take(2).read_to_end(&mut magic)?;
        let gzip = magic == GZIP;
        let raw = io::Cursor::new(magic).chain(raw);
        let mut rest: Box<dyn Read> = if gzip {
            Box::new(MultiGzDecoder::new(raw))
        } else {
            Box::new(raw)
        };
        let mut head = Vec::new();
        let begun = rest.by_ref().take(HEAD).read_to_end(&mut head);
        // What is broken later may begin well.
        if head.is_empty() {
            begun?;
        }
        Ok(Self {
            name: path.display().to_string(),
            era: era(modified.and_then(|m| Timestamp::try_from(m).ok()), now),
            head,
            rest,
        })
    }

    fn read(mut self, buffer: &mut [u8], tally: &mut Tally) -> io::Result<()> {
        let mut reader = Reader::new(self.era);
        reader.feed(&self.head, tally);
        let outcome = loop {
            match self.rest.read(buffer) {
                Ok(0) => break Ok(()),
                Ok(length) => reader.feed(&buffer[..length], tally),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        reader.finish(tally);
        outcome
    }
}

/// Stamps have no year and no zone: a file's lines were written before the file was last changed, here.
fn era(modified: Option<Timestamp>, now: Timestamp) -> Era {
    let latest = modified.map_or(now, |modified| modified.min(now));
    Era {
        latest: latest.as_second(),
        offset: TimeZone::system().to_offset(latest).seconds().into(),
    }
}
