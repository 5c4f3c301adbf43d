//! What is made of answers, whole and broken.

use super::*;

#[tokio::test]
async fn the_request_says_what_it_must_and_no_more() {
    let (world, address) = World::answering(&ok("Content-Length: 2", "hi")).await;
    let response = world.get(&[address]).await.unwrap();
    assert_eq!(
        response,
        Response {
            status: 200,
            content_type: None,
            body: b"hi".to_vec(),
            address,
        }
    );
    let expected = format!(
        "GET /.well-known/mta-sts.txt HTTP/1.1\r\nhost: {HOST}:{}\r\nuser-agent: sealpost/{}\r\n\
         accept: text/plain\r\naccept-encoding: identity\r\nconnection: close\r\n\r\n",
        world.ports.port(),
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(world.heads(), [expected]);
}

#[test]
fn the_usual_port_is_not_told() {
    let host = DomainName::parse(HOST).unwrap();
    let get = Get {
        host: &host,
        port: 443,
        path: "/",
        addresses: &[],
        max_body: 0,
        within: LONG,
    };
    let request = crate::https::exchange::request(&get).unwrap();
    assert_eq!(request.headers()["host"], HOST);
}

/// Body as text, media type.
async fn fetched(answer: &[u8]) -> Result<(u16, Option<String>, String), HttpsFailure> {
    let (world, address) = World::answering(answer).await;
    let response = world.get(&[address]).await?;
    let body = String::from_utf8(response.body).unwrap();
    Ok((response.status, response.content_type, body))
}

#[tokio::test]
async fn bodies_are_read_however_they_end() {
    for (head, body, expected) in [
        ("Content-Length: 2", "hi", "hi"),
        ("Content-Length: 2", "hi and more", "hi"),
        ("Content-Length: 0", "", ""),
        (
            "Transfer-Encoding: chunked",
            "1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n",
            "hi",
        ),
        (
            "Transfer-Encoding: Chunked",
            "2\r\nhi\r\n0\r\nTrailer: x\r\n\r\n",
            "hi",
        ),
        ("Connection: close", "up to the end", "up to the end"),
        (
            "Content-Encoding: Identity\r\nContent-Length: 2",
            "hi",
            "hi",
        ),
    ] {
        let got = fetched(&ok(head, body)).await;
        assert_eq!(got, Ok((200, None, expected.into())), "{head}");
    }
    let old = b"HTTP/1.0 200 Fine\r\n\r\nold";
    assert_eq!(fetched(old).await, Ok((200, None, "old".into())));
    let slow =
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(fetched(slow).await, Ok((200, None, "x".into())));
}

#[tokio::test]
async fn other_statuses_are_told_without_their_bodies() {
    for (status, head) in [
        (
            301,
            "Location: https://elsewhere.test/\r\nContent-Length: 4",
        ),
        (302, "Location: /again\r\nContent-Length: 4"),
        (404, "Content-Length: 4"),
        (404, "Content-Length: 999999999"),
        (404, "Content-Encoding: gzip\r\nContent-Length: 4"),
        (500, "Transfer-Encoding: chunked"),
        (201, "Content-Length: 4"),
        (204, "X: y"),
        (304, "X: y"),
    ] {
        let answer = format!("HTTP/1.1 {status} Text\r\nContent-Type: a/b\r\n{head}\r\n\r\nbody");
        let (world, address) = World::answering(answer.as_bytes()).await;
        let response = world.get(&[address, address]).await.unwrap();
        assert_eq!(
            (response.status, response.body.len()),
            (status, 0),
            "{head}"
        );
        assert_eq!(response.content_type.as_deref(), Some("a/b"));
        assert_eq!(world.heads().len(), 1, "asked once: {status} {head}");
    }
}

#[tokio::test]
async fn the_media_type_is_read_leniently_but_not_guessed() {
    for (head, expected) in [
        ("Content-Type: text/plain", Some("text/plain")),
        ("content-type:TEXT/Plain;charset=UTF-8", Some("text/plain")),
        (
            "Content-Type:  text/plain ; charset=\"a;b\"; x=y ",
            Some("text/plain"),
        ),
        ("Content-Type: text/html", Some("text/html")),
        ("Content-Type: ", None),
        ("Content-Type: ;charset=utf-8", None),
        ("Content-Type: text/pl\u{e4}in", None),
        ("Content-Type: text/plain\r\nContent-Type: text/html", None),
        ("X: y", None),
    ] {
        let got = fetched(&ok(&format!("{head}\r\nContent-Length: 0"), "")).await;
        let content_type = got.map(|(_, content_type, _)| content_type);
        assert_eq!(content_type, Ok(expected.map(String::from)), "{head}");
    }
    let long = format!(
        "Content-Type: text/{}\r\nContent-Length: 0",
        "x".repeat(300)
    );
    assert_eq!(
        fetched(&ok(&long, "")).await,
        Ok((200, None, String::new()))
    );
}

#[tokio::test]
async fn codings_that_nobody_asked_for_are_refused() {
    for head in [
        "Content-Encoding: gzip\r\nContent-Length: 2",
        "Content-Encoding: identity\r\nContent-Encoding: br\r\nContent-Length: 2",
        "Content-Encoding: identity, gzip\r\nContent-Length: 2",
        "Transfer-Encoding: gzip, chunked",
    ] {
        let got = fetched(&ok(head, "2\r\nhi\r\n0\r\n\r\n")).await;
        assert_eq!(got, Err(HttpsFailure::Encoded), "{head}");
    }
}

/// Fails as HTTP does, in words that can be shown.
async fn is_no_http(what: &str, answer: Vec<u8>) {
    let got = fetched(&answer).await;
    let Err(HttpsFailure::Http(text)) = got else {
        panic!("{what}: {got:?}");
    };
    let printable = text.chars().all(|c| (' '..='~').contains(&c));
    assert!(
        printable && (1..=200).contains(&text.len()),
        "{what}: {text}"
    );
}

fn fields(count: usize) -> String {
    "X-Field: y\r\n".repeat(count)
}

#[tokio::test]
async fn broken_heads_are_told_in_printable_words() {
    let long = format!("X: {}", "y".repeat(20_000));
    for (what, answer) in [
        ("nothing", b"".to_vec()),
        ("noise", (0..=255).collect()),
        ("no head", b"<html>\x1b[2J</html>\r\n\r\n".to_vec()),
        ("another protocol", b"220 mx.test ESMTP\r\n".to_vec()),
        ("HTTP/2", b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64".to_vec()),
        ("another version", b"HTTP/3.0 200 OK\r\n\r\n".to_vec()),
        ("half a head", b"HTTP/1.1 200 OK\r\nConten".to_vec()),
        ("a bad field", ok("a b: c", "")),
        ("a folded field", ok("X: y\r\n\tz", "")),
        ("too many fields", ok(fields(500).trim_end(), "")),
        ("one field too many", ok(fields(65).trim_end(), "")),
        ("a long field", ok(&long, "")),
        ("a bad length", ok("Content-Length: -1", "hi")),
        ("two", ok("Content-Length: 1\r\nContent-Length: 2", "hi")),
    ] {
        is_no_http(what, answer).await;
    }
    let many = ok(&format!("{}Content-Length: 0", fields(63)), "");
    assert_eq!(fetched(&many).await, Ok((200, None, String::new())));
}

#[tokio::test]
async fn broken_bodies_are_told_in_printable_words() {
    is_no_http("a truncated body", ok("Content-Length: 10", "hi")).await;
    let endless = format!("1;{}", "x".repeat(40_000));
    for (what, body) in [
        ("a truncated chunk", "5\r\nhi"),
        ("a missing last chunk", "2\r\nhi\r\n"),
        ("a bad size", "zz\r\nhi\r\n0\r\n\r\n"),
        ("a size beyond numbers", "fffffffffffffffff\r\n"),
        ("endless extensions", endless.as_str()),
    ] {
        is_no_http(what, ok("Transfer-Encoding: chunked", body)).await;
    }
}

#[tokio::test]
async fn a_body_up_to_the_end_of_the_connection_needs_a_polite_end() {
    let mut world = World::new();
    let answer = Act::Send(ok("Connection: close", "half of"));
    let acts = vec![world.tls(), Act::Head, answer, Act::Leave];
    let address = world.serve(acts).await;
    let got = world.get(&[address]).await;
    assert!(matches!(got, Err(HttpsFailure::Http(_))), "{got:?}");
}
