//! What a session is told, and what it wants done.

use crate::server::header::HeaderFacts;
use crate::server::replies::Say;
use crate::smtp::command::{Chunk, CommandError};
use crate::smtp::reply::Reply;

/// Something that happened.
#[derive(Debug)]
pub(in crate::server) enum Event<'a> {
    Connected,
    /// A command line without its CRLF, or why there is none.
    Line(Result<&'a [u8], CommandError>),
    /// The handshake after STARTTLS succeeded.
    Secured,
    /// A chunk that does not end the message was taken in.
    ChunkStored,
    /// A chunk that did not belong there was read and dropped.
    ChunkRefused(Say),
    /// A chunk was read, and something is wrong with the message.
    ChunkFaulty(ContentFault),
    /// The whole content was read: the facts of its header, or why it is not kept.
    Content(Result<&'a HeaderFacts, ContentFault>),
    /// The next reply that is owed.
    Outcome(Option<Reply>),
    /// The client was silent, or too slow, for too long.
    Idle,
    /// The daemon is about to end, and nobody waits for an outcome.
    Draining,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum Next {
    ReadLine,
    /// As `ReadLine`; and mail for the newest recipient is to be expected.
    NewRecipient,
    /// As `ReadLine`; and the administrator should know of a client that sends to several recipients
    /// where one is all that can be taken.
    SecondRecipient,
    /// Read content up to its final dot.
    ReceiveContent,
    ReceiveChunk(Chunk),
    /// Read a chunk, drop it, and then refuse it.
    SkipChunk(Chunk, Say),
    /// Take the message, hand it over, report its outcomes.
    Deliver,
    StartTls,
    Close(Ended),
}

/// Why content that was read to its end is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum ContentFault {
    BareLineEnd,
    TooBig,
    NoRoom,
    Store,
}

impl ContentFault {
    pub(in crate::server) fn say(self) -> Say {
        match self {
            Self::BareLineEnd => Say::BareLineEnd,
            Self::TooBig => Say::TooBig,
            Self::NoRoom => Say::NoRoom,
            Self::Store => Say::StoreFailed,
        }
    }
}

/// How a session ended, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Ended {
    Quit,
    ClientGone,
    TimedOut,
    Shutdown,
    /// The client is not allowed any more.
    Reconfigured,
    Abuse,
    TlsFailed,
}

impl Ended {
    pub(in crate::server) fn as_str(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::ClientGone => "client-gone",
            Self::TimedOut => "timed-out",
            Self::Shutdown => "shutdown",
            Self::Reconfigured => "reconfigured",
            Self::Abuse => "abuse",
            Self::TlsFailed => "tls-failed",
        }
    }
}
