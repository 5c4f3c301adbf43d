//! A message's content: in memory while small, in an unlinked temporary file when large.
//!
//! The server side writes it once, with our Received field in front; then any number of deliveries
//! read it at once, each at its own pace. Memory is bounded per message and over all messages
//! ([`SpoolMemory`]); what does not fit goes to a file that has no name, so that nothing is left
//! behind however the process ends.

use super::spool::{Reserved, SpoolMemory};
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// What a reader hands out at once, and what is read from a file at once, octets.
const PIECE: usize = 64 * 1024;

/// A complete message. Cheap to clone; the memory or the file goes with the last clone.
#[derive(Debug, Clone)]
pub struct Content {
    inner: Arc<Inner>,
}

/// Whether an octet above 127 occurs in a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EightBit {
    No,
    Yes,
}

#[derive(Debug)]
struct Inner {
    size: u64,
    eight_bit: bool,
    body: Store,
}

#[derive(Debug)]
enum Store {
    Memory { octets: Bytes, _reserved: Reserved },
    File(Arc<File>),
}

/// Reads a [`Content`] from the beginning.
#[derive(Debug)]
pub struct ContentReader {
    content: Content,
    at: u64,
}

/// Receives a message piece by piece.
#[derive(Debug)]
pub struct ContentWriter {
    memory: SpoolMemory,
    reserved: Reserved,
    /// What is not in the file: everything, as long as there is none.
    pending: Vec<u8>,
    file: Option<Spilled>,
    /// Octets of our own Received field, which comes first.
    head: usize,
    size: u64,
    eight_bit: bool,
}

#[derive(Debug)]
struct Spilled {
    file: Arc<File>,
    written: u64,
    /// Kept for whoever wants to look at it.
    beginning: Beginning,
}

/// A message up to the end of its header, or as much of it as is kept.
#[derive(Debug, Default)]
struct Beginning {
    octets: Vec<u8>,
    state: Collecting,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Collecting {
    #[default]
    GoesOn,
    Done,
}

impl Beginning {
    fn take(&mut self, piece: &[u8]) {
        if self.state == Collecting::Done {
            return;
        }
        let from = self.octets.len().saturating_sub(3); // the end may have begun before this piece
        let room = MAX_BEGINNING - self.octets.len();
        self.octets
            .extend_from_slice(&piece[..piece.len().min(room)]);
        let end = match self.octets.starts_with(b"\r\n") {
            true => Some(2),
            false => {
                memchr::memmem::find(&self.octets[from..], b"\r\n\r\n").map(|at| from + at + 4)
            }
        };
        if end.is_some() || self.octets.len() == MAX_BEGINNING {
            self.octets.truncate(end.unwrap_or(MAX_BEGINNING));
            self.octets.shrink_to_fit();
            self.state = Collecting::Done;
        }
    }
}

impl Content {
    /// A content that is at hand already and is not counted against the shared memory.
    pub fn from_octets(octets: Bytes) -> Self {
        let inner = Inner {
            size: octets.len() as u64,
            eight_bit: !octets.is_ascii(),
            body: Store::Memory {
                octets,
                _reserved: Reserved::nothing(),
            },
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A content that was saved, see [`Content::save`].
    pub async fn open(path: &Path, eight_bit: EightBit) -> io::Result<Self> {
        let path = path.to_owned();
        let (file, size) = blocking(move || {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        })
        .await?;
        let inner = Inner {
            size,
            eight_bit: eight_bit == EightBit::Yes,
            body: Store::File(Arc::new(file)),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The header with our Received field, as it is sent; its beginning if it is endless.
    pub async fn header(&self) -> io::Result<Vec<u8>> {
        let mut reader = self.reader();
        let mut beginning = Beginning::default();
        while let Some(piece) = reader.chunk().await? {
            beginning.take(&piece);
            if beginning.state == Collecting::Done {
                break;
            }
        }
        Ok(header_of(&beginning.octets).to_vec())
    }

    /// Octets, without dot-stuffing, our Received field included.
    pub fn size(&self) -> u64 {
        self.inner.size
    }

    /// Whether an octet above 127 occurs anywhere.
    pub fn is_eight_bit(&self) -> bool {
        self.inner.eight_bit
    }

    /// From the beginning; any number of readers may read at once.
    pub fn reader(&self) -> ContentReader {
        ContentReader {
            content: self.clone(),
            at: 0,
        }
    }
}

impl ContentReader {
    /// The next piece, at most 64 KiB; `None` at the end.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let left = self.content.size() - self.at;
        if left == 0 {
            return Ok(None);
        }
        let length = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let piece = match &self.content.inner.body {
            Store::Memory { octets, .. } => {
                let from = usize::try_from(self.at).map_err(io::Error::other)?;
                octets.slice(from..from + length)
            }
            Store::File(file) => read_at(Arc::clone(file), self.at, length).await?,
        };
        self.at += piece.len() as u64;
        Ok(Some(piece))
    }
}

async fn read_at(file: Arc<File>, at: u64, length: usize) -> io::Result<Bytes> {
    blocking(move || {
        let mut piece = vec![0; length];
        file.read_exact_at(&mut piece, at)?;
        Ok(Bytes::from(piece))
    })
    .await
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

impl ContentWriter {
    /// Begins with `head`, our own Received field.
    pub(super) fn new(memory: SpoolMemory, head: &[u8]) -> Self {
        let reserved = Reserved::nothing();
        Self {
            memory,
            reserved,
            pending: head.to_vec(),
            file: None,
            head: head.len(),
            size: head.len() as u64,
            eight_bit: false,
        }
    }

    /// Octets so far, without our Received field.
    pub fn received(&self) -> u64 {
        self.size - self.head as u64
    }

    /// Appends a piece. An error leaves the writer of no further use.
    pub async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.size += piece.len() as u64;
        self.eight_bit = self.eight_bit || !piece.is_ascii();
        self.pending.extend_from_slice(piece);
        if let Some(spilled) = &mut self.file {
            spilled.beginning.take(piece);
        }
        match &self.file {
            None => {
                let limit = self.memory.per_message();
                let fits = self.pending.len() <= limit;
                if fits && self.memory.grow(&mut self.reserved, self.pending.len()) {
                    return Ok(());
                }
                self.spill().await
            }
            Some(_) if self.pending.len() >= FLUSH_AT => self.flush().await,
            Some(_) => Ok(()),
        }
    }

    /// The header of what was received, without our field; its beginning if it is longer than what
    /// is kept in memory.
    pub fn header(&self) -> &[u8] {
        let beginning = match &self.file {
            Some(spilled) => &spilled.beginning.octets[..],
            None => &self.pending[self.head..],
        };
        header_of(beginning)
    }

    /// The whole, ready to be read.
    pub async fn finish(mut self) -> io::Result<Content> {
        if self.file.is_some() {
            self.flush().await?;
        }
        let body = match self.file {
            Some(spilled) => Store::File(spilled.file),
            None => Store::Memory {
                octets: Bytes::from(self.pending),
                _reserved: self.reserved,
            },
        };
        Ok(Content {
            inner: Arc::new(Inner {
                size: self.size,
                eight_bit: self.eight_bit,
                body,
            }),
        })
    }

    async fn spill(&mut self) -> io::Result<()> {
        let directory = self.memory.directory();
        let file = blocking(move || unnamed_file(&directory)).await?;
        let mut beginning = Beginning::default();
        beginning.take(&self.pending[self.head..]);
        self.file = Some(Spilled {
            file: Arc::new(file),
            written: 0,
            beginning,
        });
        self.flush().await?;
        self.reserved = Reserved::nothing();
        self.pending.shrink_to(FLUSH_AT);
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let Some(spilled) = &mut self.file else {
            return Ok(());
        };
        let (file, at) = (Arc::clone(&spilled.file), spilled.written);
        let octets = std::mem::take(&mut self.pending);
        spilled.written += octets.len() as u64;
        let mut emptied = blocking(move || {
            file.write_all_at(&octets, at)?;
            Ok(octets)
        })
        .await?;
        emptied.clear();
        self.pending = emptied;
        Ok(())
    }
}

/// How much is gathered before it is written to the file, octets.
const FLUSH_AT: usize = 64 * 1024;
/// How much of the header is kept beside a file, octets.
const MAX_BEGINNING: usize = 256 * 1024;

fn unnamed_file(directory: &Path) -> io::Result<File> {
    tempfile::tempfile_in(directory)
}

/// Everything up to the empty line.
fn header_of(content: &[u8]) -> &[u8] {
    if content.starts_with(b"\r\n") {
        return &[];
    }
    let end = match memchr::memmem::find(content, b"\r\n\r\n") {
        Some(at) => at + 2,
        None => content.len(),
    };
    &content[..end.min(MAX_BEGINNING)]
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
