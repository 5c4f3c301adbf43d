//! One lookup: asked, judged, followed along its aliases, and put into an answer.

use super::approach::Approach;
use super::cache::Asker;
use super::exchange::{Answered, Unanswered};
use super::interpret::{self, Chain, Found, Step};
use super::judge::Judged;
use super::probe::Prober;
use super::query::{Asking, Turn};
use super::question::{Question, name_of};
use super::trust::{Trust, Work};
use super::upstream::{Told, Upstream, failure_label};
use super::wire::{Flags, Reply};
use super::{Answer, Existence, FAILURE, LookupFailure, POSITIVE, Proof};
use hickory_resolver::proto::op::{Query, ResponseCode};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Shortest and longest time that an absence is kept (RFC 2308 §5 allows up to three hours).
const NEGATIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// How long an absence without a SOA record is kept: a burst of mail asks once.
const UNTIMED: Duration = Duration::from_secs(5);

/// How long an answer is kept that plain DNS has given because DNSSEC does not work, or that counts as
/// insecure because a server said nothing of it: that server may cease to validate.
const STOPGAP: Duration = Duration::from_secs(30);

/// What every lookup needs.
pub(super) struct Lookup {
    pub upstream: Arc<Upstream>,
    pub trust: Arc<Trust>,
    pub prober: Prober,
}

/// A question, and the aliases that led to it.
struct Asked {
    query: Query,
    chain: Chain,
}

/// The end of a lookup, and what it is worth.
struct Resolved {
    found: Found,
    proof: Proof,
    first_alias: Option<Proof>,
    /// Nothing is to be kept longer.
    longest: Duration,
}

impl Lookup {
    pub(super) async fn find_out<K: Eq + Hash + Clone, T>(
        &self,
        question: Question<T>,
        asker: Asker<K, Arc<Answer<T>>>,
    ) {
        let found = self.resolve(&question.query).await;
        let now = Instant::now();
        match found {
            Ok(resolved) => {
                let answer = Arc::new(answer(resolved, &question, now));
                let until = answer.expires;
                asker.settle(Ok(answer), until);
            }
            Err(failure) => {
                if let LookupFailure::Bogus(_) = failure {
                    self.prober.doubt();
                }
                asker.settle(Err(failure), now + FAILURE);
            }
        }
    }

    /// Asks, and follows aliases where the server has not done it, within the time-out in all.
    async fn resolve(&self, question: &Query) -> Result<Resolved, LookupFailure> {
        let deadline = self.upstream.deadline();
        let approach = self.prober.approach(deadline).await;
        let mut work = Work::until(deadline);
        let mut asked = Asked {
            query: question.clone(),
            chain: Chain::EMPTY,
        };
        let mut proof = Proof::Secure;
        let mut first_alias = None;
        loop {
            let judged = self.ask(&asked, approach, &mut work).await?;
            // Of the first reply or not known: what comes later is not the first.
            first_alias = first_alias.or(Some(judged.first_alias));
            if judged.proof == Proof::Insecure {
                proof = Proof::Insecure;
            }
            match judged.step {
                Step::Done(found) => {
                    let doubtful = approach == Approach::Believe
                        && (proof == Proof::Insecure || self.prober.may_change_its_mind());
                    let longest = if doubtful || approach == Approach::Stopgap {
                        STOPGAP
                    } else {
                        POSITIVE.1
                    };
                    return Ok(Resolved {
                        found,
                        proof,
                        first_alias: first_alias.flatten(),
                        longest,
                    });
                }
                Step::Follow(target, chain) => {
                    let query = Query::query(target, question.query_type());
                    asked = Asked { query, chain };
                }
            }
        }
    }

    /// One question, and what its answer is worth.
    async fn ask(
        &self,
        asked: &Asked,
        approach: Approach,
        work: &mut Work,
    ) -> Result<Judged, LookupFailure> {
        let first = self.attempt(asked, approach, Turn::First, work).await;
        let server = match &first {
            (Some(server), Err(LookupFailure::Bogus(_) | LookupFailure::DnssecBroken)) => *server,
            (None, Err(LookupFailure::Bogus(_))) if approach.is_in_vain() => {
                return Err(LookupFailure::DnssecBroken);
            }
            _ => return first.1,
        };
        let turn = Turn::Second { not: server };
        match self.attempt(asked, approach, turn, work).await {
            (_, Ok(judged)) => Ok(judged),
            (_, Err(_)) if approach.is_in_vain() => Err(LookupFailure::DnssecBroken),
            (_, Err(_)) => first.1,
        }
    }

    /// Who answered, and what that is worth.
    async fn attempt(
        &self,
        asked: &Asked,
        approach: Approach,
        turn: Turn,
        work: &mut Work,
    ) -> (Option<usize>, Result<Judged, LookupFailure>) {
        let query = &asked.query;
        let asking = approach.asking();
        let reply = self
            .upstream
            .servers
            .ask(query, asking, turn, work.deadline);
        let (server, judged) = match reply.await {
            Ok(Answered { reply, server }) => {
                let judged = self.judge(&reply, (asked, server), approach, work).await;
                (Some(server), judged)
            }
            Err(unanswered) => {
                let failure = self.second_look(query, unanswered, approach, work).await;
                (None, Err(failure))
            }
        };
        self.upstream.count(query.query_type(), told(&judged));
        (server, judged)
    }

    async fn judge(
        &self,
        reply: &Reply,
        (Asked { query, chain }, server): (&Asked, usize),
        approach: Approach,
        work: &mut Work,
    ) -> Result<Judged, LookupFailure> {
        let reading = interpret::read(reply, query, *chain)?;
        let authentic = reply.flags.has(Flags::AUTHENTIC);
        let proof = match approach {
            Approach::Validate | Approach::ValidateInVain => {
                return self
                    .trust
                    .judge(reply, query.query_type(), reading, work)
                    .await;
            }
            Approach::Plain | Approach::Stopgap => Proof::Insecure,
            Approach::Believe | Approach::BelieveOnlyAd if authentic => Proof::Secure,
            Approach::Believe => {
                self.prober.vouch(server, work.deadline).await?;
                Proof::Insecure
            }
            Approach::BelieveOnlyAd => return Err(LookupFailure::DnssecBroken),
        };
        // AD speaks for all of it, or says nothing of any part.
        let first_alias = (authentic && !reading.links.is_empty()).then_some(proof);
        Ok(Judged {
            step: reading.step,
            proof,
            first_alias,
        })
    }

    /// Whether a validating server's failure means that the answer is bogus: then it has one, and gives
    /// it to who does not ask for validation (RFC 4035 §3.2.2).
    async fn second_look(
        &self,
        query: &Query,
        Unanswered { failure, code }: Unanswered,
        approach: Approach,
        work: &Work,
    ) -> LookupFailure {
        if !approach.believes() || code != Some(ResponseCode::ServFail) {
            return failure;
        }
        let servers = &self.upstream.servers;
        let asked = servers.ask(query, Asking::Signatures, Turn::First, work.deadline);
        match asked.await {
            Ok(_) => {
                let name = query.name().to_ascii();
                LookupFailure::Bogus(format!("{name}: {failure}"))
            }
            Err(_) => failure,
        }
    }
}

fn answer<T>(resolved: Resolved, question: &Question<T>, now: Instant) -> Answer<T> {
    let Resolved {
        found,
        proof,
        first_alias,
        longest,
    } = resolved;
    let (shortest, most) = match found.existence {
        Existence::Present => POSITIVE,
        Existence::NoData | Existence::NxDomain => NEGATIVE,
    };
    let ttl = match found.ttl {
        Some(seconds) => Duration::from_secs(seconds.into()).clamp(shortest, most),
        None => UNTIMED,
    };
    Answer {
        records: (question.convert)(found.records),
        existence: found.existence,
        proof,
        canonical: name_of(&found.owner).unwrap_or_else(|| question.name.clone()),
        first_alias,
        expires: now + ttl.min(longest),
    }
}

fn told(judged: &Result<Judged, LookupFailure>) -> Told {
    match judged {
        Ok(judged) if judged.proof == Proof::Secure => Told::Secure,
        Ok(_) => Told::Insecure,
        Err(failure) => Told::Failed(failure_label(failure)),
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup")
            .field("servers", &self.upstream.servers.addresses())
            .field("timeout", &self.upstream.timeout)
            .finish_non_exhaustive()
    }
}
