//! What is announced, and what a client says about itself and its channel.

use super::{Hello, Next, Protocol, Reply, Room, Say, Session, StartTls, say, send};
use crate::relay::{Answering, Replies};

impl Session {
    /// Whether a message could be kept now.
    pub(in crate::server) fn know(&mut self, room: Room) {
        self.room = room;
    }

    /// How the message that is handed over is to be answered.
    pub(in crate::server) fn answering(&self) -> Answering {
        Answering {
            custody: self.settings.custody,
            replies: match self.role.protocol {
                Protocol::Smtp => Replies::One,
                Protocol::Lmtp => Replies::Each,
            },
        }
    }

    pub(super) fn hello(&mut self, hello: Hello, name: String, out: &mut Vec<u8>) -> Next {
        let fits = match self.role.protocol {
            Protocol::Smtp => hello != Hello::Lhlo,
            Protocol::Lmtp => hello == Hello::Lhlo, // RFC 2033 §4.1
        };
        if !fits {
            return say(Say::WrongHello, out);
        }
        self.reset();
        self.hello = Some((hello, name));
        let reply = match hello {
            Hello::Helo => Reply::plain(250, self.hostname().to_string()),
            Hello::Ehlo | Hello::Lhlo => self.extensions(),
        };
        send(&reply, out)
    }

    /// Whoever announces DSN takes over the duty of the notices (RFC 3461 §5.2.2): only while they can be kept.
    fn extensions(&self) -> Reply {
        let mut lines = vec![
            self.hostname().to_string(),
            "PIPELINING".to_owned(),
            format!("SIZE {}", self.settings.max_message_size),
            "8BITMIME".to_owned(),
            "SMTPUTF8".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
            "CHUNKING".to_owned(),
            "XFORWARD IDENT".to_owned(),
        ];
        if self.room == Room::Yes {
            lines.push("DSN".to_owned());
        }
        if self.starttls == StartTls::Offered {
            lines.push("STARTTLS".to_owned());
        }
        Reply {
            code: 250,
            enhanced: None,
            lines,
        }
    }

    pub(super) fn starttls(&mut self, out: &mut Vec<u8>) -> Next {
        match self.starttls {
            StartTls::NotOffered => say(Say::NotOffered, out),
            StartTls::Done => say(Say::AlreadySecured, out),
            StartTls::Offered => {
                say(Say::ReadyForTls, out);
                Next::StartTls
            }
        }
    }

    pub(super) fn xforward(&mut self, ident: Option<String>, out: &mut Vec<u8>) -> Next {
        if self.transaction.is_some() {
            return say(Say::BadSequence, out);
        }
        if ident.is_some() {
            self.ident = ident;
        }
        say(Say::Ok, out)
    }
}
