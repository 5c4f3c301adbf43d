//! Reads surveys: files of one record a line, as `sealpost scan --format json` writes them.
//!
//! A file may be of another version, may have been cut off in the middle of a line, or be no survey at all: each line
//! stands for itself, and none is longer than [`MAX_LINE`].

use super::record::Record;
use std::io::{self, BufRead};

/// Octets of a line. Twenty hosts with several addresses each and all that is bounded in them stay far below.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

/// What a line holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    Record(Box<Record>),
    /// Not a record; whether it is the file's end that is missing is told apart from other defects.
    Unreadable(Defect),
}

/// Why a line is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    #[error("the last line is cut off, as an interrupted scan leaves it")]
    Unfinished,
    #[error("longer than {MAX_LINE} octets")]
    TooLong,
    #[error("not a record of a survey: {0}")]
    Malformed(String),
}

/// The lines of a file, with where each begins.
#[derive(Debug)]
pub struct Lines<R> {
    file: R,
    at: u64,
    number: u64,
}

/// A line and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The first is 1.
    pub number: u64,
    /// Octets before it.
    pub offset: u64,
    /// Octets up to and with its end.
    pub end: u64,
    pub line: Line,
}

impl<R: BufRead> Lines<R> {
    pub fn new(file: R) -> Self {
        Self {
            file,
            at: 0,
            number: 0,
        }
    }

    /// The next line that is not empty; `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<Found>> {
        loop {
            let offset = self.at;
            let mut text = Vec::new();
            let ending = self.read(&mut text)?;
            if self.at == offset {
                return Ok(None);
            }
            self.number += 1;
            let line = match ending {
                Ending::TooLong => Line::Unreadable(Defect::TooLong),
                Ending::Newline if text.iter().all(u8::is_ascii_whitespace) => continue,
                Ending::Newline => parse(&text),
                Ending::Missing => match parse(&text) {
                    Line::Unreadable(_) => Line::Unreadable(Defect::Unfinished),
                    record @ Line::Record(_) => record,
                },
            };
            return Ok(Some(Found {
                number: self.number,
                offset,
                end: self.at,
                line,
            }));
        }
    }

    /// One line without its end; of a line that is too long the beginning.
    fn read(&mut self, text: &mut Vec<u8>) -> io::Result<Ending> {
        let mut too_long = false;
        loop {
            let buffer = self.file.fill_buf()?;
            if buffer.is_empty() {
                return Ok(match too_long {
                    true => Ending::TooLong,
                    false => Ending::Missing,
                });
            }
            let end = memchr::memchr(b'\n', buffer);
            let taken = end.unwrap_or(buffer.len());
            if text.len() + taken > MAX_LINE {
                too_long = true;
                text.clear();
            }
            if !too_long {
                text.extend_from_slice(&buffer[..taken]);
            }
            let used = taken + usize::from(end.is_some());
            self.file.consume(used);
            self.at += used as u64;
            if end.is_some() {
                return Ok(match too_long {
                    true => Ending::TooLong,
                    false => Ending::Newline,
                });
            }
        }
    }
}

enum Ending {
    Newline,
    Missing,
    TooLong,
}

fn parse(text: &[u8]) -> Line {
    match serde_json::from_slice::<Record>(text) {
        Ok(record) if !record.domain.is_empty() => Line::Record(Box::new(record)),
        Ok(_) => Line::Unreadable(Defect::Malformed("it names no domain".to_owned())),
        Err(error) => Line::Unreadable(Defect::Malformed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, u64, u64, Line)> {
        // A small buffer: lines come in pieces.
        let mut lines = Lines::new(io::BufReader::with_capacity(7, text));
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push((line.number, line.offset, line.end, line.line));
        }
        found
    }

    fn record(domain: &str) -> Line {
        Line::Record(Box::new(Record {
            domain: domain.to_owned(),
            ..Record::default()
        }))
    }

    #[test]
    fn lines_and_where_they_are() {
        let a = r#"{"domain":"a"}"#;
        for (text, expected) in [
            (String::new(), vec![]),
            ("\n \r\n".to_owned(), vec![]),
            (format!("{a}\n"), vec![(1, 0, 15, record("a"))]),
            (a.to_owned(), vec![(1, 0, 14, record("a"))]), // whole, but for its end
            (format!("\n{a}\r\n"), vec![(2, 1, 17, record("a"))]),
            (
                format!("{a}\n{{\"dom"),
                vec![
                    (1, 0, 15, record("a")),
                    (2, 15, 20, Line::Unreadable(Defect::Unfinished)),
                ],
            ),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_record_does_not_hide_those_after_it() {
        let found = read(b"nonsense\n{}\n\xff\xfe\n[1]\n{\"domain\":\"a\",\"class\":\"later\"}\n{\"domain\":\"a\"}\n");
        let readable: Vec<bool> = found
            .iter()
            .map(|(_, _, _, line)| matches!(line, Line::Record(_)))
            .collect();
        assert_eq!(readable, [false, false, false, false, false, true]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut text = vec![b'x'; MAX_LINE + 1];
        text.extend_from_slice(b"\n{\"domain\":\"a\"}\n");
        let mut lines = Lines::new(io::BufReader::new(&*text));
        let first = lines.next_line().unwrap().unwrap();
        assert_eq!(first.line, Line::Unreadable(Defect::TooLong));
        let second = lines.next_line().unwrap().unwrap();
        assert_eq!((second.number, second.line), (2, record("a")));
    }
}
