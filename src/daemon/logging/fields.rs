//! An event's message and fields, collected once for whichever way they are written.

use serde_json::Value;
use std::fmt;
use tracing::Event;
use tracing::field::{Field, Visit};

/// Message and fields, in the order in which they were given; a field without a value is null.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Fields {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut collected = Self {
            message: String::new(),
            fields: event
                .metadata()
                .fields()
                .iter()
                .map(|field| field.name())
                // What the bridge from the `log` crate adds is of no interest here.
                .filter(|name| *name != "message" && !name.starts_with("log."))
                .map(|name| (name, Value::Null))
                .collect(),
        };
        event.record(&mut collected);
        collected
    }

    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
        } else if let Some((_, slot)) = self.fields.iter_mut().find(|(n, _)| *n == field.name()) {
            *slot = value;
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
