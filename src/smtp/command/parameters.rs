//! The parameters of MAIL and RCPT (RFC 5321 §4.1.2, Mail-parameters).

use super::CommandError;
use crate::smtp::envelope::{Body, Ret, Utf8};
use crate::smtp::xtext;

/// Longest ENVID before encoding (RFC 3461 §4.4).
const MAX_ENVID: usize = 100;
/// Longest ORCPT, type and all (RFC 3461 §4.2).
const MAX_ORCPT: usize = 500;

/// What was given; each at most once.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) size: Option<u64>,
    pub(super) body: Option<Body>,
    pub(super) utf8: Option<Utf8>,
    pub(super) ret: Option<Ret>,
    pub(super) envid: Option<String>,
    pub(super) notify: Option<String>,
    pub(super) orcpt: Option<String>,
}

impl Parameters {
    pub(super) fn of_mail(text: &str) -> Result<Self, CommandError> {
        let mut given = Self::default();
        for parameter in split(text)? {
            let (keyword, value) = keyword_and_value(parameter)?;
            match keyword.as_str() {
                "SIZE" => once(&mut given.size, "SIZE", size(value))?,
                "BODY" => once(&mut given.body, "BODY", body(value))?,
                "SMTPUTF8" => {
                    let flag = value.is_none().then_some(Utf8::Needed);
                    once(&mut given.utf8, "SMTPUTF8", flag)?;
                }
                "RET" => once(&mut given.ret, "RET", ret(value))?,
                "ENVID" => once(&mut given.envid, "ENVID", envid(value))?,
                "REQUIRETLS" => return Err(CommandError::RequireTls),
                _ => return Err(CommandError::UnknownParameter(keyword)),
            }
        }
        Ok(given)
    }

    pub(super) fn of_rcpt(text: &str) -> Result<Self, CommandError> {
        let mut given = Self::default();
        for parameter in split(text)? {
            let (keyword, value) = keyword_and_value(parameter)?;
            match keyword.as_str() {
                "NOTIFY" => once(&mut given.notify, "NOTIFY", notify(value))?,
                "ORCPT" => once(&mut given.orcpt, "ORCPT", orcpt(value))?,
                _ => return Err(CommandError::UnknownParameter(keyword)),
            }
        }
        Ok(given)
    }
}

/// The words after a path; something glued to its bracket is an error.
fn split(text: &str) -> Result<impl Iterator<Item = &str>, CommandError> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(CommandError::Syntax);
    }
    Ok(text.split(' ').filter(|word| !word.is_empty()))
}

/// esmtp-keyword and esmtp-value (RFC 5321 §4.1.2); the keyword in upper case.
fn keyword_and_value(parameter: &str) -> Result<(String, Option<&str>), CommandError> {
    let (keyword, value) = match parameter.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (parameter, None),
    };
    let in_keyword = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if keyword.is_empty() || keyword.starts_with('-') || !keyword.bytes().all(in_keyword) {
        return Err(CommandError::Syntax);
    }
    Ok((keyword.to_ascii_uppercase(), value))
}

fn once<T>(slot: &mut Option<T>, name: &'static str, value: Option<T>) -> Result<(), CommandError> {
    if slot.is_some() {
        return Err(CommandError::RepeatedParameter(name));
    }
    *slot = Some(value.ok_or(CommandError::ParameterValue(name))?);
    Ok(())
}

/// RFC 1870 §4: up to 20 digits. What exceeds 64 bits exceeds every limit.
fn size(value: Option<&str>) -> Option<u64> {
    let digits = value.filter(|v| (1..=20).contains(&v.len()))?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn body(value: Option<&str>) -> Option<Body> {
    match value?.to_ascii_uppercase().as_str() {
        "7BIT" => Some(Body::SevenBit),
        "8BITMIME" => Some(Body::EightBitMime),
        _ => None,
    }
}

fn ret(value: Option<&str>) -> Option<Ret> {
    match value?.to_ascii_uppercase().as_str() {
        "FULL" => Some(Ret::Full),
        "HDRS" => Some(Ret::Headers),
        _ => None,
    }
}

fn envid(value: Option<&str>) -> Option<String> {
    let value = value.filter(|v| !v.is_empty())?;
    let decoded = xtext::decode(value)?;
    let fits = decoded.len() <= MAX_ENVID && decoded.iter().all(|b| (b' '..=b'~').contains(b));
    fits.then(|| value.to_owned())
}

/// `NEVER`, or any of the others, each once (RFC 3461 §4.1).
fn notify(value: Option<&str>) -> Option<String> {
    let canonical = value?.to_ascii_uppercase();
    if canonical == "NEVER" {
        return Some(canonical);
    }
    let words: Vec<&str> = canonical.split(',').collect();
    let known = |word: &&str| matches!(*word, "SUCCESS" | "FAILURE" | "DELAY");
    let once = |word: &&str| words.iter().filter(|w| *w == word).count() == 1;
    words
        .iter()
        .all(|word| known(word) && once(word))
        .then_some(canonical)
}

/// `type;xtext`, or `utf-8;` with the three encodings of RFC 6533 §3.
fn orcpt(value: Option<&str>) -> Option<String> {
    let value = value.filter(|v| v.len() <= MAX_ORCPT)?;
    let (kind, address) = value.split_once(';')?;
    let in_kind = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if kind.is_empty() || address.is_empty() || !kind.bytes().all(in_kind) {
        return None;
    }
    let fits = if kind.eq_ignore_ascii_case("utf-8") {
        address
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && c != '=')
    } else {
        xtext::decode(address).is_some()
    };
    fits.then(|| value.to_owned())
}
