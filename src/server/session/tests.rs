use super::*;
use crate::message::TlsRequired;
use crate::server::tests::settings;
use crate::smtp::address::{MailDomain, ReversePath};
use crate::smtp::command::Last;
use proptest::prelude::*;

fn session_for(protocol: Protocol, client: Client) -> Session {
    session_with(protocol, client, settings())
}

fn session_with(protocol: Protocol, client: Client, settings: ServerSettings) -> Session {
    let role = Role {
        protocol,
        hostname: None,
        bind: Vec::new(),
        starttls: StartTls::Offered,
    };
    Session::new(Arc::new(role), Arc::new(settings), client)
}

const LOCAL: Client = Client {
    address: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
    standing: Standing::Allowed,
};

/// Says a line; content that is asked for is taken in and found good, and delivered.
fn say_line(session: &mut Session, line: &str) -> String {
    let mut out = Vec::new();
    let mut next = session.input(Event::Line(Ok(line.as_bytes())), &mut out);
    loop {
        next = match next {
            Next::ReadLine | Next::NewRecipient | Next::SecondRecipient | Next::StartTls => break,
            Next::Close(_) => {
                out.extend_from_slice(b"[closed]");
                break;
            }
            Next::SkipChunk(_, why) => session.input(Event::ChunkRefused(why), &mut out),
            Next::ReceiveChunk(chunk) if chunk.last == Last::No => {
                session.input(Event::ChunkStored, &mut out)
            }
            Next::ReceiveContent | Next::ReceiveChunk(_) => {
                session.input(Event::Content(Ok(&HeaderFacts::default())), &mut out)
            }
            Next::Deliver => {
                for n in 0..session.owed() {
                    let reply = Reply::plain(250, format!("delivered {n}"));
                    session.input(Event::Outcome(Some(reply)), &mut out);
                }
                Next::ReadLine
            }
        };
    }
    String::from_utf8(out).unwrap()
}

/// The codes of the replies to a line: `250 2.1.0`, several with commas.
fn codes(wire: &str) -> String {
    let mut codes = Vec::new();
    for line in wire.lines() {
        if line == "[closed]" {
            codes.push("closed".to_owned());
        } else if line.as_bytes().get(3) != Some(&b'-') {
            let mut words = line.splitn(3, ' ');
            let code = words.next().unwrap_or_default();
            let enhanced = words
                .next()
                .filter(|w| w.split('.').count() == 3 && w.len() < 9);
            codes.push(enhanced.map_or(code.to_owned(), |e| format!("{code} {e}")));
        }
    }
    codes.join(", ")
}

/// Runs a script of lines and expected codes.
fn script(protocol: Protocol, lines: &[(&str, &str)]) {
    let mut session = session_for(protocol, LOCAL);
    for (line, expected) in lines {
        assert_eq!(codes(&say_line(&mut session, line)), *expected, "{line}");
    }
}

const MAIL: (&str, &str) = ("MAIL FROM:<a@b.example>", "250 2.1.0");
const RCPT: (&str, &str) = ("RCPT TO:<c@d.example>", "250 2.1.5");
const EHLO: (&str, &str) = ("EHLO mta.example", "250");

const SMTP_SEQUENCES: &[&[(&str, &str)]] = &[
    &[
        EHLO,
        MAIL,
        RCPT,
        ("DATA", "354, 250"),
        MAIL,
        RCPT,
        ("QUIT", "221 2.0.0, closed"),
    ],
    &[
        ("HELO mta.example", "250"),
        ("MAIL FROM:<>", "250 2.1.0"),
        ("RCPT TO:<Postmaster>", "250 2.1.5"),
    ],
    &[
        ("MAIL FROM:<a@b.example>", "503 5.5.1"),
        ("LHLO x", "500 5.5.1"),
        ("NOOP", "250 2.0.0"),
    ],
    &[
        EHLO,
        ("RCPT TO:<c@d.example>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("BDAT 5", "503 5.5.1"),
    ],
    &[
        EHLO,
        MAIL,
        ("MAIL FROM:<a@b.example>", "503 5.5.1"),
        ("DATA", "554 5.5.1"),
    ],
    &[
        EHLO,
        MAIL,
        RCPT,
        ("RCPT TO:<e@f.example>", "452 4.5.3"),
        ("DATA", "354, 250"),
    ],
    &[
        EHLO,
        MAIL,
        RCPT,
        ("RSET", "250 2.0.0"),
        ("DATA", "503 5.5.1"),
        MAIL,
    ],
    &[EHLO, MAIL, RCPT, EHLO, ("DATA", "503 5.5.1")],
    &[
        EHLO,
        MAIL,
        RCPT,
        ("BDAT 3", "250 2.0.0"),
        ("DATA", "503 5.5.1"),
        ("BDAT 0 LAST", "250"),
        MAIL,
    ],
    &[
        EHLO,
        MAIL,
        RCPT,
        ("BDAT 3", "250 2.0.0"),
        ("RCPT TO:<c@d.example>", "503 5.5.1"),
    ],
    &[EHLO, MAIL, RCPT, ("BDAT x", "501 5.5.4, closed")],
    &[
        ("HELO a", "250"),
        MAIL,
        RCPT,
        ("BDAT 3 LAST", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("RSET", "250 2.0.0"),
    ],
    &[
        EHLO,
        ("MAIL FROM:<a@b.example> SIZE=1001", "552 5.3.4"),
        ("MAIL FROM:<a@b.example> SIZE=1000", "250 2.1.0"),
    ],
    &[
        EHLO,
        ("MAIL FROM:<ä@b.example>", "553 5.6.7"),
        MAIL,
        ("RCPT TO:<c@ü.example>", "553 5.6.7"),
    ],
    &[
        EHLO,
        ("MAIL FROM:<ä@b.example> SMTPUTF8", "250 2.1.0"),
        ("RCPT TO:<c@ü.example>", "250 2.1.5"),
    ],
    &[
        EHLO,
        ("MAIL FROM:<a@b.example> REQUIRETLS", "555 5.5.4"),
        MAIL,
    ],
    &[
        EHLO,
        ("VRFY a", "252 2.0.0"),
        ("EXPN a", "502 5.5.1"),
        ("HELP", "214 2.0.0"),
        ("AUTH PLAIN", "502 5.5.1"),
    ],
    &[
        EHLO,
        ("XFORWARD IDENT=1", "250 2.0.0"),
        MAIL,
        ("XFORWARD IDENT=1", "503 5.5.1"),
    ],
    &[EHLO, ("STARTTLS", "220 2.0.0")],
    &[("GET / HTTP/1.0", "421 4.7.0, closed")],
];

#[test]
fn smtp_sequences() {
    for lines in SMTP_SEQUENCES {
        script(Protocol::Smtp, lines);
    }
}

#[test]
fn lmtp_sequences() {
    let mail = ("MAIL FROM:<a@b.example>", "250 2.1.0");
    let rcpt = ("RCPT TO:<c@d.example>", "250 2.1.5");
    let lhlo = ("LHLO mta.example", "250");
    let cases: &[&[(&str, &str)]] = &[
        &[
            lhlo,
            mail,
            rcpt,
            rcpt,
            rcpt,
            ("DATA", "354, 250, 250, 250"),
            mail,
            rcpt,
            ("BDAT 0 LAST", "250"),
        ],
        &[
            ("EHLO a", "500 5.5.1"),
            ("HELO a", "500 5.5.1"),
            ("MAIL FROM:<a@b.example>", "503 5.5.1"),
        ],
        &[
            lhlo,
            mail,
            ("DATA", "503 5.5.1"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("DATA", "503 5.5.1"),
        ],
        &[
            lhlo,
            mail,
            rcpt,
            rcpt,
            rcpt,
            ("RCPT TO:<c@d.example>", "452 4.5.3"),
            ("DATA", "354, 250, 250, 250"),
        ],
    ];
    for lines in cases {
        script(Protocol::Lmtp, lines);
    }
}

#[test]
fn the_second_recipient_hears_why() {
    let mut session = session_for(Protocol::Smtp, LOCAL);
    for line in ["EHLO a", "MAIL FROM:<>", "RCPT TO:<c@d.example>"] {
        say_line(&mut session, line);
    }
    let reply = say_line(&mut session, "RCPT TO:<e@f.example>");
    assert!(reply.contains("custody \"client\""), "{reply}");
    assert!(reply.contains("recipient_limit = 1"), "{reply}");
}

#[test]
fn what_is_announced() {
    let mut session = session_for(Protocol::Smtp, LOCAL);
    let ehlo = say_line(&mut session, "EHLO a");
    for keyword in [
        "PIPELINING",
        "SIZE 1000",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "XFORWARD IDENT",
        "DSN",
        "STARTTLS",
    ] {
        assert!(ehlo.contains(keyword), "{keyword} in {ehlo}");
    }
    assert!(ehlo.starts_with("250-relay.example\r\n"));
    assert!(!ehlo.contains("REQUIRETLS"), "{ehlo}");
    session.know(Room::No);
    let ehlo = say_line(&mut session, "EHLO a");
    assert!(!ehlo.contains("DSN"), "no notice could be kept: {ehlo}");
    let mut out = Vec::new();
    session.input(Event::Secured, &mut out);
    assert_eq!(
        codes(&say_line(&mut session, "MAIL FROM:<>")),
        "503 5.5.1",
        "all is forgotten"
    );
    assert!(!say_line(&mut session, "EHLO a").contains("STARTTLS"));
    assert_eq!(codes(&say_line(&mut session, "STARTTLS")), "503 5.5.1");
}

#[test]
fn strangers_can_only_leave() {
    let stranger = Client {
        address: Some("192.0.2.1".parse().unwrap()),
        standing: Standing::Stranger,
    };
    let mut session = session_for(Protocol::Smtp, stranger);
    let mut out = Vec::new();
    session.input(Event::Connected, &mut out);
    assert!(out.starts_with(b"554 5.7.1"));
    for line in [
        "EHLO a",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<c@d.example>",
        "DATA",
        "BDAT 3",
    ] {
        assert_eq!(codes(&say_line(&mut session, line)), "503 5.5.1", "{line}");
    }
    assert_eq!(codes(&say_line(&mut session, "NOOP")), "554 5.7.1, closed");
    let mut session = session_for(Protocol::Smtp, stranger);
    assert_eq!(codes(&say_line(&mut session, "QUIT")), "221 2.0.0, closed");
}

fn refused(facts: Result<HeaderFacts, ContentFault>) -> String {
    let mut session = session_for(Protocol::Lmtp, LOCAL);
    for line in [
        "LHLO a",
        "MAIL FROM:<>",
        "RCPT TO:<c@d.example>",
        "RCPT TO:<e@f.example>",
    ] {
        say_line(&mut session, line);
    }
    let mut out = Vec::new();
    let next = session.input(Event::Content(facts.as_ref().map_err(|e| *e)), &mut out);
    if next == Next::Deliver {
        return "delivered".to_owned();
    }
    assert!(!session.in_transaction());
    codes(std::str::from_utf8(&out).unwrap())
}

#[test]
fn content_is_judged_once_for_every_recipient() {
    let hops = |hops, own_hops| HeaderFacts {
        hops,
        own_hops,
        ..HeaderFacts::default()
    };
    for (facts, expected) in [
        (Ok(hops(50, 5)), "delivered"),
        (Ok(hops(51, 0)), "554 5.4.6, 554 5.4.6"),
        (Ok(hops(10, 6)), "554 5.4.6, 554 5.4.6"),
        (Err(ContentFault::BareLineEnd), "550 5.6.11, 550 5.6.11"),
        (Err(ContentFault::TooBig), "552 5.3.4, 552 5.3.4"),
        (Err(ContentFault::NoRoom), "452 4.3.1, 452 4.3.1"),
        (Err(ContentFault::Store), "451 4.3.0, 451 4.3.0"),
    ] {
        assert_eq!(refused(facts.clone()), expected, "{facts:?}");
    }
}

#[test]
fn a_refused_message_is_found_again_in_the_clients_log() {
    let facts = HeaderFacts {
        own_hops: 6,
        topmost_id: Some("4Xy".to_owned()),
        ..HeaderFacts::default()
    };
    for (before, expected) in [
        (&[][..], "4Xy"),
        (&["MAIL FROM:<> ENVID=e1"], "e1"),
        (&["XFORWARD IDENT=x1", "MAIL FROM:<> ENVID=e1"], "x1"),
    ] {
        let mut session = session_for(Protocol::Smtp, LOCAL);
        for line in [EHLO.0].iter().chain(before).chain(&[MAIL.0, RCPT.0]) {
            say_line(&mut session, line); // the second MAIL is refused
        }
        session.input(Event::Content(Ok(&facts)), &mut Vec::new());
        let refused = session.take_refused().unwrap();
        assert_eq!(refused.client_id.as_deref(), Some(expected));
    }
}

#[test]
fn abuse_ends_but_bad_addresses_do_not() {
    let mut session = session_for(Protocol::Smtp, LOCAL);
    for line in ["EHLO a", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>"] {
        say_line(&mut session, line);
    }
    for _ in 0..500 {
        assert_eq!(
            codes(&say_line(&mut session, "RCPT TO:<a..b@c.example>")),
            "501 5.1.3"
        );
        assert_eq!(
            codes(&say_line(&mut session, "RCPT TO:<x@c.example>")),
            "452 4.5.3"
        );
    }
    for line in ["RCPT TO:<x@c.example> A=b", "rcpt TO c@d"] {
        for _ in 0..=MAX_JUNK {
            let reply = say_line(&mut session, line);
            assert!(reply.starts_with("5"), "{line}: {reply}");
        }
    }
    for _ in 0..MAX_JUNK {
        assert_eq!(codes(&say_line(&mut session, "FOO")), "500 5.5.1");
    }
    assert_eq!(codes(&say_line(&mut session, "FOO")), "421 4.7.0, closed");

    let mut session = session_for(Protocol::Smtp, LOCAL);
    let most = MAX_IDLE + settings().max_recipients;
    for _ in 0..most {
        assert_eq!(codes(&say_line(&mut session, "NOOP")), "250 2.0.0");
    }
    assert_eq!(codes(&say_line(&mut session, "NOOP")), "421 4.7.0, closed");
}

#[test]
fn chunks_are_mail_unless_they_are_empty_or_in_vain() {
    let most = MAX_IDLE + settings().max_recipients;
    for (line, before, expected) in [
        ("BDAT 1", &["BDAT 1"][..], "250 2.0.0"),
        ("BDAT 0", &[], "421 4.7.0, closed"),
        ("BDAT 1", &["RSET"], "421 4.7.0, closed"),
        // After HELO the first is refused, and those that follow it are in vain.
        (
            "BDAT 1",
            &["HELO a", MAIL.0, RCPT.0, "BDAT 1"],
            "421 4.7.0, closed",
        ),
    ] {
        let mut session = session_for(Protocol::Smtp, LOCAL);
        for line in [EHLO.0, MAIL.0, RCPT.0].iter().chain(before) {
            say_line(&mut session, line);
        }
        for _ in 0..most {
            say_line(&mut session, line);
        }
        let reply = codes(&say_line(&mut session, line));
        assert_eq!(reply, expected, "{line} after {before:?}");
    }
}

#[test]
fn no_outcome_is_a_deferral() {
    let mut session = session_for(Protocol::Smtp, LOCAL);
    let mut out = Vec::new();
    session.input(Event::Outcome(None), &mut out);
    assert_eq!(codes(std::str::from_utf8(&out).unwrap()), "451 4.3.0");
}

fn message(lines: &[&str], facts: HeaderFacts) -> Message {
    let mut session = session_for(Protocol::Smtp, LOCAL);
    for line in lines {
        say_line(&mut session, line);
    }
    let content = Content::from_octets(bytes::Bytes::from_static(b"x"));
    let id = MessageId::new(SystemTime::UNIX_EPOCH);
    session
        .take_message(facts, content, id, Instant::now())
        .unwrap()
}

#[test]
fn a_message_says_where_it_came_from() {
    let with_id = || HeaderFacts {
        topmost_id: Some("top".to_owned()),
        tls_required: TlsRequired::No,
        ..HeaderFacts::default()
    };
    for (ident, envid, expected) in [
        ("XFORWARD IDENT=forward", " ENVID=env", "forward"),
        ("NOOP", " ENVID=env", "env"),
        ("NOOP", "", "top"),
    ] {
        let mail = format!("MAIL FROM:<a@b.example>{envid}");
        let got = message(&["EHLO a", ident, &mail, "RCPT TO:<postmaster>"], with_id());
        assert_eq!(got.origin.client_id.as_deref(), Some(expected));
        assert_eq!(got.origin.client, "127.0.0.1");
        assert_eq!(got.tls_required, TlsRequired::No);
        let MailDomain::Name { ascii, .. } = &got.envelope.recipients[0].mailbox.domain else {
            panic!("a literal");
        };
        assert_eq!(ascii.as_str(), "relay.example");
        assert!(matches!(got.envelope.from.path, ReversePath::Mailbox(_)));
    }
}

#[test]
fn smtputf8_is_needed_only_where_it_is_asked_for_and_used() {
    let ascii = "RCPT TO:<c@d.example>";
    for (parameter, recipient, non_ascii, expected) in [
        ("", ascii, true, Utf8::NotNeeded),
        (" SMTPUTF8", ascii, false, Utf8::NotNeeded),
        (" SMTPUTF8", ascii, true, Utf8::Needed),
        (" SMTPUTF8", "RCPT TO:<ç@d.example>", false, Utf8::Needed),
    ] {
        let mail = format!("MAIL FROM:<a@b.example>{parameter}");
        let facts = HeaderFacts {
            non_ascii,
            ..HeaderFacts::default()
        };
        let got = message(&["EHLO a", &mail, recipient], facts);
        assert_eq!(
            got.needs_utf8, expected,
            "{parameter} {recipient} {non_ascii}"
        );
    }
}

#[test]
fn how_it_was_transmitted() {
    for (protocol, hello, secured, parameter, expected) in [
        (Protocol::Smtp, "HELO a", false, "", "SMTP"),
        (Protocol::Smtp, "EHLO a", false, "", "ESMTP"),
        (Protocol::Smtp, "EHLO a", true, "", "ESMTPS"),
        (Protocol::Smtp, "EHLO a", true, " SMTPUTF8", "UTF8SMTPS"),
        (Protocol::Lmtp, "LHLO a", false, "", "LMTP"),
        (Protocol::Lmtp, "LHLO a", true, "", "LMTPS"),
        (Protocol::Lmtp, "LHLO a", false, " SMTPUTF8", "UTF8LMTP"),
    ] {
        let mut session = session_for(protocol, LOCAL);
        if secured {
            session.input(Event::Secured, &mut Vec::new());
        }
        say_line(&mut session, hello);
        say_line(&mut session, &format!("MAIL FROM:<>{parameter}"));
        let id = MessageId::new(SystemTime::UNIX_EPOCH);
        let field = session.received_field(&id, SystemTime::UNIX_EPOCH);
        assert!(field.contains(&format!("with {expected} id")), "{field}");
    }
}

proptest! {
    #[test]
    fn any_sequence_is_answered(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("EHLO a"), Just("LHLO a"), Just("HELO a"), Just("MAIL FROM:<>"), Just("RCPT TO:<a@b.example>"),
                Just("DATA"), Just("BDAT 1"), Just("BDAT 1 LAST"), Just("RSET"), Just("NOOP"), Just("STARTTLS"),
                Just("XFORWARD IDENT=a"), Just("FOO"), Just(""), Just("\u{0}"), Just("QUIT"),
            ],
            0..40,
        ),
        protocol in prop_oneof![Just(Protocol::Smtp), Just(Protocol::Lmtp)],
    ) {
        let mut session = session_for(protocol, LOCAL);
        for line in lines {
            let reply = say_line(&mut session, line);
            prop_assert!(reply.len() > 5, "{line} has no answer");
            if reply.ends_with("[closed]") {
                break;
            }
        }
    }
}
