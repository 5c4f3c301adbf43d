//! What a client sent and nobody has read yet: a small buffer that lines are cut from.

use crate::smtp::command::CommandError;
use std::io;
use std::ops::Range;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The buffer of an idle session, octets.
const SMALL: usize = 8 * 1024;
/// The buffer while content is coming in fast, octets.
const LARGE: usize = 64 * 1024;
/// Longest command line with its CRLF, octets: RFC 5321 §4.5.3.1.4 asks for 512, the parameters of
/// RFC 3461 §5.4 for 900 more, and addresses may be long.
const MAX_LINE: usize = 4096;

/// A read buffer. It never grows beyond 64 KiB.
#[derive(Debug)]
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Unread octets known to hold no LF.
    scanned: usize,
    /// A line that was too long is being dropped up to its end.
    skipping: bool,
}

impl Input {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; SMALL],
            start: 0,
            end: 0,
            scanned: 0,
            skipping: false,
        }
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The octets of a line that [`Self::next_line`] found; until the next `fill`.
    pub(super) fn line(&self, at: Range<usize>) -> &[u8] {
        &self.buffer[at]
    }

    pub(super) fn consume(&mut self, octets: usize) {
        self.start += octets;
        self.scanned = 0;
    }

    /// Forgets everything (RFC 3207 §4.2, CVE-2011-0411).
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    pub(super) fn has_room(&self) -> bool {
        self.end - self.start < self.buffer.len()
    }

    /// Reads once; 0 is the end of the stream. Nothing is lost if it is given up half-way.
    pub(super) async fn fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let read = stream.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read)
    }

    /// More room, if the last read filled what there is.
    pub(super) fn widen(&mut self) {
        if self.end == self.buffer.len() && self.buffer.len() < LARGE {
            self.buffer.resize(LARGE, 0);
        }
    }

    /// Back to the small buffer, as soon as what is unread fits.
    pub(super) fn narrow(&mut self) {
        if self.buffer.len() > SMALL && self.end - self.start <= SMALL {
            let mut small = vec![0; SMALL];
            let length = self.end - self.start;
            small[..length].copy_from_slice(self.unread());
            self.buffer = small;
            (self.start, self.end) = (0, length);
        }
    }

    /// Takes the next line off: where it stands without its CRLF, or what is wrong with it. `None`:
    /// more has to be read.
    pub(super) fn next_line(&mut self) -> Option<Result<Range<usize>, CommandError>> {
        let unread = &self.buffer[self.start..self.end];
        let Some(found) = memchr::memchr(b'\n', &unread[self.scanned..]) else {
            self.scanned = unread.len();
            if self.skipping || unread.len() >= MAX_LINE {
                self.skipping = true;
                self.consume(self.end - self.start);
            }
            return None;
        };
        let feed = self.scanned + found;
        let proper = feed > 0 && unread[feed - 1] == b'\r';
        let from = self.start;
        self.consume(feed + 1);
        if std::mem::take(&mut self.skipping) || feed >= MAX_LINE {
            return Some(Err(CommandError::TooLong));
        }
        if !proper {
            return Some(Err(CommandError::BareLineFeed));
        }
        Some(Ok(from..from + feed - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines of a stream that comes in steps.
    async fn lines(wire: &[u8], step: usize) -> Vec<Result<Vec<u8>, CommandError>> {
        let mut input = Input::new();
        let mut lines = Vec::new();
        for mut piece in wire.chunks(step) {
            while !piece.is_empty() {
                input.fill(&mut piece).await.unwrap();
                while let Some(line) = input.next_line() {
                    lines.push(line.map(|at| input.line(at).to_vec()));
                }
                assert!(input.buffer.len() <= LARGE);
            }
        }
        lines
    }

    #[tokio::test]
    async fn lines_end_with_crlf_and_are_bounded() {
        let longest = vec![b'x'; MAX_LINE - 2];
        let too_long = vec![b'x'; MAX_LINE - 1];
        let endless = vec![b'x'; 300_000];
        for (line, expected) in [
            (&b"NOOP"[..], Ok(b"NOOP".to_vec())),
            (b"", Ok(vec![])),
            (b"a\rb", Ok(b"a\rb".to_vec())),
            (&longest, Ok(longest.clone())),
            (&too_long, Err(CommandError::TooLong)),
            (&endless, Err(CommandError::TooLong)),
        ] {
            let wire = [line, b"\r\nQUIT\r\n"].concat();
            for step in [1, 7, 4096, wire.len()] {
                let got = lines(&wire, step).await;
                assert!(got == [expected.clone(), Ok(b"QUIT".to_vec())], "by {step}");
            }
        }
        let got = lines(b"NOOP\nQUIT\r\n", 3).await;
        assert_eq!(got, [Err(CommandError::BareLineFeed), Ok(b"QUIT".to_vec())]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_lines(
            wire in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a')], 0..60),
            step in 1usize..20,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let whole = runtime.block_on(lines(&wire, wire.len().max(1)));
            prop_assert_eq!(runtime.block_on(lines(&wire, step)), whole);
        }
    }
}
