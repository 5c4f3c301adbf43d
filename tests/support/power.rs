//! A cut of the power: what a process wrote below a directory and did not sync is taken back, all of it or parts.
//!
//! `tests/power_loss.c` journals what the process does, see there. The model is strict POSIX: what is not synced may be
//! missing, sector by sector and in any order, and a name is there for sure only once its directory was synced. A
//! sector is written whole or not at all, and neither its neighbours nor anything synced suffers.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power_loss.c");
/// Octets.
const SECTOR: u64 = 512;

/// A directory whose changes are journalled.
pub struct Power {
    library: PathBuf,
    state: PathBuf,
    journal: PathBuf,
}

/// What a cut has taken back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// Syncs that were done.
    pub syncs: usize,
    /// Changes of contents that were not synced.
    pub unsynced: usize,
    /// Files that changed by it.
    pub files: usize,
    /// Names that came or went by it.
    pub names: usize,
}

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lost,
    /// Each sector for itself.
    Sectors,
    /// All up to some moment; the last change is torn.
    Until(usize),
}

#[derive(Debug)]
enum Change {
    Write {
        at: u64,
        new: Vec<u8>,
        old: Vec<u8>,
        size: u64,
    },
    Truncate {
        to: u64,
        old: Vec<u8>,
        size: u64,
    },
    Create(PathBuf),
    Unlink(PathBuf),
    MakeDirectory(PathBuf),
}

/// What was not synced, by the file or the directory; each with its number in the journal.
#[derive(Debug, Default)]
struct Unsynced {
    of: HashMap<u64, Vec<(usize, Change)>>,
    syncs: usize,
}

impl Power {
    /// Makes ready for a process with this state directory; its journal is beside it. `None`: there is no C compiler,
    /// which is said on stderr.
    pub fn ready(state: &Path) -> Option<Self> {
        let beside = state.parent().unwrap();
        let library = beside.join("power_loss.so");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .args([SOURCE, "-ldl", "-lpthread"])
            .status();
        match compiled {
            Ok(status) => assert!(status.success(), "{SOURCE} does not compile"),
            Err(error) => {
                eprintln!("skipped, no C compiler (cc): {error}");
                return None;
            }
        }
        let power = Self {
            library,
            state: state.to_owned(),
            journal: beside.join("power_loss"),
        };
        fs::create_dir(&power.journal).unwrap();
        Some(power)
    }

    /// What to write before a command.
    pub fn words(&self) -> [String; 4] {
        [
            "env".to_owned(),
            format!("LD_PRELOAD={}", self.library.display()),
            format!("POWER_LOSS_STATE={}", self.state.display()),
            format!("POWER_LOSS_JOURNAL={}", self.journal.display()),
        ]
    }

    /// The process is gone: goes back to what the disk has, and begins a new journal.
    pub fn cut(&self, random: &mut Rng) -> Cut {
        let journal = fs::read(self.journal.join("journal")).unwrap_or_default();
        let mut unsynced = Unsynced::read(&journal).unwrap();
        let mut cut = Cut {
            syncs: unsynced.syncs,
            ..Cut::default()
        };
        let mut files = Vec::new();
        files_below(&self.state, &mut files).unwrap();
        files_below(&self.journal, &mut files).unwrap();
        for path in &files {
            let inode = fs::metadata(path).unwrap().ino();
            let Some(changes) = unsynced.of.remove(&inode) else {
                continue;
            };
            cut.unsynced += changes.len();
            cut.files += usize::from(take_back(path, &changes, random));
        }
        // Those that are left are of directories, or of files that are gone with all their names.
        let mut names: Vec<(usize, Change)> = unsynced.of.into_values().flatten().collect();
        names.sort_by_key(|(number, _)| *number);
        for (number, change) in names.into_iter().rev() {
            if random.u8(..3) > 0 {
                cut.names += usize::from(self.take_back_name(number, &change));
            }
        }
        if random.bool() {
            for path in files
                .iter()
                .filter(|path| path.to_string_lossy().ends_with("-shm"))
            {
                let _ = fs::remove_file(path);
            }
        }
        fs::remove_dir_all(&self.journal).unwrap();
        fs::create_dir(&self.journal).unwrap();
        cut
    }

    /// Whether that changed anything.
    fn take_back_name(&self, number: usize, change: &Change) -> bool {
        let done = match change {
            Change::Create(path) => fs::remove_file(path),
            Change::Unlink(path) => fs::hard_link(self.journal.join(number.to_string()), path),
            Change::MakeDirectory(path) => fs::remove_dir_all(path),
            Change::Write { .. } | Change::Truncate { .. } => return false,
        };
        done.is_ok()
    }
}

/// Whether that changed anything.
fn take_back(path: &Path, changes: &[(usize, Change)], random: &mut Rng) -> bool {
    let now = fs::read(path).unwrap();
    let mut image = now.clone();
    for (_, change) in changes.iter().rev() {
        undo(&mut image, change);
    }
    let fate = match random.u8(..3) {
        0 => Fate::Lost,
        1 => Fate::Sectors,
        _ => Fate::Until(random.usize(..=changes.len())),
    };
    for (at, (_, change)) in changes.iter().enumerate() {
        match fate {
            Fate::Lost => {}
            Fate::Until(end) if at < end => redo(&mut image, change, |_| true),
            Fate::Until(end) if at > end => {}
            Fate::Sectors | Fate::Until(_) => redo(&mut image, change, |_| random.bool()),
        }
    }
    if image == now {
        return false;
    }
    fs::write(path, image).unwrap();
    true
}

fn undo(image: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, old, size, .. } => {
            put(image, *at, old);
            image.resize(index(*size), 0);
        }
        Change::Truncate { to, old, size } => {
            image.resize(index(*size), 0);
            put(image, *to, old);
        }
        Change::Create(_) | Change::Unlink(_) | Change::MakeDirectory(_) => {}
    }
}

/// Does again what happened to those sectors that are chosen.
fn redo(image: &mut Vec<u8>, change: &Change, mut chosen: impl FnMut(u64) -> bool) {
    match change {
        Change::Write { at, new, .. } => {
            let end = *at + new.len() as u64;
            for sector in *at / SECTOR..end.div_ceil(SECTOR) {
                if chosen(sector) {
                    let from = (sector * SECTOR).max(*at);
                    let to = ((sector + 1) * SECTOR).min(end);
                    put(image, from, &new[index(from - at)..index(to - at)]);
                }
            }
        }
        Change::Truncate { to, .. } => {
            if chosen(to / SECTOR) {
                image.resize(index(*to), 0);
            }
        }
        Change::Create(_) | Change::Unlink(_) | Change::MakeDirectory(_) => {}
    }
}

fn put(image: &mut Vec<u8>, at: u64, octets: &[u8]) {
    let (from, to) = (index(at), index(at) + octets.len());
    if image.len() < to {
        image.resize(to, 0);
    }
    image[from..to].copy_from_slice(octets);
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

impl Unsynced {
    fn read(journal: &[u8]) -> io::Result<Self> {
        let mut unsynced = Self::default();
        let mut rest = journal;
        let mut number = 0;
        // The process may have died while it wrote the last record: then it had not begun what that says.
        while let Some((record, path)) = Record::read(&mut rest) {
            let [_, inode, offset, size, ..] = record.header;
            let change = match record.header[0] {
                1 => Change::Write {
                    at: offset,
                    new: record.new,
                    old: record.old,
                    size,
                },
                2 => Change::Truncate {
                    to: offset,
                    old: record.old,
                    size,
                },
                3 => {
                    unsynced.synced(inode, index(offset));
                    number += 1;
                    continue;
                }
                4 => Change::Create(path),
                5 => Change::Unlink(path),
                6 => Change::MakeDirectory(path),
                _ => return Err(io::Error::other(format!("not followed: {path:?}"))),
            };
            unsynced.of.entry(inode).or_default().push((number, change));
            number += 1;
        }
        Ok(unsynced)
    }

    /// What was there when the sync began is on disk.
    fn synced(&mut self, inode: u64, began: usize) {
        self.syncs += 1;
        if let Some(changes) = self.of.get_mut(&inode) {
            changes.retain(|(number, _)| *number >= began);
        }
    }
}

/// As `struct record` in the C source.
struct Record {
    header: [u64; 7],
    new: Vec<u8>,
    old: Vec<u8>,
}

impl Record {
    fn read(rest: &mut &[u8]) -> Option<(Self, PathBuf)> {
        let mut header = [0; 7];
        for word in &mut header {
            let mut octets = [0; 8];
            rest.read_exact(&mut octets).ok()?;
            *word = u64::from_le_bytes(octets);
        }
        let mut take = |length: u64| rest.split_off(..index(length)).map(<[u8]>::to_vec);
        let [.., new, old, path] = header;
        let (new, old, path) = (take(new)?, take(old)?, take(path)?);
        let path = PathBuf::from(String::from_utf8(path).ok()?);
        Some((Self { header, new, old }, path))
    }
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => files_below(&entry.path(), found)?,
            kind if kind.is_file() && entry.file_name() != "journal" => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}
