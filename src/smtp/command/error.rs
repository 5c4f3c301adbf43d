//! What can be wrong with a command, and the reply to it.

use crate::smtp::address::AddressError;
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;

/// Why a command is refused before anybody looks at the session's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("command not recognized")]
    Unknown,
    #[error("this is a mail server")]
    NotSmtp,
    #[error("command line too long")]
    TooLong,
    #[error("a command line ends with CRLF")]
    BareLineFeed,
    #[error("a command line holds printable characters")]
    BadCharacter,
    #[error("syntax error")]
    Syntax,
    #[error("this command takes no argument")]
    UnexpectedArgument,
    #[error("a host name or address literal is needed")]
    HelloName,
    #[error("bad sender address: {0}")]
    Sender(AddressError),
    #[error("bad recipient address: {0}")]
    Recipient(AddressError),
    #[error("parameter {0} is not implemented")]
    UnknownParameter(String),
    #[error("parameter {0} is given twice")]
    RepeatedParameter(&'static str),
    #[error("bad value of {0}")]
    ParameterValue(&'static str),
    #[error("REQUIRETLS is not implemented")]
    RequireTls,
    #[error("BDAT takes a size and possibly LAST")]
    ChunkSize,
    #[error("bad XFORWARD attribute")]
    Xforward,
}

/// Whether the octets after a refused command can still be told apart from commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InStep {
    Kept,
    /// The session ends with the reply.
    Lost,
}

impl CommandError {
    /// The reply: code and enhanced code (RFC 5321 §4.2.4, RFC 3463 §3.6).
    pub fn reply(&self) -> Reply {
        let (code, subject, detail) = match self {
            Self::Unknown => (500, 5, 1),
            Self::NotSmtp => (421, 7, 0),
            Self::TooLong | Self::BareLineFeed | Self::BadCharacter => (500, 5, 2),
            Self::Syntax => (501, 5, 2),
            Self::UnexpectedArgument
            | Self::HelloName
            | Self::RepeatedParameter(_)
            | Self::ParameterValue(_)
            | Self::ChunkSize
            | Self::Xforward => (501, 5, 4),
            Self::Sender(_) => (501, 1, 7),
            Self::Recipient(_) => (501, 1, 3),
            Self::UnknownParameter(_) | Self::RequireTls => (555, 5, 4),
        };
        let class = if code < 500 { 4 } else { 5 };
        let enhanced = EnhancedStatus::new(class, subject, detail);
        Reply::new(code, enhanced, self.to_string())
    }

    /// A chunk of unknown size cannot be told from commands.
    pub fn in_step(&self) -> InStep {
        match self {
            Self::NotSmtp | Self::ChunkSize => InStep::Lost,
            Self::Unknown
            | Self::TooLong
            | Self::BareLineFeed
            | Self::BadCharacter
            | Self::Syntax
            | Self::UnexpectedArgument
            | Self::HelloName
            | Self::Sender(_)
            | Self::Recipient(_)
            | Self::UnknownParameter(_)
            | Self::RepeatedParameter(_)
            | Self::ParameterValue(_)
            | Self::RequireTls
            | Self::Xforward => InStep::Kept,
        }
    }

    /// Whether it is a fault of the client's programming, and not merely of an address that somebody
    /// gave it: a good client meets those all day.
    pub fn is_junk(&self) -> bool {
        !matches!(self, Self::Sender(_) | Self::Recipient(_))
    }
}
