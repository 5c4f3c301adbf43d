//! XFORWARD (Postfix's XFORWARD_README): of its attributes only IDENT is used.

use super::CommandError;
use crate::smtp::xtext;

/// Longest IDENT kept, characters; queue ids are far shorter.
const MAX_IDENT: usize = 100;

/// Checks all attributes and returns IDENT, if it has a value fit for a log line.
pub(super) fn ident(argument: &str) -> Result<Option<String>, CommandError> {
    if argument.is_empty() {
        return Err(CommandError::Xforward);
    }
    let mut ident = None;
    for attribute in argument.split(' ').filter(|a| !a.is_empty()) {
        let (name, value) = attribute.split_once('=').ok_or(CommandError::Xforward)?;
        let value = xtext::decode(value).ok_or(CommandError::Xforward)?;
        match name.to_ascii_uppercase().as_str() {
            "IDENT" => ident = Some(value),
            "NAME" | "ADDR" | "PORT" | "PROTO" | "HELO" | "SOURCE" => {}
            _ => return Err(CommandError::Xforward),
        }
    }
    Ok(ident.and_then(printable))
}

fn printable(value: Vec<u8>) -> Option<String> {
    let mut text = String::from_utf8(value).ok()?;
    let unset = text == "[UNAVAILABLE]" || text == "[TEMPUNAVAIL]";
    if unset || text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    text.truncate(MAX_IDENT);
    Some(text)
}
