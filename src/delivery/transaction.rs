//! One mail transaction over a connection that is clear to send: MAIL, RCPT, DATA, the final dot
//! (RFC 5321 §3.3), pipelined where offered (RFC 2920).

use super::connection::ClearToSend;
use super::failure::{Failure, Stage};
use super::settings::EightBit;
use super::wire::{Glance, Heard};
use super::withdrawal::PointOfNoReturn;
use crate::message::Message;
use crate::smtp::dot::DotStuffer;
use crate::smtp::envelope::{Recipient, Utf8};
use crate::smtp::extensions::Extension;
use crate::smtp::reply::{Reply, Severity};
use std::time::Duration;
use tokio::time::Instant;

/// RFC 5321 §4.5.3.2.2 and .3.
const MAIL_RCPT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// RFC 5321 §4.5.3.2.4.
const DATA_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// RFC 5321 §4.5.3.2.5, for each piece.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// RFC 5321 §4.5.3.2.6.
const FINAL_DOT_TIMEOUT: Duration = Duration::from_secs(10 * 60);
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

/// The replies before the content.
#[derive(Debug, Default)]
struct Answers {
    /// `None`: MAIL was not answered.
    mail: Option<Reply>,
    /// As many as were answered.
    rcpt: Vec<Reply>,
    data: Option<Reply>,
}

/// The replies so far, and whether all that were owed came.
type Begun = (Answers, Result<(), Failure>);

impl Answers {
    fn mail_accepted(&self) -> bool {
        self.mail.as_ref().is_some_and(Reply::is_positive)
    }

    fn accepted(&self) -> usize {
        if !self.mail_accepted() {
            return 0;
        }
        self.rcpt.iter().filter(|reply| reply.is_positive()).count()
    }

    /// A 421 announces that the host closes the connection (RFC 5321 §3.8).
    fn closing(&self) -> bool {
        self.mail
            .iter()
            .chain(&self.rcpt)
            .any(|reply| reply.code == 421)
    }

    /// Each recipient's fate, where those accepted share one.
    fn fates(&self, job: &Job<'_>, shared: &Fate) -> Vec<Fate> {
        let one = |at: usize| match &self.mail {
            Some(mail) if !mail.is_positive() => refused(Stage::Mail, mail),
            _ => match self.rcpt.get(at) {
                Some(reply) if !reply.is_positive() => refused(Stage::Rcpt, reply),
                _ => shared.clone(),
            },
        };
        (0..job.recipients.len()).map(one).collect()
    }

    /// As `fates`, where nobody was accepted, or the host said goodbye.
    fn refusals(&self, job: &Job<'_>) -> Vec<Fate> {
        let goodbye = self.rcpt.iter().find(|reply| reply.code == 421);
        let shared = match goodbye {
            Some(reply) => refused(Stage::Rcpt, reply),
            None => Fate::Failed(Failure::Lost { stage: Stage::Rcpt }),
        };
        self.fates(job, &shared)
    }
}

fn refused(stage: Stage, reply: &Reply) -> Fate {
    Fate::Failed(Failure::Refused {
        stage,
        reply: reply.clone(),
    })
}

/// A reply to MAIL or RCPT: 3xx does not belong there and means that replies and commands no longer
/// match.
fn in_step(stage: Stage, reply: Reply) -> Result<Reply, Failure> {
    match reply.severity() {
        Severity::Intermediate => Err(Failure::Unexpected { stage, reply }),
        Severity::Positive | Severity::Transient | Severity::Permanent => Ok(reply),
    }
}

async fn begin_pipelined(session: &mut ClearToSend, job: &Job<'_>) -> Begun {
    let mut answers = Answers::default();
    let mut batch = mail_command(session, job.message);
    for recipient in job.recipients {
        batch.push_str(&rcpt_command(session, recipient, job.message));
    }
    batch.push_str("DATA\r\n");
    let wait = |limit| job.deadline.min(Instant::now() + limit);
    let wire = &mut session.wire;
    let done: Result<(), Failure> = async {
        wire.send(batch.as_bytes(), Stage::Mail, wait(MAIL_RCPT_TIMEOUT))
            .await?;
        let mail_until = job.mail_until.min(wait(MAIL_RCPT_TIMEOUT));
        let mail = wire.reply(Stage::Mail, mail_until).await?;
        answers.mail = Some(in_step(Stage::Mail, mail)?);
        for _ in job.recipients {
            // Nothing is owed after a 421, and some hosts only say it and wait.
            if answers.closing() {
                return Ok(());
            }
            let rcpt = wire.reply(Stage::Rcpt, wait(MAIL_RCPT_TIMEOUT)).await?;
            answers.rcpt.push(in_step(Stage::Rcpt, rcpt)?);
        }
        if answers.closing() {
            return Ok(());
        }
        let data = wire.reply(Stage::Data, wait(DATA_TIMEOUT)).await?;
        answers.data = Some(data);
        Ok(())
    }
    .await;
    (answers, done)
}

async fn begin_in_steps(session: &mut ClearToSend, job: &Job<'_>) -> Begun {
    let mut answers = Answers::default();
    let wait = |limit| job.deadline.min(Instant::now() + limit);
    let done: Result<(), Failure> = async {
        let mail = mail_command(session, job.message);
        session
            .wire
            .send(mail.as_bytes(), Stage::Mail, wait(MAIL_RCPT_TIMEOUT))
            .await?;
        let mail_until = job.mail_until.min(wait(MAIL_RCPT_TIMEOUT));
        let reply = session.wire.reply(Stage::Mail, mail_until).await?;
        answers.mail = Some(in_step(Stage::Mail, reply)?);
        if !answers.mail_accepted() {
            return Ok(());
        }
        for recipient in job.recipients {
            if answers.closing() {
                return Ok(());
            }
            let rcpt = rcpt_command(session, recipient, job.message);
            session
                .wire
                .send(rcpt.as_bytes(), Stage::Rcpt, wait(MAIL_RCPT_TIMEOUT))
                .await?;
            let reply = session
                .wire
                .reply(Stage::Rcpt, wait(MAIL_RCPT_TIMEOUT))
                .await?;
            answers.rcpt.push(in_step(Stage::Rcpt, reply)?);
        }
        if answers.accepted() == 0 || answers.closing() {
            return Ok(());
        }
        session
            .wire
            .send(b"DATA\r\n", Stage::Data, wait(DATA_TIMEOUT))
            .await?;
        answers.data = Some(session.wire.reply(Stage::Data, wait(DATA_TIMEOUT)).await?);
        Ok(())
    }
    .await;
    (answers, done)
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

/// How much of the message is sent at once.
const PIECE: usize = 64 * 1024;

/// The message, the final dot and the reply to it.
async fn content(session: &mut ClearToSend, job: &Job<'_>) -> (Fate, After) {
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

fn mail_command(session: &ClearToSend, message: &Message) -> String {
    let offered = &session.offered;
    let from = &message.envelope.from;
    let utf8 = sends_utf8(session, message);
    let mut command = format!("MAIL FROM:<{}>", from.path.for_wire(utf8));
    if offered.has(Extension::Size) {
        command.push_str(&format!(" SIZE={}", message.content.size()));
    }
    let eight_bit = message.content.is_eight_bit() || utf8 == Utf8::Needed;
    if eight_bit && offered.has(Extension::EightBitMime) {
        command.push_str(" BODY=8BITMIME");
    }
    if utf8 == Utf8::Needed {
        command.push_str(" SMTPUTF8");
    }
    if offered.has(Extension::Dsn) {
        match from.ret {
            Some(crate::smtp::envelope::Ret::Full) => command.push_str(" RET=FULL"),
            Some(crate::smtp::envelope::Ret::Headers) => command.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = &from.envid {
            command.push_str(&format!(" ENVID={envid}"));
        }
    }
    command.push_str("\r\n");
    command
}

fn rcpt_command(session: &ClearToSend, recipient: &Recipient, message: &Message) -> String {
    let utf8 = sends_utf8(session, message);
    let mut command = format!("RCPT TO:<{}>", recipient.mailbox.for_wire(utf8));
    if session.offered.has(Extension::Dsn) {
        if let Some(notify) = &recipient.notify {
            command.push_str(&format!(" NOTIFY={notify}"));
        }
        if let Some(orcpt) = &recipient.orcpt {
            command.push_str(&format!(" ORCPT={orcpt}"));
        }
    }
    command.push_str("\r\n");
    command
}

/// SMTPUTF8 is asked for if the client asked for it and the host offers it.
fn sends_utf8(session: &ClearToSend, message: &Message) -> Utf8 {
    if session.offered.has(Extension::SmtpUtf8) {
        message.envelope.from.utf8
    } else {
        Utf8::NotNeeded
    }
}
