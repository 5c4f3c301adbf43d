//! What is found out about an MX host, and about each of its addresses.

use super::domain::{Caa, Flow};
use super::tls::{Offer, Tls};
use super::{Certificate, Deep, Dnssec, Known, Versions};
use serde::{Deserialize, Serialize};

/// One MX host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// As published.
    pub name: String,
    /// Of the MX record; `None` if the domain itself is the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<u16>,
    /// The name that the host's is an alias of, which it should not be (RFC 5321 section 5.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<String>,
    /// Of its addresses.
    pub dnssec: Dnssec,
    /// What could be tested of it in all: the worst of its addresses, except those that could not be tested.
    pub tls: HostTls,
    pub ipv4: Known,
    pub ipv6: Known,
    pub tlsa: Tlsa,
    pub caa: Caa,
    /// Whether the MTA-STS policy lists it.
    pub sts_listed: Known,
    /// Whether its certificate is valid for its name by WebPKI, as MTA-STS demands.
    pub sts_certificate: Known,
    /// What Sealpost would demand of it for this domain.
    pub policy: Policy,
    pub addresses: Vec<Address>,
    /// Why it has no address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether mail for the domain would flow to it.
    pub flow: Flow,
    /// What a sender would be told if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// Whether a host takes TLS.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum HostTls {
    /// STARTTLS is offered, and a handshake came about.
    Works,
    /// STARTTLS is offered, and no handshake came about.
    Broken,
    /// STARTTLS is not offered, or refused.
    NotOffered,
    /// The host could not be reached, or said nothing of it.
    #[default]
    CouldNotTest,
}

/// The TLSA records of a host (RFC 6698, RFC 7672).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tlsa {
    pub state: TlsaState,
    /// `_25._tcp.mx.example.com`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// At most 64.
    pub records: Vec<TlsaEntry>,
    /// Whether one of them is satisfied by every chain that was seen.
    pub matching: Known,
    /// Whether keys can be rolled: two records of usage 3, or one of 3 and one of 2.
    pub rollover: Known,
    /// Why the lookup failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What the search for TLSA records came to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TlsaState {
    Usable,
    /// Records, and none that can be used: TLS is required all the same.
    NoneUsable,
    /// Proven: there are none.
    Absent,
    /// DNSSEC does not secure the host's addresses or the records: DANE does not apply.
    Insecure,
    /// There are records where DNSSEC does not secure them, so nobody heeds them.
    PublishedInsecure,
    Bogus,
    LookupFailed,
    #[default]
    NotTested,
}

/// One TLSA record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsaEntry {
    /// As in a zone file; long data is cut.
    pub record: String,
    pub worth: TlsaWorth,
    pub matches: TlsaMatch,
    /// Why it does not count, or does not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a TLSA record counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TlsaWorth {
    Usable,
    /// By a stronger digest of the same usage and selector (RFC 7671 section 9).
    Outranked,
    #[default]
    Unusable,
}

/// What a TLSA record has to do with the chains that were seen.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TlsaMatch {
    /// Satisfied at every address.
    Yes,
    /// At some addresses.
    Partly,
    No,
    #[default]
    NotTested,
}

/// What Sealpost would demand of a host for mail of the domain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    pub action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why the host may not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What Sealpost would do with a host.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Use,
    /// As if it were not there.
    Skip,
    /// No mail may go to it now.
    Defer,
    #[default]
    NotTested,
}

/// One address of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    pub address: String,
    pub family: Family,
    pub reach: Reach,
    /// Why it was not reached, or what went wrong later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Time to the TCP connection, a round trip of the network; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// From the connection to the greeting; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting_ms: Option<u64>,
    /// The first visit in all; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// What EHLO lists in the clear; at most thirty keywords with their parameters.
    pub ehlo: Vec<String>,
    /// And under TLS.
    pub ehlo_tls: Vec<String>,
    pub starttls: Offer,
    /// Whether REQUIRETLS is offered under TLS (RFC 8689).
    pub requiretls: Known,
    /// What the handshake of a delivery brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_failure: Option<Failure>,
    pub versions: Versions,
    /// Whether a hybrid post-quantum group (X25519MLKEM768) is taken.
    pub post_quantum: Known,
    /// Whether a command sent in the clear together with STARTTLS is answered under TLS (CVE-2011-0411).
    pub injection: Known,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// With `--depth deep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deep: Option<Deep>,
    /// Connections made to it in this survey.
    pub connections: u32,
    /// Whether mail for the domain would flow to it.
    pub flow: Flow,
    /// How Sealpost would have authenticated the host: `none`, `webpki`, `dane`, `half-dane`, `fingerprint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<String>,
    /// What a sender would be told if it does not flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    #[default]
    Ipv4,
    Ipv6,
}

/// How far one gets at an address.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// EHLO was answered.
    Reached,
    /// A greeting or reply to EHLO that sends us away.
    Refused,
    /// No connection, or it was lost.
    Unreachable,
    /// Nothing came in time.
    TimedOut,
    /// What was said is no SMTP.
    ProtocolError,
    /// It is this machine.
    ThisHost,
    #[default]
    NotTested,
}

/// A TLS failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    pub text: String,
    /// RFC 8460's result type, or `no_common_parameters`.
    pub result_type: String,
}
