//! The journal's own forms: `journalctl -o export` and `journalctl -o json`.

use super::line::{Line, pid, service};
use super::reader::MAX_LINE;
use super::stamp::{Era, Stamp};
use super::tally::Tally;
use memchr::memchr;
use serde::Deserialize;
use serde_json::Value;

/// One entry on its way.
#[derive(Debug, Default)]
struct Entry {
    seconds: Option<i64>,
    host: Vec<u8>,
    identifier: Vec<u8>,
    pid: Option<u32>,
    message: Vec<u8>,
    begun: Begun,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Begun {
    #[default]
    No,
    Yes,
}

/// A field in binary form: its name, a line end, eight octets of length, the value, a line end.
#[derive(Debug)]
struct Field {
    name: Vec<u8>,
    length: Vec<u8>,
    left: Option<u64>,
    value: Vec<u8>,
}

/// Reads `journalctl -o export`.
#[derive(Debug, Default)]
pub(super) struct Export {
    entry: Entry,
    field: Option<Field>,
}

/// Whether a file that begins so is an export.
pub(super) fn begins(line: &[u8]) -> bool {
    [&b"__CURSOR="[..], b"__REALTIME_TIMESTAMP="]
        .iter()
        .any(|start| line.starts_with(start))
}

/// The time in a line of an export.
pub(super) fn stamp(line: &[u8]) -> Option<i64> {
    microseconds(line.strip_prefix(b"__REALTIME_TIMESTAMP=")?)
}

impl Export {
    /// Whether the next octets belong to a field in binary form.
    pub(super) fn is_in_field(&self) -> bool {
        self.field.is_some()
    }

    /// Takes what belongs to the field in binary form, and returns the rest.
    pub(super) fn field<'a>(&mut self, octets: &'a [u8]) -> &'a [u8] {
        let Some(field) = &mut self.field else {
            return octets;
        };
        let Some(left) = &mut field.left else {
            let take = octets.len().min(8 - field.length.len());
            field.length.extend_from_slice(&octets[..take]);
            if let Ok(length) = <[u8; 8]>::try_from(field.length.as_slice()) {
                // The value and its line end.
                field.left = Some(u64::from_le_bytes(length).saturating_add(1));
            }
            return &octets[take..];
        };
        let take = usize::try_from(*left).map_or(octets.len(), |left| left.min(octets.len()));
        let room = (MAX_LINE + 1).saturating_sub(field.value.len());
        field.value.extend_from_slice(&octets[..take.min(room)]);
        *left -= take as u64;
        if *left == 0
            && let Some(mut field) = self.field.take()
        {
            field.value.pop();
            self.entry.set(&field.name, &field.value);
        }
        &octets[take..]
    }

    pub(super) fn line(&mut self, line: &[u8], tally: &mut Tally, era: Era) {
        if line.is_empty() {
            self.end(tally, era);
            return;
        }
        match memchr(b'=', line) {
            Some(equals) => self.entry.set(&line[..equals], &line[equals + 1..]),
            None => {
                self.field = Some(Field {
                    name: line[..line.len().min(64)].to_vec(),
                    length: Vec::with_capacity(8),
                    left: None,
                    value: Vec::new(),
                });
            }
        }
    }

    /// An entry ends.
    pub(super) fn end(&mut self, tally: &mut Tally, era: Era) {
        if self.entry.begun == Begun::Yes {
            self.entry.tell(tally, era);
        }
        self.entry.clear();
    }
}

impl Entry {
    fn set(&mut self, name: &[u8], value: &[u8]) {
        self.begun = Begun::Yes;
        let copy = |to: &mut Vec<u8>| {
            to.clear();
            to.extend_from_slice(value);
        };
        match name {
            b"__REALTIME_TIMESTAMP" => self.seconds = microseconds(value),
            b"_HOSTNAME" => copy(&mut self.host),
            b"SYSLOG_IDENTIFIER" => copy(&mut self.identifier),
            b"SYSLOG_PID" => self.pid = pid(value),
            b"_PID" => self.pid = self.pid.or(pid(value)),
            b"MESSAGE" => copy(&mut self.message),
            _ => {}
        }
    }

    fn clear(&mut self) {
        self.seconds = None;
        self.pid = None;
        self.begun = Begun::No;
        for field in [&mut self.host, &mut self.identifier, &mut self.message] {
            field.clear();
        }
    }

    fn tell(&self, tally: &mut Tally, era: Era) {
        tally.lines.read += 1;
        let (Some(seconds), Some(service)) = (self.seconds, service(&self.identifier)) else {
            if self.seconds.is_none() {
                tally.lines.unreadable += 1;
            }
            return;
        };
        let Some(pid) = self.pid else { return };
        if self.message.len() >= MAX_LINE {
            tally.lines.too_long += 1;
            return;
        }
        let line = Line {
            stamp: Stamp::Seconds(seconds),
            host: &self.host,
            service,
            pid,
            text: &self.message,
        };
        tally.line(&line, era);
    }
}

/// What matters of an entry; a value is an array of octets where it is no text.
#[derive(Deserialize)]
struct Json {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    realtime: Option<Value>,
    #[serde(rename = "_HOSTNAME")]
    host: Option<Value>,
    #[serde(rename = "SYSLOG_IDENTIFIER")]
    identifier: Option<Value>,
    #[serde(rename = "SYSLOG_PID")]
    syslog_pid: Option<Value>,
    #[serde(rename = "_PID")]
    pid: Option<Value>,
    #[serde(rename = "MESSAGE")]
    message: Option<Value>,
}

/// A line of `journalctl -o json`; the line is counted already.
pub(super) fn json(line: &[u8], tally: &mut Tally, era: Era) {
    let Ok(read) = serde_json::from_slice::<Json>(line) else {
        tally.lines.unreadable += 1;
        return;
    };
    let mut entry = Entry::default();
    for (name, value) in [
        ("__REALTIME_TIMESTAMP", &read.realtime),
        ("_HOSTNAME", &read.host),
        ("SYSLOG_IDENTIFIER", &read.identifier),
        ("SYSLOG_PID", &read.syslog_pid),
        ("_PID", &read.pid),
        ("MESSAGE", &read.message),
    ] {
        entry.set(
            name.as_bytes(),
            &value.as_ref().map(octets).unwrap_or_default(),
        );
    }
    tally.lines.read -= 1;
    entry.tell(tally, era);
}

pub(super) fn json_stamp(line: &[u8]) -> Option<i64> {
    let read: Json = serde_json::from_slice(line).ok()?;
    microseconds(&octets(&read.realtime?))
}

fn octets(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(octets) => {
            let octet = |v: &Value| v.as_u64().and_then(|n| u8::try_from(n).ok());
            octets.iter().filter_map(octet).collect()
        }
        Value::Number(number) => number.to_string().into_bytes(),
        Value::Null | Value::Bool(_) | Value::Object(_) => Vec::new(),
    }
}

/// Microseconds since 1970, as seconds.
fn microseconds(digits: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(digits).ok()?;
    text.parse::<i64>().ok().map(|us| us.div_euclid(1_000_000))
}
