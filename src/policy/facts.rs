//! What `discovery` found out about one host, as plain values.

use crate::names::{DomainName, MxHost, NextHop};

/// What is known of a host before a connection is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The name that MX records, a rule or the recipient's domain gave; `None` for an address literal.
    pub host: Option<MxHost>,
    /// The domain whose MX host this is; `None` where only an address or a bracketed host is known.
    /// The names that `secure` demands follow from [`Demand::next_hop`].
    pub next_hop_domain: Option<DomainName>,
    pub tlsa: TlsaFinding,
}

/// What is known of a host's TLSA records (RFC 7672 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsaFinding {
    /// Nobody asked: DANE is off, or this version has none.
    NotSought,
}

/// Whose delivery is judged: the recipients' domain and where their mail is routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The domain of the recipients; `None` for an address literal.
    pub recipient_domain: Option<DomainName>,
    pub next_hop: NextHop,
}
