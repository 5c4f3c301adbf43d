//! The one place that asks what time it is; pure code is given the answer.

use std::time::SystemTime;

/// Wall-clock time, for dates in headers, logs and certificates.
#[allow(clippy::disallowed_methods)] // this is the place that the lint points to
pub fn now() -> SystemTime {
    SystemTime::now()
}
