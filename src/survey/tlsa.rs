//! A host's TLSA records: what each is worth, and whether it matches what was shown.

use super::Survey;
use super::address::AddressSeen;
use super::record::{Known, Tlsa, TlsaEntry, TlsaMatch, TlsaState, TlsaWorth};
use super::words;
use crate::clock;
use crate::dane::{Assessment, Tlsa as TlsaRecord, Usage, assess};
use crate::discovery::{RouteHost, TlsaSearch};
use crate::dns::Existence;
use crate::names::TlsaBaseDomain;
use crate::policy::{DaneRequirement, DaneTrust, TlsaFinding};
use crate::tls::DaneMatch;
use std::sync::Arc;

impl Survey {
    pub(super) fn describe_tlsa(
        &self,
        search: &TlsaSearch,
        port: u16,
        seen: &[AddressSeen],
    ) -> Tlsa {
        let asked = search.asked.last();
        let mut told = Tlsa {
            state: tlsa_state(&search.finding),
            at: asked.map(|asked| format!("_{port}._tcp.{}", asked.base)),
            ..Tlsa::default()
        };
        if let TlsaFinding::LookupFailed(failure) = &search.finding {
            told.failure = Some(words::line(&failure.to_string()));
        }
        if let Some(Ok(answer)) = asked.map(|asked| &asked.answer) {
            let worth = assess(&answer.records);
            let records = answer.records.iter().zip(&worth);
            told.records = records
                .map(|(rdata, worth)| entry(rdata.to_string(), worth))
                .collect();
        }
        if let TlsaFinding::Usable { base, records } = &search.finding {
            told.rollover = Known::from(can_roll(records.records()));
            let requirement = DaneRequirement {
                base: base.clone(),
                records: records.clone(),
                names: Arc::from([base.0.clone()]),
                trust: DaneTrust::Full,
            };
            self.match_tlsa(&requirement, (search, seen), &mut told);
        }
        told
    }

    /// What the records that count have to do with the chains that were seen. Under a policy that heeds them, this is
    /// what a delivery makes of them: the next hop's names may stand in the certificate, too (RFC 7672 §3.2.2).
    pub(super) fn match_tlsa(
        &self,
        requirement: &DaneRequirement,
        (search, seen): (&TlsaSearch, &[AddressSeen]),
        told: &mut Tlsa,
    ) {
        let Some(Ok(answer)) = search.asked.last().map(|asked| &asked.answer) else {
            return;
        };
        let worth = assess(&answer.records);
        let now = clock::now();
        let sessions = seen.iter().filter_map(|seen| seen.visited.session.as_ref());
        let explained: Vec<Vec<DaneMatch>> = sessions
            .map(|session| self.tls.explain_dane(requirement, session, now))
            .collect();
        if explained.is_empty() {
            return;
        }
        let satisfied = |found: &Vec<DaneMatch>| found.iter().any(|one| one.verdict.is_ok());
        told.matching = Known::from(explained.iter().all(satisfied));
        for (entry, worth) in told.records.iter_mut().zip(&worth) {
            if let Assessment::Counts(record) = worth {
                let of_it = explained
                    .iter()
                    .flatten()
                    .filter(|one| one.record == *record);
                compare(entry, of_it);
            }
        }
    }

    /// Records that are published where nobody heeds them: somebody believes to have DANE.
    pub(super) async fn unheeded_tlsa(&self, host: &RouteHost, port: u16, told: &mut Tlsa) {
        if self.dns.is_plain() || told.at.is_some() && !told.records.is_empty() {
            if !told.records.is_empty() {
                told.state = TlsaState::PublishedInsecure;
            }
            return;
        }
        let Some(name) = &host.host else {
            return;
        };
        let base = TlsaBaseDomain(name.0.clone());
        let Ok(answer) = self.dns.tlsa(&base, port).await else {
            return;
        };
        if answer.existence == Existence::Present {
            told.state = TlsaState::PublishedInsecure;
            told.at = Some(format!("_{port}._tcp.{base}"));
            let worth = assess(&answer.records);
            let records = answer.records.iter().zip(&worth);
            told.records = records
                .map(|(rdata, worth)| entry(rdata.to_string(), worth))
                .collect();
        }
    }
}

fn tlsa_state(finding: &TlsaFinding) -> TlsaState {
    match finding {
        TlsaFinding::NotSought => TlsaState::NotTested,
        TlsaFinding::SecurelyAbsent => TlsaState::Absent,
        TlsaFinding::Insecure => TlsaState::Insecure,
        TlsaFinding::Usable { .. } => TlsaState::Usable,
        TlsaFinding::NoneUsable(_) => TlsaState::NoneUsable,
        TlsaFinding::LookupFailed(failure) => match failure {
            crate::policy::TlsaFailure::Bogus(_) => TlsaState::Bogus,
            crate::policy::TlsaFailure::NoAnswer(_) => TlsaState::LookupFailed,
        },
    }
}

fn entry(record: String, worth: &Assessment) -> TlsaEntry {
    let (worth, reason) = match worth {
        Assessment::Counts(_) => (TlsaWorth::Usable, None),
        Assessment::Outranked(_) => {
            let reason = "a stronger digest is published".to_owned();
            (TlsaWorth::Outranked, Some(reason))
        }
        Assessment::Unusable(why) => (TlsaWorth::Unusable, Some(why.to_string())),
    };
    TlsaEntry {
        record,
        worth,
        matches: TlsaMatch::NotTested,
        reason,
    }
}

fn compare<'a>(entry: &mut TlsaEntry, found: impl Iterator<Item = &'a DaneMatch>) {
    let (mut all, mut some) = (true, false);
    entry.reason = None;
    for one in found {
        match &one.verdict {
            Ok(()) => some = true,
            Err(problem) => {
                all = false;
                entry.reason = Some(words::line(&problem.to_string()));
            }
        }
    }
    entry.matches = match (some, all) {
        (true, true) => TlsaMatch::Yes,
        (true, false) => TlsaMatch::Partly,
        (false, _) => TlsaMatch::No,
    };
}

/// Internet.nl's test: two records of usage 3, or one of them and an anchor.
fn can_roll(records: &[TlsaRecord]) -> bool {
    let of = |usage| {
        records
            .iter()
            .filter(|record| record.usage == usage)
            .count()
    };
    let (ends, anchors) = (of(Usage::EndEntity), of(Usage::TrustAnchor));
    ends >= 2 || (ends == 1 && anchors >= 1)
}
