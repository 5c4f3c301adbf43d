//! Reply codes with their enhanced status codes (RFC 5321 §4.2, RFC 3463).

use std::fmt;

/// An enhanced status code, `class.subject.detail` (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl EnhancedStatus {
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self {
            class,
            subject,
            detail,
        }
    }

    /// Reads the code at the start of a reply's text; returns the rest of the text with it.
    pub fn split(text: &str) -> Option<(Self, &str)> {
        let (word, rest) = match text.split_once(' ') {
            Some((word, rest)) => (word, rest),
            None => (text, ""),
        };
        let mut parts = word.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let number = |part: Option<&str>| -> Option<u16> {
            let part = part?;
            let plain = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            if plain { part.parse().ok() } else { None }
        };
        let subject = number(parts.next())?;
        let detail = number(parts.next())?;
        if parts.next().is_some() {
            return None;
        }
        Some((
            Self {
                class,
                subject,
                detail,
            },
            rest,
        ))
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enhanced_codes_are_read_strictly() {
        for (text, expected) in [
            ("2.0.0 ok", Some(("2.0.0", "ok"))),
            ("5.7.999 no", Some(("5.7.999", "no"))),
            ("4.4.2", Some(("4.4.2", ""))),
            ("3.0.0 what", None),
            ("5.7 no", None),
            ("5.7.1.1 no", None),
            ("5.7.1000 no", None),
            ("5.+7.1 no", None),
            ("", None),
        ] {
            let got = EnhancedStatus::split(text);
            let got = got.map(|(code, rest)| (code.to_string(), rest));
            let got = got.as_ref().map(|(code, rest)| (code.as_str(), *rest));
            assert_eq!(got, expected, "{text}");
        }
    }
}
