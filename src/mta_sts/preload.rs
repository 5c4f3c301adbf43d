//! Lists of policies for domains that were never written to: the JSON format of STARTTLS Everywhere.
//!
//! An entry's names are MX hosts, as in a policy of MTA-STS; `.example.net` stands for exactly one label
//! below `example.net`, the stricter of the two readings that the format has.

use super::policy::{Mode, MxPattern, Policy};
use crate::names::{DomainName, NameError};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// A list that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preload {
    /// UNIX seconds; never goes back from one edition to the next.
    pub timestamp: u64,
    /// UNIX seconds; from then on the list says nothing.
    pub expires: u64,
    pub policies: HashMap<DomainName, Arc<Policy>>,
}

/// Why a file is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreloadFault {
    /// The JSON parser's sentence, with line and column.
    #[error("not in the format of STARTTLS Everywhere: {0}")]
    Format(String),
    #[error("version {0:?} is not known")]
    Version(String),
    #[error("{0} is no time")]
    Time(&'static str),
    #[error("policy of {domain}: no domain name: {error}")]
    Domain { domain: String, error: NameError },
    #[error("policy of {domain}: mxs: {name:?} names no MX host: {error}")]
    Mx {
        domain: String,
        name: String,
        error: NameError,
    },
    #[error("policy of {domain}: there is another for the same domain in other letters")]
    Twice { domain: String },
    #[error("policy of {domain}: mxs is empty")]
    NoMx { domain: String },
    #[error("policy of {domain}: policy-alias {alias:?} is not among the policy-aliases")]
    Alias { domain: String, alias: String },
    #[error("policy of {domain}: neither mode and mxs nor a policy-alias")]
    Incomplete { domain: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    timestamp: Time,
    expires: Time,
    version: String,
    #[serde(rename = "author")]
    _author: Option<String>,
    #[serde(rename = "policy-aliases")]
    aliases: HashMap<String, Entry>,
    policies: HashMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Seconds(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    mode: Option<ListedMode>,
    mxs: Option<Vec<String>>,
    #[serde(rename = "policy-alias")]
    alias: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ListedMode {
    Testing,
    Enforce,
}

impl Preload {
    /// Reads a list. One bad entry makes the whole file none: half a list would be a hole nobody sees.
    pub fn parse(json: &[u8]) -> Result<Self, PreloadFault> {
        let file: File = serde_json::from_slice(json)
            .map_err(|error| PreloadFault::Format(error.to_string()))?;
        if file.version != "0.1" {
            return Err(PreloadFault::Version(file.version));
        }
        let mut aliases = HashMap::new();
        for (alias, entry) in &file.aliases {
            aliases.insert(alias.as_str(), policy(alias, entry, &HashMap::new())?);
        }
        let mut policies = HashMap::new();
        for (domain, entry) in &file.policies {
            let name = DomainName::parse(domain).map_err(|error| PreloadFault::Domain {
                domain: domain.clone(),
                error,
            })?;
            let policy = policy(domain, entry, &aliases)?;
            if policies.insert(name, policy).is_some() {
                return Err(PreloadFault::Twice {
                    domain: domain.clone(),
                });
            }
        }
        Ok(Self {
            timestamp: file.timestamp.seconds("timestamp")?,
            expires: file.expires.seconds("expires")?,
            policies,
        })
    }

    /// The policy of a domain, itself and not of its parents, while the list holds.
    pub fn find(&self, domain: &DomainName, now: u64) -> Option<&Arc<Policy>> {
        if now >= self.expires {
            return None;
        }
        self.policies.get(domain)
    }
}

impl Time {
    fn seconds(&self, key: &'static str) -> Result<u64, PreloadFault> {
        match self {
            Self::Seconds(seconds) => Ok(*seconds),
            Self::Text(text) => text
                .parse::<jiff::Timestamp>()
                .ok()
                .and_then(|time| u64::try_from(time.as_second()).ok())
                .ok_or(PreloadFault::Time(key)),
        }
    }
}

/// An alias stands for the whole entry: what else it says is ignored.
fn policy(
    domain: &str,
    entry: &Entry,
    aliases: &HashMap<&str, Arc<Policy>>,
) -> Result<Arc<Policy>, PreloadFault> {
    let domain = || domain.to_owned();
    if let Some(alias) = &entry.alias {
        let known = aliases.get(alias.as_str()).map(Arc::clone);
        return known.ok_or_else(|| PreloadFault::Alias {
            domain: domain(),
            alias: alias.clone(),
        });
    }
    let (Some(mode), Some(names)) = (entry.mode, &entry.mxs) else {
        return Err(PreloadFault::Incomplete { domain: domain() });
    };
    if names.is_empty() {
        return Err(PreloadFault::NoMx { domain: domain() });
    }
    let mut mx = Vec::with_capacity(names.len());
    for name in names {
        let pattern = match name.strip_prefix('.') {
            Some(parent) => DomainName::parse(parent).map(MxPattern::OneLabelBelow),
            None => DomainName::parse(name).map(MxPattern::Exact),
        };
        mx.push(pattern.map_err(|error| PreloadFault::Mx {
            domain: domain(),
            name: name.clone(),
            error,
        })?);
    }
    Ok(Arc::new(Policy {
        mode: match mode {
            ListedMode::Testing => Mode::Testing,
            ListedMode::Enforce => Mode::Enforce,
        },
        mx: mx.into(),
        max_age: 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A list with these policies; `google` is an alias.
    fn list(policies: &str) -> String {
        format!(
            r#"{{"timestamp": "2026-01-01T00:00:00Z", "expires": 1900000000, "version": "0.1", "author": "x",
               "policy-aliases": {{"google": {{"mode": "enforce", "mxs": [".google.test"]}}}},
               "policies": {{{policies}}}}}"#
        )
    }

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    #[test]
    fn entries() {
        let policies = r#"
            "A.test": {"mode": "testing", "mxs": ["mx.a.test", ".b.test"]},
            "g.test": {"policy-alias": "google"},
            "h.test": {"policy-alias": "google", "mode": "testing", "mxs": ["x.test"]}"#;
        let list = Preload::parse(list(policies).as_bytes()).unwrap();
        assert_eq!(
            (list.timestamp, list.expires),
            (1_767_225_600, 1_900_000_000)
        );
        let now = 1_800_000_000;
        for (domain, expected) in [
            ("a.test", "mode: testing\nmx: mx.a.test\nmx: *.b.test"),
            ("g.test", "mode: enforce\nmx: *.google.test"),
            ("h.test", "mode: enforce\nmx: *.google.test"),
        ] {
            let policy = list.find(&name(domain), now).unwrap().to_string();
            let expected = format!("version: STSv1\n{expected}\nmax_age: 0\n");
            assert_eq!(policy, expected, "{domain}");
        }
        assert_eq!(list.find(&name("b.a.test"), now), None); // the domain itself only
        assert_eq!(list.find(&name("a.test"), 1_900_000_000), None); // expired
    }

    #[test]
    fn what_is_no_list() {
        let good = list("");
        for (text, reason) in [
            (good.replace("0.1", "0.2"), "version \"0.2\" is not known"),
            (
                good.replace("2026-01-01T00", "yesterday"),
                "timestamp is no time",
            ),
            (
                good.replace("2026-01-01", "1926-01-01"),
                "timestamp is no time",
            ),
            (good.replace("1900000000", "-1"), "not in the format"),
            (good.replace("author", "writer"), "not in the format"),
            (
                good.replace("\"expires\": 1900000000,", ""),
                "not in the format",
            ),
            ("[]".into(), "not in the format"),
            (
                list(r#""a.test": {"mode": "enforce"}"#),
                "policy of a.test: neither mode",
            ),
            (
                list(r#""a.test": {"mxs": ["b.test"]}"#),
                "policy of a.test: neither mode",
            ),
            (
                list(r#""a.test": {"mode": "none", "mxs": ["b.test"]}"#),
                "not in the format",
            ),
            (
                list(r#""a.test": {"mode": "enforce", "mxs": []}"#),
                "policy of a.test: mxs is empty",
            ),
            (
                list(r#""a.test": {"mode": "enforce", "mxs": ["b.test"], "pin": 1}"#),
                "not in the format",
            ),
            (
                list(r#""a.test": {"policy-alias": "x"}"#),
                "policy of a.test: policy-alias \"x\"",
            ),
            (
                list(r#""a b": {"policy-alias": "google"}"#),
                "policy of a b: no domain name",
            ),
            (
                list(r#""a.test": {"mode": "enforce", "mxs": ["*.b.test"]}"#),
                "policy of a.test: mxs: \"*.b.test\"",
            ),
            (
                good.replace(".google.test", "192.0.2.1"),
                "policy of google: mxs: \"192.0.2.1\"",
            ),
        ] {
            let fault = Preload::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(fault.starts_with(reason), "{text}: {fault}");
        }
    }

    #[test]
    fn a_domain_has_one_policy_however_it_is_spelt() {
        let policies =
            r#""a.test": {"policy-alias": "google"}, "A.test": {"policy-alias": "google"}"#;
        let fault = Preload::parse(list(policies).as_bytes()).unwrap_err();
        assert!(matches!(fault, PreloadFault::Twice { .. }), "{fault}");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[\\[\\]{}\":,a-z0-9. -]{0,200}") {
            let _ = Preload::parse(text.as_bytes());
        }
    }
}
