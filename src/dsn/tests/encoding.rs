//! Octets above 127: where they are declared, and addresses in UTF-8 (RFC 6533).

use super::*;

#[test]
fn eight_bits_are_declared_where_they_are() {
    for (eight_bit, expected) in [(EightBitContent::No, 0), (EightBitContent::Yes, 2)] {
        let octets = Scene {
            eight_bit,
            content: "Subject: x\r\n\r\nHello\r\n",
            ..Scene::default()
        }
        .whole();
        let declared = "Content-Transfer-Encoding: 8bit\r\n";
        assert_eq!(
            text_of(&octets).matches(declared).count(),
            expected,
            "whole and part"
        );
        let (message, _) = parse(&octets);
        let whole = message.root_part().content_transfer_encoding();
        assert_eq!(whole, (expected > 0).then_some("8bit"));
    }
}

#[test]
fn a_message_in_utf8_has_a_notice_in_utf8() {
    let scene = |returned| Scene {
        returned,
        sender: "jürgen@bücher.example",
        utf8: Utf8::Needed,
        recipients: vec![
            (
                "用户@例.example",
                Some("utf-8;\\x{7528}\\x{6237}@x.example"),
            ),
            ("bob@example.com", Some("utf-8;bøb@example.com")),
        ],
        content: "From: jürgen@bücher.example\r\n\r\nHällo\r\n",
        ..Scene::default()
    };
    for (returned, third) in [
        (Returned::Full, "message/global"),
        (Returned::Headers, "message/global-headers"),
    ] {
        let octets = scene(returned).whole();
        assert_well_formed(&octets);
        let (message, types) = parse(&octets);
        let second = "message/global-delivery-status";
        assert_eq!(types, ["text/plain", second, third]);
        assert!(text_of(&octets).contains("To: <jürgen@bücher.example>\r\n"));
        for part in 0..4 {
            let encoding = message.part(part).unwrap().content_transfer_encoding();
            assert_eq!(encoding, Some("8bit"), "{part}");
        }
        let people = message.part(1).unwrap().content_type().unwrap();
        assert_eq!(people.attribute("charset"), Some("utf-8"));
        assert!(body(&message, 1).contains("    <用户@例.example>\r\n"));
        let groups = groups(&body(&message, 2));
        for (group, expected) in [
            (
                1,
                [
                    "Original-Recipient: utf-8; \\x{7528}\\x{6237}@x.example",
                    "Final-Recipient: utf-8; 用户@例.example",
                ],
            ),
            (
                2,
                [
                    "Original-Recipient: utf-8; bøb@example.com",
                    "Final-Recipient: rfc822; bob@example.com",
                ],
            ),
        ] {
            assert_eq!(shown(&groups[group])[..2], expected);
        }
    }
}

#[test]
fn a_notice_that_does_not_need_utf8_is_ascii() {
    let octets = Scene {
        sender: "alice@bücher.example",
        recipients: vec![("bob@bücher.example", Some("utf-8;bøb@bücher.example"))],
        ..Scene::default()
    }
    .whole();
    assert!(octets.is_ascii());
    let text = text_of(&octets);
    assert!(text.contains("To: <alice@xn--bcher-kva.example>\r\n"));
    assert!(text.contains("\r\nOriginal-Recipient: utf-8; b\\x{F8}b@b\\x{FC}cher.example\r\n"));
    assert!(text.contains("\r\nFinal-Recipient: rfc822; bob@xn--bcher-kva.example\r\n"));
}
