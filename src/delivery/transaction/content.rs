//! The message itself, up to the final dot and the reply to it.

use super::{After, Fate, Job};
use crate::delivery::connection::ClearToSend;
use crate::delivery::failure::{Failure, Stage};
use crate::delivery::wire::{Glance, Heard};
use crate::smtp::dot::DotStuffer;
use crate::smtp::reply::Severity;
use std::time::Duration;
use tokio::time::Instant;

/// RFC 5321 §4.5.3.2.5, for each piece.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// RFC 5321 §4.5.3.2.6.
const FINAL_DOT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How much of the message is sent at once.
const PIECE: usize = 64 * 1024;

/// The message, the final dot and the reply to it.
pub(super) async fn content(session: &mut ClearToSend, job: &Job<'_>) -> (Fate, After) {
    // More replies than commands: nothing that follows could be believed.
    if session.wire.glance() != Glance::Silence {
        return early_reply(session, Failure::Lost { stage: Stage::Data }).await;
    }
    let last = match body(session, job).await {
        Ok(last) => last,
        Err(BodyEnd::Spool(error)) => {
            return (
                Fate::Failed(Failure::Spool(error.to_string())),
                After::Close,
            );
        }
        Err(BodyEnd::Early(failure)) => return early_reply(session, failure).await,
    };
    if session.wire.glance() != Glance::Silence {
        return early_reply(
            session,
            Failure::Lost {
                stage: Stage::Content,
            },
        )
        .await;
    }
    job.no_return.pass();
    let until = job.deadline.min(Instant::now() + BLOCK_TIMEOUT);
    let result = match session.wire.send_listening(&last, until).await {
        Ok(Heard::Nothing) => verdict(session, job).await,
        // The end of the message did not leave whole: it cannot have been accepted.
        Ok(Heard::Something) => {
            let stage = Stage::Content;
            early_reply(session, Failure::Lost { stage }).await
        }
        Err(failure) => early_reply(session, failure).await,
    };
    job.no_return.come_back();
    result
}

/// The reply to the final dot.
async fn verdict(session: &mut ClearToSend, job: &Job<'_>) -> (Fate, After) {
    let stage = Stage::FinalDot;
    let until = job.dot_deadline.min(Instant::now() + FINAL_DOT_TIMEOUT);
    match session.wire.reply(stage, until).await {
        Err(failure) => (Fate::Uncertain(failure), After::Close),
        Ok(reply) => match reply.severity() {
            Severity::Positive => (Fate::Delivered(reply), After::Keep),
            Severity::Intermediate => (
                Fate::Uncertain(Failure::Unexpected { stage, reply }),
                After::Close,
            ),
            Severity::Transient | Severity::Permanent => {
                let after = if reply.code == 421 {
                    After::Close
                } else {
                    After::Reset
                };
                (Fate::Failed(Failure::Refused { stage, reply }), after)
            }
        },
    }
}

/// Why the message did not get as far as its last piece.
enum BodyEnd {
    Spool(std::io::Error),
    Early(Failure),
}

/// Sends all but the last piece, which is returned with the final dot.
async fn body(session: &mut ClearToSend, job: &Job<'_>) -> Result<Vec<u8>, BodyEnd> {
    let size = usize::try_from(job.message.content.size()).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(size.min(PIECE) + 1024);
    let mut stuffer = DotStuffer::default();
    let mut reader = job.message.content.reader();
    while let Some(piece) = reader.chunk().await.map_err(BodyEnd::Spool)? {
        if out.len() + piece.len() > PIECE && !out.is_empty() {
            let until = job.deadline.min(Instant::now() + BLOCK_TIMEOUT);
            match session.wire.send_listening(&out, until).await {
                Ok(Heard::Nothing) => out.clear(),
                Ok(Heard::Something) => {
                    return Err(BodyEnd::Early(Failure::Lost {
                        stage: Stage::Content,
                    }));
                }
                Err(failure) => return Err(BodyEnd::Early(failure)),
            }
        }
        stuffer.push(&piece, &mut out);
    }
    stuffer.finish(&mut out);
    Ok(out)
}

/// The host spoke, or hung up, before the end of the message: what it says, if it is a refusal, is
/// the answer; the connection is out of step either way.
async fn early_reply(session: &mut ClearToSend, failure: Failure) -> (Fate, After) {
    let until = Instant::now() + Duration::from_secs(2);
    let stage = Stage::Content;
    let failure = match session.wire.reply(stage, until).await {
        Ok(reply) => match reply.severity() {
            Severity::Transient | Severity::Permanent => Failure::Refused { stage, reply },
            Severity::Positive | Severity::Intermediate => Failure::Unexpected { stage, reply },
        },
        Err(protocol @ Failure::Protocol { .. }) => protocol,
        Err(_) => failure,
    };
    (Fate::Failed(failure), After::Close)
}
