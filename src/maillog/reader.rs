//! Octets into lines: whatever form the log has, however it comes.

use super::export::{self, Export};
use super::line::{Framed, frame, stamp};
use super::stamp::Era;
use super::tally::Tally;
use memchr::memchr;

/// Lines that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// Or entries of a journal.
    pub read: u64,
    /// Those that told of mail.
    pub used: u64,
    /// Those that told of mail, but before the time that was asked for.
    pub older: u64,
    /// No lines of a log.
    pub unreadable: u64,
    /// Beyond what Postfix writes.
    pub too_long: u64,
}

/// Octets of a line that is read; Postfix writes 2 KiB at most, journals a little more.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// Reads one file.
#[derive(Debug)]
pub struct Reader {
    era: Era,
    form: Form,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    overlong: Overlong,
}

/// Whether the line that has begun is too long already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlong {
    No,
    Yes,
}

#[derive(Debug)]
enum Form {
    /// Nothing has come.
    Unknown,
    Lines,
    /// `journalctl -o export`
    Export(Box<Export>),
}

impl Reader {
    pub fn new(era: Era) -> Self {
        Self {
            era,
            form: Form::Unknown,
            begun: Vec::new(),
            overlong: Overlong::No,
        }
    }

    /// The next octets of the file.
    pub fn feed(&mut self, octets: &[u8], tally: &mut Tally) {
        let mut rest = octets;
        while !rest.is_empty() {
            if let Form::Export(export) = &mut self.form
                && export.is_in_field()
            {
                rest = export.field(rest);
                continue;
            }
            let Some(end) = memchr(b'\n', rest) else {
                self.keep(rest, tally);
                return;
            };
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if self.begun.is_empty() && self.overlong == Overlong::No {
                self.line(line, tally);
                continue;
            }
            self.keep(line, tally);
            let whole = std::mem::take(&mut self.begun);
            if std::mem::replace(&mut self.overlong, Overlong::No) == Overlong::No {
                self.line(&whole, tally);
            }
            self.begun = whole;
            self.begun.clear();
        }
    }

    /// The file ends.
    pub fn finish(mut self, tally: &mut Tally) {
        let whole = std::mem::take(&mut self.begun);
        if !whole.is_empty() {
            self.line(&whole, tally);
        }
        if let Form::Export(export) = &mut self.form {
            export.end(tally, self.era);
        }
    }

    fn keep(&mut self, part: &[u8], tally: &mut Tally) {
        if self.overlong == Overlong::Yes {
            return;
        }
        if self.begun.len() + part.len() > MAX_LINE {
            self.overlong = Overlong::Yes;
            self.begun.clear();
            tally.lines.read += 1;
            tally.lines.too_long += 1;
            return;
        }
        self.begun.extend_from_slice(part);
    }

    fn line(&mut self, line: &[u8], tally: &mut Tally) {
        if matches!(self.form, Form::Unknown) && !line.is_empty() {
            self.form = if export::begins(line) {
                Form::Export(Box::default())
            } else {
                Form::Lines
            };
        }
        match &mut self.form {
            Form::Export(export) => export.line(line, tally, self.era),
            Form::Unknown | Form::Lines => text(line, tally, self.era),
        }
    }
}

fn text(line: &[u8], tally: &mut Tally, era: Era) {
    if line.is_empty() {
        return;
    }
    tally.lines.read += 1;
    if line.len() > MAX_LINE {
        tally.lines.too_long += 1;
        return;
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line[..].first() == Some(&b'{') {
        export::json(line, tally, era);
        return;
    }
    match frame(line) {
        Framed::Ours(line) => tally.line(&line, era),
        Framed::Foreign => {}
        Framed::Unreadable => tally.lines.unreadable += 1,
    }
}

/// The time of the first line that has one, from the beginning of a file: files are read in this order.
pub fn first_stamp(head: &[u8], era: Era) -> Option<i64> {
    head.split(|b| *b == b'\n').find_map(|line| {
        let line = &line[..line.len().min(MAX_LINE)];
        if line.first() == Some(&b'{') {
            return export::json_stamp(line);
        }
        export::stamp(line).or_else(|| stamp(line)?.seconds(era))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_ordered_by_their_first_line() {
        let era = Era {
            latest: 1_795_694_400,
            offset: 0,
        };
        for (head, expected) in [
            ("garbage\nNov 26 12:00:00 mail x\n", Some(era.latest)),
            ("__CURSOR=x\n__REALTIME_TIMESTAMP=7000000\n", Some(7)),
            ("{\"__REALTIME_TIMESTAMP\":\"7000000\"}\n", Some(7)),
            ("garbage\n", None),
        ] {
            assert_eq!(first_stamp(head.as_bytes(), era), expected, "{head}");
        }
    }
}
