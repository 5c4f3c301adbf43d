//! What clients do wrong, and what they may try with the host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::client::tls_config;
use lab::sts::{Answer, PolicyScript};
use tokio::io::AsyncReadExt;

use crate::client::{Client, End, NAME, request, tcp};
use crate::host;

#[tokio::test(flavor = "multi_thread")]
async fn correct_requests_are_recorded_and_have_no_violations() {
    let host = host(Answer::Good).await;
    let mut client = Client::connect(host.address()).await.unwrap();
    let with_port = format!("{NAME}:{}", host.address().port());
    let fields = "User-Agent: x\r\nAccept: */*\r\nConnection: close";
    for text in [
        request(NAME),
        request(&with_port),
        request(&format!("{NAME}\r\n{fields}")),
    ] {
        client.say(text).await;
        assert_eq!(client.response().await.unwrap().status, 200);
    }
    assert_eq!(client.rest().await, (String::new(), End::InOrder));
    let requests = host.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[2].method, "GET");
    assert_eq!(requests[2].target, "/.well-known/mta-sts.txt");
    assert_eq!(requests[2].header("user-agent"), Some("x"));
    assert_eq!(requests[2].headers.len(), 4);
    assert_eq!(requests[2].sni.as_deref(), Some(NAME));
    assert_eq!(requests[1].header("Host"), Some(with_port.as_str()));
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_violation_is_noticed_and_answered_all_the_same() {
    let good = request(NAME);
    let with = |field: &str| request(&format!("{NAME}\r\n{field}"));
    let twice = format!("{good}{good}");
    for (text, violation) in [
        (
            good.replace("mta-sts.txt", "other.txt"),
            "the request line is \"GET /.well-known/other.txt HTTP/1.1\"",
        ),
        (good.replace("Host", "Hist"), "a request with 0 Host fields"),
        (request("a.test"), "a request with the Host \"a.test\""),
        (with("Cookie: a=b"), "a request with Cookie"),
        (
            with("Authorization: Basic eDp5"),
            "a request with Authorization",
        ),
        (with("Content-Length: 3") + "abc", "a request with a body"),
        (twice, "octets after a request, before its answer"),
    ] {
        let host = host(Answer::Good).await;
        let mut client = Client::connect(host.address()).await.unwrap();
        client.say(&text).await;
        assert_eq!(client.response().await.unwrap().status, 200, "{text}");
        drop(client);
        assert!(host.wait_for_closed().await);
        assert_eq!(
            host.violations(),
            [format!("connection 0: {violation}")],
            "{text}"
        );
        assert_eq!(host.requests().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_follows_before_the_answer_is_noticed_also_late() {
    let host = host(Answer::Gated {
        body: String::new(),
    })
    .await;
    let mut client = Client::asking(&host).await;
    assert!(host.wait_for_requests(1).await);
    assert_eq!(host.violations(), Vec::<String>::new());
    client.say(request(NAME)).await;
    assert!(host.wait_for_violations(1).await);
    host.release();
    assert_eq!(client.response().await.unwrap().status, 200);
    let (rest, _) = client.rest().await;
    assert_eq!(rest, "");
    assert_eq!(host.violations().len(), 1, "{:?}", host.violations());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_server_name_or_none_is_noticed() {
    let mut silent = rustls::ClientConfig::clone(&tls_config(None));
    silent.enable_sni = false;
    for (name, config, violation) in [
        (NAME, Arc::new(silent), "a handshake without a server name"),
        (
            "a.test",
            tls_config(None),
            "a handshake with the server name a.test",
        ),
    ] {
        let host = host(Answer::Good).await;
        let client = Client::connect_for(host.address(), name, config).await;
        let mut client = client.unwrap();
        client.say(request(NAME)).await;
        client.response().await.unwrap();
        let violations = host.violations();
        assert_eq!(violations[0], format!("connection 0: {violation}"));
        let sni = host.requests()[0].sni.clone();
        assert_eq!(sni.as_deref(), (name != NAME).then_some("a.test"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_is_refused() {
    for octets in [
        vec![b'A'; 65_536],
        format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(10_000)).into_bytes(),
        "X: y\r\n".repeat(10_000).into_bytes(),
    ] {
        let host = host(Answer::Good).await;
        let mut client = Client::connect(host.address()).await.unwrap();
        client.say(&octets).await;
        let (text, end) = client.rest().await;
        assert!(
            text.starts_with("HTTP/1.1 431 ") && end == End::InOrder,
            "{text}"
        );
        assert_eq!(
            host.violations(),
            ["connection 0: a head of more than 8192 octets"]
        );
        assert_eq!(host.requests().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_not_waited_for() {
    let patience = Duration::from_millis(150);
    let host = host(PolicyScript {
        patience,
        ..PolicyScript::default()
    })
    .await;
    let begun = Instant::now();
    let mut socket = tcp(host.address()).await.unwrap();
    let mut buffer = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut buffer));
    assert_eq!(read.await.unwrap().unwrap_or(0), 0);
    assert!(begun.elapsed() >= patience);
    assert_eq!(host.failed_handshakes(), ["the client said too little"]);

    let mut client = Client::connect(host.address()).await.unwrap();
    client.say("GET /").await;
    assert_eq!(client.rest().await, (String::new(), End::InOrder));
    assert_eq!((host.requests().len(), host.violations().len()), (0, 0));
}
