//! One mail transaction over a connection that is clear to send: MAIL, RCPT, DATA, the final dot
//! (RFC 5321 §3.3), pipelined where offered (RFC 2920).

mod content;
mod opening;

use super::connection::ClearToSend;
use super::failure::{Failure, Stage};
use super::settings::EightBit;
use super::withdrawal::PointOfNoReturn;
use crate::message::Message;
use crate::smtp::envelope::{Recipient, Utf8};
use crate::smtp::extensions::Extension;
use crate::smtp::reply::{Reply, Severity};
use content::content;
use opening::{Answers, begin_in_steps, begin_pipelined};
use std::time::Duration;
use tokio::time::Instant;

/// For the reply that may wait behind a lost connection, and for RSET between two transactions.
const SHORT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is to be sent, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub message: &'a Message,
    pub recipients: &'a [&'a Recipient],
    pub eight_bit: EightBit,
    /// For everything up to our final dot.
    pub deadline: Instant,
    /// For the reply to MAIL, where it is due sooner.
    pub mail_until: Instant,
    /// For the reply to our final dot.
    pub dot_deadline: Instant,
    pub no_return: &'a PointOfNoReturn,
}

/// What became of a recipient in this transaction.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    Delivered(Reply),
    Failed(Failure),
    /// Our final dot went out, and nobody told us what became of it.
    Uncertain(Failure),
}

/// The transaction's result.
#[derive(Debug)]
pub(super) struct Transacted {
    /// In the order of the recipients.
    pub fates: Vec<Fate>,
    pub after: After,
}

/// What the connection is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    /// Fit for more once RSET is answered.
    Reset,
    Close,
}

/// Runs one transaction. Dropping the future before the point of no return leaves a connection that
/// must be closed, and no message behind.
pub(super) async fn transact(session: &mut ClearToSend, job: &Job<'_>) -> Transacted {
    if let Some(failure) = lacks(session, job) {
        return Transacted::all(job, Fate::Failed(failure), After::Keep);
    }
    let begun = if session.offered.has(Extension::Pipelining) {
        begin_pipelined(session, job).await
    } else {
        begin_in_steps(session, job).await
    };
    let (mut answers, done) = begun;
    if let Err(failure) = done {
        // A refusal that came before the connection broke stands (PITFALLS of early closers).
        let fates = answers.fates(job, &Fate::Failed(failure));
        return Transacted {
            fates,
            after: After::Close,
        };
    }
    match answers.data.take() {
        Some(reply) if reply.code == 354 && answers.accepted() > 0 => {
            let (fate, after) = content(session, job).await;
            let after = if answers.closing() {
                After::Close
            } else {
                after
            };
            Transacted {
                fates: answers.fates(job, &fate),
                after,
            }
        }
        Some(reply) if reply.code == 354 => {
            let after = lone_dot(session, job).await;
            Transacted {
                fates: answers.refusals(job),
                after,
            }
        }
        Some(reply) => data_refused(&answers, reply, job),
        None => {
            let after = if answers.closing() {
                After::Close
            } else {
                After::Reset
            };
            Transacted {
                fates: answers.refusals(job),
                after,
            }
        }
    }
}

/// DATA got another reply than 354.
fn data_refused(answers: &Answers, reply: Reply, job: &Job<'_>) -> Transacted {
    let stage = Stage::Data;
    let unexpected = matches!(
        reply.severity(),
        Severity::Positive | Severity::Intermediate
    );
    let closing = unexpected || reply.code == 421 || answers.closing();
    let failure = if unexpected {
        Failure::Unexpected { stage, reply }
    } else {
        Failure::Refused { stage, reply }
    };
    let after = if closing { After::Close } else { After::Reset };
    Transacted {
        fates: answers.fates(job, &Fate::Failed(failure)),
        after,
    }
}

/// RSET between transactions; a connection whose RSET is refused is of no use.
pub(super) async fn reset(session: &mut ClearToSend) -> After {
    let until = Instant::now() + SHORT_TIMEOUT;
    if session
        .wire
        .send(b"RSET\r\n", Stage::Rset, until)
        .await
        .is_err()
    {
        return After::Close;
    }
    match session.wire.reply(Stage::Rset, until).await {
        Ok(reply) if reply.is_positive() => After::Keep,
        Ok(_) | Err(_) => After::Close,
    }
}

impl Transacted {
    fn all(job: &Job<'_>, fate: Fate, after: After) -> Self {
        Self {
            fates: vec![fate; job.recipients.len()],
            after,
        }
    }
}

/// What the host cannot take at all.
fn lacks(session: &ClearToSend, job: &Job<'_>) -> Option<Failure> {
    let offered = &session.offered;
    let content = &job.message.content;
    if job.message.needs_utf8 == Utf8::Needed && !offered.has(Extension::SmtpUtf8) {
        return Some(Failure::NoSmtpUtf8);
    }
    let strict = job.eight_bit == EightBit::NeedsExtension;
    if strict && content.is_eight_bit() && !offered.has(Extension::EightBitMime) {
        return Some(Failure::NoEightBitMime);
    }
    let size = content.size();
    offered
        .max_size
        .filter(|&limit| size > limit)
        .map(|limit| Failure::TooBig { size, limit })
}

/// DATA was accepted although no recipient was: an empty message ends it (RFC 2920 §3.1).
async fn lone_dot(session: &mut ClearToSend, job: &Job<'_>) -> After {
    let until = job.deadline.min(Instant::now() + SHORT_TIMEOUT);
    if session
        .wire
        .send(b".\r\n", Stage::FinalDot, until)
        .await
        .is_err()
    {
        return After::Close;
    }
    match session.wire.reply(Stage::FinalDot, until).await {
        Ok(reply) if reply.severity() == Severity::Permanent => After::Reset,
        Ok(_) | Err(_) => After::Close,
    }
}
