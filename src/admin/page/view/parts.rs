//! What the pages have in common: times, states, lists that are searched and turned over.

use super::super::request::Asked;
use crate::html::{Markup, Tone, count, html, swatch};
use jiff::Timestamp;

/// A time, to a minute.
pub(super) fn moment(time: Timestamp) -> Markup {
    html! { time datetime=(time.to_string()) { (written(time)) } }
}

fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// How long ago, or how long from now; the time itself where somebody points at it.
pub(super) fn age(time: Timestamp, now: Timestamp) -> Markup {
    let seconds = now.as_second() - time.as_second();
    let long = duration(seconds.unsigned_abs());
    html! {
        time datetime=(time.to_string()) title=(format!("{} UTC", written(time))) {
            @if seconds < 0 { "in " (long) }
            @else if seconds < 60 { "just now" }
            @else { (long) " ago" }
        }
    }
}

/// `3 min`, `5 h`, `12 days`
pub(super) fn duration(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => format!("{} h", seconds / HOUR),
        _ if seconds < 2 * DAY => "1 day".to_owned(),
        _ => format!("{} days", count(seconds / DAY)),
    }
}

/// `12.3 MiB`
pub(super) fn octets(octets: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if octets < 1024 {
        return format!("{octets} B");
    }
    let mut size = octets as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// `1 message`, `2 messages`
pub(super) fn many(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{} {one}s", count(number)),
    }
}

/// The labels of metrics as words.
pub(super) fn words(label: &str) -> String {
    match label {
        "no_starttls" => "no STARTTLS".to_owned(),
        "tls_failed" => "TLS failed".to_owned(),
        "mta-sts" => "MTA-STS".to_owned(),
        "dane" => "DANE".to_owned(),
        "half-dane" => "half-DANE".to_owned(),
        "webpki" => "WebPKI".to_owned(),
        "fingerprint" => "pin".to_owned(),
        "requiretls" => "REQUIRETLS".to_owned(),
        "starttls-not-supported" => "STARTTLS not supported".to_owned(),
        "tlsa-invalid" => "TLSA records not met".to_owned(),
        other => other.replace(['_', '-'], " "),
    }
}

pub(super) fn tone_of(state: &str) -> Tone {
    match state {
        "verified" => Tone::Verified,
        "encrypted" => Tone::Encrypted,
        "plaintext" => Tone::Plaintext,
        "blocked" => Tone::Bad,
        "refused" => Tone::Neutral,
        _ => Tone::Faint,
    }
}

/// What came of an attempt.
pub(super) fn state(state: &str) -> Markup {
    badge(tone_of(state), state)
}

pub(super) fn badge(tone: Tone, words: &str) -> Markup {
    html! { span class="badge" { (swatch(tone)) (words) } }
}

/// A form that asks for a part of a list; `more` are further fields.
pub(super) fn search(path: &str, asked: &Asked, hint: &str, more: &Markup) -> Markup {
    html! {
        form class="search" method="get" action=(path) role="search" {
            input type="search" name="q" value=(asked.search) maxlength="255" placeholder=(hint) aria-label=(hint);
            (more)
            button type="submit" { "Show" }
        }
    }
}

pub(super) fn choice(name: &str, label: &str, options: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        select name=(name) aria-label=(label) {
            @for (value, words) in options {
                @if *value == chosen {
                    option value=(value) selected { (words) }
                } @else {
                    option value=(value) { (words) }
                }
            }
        }
    }
}

/// Where in a list one is, and the way through it.
pub(super) fn pager(path: &str, asked: &Asked, matching: u64, shown: usize) -> Markup {
    let first = u64::from(asked.offset()) + 1;
    let pages = matching.div_ceil(u64::from(asked.limit)).max(1);
    let to = |page: u64| {
        let page = u32::try_from(page).unwrap_or(u32::MAX);
        let asked = Asked {
            page,
            ..asked.clone()
        };
        format!("{path}{}", asked.query())
    };
    let page = u64::from(asked.page);
    html! {
        nav class="pages" aria-label="Pages of the list" {
            @if shown == 0 && matching > 0 {
                span { "There are " (count(pages)) " pages only." }
            } @else if matching > 0 {
                span { (count(first)) "–" (count(first + shown as u64 - 1)) " of " (count(matching)) }
            }
            @if pages > 1 {
                @if page > 1 {
                    a href=(to(1)) { "First" }
                    a rel="prev" href=(to((page - 1).min(pages))) { "Previous" }
                }
                @if page < pages {
                    a rel="next" href=(to(page + 1)) { "Next" }
                    a href=(to(pages)) { "Last" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (86_399, "23 h"),
            (86_400, "1 day"),
            (172_800, "2 days"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).unwrap();
        for (seconds, expected) in [
            (-120, ">2 min ago<"),
            (7200, ">in 2 h<"),
            (40, ">in 40 s<"),
            (-1, ">just now<"),
        ] {
            let shown = age(at(seconds), now).into_string();
            assert!(shown.contains(expected), "{shown}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        for (size, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (50 << 20, "50.0 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(octets(size), expected);
        }
    }
}
