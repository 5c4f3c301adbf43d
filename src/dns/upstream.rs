//! The servers, with what every question to them needs.

use super::exchange::{Answered, Servers};
use super::query::{Asking, Turn};
use super::wire::Reply;
use super::{LookupFailure, QueryObserver};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::RecordType;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub(super) struct Upstream {
    pub servers: Servers,
    /// For one question in all.
    pub timeout: Duration,
    pub observer: QueryObserver,
    /// Lookups run here, so that one who gives up waiting takes nothing from the others.
    pub lookups: TaskTracker,
}

/// The `result` of `dns_queries_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Secure,
    Insecure,
    Failed(&'static str),
}

impl Upstream {
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    pub(super) fn count(&self, record_type: RecordType, told: Told) {
        let result = match told {
            Told::Secure => "secure",
            Told::Insecure => "insecure",
            Told::Failed(how) => how,
        };
        (self.observer)(record_type.into(), result);
    }

    /// Asks for signed records and reads them; if they are bogus, a second time.
    pub(super) async fn ask_signed<T>(
        &self,
        query: &Query,
        deadline: Instant,
        mut read: impl FnMut(&Reply) -> Result<(T, Told), LookupFailure>,
    ) -> Result<T, LookupFailure> {
        let mut turn = Turn::First;
        let mut bogus = None;
        loop {
            let asked = self.servers.ask(query, Asking::Signatures, turn, deadline);
            let (server, result) = match asked.await {
                Ok(Answered { reply, server }) => (Some(server), read(&reply)),
                Err(unanswered) => (None, Err(unanswered.failure)),
            };
            self.count(query.query_type(), told(&result));
            match (result, server) {
                (Ok((value, _)), _) => return Ok(value),
                (Err(failure @ LookupFailure::Bogus(_)), Some(not)) if bogus.is_none() => {
                    turn = Turn::Second { not };
                    bogus = Some(failure);
                }
                (Err(failure), _) => return Err(bogus.unwrap_or(failure)),
            }
        }
    }
}

fn told<T>(result: &Result<(T, Told), LookupFailure>) -> Told {
    match result {
        Ok((_, told)) => *told,
        Err(failure) => Told::Failed(failure_label(failure)),
    }
}

pub(super) fn failure_label(failure: &LookupFailure) -> &'static str {
    match failure {
        LookupFailure::Bogus(_) | LookupFailure::DnssecBroken => "bogus",
        LookupFailure::TimedOut => "timeout",
        LookupFailure::ServerFailure(_) => "servfail",
        LookupFailure::Unreachable(_)
        | LookupFailure::TooManyAliases
        | LookupFailure::Malformed(_) => "error",
    }
}
