//! `[history]`.

use super::reader::Section;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Ten years: rows are bounded all the same.
const MOST_DAYS: u32 = 3660;
/// What a page and a suggestion can still go through.
const MOST_DESTINATIONS: u64 = 1_000_000;

/// `[history]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryConfig {
    pub enabled: bool,
    /// A day at least.
    pub retention: Duration,
    pub destinations: u64,
}

pub(super) fn read(root: &mut Section<'_>) -> HistoryConfig {
    let mut history = root.section("history");
    let enabled = history.take("enabled", true);
    let retention = history.take("retention", 366 * DAY);
    if retention < DAY || retention > MOST_DAYS * DAY {
        history.object(
            "retention",
            "is less than a day or more than ten years",
            "write a time as \"366d\", or enabled = false for no history",
        );
    }
    let destinations = history.take("destinations", 200_000_u64);
    if destinations == 0 || destinations > MOST_DESTINATIONS {
        history.object(
            "destinations",
            format!("is zero or more than {MOST_DESTINATIONS}"),
            "write a number as 200000, or enabled = false for no history",
        );
    }
    history.finish();
    HistoryConfig {
        enabled,
        retention,
        destinations,
    }
}
