//! MAIL, RCPT and DATA, pipelined or one by one, and the replies to them.

use super::{Fate, Job};
use crate::delivery::connection::ClearToSend;
use crate::delivery::failure::{Failure, Stage};
use crate::message::Message;
use crate::smtp::envelope::{Recipient, Utf8};
use crate::smtp::extensions::Extension;
use crate::smtp::reply::{Reply, Severity};
use std::time::Duration;
use tokio::time::Instant;

/// RFC 5321 §4.5.3.2.2 and .3.
const MAIL_RCPT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// RFC 5321 §4.5.3.2.4.
const DATA_TIMEOUT: Duration = Duration::from_secs(2 * 60);

/// The replies before the content.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// `None`: MAIL was not answered.
    pub(super) mail: Option<Reply>,
    /// As many as were answered.
    pub(super) rcpt: Vec<Reply>,
    pub(super) data: Option<Reply>,
}

/// The replies so far, and whether all that were owed came.
pub(super) type Begun = (Answers, Result<(), Failure>);

impl Answers {
    pub(super) fn mail_accepted(&self) -> bool {
        self.mail.as_ref().is_some_and(Reply::is_positive)
    }

    pub(super) fn accepted(&self) -> usize {
        if !self.mail_accepted() {
            return 0;
        }
        self.rcpt.iter().filter(|reply| reply.is_positive()).count()
    }

    /// A 421 announces that the host closes the connection (RFC 5321 §3.8).
    pub(super) fn closing(&self) -> bool {
        self.mail
            .iter()
            .chain(&self.rcpt)
            .any(|reply| reply.code == 421)
    }

    /// Each recipient's fate, where those accepted share one.
    pub(super) fn fates(&self, job: &Job<'_>, shared: &Fate) -> Vec<Fate> {
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
    pub(super) fn refusals(&self, job: &Job<'_>) -> Vec<Fate> {
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

pub(super) async fn begin_pipelined(session: &mut ClearToSend, job: &Job<'_>) -> Begun {
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

pub(super) async fn begin_in_steps(session: &mut ClearToSend, job: &Job<'_>) -> Begun {
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
