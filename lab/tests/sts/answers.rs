//! Every answer does what it says.

use std::time::{Duration, Instant};

use lab::sts::{Answer, PolicyScript, TRAP_MX, policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, End, fetch, tcp};
use crate::host;

const OWN: &str = "version: STSv1\r\nmode: enforce\r\nmx: mx.a.test\r\nmax_age: 86400\r\n";

fn text() -> String {
    policy("testing", &["mx1.a.test", "*.b.test"], 604_800)
}

#[test]
fn a_policy_has_the_lines_of_rfc_8461_section_3_2() {
    let lines =
        "version: STSv1\r\nmode: testing\r\nmx: mx1.a.test\r\nmx: *.b.test\r\nmax_age: 604800\r\n";
    assert_eq!(text(), lines);
    let none = "version: STSv1\r\nmode: none\r\nmax_age: 0\r\n";
    assert_eq!(policy("none", &[], 0), none);
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_are_whole() {
    let trap = policy("enforce", &[TRAP_MX], 86_400);
    let custom = |headers: &[(&str, &str)]| Answer::Custom {
        status: 200,
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        body: b"odd".to_vec(),
    };
    let plain = "\r\nContent-Type: text/plain\r\n";
    for (answer, status, field, body) in [
        (Answer::Good, 200, plain, OWN),
        (Answer::Policy(text()), 200, plain, &text()),
        (Answer::Status(404), 404, plain, &trap),
        (Answer::Status(304), 304, plain, &trap),
        (
            Answer::Redirect("https://b.test/x".to_owned()),
            301,
            "\r\nLocation: https://b.test/x\r\n",
            &trap,
        ),
        (
            custom(&[]),
            200,
            "200 OK\r\nContent-Length: 3\r\n\r\n",
            "odd",
        ),
        (
            custom(&[("Content-Type", "text/html")]),
            200,
            "\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n",
            "odd",
        ),
        (
            custom(&[("Content-Length", "2"), ("X", "y")]),
            200,
            "200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\n",
            "od",
        ),
    ] {
        let host = host(answer.clone()).await;
        let response = fetch(&host).await;
        assert_eq!(response.status, status, "{answer:?}");
        assert!(
            response.head.contains(field),
            "{answer:?} {}",
            response.head
        );
        assert_eq!(response.body, body, "{answer:?}");
        assert_eq!(host.violations(), Vec::<String>::new(), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_policy_comes_whole() {
    let host = host(Answer::Big(65_537)).await;
    let body = fetch(&host).await.body;
    assert!(body.len() == 65_537 && body.starts_with(OWN));
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "a big policy")]
async fn a_big_policy_cannot_be_small() {
    host(Answer::Good).await.answer(Answer::Big(511));
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_end_the_connection() {
    let raw = b"HTTP/1.0 200\r\n\r\nx".to_vec();
    let told = String::from_utf8(raw.clone()).unwrap();
    for (answer, octets, end) in [
        (Answer::Raw(raw.clone()), told.as_str(), End::InOrder),
        (Answer::Raw(Vec::new()), "", End::InOrder),
        (Answer::Cut(raw), &told, End::Cut),
        (Answer::CloseAfterRequest, "", End::InOrder),
    ] {
        let host = host(answer.clone()).await;
        let found = Client::asking(&host).await.rest().await;
        assert_eq!(found, (octets.to_owned(), end), "{answer:?}");
        assert!(host.wait_for_requests(1).await && host.wait_for_closed().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_response_promises_more_than_comes() {
    let host = host(Answer::Truncated).await;
    let (octets, end) = Client::asking(&host).await.rest().await;
    let trap = policy("enforce", &[TRAP_MX], 86_400);
    assert!(octets.contains(&format!("\r\nContent-Length: {}\r\n", trap.len() + 100)));
    assert!(octets.ends_with(&format!("\r\n\r\n{trap}")) && end == End::InOrder);
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_do_not_come_about() {
    for (answer, text) in [
        (Answer::BrokenTls, "InvalidContentType"),
        (Answer::Alert(112), "UnrecognisedName"),
        (Answer::CloseBeforeTls, "tls handshake eof"),
    ] {
        let host = host(answer.clone()).await;
        let Err(error) = Client::connect(host.address()).await else {
            panic!("{answer:?} makes no connection");
        };
        assert!(error.to_string().contains(text), "{answer:?}: {error}");
        assert!(host.wait_for_closed().await);
        assert_eq!((host.connections(), host.requests().len()), (1, 0));
        assert_eq!(host.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_before_tls_never_says_anything() {
    let host = host(Answer::HangBeforeTls).await;
    let mut socket = tcp(host.address()).await.unwrap();
    socket.write_all(b"\x16\x03\x01hello?").await.unwrap();
    let mut buffer = [0; 1];
    let heard = tokio::time::timeout(Duration::from_millis(200), socket.read(&mut buffer));
    assert!(heard.await.is_err());
    assert_eq!((host.open(), host.connections()), (1, 1));
    drop(socket);
    assert!(host.wait_for_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_reads_the_request_and_notices_that_the_client_goes() {
    let host = host(Answer::Hang).await;
    let mut client = Client::asking(&host).await;
    assert!(host.wait_for_requests(1).await && client.hears_nothing().await);
    assert_eq!(host.open(), 1);
    drop(client);
    assert!(host.wait_for_closed().await);
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dripping_response_takes_its_time_and_is_whole() {
    let every = Duration::from_millis(2);
    let host = host(Answer::Drip {
        every,
        body: text(),
    })
    .await;
    let begun = Instant::now();
    let response = fetch(&host).await;
    assert_eq!(response.body, text());
    let octets = response.head.len() + response.body.len();
    let pauses = u32::try_from(octets - 1).unwrap();
    assert!(begun.elapsed() >= every * pauses, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_body_is_chunked_and_ends_with_the_client() {
    let host = host(Answer::Endless).await;
    let mut client = Client::asking(&host).await;
    let octets = client.octets(2 << 20).await.unwrap();
    let text = String::from_utf8(octets).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nTransfer-Encoding: chunked"), "{head}");
    let mut rest = body;
    let mut decoded = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some(chunk) = more.get(..size) else { break };
        decoded.push_str(chunk);
        rest = more[size..].strip_prefix("\r\n").unwrap_or("");
    }
    assert!(decoded.starts_with(&policy("enforce", &[TRAP_MX], 86_400)));
    let lines = decoded.strip_suffix("\r\n").unwrap().split("\r\n");
    assert!(lines.skip(4).all(|line| line.starts_with("x_pad: ")));
    assert!(decoded.len() > 1 << 20);
    drop(client);
    assert!(host.wait_for_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_response_is_late_and_right() {
    let after = Duration::from_millis(150);
    let host = host(Answer::Late {
        after,
        body: text(),
    })
    .await;
    let begun = Instant::now();
    assert_eq!(fetch(&host).await.body, text());
    assert!(begun.elapsed() >= after);
}

#[tokio::test(flavor = "multi_thread")]
async fn gated_responses_wait_for_the_release_and_later_ones_do_not() {
    let host = host(Answer::Gated { body: text() }).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(Client::asking(&host).await);
    }
    assert!(host.wait_for_requests(3).await && waiting[0].hears_nothing().await);
    assert_eq!((host.open(), host.most_open()), (3, 3));
    host.release();
    for client in &mut waiting {
        assert_eq!(client.response().await.unwrap().body, text());
    }
    assert_eq!(fetch(&host).await.body, text());
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_counts_from_the_next_connection_on() {
    let host = host(Answer::Good).await;
    let mut old = Client::asking(&host).await;
    assert_eq!(old.response().await.unwrap().status, 200);
    host.answer(Answer::Status(500));
    old.say(crate::client::request(crate::client::NAME)).await;
    assert_eq!(old.response().await.unwrap().status, 200);
    assert_eq!(fetch(&host).await.status, 500);
    host.set(PolicyScript::policy("nonsense"));
    assert_eq!(fetch(&host).await.body, "nonsense");
    assert_eq!((host.connections(), host.requests().len()), (3, 4));
}
