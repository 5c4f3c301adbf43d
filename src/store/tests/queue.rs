use super::*;
use crate::store::queue::{
    Change, HostReached, Kept, Lease, NewMessage, NewRecipient, Progress, Provided, RetryAt, Run,
    Selection, Settlement, Stretch, UnderWay, Whereabouts,
};
use bytes::Bytes;
use std::sync::Arc;

fn recipient(address: &str, next: u64) -> NewRecipient {
    let (_, domain) = address.split_once('@').unwrap();
    NewRecipient {
        address: address.to_owned(),
        destination: domain.to_owned(),
        notify: None,
        orcpt: None,
        progress: Progress {
            next,
            ..Progress::default()
        },
    }
}

fn message(id: &str, recipients: Vec<NewRecipient>) -> NewMessage {
    NewMessage {
        id: id.to_owned(),
        sender: "sender@client.test".to_owned(),
        size: 5,
        received: 1000,
        expires: 9000,
        details: "{}".to_owned(),
        content: Some(Bytes::from_static(b"hello")),
        recipients,
    }
}

fn lease(destination: &str, now: u64) -> Lease {
    Lease {
        destination: destination.to_owned(),
        now,
        retry: RetryAt(Arc::new(move |attempts| now + 100 * u64::from(attempts))),
        most: 10,
    }
}

/// Ids and addresses of what is taken up.
async fn taken(store: &Store, destination: &str, now: u64) -> Vec<(String, Vec<String>)> {
    let leased = store.lease(lease(destination, now)).await.unwrap();
    leased
        .into_iter()
        .map(|m| (m.id, m.recipients.into_iter().map(|r| r.address).collect()))
        .collect()
}

fn of(id: &str, addresses: &[&str]) -> (String, Vec<String>) {
    let addresses = addresses.iter().map(|a| (*a).to_owned()).collect();
    (id.to_owned(), addresses)
}

#[tokio::test]
async fn a_recipient_without_a_message_holds_up_nobody() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let broken = message("ONE", vec![recipient("a@x.test", 5)]);
    let whole = message("TWO", vec![recipient("b@x.test", 10)]);
    store.keep(vec![broken, whole]).await.unwrap();
    let other = Connection::open(&path).unwrap();
    let removed = other.execute("DELETE FROM message WHERE id = 'ONE'", []);
    assert_eq!(removed, Ok(1));
    assert_eq!(
        taken(&store, "x.test", 20).await,
        [of("TWO", &["b@x.test"])]
    );
    assert_eq!(
        store.next_due("x.test").await,
        Ok(None),
        "it is not due again and again"
    );
    let left = "SELECT count(*) FROM recipient WHERE address = 'a@x.test'";
    let left: i64 = other.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1, "nothing is thrown away");
}

#[tokio::test]
async fn what_is_due_at_a_destination_is_taken_up_once() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let first = message(
        "ONE",
        vec![
            recipient("a@x.test", 10),
            recipient("b@y.test", 10),
            recipient("c@x.test", 10),
        ],
    );
    let second = message("TWO", vec![recipient("d@x.test", 5)]);
    let third = message("THREE", vec![recipient("e@x.test", 50)]);
    let placed = store.keep(vec![first, second, third]).await.unwrap();
    assert_eq!(placed.len(), 3);
    assert_eq!(placed[0].recipients.len(), 3);
    assert_eq!(store.next_due("x.test").await, Ok(Some(5)));
    assert_eq!(taken(&store, "x.test", 4).await, []);
    assert_eq!(
        taken(&store, "x.test", 10).await,
        [
            of("TWO", &["d@x.test"]),
            of("ONE", &["a@x.test", "c@x.test"])
        ],
        "the longest overdue first, each with those that go together"
    );
    // What is under way in this run is not taken up again, however long it takes.
    assert_eq!(
        taken(&store, "x.test", 1_000_000).await,
        [of("THREE", &["e@x.test"])]
    );
    assert_eq!(
        store.content(placed[0].number).await,
        Ok(Some(Bytes::from_static(b"hello")))
    );
    store.close().await;

    // Another run honours the time that was written before the attempt, and knows that it was cut off.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let store = Store::open(&path).unwrap();
    assert_eq!(store.next_due("x.test").await, Ok(Some(110)));
    assert_eq!(taken(&store, "x.test", 109).await, []);
    let again = store.lease(lease("x.test", 110)).await.unwrap();
    let progress = &again[0].recipients[0].progress;
    assert_eq!((progress.attempts, progress.next), (2, 310));
    assert!(matches!(progress.under_way, UnderWay::In(run) if run != store.run()));
}

#[tokio::test]
async fn a_message_is_gone_with_its_last_recipient() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let large = NewMessage {
        content: None,
        ..message("LARGE", vec![recipient("z@x.test", 1)])
    };
    let both = vec![recipient("a@x.test", 1), recipient("b@x.test", 1)];
    let placed = store.keep(vec![message("ONE", both), large]).await.unwrap();
    let (one, large) = (&placed[0], &placed[1]);
    let done = |message: i64, done: Vec<i64>| Settlement {
        message,
        done,
        ..Settlement::default()
    };
    let notice = message("NOTICE", vec![recipient("n@x.test", 7)]);
    let settlement = Settlement {
        notices: vec![notice],
        ..done(one.number, vec![one.recipients[0]])
    };
    let (emptied, placed) = store.settle(settlement).await.unwrap();
    assert_eq!((emptied, placed.len()), (None, 1));
    assert!(store.is_in_queue("NOTICE").await.unwrap());
    let (emptied, _) = store
        .settle(done(one.number, vec![one.recipients[1]]))
        .await
        .unwrap();
    let emptied = emptied.unwrap();
    assert_eq!(
        (emptied.id.as_str(), emptied.content),
        ("ONE", Whereabouts::Database)
    );
    assert_eq!(store.content(one.number).await, Ok(None));
    let (emptied, _) = store
        .settle(done(large.number, large.recipients.clone()))
        .await
        .unwrap();
    assert_eq!(emptied.unwrap().content, Whereabouts::File);
    assert_eq!(store.totals().await.unwrap().messages, 1, "the notice");
    // Dropped meanwhile: nobody is told.
    let settlement = Settlement {
        notices: vec![message("LATE", vec![recipient("n@x.test", 7)])],
        ..done(large.number, large.recipients.clone())
    };
    let (emptied, placed) = store.settle(settlement).await.unwrap();
    assert_eq!((emptied, placed.len()), (None, 0));
    assert!(!store.is_in_queue("LATE").await.unwrap());
}

#[tokio::test]
async fn who_goes_on_waiting_keeps_his_warning() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let mut waiting = recipient("a@x.test", 1);
    waiting.progress.warn = Some(500);
    let placed = store
        .keep(vec![message("ONE", vec![waiting])])
        .await
        .unwrap();
    let (number, recipient) = (placed[0].number, placed[0].recipients[0]);
    store.lease(lease("x.test", 1)).await.unwrap();
    let kept = Kept {
        number: recipient,
        progress: Progress {
            next: 700,
            attempts: 1,
            reached: HostReached::No,
            last: Some(2),
            reply: Some("451 4.4.1 later".to_owned()),
            ..Progress::default()
        },
    };
    let settlement = Settlement {
        message: number,
        kept: vec![kept],
        ..Settlement::default()
    };
    store.settle(settlement).await.unwrap();
    assert_eq!(store.warnings(499, 10).await, Ok(vec![]));
    let due = store.warnings(500, 10).await.unwrap();
    let progress = &due[0].recipients[0].progress;
    assert_eq!((progress.next, progress.under_way), (700, UnderWay::No));
    assert_eq!(progress.reply.as_deref(), Some("451 4.4.1 later"));
    let warned = Settlement {
        message: number,
        warned: vec![recipient],
        ..Settlement::default()
    };
    store.settle(warned).await.unwrap();
    assert_eq!(store.warnings(500, 10).await, Ok(vec![]));
    // Its host is there again.
    assert_eq!(store.recovered("x.test", 600).await, Ok(1));
    assert_eq!(store.next_due("x.test").await, Ok(Some(600)));
    assert_eq!(store.recovered("x.test", 600).await, Ok(0));
}

#[tokio::test]
async fn whose_time_is_over_is_found_page_by_page() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let messages = (0..5).map(|n| message(&format!("M{n}"), vec![recipient("a@x.test", 1)]));
    store.keep(messages.collect()).await.unwrap();
    assert_eq!(store.expired(8999, (0, 0), 10).await, Ok(vec![]));
    let mut after = (0, 0);
    let mut found = Vec::new();
    loop {
        let page = store.expired(9000, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = (last.expires, last.number);
        found.extend(page.into_iter().map(|m| (m.id, m.recipients.len())));
    }
    let expected: Vec<_> = (0..5).map(|n| (format!("M{n}"), 1)).collect();
    assert_eq!(found, expected);
    let destinations = store.destinations().await.unwrap();
    assert_eq!((destinations.len(), destinations[0].next), (1, 1));
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.messages, totals.oldest), (5, Some(1000)));
}

#[tokio::test]
async fn a_database_is_one_daemons() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse)));
    let reading = Store::open_later(&path).unwrap();
    assert!(reading.is_readable());
    assert_eq!(reading.touch().await, Err(StoreError::InUse));
    store.close().await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await; // it is tried once a second
    assert_eq!(reading.touch().await, Ok(()));
}

#[tokio::test]
async fn one_who_fails_takes_nobody_along() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let one = || vec![message("ONE", vec![recipient("a@x.test", 1)])];
    let two = || vec![message("TWO", vec![recipient("a@x.test", 1)])];
    store.keep(one()).await.unwrap();
    store
        .stall_writes(std::time::Duration::from_millis(50))
        .await;
    // The same id again is refused; both wait for one transaction.
    let (twice, good) = tokio::join!(store.keep(one()), store.keep(two()));
    assert!(matches!(twice, Err(StoreError::Other(_))), "{twice:?}");
    assert!(good.is_ok(), "{good:?}");
    assert_eq!(store.totals().await.unwrap().messages, 2);
}

#[tokio::test]
async fn the_space_of_drained_mail_is_given_back() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let content = Bytes::from(vec![b'x'; 60_000]);
    for batch in 0..20 {
        let messages = (0..50).map(|n| NewMessage {
            content: Some(content.clone()),
            ..message(&format!("B{batch}-{n}"), vec![recipient("a@x.test", 1)])
        });
        store.keep(messages.collect()).await.unwrap();
    }
    let mut draining = lease("x.test", 5);
    draining.most = 10_000;
    for message in store.lease(draining).await.unwrap() {
        let settlement = Settlement {
            message: message.number,
            done: message.recipients.iter().map(|r| r.number).collect(),
            ..Settlement::default()
        };
        store.settle(settlement).await.unwrap();
    }
    let mut steps = 0;
    while store.tidy().await == Ok(Tidied::More) {
        steps += 1;
    }
    assert!(steps > 2, "{steps}");
    store.close().await;
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < 20_000_000, "{size} of 60 MB are left");
}

/// Who is given up because nobody answers may have been called again meanwhile.
#[tokio::test]
async fn nobody_is_given_up_who_is_being_attempted_or_held() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let both = vec![recipient("a@x.test", 1), recipient("b@y.test", 1)];
    let placed = store.keep(vec![message("ONE", both)]).await.unwrap();
    let given_up = || Settlement {
        message: placed[0].number,
        done: placed[0].recipients.clone(),
        notices: vec![message("NOTICE", vec![recipient("n@home.test", 1)])],
        provided: Provided::AllWait,
        ..Settlement::default()
    };
    assert_eq!(store.next_due("x.test").await, Ok(Some(1)));
    store.lease(lease("x.test", 1)).await.unwrap();
    assert_eq!(
        store.next_due("x.test").await,
        Ok(None),
        "what is under way is due to nobody"
    );
    let (emptied, notices) = store.settle(given_up()).await.unwrap();
    assert_eq!((emptied, notices.len()), (None, 0));
    assert!(!store.is_in_queue("NOTICE").await.unwrap());

    let number = placed[0].number;
    assert_eq!(
        store.still_taken_up(number).await.unwrap(),
        [placed[0].recipients[0]]
    );
    let everything = Stretch {
        after: 0,
        until: i64::MAX,
        most: 10,
    };
    let hold = store.queue_change(Selection::default(), Change::Hold, everything);
    assert_eq!(hold.await.unwrap().recipients, 2);
    assert_eq!(
        store.still_taken_up(number).await.unwrap(),
        Vec::<i64>::new()
    );
    store.settle(given_up()).await.unwrap();
    assert!(store.is_in_queue("ONE").await.unwrap());
}

#[tokio::test]
async fn each_database_has_a_name_of_its_own() {
    let (_first, one) = place();
    let (_second, two) = place();
    let one = Store::open(&one).unwrap().identity().await.unwrap();
    let two = Store::open(&two).unwrap().identity().await.unwrap();
    assert_ne!(one, two);
    assert!(
        one.len() == 16 && one.bytes().all(|b| b.is_ascii_hexdigit()),
        "{one}"
    );
}

#[test]
fn runs_are_told_apart() {
    assert_ne!(UnderWay::In(Run(1)), UnderWay::In(Run(2)));
    for (column, under_way) in [(0, UnderWay::No), (7, UnderWay::In(Run(7)))] {
        assert_eq!(UnderWay::from_column(column), under_way);
        assert_eq!(under_way.to_column(), column);
    }
}
