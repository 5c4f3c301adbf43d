//! The shortest way through everything: one message over SMTP, one over LMTP, STARTTLS on the way out.

mod support;

use support::{CONTENT, Script, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_over_tls_and_is_counted() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let reply = world.send("one@a.test").await;
    assert_eq!(
        (reply.code, reply.enhanced()),
        (250, Some("2.0.0")),
        "{reply}"
    );
    let replies = world.send_lmtp(&["two@a.test", "three@a.test"]).await;
    assert_eq!(
        replies.iter().map(|reply| reply.code).collect::<Vec<_>>(),
        [250, 250]
    );
    let mx = world.mx("a.test");
    let messages = mx.messages();
    assert_eq!(messages.iter().flat_map(|m| m.addresses()).count(), 3);
    for message in &messages {
        assert!(
            message.content.starts_with(b"Received: "),
            "{}",
            message.text()
        );
        assert!(message.content.ends_with(CONTENT), "{}", message.text());
    }
    assert!(!mx.mail_octets_in_clear() && !mx.wire_contains("secret-marker"));
    assert_eq!(mx.violations(), Vec::<String>::new());
    assert_eq!(
        world
            .daemon
            .metric("deliveries_total", &[("result", "delivered")])
            .await,
        3.0
    );
    assert_eq!(world.daemon.deliveries().len(), 3);
}
