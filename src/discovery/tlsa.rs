//! The TLSA records of one host (RFC 7672 §2.2.2, §2.2.3).

use super::route::Discovery;
use super::{Route, RouteHost};
use crate::dane::{self, TlsaRdata};
use crate::dns::{Answer, Existence, LookupFailure, Proof};
use crate::names::{DomainName, TlsaBaseDomain};
use crate::policy::{TlsaFailure, TlsaFinding};
use std::sync::Arc;

/// What the search for TLSA records came to, and how.
#[derive(Debug, Clone)]
pub struct TlsaSearch {
    pub finding: TlsaFinding,
    /// What was asked, in order: at most the host's name after aliases, and then the one before.
    pub asked: Vec<TlsaAsked>,
}

/// One question for TLSA records.
#[derive(Debug, Clone)]
pub struct TlsaAsked {
    pub base: TlsaBaseDomain,
    pub answer: Result<Arc<Answer<TlsaRdata>>, LookupFailure>,
}

impl TlsaSearch {
    fn without_asking(finding: TlsaFinding) -> Self {
        Self {
            finding,
            asked: Vec::new(),
        }
    }
}

impl Discovery {
    /// Looks for the TLSA records of a host of `route`.
    ///
    /// They are only asked for where the host's own name is secured by DNSSEC: servers that choke on TLSA
    /// questions are common among those that are not, and nobody could send mail to them (RFC 7672
    /// §2.2.2). The records at the name after aliases come first; the name before only if there are none.
    pub async fn tlsa(&self, route: &Route, host: &RouteHost) -> TlsaSearch {
        let Some(name) = &host.host else {
            return TlsaSearch::without_asking(TlsaFinding::NotSought);
        };
        if self.dns.is_plain() || host.addresses.is_err() {
            return TlsaSearch::without_asking(TlsaFinding::NotSought);
        }
        let bases = match self.bases(&name.0, host).await {
            Ok(bases) => bases,
            Err(failure) => {
                let failure = tlsa_failure(&format!("alias {name}"), &failure);
                return TlsaSearch::without_asking(TlsaFinding::LookupFailed(failure));
            }
        };
        let mut search = TlsaSearch::without_asking(TlsaFinding::Insecure);
        for base in bases {
            if owner(&base, route.port).len() > DomainName::MAX {
                // A name that cannot be has no records.
                search.finding = TlsaFinding::SecurelyAbsent;
                continue;
            }
            let answer = self.dns.tlsa(&base, route.port).await;
            search.finding = finding(&base, route.port, &answer);
            search.asked.push(TlsaAsked { base, answer });
            match search.finding {
                TlsaFinding::SecurelyAbsent | TlsaFinding::Insecure | TlsaFinding::NotSought => {}
                // An error is no "not found".
                TlsaFinding::Usable { .. }
                | TlsaFinding::NoneUsable(_)
                | TlsaFinding::LookupFailed(_) => break,
            }
        }
        search
    }

    /// The names below which TLSA records may be, none if DANE cannot apply. An alias that is secure
    /// itself may lead to addresses that are not; then only the name before it counts.
    async fn bases(
        &self,
        name: &DomainName,
        host: &RouteHost,
    ) -> Result<Vec<TlsaBaseDomain>, LookupFailure> {
        let canonical = host.canonical.as_ref().unwrap_or(name);
        let mut bases = Vec::new();
        if host.proof == Proof::Secure {
            bases.push(TlsaBaseDomain(canonical.clone()));
        }
        if canonical != name {
            let alias = match (host.proof, host.first_alias) {
                (Proof::Secure, _) => Proof::Secure,
                (Proof::Insecure, Some(known)) => known,
                (Proof::Insecure, None) => self.dns.alias(name).await?.proof,
            };
            if alias == Proof::Secure {
                bases.push(TlsaBaseDomain(name.clone()));
            }
        }
        Ok(bases)
    }
}

/// Where the records are (RFC 6698 §3).
fn owner(base: &TlsaBaseDomain, port: u16) -> String {
    format!("_{port}._tcp.{base}")
}

fn finding(
    base: &TlsaBaseDomain,
    port: u16,
    answer: &Result<Arc<Answer<TlsaRdata>>, LookupFailure>,
) -> TlsaFinding {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            return TlsaFinding::LookupFailed(tlsa_failure(&owner(base, port), failure));
        }
    };
    match (answer.proof, answer.existence) {
        (Proof::Insecure, _) => TlsaFinding::Insecure,
        (Proof::Secure, Existence::NoData | Existence::NxDomain) => TlsaFinding::SecurelyAbsent,
        (Proof::Secure, Existence::Present) => match dane::usable(&answer.records) {
            Some(records) => TlsaFinding::Usable {
                base: base.clone(),
                records,
            },
            None => TlsaFinding::NoneUsable(base.clone()),
        },
    }
}

/// That a lookup failed on which TLSA records depend; `what` was looked up.
pub fn tlsa_failure(what: &str, failure: &LookupFailure) -> TlsaFailure {
    let text = format!("{what}: {failure}");
    match failure {
        LookupFailure::Bogus(_) => TlsaFailure::Bogus(text),
        LookupFailure::ServerFailure(_)
        | LookupFailure::TimedOut
        | LookupFailure::Unreachable(_)
        | LookupFailure::TooManyAliases
        | LookupFailure::Malformed(_)
        | LookupFailure::DnssecBroken => TlsaFailure::NoAnswer(text),
    }
}
