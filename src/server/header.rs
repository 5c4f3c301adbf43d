//! What the header of a message tells a relay that leaves it as it is.

use super::received;
use super::settings::TlsRequiredNo;
use crate::message::TlsRequired;
use crate::names::DomainName;
use mail_parser::MessageParser;

/// Longest Message-ID kept, octets.
const MAX_MESSAGE_ID: usize = 200;

/// The facts of a header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct HeaderFacts {
    /// Received fields (RFC 5321 §6.3).
    pub(super) hops: usize,
    /// Those of them that we wrote.
    pub(super) own_hops: usize,
    /// The id in the topmost Received field.
    pub(super) topmost_id: Option<String>,
    pub(super) message_id: String,
    pub(super) tls_required: TlsRequired,
    /// Non-ASCII in the header, which only SMTPUTF8 allows (RFC 6532).
    pub(super) non_ascii: bool,
}

impl HeaderFacts {
    /// Reads a header, which ends before the empty line.
    pub(super) fn read(header: &[u8], hostname: &DomainName, honor: TlsRequiredNo) -> Self {
        let mut facts = Self {
            non_ascii: !header.is_ascii(),
            ..Self::default()
        };
        let parser = MessageParser::new().default_header_raw();
        let Some(parsed) = parser.parse_headers(header) else {
            return facts;
        };
        let mut wishes = Vec::new();
        for field in parsed.headers() {
            let span = field.offset_start as usize..field.offset_end as usize;
            let raw = header.get(span).unwrap_or_default();
            let value = String::from_utf8_lossy(raw);
            let name = field.name.as_str();
            if name.eq_ignore_ascii_case("Received") {
                facts.received(&value, hostname);
            } else if name.eq_ignore_ascii_case("Message-ID") && facts.message_id.is_empty() {
                facts.message_id = cut(value.trim());
            } else if name.eq_ignore_ascii_case("TLS-Required") {
                wishes.push(value.trim().eq_ignore_ascii_case("no"));
            }
        }
        // Several are tolerated if they agree; any other value voids them (RFC 8689 §4).
        let asked = !wishes.is_empty() && wishes.iter().all(|&no| no);
        if asked && honor == TlsRequiredNo::Honor {
            facts.tls_required = TlsRequired::No;
        }
        facts
    }

    fn received(&mut self, value: &str, hostname: &DomainName) {
        if self.hops == 0 {
            self.topmost_id = received::id_in(value);
        }
        self.hops += 1;
        if received::is_ours(value, hostname) {
            self.own_hops += 1;
        }
    }
}

/// One line of printable characters, cut where a character ends.
fn cut(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if kept.len() + c.len_utf8() > MAX_MESSAGE_ID {
            break;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(header: &str) -> HeaderFacts {
        let us = DomainName::parse("relay.example").unwrap();
        HeaderFacts::read(header.as_bytes(), &us, TlsRequiredNo::Honor)
    }

    #[test]
    fn tls_required_no_is_one_value_and_no_other() {
        use TlsRequired::{No, Unsaid};
        for (header, expected) in [
            ("TLS-Required: No\r\n", No),
            ("tls-required:\r\n no \r\n", No),
            ("TLS-Required: No\r\nA: b\r\nTLS-Required: NO\r\n", No),
            ("TLS-Required: No\r\nTLS-Required: Yes\r\n", Unsaid),
            ("TLS-Required: Yes\r\n", Unsaid),
            ("TLS-Required:\r\n", Unsaid),
            ("X-TLS-Required: No\r\n", Unsaid),
            ("", Unsaid),
        ] {
            assert_eq!(read(header).tls_required, expected, "{header}");
        }
        let us = DomainName::parse("relay.example").unwrap();
        let ignored = HeaderFacts::read(b"TLS-Required: No\r\n", &us, TlsRequiredNo::Ignore);
        assert_eq!(ignored.tls_required, Unsaid);
    }

    #[test]
    fn hops_are_counted_and_ours_among_them() {
        let ours = "Received: from a (unix)\r\n\tby relay.example (Sealpost) with LMTP id 0123456789ABCDEF;\r\n\tMon\r\n";
        let theirs = "Received: by relay.example (Postfix) with ESMTP id 4Xy; Mon\r\n";
        let facts = read(&[theirs, ours, ours, "Subject: by relay.example\r\n"].concat());
        assert_eq!((facts.hops, facts.own_hops), (3, 2));
        assert_eq!(facts.topmost_id.as_deref(), Some("4Xy"));
    }

    #[test]
    fn message_ids_are_cut() {
        assert_eq!(read("Message-ID:\r\n <a@b>\r\n").message_id, "<a@b>");
        let long = read(&format!("Message-Id: {}é\r\n", "x".repeat(199)));
        assert_eq!(long.message_id.len(), 199);
        assert!(long.non_ascii);
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in proptest::collection::vec(any::<u8>(), 0..300)) {
            let us = DomainName::parse("relay.example").unwrap();
            HeaderFacts::read(&header, &us, TlsRequiredNo::Honor);
        }

        #[test]
        fn any_words_are_read(
            words in proptest::collection::vec(
                prop_oneof![
                    "Received:", "Message-ID:", "TLS-Required:", "Content-Type:", "\r\n", "\r\n ", ":", "<", "\\(",
                    " by ", " id ", "=\\?", "\"", ";", "é",
                ],
                0..30,
            )
        ) {
            read(&words.concat());
        }
    }
}
