//! When a line was written: RFC 3164, RFC 3339 and what lies between, as seconds since 1970.

/// What a stamp without a year or a zone is read against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Era {
    /// No line is later than this, give or take a day; seconds since 1970.
    pub latest: i64,
    /// What local time is ahead of UTC, in seconds.
    pub offset: i64,
}

const DAY: i64 = 86_400;
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// A stamp as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp<'a> {
    /// `Nov 26 07:00:01`
    Short(&'a [u8]),
    /// `2026-11-26T07:00:01.123456+01:00`
    Long(&'a [u8]),
    /// Seconds since 1970.
    Seconds(i64),
}

impl Stamp<'_> {
    pub(super) fn seconds(self, era: Era) -> Option<i64> {
        match self {
            Self::Short(text) => short(text, era),
            Self::Long(text) => long(text, era),
            Self::Seconds(seconds) => Some(seconds),
        }
    }
}

fn short(text: &[u8], era: Era) -> Option<i64> {
    let month = MONTHS.iter().position(|name| text.starts_with(*name))?;
    let month = i64::try_from(month).ok()? + 1;
    let tens = match text.get(4)? {
        b' ' => 0,
        digit => number(&[*digit])?,
    };
    let day = 10 * tens + number(text.get(5..6)?)?;
    let time = clock(text.get(7..15)?)?;
    let local = era.latest.saturating_add(era.offset);
    let (year, _) = civil(local.div_euclid(DAY));
    let at = |year| days(year, month, day) * DAY + time - era.offset;
    let this = at(year);
    // A day: clocks differ, and the zone may be another.
    Some(if this > era.latest.saturating_add(DAY) {
        at(year - 1)
    } else {
        this
    })
}

fn long(text: &[u8], era: Era) -> Option<i64> {
    let date = days(
        number(text.get(..4)?)?,
        number(text.get(5..7)?)?,
        number(text.get(8..10)?)?,
    );
    let time = clock(text.get(11..19)?)?;
    let zone = &text[19..];
    let digits = |b: &u8| b.is_ascii_digit();
    let zone = match zone.strip_prefix(b".") {
        Some(fraction) => &fraction[fraction.iter().take_while(|b| digits(b)).count()..],
        None => zone,
    };
    let offset = match zone {
        [] => era.offset,
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, rest @ ..] => {
            let minutes = rest.strip_prefix(b":").unwrap_or(rest);
            let hours = number(&[*h1, *h2])?;
            let minutes = if minutes.is_empty() {
                0
            } else {
                number(minutes)?
            };
            let offset = hours * 3600 + minutes * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    Some(date * DAY + time - offset)
}

/// `07:00:01`, in seconds.
fn clock(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else {
        return None;
    };
    let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    Some(hours * 3600 + minutes * 60 + number(&[*s1, *s2])?)
}

/// At most four digits.
fn number(digits: &[u8]) -> Option<i64> {
    let sound = (1..=4).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    sound.then(|| digits.iter().fold(0, |n, d| 10 * n + i64::from(d - b'0')))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + of_year - 719_468
}

/// The year of a day, and its first day.
fn civil(day: i64) -> (i64, i64) {
    let mut year = 1970 + day.div_euclid(366);
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    (year, days(year, 1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26 12:00:00 UTC, in a zone an hour ahead.
    const ERA: Era = Era {
        latest: 1_795_694_400,
        offset: 3600,
    };

    #[test]
    fn stamps() {
        let noon = ERA.latest;
        for (stamp, expected) in [
            (Stamp::Short(b"Nov 26 13:00:00"), Some(noon)),
            (Stamp::Short(b"Nov  2 13:00:00"), Some(noon - 24 * DAY)),
            (Stamp::Short(b"Nov 27 12:59:59"), Some(noon + DAY - 1)), // clocks differ
            (
                Stamp::Short(b"Nov 28 13:00:00"),
                Some(noon + 2 * DAY - 365 * DAY),
            ), // of last year
            (
                Stamp::Short(b"Dec 31 13:00:00"),
                Some(noon + 35 * DAY - 365 * DAY),
            ),
            (Stamp::Short(b"Foo 31 13:00:00"), None),
            (Stamp::Short(b"Nov xx 13:00:00"), None),
            (Stamp::Short(b"Nov 26 13-00-00"), None),
            (Stamp::Long(b"2026-11-26T12:00:00Z"), Some(noon)),
            (Stamp::Long(b"2026-11-26T13:00:00.123456+01:00"), Some(noon)),
            (Stamp::Long(b"2026-11-26T07:30:00-0430"), Some(noon)),
            (Stamp::Long(b"2026-11-26T13:00:00"), Some(noon)), // local time
            (Stamp::Long(b"2026-11-26 13:00:00"), Some(noon)),
            (Stamp::Long(b"2026-11-26T13:00:00+x"), None),
            (Stamp::Long(b"2024-02-29T00:00:00Z"), Some(1_709_164_800)),
            (Stamp::Long(b"1970-01-01T00:00:00Z"), Some(0)),
            (Stamp::Seconds(7), Some(7)),
        ] {
            assert_eq!(stamp.seconds(ERA), expected, "{stamp:?}");
        }
    }

    #[test]
    fn a_year_ends() {
        let era = Era {
            latest: 1_798_761_600 + 60, // a minute into 2027
            offset: 0,
        };
        let last = Stamp::Short(b"Dec 31 23:59:59").seconds(era);
        let first = Stamp::Short(b"Jan  1 00:00:00").seconds(era);
        assert_eq!((last, first), (Some(1_798_761_599), Some(1_798_761_600)));
    }
}
