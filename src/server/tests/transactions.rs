//! Messages in, replies out.

use super::*;

#[tokio::test]
async fn a_message_comes_through_pipelined_and_dots_are_taken_off() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    for round in ["one", "two"] {
        client.talk(SMTP).await;
        client
            .send(b"Message-ID: <1@b>\r\n\r\n..dot\r\n.\r\n")
            .await;
        let mut got = server.next().await;
        assert_eq!(got.body().await, b"Message-ID: <1@b>\r\n\r\n.dot\r\n");
        assert_eq!(got.message.message_id, "<1@b>");
        got.answer(0, round);
        assert_eq!(client.reply().await, format!("250 {round}"));
    }
    assert_eq!(server.relay.expected.lock().unwrap().len(), 2);
    client.talk(&[("QUIT", "221")]).await;
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn lmtp_replies_leave_one_by_one_in_order() {
    let mut server = start(Protocol::Lmtp, settings());
    let mut client = server.client().await;
    client.greeted("LHLO mta.example").await;
    client
        .talk(&[
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<a@b.example>", "250"),
            ("RCPT TO:<c@b.example>", "250"),
            ("RCPT TO:<d@b.example>", "250"),
            ("DATA", "354"),
        ])
        .await;
    client.send(b"A: b\r\n\r\n.\r\nNOOP\r\n").await;
    let mut got = server.next().await;
    got.answer(0, "first");
    assert_eq!(
        client.reply().await,
        "250 first",
        "while others are unknown"
    );
    got.answer(2, "third");
    got.answer(1, "second");
    assert_eq!(client.reply().await, "250 second");
    assert_eq!(client.reply().await, "250 third");
    assert!(
        client.reply().await.starts_with("250 2.0.0"),
        "NOOP was kept"
    );
}

#[tokio::test]
async fn smuggled_content_is_refused_whole_and_the_session_stays_in_step() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\n\0.\n",
    ] {
        client.talk(SMTP).await;
        let smuggled = format!("A: b\r\n\r\nx{end}MAIL FROM:<evil@b.example>\r\nDATA\r\n\r\n.\r\n");
        client.send(smuggled.as_bytes()).await;
        let reply = client.reply().await;
        assert!(reply.starts_with("550 5.6.11"), "{end:?}: {reply}");
        client.talk(&[("NOOP", "250 2.0.0")]).await;
    }
    client
        .talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<c@d.example>", "250")])
        .await;
    client.send(b"BDAT 5 LAST\r\na\nb\r\n").await;
    assert!(client.reply().await.starts_with("550 5.6.11"));
    assert!(server.submitted.try_recv().is_err(), "nothing was relayed");
    assert_eq!(server.spool.used(), 0);
}

#[tokio::test]
async fn chunks_make_a_message() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client
        .send(
            b"MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nBDAT 7\r\nA: b\r\n\rBDAT 4 LAST\r\n\n.\r\n",
        )
        .await;
    for _ in 0..3 {
        assert!(client.reply().await.starts_with("250 2"));
    }
    let mut got = server.next().await;
    assert_eq!(got.body().await, b"A: b\r\n\r\n.\r\n");
    got.answer(0, "done");
    assert_eq!(client.reply().await, "250 done");
    // Refused chunks are read past.
    client.send(b"BDAT 6\r\nQUIT\r\nNOOP\r\n").await;
    assert!(client.reply().await.starts_with("503"));
    assert!(client.reply().await.starts_with("250 2.0.0"));
}

#[tokio::test]
async fn thousands_of_small_chunks_are_one_message() {
    let roomy = ServerSettings {
        max_message_size: 10_000,
        ..settings()
    };
    let mut server = start(Protocol::Smtp, roomy);
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client
        .talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<c@d.example>", "250")])
        .await;
    let body = b"A: b\r\n\r\n0123456789\r\n".repeat(105);
    let mut wire = Vec::new();
    for octet in &body {
        wire.extend_from_slice(b"BDAT 1\r\n");
        wire.push(*octet);
    }
    wire.extend_from_slice(b"BDAT 0 LAST\r\n");
    client.send(&wire).await;
    assert_eq!(body.len(), 2100);
    for nth in 0..body.len() {
        let reply = client.reply().await;
        assert!(reply.starts_with("250 2"), "{nth}: {reply}");
    }
    let mut got = server.next().await;
    assert!(got.body().await == body);
    got.answer(0, "done");
    assert_eq!(client.reply().await, "250 done");
}

#[tokio::test]
async fn content_beyond_the_limit_is_read_to_its_end() {
    let server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.talk(SMTP).await;
    let line = [&[b'x'; 98][..], b"\r\n"].concat();
    client.send(&line.repeat(5_000)).await;
    client.send(b".\r\nNOOP\r\n").await;
    assert!(client.reply().await.starts_with("552 5.3.4"));
    assert!(client.reply().await.starts_with("250 2.0.0"));
    client
        .talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<c@d.example>", "250")])
        .await;
    client.send(b"BDAT 5000 LAST\r\n").await;
    client.send(&line.repeat(50)).await;
    assert!(client.reply().await.starts_with("552 5.3.4"));
    assert_eq!(server.spool.used(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_withdraws_its_message() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.talk(SMTP).await;
    client.send(b"A: b\r\n\r\n.\r\n").await;
    let got = server.next().await;
    assert!(!got.withdrawn.is_cancelled());
    drop(client);
    timeout(SOON, got.withdrawn.cancelled()).await.unwrap();
}

#[tokio::test]
async fn an_outcome_that_never_comes_is_a_deferral() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.talk(SMTP).await;
    client.send(b"\r\n.\r\n").await;
    drop(server.next().await);
    assert!(client.reply().await.starts_with("451 4.3.0"));
}

#[tokio::test]
async fn large_messages_come_through_a_file_as_they_are() {
    let roomy = ServerSettings {
        max_message_size: 10_000_000,
        ..settings()
    };
    let mut server = start(Protocol::Smtp, roomy);
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.talk(SMTP).await;
    let body: Vec<u8> = (0..200_000u32)
        .flat_map(|n| format!("line {n}\r\n").into_bytes())
        .chain(vec![b'x'; 300_000]) // no line is too long
        .chain(*b"\r\n")
        .collect();
    client
        .send(&[b"A: b\r\n\r\n", &body[..], b".\r\n"].concat())
        .await;
    let mut got = server.next().await;
    assert_eq!(server.spool.used(), 0, "it is in a file");
    assert!(got.body().await == [b"A: b\r\n\r\n", &body[..]].concat());
    got.answer(0, "done");
    assert_eq!(client.reply().await, "250 done");
}

#[tokio::test]
async fn a_unix_socket_is_trusted_and_named_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lmtp.sock");
    let listen = ListenSettings {
        address: ListenAddress::Unix(path.clone()),
        protocol: Protocol::Lmtp,
        mode: None,
        group: None,
        tls: None,
        hostname: Some(DomainName::parse("other.example").unwrap()),
        bind: vec!["192.0.2.7".parse().unwrap()],
    };
    let nobody = ServerSettings {
        networks: Vec::new(),
        ..settings()
    };
    let mut server = serve(&listen, nobody);
    let mut client = Client {
        stream: tokio::net::UnixStream::connect(&path).await.unwrap(),
        read: Vec::new(),
    };
    assert!(client.reply().await.starts_with("220 other.example LMTP"));
    client.talk(&[("LHLO mta.example", "250")]).await;
    client.talk(SMTP).await;
    client.send(b"\r\n.\r\n").await;
    let got = server.next().await;
    assert_eq!(got.message.origin.client, "unix");
    assert_eq!(got.message.origin.bind, listen.bind);
    assert_eq!(got.message.origin.hostname, listen.hostname);
    let content = String::from_utf8(got.content().await).unwrap();
    let expected =
        "Received: from mta.example (unix)\r\n\tby other.example (Sealpost) with LMTP id ";
    assert!(content.starts_with(expected), "{content}");
}

#[tokio::test]
async fn a_panic_ends_its_own_session_only() {
    let one = ServerSettings {
        max_sessions: 1,
        ..settings()
    };
    let server = start(Protocol::Smtp, one);
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client
        .send(b"MAIL FROM:<>\r\nRCPT TO:<panic@b.example>\r\n")
        .await;
    client.rest().await;
    let mut next = server.client().await;
    next.greeted("EHLO mta.example").await; // in the place that was given back
}
