//! What a destination publishes: MX hosts and addresses, and whether one of them is this machine.
//! I/O, no judgement about TLS.

mod addresses;
mod host;
mod mx;
mod route;
mod sts;
#[cfg(test)]
mod tests;
mod this_host;
mod tlsa;

pub use route::Discovery;
pub use sts::{
    FetchFailure, Known, Looked, Newer, PreloadedList, Record as StsRecord, Refreshed, Shown, Sign,
    Sts, StsFound, StsObserver, StsSettings, StsSource, Unobserved,
};
pub use tlsa::{TlsaAsked, TlsaSearch, tlsa_failure};

use crate::dns::{LookupFailure, Proof};
use crate::names::{DomainName, MxHost};
use crate::policy::DaneTrust;
use std::net::IpAddr;

/// Where mail for a next hop can go: hosts in the order in which they are to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// At least one; ordered by preference, equal preferences shuffled anew for each delivery.
    pub hosts: Vec<RouteHost>,
    pub port: u16,
    /// TLS from the first byte, no STARTTLS (a rule's port 465).
    pub implicit_tls: ImplicitTls,
    /// Of the MX records, or of their absence; a host that the administrator names needs none.
    pub mx_proof: Proof,
    /// The name at which the MX records were found, if the next hop's domain is a securely published
    /// alias of it.
    pub expanded: Option<DomainName>,
}

impl Route {
    /// Whether the hosts are proven to be the next hop's (RFC 7672 §2.2.1).
    pub fn trust(&self) -> DaneTrust {
        match self.mx_proof {
            Proof::Secure => DaneTrust::Full,
            Proof::Insecure => DaneTrust::Half,
        }
    }
}

/// Whether TLS starts with the connection (RFC 8314 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImplicitTls {
    No,
    Yes,
}

/// One host of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteHost {
    /// As published, before CNAMEs; `None` for an address literal.
    pub host: Option<MxHost>,
    /// Where its addresses were found, after CNAMEs.
    pub canonical: Option<DomainName>,
    /// Whether the addresses are secured by DNSSEC, aliases on the way to them included.
    pub proof: Proof,
    /// Whether the host's own name is a securely published alias; `None` if it is none or that is not known.
    pub first_alias: Option<Proof>,
    pub addresses: Result<Vec<IpAddr>, HostFailure>,
}

/// Why a host of a route has no address that could be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostFailure {
    #[error("{0}")]
    Lookup(#[from] LookupFailure),
    #[error("has no address")]
    NoAddress,
    #[error("has only addresses in outbound.blocked_networks")]
    OnlyBlocked,
    #[error("has no address of a family that is in use")]
    FamilyNotUsed,
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteFailure {
    #[error("domain {0} does not exist")]
    NoSuchDomain(DomainName),
    #[error("domain {0} has neither MX nor address records")]
    NeitherMxNorAddress(DomainName),
    #[error("no MX host of {0} has an address")]
    NoHostHasAddress(DomainName),
    #[error("domain {0} accepts no mail (null MX)")]
    NullMx(DomainName),
    #[error("mail for {0} loops back to this host")]
    ThisHost(String),
    #[error("every address of {0} is in outbound.blocked_networks")]
    OnlyBlocked(String),
    #[error("DNS lookup of {name}: {failure}")]
    Dns {
        name: DomainName,
        failure: LookupFailure,
    },
    #[error("no host of {0} has an address of a family that is in use")]
    FamilyNotUsed(String),
}

/// What discovery needs of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// `hostname`, every listener's `hostname`, and `relay.own_names`: names that mean this host.
    pub own_names: Vec<DomainName>,
    /// `outbound.nat_addresses`.
    pub nat_addresses: Vec<IpAddr>,
    /// `outbound.port`.
    pub port: u16,
    /// `outbound.blocked_networks`.
    pub blocked_networks: Vec<ipnet::IpNet>,
    pub address_preference: AddressPreference,
}

/// `outbound.address_preference`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressPreference {
    #[default]
    Any,
    Ipv6,
    Ipv4,
    Ipv4Only,
    Ipv6Only,
}
