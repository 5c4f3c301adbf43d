//! The one header field that we add (RFC 5321 §4.4), and how we know it again.

use crate::message::MessageId;
use crate::names::DomainName;
use crate::smtp::date::rfc5322_date;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::SystemTime;

/// Who wrote a Received field, in a comment behind the host name. The host name alone says nothing:
/// the MTA on this machine usually has the same one.
const MARK: &str = "(Sealpost)";

/// What a Received field tells.
#[derive(Debug)]
pub(super) struct Trace<'a> {
    /// As the client said it, not to be trusted with a single character.
    pub(super) helo: &'a str,
    /// `None`: a unix socket.
    pub(super) client: Option<IpAddr>,
    pub(super) hostname: &'a DomainName,
    /// A name of IANA's "Mail Transmission Types".
    pub(super) with: &'static str,
    pub(super) id: &'a MessageId,
    pub(super) now: SystemTime,
}

impl Trace<'_> {
    /// The field with its CRLF, folded.
    pub(super) fn field(&self) -> String {
        let client = match self.client {
            None => "unix".to_owned(),
            Some(IpAddr::V4(ip)) => format!("[{ip}]"),
            Some(IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        };
        let mut field = String::with_capacity(256);
        let _ = write!(
            field,
            "Received: from {} ({client})\r\n\tby {} {MARK} with {} id {};\r\n\t{}\r\n",
            harmless(self.helo),
            self.hostname,
            self.with,
            self.id,
            rfc5322_date(self.now),
        );
        field
    }
}

/// The name a client gave, with nothing in it that has a meaning in a header field.
fn harmless(helo: &str) -> String {
    helo.chars()
        .take(255)
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' | ':' | '[' | ']' => c,
            _ => '?',
        })
        .collect()
}

/// Whether this daemon wrote a Received field: its name, its mark and one of its ids.
pub(super) fn is_ours(value: &str, hostname: &DomainName) -> bool {
    let mut words = value.split_ascii_whitespace();
    while let Some(word) = words.next() {
        if word != "by" {
            continue;
        }
        let mut rest = words.clone();
        let named = rest
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(hostname.as_str()));
        let marked = rest.next() == Some(MARK) && rest.next() == Some("with");
        let id = rest.nth(1).filter(|&id| id == "id").and(rest.next());
        if named && marked && id.is_some_and(is_our_id) {
            return true;
        }
    }
    false
}

fn is_our_id(word: &str) -> bool {
    word.strip_suffix(';').is_some_and(|id| {
        id.len() == 16
            && id
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    })
}

/// The id in somebody's Received field, comments left out, at most 100 printable octets.
pub(super) fn id_in(value: &str) -> Option<String> {
    let mut depth = 0u32;
    let bare: String = value
        .chars()
        .filter(|c| match c {
            '(' => {
                depth += 1;
                false
            }
            ')' => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 0,
        })
        .collect();
    let mut words = bare.split_ascii_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("id"))?;
    let id = words.next()?.trim_end_matches(';');
    let fit = !id.is_empty() && id.len() <= 100 && id.bytes().all(|b| b.is_ascii_graphic());
    fit.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn field(helo: &str, client: Option<&str>) -> String {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_417_811);
        Trace {
            helo,
            client: client.map(|ip| ip.parse().unwrap()),
            hostname: &DomainName::parse("relay.example").unwrap(),
            with: "ESMTP",
            id: &MessageId::new(now),
            now,
        }
        .field()
    }

    #[test]
    fn the_field_says_who_and_when() {
        let text = field("mta.example", Some("192.0.2.1"));
        let expected = "Received: from mta.example ([192.0.2.1])\r\n\tby relay.example (Sealpost) with ESMTP id ";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.ends_with(";\r\n\tMon, 23 Nov 2026 07:10:11 +0000\r\n"),
            "{text}"
        );
        assert!(field("m", Some("2001:db8::1")).contains("([IPv6:2001:db8::1])"));
        assert!(field("m", None).contains("(unix)"));
    }

    #[test]
    fn a_name_cannot_write_into_the_header() {
        let text = field("a\r\nX: y(;) <é>", None);
        assert!(
            text.starts_with("Received: from a??X:?y??????? (unix)"),
            "{text}"
        );
        assert_eq!(text.matches("\r\n").count(), 3);
    }

    #[test]
    fn only_our_own_fields_are_ours() {
        let us = DomainName::parse("relay.example").unwrap();
        let ours = field("mta.example", None);
        let value = ours.strip_prefix("Received:").unwrap();
        assert!(is_ours(value, &us));
        assert!(is_ours(&value.replace("\r\n\t", " "), &us), "folded anew");
        for other in [
            value.replace("relay.example", "other.example"),
            value.replace("(Sealpost)", "(Postfix)"),
            value.replace(" id ", " id x"),
            "by relay.example".to_owned(),
            "by relay.example (Sealpost) with ESMTP".to_owned(),
            String::new(),
        ] {
            assert!(!is_ours(&other, &us), "{other}");
        }
    }

    #[test]
    fn ids_of_other_mtas() {
        for (value, expected) in [
            (
                "by mx (Postfix, from userid 0)\r\n\tid 4XyZ; Mon",
                Some("4XyZ"),
            ),
            (
                "from a (envelope id x) by b with ESMTPS id q-1\r\n for <c>",
                Some("q-1"),
            ),
            ("by b with SMTP; Mon", None),
            ("by b id", None),
            ("(((", None),
        ] {
            assert_eq!(id_in(value).as_deref(), expected, "{value}");
        }
    }
}
