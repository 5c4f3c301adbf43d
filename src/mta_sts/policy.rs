//! The policy file (RFC 8461 §3.2) and its patterns (§4.1).

use super::record::is_extension_name;
use crate::names::{DomainName, NameError};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// What a domain demands of those who send mail to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub mode: Mode,
    /// Hosts that may receive the domain's mail; at least one unless the mode is `none`.
    pub mx: Arc<[MxPattern]>,
    /// Seconds for which the policy holds from its fetch on; at most [`Policy::MAX_AGE`].
    pub max_age: u32,
}

/// What becomes of mail that the policy forbids to deliver (RFC 8461 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is held back.
    Enforce,
    /// It is delivered all the same, and reported.
    Testing,
    /// There is no policy any more.
    None,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which MX hosts an `mx` line stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MxPattern {
    /// This one.
    Exact(DomainName),
    /// `*.example.com`: those with exactly one label more.
    OneLabelBelow(DomainName),
}

impl MxPattern {
    fn parse(text: &str) -> Result<Self, NameError> {
        match text.strip_prefix("*.") {
            Some(parent) => name(parent).map(Self::OneLabelBelow),
            None => name(text).map(Self::Exact),
        }
    }

    pub fn matches(&self, host: &DomainName) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::OneLabelBelow(parent) => {
                let rest = host.as_str().split_once('.').map(|(_, rest)| rest);
                rest == Some(parent.as_str())
            }
        }
    }
}

/// As in DNS, A-labels only: a U-label is an error (RFC 8461 §3.2), and so is a trailing dot.
fn name(text: &str) -> Result<DomainName, NameError> {
    if text.ends_with('.') {
        return Err(NameError::BadLabel);
    }
    DomainName::from_dns(text)
}

impl fmt::Display for MxPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::OneLabelBelow(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Why a file is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    #[error("the policy is longer than {} octets", Policy::MAX_SIZE)]
    TooLong,
    #[error("the policy is not in UTF-8")]
    NotUtf8,
    #[error("line {0} of the policy is malformed")]
    BadLine(usize),
    #[error("the policy has no {0}")]
    Missing(&'static str),
    #[error("the policy is not of version STSv1")]
    BadVersion,
    #[error("the policy's mode is not enforce, testing or none")]
    BadMode,
    #[error("the policy's max_age is no number")]
    BadMaxAge,
    #[error("line {line} of the policy names no MX host: {error}")]
    BadMx { line: usize, error: NameError },
}

impl Policy {
    /// Longest policy in octets (RFC 8461 §3.3).
    pub const MAX_SIZE: usize = 64 * 1024;
    /// Longest time for which a policy is remembered, in seconds (RFC 8461 §3.2).
    pub const MAX_AGE: u32 = 31_557_600;

    /// Reads a policy file. What the grammar does not allow makes it no policy; unknown keys are for the
    /// future, and of known ones but `mx` the first counts. A `max_age` above the maximum is the maximum.
    pub fn parse(file: &[u8]) -> Result<Self, PolicyFault> {
        if file.len() > Self::MAX_SIZE {
            return Err(PolicyFault::TooLong);
        }
        Self::read(file)
    }

    /// Reads what was a policy once, and was written down in canonical form: that may be longer than the file was.
    pub fn read(file: &[u8]) -> Result<Self, PolicyFault> {
        let text = std::str::from_utf8(file).map_err(|_| PolicyFault::NotUtf8)?;
        let fields = Fields::of(text)?;
        match fields.version.ok_or(PolicyFault::Missing("version"))? {
            "STSv1" => {}
            _ => return Err(PolicyFault::BadVersion),
        }
        let mode = match fields.mode.ok_or(PolicyFault::Missing("mode"))? {
            "enforce" => Mode::Enforce,
            "testing" => Mode::Testing,
            "none" => Mode::None,
            _ => return Err(PolicyFault::BadMode),
        };
        let max_age = max_age(fields.max_age.ok_or(PolicyFault::Missing("max_age"))?)?;
        if fields.mx.is_empty() && mode != Mode::None {
            return Err(PolicyFault::Missing("mx"));
        }
        Ok(Self {
            mode,
            mx: without_repetition(fields.mx),
            max_age,
        })
    }

    /// Whether the domain's mail may go to this MX host, as DNS names it, before aliases (RFC 8461 §4.1).
    pub fn lists(&self, host: &DomainName) -> bool {
        self.mx.iter().any(|pattern| pattern.matches(host))
    }

    /// About how many octets it takes in memory.
    pub fn weight(&self) -> usize {
        let of = |pattern: &MxPattern| match pattern {
            MxPattern::Exact(name) | MxPattern::OneLabelBelow(name) => name.as_str().len() + 48,
        };
        self.mx.iter().map(of).sum::<usize>() + 64
    }
}

/// The policy in canonical form, which [`Policy::read`] reads.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version: STSv1\nmode: {}", self.mode)?;
        for pattern in &*self.mx {
            writeln!(f, "mx: {pattern}")?;
        }
        writeln!(f, "max_age: {}", self.max_age)
    }
}

/// The known fields, as they stand in the file.
#[derive(Default)]
struct Fields<'a> {
    version: Option<&'a str>,
    mode: Option<&'a str>,
    max_age: Option<&'a str>,
    mx: Vec<MxPattern>,
}

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Result<Self, PolicyFault> {
        let mut fields = Self::default();
        // Editors end files with empty lines; they say nothing.
        let text = text.trim_end_matches(['\r', '\n']);
        for (at, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let line = line.trim_end_matches([' ', '\t']);
            let (key, value) = line.split_once(':').ok_or(PolicyFault::BadLine(at + 1))?;
            let value = value.trim_start_matches([' ', '\t']);
            if value.chars().any(char::is_control) {
                return Err(PolicyFault::BadLine(at + 1));
            }
            match key {
                "version" => fields.version = fields.version.or(Some(value)),
                "mode" => fields.mode = fields.mode.or(Some(value)),
                "max_age" => fields.max_age = fields.max_age.or(Some(value)),
                "mx" => {
                    let line = at + 1;
                    let pattern = MxPattern::parse(value)
                        .map_err(|error| PolicyFault::BadMx { line, error })?;
                    fields.mx.push(pattern);
                }
                _ if is_extension_name(key) => {}
                _ => return Err(PolicyFault::BadLine(at + 1)),
            }
        }
        Ok(fields)
    }
}

/// Said twice is said once.
fn without_repetition(patterns: Vec<MxPattern>) -> Arc<[MxPattern]> {
    let mut seen = HashSet::with_capacity(patterns.len());
    let first: Vec<bool> = patterns
        .iter()
        .map(|pattern| seen.insert(pattern))
        .collect();
    drop(seen);
    let with_first = patterns.into_iter().zip(first);
    with_first
        .filter_map(|(pattern, first)| first.then_some(pattern))
        .collect()
}

/// Any number of digits: what is more than the maximum is the maximum, however much more.
fn max_age(text: &str) -> Result<u32, PolicyFault> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(PolicyFault::BadMaxAge);
    }
    let number = text.parse::<u64>().unwrap_or(u64::MAX);
    let bounded = number.min(u64::from(Policy::MAX_AGE));
    Ok(u32::try_from(bounded).unwrap_or(Policy::MAX_AGE))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
