//! What a survey finds out about one domain: a line of JSON.
//!
//! Every closed set of words is an enum, written in kebab-case; everything that strangers wrote is one line of
//! printable ASCII and bounded. A field that an older file does not have is read as "not tested": what is not known
//! is never a "no". Fields are added, not renamed.

mod certificate;
mod domain;
mod finding;
mod host;
mod tls;

pub use certificate::{Certificate, ChainEntry, KeyType, Strength, Verification};
pub use domain::{
    Caa, CaaState, Flow, MxFacts, MxState, Sts, StsMode, StsState, Tlsrpt, TlsrptState, Verdict,
};
pub use finding::{Code, Finding, Severity};
pub use host::{
    Action, Address, Failure, Family, Host, HostTls, Policy, Reach, Tlsa, TlsaEntry, TlsaMatch,
    TlsaState, TlsaWorth,
};
pub use tls::{CipherOrder, Deep, Negotiated, Offer, Suite, SuiteStrength, Tls, Versions};

use serde::{Deserialize, Serialize};

/// The version of this format; files of an older one can be read.
pub const FORMAT: u32 = 1;

/// One domain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u32,
    /// In A-labels, lower case.
    pub domain: String,
    /// The second column of the input: country, sector, provider; every statistic is split by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When the survey of this domain began, RFC 3339 in UTC, whole seconds.
    pub surveyed: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// Whether mail to the domain can be encrypted.
    pub class: Class,
    /// Why it could not be tested, or why there is no mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub mx: MxFacts,
    /// In the order of preference; at most twenty.
    pub hosts: Vec<Host>,
    pub mta_sts: Sts,
    pub tlsrpt: Tlsrpt,
    pub verdict: Verdict,
    /// The gravest first.
    pub findings: Vec<Finding>,
}

/// Whether mail to a domain can be encrypted, as far as its MX hosts could be tested.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Every MX host that could be tested takes TLS; at least one could.
    StarttlsOnAll,
    /// Some of those that could be tested take TLS, and others do not.
    StarttlsOnSome,
    /// None of those that could be tested takes TLS.
    NoStarttls,
    /// The domain takes no mail: a null MX, neither MX nor address, or no such domain.
    NoMail,
    /// None could be reached, or the DNS did not answer: nothing is said about TLS.
    #[default]
    CouldNotTest,
}

/// What is known of a property.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    Yes,
    No,
    /// It was tested, and no answer came of it.
    Unknown,
    /// Nobody tried: another depth of survey, or nothing to test.
    #[default]
    NotTested,
}

impl From<bool> for Known {
    fn from(certain: bool) -> Self {
        if certain { Self::Yes } else { Self::No }
    }
}

/// What DNSSEC says of an answer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Dnssec {
    Secure,
    /// Proven to be unsigned, or not validated (`dns.dnssec = "off"`).
    Insecure,
    /// Forged or broken.
    Bogus,
    /// No answer came.
    Failed,
    #[default]
    NotTested,
}

#[cfg(test)]
mod tests;
