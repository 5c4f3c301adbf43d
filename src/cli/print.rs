//! What commands print: JSON, words, and why they end early. Nothing that strangers have written moves a cursor.

use super::{EXIT_TEMPORARY, EXIT_USAGE};
use crate::admin::client::ClientError;
use jiff::Timestamp;
use serde::Serialize;
use std::io::{self, Write};

/// Why a command ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("stdout: {0}")]
    Output(#[from] io::Error),
}

impl Trouble {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::Client(_) | Self::Output(_) => EXIT_TEMPORARY,
        }
    }
}

/// Nothing that a stranger has written can move the cursor.
pub(super) fn safe(text: &str) -> String {
    let harmless = |c: char| if c.is_control() && c != '\n' { '?' } else { c };
    text.chars().map(harmless).collect()
}

/// In one line; beyond what JSON asks for, nothing that could move a cursor stands for itself.
pub(super) fn json(value: &impl Serialize) -> String {
    // Strings, numbers and lists of them can always be written.
    let written = serde_json::to_string(value).unwrap_or_default();
    let mut json = String::with_capacity(written.len());
    for c in written.chars() {
        if c.is_control() {
            json.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            json.push(c);
        }
    }
    json
}

/// A JSON array that is written as it comes, an element a line.
#[derive(Default)]
pub(super) struct Array {
    begun: bool,
}

impl Array {
    pub(super) fn push(&mut self, out: &mut impl Write, element: &str) -> io::Result<()> {
        let before = if self.begun { ",\n" } else { "[\n" };
        self.begun = true;
        write!(out, "{before}{element}")
    }

    pub(super) fn end(self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(if self.begun { b"\n]\n" } else { b"[]\n" })
    }
}

pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second());
    duration(u64::try_from(seconds).unwrap_or(0))
}

/// `3 h`, `2 d`: the greatest unit of which there are at least two.
pub(super) fn duration(seconds: u64) -> String {
    for (unit, length) in [("d", 86_400), ("h", 3600), ("min", 60)] {
        if seconds >= 2 * length {
            return format!("{} {unit}", seconds / length);
        }
    }
    format!("{seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_moves_no_cursor() {
        assert_eq!(safe("a\u{1b}[2J\u{9b}b\r\n"), "a?[2J?b?\n");
        assert_eq!(json(&"a\u{1b}\u{7f}\u{9b}é"), "\"a\\u001b\\u007f\\u009bé\"");
    }

    #[test]
    fn an_array_of_any_length_is_json() {
        for length in 0..3 {
            let (mut array, mut out) = (Array::default(), Vec::new());
            for i in 0..length {
                array.push(&mut out, &json(&i)).unwrap();
            }
            array.end(&mut out).unwrap();
            let read: Vec<i32> = serde_json::from_slice(&out).unwrap();
            assert_eq!(read, (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn durations() {
        for (seconds, expected) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (3 * 3600, "3 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
            (31_557_600, "365 d"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }
}
