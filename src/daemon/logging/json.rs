//! One JSON object per line, fields beside the rest. The log's own level is called `severity`, since
//! `level` is the policy's.

use super::{Fields, timestamp};
use serde::ser::{SerializeMap as _, Serializer as _};
use std::io;
use tracing::Metadata;

pub(super) fn line(metadata: &Metadata<'_>, fields: &Fields) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(1024);
    let mut json = serde_json::Serializer::new(&mut line);
    let mut object = json.serialize_map(None)?;
    object.serialize_entry("timestamp", &timestamp())?;
    object.serialize_entry("severity", metadata.level().as_str())?;
    object.serialize_entry("target", metadata.target())?;
    object.serialize_entry("message", &fields.message)?;
    for (key, value) in &fields.fields {
        object.serialize_entry(key, value)?;
    }
    object.end()?;
    line.push(b'\n');
    Ok(line)
}
