//! What Postfix is told, and how that is written (`smtp_tls_policy_maps` in postconf(5)).
//!
//! Every value comes out of a checked type (domain names, digests, numbers), so that none of them can bring a blank, a
//! brace or a further attribute.

use super::wire::MAX_REPLY;
use crate::mta_sts::{MxPattern, Policy};
use crate::names::DomainName;
use crate::policy::{Fingerprint, Level, MatchName, TlsVersion};
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// An answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Found(TlsPolicy),
    /// Postfix's own level holds, `smtp_tls_security_level`.
    NotFound,
    /// The mail has to wait, and why.
    Temporary(String),
    /// The request is none; its sender is wrong, and stays so.
    Refused(&'static str),
}

/// A level with its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsPolicy {
    pub level: Level,
    pub matching: Matching,
    /// The oldest TLS version, where somebody asks for another one than the usual.
    pub min_version: Option<TlsVersion>,
    /// `servername=hostname`
    pub server_name: ServerName,
    /// What Postfix is to report on (RFC 8460).
    pub report: Option<Reported>,
}

/// The attribute `match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Matching {
    None,
    Names(Vec<MatchName>),
    Fingerprints(Arc<[Fingerprint]>),
}

/// Which name is sent in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerName {
    /// Whatever `smtp_tls_servername` says.
    Usual,
    /// The MX host's (RFC 8461 §7.1).
    HostName,
}

/// The MTA-STS policy behind an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reported {
    pub domain: DomainName,
    pub policy: Arc<Policy>,
}

impl TlsPolicy {
    /// The level alone.
    pub(super) fn of(level: Level) -> Self {
        Self {
            level,
            matching: Matching::None,
            min_version: None,
            server_name: ServerName::Usual,
            report: None,
        }
    }
}

impl Answer {
    /// The `answer` label of `socketmap_answers_total`.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Found(policy) => policy.level.as_str(),
            Self::NotFound => "notfound",
            Self::Temporary(_) => "temp",
            Self::Refused(_) => "perm",
        }
    }

    /// The reply without its frame. One that Postfix would not take is TEMP: mail waits for a shorter policy.
    pub(super) fn render(&self) -> String {
        let reply = match self {
            Self::Found(policy) => format!("OK {policy}"),
            Self::NotFound => "NOTFOUND ".to_owned(),
            Self::Temporary(reason) => format!("TEMP {}", printable(reason)),
            Self::Refused(reason) => format!("PERM {reason}"),
        };
        if reply.len() > MAX_REPLY {
            return format!("TEMP the policy is longer than {MAX_REPLY} octets");
        }
        reply
    }
}

/// Longest reason, in characters: it stands in a log line of Postfix.
const MAX_REASON: usize = 400;

/// Reasons quote what strangers publish.
fn printable(reason: &str) -> String {
    let fit = |c: char| {
        if c == ' ' || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    reason.chars().take(MAX_REASON).map(fit).collect()
}

impl fmt::Display for TlsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level)?;
        match &self.matching {
            Matching::None => {}
            Matching::Names(names) => {
                let names: Vec<String> = names.iter().map(word).collect();
                write!(f, " match={}", names.join(":"))?;
            }
            Matching::Fingerprints(pins) => {
                let pins: Vec<String> = pins.iter().map(digest).collect();
                write!(f, " match={}", pins.join("|"))?;
            }
        }
        if self.server_name == ServerName::HostName {
            f.write_str(" servername=hostname")?;
        }
        if let Some(version) = self.min_version {
            write!(f, " protocols={}", protocols(version))?;
        }
        match &self.report {
            Some(report) => write!(f, " {report}"),
            None => Ok(()),
        }
    }
}

fn word(name: &MatchName) -> String {
    match name {
        MatchName::Name(name) => name.to_string(),
        MatchName::Below(name) => format!(".{name}"),
        MatchName::NextHop => "nexthop".to_owned(),
        MatchName::DotNextHop => "dot-nexthop".to_owned(),
        MatchName::HostName => "hostname".to_owned(),
    }
}

/// Postfix compares with the certificate's digest and with its public key's, whichever is meant.
fn digest(pin: &Fingerprint) -> String {
    let (Fingerprint::Certificate(octets)
    | Fingerprint::PublicKey(octets)
    | Fingerprint::Either(octets)) = pin;
    let mut text = String::with_capacity(95);
    for (at, octet) in octets.iter().enumerate() {
        let colon = if at == 0 { "" } else { ":" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{colon}{octet:02X}");
    }
    text
}

/// Exclusions, which every Postfix understands; `>=TLSv1.2` only those from 3.6 on.
fn protocols(least: TlsVersion) -> &'static str {
    match least {
        TlsVersion::V1_2 => "!SSLv2:!SSLv3:!TLSv1:!TLSv1.1",
        TlsVersion::V1_3 => "!SSLv2:!SSLv3:!TLSv1:!TLSv1.1:!TLSv1.2",
    }
}

/// TLSRPT_README: the attributes of Postfix 3.10. All of them: it expects at least one pattern and one string.
impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy_type=sts policy_domain={}", self.domain)?;
        for pattern in &*self.policy.mx {
            write!(f, " mx_host_pattern={pattern}")?;
        }
        for line in self.policy.to_string().lines() {
            write!(f, " {{ policy_string = {line} }}")?;
        }
        Ok(())
    }
}

/// How Postfix writes which names a pattern stands for. Its `.example.com` is any name below, MTA-STS's
/// `*.example.com` those with one label more: nothing closer can be said.
pub(super) fn of_pattern(pattern: &MxPattern) -> MatchName {
    match pattern {
        MxPattern::Exact(name) => MatchName::Name(name.clone()),
        MxPattern::OneLabelBelow(parent) => MatchName::Below(parent.clone()),
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
