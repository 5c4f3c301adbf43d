//! Questions to the DNS. hickory is used here and nowhere else; the hash of NSEC3 names
//! alone is taken from aws-lc-rs directly.
//!
//! An [`Answer`] is records with their proof and the time until which they hold; absence is an answer
//! too. Only "we could not find out" is an error.

mod approach;
#[cfg(test)]
mod attacks;
mod cache;
mod exchange;
mod hop;
mod interpret;
mod judge;
#[cfg(test)]
mod lies;
mod lookup;
#[cfg(test)]
mod modes;
mod probe;
mod query;
mod question;
mod resolver;
mod system;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trust;
mod upstream;
mod validate;
#[cfg(test)]
mod validated;
mod wire;
#[cfg(test)]
mod wire_tests;
#[cfg(test)]
mod world;

pub use resolver::{Dns, DnsSetupError};

use crate::names::DomainName;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What was asked for, found or proven absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// Empty unless `existence` is `Present`; then too, if none of the records there is usable.
    pub records: Vec<T>,
    pub existence: Existence,
    pub proof: Proof,
    /// The name at the end of the CNAME chain, where the records are.
    pub canonical: DomainName,
    /// Of the first alias by itself; `None` if there is none, or if that is not known.
    pub first_alias: Option<Proof>,
    /// When the answer, of whatever kind, stops being good.
    pub expires: Instant,
}

/// Whether there is something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    Present,
    /// The name exists, a record of this type does not.
    NoData,
    NxDomain,
}

/// Whether DNSSEC proves the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    Secure,
    /// Proven to be unsigned, or not validated at all.
    Insecure,
}

/// Why nothing was found out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupFailure {
    #[error("DNSSEC validation failed (bogus): {0}")]
    Bogus(String),
    #[error("server failure ({0})")]
    ServerFailure(String),
    #[error("time-out")]
    TimedOut,
    #[error("no DNS server reachable: {0}")]
    Unreachable(String),
    #[error("more than {} aliases", MAX_ALIASES)]
    TooManyAliases,
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// The probe of the root fails: no answer can be told from a forged one.
    #[error("DNSSEC does not work with these resolvers; see dns.dnssec")]
    DnssecBroken,
}

/// Longest CNAME chain that is followed.
pub const MAX_ALIASES: usize = 10;

/// Shortest and longest time that a positive answer is kept. The shortest lets one delivery see one
/// answer.
const POSITIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// How long a failure is kept, so that a server in trouble is not hammered (RFC 9520 §3.2: at least
/// 1 s, at most 5 min).
const FAILURE: Duration = Duration::from_secs(5);

/// An MX record; `host` is `None` for the root, which is how a null MX is written (RFC 7505 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxRecord {
    pub preference: u16,
    pub host: Option<DomainName>,
}

/// A TXT record of MTA-STS with its strings joined, well-formed or not (RFC 8461 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRecord(pub Box<[u8]>);

/// A TXT record of TLS reporting with its strings joined, well-formed or not (RFC 8460 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRecord(pub Box<[u8]>);

/// A CAA record's data as published, well-formed or not (RFC 8659 §4.1); its first kilobyte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaaRdata(pub Box<[u8]>);

/// Address families, asked separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// `[dns]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Empty: those of /etc/resolv.conf.
    pub servers: Vec<std::net::SocketAddr>,
    /// For one question in all, retries included.
    pub timeout: Duration,
    pub dnssec: Dnssec,
    pub remote_ad: RemoteAd,
    pub unavailable: DnssecUnavailable,
    /// DS or DNSKEY records in zone-file format; `None`: IANA's root.
    pub trust_anchor: Option<std::path::PathBuf>,
}

/// `dns.dnssec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dnssec {
    /// `Validate` where the root can be validated here; else `TrustAd` if all servers are on loopback and
    /// prove to validate.
    #[default]
    Auto,
    /// Signatures are checked here.
    Validate,
    /// The servers' AD bit is believed.
    TrustAd,
    /// Nothing is secure.
    Off,
}

/// `dns.trust_remote_ad`: whether AD is believed over the network, where it can be forged on the way
/// (RFC 7672 §2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RemoteAd {
    #[default]
    Distrust,
    Believe,
}

/// `dns.dnssec_unavailable`: what answers are worth while DNSSEC does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnssecUnavailable {
    /// Nothing: they are failures.
    #[default]
    Defer,
    /// What plain DNS is worth: nothing is secure, and nothing fails for want of proof.
    WithoutDane,
}

/// Whether DNSSEC works with the servers, as the last probe of the root found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnssecStatus {
    /// `dnssec = "off"`.
    Off,
    Works(Validation),
    /// The servers answer, but nothing that they say can be proven; why, for people.
    Broken(String),
    /// Likewise, since signatures are of another time: this clock or the servers' is wrong, as it may be for a
    /// while after the start.
    Untimely(String),
    /// No server answers; why, for people.
    NoAnswer(String),
}

/// Who checks the signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    InProcess,
    /// The servers; their AD bit is believed.
    Servers,
}

impl Default for DnsSettings {
    /// Plain DNS with the machine's servers.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(5),
            dnssec: Dnssec::Off,
            remote_ad: RemoteAd::Distrust,
            unavailable: DnssecUnavailable::Defer,
            trust_anchor: None,
        }
    }
}

/// Told of each question that went to a server: record type and result, both fit for labels.
pub type QueryObserver = std::sync::Arc<dyn Fn(&'static str, &'static str) + Send + Sync>;
