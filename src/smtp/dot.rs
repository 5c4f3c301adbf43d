//! The transparency of DATA (RFC 5321 §4.5.2): stuffing for what we send, its removal from what we
//! receive.

mod decoder;

pub use decoder::{Decoded, DotDecoder, LineEndCheck, LineEnds, Progress};

/// Dot-stuffs content in pieces and ends it.
///
/// The content holds CRLF line ends only (the server side refuses anything else), so only the last
/// line may lack one; then it is added (RFC 5321 §4.1.1.4).
#[derive(Debug)]
pub struct DotStuffer {
    line: LineState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineState {
    Start,
    Inside,
    AfterCr,
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self {
            line: LineState::Start,
        }
    }
}

impl DotStuffer {
    /// Appends `piece`, with every dot that begins a line doubled, to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        if self.line == LineState::Start && piece[0] == b'.' {
            out.push(b'.');
        }
        let mut from = 0;
        // Dots are rarer than line ends in most mail; what stands before one decides.
        for at in memchr::memchr_iter(b'.', piece) {
            let begins_line = match at {
                0 => false, // above
                1 => piece[0] == b'\n' && self.line == LineState::AfterCr,
                _ => piece[at - 1] == b'\n' && piece[at - 2] == b'\r',
            };
            if begins_line {
                out.extend_from_slice(&piece[from..at]);
                out.push(b'.');
                from = at;
            }
        }
        out.extend_from_slice(&piece[from..]);
        self.line = match piece {
            [.., b'\r', b'\n'] => LineState::Start,
            [b'\n'] if self.line == LineState::AfterCr => LineState::Start,
            [.., b'\r'] => LineState::AfterCr,
            _ => LineState::Inside,
        };
    }

    /// Appends what ends the content: the missing CRLF, if any, and the final dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.line != LineState::Start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuffed(content: &[u8], step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stuffer = DotStuffer::default();
        for piece in content.chunks(step.max(1)) {
            stuffer.push(piece, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn dots_at_line_starts_are_doubled_wherever_the_pieces_are_cut() {
        for (content, expected) in [
            (&b""[..], &b".\r\n"[..]),
            (b".", b"..\r\n.\r\n"),
            (b"a.b\r\n", b"a.b\r\n.\r\n"),
            (b".a\r\n.b\r\n..\r\n", b"..a\r\n..b\r\n...\r\n.\r\n"),
            (b"a\r\n\r\n.\r\n.", b"a\r\n\r\n..\r\n..\r\n.\r\n"),
            (b"no end", b"no end\r\n.\r\n"),
        ] {
            for step in 1..=content.len().max(1) {
                let text = String::from_utf8_lossy(content);
                assert_eq!(
                    stuffed(content, step),
                    expected,
                    "{text:?} in steps of {step}"
                );
            }
        }
    }
}
