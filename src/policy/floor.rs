//! What the administrator demands at least, before anything that is published is added.

use super::facts::Demand;
use super::level::{Level, PolicySource};
use super::requirement::{ClientCertificate, OnFailure, TlsVersion};
use super::rules::{Published, Rule};
use super::verdict::PolicySettings;

/// What is demanded at least, before anything published is added.
pub(super) struct Floor<'a> {
    pub(super) level: Level,
    pub(super) source: PolicySource,
    pub(super) min_version: TlsVersion,
    pub(super) on_failure: OnFailure,
    pub(super) client_certificate: ClientCertificate,
    /// Whether TLSA records count that the level does not ask for.
    dane: Published,
    /// Whether MTA-STS policies count.
    mta_sts: Published,
    pub(super) rule: Option<&'a Rule>,
}

impl<'a> Floor<'a> {
    pub(super) fn of_default(settings: &PolicySettings) -> Self {
        Self {
            level: settings.default,
            source: PolicySource::Default,
            min_version: settings.min_version,
            dane: settings.dane,
            mta_sts: settings.mta_sts,
            on_failure: OnFailure::Defer,
            client_certificate: ClientCertificate::Withhold,
            rule: None,
        }
    }

    pub(super) fn of_rule(rule: &'a Rule, default: &Floor<'_>) -> Self {
        Self {
            level: rule.require.unwrap_or(default.level),
            source: if binds(rule) {
                PolicySource::Rule
            } else {
                PolicySource::Default
            },
            min_version: rule.min_version.unwrap_or(default.min_version),
            on_failure: rule.on_failure,
            client_certificate: rule.client_certificate,
            dane: rule.published.and(default.dane),
            mta_sts: rule.published.and(default.mta_sts),
            rule: Some(rule),
        }
    }

    /// The levels of DANE ask for TLSA records whatever else is said; the others take what is published,
    /// but for `none`, which knows no TLS.
    pub(super) fn wants_tlsa(&self, demand: &Demand) -> bool {
        match self.level {
            Level::Dane | Level::DaneOnly => true,
            Level::None => false,
            Level::May | Level::Encrypt | Level::Fingerprint | Level::Verify | Level::Secure => {
                self.dane.and(demand.published) == Published::Honor
            }
        }
    }

    /// `none` knows no TLS, and so nothing that is published about it.
    pub(super) fn wants_sts(&self, demand: &Demand) -> bool {
        self.level != Level::None && self.mta_sts.and(demand.published) == Published::Honor
    }

    /// Whose policy DANE is here: the rule's that asks for it, else the domain's own.
    pub(super) fn source_of_tlsa(&self) -> PolicySource {
        match self.level {
            Level::Dane | Level::DaneOnly => self.source,
            Level::None
            | Level::May
            | Level::Encrypt
            | Level::Fingerprint
            | Level::Verify
            | Level::Secure => PolicySource::Dane,
        }
    }
}

/// Whether the rule says anything about the channel; one that only routes or names leaves that to the
/// default.
fn binds(rule: &Rule) -> bool {
    rule.require.is_some()
        || rule.min_version.is_some()
        || !rule.match_names.is_empty()
        || !rule.fingerprints.is_empty()
        || rule.client_certificate == ClientCertificate::Present
}
