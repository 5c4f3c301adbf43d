//! What Sealpost has answered with 250 is delivered or reported, whatever happens in between.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::time::Duration;
use support::{Act, CONTENT, Daemon, Script, Stage, World, WorldBuilder};

/// Everything is kept, retried every second, and notices go to the host of `home.test`.
fn queueing() -> WorldBuilder {
    World::new()
        .domain("home.test", Script::default())
        .config("[relay]\ncustody = 'queue'")
        .config("[queue]\nretry = ['1s']")
        .config_with(|net| {
            let home = net.mx("home.test").address();
            format!("[queue]\ndsn_via = '[{}]:{}'\n", home.ip(), home.port())
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_delivered_at_once() {
    let world = queueing().domain("a.test", Script::default()).start().await;
    let reply = world.send("x@a.test").await;
    assert_eq!(
        (reply.code, reply.enhanced()),
        (250, Some("2.0.0")),
        "{reply}"
    );
    assert!(reply.text().contains("queued as "), "{reply}");
    assert!(world.mx("a.test").wait_for_messages(1).await);
    let labels = [("result", "delivered")];
    world
        .daemon
        .wait_metric("deliveries_total", &labels, 1.0)
        .await;
    let queued = world
        .daemon
        .metric("deliveries_total", &[("result", "queued")])
        .await;
    assert_eq!(queued, 1.0);
    let message = &world.mx("a.test").messages()[0];
    assert_eq!(message.sender, "sender@client.test");
    assert!(message.content.ends_with(CONTENT));
    assert!(world.mx("a.test").violations().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deferred_is_tried_again() {
    let world = queueing()
        .domain("a.test", Script::greylisting())
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert!(world.mx("a.test").wait_for_messages(1).await);
    let labels = [("result", "deferred")];
    world
        .daemon
        .wait_metric("deliveries_total", &labels, 1.0)
        .await;
    let delivered = world
        .daemon
        .wait_log(|line| {
            Daemon::field(line, "result").and_then(|r| r.as_str()) == Some("delivered")
        })
        .await;
    assert_eq!(Daemon::field(&delivered, "queue_attempt").unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_reported_to_its_sender() {
    let script = Script::default().rcpt("nobody@a.test", (550, "5.1.1 no such user"));
    let world = queueing().domain("a.test", script).start().await;
    assert_eq!(world.send("nobody@a.test").await.code, 250);
    let home = world.mx("home.test");
    assert!(home.wait_for_messages(1).await);
    let notice = &home.messages()[0];
    assert_eq!(notice.sender, "");
    assert_eq!(notice.recipients[0].address, "sender@client.test");
    let text = String::from_utf8_lossy(&notice.content).into_owned();
    assert!(text.contains("5.1.1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn differing_outcomes_become_ours_in_auto() {
    let a = Script::default();
    let b = Script::default().on(|moment| match (moment.stage, moment.nth) {
        (Stage::Rcpt, 1) => Act::reply(450, "4.2.0 later"),
        _ => Act::Normal,
    });
    let c = Script::default().rcpt("nobody@c.test", (550, "5.1.1 no such user"));
    let world = queueing()
        .config("[relay]\ncustody = 'auto'")
        .domain("a.test", a)
        .domain("b.test", b)
        .domain("c.test", c)
        .start()
        .await;
    let mut client = world.smtp().await;
    let to = ["x@a.test", "y@b.test", "nobody@c.test"];
    let reply = client
        .mail("sender@client.test", &to, CONTENT)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    assert!(reply.text().contains("queued as "), "{reply}");
    for mx in ["a.test", "b.test", "home.test"] {
        assert!(world.mx(mx).wait_for_messages(1).await, "{mx}");
    }
    assert_eq!(world.mx("a.test").messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_outlives_the_daemon() {
    let closed = Script {
        greeting: Act::reply(421, "4.3.2 closed"),
        ..Script::default()
    };
    let mut world = queueing().domain("a.test", closed).start().await;
    for _ in 0..5 {
        assert_eq!(world.send("x@a.test").await.code, 250);
    }
    world.daemon.kill();
    world.daemon.gone().await;
    world.mx("a.test").set_script(Script::default());
    world.daemon.start_again().await;
    let five = world
        .mx("a.test")
        .wait_at_most(Duration::from_secs(30), |record| record.messages.len() == 5)
        .await;
    assert!(five, "{:?}", world.mx("a.test").messages().len());
}
