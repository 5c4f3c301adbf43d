//! The queue, operated: what a selection means, and what a change changes.

mod steps;

use super::*;
use crate::store::queue::*;
use bytes::Bytes;

const ALL: Stretch = Stretch {
    after: 0,
    until: i64::MAX,
    most: 1000,
};

fn recipient(address: &str) -> NewRecipient {
    let (_, domain) = address.rsplit_once('@').unwrap();
    NewRecipient {
        address: address.to_owned(),
        destination: domain.to_owned(),
        notify: None,
        orcpt: None,
        progress: Progress {
            next: 5_000,
            ..Progress::default()
        },
    }
}

fn message(id: &str, recipients: &[&str]) -> NewMessage {
    NewMessage {
        id: id.to_owned(),
        sender: "s@x.test".to_owned(),
        size: 3,
        received: 1_000,
        expires: 9_000,
        details: "{}".to_owned(),
        content: Some(Bytes::from_static(b"abc")),
        recipients: recipients
            .iter()
            .map(|address| recipient(address))
            .collect(),
    }
}

fn of_domain(domain: &str) -> Selection {
    Selection {
        domain: Some(domain.to_owned()),
        ..Selection::default()
    }
}

fn of_id(id: &str) -> Selection {
    Selection {
        id: Some(id.to_owned()),
        ..Selection::default()
    }
}

fn in_state(state: RecipientState) -> Selection {
    Selection {
        state: Some(state),
        ..Selection::default()
    }
}

/// `A` to a.test and b.test, `B` to b.test waiving policies, `C` of nobody to a.test and later, `D` to c.test.
async fn some(store: &Store) {
    let waiving = NewRecipient {
        destination: "b.test;tls-required=no".to_owned(),
        ..recipient("4@b.test")
    };
    let messages = [
        message("A", &["1@a.test", "2@b.test", "3@b.test"]),
        NewMessage {
            recipients: vec![waiving],
            sender: "Other@X.test".to_owned(),
            ..message("B", &[])
        },
        NewMessage {
            sender: String::new(),
            received: 2_000,
            ..message("C", &["5@a.test"])
        },
        NewMessage {
            received: 3_000,
            content: None,
            ..message("D", &["6@c.test"])
        },
    ];
    for message in messages {
        store.keep(vec![message]).await.unwrap();
    }
}

async fn ids(store: &Store, selection: Selection) -> String {
    let page = store.queue_page(selection, ALL).await.unwrap();
    assert_eq!(page.next, None);
    page.messages.into_iter().map(|m| m.id).collect()
}

/// What is left: message by message, with a letter for each recipient.
async fn picture(store: &Store) -> String {
    let page = store.queue_page(Selection::default(), ALL).await.unwrap();
    let recipient = |r: &StoredRecipient| match r.state {
        RecipientState::Waiting => format!("w{}", r.progress.next),
        RecipientState::Held => "h".to_owned(),
    };
    let message = |m: &StoredMessage| {
        let recipients: Vec<_> = m.recipients.iter().map(recipient).collect();
        format!("{}:{}", m.id, recipients.join(","))
    };
    let all: Vec<_> = page.messages.iter().map(message).collect();
    all.join(" ")
}

async fn change(store: &Store, selection: Selection, change: Change) -> Changed {
    store.queue_change(selection, change, ALL).await.unwrap()
}

#[tokio::test]
async fn each_selection_finds_what_it_means() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    some(&store).await;
    change(&store, of_id("A").and_domain("b.test"), Change::Hold).await;
    change(&store, of_id("D"), Change::Hold).await;
    let sender = |text: &str| Selection {
        sender: Some(text.to_owned()),
        ..Selection::default()
    };
    let received = |before, after| Selection {
        received_before: before,
        received_after: after,
        ..Selection::default()
    };
    let held = in_state(RecipientState::Held);
    let waiting = in_state(RecipientState::Waiting);
    for (selection, expected) in [
        (Selection::default(), "ABCD"),
        (of_id("C"), "C"),
        (of_id("c"), ""),
        (of_id("C").and_domain("b.test"), ""),
        (of_domain("a.test"), "AC"),
        (of_domain("b.test"), "AB"), // with what waives policies
        (of_domain("b.test;tls-required=no"), "B"),
        (of_domain("test"), ""),
        (sender("s@x.test"), "AD"),
        (sender("other@x.TEST"), "B"),
        (sender(""), "C"),
        (held.clone(), "AD"),
        (waiting.clone(), "ABC"),
        (held.and_domain("a.test"), ""), // the held ones of A are at b.test
        (waiting.and_domain("b.test"), "B"),
        (received(Some(2_000), None), "AB"),
        (received(None, Some(1_000)), "CD"),
        (received(Some(3_000), Some(1_000)), "C"),
    ] {
        let said = format!("{selection:?}");
        assert_eq!(ids(&store, selection).await, expected, "{said}");
    }
    let shown = store.queue_message("A").await.unwrap().unwrap();
    assert_eq!((shown.recipients.len(), shown.number), (3, 1));
    assert_eq!(store.queue_message("E").await, Ok(None));
    assert_eq!(store.queue_length().await, Ok(4));
    assert_eq!(store.queue_newest().await, Ok(4));
}

#[tokio::test]
async fn each_change_changes_what_it_can() {
    let at = |destination: &str, next| Due {
        destination: destination.to_owned(),
        next,
    };
    for (selection, what, left, due) in [
        (
            of_domain("b.test"),
            Change::Hold,
            "A:w5000,h,h B:h C:w5000 D:w5000",
            vec![],
        ),
        (
            of_id("A"),
            Change::Hold,
            "A:h,h,h B:w5000 C:w5000 D:w5000",
            vec![],
        ),
        (
            of_domain("a.test"),
            Change::Release,
            "A:w5000,w5000,w5000 B:w5000 C:w5000 D:w5000",
            vec![],
        ),
        (
            of_id("A").and_domain("a.test"),
            Change::Retry(7),
            "A:w7,w5000,w5000 B:w5000 C:w5000 D:w5000",
            vec![at("a.test", 7)],
        ),
        (
            of_domain("c.test"),
            Change::Retry(6_000), // due already, but its destination may be suspended
            "A:w5000,w5000,w5000 B:w5000 C:w5000 D:w5000",
            vec![at("c.test", 5_000)],
        ),
        (
            of_domain("b.test"),
            Change::Drop,
            "A:w5000 C:w5000 D:w5000",
            vec![],
        ),
        (Selection::default(), Change::Drop, "", vec![]),
        (
            in_state(RecipientState::Held),
            Change::Retry(7),
            "A:w5000,w5000,w5000 B:w5000 C:w5000 D:w5000",
            vec![],
        ),
    ] {
        let (_directory, path) = place();
        let store = Store::open(&path).unwrap();
        some(&store).await;
        let said = format!("{what:?} {selection:?}");
        let changed = change(&store, selection, what).await;
        assert_eq!(picture(&store).await, left, "{said}");
        assert_eq!((changed.due, changed.next), (due, None), "{said}");
    }
}

#[tokio::test]
async fn what_is_released_is_due_when_it_was() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    some(&store).await;
    let held = change(&store, Selection::default(), Change::Hold).await;
    assert_eq!((held.messages, held.recipients), (4, 6));
    let again = change(&store, Selection::default(), Change::Hold).await;
    assert_eq!((again.messages, again.recipients), (0, 0));
    let lease = |now| Lease {
        destination: "a.test".to_owned(),
        now,
        retry: RetryAt(std::sync::Arc::new(|_| 20_000)),
        most: 10,
    };
    assert_eq!(store.lease(lease(6_000)).await, Ok(vec![]));
    let released = change(&store, of_domain("b.test"), Change::Release).await;
    assert_eq!((released.messages, released.recipients), (2, 3));
    let mut due: Vec<_> = released
        .due
        .iter()
        .map(|d| (&*d.destination, d.next))
        .collect();
    due.sort_unstable();
    assert_eq!(due, [("b.test", 5_000), ("b.test;tls-required=no", 5_000)]);
    change(&store, of_domain("a.test"), Change::Release).await;
    assert_eq!(store.lease(lease(6_000)).await.unwrap().len(), 2);
    // Both are being attempted now.
    let retried = change(&store, of_domain("a.test"), Change::Retry(7_000)).await;
    assert_eq!((retried.recipients, retried.due), (0, vec![]));
    assert_eq!(store.lease(lease(8_000)).await, Ok(vec![]));
}

#[tokio::test]
async fn a_message_is_gone_with_its_last_recipient() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    some(&store).await;
    let emptied = |id: &str, content| Emptied {
        id: id.to_owned(),
        content,
    };
    let dropped = change(&store, of_domain("a.test"), Change::Drop).await;
    assert_eq!((dropped.messages, dropped.recipients), (2, 2));
    assert_eq!(dropped.emptied, [emptied("C", Whereabouts::Database)]);
    assert!(store.content(1).await.unwrap().is_some());
    assert_eq!(store.content(3).await, Ok(None));
    let dropped = change(&store, of_id("D"), Change::Drop).await;
    assert_eq!(dropped.emptied, [emptied("D", Whereabouts::File)]);
    assert_eq!(picture(&store).await, "A:w5000,w5000 B:w5000");
}

/// An attempt that is under way when its message is dropped must not settle one that has come since.
#[tokio::test]
async fn numbers_are_never_given_twice() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let first = store.keep(vec![message("A", &["1@a.test"])]).await.unwrap();
    change(&store, of_id("A"), Change::Drop).await;
    let second = store.keep(vec![message("B", &["1@a.test"])]).await.unwrap();
    assert_ne!(first[0].number, second[0].number);
    let late = Settlement {
        message: first[0].number,
        done: first[0].recipients.clone(),
        ..Settlement::default()
    };
    store.settle(late).await.unwrap();
    assert_eq!(ids(&store, Selection::default()).await, "B");
}

#[tokio::test]
async fn a_page_ends_where_it_has_many_recipients() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let many = vec!["x@a.test"; 900];
    for id in ["A", "B", "C", "D"] {
        store.keep(vec![message(id, &many)]).await.unwrap();
    }
    let page = store.queue_page(Selection::default(), ALL).await.unwrap();
    assert_eq!((page.messages.len(), page.next), (3, Some(3)));
    let held = change(&store, Selection::default(), Change::Hold).await;
    assert_eq!(
        (held.messages, held.recipients, held.next),
        (1, 900, Some(1))
    );
}

impl Selection {
    fn and_domain(&self, domain: &str) -> Self {
        Self {
            domain: Some(domain.to_owned()),
            ..self.clone()
        }
    }
}

#[tokio::test]
async fn a_message_counts_as_held_if_every_recipient_is() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let received = |id: &str, received, recipients: &[&str]| NewMessage {
        received,
        ..message(id, recipients)
    };
    let messages = vec![
        received("A", 1, &["x@a.test"]),
        received("B", 2, &["x@a.test", "y@b.test"]),
        received("C", 3, &["y@b.test"]),
    ];
    store.keep(messages).await.unwrap();
    for (held, expected) in [
        ("c.test", (0, Some(1), None)),
        ("a.test", (1, Some(2), Some(1))),
        ("b.test", (3, None, Some(1))),
    ] {
        change(&store, of_domain(held), Change::Hold).await;
        let totals = store.totals().await.unwrap();
        let seen = (totals.held, totals.oldest, totals.oldest_held);
        assert_eq!((totals.messages, seen), (3, expected), "{held}");
    }
}
