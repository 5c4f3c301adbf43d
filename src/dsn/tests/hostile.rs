//! What strangers may try: no words of theirs become lines, fields or parts of ours.

use super::*;

#[test]
fn the_null_path_is_no_empty_field() {
    let octets = Scene {
        sender: "",
        ..Scene::default()
    }
    .whole();
    assert!(text_of(&octets).contains("\r\nTo: undisclosed-recipients:;\r\n"));
}

#[test]
fn replies_are_words_and_no_more() {
    let endless = "x".repeat(2000);
    for said in [
        "",
        " ",
        "\r\n\r\n--=_sealpost_1NOTICE8_=\r\nContent-Type: text/html\r\n\r\n<b>",
        "\n.\nMAIL FROM:<x@y>",
        "\x1b]0;title\x07\x1b[2J\0",
        "naïve \u{202e}backwards\u{2028}next",
        "--=_sealpost_1NOTICE8_=--",
        &endless,
    ] {
        let scene = Scene {
            said: Reply {
                code: 550,
                enhanced: None,
                lines: vec![said.to_owned(), said.to_owned()],
            },
            ..Scene::default()
        };
        let octets = scene.whole();
        assert!(octets.is_ascii(), "{said:?}");
        assert_well_formed(&octets);
        assert_three_parts(&scene.compose());
        let (message, _) = parse(&octets);
        let groups = groups(&body(&message, 2));
        assert_eq!((groups.len(), groups[1].len()), (2, 7), "{said:?}");
        assert_eq!(groups[1][5].0, "Diagnostic-Code");
    }
}

#[test]
fn ids_of_envelopes_and_recipients_are_no_fields() {
    let octets = Scene {
        envid: Some("a+0D+0AStatus:+20 2.0.0"),
        recipients: vec![(
            "bob@example.com",
            Some("rfc822;a+0D+0A+0D+0AX:+20y+FF+1B@b"),
        )],
        ..Scene::default()
    }
    .whole();
    assert_well_formed(&octets);
    let (message, _) = parse(&octets);
    let groups = groups(&body(&message, 2));
    // A space is no xtext, so that there is no ENVID at all.
    assert_eq!(groups[0].len(), 3);
    let original = &shown(&groups[1])[0];
    assert_eq!(original, "Original-Recipient: rfc822; a????X: y??@b");
}

#[test]
fn long_addresses_have_their_line() {
    let address = |c: &str, n: usize| format!("\"{}\"@example.com", c.repeat(n));
    for long in [address("x", 230), address(" ", 230), address("+ü", 75)] {
        let long: &'static str = long.leak();
        let utf8s = [Utf8::NotNeeded, Utf8::Needed];
        for utf8 in utf8s {
            let scene = Scene {
                utf8,
                sender: long,
                recipients: vec![(long, None)],
                ..Scene::default()
            };
            assert_well_formed(&scene.compose().head);
            let octets = scene.whole();
            let (message, _) = parse(&octets);
            assert_eq!(groups(&body(&message, 2)).len(), 2, "{long}");
        }
    }
}

#[test]
fn returned_content_cannot_end_its_part() {
    for content in [
        // A notice of another message, of another Sealpost, and of one whose id is the beginning of ours.
        "Content-Type: multipart/report; boundary=\"=_sealpost_1NOTICE7_=\"\r\n\r\n\
         --=_sealpost_1NOTICE7_=\r\n\r\nx\r\n--=_sealpost_1NOTICE7_=--\r\n",
        "Content-Type: multipart/mixed; boundary=\"=_sealpost_1NOTICE\"\r\n\r\n\
         --=_sealpost_1NOTICE\r\n\r\nx\r\n--=_sealpost_1NOTICE--\r\n",
        "Subject: x\r\n\r\n--=_sealpost_1NOTICE88_=\r\n--=_sealpost_1NOTICE8\r\n--\r\n",
        "Content-Type: multipart/mixed; boundary=never-closed\r\n\r\n--never-closed\r\n\r\nx\r\n",
    ] {
        let octets = Scene {
            content,
            ..Scene::default()
        }
        .whole();
        let (message, types) = parse(&octets);
        assert_eq!(types[2], "message/rfc822", "{content}");
        let PartType::Message(inner) = &message.part(3).unwrap().body else {
            panic!("no message: {content}");
        };
        let inner = text_of(inner.raw_message());
        assert!(inner.starts_with(content.trim_end()), "{inner}");
    }
}

proptest! {
    #[test]
    fn whatever_is_said_the_notice_is_well_formed(
        lines in proptest::collection::vec("(\\PC|[\\x00-\\x7f]|--=_sealpost_1NOTICE8_=|\r\n){0,300}", 1..5),
        code in 200u16..600,
        class in 0u8..10,
        remote in proptest::option::of(Just("mx.example.com")),
    ) {
        let scene = Scene {
            said: Reply { code, enhanced: None, lines },
            status: EnhancedStatus::new(class, 1, 1),
            host: remote,
            ..Scene::default()
        };
        let octets = scene.whole();
        assert_well_formed(&octets);
        assert_three_parts(&scene.compose());
        let (message, _) = parse(&octets);
        let groups = groups(&body(&message, 2));
        prop_assert_eq!(groups.len(), 2);
        prop_assert_eq!(groups[1].len(), if remote.is_some() { 7 } else { 6 });
    }
}
