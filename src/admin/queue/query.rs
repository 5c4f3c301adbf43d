//! What of the queue is asked for, as the query of a URL.

use super::{MAX_PAGE, QueueRest, QueueState};
use crate::names::DomainName;
use crate::smtp::address::{ForwardPath, PathAndRest};
use crate::store::queue::{Millis, RecipientState, Selection};

/// Longest value, octets: more than any address has.
const MAX_VALUE: usize = 1024;

/// Which messages, and which of their recipients. All that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueSelection {
    pub id: Option<String>,
    /// Of recipients: a name, or an address literal.
    pub domain: Option<String>,
    /// Without brackets; empty for the null sender.
    pub sender: Option<String>,
    /// Of recipients: waiting, those that are being attempted included, or held.
    pub state: Option<QueueState>,
    /// Received longer ago than so many seconds.
    pub older: Option<u64>,
    /// Received less long ago.
    pub newer: Option<u64>,
}

/// A whole query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) selection: QueueSelection,
    pub(super) everything: Everything,
    pub(super) after: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) limit: u32,
}

/// Whether everything is meant if nothing is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Everything {
    /// It was said.
    Yes,
    Unsaid,
}

impl QueueSelection {
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// What the store is asked, now.
    pub(super) fn at(self, now: Millis) -> Selection {
        let ago = |seconds: u64| now.saturating_sub(seconds.saturating_mul(1000));
        Selection {
            id: self.id,
            domain: self.domain,
            sender: self.sender,
            state: self.state.map(|state| match state {
                QueueState::Held => RecipientState::Held,
                QueueState::Waiting | QueueState::Active => RecipientState::Waiting,
            }),
            received_before: self.older.map(ago),
            received_after: self.newer.map(ago),
        }
    }

    /// As pairs of a query, each with `&` behind.
    pub(super) fn to_query(&self) -> String {
        let state = self.state.map(|state| state.as_str().to_owned());
        let pairs = [
            ("id", self.id.clone()),
            ("domain", self.domain.clone()),
            ("sender", self.sender.clone()),
            ("state", state),
            ("older", self.older.map(|seconds| seconds.to_string())),
            ("newer", self.newer.map(|seconds| seconds.to_string())),
        ];
        let given = pairs.into_iter().filter_map(|(name, value)| {
            let value = escape(&value?);
            Some(format!("{name}={value}&"))
        });
        given.collect()
    }
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self {
            selection: QueueSelection::default(),
            everything: Everything::Unsaid,
            after: None,
            until: None,
            limit: MAX_PAGE,
        };
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = unescape(value).ok_or_else(|| format!("{name} is no text"))?;
            query.set(name, value)?;
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let selection = &mut self.selection;
        match name {
            "id" => selection.id = Some(queue_id(&value)?),
            "domain" => selection.domain = Some(queue_domain(&value)?),
            "sender" => selection.sender = Some(queue_sender(&value)),
            "state" => selection.state = Some(state(&value)?),
            "older" => selection.older = Some(number(name, &value)?),
            "newer" => selection.newer = Some(number(name, &value)?),
            "after" => self.after = Some(number(name, &value)?),
            "until" => self.until = Some(number(name, &value)?),
            "limit" => {
                let limit = value.parse().ok();
                self.limit = limit
                    .filter(|limit| (1..=MAX_PAGE).contains(limit))
                    .ok_or_else(|| format!("limit is not 1 to {MAX_PAGE}"))?;
            }
            "all" if value == "yes" => self.everything = Everything::Yes,
            _ => {
                return Err(
                    "the query is made of id, domain, sender, state, older, newer, all=yes, \
                            after, until and limit"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }

    /// Where an earlier answer has said to go on.
    pub(super) fn rest(&self) -> Option<QueueRest> {
        let (after, until) = (self.after?, self.until?);
        Some(QueueRest { after, until })
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} is no number"))
}

fn state(value: &str) -> Result<QueueState, String> {
    match value {
        "waiting" => Ok(QueueState::Waiting),
        "held" => Ok(QueueState::Held),
        _ => Err("state is waiting or held".to_owned()),
    }
}

/// A message's id as people copy it.
pub fn queue_id(word: &str) -> Result<String, String> {
    let id = word.to_ascii_uppercase();
    match !id.is_empty() && id.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
        true => Ok(id),
        false => Err(format!("{word}: ids of messages are letters and digits")),
    }
}

/// The domain of recipients: a name, an address literal, or a mail address.
pub fn queue_domain(word: &str) -> Result<String, String> {
    let domain = word.rsplit_once('@').map_or(word, |(_, domain)| domain);
    if !domain.starts_with('[') {
        let name = DomainName::parse(domain).map_err(|error| format!("{word}: {error}"))?;
        return Ok(name.to_string());
    }
    let path = format!("<x@{domain}>");
    let path = PathAndRest::split(&path).ok();
    let path = path.filter(|path| path.rest.is_empty());
    match path.and_then(|path| path.forward().ok()) {
        Some(ForwardPath::Mailbox(mailbox)) => Ok(mailbox.domain.to_string()),
        Some(ForwardPath::Postmaster(_)) | None => {
            Err(format!("{word}: this is no address literal"))
        }
    }
}

/// A sender, with or without brackets; `<>` and nothing are the null sender.
pub fn queue_sender(word: &str) -> String {
    let inner = word
        .strip_prefix('<')
        .and_then(|word| word.strip_suffix('>'));
    inner.unwrap_or(word).to_owned()
}

/// The domain of a recipient. Ordinary mail is scheduled by it, with what it waives behind a semicolon.
pub(super) fn domain_of(address: &str, destination: &str) -> String {
    let domain = destination.split(';').next().unwrap_or_default();
    if domain != "via" {
        return domain.to_owned();
    }
    // A hop has no domain of its own.
    let domain = address.rsplit_once('@').map(|(_, domain)| domain);
    let domain = domain.unwrap_or_default();
    queue_domain(domain).unwrap_or_else(|_| domain.to_owned())
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for octet in value.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(octet.into());
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// `None`: it is no UTF-8, no escape, or too long.
fn unescape(value: &str) -> Option<String> {
    if value.len() > 3 * MAX_VALUE {
        return None;
    }
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other => other,
        });
    }
    let text = String::from_utf8(octets).ok()?;
    (text.len() <= MAX_VALUE).then_some(text)
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_read_as_it_was_written() {
        let whole = QueueSelection {
            id: Some("01ABC".into()),
            domain: Some("xn--bcher-kva.test".into()),
            sender: Some("\"a&b=+%\"@é.test".into()),
            state: Some(QueueState::Held),
            older: Some(14_400),
            newer: Some(86_400),
        };
        let null = QueueSelection {
            sender: Some(String::new()),
            ..QueueSelection::default()
        };
        for selection in [whole, null, QueueSelection::default()] {
            let written = selection.to_query();
            assert!(written.is_ascii() && !written.contains(' '), "{written}");
            let read = Query::parse(&written).unwrap();
            assert_eq!(read.selection, selection, "{written}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_query_is_said() {
        for (query, wrong) in [
            ("sort=size", "made of"),
            ("all=no", "made of"),
            ("all", "made of"),
            ("id=", "letters and digits"),
            ("id=a/b", "letters and digits"),
            ("domain=a..test", "a label is empty"),
            ("domain=[192.0.2.1", "no address literal"),
            ("domain=[192.0.2.1]%3Ex", "no address literal"),
            ("state=active", "waiting or held"),
            ("older=4h", "older is no number"),
            ("newer=-1", "newer is no number"),
            ("after=x", "after is no number"),
            ("limit=0", "1 to 1000"),
            ("limit=1001", "1 to 1000"),
            ("sender=%4", "sender is no text"),
            ("sender=%zz", "sender is no text"),
            ("sender=%ff", "sender is no text"),
        ] {
            let said = Query::parse(query).unwrap_err();
            assert!(said.contains(wrong), "{query}: {said}");
        }
        let long = format!("sender={}", "x".repeat(MAX_VALUE + 1));
        assert!(Query::parse(&long).is_err());
    }

    #[test]
    fn words_as_people_write_them() {
        for (word, domain) in [
            ("Example.COM.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("user@a.example", "a.example"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("x@[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(queue_domain(word).unwrap(), domain, "{word}");
        }
        for (word, sender) in [
            ("<>", ""),
            ("", ""),
            ("<a@b.test>", "a@b.test"),
            ("a@b.test", "a@b.test"),
        ] {
            assert_eq!(queue_sender(word), sender, "{word}");
        }
        assert_eq!(queue_id("06fabc").unwrap(), "06FABC");
    }

    #[test]
    fn the_domain_of_a_recipient() {
        for (address, destination, domain) in [
            ("x@A.test", "a.test", "a.test"),
            ("x@a.test", "a.test;tls-required=no", "a.test"),
            ("x@[192.0.2.1]", "[192.0.2.1]", "[192.0.2.1]"),
            ("x@B.test", "via;[127.0.0.1]:25", "b.test"),
            ("x@b..test", "via;[127.0.0.1]:25", "b..test"),
            ("x", "via;mx.test", ""),
        ] {
            assert_eq!(domain_of(address, destination), domain, "{address}");
        }
    }
}
