//! Replies: what we send to clients, and what MX hosts send to us (RFC 5321 §4.2).
//!
//! [`ReplyParser`] reads a stranger's replies: lines and their number are bounded, the code must not
//! change within a reply, and a line ends with CRLF or, leniently, LF (some hosts send it; a reply
//! carries no content, so nothing can be smuggled by it).

use super::status::EnhancedStatus;
use std::fmt;

/// A reply, either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    pub enhanced: Option<EnhancedStatus>,
    /// One text per line, without code and enhanced code; never empty.
    pub lines: Vec<String>,
}

/// The first digit of a reply code (RFC 5321 §4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Positive,
    Intermediate,
    Transient,
    Permanent,
}

impl Reply {
    pub fn new(code: u16, enhanced: EnhancedStatus, text: impl Into<String>) -> Self {
        Self {
            code,
            enhanced: Some(enhanced),
            lines: vec![text.into()],
        }
    }

    /// Reads what [`Reply::to_line`] or [`fmt::Display`] has written; anything else is the text of a 451.
    pub fn from_line(line: &str) -> Self {
        let (code, rest) = line.split_once(' ').unwrap_or((line, ""));
        let code = code.parse().ok().filter(|code| (200..600).contains(code));
        let (Some(code), rest) = (code, rest) else {
            return Self::plain(451, line);
        };
        match EnhancedStatus::split(rest) {
            Some((enhanced, text)) => Self::new(code, enhanced, text),
            None => Self::plain(code, rest),
        }
    }

    /// A reply without enhanced code: greetings, EHLO, 354 (RFC 2034 §4).
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Self {
            code,
            enhanced: None,
            lines: vec![text.into()],
        }
    }

    pub fn severity(&self) -> Severity {
        match self.code {
            ..=299 => Severity::Positive,
            300..=399 => Severity::Intermediate,
            400..=499 => Severity::Transient,
            500.. => Severity::Permanent,
        }
    }

    pub fn is_positive(&self) -> bool {
        self.severity() == Severity::Positive
    }

    /// The lines as one, for logs and for passing a reply on.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// The reply as it is passed on and kept: one line as it would go over the wire, without its end.
    pub fn to_line(&self) -> String {
        let mut wire = Self {
            lines: vec![self.text()],
            ..self.clone()
        }
        .to_wire();
        wire.truncate(wire.len() - 2);
        String::from_utf8_lossy(&wire).into_owned()
    }

    /// The reply as it goes over the wire: each line at most 512 octets with CRLF (RFC 5321
    /// §4.5.3.1.5), printable ASCII, anything else as `?`.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(64 * self.lines.len());
        let last = self.lines.len().saturating_sub(1);
        for (i, line) in self.lines.iter().enumerate() {
            let start = wire.len();
            let separator = if i == last { ' ' } else { '-' };
            wire.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                wire.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            wire.extend(
                line.bytes()
                    .map(|b| if (b' '..=b'~').contains(&b) { b } else { b'?' }),
            );
            wire.truncate(start + MAX_LINE_OUT - 2);
            wire.extend_from_slice(b"\r\n");
        }
        wire
    }
}

impl fmt::Display for Reply {
    /// One line: code, enhanced code, text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text())
    }
}

/// Longest reply line that we send, with CRLF (RFC 5321 §4.5.3.1.5).
const MAX_LINE_OUT: usize = 512;
/// Longest reply line that we read, with its end; twice what Postfix sends at most.
const MAX_LINE_IN: usize = 4096;
/// Most lines of one reply.
const MAX_LINES: usize = 128;

/// What is wrong with a peer's reply; the connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    #[error("reply line too long")]
    LineTooLong,
    #[error("reply has too many lines")]
    TooManyLines,
    #[error("malformed reply")]
    Malformed,
    #[error("reply code changes within a reply")]
    CodeChanges,
}

/// Reads replies out of a growing buffer.
#[derive(Debug, Default)]
pub struct ReplyParser {
    code: Option<u16>,
    enhanced: Option<EnhancedStatus>,
    lines: Vec<String>,
}

impl ReplyParser {
    /// Takes whole lines from the front of `buffer`: returns how many octets were used, and the
    /// reply once its last line was among them. Octets behind a complete reply are left alone.
    pub fn advance(&mut self, buffer: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut used = 0;
        while let Some(end) = memchr::memchr(b'\n', &buffer[used..]) {
            if end >= MAX_LINE_IN {
                return Err(ReplyError::LineTooLong);
            }
            let line = &buffer[used..used + end];
            used += end + 1;
            let done = self.line(line.strip_suffix(b"\r").unwrap_or(line))?;
            if done {
                let finished = std::mem::take(self);
                let code = finished.code.ok_or(ReplyError::Malformed)?;
                let reply = Reply {
                    code,
                    enhanced: finished.enhanced,
                    lines: finished.lines,
                };
                return Ok((used, Some(reply)));
            }
        }
        if buffer.len() - used >= MAX_LINE_IN {
            return Err(ReplyError::LineTooLong);
        }
        Ok((used, None))
    }

    fn line(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        if self.lines.len() == MAX_LINES {
            return Err(ReplyError::TooManyLines);
        }
        let code = code(line).ok_or(ReplyError::Malformed)?;
        if *self.code.get_or_insert(code) != code {
            return Err(ReplyError::CodeChanges);
        }
        let (last, text) = match line.get(3) {
            None => (true, &b""[..]), // "250" alone is legal (RFC 5321 §4.2)
            Some(b' ') => (true, &line[4..]),
            Some(b'-') => (false, &line[4..]),
            Some(_) => return Err(ReplyError::Malformed),
        };
        let text = String::from_utf8_lossy(text);
        let of_class = |e: &EnhancedStatus| u16::from(e.class) == code / 100;
        match EnhancedStatus::split(text.trim_start()) {
            // A class that contradicts the code is ignored (RFC 2034 §4).
            Some((enhanced, rest)) if of_class(&enhanced) => {
                self.enhanced.get_or_insert(enhanced);
                self.lines.push(rest.to_owned());
            }
            _ => self.lines.push(text.into_owned()),
        }
        Ok(last)
    }
}

/// The three digits of a reply code, 200 to 599 (RFC 5321 §4.2.1).
fn code(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits
        .iter()
        .fold(0u16, |n, d| n * 10 + u16::from(d - b'0'));
    (200..=599).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(wire: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        ReplyParser::default().advance(wire)
    }

    #[test]
    fn replies_of_strangers() {
        for (wire, expected) in [
            (&b"250 ok\r\n"[..], Ok(Some("250 ok"))),
            (b"250\r\n", Ok(Some("250 "))),
            (b"250 \n", Ok(Some("250 "))),
            (
                b"250-2.1.5 one\r\n250 2.1.5 two\r\n",
                Ok(Some("250 2.1.5 one two")),
            ),
            (
                b"550 2.1.5 wrong class\r\n",
                Ok(Some("550 2.1.5 wrong class")),
            ),
            (b"250-a\r\n550 b\r\n", Err(ReplyError::CodeChanges)),
            (b"999 a\r\n", Err(ReplyError::Malformed)),
            (b"150 a\r\n", Err(ReplyError::Malformed)),
            (b"25 a\r\n", Err(ReplyError::Malformed)),
            (b"250_a\r\n", Err(ReplyError::Malformed)),
            (b"\r\n", Err(ReplyError::Malformed)),
            (b"250 o", Ok(None)),
        ] {
            let got = parse(wire).map(|(_, reply)| reply.map(|r| r.to_string()));
            let expected = expected.map(|text| text.map(String::from));
            assert_eq!(got, expected, "{}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn the_enhanced_code_of_another_class_is_text() {
        let (_, reply) = parse(b"550 2.1.5 wrong class\r\n").unwrap();
        assert_eq!(reply.unwrap().enhanced, None);
    }

    #[test]
    fn what_follows_a_reply_is_left_alone() {
        assert_eq!(parse(b"220 go\r\n250 injected\r\n").unwrap().0, 8);
    }

    #[test]
    fn replies_are_bounded() {
        assert_eq!(parse(&[b'2'; MAX_LINE_IN]), Err(ReplyError::LineTooLong));
        let endless = b"250-x\r\n".repeat(MAX_LINES + 1);
        assert_eq!(parse(&endless), Err(ReplyError::TooManyLines));
    }

    #[test]
    fn a_reply_may_come_octet_by_octet() {
        let wire = b"250-2.0.0 a\r\n250 2.0.0 b\r\n";
        let mut parser = ReplyParser::default();
        let mut buffer = Vec::new();
        let mut reply = None;
        for &octet in wire {
            buffer.push(octet);
            let (used, got) = parser.advance(&buffer).unwrap();
            buffer.drain(..used);
            reply = reply.or(got);
        }
        assert_eq!(reply.unwrap().to_string(), "250 2.0.0 a b");
    }

    /// Everything that a stream of replies comes to, read in pieces of `step` octets.
    fn read_in_steps(wire: &[u8], step: usize) -> (Vec<Reply>, Option<ReplyError>) {
        let mut parser = ReplyParser::default();
        let mut buffer = Vec::new();
        let mut replies = Vec::new();
        for piece in wire.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                match parser.advance(&buffer) {
                    Err(error) => return (replies, Some(error)),
                    Ok((used, reply)) => {
                        buffer.drain(..used);
                        let Some(reply) = reply else { break };
                        replies.push(reply);
                    }
                }
            }
            assert!(buffer.len() < MAX_LINE_IN, "the rest of a line is bounded");
        }
        (replies, None)
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_replies_or_an_error_however_they_are_cut(
            lines in proptest::collection::vec("([2-5][0-9]{2}[ -])?[ -~\\r\u{e9}]{0,40}\\r?\n", 0..20),
            noise in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
            step in 1usize..50,
        ) {
            let mut wire = lines.concat().into_bytes();
            wire.extend_from_slice(&noise);
            let whole = read_in_steps(&wire, wire.len().max(1));
            proptest::prop_assert_eq!(read_in_steps(&wire, step), whole);
        }
    }

    #[test]
    fn what_we_send_is_printable_and_short() {
        let text = format!("naïve\r\nQUIT {}", "x".repeat(600));
        let wire = Reply::new(550, EnhancedStatus::new(5, 0, 0), text).to_wire();
        assert_eq!(wire.len(), MAX_LINE_OUT);
        assert!(wire.starts_with(b"550 5.0.0 na??ve??QUIT x"));
        let lines = Reply {
            lines: vec!["näive".to_owned(), "\u{1b}[2J".to_owned(), "y".repeat(9000)],
            ..Reply::new(550, EnhancedStatus::new(5, 0, 0), "")
        };
        let line = lines.to_line();
        assert!(line.starts_with("550 5.0.0 n??ive ?[2J yyy"), "{line}");
        assert_eq!(line.len(), MAX_LINE_OUT - 2);
        let read = Reply::from_line(&line);
        assert_eq!((read.code, read.to_line()), (550, line));
    }
}
