//! Takes the transparency of DATA off again (RFC 5321 §4.5.2), and sees to it that only CRLF ends
//! a line and only CRLF.CRLF ends the content.
//!
//! A bare CR or LF lets two servers disagree about where a message ends (SMTP smuggling,
//! CVE-2023-51764 to 51766). Content that has one is read to its true end, so that the session stays
//! in step, and then refused. The length of a line is not limited: content passes through in pieces,
//! and what the client's MTA has accepted is not ours to refuse.

use memchr::{memchr, memchr2};

/// Reads content out of buffers that are cut anywhere.
#[derive(Debug, Default)]
pub struct DotDecoder {
    state: State,
    line_ends: LineEnds,
}

/// Whether every line of the content ends as it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnds {
    #[default]
    Proper,
    /// A bare CR or a bare LF was seen.
    Bare,
}

/// What one call brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Octets of the input that belong to the content or its end; the rest is the next command's.
    pub used: usize,
    pub progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    /// The final dot was read.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    LineStart,
    /// A dot at a line's start, held back: doubled, or the end.
    Dot,
    /// That dot and a CR.
    DotCr,
    Inside,
    AfterCr,
}

impl DotDecoder {
    /// Decodes up to the end of `input` or of the content, appending to `out`. Nothing is appended
    /// once a bare CR or LF was seen, since nothing of such content is passed on.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Decoded {
        let mut at = 0;
        // Octets of the content from here to `at` are not yet in `out`.
        let mut from = 0;
        while at < input.len() {
            match self.state {
                State::Inside => match memchr2(b'\r', b'\n', &input[at..]) {
                    None => at = input.len(),
                    Some(n) => {
                        at += n + 1;
                        self.state = State::AfterCr;
                        if input[at - 1] == b'\n' {
                            self.bare();
                        }
                    }
                },
                State::AfterCr => {
                    if input[at] == b'\n' {
                        at += 1;
                        self.state = State::LineStart;
                    } else {
                        self.bare();
                    }
                }
                State::LineStart => {
                    self.state = State::Inside;
                    if input[at] == b'.' {
                        self.keep(&input[from..at], out);
                        at += 1;
                        from = at;
                        self.state = State::Dot;
                    }
                }
                State::Dot => {
                    self.state = State::Inside;
                    if input[at] == b'\r' {
                        at += 1;
                        from = at; // content it is in no case
                        self.state = State::DotCr;
                    }
                }
                State::DotCr => {
                    if input[at] == b'\n' {
                        let progress = Progress::Ended;
                        return Decoded {
                            used: at + 1,
                            progress,
                        };
                    }
                    self.bare();
                }
            }
        }
        self.keep(&input[from..], out);
        Decoded {
            used: at,
            progress: Progress::More,
        }
    }

    /// To be asked once the end has been read.
    pub fn line_ends(&self) -> LineEnds {
        self.line_ends
    }

    fn bare(&mut self) {
        self.line_ends = LineEnds::Bare;
        self.state = State::Inside;
    }

    fn keep(&self, content: &[u8], out: &mut Vec<u8>) {
        if self.line_ends == LineEnds::Proper {
            out.extend_from_slice(content);
        }
    }
}

/// Looks for bare CR and LF in content that needs no decoding: the chunks of BDAT.
#[derive(Debug, Default)]
pub struct LineEndCheck {
    after_cr: bool,
    line_ends: LineEnds,
}

impl LineEndCheck {
    pub fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() && self.line_ends == LineEnds::Proper {
            if self.after_cr {
                self.after_cr = false;
                if rest[0] != b'\n' {
                    self.line_ends = LineEnds::Bare;
                }
                rest = &rest[1..];
                continue;
            }
            let Some(cr) = memchr(b'\r', rest) else {
                self.no_line_feed(rest);
                return;
            };
            self.no_line_feed(&rest[..cr]);
            self.after_cr = true;
            rest = &rest[cr + 1..];
        }
    }

    /// The verdict on everything pushed; a CR as the last octet is bare.
    pub fn line_ends(&self) -> LineEnds {
        if self.after_cr {
            LineEnds::Bare
        } else {
            self.line_ends
        }
    }

    fn no_line_feed(&mut self, text: &[u8]) {
        if memchr(b'\n', text).is_some() {
            self.line_ends = LineEnds::Bare;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::DotStuffer;
    use super::*;
    use proptest::prelude::*;

    /// Content, line ends and octets used, from input in pieces; `None` if it does not end.
    fn decode(wire: &[u8], step: usize) -> Option<(Vec<u8>, LineEnds, usize)> {
        let mut decoder = DotDecoder::default();
        let mut out = Vec::new();
        let mut used = 0;
        for piece in wire.chunks(step) {
            let decoded = decoder.decode(piece, &mut out);
            used += decoded.used;
            if decoded.progress == Progress::Ended {
                return Some((out, decoder.line_ends(), used));
            }
            assert_eq!(decoded.used, piece.len());
        }
        None
    }

    #[test]
    fn content_ends_with_crlf_dot_crlf_and_nothing_else() {
        use LineEnds::{Bare, Proper};
        for (wire, expected) in [
            (&b".\r\n"[..], Some((&b""[..], Proper))),
            (b"a\r\n.\r\nQUIT\r\n", Some((b"a\r\n", Proper))),
            (
                b"..a\r\n.b\r\n...\r\n.\r\n",
                Some((b".a\r\nb\r\n..\r\n", Proper)),
            ),
            (b"\r\n\r\n.\r\n", Some((b"\r\n\r\n", Proper))),
            (b"a\n.\nb\r\n.\r\n", Some((b"", Bare))),
            (b"a\n.\r\nb\r\n.\r\n", Some((b"", Bare))),
            (b"a\r\n.\nb\r\n.\r\n", Some((b"", Bare))),
            (b"a\r.\rb\r\n.\r\n", Some((b"", Bare))),
            (b"a\r\n.\rb\r\n.\r\n", Some((b"", Bare))),
            (b"a\r\n.\r\r\n.\r\n", Some((b"", Bare))),
            (b"a\r.\r\nb\r\n.\r\n", Some((b"", Bare))),
            (b"a\r\r\n.\r\n", Some((b"", Bare))),
            (b"a\n\r\n.\r\n", Some((b"", Bare))),
            (b"\n.\r\n\r\n.\r\n", Some((b"", Bare))),
            (b"a\r\n.", None),
            (b"a\r\n.\r", None),
            (b"a\n.\n", None),
            (b"a\r\n.\n", None),
            (b"a\n.\r\n", None),
            (b"a\r.\r", None),
        ] {
            for step in 1..=wire.len() {
                let text = String::from_utf8_lossy(wire);
                let got = decode(wire, step);
                let ends = got.as_ref().map(|(_, ends, _)| *ends);
                assert_eq!(ends, expected.map(|(_, e)| e), "{text:?} by {step}");
                if let (Some((out, Proper, _)), Some((content, _))) = (got, expected) {
                    assert_eq!(out, content, "{text:?} by {step}");
                }
            }
        }
    }

    #[test]
    fn what_follows_the_final_dot_is_left_alone() {
        let (_, _, used) = decode(b"a\r\n.\r\nQUIT\r\n", 100).unwrap();
        assert_eq!(used, 6);
    }

    #[test]
    fn chunks_are_checked_too() {
        for (piece, expected) in [
            (&b""[..], LineEnds::Proper),
            (b"a\r\nb", LineEnds::Proper),
            (b"\r\n\r\n", LineEnds::Proper),
            (b"a\nb", LineEnds::Bare),
            (b"a\rb", LineEnds::Bare),
            (b"a\r\r\n", LineEnds::Bare),
            (b"a\n\r\n", LineEnds::Bare),
            (b"a\r", LineEnds::Bare),
        ] {
            for step in 1..=piece.len().max(1) {
                let mut check = LineEndCheck::default();
                piece.chunks(step).for_each(|p| check.push(p));
                let text = String::from_utf8_lossy(piece);
                assert_eq!(check.line_ends(), expected, "{text:?} by {step}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(
            wire in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..60),
            step in 1usize..20,
        ) {
            // What the decoder put out before it met a bare line end depends on the cut; it is
            // never used.
            let proper = |got: Option<(Vec<u8>, LineEnds, usize)>| {
                got.map(|(out, ends, used)| (if ends == LineEnds::Proper { out } else { vec![] }, ends, used))
            };
            prop_assert_eq!(proper(decode(&wire, step)), proper(decode(&wire, wire.len().max(1))));
        }

        #[test]
        fn what_is_stuffed_comes_back(
            lines in proptest::collection::vec("[.a]{0,5}", 0..10),
            cut in 1usize..9,
        ) {
            let content: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\r\n").into_bytes()).collect();
            let mut wire = Vec::new();
            let mut stuffer = DotStuffer::default();
            content.chunks(cut).for_each(|piece| stuffer.push(piece, &mut wire));
            stuffer.finish(&mut wire);
            prop_assert_eq!(decode(&wire, cut), Some((content, LineEnds::Proper, wire.len())));
        }
    }
}
