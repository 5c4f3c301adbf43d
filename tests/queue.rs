//! What Sealpost has answered with 250 is delivered or reported, whatever happens in between.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::wildcard_enum_match_arm)] // hooks change one stage

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
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

/// A host that answers nobody until the flag is set.
fn closed_until(open: &Arc<AtomicBool>) -> Script {
    let open = Arc::clone(open);
    Script::default().on(move |moment| match moment.stage {
        Stage::Greeting if !open.load(Ordering::SeqCst) => {
            Act::reply(421, "4.3.2 closed").then_close()
        }
        _ => Act::Normal,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_outcome_is_the_reply_and_nothing_is_kept() {
    let world = queueing()
        .config("[relay]\ncustody = 'auto'")
        .domain("a.test", Script::default())
        .domain("b.test", Script::default())
        .domain(
            "full.test",
            Script::default().rcpt("x@full.test", (452, "4.2.2 full")),
        )
        .domain(
            "gone.test",
            Script::default().rcpt("x@gone.test", (550, "5.1.1 gone")),
        )
        .start()
        .await;
    for (to, code, enhanced, words) in [
        (["x@a.test", "x@b.test"], 250, "2.0.0", "mx.a.test["),
        (["x@full.test", "x@full.test"], 452, "4.2.2", "full"),
        (["x@gone.test", "x@gone.test"], 550, "5.1.1", "gone"),
    ] {
        let mut client = world.smtp().await;
        let reply = client
            .mail("sender@client.test", &to, CONTENT)
            .await
            .unwrap();
        assert_eq!(
            (reply.code, reply.enhanced()),
            (code, Some(enhanced)),
            "{reply}"
        );
        assert!(reply.text().contains(words), "{reply}");
        assert!(reply.text().ends_with(" (and 1 more)"), "{reply}");
    }
    let queued = world
        .daemon
        .metric("deliveries_total", &[("result", "queued")])
        .await;
    assert_eq!(queued, 0.0);
    assert!(world.mx("home.test").messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lmtp_in_custody_queue_hears_of_each_that_it_is_queued() {
    let world = queueing().domain("a.test", Script::default()).start().await;
    let replies = world.send_lmtp(&["x@a.test", "y@a.test"]).await;
    assert_eq!(replies.len(), 2);
    assert!(
        replies
            .iter()
            .all(|r| r.code == 250 && r.text().contains("queued as "))
    );
    assert!(world.mx("a.test").wait_for_messages(1).await);
    assert_eq!(
        world.mx("a.test").messages()[0].recipients.len(),
        2,
        "in one transaction"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_answers_nobody_delays_no_other() {
    let world = queueing()
        .config("[outbound]\nmax_connections = 4\nmax_connections_per_mx = 2")
        .domain("dead.test", Script::silent())
        .domain("a.test", Script::default())
        .start()
        .await;
    let mut client = world.smtp().await;
    for _ in 0..300 {
        let reply = client
            .mail("sender@client.test", &["x@dead.test"], CONTENT)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    }
    let began = Instant::now();
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert!(world.mx("a.test").wait_for_messages(1).await);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_back_is_drained_over_few_connections() {
    let open = Arc::new(AtomicBool::new(false));
    let world = queueing()
        .domain("a.test", closed_until(&open))
        .start()
        .await;
    let mut client = world.smtp().await;
    for _ in 0..60 {
        let reply = client
            .mail("sender@client.test", &["x@a.test"], CONTENT)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    }
    let refused = world.mx("a.test").connections().len();
    assert!(refused < 20, "{refused} calls for 60 messages");
    open.store(true, Ordering::SeqCst);
    assert!(world.mx("a.test").wait_for_messages(60).await);
    let connections = world.mx("a.test").connections();
    let used = connections.iter().filter(|c| c.tls.is_some()).count();
    assert!(used <= 20, "{used} connections for 60 messages");
    let commands = |c: &lab::mx::Connection| {
        c.tls_commands
            .iter()
            .filter(|line| line.starts_with("MAIL"))
            .count()
    };
    let most = connections.iter().map(commands).max().unwrap();
    assert!(most >= 3, "at most {most} messages over one connection");
    assert!(world.mx("a.test").violations().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_about_a_message_survives_the_queue() {
    let open = Arc::new(AtomicBool::new(false));
    let mut world = queueing()
        .domain("a.test", closed_until(&open))
        .start()
        .await;
    let large = [
        "Subject: größer\r\nTLS-Required: No\r\n\r\n".as_bytes(),
        &"0123456789 äöü\r\n".repeat(30_000).into_bytes(),
    ]
    .concat();
    let mut client = world.smtp().await;
    for command in [
        "XFORWARD IDENT=4Xyz",
        "MAIL FROM:<\"odd sender\"@client.test> BODY=8BITMIME RET=HDRS ENVID=abc+2Bdef",
        "RCPT TO:<\"odd one\"@a.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first@b.test",
    ] {
        let reply = client.command(command).await.unwrap();
        assert_eq!(reply.code, 250, "{command}: {reply}");
    }
    client.command("DATA").await.unwrap();
    client.send(lab::client::stuffed(&large)).await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 250);
    assert_eq!(world.daemon.kept_files(), 1, "a large content has a file");
    world.daemon.restart("KILL").await;
    open.store(true, Ordering::SeqCst);
    let mx = world.mx("a.test");
    assert!(mx.wait_for_messages(1).await);
    let message = &mx.messages()[0];
    assert_eq!(message.sender, "\"odd sender\"@client.test");
    for parameter in ["BODY=8BITMIME", "RET=HDRS", "ENVID=abc+2Bdef"] {
        assert!(
            message.params.iter().any(|p| p == parameter),
            "{:?}",
            message.params
        );
    }
    let recipient = &message.recipients[0];
    assert_eq!(recipient.address, "\"odd one\"@a.test");
    assert_eq!(
        recipient.params,
        ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;first@b.test"]
    );
    assert!(message.content.ends_with(&large), "octet for octet");
    let delivered = |line: &support::Log| line["result"] == "delivered";
    let line = world.daemon.wait_log(delivered).await;
    assert_eq!(line["client_id"], "4Xyz");
    let until = Instant::now() + Duration::from_secs(10);
    while world.daemon.kept_files() > 0 {
        assert!(Instant::now() < until, "its file is left behind");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_at_the_end_is_given_back_or_finished() {
    let slow = Script {
        dot: Act::Normal.after(Duration::from_secs(2)),
        ..Script::default()
    };
    let mut world = queueing()
        .domain("slow.test", slow)
        .domain("silent.test", Script::silent())
        .start()
        .await;
    assert_eq!(world.send("x@slow.test").await.code, 250);
    assert_eq!(world.send("x@silent.test").await.code, 250);
    let dotted = world
        .mx("slow.test")
        .wait_for(|record| !record.messages.is_empty())
        .await;
    assert!(dotted);
    world.daemon.signal("TERM");
    let began = Instant::now();
    let exit = world
        .daemon
        .wait_exit(Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "nobody waits for it"
    );
    world.mx("silent.test").set_script(Script::default());
    world.daemon.start_again().await;
    assert!(world.mx("silent.test").wait_for_messages(1).await);
    assert_eq!(
        world.mx("slow.test").messages().len(),
        1,
        "it was finished, and is not sent again"
    );
    let attempts =
        |line: &support::Log| line["result"] == "delivered" && line["to"] == "x@silent.test";
    let line = world.daemon.wait_log(attempts).await;
    assert_eq!(
        line["queue_attempt"], 1,
        "what was given up by us does not count"
    );
    assert_eq!(line["possible_duplicate"], "no");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_cut_off_is_said_to_be_a_possible_duplicate() {
    let open = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&open);
    let script = Script::default().on(move |moment| match moment.stage {
        Stage::Dot if !is_open.load(Ordering::SeqCst) => Act::Silence,
        _ => Act::Normal,
    });
    let mut world = queueing().domain("a.test", script).start().await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert!(
        world
            .mx("a.test")
            .wait_for(|record| record.messages.len() == 1)
            .await
    );
    world.daemon.kill();
    world.daemon.gone().await;
    open.store(true, Ordering::SeqCst);
    world.daemon.start_again().await;
    let delivered = |line: &support::Log| line["result"] == "delivered";
    let line = world.daemon.wait_log(delivered).await;
    assert_eq!(line["possible_duplicate"], "yes");
    assert_eq!(line["queue_attempt"], 2);
}
