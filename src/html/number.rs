//! Numbers as people read them.

/// `1 234 567`, with narrow spaces that no line breaks at.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// `12.3 %`; never `100 %` or `0 %` of what is not quite all or nothing. Of nothing it is `–`.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if part > 0 && share < 0.05 {
        return "<0.1 %".to_owned();
    }
    if part < whole && share >= 99.95 {
        return ">99.9 %".to_owned();
    }
    if part == 0 || part == whole {
        return format!("{share:.0} %");
    }
    format!("{share:.1} %")
}
