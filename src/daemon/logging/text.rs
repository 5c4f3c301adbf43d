//! `TIME LEVEL message key=value key="a value"`: one line per event, for people and grep.

use super::{Fields, timestamp};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write as _;
use tracing::Metadata;

pub(super) fn line(metadata: &Metadata<'_>, fields: &Fields) -> String {
    let mut line = format!("{} {} ", timestamp(), metadata.level());
    if !metadata.target().starts_with("sealpost") {
        line.push_str(metadata.target());
        line.push_str(": ");
    }
    line.push_str(&body(fields));
    line.push('\n');
    line
}

/// Message and fields, without those that have no value.
pub(super) fn body(fields: &Fields) -> String {
    let mut body = String::with_capacity(512);
    escape(&mut body, &fields.message);
    for (key, value) in &fields.fields {
        let text: Cow<'_, str> = match value {
            Value::Null => continue,
            Value::String(text) => text.as_str().into(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.to_string().into()
            }
        };
        // Writing to a String cannot fail.
        let _ = write!(body, " {key}=");
        if is_plain(&text) {
            body.push_str(&text);
        } else {
            body.push('"');
            escape(&mut body, &text);
            body.push('"');
        }
    }
    body
}

/// Whether it is one word that nothing else can be taken for.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\'))
}

/// What breaks lines, moves cursors or reverses the order of letters is written as an escape.
fn escape(to: &mut String, text: &str) {
    for c in text.chars() {
        let hidden = c.is_control()
            || matches!(
                c,
                '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
            )
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c {
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            _ if hidden => to.extend(c.escape_unicode()),
            _ => to.push(c),
        }
    }
}
