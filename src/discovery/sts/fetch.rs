//! One fetch of a policy (RFC 8461 §3.3).

use super::StsSettings;
use super::gate::{Gate, Pass};
use crate::discovery::{HostFailure, host};
use crate::dns::Dns;
use crate::https::{self, Admission, Get, HttpsFailure};
use crate::mta_sts::{HOST_LABEL, POLICY_PATH, Policy, PolicyFault};
use crate::names::{DomainName, PolicyDomain};
use crate::policy::CertificateProblem;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// For the whole of it, waiting for a place included (RFC 8461 §3.3).
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no policy; what an operator reads after "policy of example.com cannot be fetched: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    #[error("the name {HOST_LABEL}.{0} is too long")]
    NoName(PolicyDomain),
    #[error("policy host: {0}")]
    Address(HostFailure),
    #[error("policy host: {0}")]
    Https(HttpsFailure),
    #[error("policy host: {0}")]
    Certificate(CertificateProblem),
    #[error("policy host: status {0}")]
    Status(u16),
    #[error("policy host: the content is {0}, not text/plain")]
    ContentType(String),
    #[error("policy host: the content has no type")]
    NoContentType,
    #[error("{0}")]
    Policy(#[from] PolicyFault),
    #[error("not done within {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error("too many policies are being fetched")]
    TooMany,
    #[error("shutting down")]
    Stopped,
}

impl FetchFailure {
    pub const RESULT_TYPES: [&str; 3] = [
        "sts-policy-fetch-error",
        "sts-policy-invalid",
        "sts-webpki-invalid",
    ];

    /// RFC 8460 §4.3.2.2; the `result` of `mta_sts_fetches_total`.
    pub fn result_type(&self) -> &'static str {
        match self {
            Self::NoName(_)
            | Self::Address(_)
            | Self::Status(_)
            | Self::TimedOut
            | Self::TooMany
            | Self::Stopped => "sts-policy-fetch-error",
            Self::Https(HttpsFailure::TooBig | HttpsFailure::Encoded) => "sts-policy-invalid",
            Self::Https(_) => "sts-policy-fetch-error",
            Self::ContentType(_) | Self::NoContentType | Self::Policy(_) => "sts-policy-invalid",
            Self::Certificate(_) => "sts-webpki-invalid",
        }
    }

    /// Whether the domain is at fault, or the way to it: then it is left alone for a while.
    pub fn backs_off(&self) -> bool {
        !matches!(self, Self::TooMany | Self::Stopped)
    }
}

/// What becomes of a fetch when its host has no place free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    Wait,
    /// It is given up: there is time for it later.
    Leave,
}

/// Everything that one fetch needs.
pub(super) struct Fetch<'a> {
    pub dns: &'a Dns,
    pub gate: &'a Gate,
    pub settings: &'a StsSettings,
    pub domain: &'a PolicyDomain,
    pub queue: Queue,
}

impl Fetch<'_> {
    pub(super) async fn run(&self) -> Result<Policy, FetchFailure> {
        let until = Instant::now() + TIMEOUT;
        let fetched = timeout_at(until, self.policy(until)).await;
        fetched.unwrap_or(Err(FetchFailure::TimedOut))
    }

    async fn policy(&self, until: Instant) -> Result<Policy, FetchFailure> {
        let _ticket = self.gate.ticket()?;
        let name = format!("{HOST_LABEL}.{}", self.domain);
        let host =
            DomainName::from_dns(&name).map_err(|_| FetchFailure::NoName(self.domain.clone()))?;
        let settings = self.settings;
        let lookup = self.gate.lookup(self.queue).await;
        let lookup = lookup.ok_or(FetchFailure::TooMany)?;
        let addresses = host::look_up(self.dns, &host, settings.address_preference)
            .await
            .and_then(|found| found.without(&settings.blocked_networks))
            .map_err(FetchFailure::Address)?
            .arranged(settings.address_preference, &mut fastrand::Rng::new());
        drop(lookup);
        if addresses.is_empty() {
            return Err(FetchFailure::Address(HostFailure::FamilyNotUsed));
        }
        let get = Get {
            host: &host,
            port: settings.port,
            path: POLICY_PATH,
            addresses: &addresses,
            max_body: Policy::MAX_SIZE,
            within: until.saturating_duration_since(Instant::now()),
        };
        let response = https::get(&settings.tls, &get, self).await;
        let response = response.map_err(failure)?;
        if response.status != 200 {
            return Err(FetchFailure::Status(response.status));
        }
        match response.content_type {
            Some(kind) if kind == "text/plain" => {}
            Some(kind) => return Err(FetchFailure::ContentType(kind)),
            None => return Err(FetchFailure::NoContentType),
        }
        Ok(Policy::parse(&response.body)?)
    }
}

/// Each address is one host's, whatever else is published beside it.
impl Admission for Fetch<'_> {
    type Pass = Pass;

    async fn admit(&self, address: IpAddr) -> Option<Pass> {
        self.gate.pass(address, self.queue).await
    }
}

fn failure(failure: HttpsFailure) -> FetchFailure {
    match failure {
        HttpsFailure::NotAdmitted => FetchFailure::TooMany,
        HttpsFailure::Certificate(problem) => FetchFailure::Certificate(problem),
        HttpsFailure::NoAddress
        | HttpsFailure::Connect(_)
        | HttpsFailure::ConnectTimeout
        | HttpsFailure::Tls(_)
        | HttpsFailure::Http(_)
        | HttpsFailure::TooBig
        | HttpsFailure::TimedOut
        | HttpsFailure::Encoded => FetchFailure::Https(failure),
    }
}
