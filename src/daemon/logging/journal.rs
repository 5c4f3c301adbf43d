//! systemd's journal, by its native protocol: an entry's MESSAGE is the whole line, so that plain
//! `journalctl` shows it, and each field is there for itself, as `SEALPOST_RESULT=deferred`.

use super::{Fields, text};
use serde_json::Value;
use std::io;
use std::os::unix::net::UnixDatagram;
use tracing::{Level, Metadata};

const SOCKET: &str = "/run/systemd/journal/socket";

/// A connection to the journal.
#[derive(Debug)]
pub(super) struct Journal(UnixDatagram);

impl Journal {
    /// The journal, if standard error goes there: then systemd started us, and nobody redirected us.
    pub(super) fn of_stderr() -> Option<Self> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let stderr = nix::sys::stat::fstat(io::stderr()).ok()?;
        if stream != format!("{}:{}", stderr.st_dev, stderr.st_ino) {
            return None;
        }
        Self::connect(SOCKET).ok()
    }

    fn connect(path: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self(socket))
    }

    pub(super) fn send(&self, metadata: &Metadata<'_>, fields: &Fields) -> io::Result<()> {
        self.0.send(&entry(metadata, fields)).map(|_| ())
    }
}

fn entry(metadata: &Metadata<'_>, fields: &Fields) -> Vec<u8> {
    let mut entry = Vec::with_capacity(1024);
    put(&mut entry, "MESSAGE", &text::body(fields));
    put(&mut entry, "PRIORITY", priority(*metadata.level()));
    put(&mut entry, "SYSLOG_IDENTIFIER", "sealpost");
    put(&mut entry, "TARGET", metadata.target());
    for (key, value) in &fields.fields {
        let key = format!("SEALPOST_{}", key.to_ascii_uppercase().replace('.', "_"));
        match value {
            Value::Null => {}
            Value::String(text) => put(&mut entry, &key, text),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                put(&mut entry, &key, &value.to_string());
            }
        }
    }
    entry
}

/// One field: a value with a line feed is preceded by its length, so that it cannot be taken for
/// further fields.
fn put(entry: &mut Vec<u8>, key: &str, value: &str) {
    entry.extend_from_slice(key.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// syslog(3)
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Log, Sink};
    use super::*;
    use std::sync::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn an_entry_has_the_line_and_every_field() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect(path.to_str().unwrap()).unwrap();
        let log = Log(Mutex::new(Sink::Journal(journal)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            let reply = "550 no\nSEALPOST_RESULT=delivered";
            let mx = None::<&str>;
            tracing::warn!(target: "sealpost::delivery", mx, port = 25, reply, "delivery");
        });
        let mut entry = [0; 1024];
        let size = journald.recv(&mut entry).unwrap();
        let expected = b"MESSAGE=delivery port=25 reply=\"550 no\\nSEALPOST_RESULT=delivered\"\n\
            PRIORITY=4\nSYSLOG_IDENTIFIER=sealpost\nTARGET=sealpost::delivery\nSEALPOST_PORT=25\n\
            SEALPOST_REPLY\n\x20\0\0\0\0\0\0\x00550 no\nSEALPOST_RESULT=delivered\n";
        let show = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        assert_eq!(show(&entry[..size]), show(expected));
    }
}
