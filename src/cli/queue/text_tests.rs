use super::*;

const NOW: i64 = 1_900_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

fn recipient(address: &str, reply: Option<&str>) -> QueueRecipient {
    QueueRecipient {
        address: address.to_owned(),
        domain: address.rsplit_once('@').unwrap().1.to_owned(),
        status: QueueState::Waiting,
        reply: reply.map(str::to_owned),
        attempts: u32::from(reply.is_some()),
        last_attempt: reply.map(|_| at(-300)),
        next_attempt: Some(at(300)),
    }
}

fn message() -> QueueEntry {
    QueueEntry {
        id: "06F3Q5T1ZK8W9XAB".to_owned(),
        state: QueueState::Waiting,
        sender: "s@x.test".to_owned(),
        size: 12_345,
        received: at(-3 * 3600),
        next_attempt: Some(at(300)),
        expires: at(5 * 86_400 - 3 * 3600),
        recipients: vec![
            recipient("a@a.test", Some("451 4.4.1 nobody answers")),
            recipient("b@b.test", None),
        ],
    }
}

#[test]
fn a_list_has_one_header_however_many_pages() {
    let mut table = Table::default();
    let everything = QueueSelection::default();
    assert_eq!(table.rows(&[], &everything, at(0)), "");
    let held = QueueEntry {
        state: QueueState::Held,
        sender: String::new(),
        next_attempt: None,
        size: 999,
        recipients: vec![recipient("c@c.test", None)],
        ..message()
    };
    let overdue = QueueEntry {
        sender: "a-sender-longer-than-the-column@x.test".to_owned(),
        next_attempt: Some(at(-1)),
        size: 5 << 20,
        recipients: vec![recipient("c@c.test", Some("450 4.2.1 later"))],
        ..message()
    };
    let text = table.rows(&[message(), held], &everything, at(0))
        + &table.rows(&[overdue], &everything, at(0));
    assert_eq!(
        text,
        "ID                AGE         SIZE  STATE   NEXT       SENDER        RECIPIENTS\n\
         06F3Q5T1ZK8W9XAB  3 h       12 KiB  waiting in 5 min   s@x.test      a@a.test +1\n\
         \x20   451 4.4.1 nobody answers\n\
         06F3Q5T1ZK8W9XAB  3 h        999 B  held    -          <>            c@c.test\n\
         06F3Q5T1ZK8W9XAB  3 h        5 MiB  waiting now        a-sender-longer-than-the-column@x.test  c@c.test\n\
         \x20   450 4.2.1 later\n"
    );
}

#[test]
fn the_recipient_that_was_asked_for_comes_first() {
    let held = QueueRecipient {
        status: QueueState::Held,
        ..recipient("c@b.test", None)
    };
    let mut message = message();
    message.recipients.push(held);
    for (domain, state, expected) in [
        (None, None, "a@a.test +2 (1 held)"),
        (Some("b.test"), None, "b@b.test +2 (1 held)"),
        (None, Some(QueueState::Held), "c@b.test +2 (1 held)"),
        (
            Some("b.test"),
            Some(QueueState::Held),
            "c@b.test +2 (1 held)",
        ),
        (Some("gone.test"), None, "a@a.test +2 (1 held)"), // since it was asked for
    ] {
        let asked = QueueSelection {
            domain: domain.map(str::to_owned),
            state,
            ..QueueSelection::default()
        };
        let rows = Table::default().rows(&[message.clone()], &asked, at(0));
        let row = rows.lines().nth(1).unwrap();
        assert!(row.ends_with(expected), "{asked:?}: {row}");
        // Somebody's answer is better than none.
        assert!(rows.ends_with("    451 4.4.1 nobody answers\n"), "{rows}");
    }
}

#[test]
fn of_a_long_reply_the_table_has_the_beginning() {
    let mut message = message();
    for (length, ends) in [(REPLY, "é\n"), (REPLY + 1, "é ...\n")] {
        let reply = "é".repeat(length);
        message.recipients[0].reply = Some(reply.clone());
        let rows = Table::default().rows(&[message.clone()], &QueueSelection::default(), at(0));
        let line = rows.lines().last().unwrap();
        assert_eq!(line.matches('é').count(), REPLY);
        assert!(rows.ends_with(ends), "{rows}");
        assert!(shown(&message, at(0)).contains(&reply));
    }
}

#[test]
fn an_attempt_that_is_under_way_has_begun() {
    let mut message = message();
    message.size = 999;
    message.recipients[0].status = QueueState::Active;
    message.recipients[0].next_attempt = None;
    let text = shown(&message, at(0));
    let expected = "  recipient    <a@a.test>\n\
        \x20              active, attempt 1\n\
        \x20              begun 2030-03-17T17:41:40Z, 5 min ago\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("  size         999 octets\n"), "{text}");
}

#[test]
fn strangers_move_no_cursor_and_make_no_lines() {
    let evil = "451 \u{1b}[2Jx\r\n06F3 forged\u{202e}\u{9b}";
    let mut message = message();
    message.sender = "\"\u{1b}c\n\"@x.test".to_owned();
    message.recipients[0].address = "\"\u{7}\n\"@a.test".to_owned();
    message.recipients[0].reply = Some(evil.to_owned());
    let everything = QueueSelection::default();
    let rows = Table::default().rows(&[message.clone()], &everything, at(0));
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert!(rows.ends_with("    451 ?[2Jx??06F3 forged??\n"), "{rows}");
    for text in [rows, shown(&message, at(0))] {
        let bad = text.chars().filter(|c| c.is_control() && *c != '\n');
        assert_eq!(bad.count(), 0, "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }
}

#[test]
fn everything_about_a_message() {
    let mut message = message();
    message.sender = String::new();
    message.recipients[1].status = QueueState::Held;
    message.recipients[1].next_attempt = None;
    message.recipients[0].attempts = 7;
    assert_eq!(
        shown(&message, at(0)),
        "06F3Q5T1ZK8W9XAB\n\
         \x20 state        waiting\n\
         \x20 sender       <>\n\
         \x20 size         12345 octets (12 KiB)\n\
         \x20 received     2030-03-17T14:46:40Z, 3 h ago\n\
         \x20 expires      2030-03-22T14:46:40Z, in 4 d\n\
         \x20 recipient    <a@a.test>\n\
         \x20              waiting, attempted 7 times\n\
         \x20              last attempt 2030-03-17T17:41:40Z, 5 min ago\n\
         \x20              451 4.4.1 nobody answers\n\
         \x20              next attempt 2030-03-17T17:51:40Z, in 5 min\n\
         \x20 recipient    <b@b.test>\n\
         \x20              held, not attempted yet\n"
    );
}

#[test]
fn what_a_change_has_done() {
    for (messages, recipients, expected) in [
        (0, 0, "dropped: 0 recipients of 0 messages"),
        (1, 1, "dropped: 1 recipient of 1 message"),
        (1, 3, "dropped: 3 recipients of 1 message"),
    ] {
        assert_eq!(changed("dropped", messages, recipients), expected);
    }
}
