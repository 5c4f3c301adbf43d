//! Rules in the syntax of Postfix's `smtp_tls_policy_maps` text files (postmap(1), and
//! `smtp_tls_policy_maps` in postconf(5)), with Postfix's meaning: the level replaces what the
//! domain publishes.
//!
//! What cannot be honoured is an error, never silently dropped; what is left out without making
//! anything weaker is a warning.

mod attributes;

use super::level::Level;
use super::requirement::{ClientCertificate, OnFailure};
use super::rules::{Enforce, MatchName, Published, Rule};
use crate::names::{DomainName, NameError, RuleNextHop};
use std::collections::HashMap;

/// What a map says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyMap {
    pub entries: Vec<Entry>,
    pub errors: Vec<Remark>,
    pub warnings: Vec<Remark>,
}

/// One line of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: Key,
    /// Counted from 1.
    pub line: usize,
    pub rule: Rule,
}

/// What the entry is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// `example.com`: this domain, not those below it.
    Exact(DomainName),
    /// `.example.com`: every domain below it.
    Below(DomainName),
    /// `[host]`, `[host]:port`, `host:port`: mail that is routed so.
    NextHop(RuleNextHop),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, ".{domain}"),
            Self::NextHop(hop) => write!(f, "{hop}"),
        }
    }
}

/// Something to say about a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Counted from 1.
    pub line: usize,
    pub text: String,
}

/// Longest entry, continuation lines included, in octets.
const MAX_ENTRY: usize = 64 * 1024;

/// Errors after which nobody reads on.
const MAX_ERRORS: usize = 100;

/// Reads a map; `origin` is what messages call the file.
pub fn parse(text: &str, origin: &str) -> PolicyMap {
    let mut map = PolicyMap::default();
    let mut lines_of: HashMap<Key, usize> = HashMap::new();
    for (line, logical) in logical_lines(text) {
        if map.errors.len() >= MAX_ERRORS {
            map.errors
                .push(remark(line, "too many errors; the rest is not read"));
            break;
        }
        let mut warnings = Vec::new();
        match entry(&logical, &mut warnings) {
            Ok((key, mut rule)) => {
                if let Some(first) = lines_of.insert(key.clone(), line) {
                    lines_of.insert(key.clone(), first);
                    let text = format!("{key} stands on line {first} already; remove one of them");
                    map.errors.push(Remark { line, text });
                    continue;
                }
                rule.origin = format!("{origin}:{line}");
                map.entries.push(Entry { key, line, rule });
            }
            Err(text) => map.errors.push(Remark { line, text }),
        }
        let warnings = warnings.into_iter().map(|text| Remark { line, text });
        map.warnings.extend(warnings);
    }
    map
}

fn remark(line: usize, text: &str) -> Remark {
    Remark {
        line,
        text: text.to_owned(),
    }
}

/// Lines with their continuation lines, without comments, each with the number of its first line.
/// Empty and comment lines do not end an entry (postmap(1)).
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut logical: Vec<(usize, String)> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match logical.last_mut() {
            Some((_, entry)) if line.starts_with([' ', '\t']) => {
                // One octet more than allowed is enough to be refused.
                if entry.len() <= MAX_ENTRY {
                    entry.push(' ');
                    entry.push_str(content);
                }
            }
            Some(_) | None => logical.push((i + 1, line.trim_end().to_owned())),
        }
    }
    logical
}

fn entry(text: &str, warnings: &mut Vec<String>) -> Result<(Key, Rule), String> {
    if text.len() > MAX_ENTRY {
        return Err(format!("the entry is longer than {MAX_ENTRY} octets"));
    }
    if text.starts_with([' ', '\t']) {
        return Err("the file begins with a continuation line; write the key at the start".into());
    }
    let Some((key, value)) = text.split_once([' ', '\t']) else {
        return Err(format!("{} has no level; write one after it", quote(text)));
    };
    let key = read_key(key)?;
    let mut words = value
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty());
    let level = read_level(words.next().unwrap_or_default())?;
    let attributes = attributes::read(level, words, warnings)?;
    let rule = Rule {
        origin: String::new(),
        name: None,
        require: Some(level),
        match_names: attributes.match_names,
        fingerprints: attributes.fingerprints,
        min_version: attributes.min_version,
        published: Published::Ignore,
        next_hop: None,
        on_failure: OnFailure::Defer,
        enforce: Enforce::Yes,
        client_certificate: ClientCertificate::Withhold,
    };
    if level == Level::Fingerprint && rule.fingerprints.is_empty() {
        return Err("level fingerprint needs match=, a SHA-256 digest".into());
    }
    Ok((key, rule))
}

fn read_key(text: &str) -> Result<Key, String> {
    let bad = |error: &dyn std::fmt::Display| format!("key {}: {error}", quote(text));
    if let Some(parent) = text.strip_prefix('.') {
        return DomainName::parse(parent)
            .map(Key::Below)
            .map_err(|e| bad(&e));
    }
    if text.starts_with('[') || text.contains(':') {
        return RuleNextHop::parse(text)
            .map(Key::NextHop)
            .map_err(|e| bad(&e));
    }
    match DomainName::parse(text) {
        Ok(domain) => Ok(Key::Exact(domain)),
        Err(NameError::IsAddress) => Err(bad(&"write an address in brackets, as Postfix does")),
        Err(error) => Err(bad(&error)),
    }
}

/// Levels in Postfix's spelling; it takes any case.
fn read_level(text: &str) -> Result<Level, String> {
    match text.to_ascii_lowercase().parse() {
        Ok(level) => Ok(level),
        Err(_) => Err(format!(
            "{} is no level; write none, may, encrypt, dane, dane-only, fingerprint, verify or secure",
            quote(text)
        )),
    }
}

/// A word of `match`: `nexthop`, `dot-nexthop`, `hostname`, `example.com`, `.example.com`.
pub(crate) fn match_name(text: &str) -> Result<MatchName, NameError> {
    match text.to_ascii_lowercase().as_str() {
        "nexthop" => Ok(MatchName::NextHop),
        "dot-nexthop" => Ok(MatchName::DotNextHop),
        "hostname" => Ok(MatchName::HostName),
        other => match other.strip_prefix('.') {
            Some(parent) => DomainName::parse(parent).map(MatchName::Below),
            None => DomainName::parse(text).map(MatchName::Name),
        },
    }
}

/// A SHA-256 digest in hexadecimal, with colons between the octets or without any.
pub(crate) fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = if text.contains(':') {
        let octets: Vec<&str> = text.splitn(33, ':').collect();
        if octets.len() != 32 || octets.iter().any(|octet| octet.len() != 2) {
            return None;
        }
        octets.concat().into_bytes()
    } else {
        text.as_bytes().to_vec()
    };
    if digits.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (octet, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *octet = u8::try_from(16 * high + low).ok()?;
    }
    Some(digest)
}

/// Text of the file, fit for a message.
fn quote(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("\"{}{dots}\"", cut.escape_debug())
}

#[cfg(test)]
mod tests;
