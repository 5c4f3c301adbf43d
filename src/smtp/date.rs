//! Dates as header fields and replies have them (RFC 5322 §3.3).

use std::time::SystemTime;

/// RFC 5322 §3.3's date-time, in UTC: `Mon, 23 Nov 2026 07:10:11 +0000`.
pub fn rfc5322_date(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn dates_are_in_utc() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (1_795_417_811, "Mon, 23 Nov 2026 07:10:11 +0000"),
            (1_709_210_096, "Thu, 29 Feb 2024 12:34:56 +0000"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(rfc5322_date(time), expected);
        }
    }
}
