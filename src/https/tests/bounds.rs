//! Nothing is endless: sizes, times, and what is left when nobody waits any more.

use super::*;
use crate::policy::TlsFailure;

#[tokio::test]
async fn a_body_may_be_as_large_as_allowed_and_no_larger() {
    let chunked = |size: usize| format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size));
    for (size, expected) in [
        (MAX_BODY, Ok(MAX_BODY)),
        (MAX_BODY + 1, Err(HttpsFailure::TooBig)),
    ] {
        let body = "x".repeat(size);
        for answer in [
            ok(&format!("Content-Length: {size}"), &body),
            ok("Transfer-Encoding: chunked", &chunked(size)),
            ok("Connection: close", &body),
        ] {
            let (world, address) = World::answering(&answer).await;
            let got = world
                .get(&[address])
                .await
                .map(|response| response.body.len());
            assert_eq!(got, expected);
        }
    }
}

#[tokio::test]
async fn what_never_ends_is_ended() {
    let chunked = ok("Transfer-Encoding: chunked", "");
    let now = Duration::ZERO;
    let slowly = Duration::from_millis(20);
    for (what, begin, repeat, pause, expected) in [
        (
            "chunks",
            chunked.clone(),
            "4\r\nbody\r\n",
            now,
            HttpsFailure::TooBig,
        ),
        (
            "a long body",
            ok("X: y", ""),
            "body",
            now,
            HttpsFailure::TooBig,
        ),
        (
            "a body, octet by octet",
            ok("Content-Length: 999", ""),
            "b",
            slowly,
            HttpsFailure::TimedOut,
        ),
        (
            "empty pauses between chunks",
            chunked,
            "1\r\nb\r\n",
            slowly,
            HttpsFailure::TimedOut,
        ),
        (
            "a head, octet by octet",
            b"HTTP/1.1 200 OK\r\nX: ".to_vec(),
            "y",
            slowly,
            HttpsFailure::TimedOut,
        ),
        (
            "hints",
            vec![],
            "HTTP/1.1 103 Early Hints\r\n\r\n",
            slowly,
            HttpsFailure::TimedOut,
        ),
    ] {
        let mut world = World::new();
        let acts = vec![
            world.tls(),
            Act::Head,
            Act::Send(begin),
            Act::Repeat(repeat, pause),
        ];
        let address = world.serve(acts).await;
        let within = if pause == now { LONG } else { SHORT };
        let got = world.get_within(&[address], within).await;
        assert_eq!(got, Err(expected), "{what}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_too_large() {
    const Y: &str = "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    let mut world = World::new();
    let begin = Act::Send(b"HTTP/1.1 200 OK\r\nX: ".to_vec());
    let acts = vec![
        world.tls(),
        Act::Head,
        begin,
        Act::Repeat(Y, Duration::ZERO),
    ];
    let address = world.serve(acts).await;
    let got = world.get(&[address]).await;
    assert!(matches!(got, Err(HttpsFailure::Http(_))), "{got:?}");
}

#[tokio::test]
async fn the_body_of_another_status_is_not_waited_for() {
    let mut world = World::new();
    let begin = Act::Send(b"HTTP/1.1 404 No\r\n\r\n".to_vec());
    let acts = vec![
        world.tls(),
        Act::Head,
        begin,
        Act::Repeat("body", Duration::ZERO),
    ];
    let address = world.serve(acts).await;
    assert_eq!(world.get(&[address]).await.unwrap().status, 404);
}

#[tokio::test]
async fn silence_is_told_by_its_stage() {
    let mut world = World::new();
    for (acts, expected) in [
        (vec![], HttpsFailure::Tls(TlsFailure::HandshakeTimeout)),
        (vec![world.tls()], HttpsFailure::TimedOut),
        (vec![world.tls(), Act::Head], HttpsFailure::TimedOut),
    ] {
        let address = world.serve(acts).await;
        assert_eq!(world.get_within(&[address], SHORT).await, Err(expected));
    }
}

#[tokio::test]
async fn whoever_answers_without_tls_is_not_asked() {
    let mut world = World::new();
    let address = world
        .serve(vec![Act::Send(ok("Content-Length: 2", "hi")), Act::Head])
        .await;
    let got = world.get(&[address]).await;
    assert!(
        matches!(got, Err(HttpsFailure::Tls(TlsFailure::Handshake(_)))),
        "{got:?}"
    );
    let address = world.serve(vec![Act::Leave]).await;
    let got = world.get(&[address]).await;
    assert_eq!(got, Err(HttpsFailure::Tls(TlsFailure::ConnectionLost)));
    assert!(world.heads().is_empty());
}

/// Neither a task nor a socket is left.
#[tokio::test]
async fn dropping_it_ends_everything() {
    let mut world = World::new();
    let endless = Act::Repeat("1\r\nb\r\n", Duration::from_millis(5));
    let begin = Act::Send(ok("Transfer-Encoding: chunked", ""));
    for acts in [
        vec![],
        vec![world.tls(), Act::Head],
        vec![world.tls(), Act::Head, begin, endless],
    ] {
        let address = world.serve(acts).await;
        let before = world.seen.connections.load(Ordering::SeqCst);
        {
            let addresses = [address];
            let mut getting = std::pin::pin!(world.get(&addresses));
            let begun = async {
                while world.seen.connections.load(Ordering::SeqCst) == before {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            tokio::select! {
                got = &mut getting => panic!("{got:?}"),
                () = begun => {}
            }
        }
        let patience = Instant::now() + Duration::from_secs(20);
        while world.seen.ended.load(Ordering::SeqCst) <= before {
            assert!(Instant::now() < patience, "the connection is still open");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
