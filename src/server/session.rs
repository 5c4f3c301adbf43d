//! The session as a pure state machine (RFC 5321 §4.1.4, RFC 2033): events in, replies and the next
//! thing to do out. It reads no socket and no clock; [`super::connection`] does that for it.

mod event;
mod hello;
mod transaction;

pub(super) use event::{ContentFault, Ended, Event, Next};

use super::admission;
use super::header::HeaderFacts;
use super::received::Trace;
use super::replies::{self, Say};
use super::settings::{Protocol, ServerSettings};
use crate::message::{Content, Message, MessageId, Origin};
use crate::names::DomainName;
use crate::relay::Room;
use crate::smtp::command::{Chunk, Command, CommandError, Hello, InStep, Rcpt};
use crate::smtp::envelope::{MailFrom, Recipient, Utf8};
use crate::smtp::reply::Reply;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
pub(super) use transaction::Refused;
use transaction::{ContentState, Transaction};

/// Faults of a client's programming in a row after which it is sent away.
const MAX_JUNK: u32 = 20;
/// The same for a stranger, who can do nothing but leave.
const MAX_STRANGER: u32 = 5;
/// Commands without mail, beside a whole transaction's worth of refused RCPTs. A client that keeps
/// its session open and probes it now and then does not come near.
const MAX_IDLE: usize = 1000;

/// How long a stranger may take for a command.
const STRANGER_PATIENCE: Duration = Duration::from_secs(30);

/// What a listener is to its sessions.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) protocol: Protocol,
    /// The listener's own name, if it has one.
    pub(super) hostname: Option<DomainName>,
    pub(super) bind: Vec<IpAddr>,
    pub(super) starttls: StartTls,
}

/// Whether a channel can be secured, or is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartTls {
    NotOffered,
    Offered,
    Done,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    /// `None`: a unix socket.
    pub(super) address: Option<IpAddr>,
    pub(super) standing: Standing,
}

/// What `client.networks` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Allowed,
    Stranger,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    role: Arc<Role>,
    settings: Arc<ServerSettings>,
    client: Client,
    starttls: StartTls,
    hello: Option<(Hello, String)>,
    /// XFORWARD IDENT of the message to come.
    ident: Option<String>,
    transaction: Option<Transaction>,
    /// The message whose content was refused just now.
    refused: Option<Refused>,
    /// Replies owed for a message that is being delivered.
    owed: usize,
    /// What `client.networks` has come to say since the session began.
    standing_now: Standing,
    /// Whether a message could be kept, should it come to that.
    room: Room,
    junk: u32,
    idle: usize,
}

impl Session {
    pub(super) fn new(role: Arc<Role>, settings: Arc<ServerSettings>, client: Client) -> Self {
        Self {
            starttls: role.starttls,
            role,
            settings,
            client,
            hello: None,
            ident: None,
            transaction: None,
            refused: None,
            owed: 0,
            standing_now: client.standing,
            room: Room::Yes,
            junk: 0,
            idle: 0,
        }
    }

    /// What happened; appends replies to `out` and says what is to be done next.
    pub(super) fn input(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Next {
        match event {
            Event::Connected => self.connected(out),
            Event::Line(line) => self.line(line, out),
            Event::Secured => {
                self.starttls = StartTls::Done;
                self.hello = None;
                self.reset();
                Next::ReadLine
            }
            Event::ChunkStored => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.content = ContentState::Chunks;
                }
                say(Say::ChunkOk, out)
            }
            Event::ChunkRefused(why) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.content = ContentState::Void;
                }
                say(why, out)
            }
            Event::ChunkFaulty(fault) => self.chunk_faulty(fault, out),
            Event::Content(result) => self.content(result, out),
            Event::Outcome(reply) => self.outcome(reply, out),
            Event::Idle => close(Say::TimedOut, Ended::TimedOut, out),
            Event::Draining => close(Say::ShuttingDown, Ended::Shutdown, out),
        }
    }

    /// Whether MAIL was accepted and its message is not yet answered.
    pub(super) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether chunks of a message have been accepted and more may come.
    pub(super) fn in_chunks(&self) -> bool {
        self.transaction
            .as_ref()
            .is_some_and(|t| t.content == ContentState::Chunks)
    }

    /// Settings for the transactions to come; one that has begun keeps its own.
    pub(super) fn reconfigure(&mut self, settings: Arc<ServerSettings>) {
        if self.transaction.is_none() {
            self.standing_now = admission::client(self.client.address, &settings).standing;
            self.settings = settings;
        }
    }

    /// How long the client may take for a command, and be silent in content.
    pub(super) fn patience(&self) -> Duration {
        let idle = self.settings.idle_timeout;
        match self.client.standing {
            Standing::Allowed => idle,
            Standing::Stranger => idle.min(STRANGER_PATIENCE),
        }
    }

    pub(super) fn settings(&self) -> &Arc<ServerSettings> {
        &self.settings
    }

    pub(super) fn hostname(&self) -> &DomainName {
        self.role
            .hostname
            .as_ref()
            .unwrap_or(&self.settings.hostname)
    }

    /// The recipient that was accepted last.
    pub(super) fn newest_recipient(&self) -> Option<&Recipient> {
        self.transaction.as_ref()?.recipients.last()
    }

    /// Our Received field for the message to come.
    pub(super) fn received_field(&self, id: &MessageId, now: SystemTime) -> String {
        let helo = self.hello.as_ref().map_or("unknown", |(_, name)| name);
        Trace {
            helo,
            client: self.client.address,
            hostname: self.hostname(),
            with: self.transmission_type(),
            id,
            now,
        }
        .field()
    }

    /// RFC 3848, RFC 6531 §4.3.
    fn transmission_type(&self) -> &'static str {
        let utf8 = self.transaction.as_ref().map(|t| t.from.utf8);
        let utf8 = utf8 == Some(Utf8::Needed);
        let tls = self.starttls == StartTls::Done;
        match self.hello.as_ref().map(|(hello, _)| *hello) {
            Some(Hello::Lhlo) => match (utf8, tls) {
                (false, false) => "LMTP",
                (false, true) => "LMTPS",
                (true, false) => "UTF8LMTP",
                (true, true) => "UTF8LMTPS",
            },
            Some(Hello::Helo) | None if !tls && !utf8 => "SMTP",
            Some(Hello::Helo | Hello::Ehlo) | None => match (utf8, tls) {
                (false, false) => "ESMTP",
                (false, true) => "ESMTPS",
                (true, false) => "UTF8SMTP",
                (true, true) => "UTF8SMTPS",
            },
        }
    }

    /// Turns the transaction into a message; its outcomes are owed from now on.
    pub(super) fn take_message(
        &mut self,
        facts: HeaderFacts,
        content: Content,
        id: MessageId,
        received_at: Instant,
    ) -> Option<Message> {
        let transaction = self.transaction.as_mut()?;
        let envelope = transaction.take_envelope();
        let client_id = self
            .ident
            .take()
            .or_else(|| envelope.from.envid.clone())
            .or_else(|| facts.topmost_id.clone());
        Some(Message {
            id,
            needs_utf8: transaction::needs_utf8(&envelope, &facts),
            envelope,
            content,
            origin: Origin {
                client: self.client_name(),
                client_id,
                hostname: self.role.hostname.clone(),
                bind: self.role.bind.clone(),
            },
            message_id: facts.message_id,
            tls_required: facts.tls_required,
            received_at,
            queued: None,
        })
    }

    /// The message whose content was refused just now, to be recorded.
    pub(super) fn take_refused(&mut self) -> Option<Refused> {
        self.refused.take()
    }

    /// The client in the record.
    pub(super) fn client_name(&self) -> String {
        let address = self.client.address;
        address.map_or_else(|| "unix".to_owned(), |ip| ip.to_string())
    }

    /// How many replies the message that is being delivered still awaits.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    fn reset(&mut self) {
        self.ident = None;
        self.transaction = None;
        self.owed = 0;
    }

    fn connected(&mut self, out: &mut Vec<u8>) -> Next {
        match self.client.standing {
            Standing::Allowed => {
                let greeting = replies::greeting(self.role.protocol, self.hostname());
                send(&greeting, out)
            }
            // RFC 5321 §3.1: then only QUIT is served.
            Standing::Stranger => say(Say::NotAllowed, out),
        }
    }

    fn line(&mut self, line: Result<&[u8], CommandError>, out: &mut Vec<u8>) -> Next {
        let is_rcpt = line.as_ref().is_ok_and(|line| is_rcpt(line));
        let command = line.and_then(Command::parse);
        if self.client.standing == Standing::Stranger {
            return self.stranger(command, out);
        }
        if self.standing_now == Standing::Stranger {
            return close(Say::NoLongerAllowed, Ended::Reconfigured, out);
        }
        self.idle += usize::from(!self.is_mail(&command));
        if self.idle > MAX_IDLE + self.settings.max_recipients {
            return close(Say::TooManyIdleCommands, Ended::Abuse, out);
        }
        let error = match command {
            Ok(command) => return self.command(command, out),
            Err(error) => error,
        };
        // A recipient that somebody gave the client must not cost the others their session.
        let in_envelope = is_rcpt && self.transaction.is_some();
        self.junk += u32::from(error.is_junk() && !in_envelope);
        if self.junk > MAX_JUNK {
            return close(Say::TooManyErrors, Ended::Abuse, out);
        }
        out.extend_from_slice(&error.reply().to_wire());
        match error.in_step() {
            InStep::Kept => Next::ReadLine,
            InStep::Lost => Next::Close(Ended::Abuse),
        }
    }

    /// Whether a command brings a transaction forward. RCPT does, also if it is refused for other
    /// reasons than its form; a chunk does unless it is empty or comes after one that was refused.
    fn is_mail(&self, command: &Result<Command, CommandError>) -> bool {
        let Some(transaction) = &self.transaction else {
            return false;
        };
        match command {
            Ok(Command::Bdat(chunk)) => chunk.size > 0 && transaction.content != ContentState::Void,
            other => matches!(other, Ok(Command::Rcpt(_))),
        }
    }

    fn stranger(&mut self, command: Result<Command, CommandError>, out: &mut Vec<u8>) -> Next {
        self.junk += 1;
        if command == Ok(Command::Quit) {
            return close(Say::Bye, Ended::Quit, out);
        }
        if self.junk > MAX_STRANGER || command.is_err() {
            return close(Say::NotAllowed, Ended::Abuse, out);
        }
        say(Say::BadSequence, out)
    }

    fn command(&mut self, command: Command, out: &mut Vec<u8>) -> Next {
        match command {
            Command::Hello(hello, name) => self.hello(hello, name, out),
            Command::Mail(from) => self.mail(from, out),
            Command::Rcpt(rcpt) => self.rcpt(rcpt, out),
            Command::Data => self.data(out),
            Command::Bdat(chunk) => self.bdat(chunk),
            Command::Rset => {
                self.reset();
                say(Say::Ok, out)
            }
            Command::Noop => say(Say::Ok, out),
            Command::Quit => close(Say::Bye, Ended::Quit, out),
            Command::Vrfy => say(Say::CannotVerify, out),
            Command::Help => say(Say::Help, out),
            Command::Expn | Command::Auth => say(Say::NotOffered, out),
            Command::StartTls => self.starttls(out),
            Command::Xforward(ident) => self.xforward(ident, out),
        }
    }
}

/// However malformed the rest may be.
fn is_rcpt(line: &[u8]) -> bool {
    let verb = line.split(|&octet| octet == b' ').next();
    verb.is_some_and(|verb| verb.eq_ignore_ascii_case(b"RCPT"))
}

fn send(reply: &Reply, out: &mut Vec<u8>) -> Next {
    out.extend_from_slice(&reply.to_wire());
    Next::ReadLine
}

fn say(what: Say, out: &mut Vec<u8>) -> Next {
    send(&what.reply(), out)
}

fn close(what: Say, ended: Ended, out: &mut Vec<u8>) -> Next {
    say(what, out);
    Next::Close(ended)
}

#[cfg(test)]
mod tests;
