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

async fn blocking<T: Send + 'static>(
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
mod tests {
    use super::super::spool::SpoolLimits;
    use super::*;

    fn memory(per_message: usize, total: u64) -> SpoolMemory {
        SpoolMemory::new(SpoolLimits {
            per_message,
            total,
            directory: std::env::temp_dir(),
        })
    }

    async fn written(memory: &SpoolMemory, pieces: &[&[u8]]) -> ContentWriter {
        let mut writer = memory.writer(b"Received: us\r\n");
        for piece in pieces {
            writer.write(piece).await.unwrap();
        }
        writer
    }

    async fn read(content: &Content) -> Vec<u8> {
        let mut reader = content.reader();
        let mut all = Vec::new();
        while let Some(piece) = reader.chunk().await.unwrap() {
            assert!(!piece.is_empty() && piece.len() <= PIECE);
            all.extend_from_slice(&piece);
        }
        all
    }

    #[tokio::test]
    async fn small_and_large_content_come_back_as_they_went() {
        let body: Vec<u8> = (0..1_000_000u32).map(|n| (n % 101) as u8).collect();
        for (per_message, total, in_memory) in [
            (2_000_000, 4_000_000, true),
            (100_000, 4_000_000, false), // more than one message may have
            (2_000_000, 50_000, false),  // more than all may have
            (0, 0, false),
        ] {
            let memory = memory(per_message, total);
            let pieces: Vec<&[u8]> = std::iter::once(&b"A: 1\r\n\r\n"[..])
                .chain(body.chunks(9_999))
                .collect();
            let writer = written(&memory, &pieces).await;
            assert_eq!(writer.header(), b"A: 1\r\n", "{per_message} {total}");
            assert_eq!(writer.received(), 1_000_008);
            let content = writer.finish().await.unwrap();
            assert_eq!(content.size(), 14 + 1_000_008);
            assert_eq!(memory.used() > 0, in_memory, "{per_message} {total}");
            let expected = [&b"Received: us\r\nA: 1\r\n\r\n"[..], &body].concat();
            assert!(read(&content).await == expected, "{per_message} {total}");
            assert!(read(&content.clone()).await == expected, "read twice");
            drop(content);
            assert_eq!(memory.used(), 0, "given back");
        }
    }

    #[tokio::test]
    async fn a_header_is_read_whole_wherever_it_is_spilled() {
        let memory = memory(0, 0);
        for (content, header) in [
            (
                &b"A: 1\r\nB: 2\r\n\r\nC: 3\r\n\r\n"[..],
                &b"A: 1\r\nB: 2\r\n"[..],
            ),
            (b"\r\nA: 1\r\n\r\n", b""),
            (b"A: 1\r\n", b"A: 1\r\n"),
        ] {
            for size in 1..content.len() {
                let pieces: Vec<&[u8]> = content.chunks(size).collect();
                let writer = written(&memory, &pieces).await;
                assert_eq!(writer.header(), header, "in pieces of {size}");
            }
        }
        let endless = vec![b'x'; MAX_BEGINNING];
        let writer = written(&memory, &[&endless, &endless]).await;
        assert_eq!(writer.header().len(), MAX_BEGINNING);
    }

    #[tokio::test]
    async fn eight_bit_is_seen_in_any_piece() {
        let memory = memory(1000, 1000);
        for (pieces, expected) in [
            (&[&b"a"[..], b"b"][..], false),
            (&[b"a", b"\xc3\xa4", b"b"], true),
        ] {
            let writer = written(&memory, pieces).await;
            assert_eq!(writer.finish().await.unwrap().is_eight_bit(), expected);
        }
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_an_error() {
        let memory = SpoolMemory::new(SpoolLimits {
            per_message: 0,
            total: 0,
            directory: "/nonexistent".into(),
        });
        let mut writer = memory.writer(b"");
        assert!(writer.write(b"a").await.is_err());
    }

    #[test]
    fn headers_end_at_the_empty_line() {
        for (content, expected) in [
            (&b""[..], &b""[..]),
            (b"\r\nbody", b""),
            (b"A: 1\r\n\r\nbody", b"A: 1\r\n"),
            (b"A: 1\r\n", b"A: 1\r\n"),
        ] {
            assert_eq!(header_of(content), expected);
        }
    }
}
