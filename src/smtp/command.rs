//! The commands of a client, and what they may carry (RFC 5321 §4.1, RFC 2033, RFC 3461 §4).
//!
//! Strict: what is not understood whole is refused, and every refusal has its reply in one table
//! ([`CommandError::reply`]). Whether a command fits the state of the session is not judged here.

mod error;
mod parameters;
mod xforward;

pub use error::{CommandError, InStep};

use super::address::{AddressError, ForwardPath, PathAndRest};
use super::envelope::MailFrom;
use parameters::Parameters;

/// One command, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Hello(Hello, String),
    Mail(MailFrom),
    Rcpt(Rcpt),
    Data,
    Bdat(Chunk),
    Rset,
    Noop,
    Quit,
    Vrfy,
    Expn,
    Help,
    StartTls,
    Auth,
    /// XFORWARD with its IDENT, if there is one; other attributes are checked and dropped.
    Xforward(Option<String>),
}

/// How a client says hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hello {
    Helo,
    Ehlo,
    /// RFC 2033 §4.1.
    Lhlo,
}

/// RCPT, before the session has given `<postmaster>` its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    pub path: ForwardPath,
    pub notify: Option<String>,
    pub orcpt: Option<String>,
}

/// BDAT's arguments (RFC 3030 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Octets that follow the command line.
    pub size: u64,
    pub last: Last,
}

/// Whether a chunk ends the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    No,
    Yes,
}

impl Command {
    /// Reads a command line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = std::str::from_utf8(line).map_err(|_| CommandError::BadCharacter)?;
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(CommandError::BadCharacter);
        }
        // RFC 5321 §4.1.1: white space before the line end is tolerated.
        let line = line.trim_end_matches([' ', '\t']);
        let (verb, argument) = match line.split_once(' ') {
            Some((verb, argument)) => (verb, Some(argument)),
            None => (line, None),
        };
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => hello(Hello::Ehlo, argument),
            "HELO" => hello(Hello::Helo, argument),
            "LHLO" => hello(Hello::Lhlo, argument),
            "MAIL" => mail(argument),
            "RCPT" => rcpt(argument),
            "DATA" => alone(Self::Data, argument),
            "BDAT" => bdat(argument),
            "RSET" => alone(Self::Rset, argument),
            "NOOP" => Ok(Self::Noop),
            "QUIT" => alone(Self::Quit, argument),
            "VRFY" => Ok(Self::Vrfy),
            "EXPN" => Ok(Self::Expn),
            "HELP" => Ok(Self::Help),
            "STARTTLS" => alone(Self::StartTls, argument),
            "AUTH" => Ok(Self::Auth),
            "XFORWARD" => xforward::ident(argument.unwrap_or("")).map(Self::Xforward),
            // A browser that was made to talk to us: its next lines would be somebody's commands.
            "GET" | "POST" | "PUT" | "HEAD" | "DELETE" | "OPTIONS" | "CONNECT" => {
                Err(CommandError::NotSmtp)
            }
            _ => Err(CommandError::Unknown),
        }
    }
}

fn alone(command: Command, argument: Option<&str>) -> Result<Command, CommandError> {
    match argument {
        None => Ok(command),
        Some(_) => Err(CommandError::UnexpectedArgument),
    }
}

/// The name is kept as it came, for the Received field; no more is asked of it than that it be one
/// word, since a client is known by its address and not by what it says (RFC 5321 §4.1.4).
fn hello(verb: Hello, argument: Option<&str>) -> Result<Command, CommandError> {
    let name = argument.unwrap_or("").trim_start_matches(' ');
    if name.is_empty() || name.contains([' ', '\t']) || name.len() > 255 {
        return Err(CommandError::HelloName);
    }
    Ok(Command::Hello(verb, name.to_owned()))
}

/// What follows `FROM:` or `TO:`.
fn path<'a>(
    argument: Option<&'a str>,
    keyword: &str,
    bad: fn(AddressError) -> CommandError,
) -> Result<PathAndRest<'a>, CommandError> {
    let argument = argument.ok_or(CommandError::Syntax)?;
    let head = argument.get(..keyword.len()).ok_or(CommandError::Syntax)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(CommandError::Syntax);
    }
    PathAndRest::split(&argument[keyword.len()..]).map_err(bad)
}

fn mail(argument: Option<&str>) -> Result<Command, CommandError> {
    let cut = path(argument, "FROM:", CommandError::Sender)?;
    let path = cut.reverse().map_err(CommandError::Sender)?;
    let given = Parameters::of_mail(cut.rest)?;
    let from = MailFrom {
        path,
        size: given.size,
        body: given.body.unwrap_or_default(),
        utf8: given.utf8.unwrap_or_default(),
        ret: given.ret,
        envid: given.envid,
    };
    Ok(Command::Mail(from))
}

fn rcpt(argument: Option<&str>) -> Result<Command, CommandError> {
    let cut = path(argument, "TO:", CommandError::Recipient)?;
    let path = cut.forward().map_err(CommandError::Recipient)?;
    let given = Parameters::of_rcpt(cut.rest)?;
    Ok(Command::Rcpt(Rcpt {
        path,
        notify: given.notify,
        orcpt: given.orcpt,
    }))
}

fn bdat(argument: Option<&str>) -> Result<Command, CommandError> {
    let (size, last) = match argument.unwrap_or("").split_once(' ') {
        None => (argument.unwrap_or(""), Last::No),
        Some((size, word)) if word.eq_ignore_ascii_case("LAST") => (size, Last::Yes),
        Some(_) => return Err(CommandError::ChunkSize),
    };
    if size.is_empty() || !size.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CommandError::ChunkSize);
    }
    let size = size.parse().map_err(|_| CommandError::ChunkSize)?;
    Ok(Command::Bdat(Chunk { size, last }))
}

#[cfg(test)]
mod tests;
