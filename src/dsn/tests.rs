//! Whole notices, read back by another's MIME parser and by a strict one of RFC 3464.

mod encoding;
mod hostile;

use super::*;
use crate::smtp::address::{ForwardPath, Mailbox, PathAndRest, ReversePath};
use crate::smtp::envelope::Body;
use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

#[test]
fn what_is_wanted() {
    use Action::{Delayed, Failed, Relayed};
    for (notify, told) in [
        (None, &[Failed, Delayed][..]),
        (Some("NEVER"), &[]),
        (Some("SUCCESS"), &[Relayed]),
        (Some("FAILURE"), &[Failed]),
        (Some("DELAY"), &[Delayed]),
        (Some("SUCCESS,DELAY"), &[Delayed, Relayed]),
        (
            Some("DELAY,FAILURE,SUCCESS"),
            &[Failed, Delayed, Relayed][..],
        ),
    ] {
        for action in [Failed, Delayed, Relayed] {
            let expected = if told.contains(&action) {
                Wanted::Yes
            } else {
                Wanted::No
            };
            assert_eq!(wanted(notify, action), expected, "{notify:?} {action:?}");
        }
    }
}

#[test]
fn how_much_is_returned() {
    use Action::{Delayed, Failed, Relayed};
    for (action, ret, size, most, expected) in [
        (Failed, None, 51_200, 100_000, Returned::Full),
        (Failed, None, 51_201, 100_000, Returned::Headers),
        (Failed, None, 1001, 1000, Returned::Headers),
        (Failed, Some(Ret::Full), 100_000, 100_000, Returned::Full),
        (Failed, Some(Ret::Full), 100_001, 100_000, Returned::Headers),
        (Failed, Some(Ret::Headers), 1, 100_000, Returned::Headers),
        (Delayed, Some(Ret::Full), 1, 100_000, Returned::Headers),
        (Delayed, None, 1, 100_000, Returned::Headers),
        (Relayed, Some(Ret::Full), 1, 100_000, Returned::Headers),
    ] {
        let got = returned(action, ret, size, most);
        assert_eq!(got, expected, "{action:?} {ret:?} {size} {most}");
    }
}

pub(super) fn mailbox(address: &str) -> Mailbox {
    let path = format!("<{address}>");
    match PathAndRest::split(&path).unwrap().forward().unwrap() {
        ForwardPath::Mailbox(mailbox) => mailbox,
        ForwardPath::Postmaster(_) => panic!("no mailbox: {address}"),
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_417_811 + seconds)
}

/// A failure of one recipient, told by its host; tests change one thing.
struct Scene {
    action: Action,
    sender: &'static str,
    utf8: Utf8,
    envid: Option<&'static str>,
    recipients: Vec<(&'static str, Option<&'static str>)>,
    status: EnhancedStatus,
    said: Reply,
    host: Option<&'static str>,
    returned: Returned,
    eight_bit: EightBitContent,
    tls_required_no: TlsRequiredField,
    until: Option<SystemTime>,
    content: &'static str,
}

impl Default for Scene {
    fn default() -> Self {
        let status = EnhancedStatus::new(5, 1, 1);
        Self {
            action: Action::Failed,
            sender: "alice@example.org",
            utf8: Utf8::NotNeeded,
            envid: Some("QQ314+2B159"),
            recipients: vec![("bob@example.com", Some("rfc822;robert+2Bx@example.com"))],
            status,
            said: Reply::new(
                550,
                status,
                "host mx.example.com[192.0.2.1] said: no such user",
            ),
            host: Some("mx.example.com"),
            returned: Returned::Full,
            eight_bit: EightBitContent::No,
            tls_required_no: TlsRequiredField::Unsaid,
            until: None,
            content: "From: alice@example.org\r\nSubject: hello\r\n\r\nHello Bob\r\n",
        }
    }
}

impl Scene {
    fn compose(&self) -> Notice {
        let host = self.host.map(|name| DomainName::parse(name).unwrap());
        let recipients: Vec<Recipient> = self
            .recipients
            .iter()
            .map(|(address, orcpt)| Recipient {
                mailbox: mailbox(address),
                notify: None,
                orcpt: orcpt.map(str::to_owned),
            })
            .collect();
        let told: Vec<Told<'_>> = recipients
            .iter()
            .map(|recipient| Told {
                recipient,
                status: self.status,
                diagnostic: &self.said,
                remote: host.as_ref().map(|name| Remote {
                    name: Some(name),
                    ip: "192.0.2.1".parse().unwrap(),
                }),
                last_attempt: Some(at(7200)),
            })
            .collect();
        let original = MailFrom {
            path: match self.sender {
                "" => ReversePath::Null,
                address => ReversePath::Mailbox(mailbox(address)),
            },
            size: None,
            body: Body::EightBitMime,
            utf8: self.utf8,
            ret: None,
            envid: self.envid.map(str::to_owned),
        };
        let report = Report {
            action: self.action,
            reporting_mta: &DomainName::parse("relay.example").unwrap(),
            message_id: "1NOTICE8",
            original_id: "1ORIGINAL8",
            now: at(7201),
            arrival: at(0),
            original: &original,
            needs_utf8: self.utf8,
            tls_required_no: self.tls_required_no,
            recipients: &told,
            until: self.until,
        };
        compose(&report, self.returned, self.eight_bit)
    }

    /// The notice with what is returned in its place.
    fn whole(&self) -> Vec<u8> {
        let notice = self.compose();
        [&notice.head, self.content.as_bytes(), &notice.tail].concat()
    }
}

fn text_of(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

/// The message and the types of its three parts.
fn parse(octets: &[u8]) -> (Message<'_>, [String; 3]) {
    let message = MessageParser::default().parse(octets).unwrap();
    let PartType::Multipart(parts) = &message.root_part().body else {
        panic!("no multipart: {message:?}");
    };
    let types: Vec<String> = parts
        .iter()
        .map(|part| {
            let kind = message.part(*part).unwrap().content_type().unwrap();
            format!("{}/{}", kind.ctype(), kind.subtype().unwrap())
        })
        .collect();
    let types = types.try_into().unwrap();
    (message, types)
}

/// What stands between the headers of a part and the next boundary.
fn body(message: &Message<'_>, part: u32) -> String {
    let part = message.part(part).unwrap();
    let (from, to) = (part.raw_body_offset(), part.raw_end_offset());
    text_of(&message.raw_message()[from as usize..to as usize]).to_owned()
}

/// The groups of fields of RFC 3464 §2.1, unfolded; whatever is not of the grammar fails.
fn groups(body: &str) -> Vec<Vec<(String, String)>> {
    let body = body.strip_suffix("\r\n").unwrap_or(body);
    let group = |text: &str| {
        let unfolded = text.replace("\r\n ", " ");
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect(line);
            let in_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            assert!(!name.is_empty() && name.bytes().all(in_name), "{line}");
            assert!(!value.trim().is_empty(), "{line}");
            (name.to_owned(), value.to_owned())
        };
        unfolded.split("\r\n").map(field).collect()
    };
    body.split("\r\n\r\n").map(group).collect()
}

/// One group as `name: value` lines.
fn shown(group: &[(String, String)]) -> Vec<String> {
    let line = |(name, value): &(String, String)| format!("{name}: {value}");
    group.iter().map(line).collect()
}

/// CRLF line ends only, no line too long, no control characters.
fn assert_well_formed(octets: &[u8]) {
    let text = text_of(octets);
    for line in text.split("\r\n") {
        assert!(line.len() <= 998, "{} octets", line.len());
        let odd = |c: char| c.is_control() && c != '\t';
        assert!(!line.contains(odd), "{line:?}");
    }
}

/// What we wrote has the boundary where it begins a part, and nowhere else.
fn assert_three_parts(notice: &Notice) {
    let begins = |octets: &[u8]| {
        let lines = text_of(octets).split("\r\n").map(str::to_owned);
        lines
            .filter(|line| line.starts_with("--=_sealpost_1NOTICE8_="))
            .count()
    };
    assert_eq!((begins(&notice.head), begins(&notice.tail)), (3, 1));
}

#[test]
fn a_failure_is_told_to_people_and_machines() {
    let scene = Scene::default();
    let octets = scene.whole();
    assert_well_formed(&octets);
    assert_three_parts(&scene.compose());
    let (message, types) = parse(&octets);
    assert_eq!(
        types,
        ["text/plain", "message/delivery-status", "message/rfc822"]
    );
    let head = message.root_part().content_type().unwrap();
    assert_eq!(head.attribute("report-type"), Some("delivery-status"));
    let headers: Vec<(&str, &str)> = message.headers_raw().collect();
    for (name, expected) in [
        ("From", "Mail Delivery System <MAILER-DAEMON@relay.example>"),
        ("To", "<alice@example.org>"),
        ("Subject", "Undelivered Mail Returned to Sender"),
        ("Date", "Mon, 23 Nov 2026 09:10:12 +0000"),
        ("Message-ID", "<1NOTICE8@relay.example>"),
        ("Auto-Submitted", "auto-replied"),
        ("MIME-Version", "1.0"),
    ] {
        let values: Vec<&str> = headers
            .iter()
            .filter(|h| h.0 == name)
            .map(|h| h.1.trim())
            .collect();
        assert_eq!(values, [expected], "{name}");
    }
    let groups = groups(&body(&message, 2));
    assert_eq!(groups.len(), 2);
    assert_eq!(
        shown(&groups[0]),
        [
            "Original-Envelope-Id: QQ314+159",
            "Reporting-MTA: dns; relay.example",
            "Arrival-Date: Mon, 23 Nov 2026 07:10:11 +0000",
            "X-Sealpost-ID: 1ORIGINAL8",
        ]
    );
    assert_eq!(
        shown(&groups[1]),
        [
            "Original-Recipient: rfc822; robert+x@example.com",
            "Final-Recipient: rfc822; bob@example.com",
            "Action: failed",
            "Status: 5.1.1",
            "Remote-MTA: dns; mx.example.com",
            "Diagnostic-Code: smtp; 550 5.1.1 host mx.example.com[192.0.2.1] said: no such user",
            "Last-Attempt-Date: Mon, 23 Nov 2026 09:10:11 +0000",
        ]
    );
    assert_eq!(body(&message, 3).trim_end(), scene.content.trim_end());
}

#[test]
fn people_read_it_in_short_lines() {
    for (action, until, expected) in [
        (
            Action::Failed,
            None,
            &["could not be delivered", "not be tried again"][..],
        ),
        (
            Action::Delayed,
            Some(at(432_000)),
            &[
                "need not do anything",
                "tried until Sat, 28 Nov 2026 07:10:11 +0000",
            ],
        ),
        (Action::Delayed, None, &["will be tried again"]),
        (Action::Relayed, None, &["does not confirm deliveries"]),
    ] {
        let octets = Scene {
            action,
            until,
            ..Scene::default()
        }
        .whole();
        let (message, _) = parse(&octets);
        let text = body(&message, 1);
        assert!(text.lines().all(|line| line.len() <= 76), "{text}");
        let flowing = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for phrase in expected {
            assert!(flowing.contains(phrase), "{phrase}: {text}");
        }
        for phrase in [
            "host relay.example",
            "<bob@example.com>",
            "1ORIGINAL8",
            "550 5.1.1 host mx.example.com[192.0.2.1] said: no such user",
            " at mx.example.com [192.0.2.1] on Mon, 23 Nov 2026 09:10:11 +0000)",
        ] {
            assert!(flowing.contains(phrase), "{phrase}: {text}");
        }
    }
}

#[test]
fn a_delay_says_until_when() {
    let scene = Scene {
        action: Action::Delayed,
        status: EnhancedStatus::new(4, 7, 5),
        said: Reply::new(
            451,
            EnhancedStatus::new(4, 7, 5),
            "mta-sts policy of example.com",
        ),
        host: None,
        returned: Returned::Headers,
        until: Some(at(432_000)),
        content: "From: alice@example.org\r\n",
        recipients: vec![
            ("bob@example.com", None),
            ("carol@[IPv6:2001:db8::1]", None),
        ],
        ..Scene::default()
    };
    let octets = scene.whole();
    let (message, types) = parse(&octets);
    assert_eq!(types[2], "text/rfc822-headers");
    let groups = groups(&body(&message, 2));
    let tail = [
        "Action: delayed",
        "Status: 4.7.5",
        "Diagnostic-Code: x-sealpost; 451 4.7.5 mta-sts policy of example.com",
        "Last-Attempt-Date: Mon, 23 Nov 2026 09:10:11 +0000",
        "Will-Retry-Until: Sat, 28 Nov 2026 07:10:11 +0000",
    ];
    let last = [
        "Final-Recipient: rfc822; bob@example.com",
        "Final-Recipient: rfc822; carol@[IPv6:2001:db8::1]",
    ];
    assert_eq!(shown(&groups[1]), [&last[..1], &tail].concat());
    assert_eq!(shown(&groups[2]), [&last[1..], &tail].concat());
}

#[test]
fn the_wish_to_arrive_is_the_notices_too() {
    let with = Scene {
        tls_required_no: TlsRequiredField::No,
        ..Scene::default()
    };
    assert!(text_of(&with.whole()).contains("\r\nTLS-Required: No\r\n"));
    assert!(!text_of(&Scene::default().whole()).contains("TLS-Required"));
}
