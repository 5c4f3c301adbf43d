//! The parts of a chart.

use super::Extent;
use crate::html::Tone;
use serde::Serialize;
use std::borrow::Cow;
use std::cmp::Ordering;

/// One part: its place among the others, its words and what its colour says.
#[derive(Debug, Clone)]
pub struct Label {
    /// Parts of the same rank are in the order of their frequency.
    pub rank: u16,
    pub text: Cow<'static, str>,
    pub tone: Tone,
}

impl Label {
    pub(super) fn new(rank: u16, text: impl Into<Cow<'static, str>>, tone: Tone) -> Self {
        let text = text.into();
        Self { rank, text, tone }
    }

    /// Counts its subject into the whole of a chart, and into no part: it was tested and has none of the parts.
    pub(super) fn silent() -> Self {
        Self::new(0, "", Tone::Neutral)
    }

    pub(super) fn is_silent(&self) -> bool {
        self.text.is_empty()
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Label {}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.rank, &self.text).cmp(&(other.rank, &other.text))
    }
}

/// The word that an enum of a record is written as.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

/// Whether something is so on all, some or none.
pub(super) fn extent_labels(extent: Extent, none: Tone) -> Vec<Label> {
    let label = match extent {
        Extent::All => Label::new(0, "on all", Tone::Verified),
        Extent::Some => Label::new(1, "on some", Tone::Weak),
        Extent::None => Label::new(2, "on none", none),
        Extent::CouldNotTest => could_not_test(),
        Extent::Nothing => return Vec::new(),
    };
    vec![label]
}

/// Whether one thing is so.
pub(super) fn known_labels(extent: Extent, yes: Tone, no: Tone) -> Vec<Label> {
    let label = match extent {
        Extent::All => Label::new(0, "yes", yes),
        Extent::Some => Label::new(1, "at some addresses", Tone::Weak),
        Extent::None => Label::new(2, "no", no),
        Extent::CouldNotTest => could_not_test(),
        Extent::Nothing => return Vec::new(),
    };
    vec![label]
}

/// Never a "no".
pub(super) fn could_not_test() -> Label {
    Label::new(90, "could not test", Tone::Neutral)
}
