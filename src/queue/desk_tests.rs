use super::*;
use crate::store::queue::{HostReached, NewMessage, NewRecipient, Progress};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

fn message(id: &str, recipients: &[&str]) -> NewMessage {
    let recipient = |address: &&str| NewRecipient {
        address: (*address).to_owned(),
        destination: address.rsplit_once('@').unwrap().1.to_owned(),
        notify: None,
        orcpt: None,
        progress: Progress {
            next: u64::MAX >> 1,
            ..Progress::default()
        },
    };
    NewMessage {
        id: id.to_owned(),
        sender: "s@x.test".to_owned(),
        size: 3,
        received: 1_000,
        expires: 9_000,
        details: "{}".to_owned(),
        content: None,
        recipients: recipients.iter().map(recipient).collect(),
    }
}

async fn desk(messages: Vec<NewMessage>) -> (TempDir, Desk) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("db")).unwrap();
    store.keep(messages).await.unwrap();
    (directory, Desk::of(store))
}

fn order(act: Act, domain: Option<&str>) -> Order {
    let selection = Selection {
        domain: domain.map(str::to_owned),
        ..Selection::default()
    };
    let rest = None;
    Order {
        act,
        selection,
        rest,
    }
}

#[tokio::test]
async fn a_change_is_told_once_however_many_steps_it_takes() {
    let ids: Vec<String> = (0..600).map(|i| format!("M{i}")).collect();
    let messages = ids.iter().map(|id| message(id, &["x@a.test", "y@b.test"]));
    let (_directory, desk) = desk(messages.collect()).await;
    let told: Arc<Mutex<Vec<Tally>>> = Arc::default();
    for (act, domain, messages, recipients) in [
        (Act::Hold, Some("a.test"), 600, 600),
        (Act::Hold, None, 600, 600),
        (Act::Hold, None, 0, 0),
        (Act::Release, Some("b.test"), 600, 600),
        (Act::Retry, None, 600, 600),
        (Act::Drop, Some("b.test"), 600, 600),
        (Act::Drop, None, 600, 600),
    ] {
        let heard = Arc::clone(&told);
        let tell = move |tally| heard.lock().unwrap().push(tally);
        let done = desk.change(order(act, domain), tell).await.unwrap();
        let expected = Tally {
            messages,
            recipients,
            rest: None,
        };
        assert_eq!(done, expected, "{act:?} {domain:?}");
        assert_eq!(told.lock().unwrap().pop(), Some(expected));
        assert!(told.lock().unwrap().is_empty());
    }
    assert_eq!(desk.length().await, Ok(0));
}

#[tokio::test]
async fn a_change_goes_on_from_where_it_was_left_and_spares_what_came_later() {
    let messages = ["A", "B", "C", "D"].map(|id| message(id, &["x@a.test"]));
    let (_directory, desk) = desk(messages.to_vec()).await;
    let rest = Order {
        rest: Some(Rest { after: 1, until: 3 }),
        ..order(Act::Drop, None)
    };
    let done = desk.change(rest, drop).await.unwrap();
    assert_eq!((done.messages, done.rest), (2, None));
    let page = desk.page(Selection::default(), 0, 10).await.unwrap();
    let left: Vec<_> = page.messages.iter().map(|seen| &*seen.message.id).collect();
    assert_eq!(left, ["A", "D"]);
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_ends_with_its_step_and_is_told() {
    let ids: Vec<String> = (0..1_000).map(|i| format!("M{i}")).collect();
    let messages = ids.iter().map(|id| message(id, &["x@a.test"]));
    let (_directory, desk) = desk(messages.collect()).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let changing = desk.change(order(Act::Drop, None), |tally| tell.send(tally).unwrap());
    // Long enough for it to begin.
    let waited = tokio::time::timeout(Duration::from_millis(1), changing).await;
    let tally = told.await.unwrap();
    let left = desk.length().await.unwrap();
    assert_eq!(tally.messages + left, 1_000);
    assert_eq!(waited.is_err(), tally.rest.is_some(), "{tally:?}");
}

#[tokio::test]
async fn a_store_that_is_gone_breaks_a_change() {
    let (_directory, desk) = desk(vec![message("A", &["x@a.test"])]).await;
    desk.store.clone().close().await;
    let broken = desk.change(order(Act::Drop, None), drop).await.unwrap_err();
    assert_eq!(broken.error, StoreError::Closed);
    let said = broken.to_string();
    assert!(said.contains("0 recipients of 0 messages"), "{said}");
    assert_eq!(desk.show("A").await, Err(StoreError::Closed));
}

#[test]
fn what_waits_for_a_destination_that_does_not_answer_says_so() {
    let suspension = Suspension {
        until: 500,
        reply: "451 4.4.1 nobody answers".to_owned(),
    };
    let recipient = |next, reply: Option<&str>| StoredRecipient {
        number: 1,
        address: "x@a.test".to_owned(),
        destination: "a.test".to_owned(),
        notify: None,
        orcpt: None,
        state: RecipientState::Waiting,
        progress: Progress {
            next,
            reply: reply.map(str::to_owned),
            reached: HostReached::Yes,
            ..Progress::default()
        },
    };
    for (next, reply, expected) in [
        (100, None, (500, "451 4.4.1 nobody answers")),
        (600, None, (600, "451 4.4.1 nobody answers")),
        (100, Some("450 greylisted"), (500, "450 greylisted")),
    ] {
        let progress = suspended(recipient(next, reply), &suspension).progress;
        assert_eq!(
            (progress.next, progress.reply.as_deref()),
            (expected.0, Some(expected.1))
        );
    }
}

#[tokio::test]
async fn how_a_recipient_stands() {
    let (_earlier, earlier) = desk(Vec::new()).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let (_directory, desk) = desk(Vec::new()).await;
    let (earlier, run) = (earlier.store.run(), desk.store.run());
    for (state, under_way, expected) in [
        (RecipientState::Waiting, UnderWay::No, Standing::Waiting),
        (RecipientState::Waiting, UnderWay::In(run), Standing::Active),
        (
            RecipientState::Waiting,
            UnderWay::In(earlier),
            Standing::Waiting,
        ), // cut off
        (RecipientState::Held, UnderWay::No, Standing::Held),
        (RecipientState::Held, UnderWay::In(run), Standing::Held),
    ] {
        let recipient = StoredRecipient {
            number: 1,
            address: String::new(),
            destination: String::new(),
            notify: None,
            orcpt: None,
            state,
            progress: Progress {
                under_way,
                ..Progress::default()
            },
        };
        assert_eq!(standing(&recipient, run), expected);
    }
}
