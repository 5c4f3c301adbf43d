//! The mail transaction: MAIL, RCPT, the content and its replies (RFC 5321 §3.3, RFC 2033 §4.2).

use super::{
    Chunk, ContentFault, HeaderFacts, Hello, MailFrom, Next, Protocol, Rcpt, Recipient, Reply, Say,
    Session, Utf8, say, send,
};
use crate::relay::{Custody, Room};
use crate::smtp::address::{ForwardPath, MailDomain, Mailbox};
use crate::smtp::envelope::Envelope;

/// Most Received fields of our own: a message may rightly pass twice, on its way out and again after
/// an alias; not for ever.
const MAX_OWN_HOPS: usize = 5;

/// A transaction since MAIL.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) from: MailFrom,
    pub(super) recipients: Vec<Recipient>,
    pub(super) content: ContentState,
}

/// Where the content stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentState {
    None,
    /// Chunks were taken in.
    Chunks,
    /// A chunk was refused: nothing but RSET helps (RFC 3030 §2).
    Void,
}

impl Transaction {
    pub(super) fn take_envelope(&mut self) -> Envelope {
        Envelope {
            from: self.from.clone(),
            recipients: std::mem::take(&mut self.recipients),
        }
    }
}

/// SMTPUTF8 is needed if it was asked for and something really is not ASCII.
pub(super) fn needs_utf8(envelope: &Envelope, facts: &HeaderFacts) -> Utf8 {
    let addresses =
        envelope.from.path.is_ascii() && envelope.recipients.iter().all(|r| r.mailbox.is_ascii());
    if envelope.from.utf8 == Utf8::Needed && (facts.non_ascii || !addresses) {
        Utf8::Needed
    } else {
        Utf8::NotNeeded
    }
}

impl Session {
    pub(super) fn mail(&mut self, from: MailFrom, out: &mut Vec<u8>) -> Next {
        if self.hello.is_none() {
            return say(Say::HelloFirst, out);
        }
        if self.transaction.is_some() {
            return say(Say::NestedMail, out);
        }
        if from.utf8 == Utf8::NotNeeded && !from.path.is_ascii() {
            return say(Say::NeedsUtf8, out);
        }
        if from
            .size
            .is_some_and(|n| n > self.settings.max_message_size)
        {
            return say(Say::TooBig, out);
        }
        self.junk = 0;
        self.idle = 0;
        self.transaction = Some(Transaction {
            from,
            recipients: Vec::new(),
            content: ContentState::None,
        });
        say(Say::SenderOk, out)
    }

    pub(super) fn rcpt(&mut self, rcpt: Rcpt, out: &mut Vec<u8>) -> Next {
        let mailbox = match rcpt.path {
            ForwardPath::Mailbox(mailbox) => mailbox,
            ForwardPath::Postmaster(local) => self.at_this_host(local),
        };
        let most = self.most_recipients();
        let Some(transaction) = &mut self.transaction else {
            return say(Say::MailFirst, out);
        };
        if transaction.content != ContentState::None {
            return say(Say::BadSequence, out);
        }
        if transaction.from.utf8 == Utf8::NotNeeded && !mailbox.is_ascii() {
            return say(Say::NeedsUtf8, out);
        }
        if transaction.recipients.len() >= most.count {
            say(most.refusal, out);
            return match most.refusal == Say::OneRecipient {
                true => Next::SecondRecipient,
                false => Next::ReadLine,
            };
        }
        transaction.recipients.push(Recipient {
            mailbox,
            notify: rcpt.notify,
            orcpt: rcpt.orcpt,
        });
        say(Say::RecipientOk, out);
        Next::NewRecipient
    }

    fn at_this_host(&self, local: String) -> Mailbox {
        let ascii = self.hostname().clone();
        let written = ascii.to_string();
        Mailbox {
            local,
            domain: MailDomain::Name { ascii, written },
        }
    }

    /// SMTP has one reply for all recipients: where the client keeps custody, their outcomes cannot differ.
    fn most_recipients(&self) -> Most {
        let limit = self.settings.max_recipients;
        let one = |refusal| Most { count: 1, refusal };
        match (self.role.protocol, self.settings.custody) {
            (Protocol::Smtp, Custody::Client) if limit > 1 => one(Say::OneRecipient),
            // Differing outcomes could not be kept.
            (Protocol::Smtp, Custody::Auto) if limit > 1 && self.room == Room::No => {
                one(Say::NoRoomForSecond)
            }
            (Protocol::Smtp | Protocol::Lmtp, Custody::Auto | Custody::Client | Custody::Queue) => {
                Most {
                    count: limit,
                    refusal: Say::TooManyRecipients,
                }
            }
        }
    }

    /// Why no content can come now, if so.
    fn not_ready(&self) -> Option<Say> {
        let Some(transaction) = &self.transaction else {
            return Some(Say::MailFirst);
        };
        if transaction.recipients.is_empty() {
            return Some(match self.role.protocol {
                Protocol::Smtp => Say::NoRecipients,
                Protocol::Lmtp => Say::NoLmtpRecipients, // RFC 2033 §4.2
            });
        }
        None
    }

    pub(super) fn data(&mut self, out: &mut Vec<u8>) -> Next {
        if let Some(refusal) = self.not_ready() {
            return say(refusal, out);
        }
        let begun = self.transaction.as_ref().map(|t| t.content);
        if begun != Some(ContentState::None) {
            return say(Say::DataAfterBdat, out);
        }
        say(Say::StartContent, out);
        Next::ReceiveContent
    }

    /// A chunk follows its command whatever we think of it (RFC 3030 §2).
    pub(super) fn bdat(&mut self, chunk: Chunk) -> Next {
        if let Some(refusal) = self.not_ready() {
            return Next::SkipChunk(chunk, refusal);
        }
        // HELO has not seen CHUNKING.
        let said_helo = matches!(self.hello, Some((Hello::Helo, _)));
        let void = self.transaction.as_ref().map(|t| t.content) == Some(ContentState::Void);
        if said_helo || void {
            return Next::SkipChunk(chunk, Say::BadSequence);
        }
        Next::ReceiveChunk(chunk)
    }

    /// The replies that end a transaction: one in SMTP, one per recipient in LMTP.
    fn final_replies(&self) -> usize {
        let recipients = self.transaction.as_ref().map_or(0, |t| t.recipients.len());
        match self.role.protocol {
            Protocol::Smtp => recipients.min(1),
            Protocol::Lmtp => recipients,
        }
    }

    pub(super) fn content(
        &mut self,
        result: Result<&HeaderFacts, ContentFault>,
        out: &mut Vec<u8>,
    ) -> Next {
        let refusal = match result {
            Err(fault) => fault.say(),
            Ok(facts) if facts.hops > self.settings.hop_limit => Say::TooManyHops,
            Ok(facts) if facts.own_hops > MAX_OWN_HOPS => Say::Loop,
            Ok(_) => {
                self.owed = self.final_replies();
                return Next::Deliver;
            }
        };
        for _ in 0..self.final_replies() {
            say(refusal, out);
        }
        let topmost_id = result.ok().and_then(|facts| facts.topmost_id.clone());
        self.refused = self.transaction.as_mut().map(|transaction| Refused {
            client_id: self
                .ident
                .take()
                .or_else(|| transaction.from.envid.clone())
                .or(topmost_id),
            envelope: transaction.take_envelope(),
            reply: refusal.reply(),
        });
        self.reset();
        Next::ReadLine
    }

    /// The message can only be taken back (RFC 3030 §2), but its fate is known.
    pub(super) fn chunk_faulty(&mut self, fault: ContentFault, out: &mut Vec<u8>) -> Next {
        if let Some(transaction) = &mut self.transaction {
            transaction.content = ContentState::Void;
            self.refused = Some(Refused {
                client_id: self.ident.clone().or(transaction.from.envid.clone()),
                envelope: Envelope {
                    from: transaction.from.clone(),
                    recipients: transaction.recipients.clone(),
                },
                reply: fault.say().reply(),
            });
        }
        say(fault.say(), out)
    }

    pub(super) fn outcome(&mut self, reply: Option<Reply>, out: &mut Vec<u8>) -> Next {
        match reply {
            // A destination's 421 would make the client suspend all mail.
            Some(reply) if reply.code == 421 => send(&Reply { code: 451, ..reply }, out),
            Some(reply) => send(&reply, out),
            None => say(Say::NoOutcome, out),
        };
        self.owed = self.owed.saturating_sub(1);
        if self.owed == 0 {
            self.reset();
        }
        Next::ReadLine
    }
}

/// A message that was refused for its content: what the record says of it.
#[derive(Debug)]
pub(in crate::server) struct Refused {
    pub(in crate::server) envelope: Envelope,
    /// XFORWARD IDENT, else ENVID, else the id in the topmost Received field.
    pub(in crate::server) client_id: Option<String>,
    pub(in crate::server) reply: Reply,
}

/// How many recipients a transaction takes, and what the next one hears.
struct Most {
    count: usize,
    refusal: Say,
}
