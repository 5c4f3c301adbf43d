use super::*;
use crate::smtp::address::ReversePath;
use crate::smtp::envelope::{Body, Ret, Utf8};
use proptest::prelude::*;

/// The reply to a refused line, without its text; `ok` otherwise.
fn verdict(line: &str) -> String {
    match Command::parse(line.as_bytes()) {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let reply = error.reply();
            let enhanced = reply.enhanced.unwrap();
            format!("{} {enhanced}", reply.code)
        }
    }
}

/// Lines, and code and enhanced code of the refusal.
const VERDICTS: &[(&str, &str)] = &[
    ("EHLO client.example", "ok"),
    ("ehlo [192.0.2.1]", "ok"),
    ("EHLO", "501 5.5.4"),
    ("EHLO a b", "501 5.5.4"),
    ("NOOP anything goes", "ok"),
    ("QUIT ", "ok"),
    ("QUIT now", "501 5.5.4"),
    ("DATA x", "501 5.5.4"),
    ("STARTTLS x", "501 5.5.4"),
    ("AUTH PLAIN x", "ok"),
    ("", "500 5.5.1"),
    ("FOO", "500 5.5.1"),
    (" EHLO a", "500 5.5.1"),
    ("GET / HTTP/1.1", "421 4.7.0"),
    ("NOOP \0", "500 5.5.2"),
    ("NOOP a\rb", "500 5.5.2"),
    ("MAIL FROM:<>", "ok"),
    ("mail from:<a@b.example> size=1 body=8bitmime", "ok"),
    ("MAIL FROM: <a@b.example>", "501 5.1.7"),
    ("MAIL", "501 5.5.2"),
    ("MAIL TO:<a@b.example>", "501 5.5.2"),
    ("MAIL FROM:a@b.example", "501 5.1.7"),
    ("MAIL FROM:<a>", "501 5.1.7"),
    ("MAIL FROM:<a@b.example>SIZE=1", "501 5.5.2"),
    ("MAIL FROM:<a@b.example> SIZE=1 SIZE=1", "501 5.5.4"),
    ("MAIL FROM:<a@b.example> SIZE=+1", "501 5.5.4"),
    ("MAIL FROM:<a@b.example> SIZE", "501 5.5.4"),
    ("MAIL FROM:<a@b.example> BODY=BINARYMIME", "501 5.5.4"),
    ("MAIL FROM:<a@b.example> SMTPUTF8=1", "501 5.5.4"),
    ("MAIL FROM:<a@b.example> ENVID=a+3d", "501 5.5.4"),
    ("MAIL FROM:<a@b.example> ENVID=a+00", "501 5.5.4"),
    ("MAIL FROM:<a@b.example> REQUIRETLS", "555 5.5.4"),
    ("MAIL FROM:<a@b.example> AUTH=<>", "555 5.5.4"),
    ("MAIL FROM:<a@b.example> NOTIFY=NEVER", "555 5.5.4"),
    ("MAIL FROM:<a@b.example> =1", "501 5.5.2"),
    (
        "RCPT TO:<a@b.example> NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@c",
        "ok",
    ),
    ("RCPT TO:<postmaster>", "ok"),
    ("RCPT TO:<>", "501 5.1.3"),
    ("RCPT TO:a@b.example", "501 5.1.3"),
    ("RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", "501 5.5.4"),
    ("RCPT TO:<a@b.example> NOTIFY=DELAY,DELAY", "501 5.5.4"),
    ("RCPT TO:<a@b.example> ORCPT=rfc822", "501 5.5.4"),
    ("RCPT TO:<a@b.example> ORCPT=rfc822;a=b", "501 5.5.4"),
    ("RCPT TO:<a@b.example> ORCPT=utf-8;jürgen@c", "ok"),
    ("RCPT TO:<a@b.example> SIZE=1", "555 5.5.4"),
    ("BDAT 10", "ok"),
    ("BDAT 0 LAST", "ok"),
    ("BDAT 18446744073709551616", "501 5.5.4"),
    ("BDAT -1", "501 5.5.4"),
    ("BDAT", "501 5.5.4"),
    ("BDAT 1 FIRST", "501 5.5.4"),
    ("XFORWARD IDENT=4Xyz NAME=[UNAVAILABLE]", "ok"),
    ("XFORWARD", "501 5.5.4"),
    ("XFORWARD FOO=1", "501 5.5.4"),
    ("XFORWARD IDENT", "501 5.5.4"),
];

#[test]
fn lines_and_their_verdicts() {
    for (line, expected) in VERDICTS {
        assert_eq!(verdict(line), *expected, "{line}");
    }
}

#[test]
fn parameters_are_kept() {
    let line = b"MAIL FROM:<a@b.example> RET=hdrs ENVID=Q+2B1 SMTPUTF8 SIZE=99999999999999999999 BODY=8BITMIME";
    let Ok(Command::Mail(from)) = Command::parse(line) else {
        panic!("not understood");
    };
    assert_eq!(from.ret, Some(Ret::Headers));
    assert_eq!(from.envid.as_deref(), Some("Q+2B1"), "kept as xtext");
    assert_eq!(from.utf8, Utf8::Needed);
    assert_eq!(from.size, Some(u64::MAX));
    assert_eq!(from.body, Body::EightBitMime);
    assert!(matches!(from.path, ReversePath::Mailbox(_)));

    let line = b"RCPT TO:<a@b.example> NOTIFY=failure,delay ORCPT=rfc822;A@b.example";
    let Ok(Command::Rcpt(rcpt)) = Command::parse(line) else {
        panic!("not understood");
    };
    assert_eq!(rcpt.notify.as_deref(), Some("FAILURE,DELAY"));
    assert_eq!(rcpt.orcpt.as_deref(), Some("rfc822;A@b.example"));
}

#[test]
fn ident_is_decoded_and_bounded() {
    for (line, expected) in [
        ("XFORWARD IDENT=4X+2By", Some("4X+y")),
        ("XFORWARD NAME=a IDENT=b", Some("b")),
        ("XFORWARD IDENT=[UNAVAILABLE]", None),
        ("XFORWARD IDENT=a+0Ab", None), // a line feed has no place in a log
        ("XFORWARD ADDR=192.0.2.1", None),
    ] {
        let got = Command::parse(line.as_bytes());
        assert_eq!(
            got,
            Ok(Command::Xforward(expected.map(String::from))),
            "{line}"
        );
    }
    let long = format!("XFORWARD IDENT={}", "x".repeat(1000));
    let Ok(Command::Xforward(Some(ident))) = Command::parse(long.as_bytes()) else {
        panic!("not understood");
    };
    assert_eq!(ident.len(), 100);
}

#[test]
fn a_bad_recipient_is_named_so() {
    let got = Command::parse(b"RCPT TO:<a..b@c.example>");
    assert_eq!(got, Err(CommandError::Recipient(AddressError::LocalPart)));
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Command::parse(&line);
    }

    #[test]
    fn nor_do_words_of_the_grammar(
        words in proptest::collection::vec(
            prop_oneof![
                "MAIL FROM:", "RCPT TO:", "BDAT ", "XFORWARD ", "<", ">", "\"", "\\\\", "@", ":", "a", "é",
                " SIZE=", " ENVID=", "\\+", "\\+2", " ORCPT=", ";", "\\[", "\\]", "IPv6:", "\\.", ",", " LAST",
            ],
            0..12,
        )
    ) {
        if let Err(error) = Command::parse(words.concat().as_bytes()) {
            prop_assert!(error.reply().code >= 421);
        }
    }
}
