//! The search for TLSA records, for people.

use super::report::{Tlsa, TlsaMatch, TlsaQuestion, TlsaRecord};
use crate::dane::{Assessment, TlsaRdata, assess};
use crate::discovery::{TlsaAsked, TlsaSearch};
use crate::policy::TlsaFinding;
use crate::tls::{DaneMatch, StandsFor};

/// `None` where there was nothing to ask for.
pub(super) fn describe(search: &TlsaSearch, port: u16) -> Option<Tlsa> {
    let failure = match &search.finding {
        TlsaFinding::NotSought => return None,
        TlsaFinding::LookupFailed(failure) => Some(failure.to_string()),
        TlsaFinding::SecurelyAbsent
        | TlsaFinding::Insecure
        | TlsaFinding::Usable { .. }
        | TlsaFinding::NoneUsable(_) => None,
    };
    Some(Tlsa {
        finding: search.finding.label(),
        failure,
        asked: search
            .asked
            .iter()
            .map(|asked| question(asked, port))
            .collect(),
    })
}

fn question(asked: &TlsaAsked, port: u16) -> TlsaQuestion {
    let (answer, records) = match &asked.answer {
        Err(failure) => (failure.to_string(), Vec::new()),
        Ok(answer) if answer.records.is_empty() => (
            format!("none, {}", super::describe::proof(answer.proof)),
            Vec::new(),
        ),
        Ok(answer) => (
            super::describe::proof(answer.proof).to_owned(),
            records(&answer.records),
        ),
    };
    TlsaQuestion {
        name: format!("_{port}._tcp.{}", asked.base),
        answer,
        records,
    }
}

fn records(published: &[TlsaRdata]) -> Vec<TlsaRecord> {
    published
        .iter()
        .zip(assess(published))
        .map(|(rdata, assessment)| {
            let (state, reason) = match assessment {
                Assessment::Counts(_) => ("usable", None),
                Assessment::Outranked(_) => {
                    ("outranked", Some("a stronger digest is published".into()))
                }
                Assessment::Unusable(why) => ("unusable", Some(why.to_string())),
            };
            TlsaRecord {
                record: rdata.to_string(),
                state,
                reason,
            }
        })
        .collect()
}

/// What a record that counts has to do with the chain that was seen.
pub(super) fn matched(found: DaneMatch) -> TlsaMatch {
    let (stands_for, depth, subject) = match found.stands_for {
        StandsFor::Nothing => ("nothing", None, None),
        StandsFor::Published => ("published", None, None),
        StandsFor::Presented { depth, subject } => ("presented", Some(depth), Some(subject)),
    };
    TlsaMatch {
        record: found.record.to_string(),
        stands_for,
        depth,
        subject,
        problem: found.verdict.err().map(|problem| problem.to_string()),
    }
}
