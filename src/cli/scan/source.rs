//! Where the domains come from: a file, standard input, the command line. Read while the survey runs, so that a list
//! of any length takes no memory.

use super::args::ScanArgs;
use super::resume::Done;
use crate::names::DomainName;
use crate::survey::{Input, Tally, Target};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use tokio::sync::mpsc;

/// Longest line that is read; a domain has at most 253 characters.
const MAX_LINE: u64 = 4096;
/// Targets that wait for the survey.
const AHEAD: usize = 1000;

/// What is surveyed.
pub(super) struct Source {
    lists: Vec<Box<dyn BufRead + Send>>,
    domains: Vec<DomainName>,
    /// Lines of the files, if all are files: about as many domains.
    lines: Option<u64>,
}

impl Source {
    /// The first word is a file if there is one of that name, or `-`; all others are domains.
    pub(super) fn of(args: &ScanArgs) -> Result<Self, String> {
        let mut source = Self {
            lists: Vec::new(),
            domains: Vec::new(),
            lines: Some(0),
        };
        if let Some(file) = &args.file {
            source.add_file(file)?;
        }
        for (at, word) in args.targets.iter().enumerate() {
            if at == 0 && word == "-" {
                source.lists.push(Box::new(BufReader::new(io::stdin())));
                source.lines = None;
            } else if at == 0 && Path::new(word).is_file() {
                source.add_file(&PathBuf::from(word))?;
            } else {
                let domain = word.rsplit_once('@').map_or(word.as_str(), |(_, d)| d);
                let domain = DomainName::parse(domain);
                let domain =
                    domain.map_err(|error| format!("{word:?}: {error}, and no such file"))?;
                source.domains.push(domain);
            }
        }
        if source.lists.is_empty() && source.domains.is_empty() {
            return Err("name a file of domains, - for standard input, or domains".to_owned());
        }
        Ok(source)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), String> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let counted = file
            .metadata()
            .is_ok_and(|found| found.is_file())
            .then(|| lines(path));
        self.lines = self
            .lines
            .zip(counted.flatten())
            .map(|(all, more)| all + more);
        self.lists.push(Box::new(BufReader::new(file)));
        Ok(())
    }

    /// About how many domains there are; `None`, if nobody knows before the end.
    pub(super) fn total(&self) -> Option<u64> {
        self.lines.map(|lines| lines + self.domains.len() as u64)
    }

    /// Reads on a thread of its own, no further ahead than the survey needs; lines that name no domain are told on
    /// standard error. Those that are done are left out.
    pub(super) fn read(self, done: Done) -> (mpsc::Receiver<Target>, JoinHandle<Tally>) {
        let (sender, targets) = mpsc::channel(AHEAD);
        let reader = thread::spawn(move || {
            let mut input = Input::default();
            for list in self.lists {
                if !read_list(list, (&mut input, &done), &sender) {
                    return input.tally;
                }
            }
            for domain in self.domains {
                if let Some(target) = input.once(domain, None)
                    && !is_done(&done, &target)
                    && sender.blocking_send(target).is_err()
                {
                    break;
                }
            }
            input.tally
        });
        (targets, reader)
    }
}

fn is_done(done: &Done, target: &Target) -> bool {
    done.has(target.domain.as_str(), target.group.as_deref())
}

/// Lines that are not empty.
fn lines(path: &Path) -> Option<u64> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let (mut lines, mut inside) = (0, false);
    loop {
        let buffer = file.fill_buf().ok()?;
        if buffer.is_empty() {
            return Some(lines + u64::from(inside));
        }
        for octet in buffer {
            lines += u64::from(*octet == b'\n' && inside);
            inside = *octet != b'\n' && (inside || !octet.is_ascii_whitespace());
        }
        let length = buffer.len();
        file.consume(length);
    }
}

/// Whether anybody still takes targets.
fn read_list(
    mut list: Box<dyn BufRead + Send>,
    (input, done): (&mut Input, &Done),
    sender: &mpsc::Sender<Target>,
) -> bool {
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut list).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                eprintln!("sealpost: scan: reading domains: {error}");
                return true;
            }
        }
        match input.read(&line) {
            None => {}
            Some(Ok(target)) if is_done(done, &target) => {}
            Some(Ok(target)) => match sender.blocking_send(target) {
                Ok(()) => {}
                Err(_) => return false,
            },
            Some(Err(bad)) => eprintln!("sealpost: scan: {bad}"),
        }
    }
}
