//! The MTA-STS policy of a destination: what is published now, what the daemon remembers, and which of them a
//! delivery would obey.

use super::Checker;
use super::report::{Sts as Report, StsPolicy};
use crate::admin::client::{Answer, Client};
use crate::admin::policies::PolicyEntry;
use crate::discovery::Looked;
use crate::dns::LookupFailure;
use crate::mta_sts::Policy;
use crate::names::PolicyDomain;
use crate::policy::{Demand, StsFinding, seek_sts};
use std::sync::Arc;

impl Checker<'_> {
    /// What decides for mail of `demand`, and the story of it; no story where nobody would ask.
    pub(super) async fn sts(&self, demand: &Demand) -> (StsFinding, Option<(Report, Looked)>) {
        let Some(domain) = seek_sts(demand, &self.config.policy) else {
            return (StsFinding::NotSought, None);
        };
        let looked = self.sts.refresh(&domain).await;
        let mut report = Report {
            domain: domain.to_string(),
            record: record(&looked),
            failure: None,
            result: None,
            published: None,
            cached: None,
            cache: String::new(),
            in_force: "none",
        };
        if let Some(Err(failure)) = &looked.fetched {
            report.failure = Some(failure.to_string());
            report.result = Some(failure.result_type());
        }
        if let Some(Ok(known)) = &looked.fetched {
            report.published = Some(policy(&known.policy));
        }
        let cached = self.cached(&domain, &mut report).await;
        let finding = self.decide(&domain, &looked, cached, &mut report);
        (finding, Some((report, looked)))
    }

    /// As a delivery would: what is remembered holds; else what was fetched, or what a list says.
    fn decide(
        &self,
        domain: &PolicyDomain,
        looked: &Looked,
        cached: Option<Arc<Policy>>,
        report: &mut Report,
    ) -> StsFinding {
        if let Some(policy) = cached {
            report.in_force = "cached";
            return StsFinding::Policy(policy);
        }
        if let Err(LookupFailure::Bogus(why)) = &looked.record {
            return StsFinding::Bogus(why.clone());
        }
        if let Some(Ok(known)) = &looked.fetched {
            report.in_force = "published";
            return StsFinding::Policy(Arc::clone(&known.policy));
        }
        match self.sts.preloaded(domain) {
            Some(found) => {
                report.in_force = "preloaded";
                found.finding
            }
            None => StsFinding::NoPolicy,
        }
    }
}

impl Checker<'_> {
    /// What the daemon remembers, if it is in force; without a daemon there is nothing to know.
    async fn cached(&self, domain: &PolicyDomain, report: &mut Report) -> Option<Arc<Policy>> {
        let client = Client::new(&self.config.admin.socket);
        let asked = domain.clone();
        let shown = tokio::task::spawn_blocking(move || client.show(&asked)).await;
        let entry = match shown {
            Ok(Ok(Answer::Found(shown))) => shown.policy,
            Ok(Ok(Answer::Missing(_))) => {
                report.cache = "the daemon remembers none".into();
                return None;
            }
            Ok(Err(error)) => {
                report.cache = format!("not known, no answer of a daemon: {error}");
                return None;
            }
            Err(error) => {
                report.cache = format!("not known: {error}");
                return None;
            }
        };
        let state = if entry.live {
            "holds until"
        } else {
            "has expired on"
        };
        let (fetched, expires) = (entry.fetched, entry.expires);
        report.cache = format!("id {}, fetched {fetched}, {state} {expires}", entry.id);
        let remembered = read(&entry)?;
        report.cached = Some(policy(&remembered));
        entry.live.then(|| Arc::new(remembered))
    }
}

/// The policy in the daemon's answer, by the same reading as any other.
fn read(entry: &PolicyEntry) -> Option<Policy> {
    let mut text = format!("version: STSv1\nmode: {}\n", entry.mode);
    for pattern in &entry.mx {
        text.push_str(&format!("mx: {pattern}\n"));
    }
    text.push_str(&format!("max_age: {}\n", entry.max_age));
    Policy::read(text.as_bytes()).ok()
}

/// `id 20260101`, or why there is none.
fn record(looked: &Looked) -> String {
    match &looked.record {
        Ok(Ok(id)) => format!("id {id}"),
        Ok(Err(fault)) => fault.to_string(),
        Err(failure) => format!("not known: {failure}"),
    }
}

fn policy(policy: &Policy) -> StsPolicy {
    StsPolicy {
        mode: policy.mode.as_str(),
        mx: policy.mx.iter().map(ToString::to_string).collect(),
        max_age: policy.max_age,
    }
}
