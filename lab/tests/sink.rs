//! The lean host.
#![allow(clippy::unwrap_used, reason = "it is test code")]

use std::time::Duration;

use lab::ca::Ca;
use lab::client::SmtpClient;
use lab::sink::{Sink, SinkSettings};

#[tokio::test(flavor = "multi_thread")]
async fn it_counts_whatever_the_content_looks_like() {
    let identity = Some(Ca::default().identity("sink.test"));
    let settings = SinkSettings {
        identity,
        ..SinkSettings::default()
    };
    let sink = Sink::start(&["127.0.0.1:0".parse().unwrap()], settings)
        .await
        .unwrap();
    let client = SmtpClient::smtp(sink.addresses()[0]).await.unwrap();
    let mut client = client.starttls("sink.test").await.unwrap();
    client.command("EHLO a").await.unwrap().expect(250).unwrap();
    let contents: [&[u8]; 5] = [
        b"",
        b".\r\n",
        b"a sentence.\r\nanother.\r\n",
        b"\r\n\r\n",
        &b"long.\r\n".repeat(50_000),
    ];
    for content in contents {
        let reply = client
            .mail("a@a.test", &["b@b.test", "c@b.test"], content)
            .await
            .unwrap();
        assert_eq!(reply.code, 250);
    }
    // The end arrives in pieces.
    for line in ["MAIL FROM:<>", "RCPT TO:<b@b.test>", "DATA"] {
        client.command(line).await.unwrap();
    }
    for piece in ["a.\r", "\nb.", "\r\nc\r\n", ".", "\r\n"] {
        client.send(piece).await.unwrap();
    }
    assert_eq!(client.reply().await.unwrap().code, 250);
    assert!(
        sink.wait_for_messages(6, Duration::from_secs(5))
            .await
            .is_some()
    );
    let counts = sink.counts();
    assert_eq!(
        (counts.messages, counts.recipients, counts.handshakes),
        (6, 11, 1)
    );
    assert_eq!(counts.connections, 1);
}
