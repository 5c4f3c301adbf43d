//! What a domain publishes, and what Sealpost would do with mail for it.

use super::{Dnssec, Known};
use serde::{Deserialize, Serialize};

/// The MX records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MxFacts {
    pub state: MxState,
    /// Of the MX records or of their absence: of the domain's own DNSSEC therefore.
    pub dnssec: Dnssec,
    /// MX hosts that are published; more than there are in `hosts`, if there are more than twenty.
    pub published: usize,
    /// Whether a null MX is beside others, where it means nothing (RFC 7505 section 3).
    pub null_among_others: Known,
    /// The name that the domain is an alias of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<String>,
    /// Why the lookup failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What the MX records come to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum MxState {
    /// There are MX hosts.
    Present,
    /// No MX record: the domain itself is the host (RFC 5321 section 5.1).
    Implicit,
    /// "No mail" (RFC 7505).
    NullMx,
    /// The domain does not exist.
    NoSuchDomain,
    /// Neither MX nor address records.
    NoAddress,
    /// MX hosts that all lead nowhere: no addresses, only blocked ones, or this machine.
    Unusable,
    /// DNS did not say.
    #[default]
    Unknown,
}

/// MTA-STS (RFC 8461).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sts {
    pub state: StsState,
    /// The id of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is wrong with the record, or why the policy could not be fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// RFC 8460's word for a failed fetch: `sts-policy-fetch-error`, `sts-policy-invalid`, `sts-webpki-invalid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<StsMode>,
    /// The patterns of the policy; at most twenty.
    pub mx: Vec<String>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
    /// Whether the policy lists every MX host.
    pub covers_all: Known,
    /// Whether every MX host that the policy lists and that could be tested shows a certificate that is valid
    /// for it.
    pub certificates_valid: Known,
}

/// How far an MTA-STS policy got.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum StsState {
    /// Record and policy are there.
    Valid,
    /// No record.
    None,
    /// There is a record that does not count.
    RecordInvalid,
    /// More than one record: none counts.
    SeveralRecords,
    /// DNS did not say whether there is a record.
    RecordUnknown,
    /// DNSSEC validation of the record failed.
    RecordBogus,
    /// A record, but the policy host does not give a valid policy.
    PolicyFailed,
    #[default]
    NotTested,
}

/// The mode of an MTA-STS policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StsMode {
    Enforce,
    Testing,
    None,
}

/// The TLS reporting record (RFC 8460 section 3).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tlsrpt {
    pub state: TlsrptState,
    /// Where reports go; at most ten.
    pub rua: Vec<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What the TLS reporting record is like.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TlsrptState {
    Valid,
    None,
    Invalid,
    /// More than one: none counts.
    Several,
    /// DNS did not say.
    Unknown,
    #[default]
    NotTested,
}

/// Certification authorities that may issue for a name (RFC 8659).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Caa {
    pub state: CaaState,
    /// The name at which the records are: the host's or one above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The `issue` values; at most ten.
    pub issue: Vec<String>,
    pub dnssec: Dnssec,
}

/// What the CAA records are like.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum CaaState {
    /// With `issue`.
    Present,
    /// None at the name nor above it.
    None,
    /// Records, but without `issue`.
    NoIssue,
    /// Not as RFC 8659 section 4.1 writes them.
    Malformed,
    /// DNS did not say.
    Unknown,
    #[default]
    NotTested,
}

/// What Sealpost would do with mail for the domain, here and now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdict {
    pub flow: Flow,
    /// The level of the host that would take the mail, else of the last one: `may`, `dane`, `verify`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Whose word that is: `default`, `rule`, `dane`, `mta-sts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How the MX host would be authenticated: `none`, `webpki`, `dane`, `half-dane`, `fingerprint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<String>,
    /// Whether the mail would be encrypted.
    pub encrypted: Known,
    /// What a sender would be told, if mail does not flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// Whether mail would flow.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    Deliverable,
    /// Not now; it may pass.
    Temporary,
    /// Not until somebody mends something.
    NotDeliverable,
    #[default]
    NotTested,
}
