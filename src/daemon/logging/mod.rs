//! The log: lines of text, lines of JSON, or entries of systemd's journal.
//!
//! Values of strangers stand in fields; whatever they contain, an event stays one line (text, JSON)
//! or one entry (journal), and no control character reaches a terminal.

mod fields;
mod journal;
mod json;
mod text;

use fields::Fields;
use journal::Journal;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Registry, reload};

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The journal where standard error goes there, else text.
    #[default]
    Auto,
    Text,
    Json,
}

/// Changes the level of a log that is being written. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogHandle(reload::Handle<Targets, Registry>);

impl LogHandle {
    pub fn set_level(&self, level: LevelFilter) {
        // It fails only when the log is gone, and then there is nobody to tell.
        let _ = self.0.reload(targets(level));
    }
}

/// Starts the log of this process; `Err` if it has one already.
pub fn init(level: LevelFilter, format: Format) -> Result<LogHandle, TryInitError> {
    let sink = match format {
        Format::Json => Sink::Json(Box::new(io::stderr())),
        Format::Text => Sink::Text(Box::new(io::stderr())),
        Format::Auto => match Journal::of_stderr() {
            Some(journal) => Sink::Journal(journal),
            None => Sink::Text(Box::new(io::stderr())),
        },
    };
    let (filter, handle) = reload::Layer::new(targets(level));
    let log = Log(Mutex::new(sink)).with_filter(filter);
    tracing_subscriber::registry().with(log).try_init()?;
    Ok(LogHandle(handle))
}

/// Libraries tell their warnings only, unless everything is asked for.
fn targets(level: LevelFilter) -> Targets {
    let libraries = if level == LevelFilter::TRACE {
        LevelFilter::DEBUG
    } else {
        level.min(LevelFilter::WARN)
    };
    Targets::new()
        .with_default(libraries)
        .with_target("sealpost", level)
}

/// Writes events, one at a time.
struct Log(Mutex<Sink>);

enum Sink {
    Text(Box<dyn Write + Send>),
    Json(Box<dyn Write + Send>),
    Journal(Journal),
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let fields = Fields::of(event);
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written has nobody to be told to.
        let _ = sink.write(metadata, &fields);
    }
}

impl Sink {
    fn write(&mut self, metadata: &Metadata<'_>, fields: &Fields) -> io::Result<()> {
        // Each line in one piece, so that lines of other processes do not come between.
        match self {
            Self::Text(to) => to.write_all(text::line(metadata, fields).as_bytes()),
            Self::Json(to) => to.write_all(&json::line(metadata, fields)?),
            Self::Journal(journal) => journal
                .send(metadata, fields)
                .or_else(|_| io::stderr().write_all(text::line(metadata, fields).as_bytes())),
        }
    }
}

/// RFC 3339, UTC, milliseconds.
fn timestamp() -> String {
    match jiff::Timestamp::try_from(crate::clock::now()) {
        Ok(now) => format!("{now:.3}"),
        Err(_) => "-".into(), // the clock is before the year -9999 or after 9999
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `tell` runs, with and without the time.
    fn written(sink: fn(Box<dyn Write + Send>) -> Sink, tell: impl Fn()) -> String {
        let to = Written::default();
        let log = Log(Mutex::new(sink(Box::new(to.clone()))));
        let log = log.with_filter(targets(LevelFilter::INFO));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), tell);
        String::from_utf8(to.0.lock().unwrap().clone()).unwrap()
    }

    const HOSTILE: &str = "550 no\r\n2026-11-23T00:00:00Z INFO delivery result=\"delivered\" \u{1b}[2J \u{9b}31m \u{202e}x \\ \0";

    fn tell() {
        tracing::warn!(
            target: "sealpost::delivery",
            id = "01ABC",
            level = "may",
            reply = HOSTILE,
            shown = %HOSTILE,
            mx = None::<&str>,
            port = 25,
            elapsed = 1.235,
            "{HOSTILE}",
        );
        tracing::info!(target: "hickory_proto", "libraries are quiet");
        tracing::debug!(target: "sealpost::session", "below the level");
    }

    #[test]
    fn an_event_is_one_line_of_text_whatever_it_contains() {
        let line = written(Sink::Text, tell);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let odd = |c: &char| c.is_control() || *c == '\u{202e}';
        let odd: Vec<char> = line.trim_end_matches('\n').chars().filter(odd).collect();
        assert!(odd.is_empty(), "{line}");
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(
            time.parse::<jiff::Timestamp>().map(|_| time.len()).unwrap(),
            24
        );
        assert!(rest.starts_with("WARN 550 no\\r\\n2026"), "{rest}");
        let escaped = r#" id=01ABC level=may reply="550 no\r\n2026-11-23T00:00:00Z INFO delivery result=\"delivered\" \u{1b}[2J \u{9b}31m \u{202e}x \\ \u{0}" shown="550"#;
        assert!(rest.contains(escaped), "{rest}");
        assert!(rest.ends_with(" port=25 elapsed=1.235\n"), "{rest}");
    }

    #[test]
    fn an_event_is_one_object_of_json_whatever_it_contains() {
        let line = written(Sink::Json, tell);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        for (key, expected) in [
            ("severity", "WARN".into()),
            ("target", "sealpost::delivery".into()),
            ("message", HOSTILE.into()),
            ("id", "01ABC".into()),
            ("level", "may".into()), // the policy's: not the severity
            ("reply", HOSTILE.into()),
            ("shown", HOSTILE.into()),
            ("mx", serde_json::Value::Null),
            ("port", 25.into()),
            ("elapsed", 1.235.into()),
        ] {
            assert_eq!(event[key], expected, "{key}");
        }
        assert!(event.as_object().unwrap().contains_key("mx"));
        assert!(line.starts_with(r#"{"timestamp":"2"#), "{line}");
        // Each key once, or readers see the policy's level as the severity.
        assert_eq!(line.matches(r#""level":"#).count(), 1, "{line}");
    }

    #[test]
    fn the_level_decides_who_is_heard() {
        for (level, target, event, heard) in [
            (
                LevelFilter::INFO,
                "sealpost::delivery",
                LevelFilter::INFO,
                true,
            ),
            (
                LevelFilter::INFO,
                "sealpost::session",
                LevelFilter::DEBUG,
                false,
            ),
            (
                LevelFilter::DEBUG,
                "sealpost::session",
                LevelFilter::DEBUG,
                true,
            ),
            (LevelFilter::DEBUG, "rustls", LevelFilter::INFO, false),
            (LevelFilter::INFO, "rustls", LevelFilter::WARN, true),
            (LevelFilter::ERROR, "rustls", LevelFilter::WARN, false),
            (LevelFilter::TRACE, "rustls", LevelFilter::DEBUG, true),
        ] {
            let event_level = event.into_level().unwrap();
            let got = targets(level).would_enable(target, &event_level);
            assert_eq!(got, heard, "{level} {target} {event}");
        }
    }
}
