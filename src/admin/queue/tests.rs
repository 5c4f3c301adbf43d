//! The queue over the wire: requests, answers, and the client that asks.

use super::super::client::{Answer, Client};
use super::super::control::tests::Served;
use super::*;
use crate::queue::Desk;
use crate::store::Store;
use crate::store::queue::{NewMessage, NewRecipient, Progress};
use bytes::Bytes;
use std::path::Path;

const RECEIVED: Millis = 1_700_000_000_123;

fn message(id: &str, sender: &str, recipients: &[&str]) -> NewMessage {
    let recipient = |address: &&str| NewRecipient {
        address: (*address).to_owned(),
        destination: address.rsplit_once('@').unwrap().1.to_owned(),
        notify: None,
        orcpt: None,
        progress: Progress {
            next: RECEIVED + 60_000,
            attempts: 1,
            last: Some(RECEIVED + 1_000),
            reply: Some("451 4.4.1 nobody answers".to_owned()),
            ..Progress::default()
        },
    };
    NewMessage {
        id: id.to_owned(),
        sender: sender.to_owned(),
        size: 3,
        received: RECEIVED,
        expires: RECEIVED + 432_000_000,
        details: "{}".to_owned(),
        content: Some(Bytes::from_static(b"abc")),
        recipients: recipients.iter().map(recipient).collect(),
    }
}

async fn desk(path: &Path, messages: Vec<NewMessage>) -> Desk {
    let store = Store::open(&path.join("queue.db")).unwrap();
    for message in messages {
        store.keep(vec![message]).await.unwrap();
    }
    Desk::of(store)
}

async fn served(messages: Vec<NewMessage>) -> (tempfile::TempDir, Served) {
    let directory = tempfile::tempdir().unwrap();
    let desk = desk(directory.path(), messages).await;
    let served = Served::operating(Some(desk)).await;
    (directory, served)
}

impl Served {
    async fn expect(&self, line: &str, status: &str, said: &str) {
        let (got, body) = self.ask(line).await;
        assert_eq!(got, status, "{line}: {body}");
        assert!(body.contains(said), "{line}: {body}");
    }
}

fn three() -> Vec<NewMessage> {
    vec![
        message("0A", "s@x.test", &["1@a.test", "2@b.test"]),
        message("0B", "", &["3@b.test"]),
        message("0C", "s+t@x.test", &["4@c.test"]),
    ]
}

#[tokio::test]
async fn questions_and_their_answers() {
    let (_directory, served) = served(three()).await;
    for (line, status, said) in [
        ("GET /queue", "200", "\"next\":null,\"total\":3}"),
        ("GET /queue?limit=1", "200", "\"next\":1,\"total\":3}"),
        (
            "GET /queue?after=1&limit=1",
            "200",
            "\"next\":2,\"total\":null}",
        ),
        (
            "GET /queue?after=3",
            "200",
            "{\"messages\":[],\"next\":null,",
        ),
        ("GET /queue?sender=", "200", "[{\"id\":\"0B\""),
        ("GET /queue?sender=%3C%3E", "200", "[{\"id\":\"0B\""),
        ("GET /queue?sender=s%2Bt@x.test", "200", "[{\"id\":\"0C\""),
        ("GET /queue?sender=s+t@x.test", "200", "[{\"id\":\"0C\""),
        ("GET /queue?domain=C.test", "200", "[{\"id\":\"0C\""),
        ("GET /queue?id=0b", "200", "[{\"id\":\"0B\""),
        ("GET /queue?state=held", "200", "{\"messages\":[],"),
        ("GET /queue?older=60&newer=60", "200", "{\"messages\":[],"),
        ("GET /queue?older=60", "200", "\"id\":\"0C\""),
        ("GET /queue?limit=0", "400", "limit is not 1 to 1000"),
        ("GET /queue?sort=size", "400", "the query is made of"),
        ("GET /queue?domain=a..test", "400", "a label is empty"),
        (
            "GET /queue/0a",
            "200",
            "\"received\":\"2023-11-14T22:13:20Z\"",
        ),
        ("GET /queue/0Z", "404", "{\"id\":\"0Z\",\"error\":\"no such"),
        ("GET /queue/a%20b", "400", "letters and digits"),
        ("DELETE /queue/0A", "405", "cannot be done"),
    ] {
        served.expect(line, status, said).await;
    }
    served.end().await;
}

#[tokio::test]
async fn changes_and_their_answers() {
    let (_directory, served) = served(three()).await;
    for (line, status, said) in [
        ("POST /queue", "405", "cannot be done"),
        ("POST /queue/hold", "400", "all=yes selects everything"),
        (
            "POST /queue/hold?after=0",
            "400",
            "all=yes selects everything",
        ),
        ("POST /queue/hold?id=0Z", "404", "no such message"),
        ("POST /queue/flush?all=yes", "405", "cannot be done"),
        (
            "POST /queue/hold?domain=b.test",
            "200",
            "{\"messages\":2,\"recipients\":2,\"rest\":null}",
        ),
        ("GET /queue/0A", "200", "\"state\":\"waiting\""),
        ("GET /queue/0B", "200", "\"state\":\"held\""),
        ("GET /queue/0B", "200", "\"next_attempt\":null,\"expires\""),
        (
            "GET /queue?state=held&domain=b.test&limit=1",
            "200",
            "\"next\":1",
        ),
        ("POST /queue/release?id=0B", "200", "\"recipients\":1"),
        (
            "POST /queue/retry?all=yes",
            "200",
            "\"messages\":3,\"recipients\":3",
        ),
        ("POST /queue/drop?sender=%3C%3E", "200", "\"messages\":1"),
        ("GET /queue/0B", "404", "no such message"),
        (
            "POST /queue/drop?all=yes&after=1&until=1",
            "200",
            "\"messages\":0",
        ),
        (
            "POST /queue/drop?all=yes",
            "200",
            "{\"messages\":2,\"recipients\":3",
        ),
        (
            "GET /queue",
            "200",
            "{\"messages\":[],\"next\":null,\"total\":0}",
        ),
    ] {
        served.expect(line, status, said).await;
    }
    served.end().await;
}

#[tokio::test]
async fn without_a_store_there_is_no_queue() {
    let served = Served::operating(None).await;
    for line in ["GET /queue", "GET /queue/0A", "POST /queue/retry?all=yes"] {
        served.expect(line, "503", "there is no queue").await;
    }
    let answer = served.client(everything).await;
    assert!(
        answer
            .unwrap_err()
            .to_string()
            .contains("there is no queue")
    );
    served.end().await;
}

fn everything(client: &Client) -> Result<QueuePage, super::super::client::ClientError> {
    client.queue(&QueueSelection::default(), None, MAX_PAGE)
}

#[tokio::test]
async fn the_client_understands_every_answer() {
    let (_directory, served) = served(three()).await;
    let page = served.client(everything).await.unwrap();
    assert_eq!(
        (page.messages.len(), page.next, page.total),
        (3, None, Some(3))
    );
    let shown = served.client(|client| client.queue_message("0A")).await;
    let at = |millis| time(RECEIVED + millis);
    let recipient = |address: &str, domain: &str| QueueRecipient {
        address: address.to_owned(),
        domain: domain.to_owned(),
        status: QueueState::Waiting,
        reply: Some("451 4.4.1 nobody answers".to_owned()),
        attempts: 1,
        last_attempt: Some(at(1_000)),
        next_attempt: Some(at(60_000)),
    };
    let expected = QueueEntry {
        id: "0A".to_owned(),
        state: QueueState::Waiting,
        sender: "s@x.test".to_owned(),
        size: 3,
        received: at(0),
        next_attempt: Some(at(60_000)),
        expires: at(432_000_000),
        recipients: vec![
            recipient("1@a.test", "a.test"),
            recipient("2@b.test", "b.test"),
        ],
    };
    assert_eq!(shown, Ok(Answer::Found(expected.clone())));
    assert_eq!(page.messages[0], expected);
    let selection = QueueSelection {
        sender: Some("s+t@x.test".to_owned()),
        domain: Some("c.test".to_owned()),
        ..QueueSelection::default()
    };
    let held = served
        .client(move |client| client.queue_change(Act::Hold, &selection, None))
        .await;
    assert_eq!(held, Ok(Answer::Found(one_of(1))));
    let all = QueueSelection::default();
    let rest = QueueRest { after: 1, until: 2 };
    let dropped = served
        .client(move |client| client.queue_change(Act::Drop, &all, Some(rest)))
        .await;
    assert_eq!(dropped, Ok(Answer::Found(one_of(1))));
    let missing = served.client(|client| client.queue_message("0B")).await;
    assert_eq!(missing, Ok(Answer::Missing(QueueMissing::of("0B"))));
    served.end().await;
}

fn one_of(recipients: u64) -> QueueChanged {
    QueueChanged {
        messages: 1,
        recipients,
        rest: None,
    }
}

#[test]
fn the_state_of_a_message() {
    use QueueState::{Active, Held, Waiting};
    for (recipients, expected) in [
        (&[Waiting][..], Waiting),
        (&[Held, Held], Held),
        (&[Held, Waiting], Waiting),
        (&[Held, Active], Active),
        (&[Waiting, Active, Held], Active),
    ] {
        let of = |status: &QueueState| QueueRecipient {
            address: String::new(),
            domain: String::new(),
            status: *status,
            reply: None,
            attempts: 0,
            last_attempt: None,
            next_attempt: None,
        };
        let recipients: Vec<_> = recipients.iter().map(of).collect();
        assert_eq!(state_of(&recipients), expected, "{recipients:?}");
    }
}

#[test]
fn times_beyond_what_fits_are_the_end_of_time() {
    assert_eq!(time(1_500).to_string(), "1970-01-01T00:00:01Z");
    assert_eq!(time(u64::MAX), Timestamp::MAX);
}
