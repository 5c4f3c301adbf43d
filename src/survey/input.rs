//! Which domains: a line each, as people, spreadsheets and lists of popular domains write them.

use crate::names::DomainName;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Longest group, in characters.
const MAX_GROUP: usize = 100;

/// A domain to survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub domain: DomainName,
    /// Country, sector, provider: whatever the second column says; one line of printable text.
    pub group: Option<String>,
}

/// Lines read so far: what came twice counts once.
#[derive(Debug, Default)]
pub struct Input {
    /// Sixteen octets for each, whatever its length.
    seen: HashSet<[u8; 16]>,
    started: bool,
    pub tally: Tally,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub lines: u64,
    pub targets: u64,
    pub duplicates: u64,
    pub invalid: u64,
}

/// Why a line names no domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text}: {reason}")]
pub struct BadLine {
    pub line: u64,
    /// Printable ASCII, cut.
    pub text: String,
    pub reason: String,
}

impl Input {
    /// Reads one line; `None`: it names nothing new.
    pub fn read(&mut self, line: &[u8]) -> Option<Result<Target, BadLine>> {
        self.tally.lines += 1;
        let text = String::from_utf8_lossy(line);
        let text = match self.tally.lines {
            1 => text.strip_prefix('\u{feff}').unwrap_or(&text),
            _ => &text,
        };
        let text = text.split('#').next().unwrap_or("").trim();
        if text.is_empty() {
            return None;
        }
        let (first, group) = columns(text);
        let is_header =
            !std::mem::replace(&mut self.started, true) && first.eq_ignore_ascii_case("domain");
        if is_header {
            return None;
        }
        match DomainName::parse(first) {
            Ok(domain) => self.once(domain, group).map(Ok),
            Err(reason) => {
                self.tally.invalid += 1;
                Some(Err(BadLine {
                    line: self.tally.lines,
                    text: super::words::cut(first, 80),
                    reason: reason.to_string(),
                }))
            }
        }
    }

    /// A target that was not there yet.
    pub fn once(&mut self, domain: DomainName, group: Option<&str>) -> Option<Target> {
        let group = group.map(printable).filter(|group| !group.is_empty());
        let mut hash = Sha256::new();
        hash.update(domain.as_str());
        hash.update([0]);
        hash.update(group.as_deref().unwrap_or(""));
        let digest: [u8; 32] = hash.finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        if !self.seen.insert(key) {
            self.tally.duplicates += 1;
            return None;
        }
        self.tally.targets += 1;
        Some(Target { domain, group })
    }
}

/// The domain and its group. `rank,domain` is how lists of popular domains are written.
fn columns(text: &str) -> (&str, Option<&str>) {
    let separator = [',', ';', '\t', ' ']
        .into_iter()
        .find(|separator| text.contains(*separator));
    let Some(separator) = separator else {
        return (unquoted(text), None);
    };
    let mut columns = text.split(separator).map(|column| unquoted(column.trim()));
    let mut next = || columns.find(|column| separator != ' ' || !column.is_empty());
    let (first, second) = (next().unwrap_or(""), next());
    let is_rank = !first.is_empty() && first.bytes().all(|octet| octet.is_ascii_digit());
    match second {
        Some(domain) if is_rank => (domain, next()),
        group => (first, group),
    }
}

fn unquoted(column: &str) -> &str {
    let inner = column.strip_prefix('"').and_then(|c| c.strip_suffix('"'));
    inner.unwrap_or(column)
}

fn printable(group: &str) -> String {
    let shown = group.trim().chars().filter(|c| !c.is_control());
    shown.take(MAX_GROUP).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (Vec<String>, Tally) {
        let mut input = Input::default();
        let mut told = Vec::new();
        for line in lines {
            match input.read(line.as_bytes()) {
                None => {}
                Some(Ok(Target {
                    domain,
                    group: None,
                })) => told.push(domain.to_string()),
                Some(Ok(Target {
                    domain,
                    group: Some(group),
                })) => {
                    told.push(format!("{domain}={group}"));
                }
                Some(Err(bad)) => told.push(format!("! {bad}")),
            }
        }
        (told, input.tally)
    }

    #[test]
    fn lines_as_people_write_them() {
        for (line, expected) in [
            ("a.example", "a.example"),
            ("A.Example.\r", "a.example"),
            ("a.example,nl", "a.example=nl"),
            ("a.example; public sector ;x", "a.example=public sector"),
            ("a.example\tnl", "a.example=nl"),
            ("a.example   nl", "a.example=nl"),
            ("\"a.example\",\"nl\"", "a.example=nl"),
            ("17,a.example", "a.example"), // a list by popularity
            ("17,a.example,nl", "a.example=nl"),
            ("m\u{fc}nchen.example", "xn--mnchen-3ya.example"),
            ("a.example,", "a.example"),
            ("a.example # ours", "a.example"),
            ("a.example,n\u{1b}l", "a.example=nl"),
            (
                "a..example",
                "! line 2: a..example: a label is empty or longer than 63 octets",
            ),
            (
                "192.0.2.1",
                "! line 2: 192.0.2.1: the name is an IP address",
            ),
            (
                "a_\u{1b}[31m",
                "! line 2: a_?[31m: the name has a character that no host name may have",
            ),
        ] {
            let (told, _) = read(&["first.example", line]);
            assert_eq!(told[1..], [expected], "{line:?}");
        }
    }

    #[test]
    fn what_is_no_domain_and_what_came_before() {
        let (told, tally) = read(&[
            "\u{feff}Domain,Country\r",
            "# a comment",
            "",
            "a.example,nl",
            "A.example,nl",
            "a.example,de",
            "a.example",
            "domain", // no header any more
            "b..c",
        ]);
        let expected = ["a.example=nl", "a.example=de", "a.example", "domain"];
        assert_eq!(told[..4], expected);
        assert_eq!(
            tally,
            Tally {
                lines: 9,
                targets: 4,
                duplicates: 1,
                invalid: 1
            }
        );
    }
}
