//! Replies, taken strictly (RFC 5321 §4.2).

use std::fmt;
use std::io;

/// A reply, all its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// The texts, without codes and line ends.
    pub lines: Vec<String>,
}

impl Reply {
    /// The lines, joined by a line feed.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Whether a line holds this.
    pub fn contains(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// The enhanced status code of the first line, if it begins with one: `5.7.1`.
    pub fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split(' ').next()?;
        let parts = word.split('.').map(str::parse::<u16>).collect::<Vec<_>>();
        (parts.len() == 3 && parts.iter().all(Result::is_ok)).then_some(word)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" / "))
    }
}

impl Reply {
    /// This reply if it has this code.
    ///
    /// # Errors
    /// If it has another.
    pub fn expect(self, code: u16) -> io::Result<Self> {
        if self.code == code {
            Ok(self)
        } else {
            Err(wrong(format!("not {code} but {self}")))
        }
    }
}

#[derive(PartialEq)]
pub(super) enum Last {
    Yes,
    No,
}

pub(super) fn parse(line: &str) -> Option<(u16, Last, &str)> {
    let (code, rest) = line.split_at_checked(3)?;
    let code = code
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| code.parse().ok())??;
    let (last, text) = match rest.split_at_checked(1) {
        None => (Last::Yes, ""),
        Some((" ", text)) => (Last::Yes, text),
        Some(("-", text)) => (Last::No, text),
        Some(_) => return None,
    };
    let printable = text.bytes().all(|b| (32..127).contains(&b) || b >= 128);
    ((200..600).contains(&code) && printable).then_some((code, last, text))
}

pub(super) fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_strictly() {
        for (line, fine) in [
            ("250 ok", true),
            ("250-ok", true),
            ("250", true),
            ("25", false),
            ("2x0 ok", false),
            ("250_ok", false),
            ("199 ok", false),
            ("600 ok", false),
            ("250 \u{7}", false),
        ] {
            assert_eq!(parse(line).is_some(), fine, "{line:?}");
        }
    }

    #[test]
    fn enhanced_codes_are_found() {
        for (text, code) in [
            ("5.7.1 no", Some("5.7.1")),
            ("no 5.7.1", None),
            ("5.7 no", None),
        ] {
            let reply = Reply {
                code: 550,
                lines: vec![text.to_owned()],
            };
            assert_eq!(reply.enhanced(), code, "{text}");
        }
    }
}
