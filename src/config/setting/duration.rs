//! Times as `9m30s`.

use super::quote;
use super::text::{Read, no};
use std::time::Duration;

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// `9m30s`: numbers with units, the greatest first, each at most once.
pub(super) fn read_duration(text: &str) -> Read<Duration> {
    let bad = || {
        no(
            format!("{} is no time", quote(text)),
            "write numbers with the units d, h, m, s, ms, the greatest first, as \"9m30s\"",
        )
    };
    let (mut rest, mut total, mut next_unit) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let Some(at) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return bad();
        };
        let (Ok(number), true) = (number.parse::<u64>(), at >= next_unit) else {
            return bad();
        };
        let sum = number
            .checked_mul(UNITS[at].1)
            .and_then(|part| total.checked_add(part));
        // A hundred years is where a clock addition is still safe everywhere.
        let Some(sum) = sum.filter(|sum| *sum <= 36_525 * 86_400_000) else {
            return no(format!("{} is too long", quote(text)), "at most 36525d");
        };
        (rest, total, next_unit) = (after, sum, at + 1);
    }
    if next_unit == 0 {
        return bad();
    }
    Ok(Duration::from_millis(total))
}

pub(in crate::config) fn show_duration(duration: &Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut shown = String::new();
    for (unit, millis) in UNITS {
        if rest >= millis {
            shown.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    shown
}
