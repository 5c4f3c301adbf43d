//! Notices to senders (RFC 3461, 3464): what is told to whom, and what becomes of what nobody takes.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::wildcard_enum_match_arm)] // hooks change one stage

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::{Act, CONTENT, Daemon, Script, Stage, World, WorldBuilder};

/// Notices go to the host of `home.test`, where the senders are.
fn usual() -> WorldBuilder {
    World::new()
        .domain("home.test", Script::default())
        .config("[queue]\nretry = ['1s']")
        .config_with(|net| {
            let home = net.mx("home.test").address();
            format!("[queue]\ndsn_via = '[{}]:{}'\n", home.ip(), home.port())
        })
}

fn queueing() -> WorldBuilder {
    usual().config("[relay]\ncustody = 'queue'")
}

/// Says a whole transaction with these MAIL and RCPT commands; the reply to the dot.
async fn send(world: &World, mail: &str, rcpts: &[&str], content: &[u8]) -> support::Reply {
    let mut client = world.smtp().await;
    for command in [mail].iter().chain(rcpts) {
        let reply = client.command(command).await.unwrap();
        assert_eq!(reply.code, 250, "{command}: {reply}");
    }
    client.command("DATA").await.unwrap();
    client.send(lab::client::stuffed(content)).await.unwrap();
    client.reply().await.unwrap()
}

/// The notices that have come home, as text.
fn notices(world: &World) -> Vec<String> {
    let messages = world.mx("home.test").messages();
    let of_null = messages.iter().filter(|message| message.sender.is_empty());
    of_null
        .map(|message| String::from_utf8_lossy(&message.content).into_owned())
        .collect()
}

async fn notice(world: &World) -> String {
    assert!(world.mx("home.test").wait_for_messages(1).await);
    notices(world).remove(0)
}

fn has(text: &str, lines: &[&str]) {
    let unfolded = text.replace("\r\n ", " ").replace("\r\n\t", " ");
    for line in lines {
        assert!(
            unfolded.lines().any(|have| have == *line) || unfolded.contains(line),
            "{line:?} is not in:\n{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_with_everything_that_the_sender_asked_for() {
    let script = Script::default().rcpt("nobody@a.test", (550, "5.1.1 no such user"));
    let world = queueing().domain("a.test", script).start().await;
    let reply = send(
        &world,
        "MAIL FROM:<s@client.test> RET=HDRS ENVID=QQ+2B314159",
        &["RCPT TO:<nobody@a.test> NOTIFY=FAILURE ORCPT=rfc822;first+2Bone@b.test"],
        CONTENT,
    )
    .await;
    assert_eq!(reply.code, 250, "{reply}");
    let text = notice(&world).await;
    has(
        &text,
        &[
            "To: <s@client.test>",
            "Auto-Submitted: auto-replied",
            "Reporting-MTA: dns; relay.test",
            "Original-Envelope-Id: QQ+314159",
            "Original-Recipient: rfc822; first+one@b.test",
            "Final-Recipient: rfc822; nobody@a.test",
            "Action: failed",
            "Status: 5.1.1",
            "Remote-MTA: dns; mx.a.test",
            "no such user",
            "Subject: secret-marker",
        ],
    );
    assert!(!text.contains("hello"), "headers only: {text}");
    let message = &world.mx("home.test").messages()[0];
    assert_eq!(message.sender, "");
    assert_eq!(message.recipients[0].address, "s@client.test");
    assert_eq!(message.recipients[0].params, ["NOTIFY=NEVER"]);
    assert!(world.mx("home.test").violations().is_empty());
    world.daemon.at_rest().await;
    let counted = world
        .daemon
        .metric("notices_total", &[("action", "failed")])
        .await;
    assert_eq!(counted, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_message_comes_back_where_that_is_asked_for() {
    let script = Script {
        dot: (554, "5.7.1 we do not like it").into(),
        ..Script::default()
    };
    let world = queueing().domain("a.test", script).start().await;
    let long = [CONTENT, &b"0123456789\r\n".repeat(30_000)[..]].concat();
    for (mail, content, whole) in [
        ("MAIL FROM:<s@client.test> RET=FULL", &long[..], true),
        ("MAIL FROM:<s@client.test>", CONTENT, true),
        ("MAIL FROM:<s@client.test>", &long[..], false),
    ] {
        let before = notices(&world).len();
        let rcpt = "RCPT TO:<x@a.test>";
        assert_eq!(send(&world, mail, &[rcpt], content).await.code, 250);
        assert!(world.mx("home.test").wait_for_messages(before + 1).await);
        let text = notices(&world).pop().unwrap();
        let end = String::from_utf8_lossy(&content[content.len() - 12..]).into_owned();
        assert_eq!(text.contains(&end), whole, "{mail} {}", content.len());
        assert!(text.contains("secret-marker"));
    }
    world.daemon.at_rest().await;
    assert!(world.mx("home.test").violations().is_empty());
    assert_eq!(world.daemon.kept_files(), 0, "large contents are removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_no_notice_gets_none() {
    let script = Script::default().on(|moment| match moment.stage {
        Stage::Rcpt => Act::reply(550, "5.1.1 no such user"),
        _ => Act::Normal,
    });
    let world = queueing().domain("a.test", script).start().await;
    for (mail, rcpt) in [
        (
            "MAIL FROM:<s@client.test>",
            "RCPT TO:<a@a.test> NOTIFY=NEVER",
        ),
        (
            "MAIL FROM:<s@client.test>",
            "RCPT TO:<b@a.test> NOTIFY=SUCCESS,DELAY",
        ),
        ("MAIL FROM:<>", "RCPT TO:<c@a.test>"),
    ] {
        assert_eq!(send(&world, mail, &[rcpt], CONTENT).await.code, 250);
    }
    let rejected = [("result", "rejected")];
    world
        .daemon
        .wait_metric("deliveries_total", &rejected, 3.0)
        .await;
    world.daemon.at_rest().await;
    assert_eq!(notices(&world), Vec::<String>::new());
    // A bounce that bounces is told to the administrator.
    assert_eq!(world.daemon.metric("double_bounces_total", &[]).await, 1.0);
    let double = |line: &support::Log| {
        line["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("double bounce"))
    };
    let line = world.daemon.wait_log(double).await;
    assert_eq!(line["severity"], "ERROR");
    assert_eq!(line["to"], "c@a.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn success_is_told_where_the_host_does_not() {
    let world = usual()
        .domain("plain.test", Script::default().without("DSN"))
        .domain("dsn.test", Script::default())
        .start()
        .await;
    for custody in ["auto", "client", "queue"] {
        world.reload(&format!("[relay]\ncustody = '{custody}'"));
        world
            .daemon
            .wait_log(|line| line["message"] == "configuration reloaded")
            .await;
        let before = notices(&world).len();
        for rcpt in [
            "RCPT TO:<x@dsn.test> NOTIFY=SUCCESS",
            "RCPT TO:<x@plain.test> NOTIFY=FAILURE",
            "RCPT TO:<x@plain.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@plain.test",
        ] {
            let reply = send(&world, "MAIL FROM:<s@client.test>", &[rcpt], CONTENT).await;
            assert_eq!(reply.code, 250, "{custody} {rcpt}: {reply}");
        }
        let home = world.mx("home.test");
        assert!(home.wait_for_messages(before + 1).await, "{custody}");
        world.daemon.at_rest().await;
        let all = notices(&world);
        assert_eq!(all.len(), before + 1, "{custody}: one, and one only");
        let text = &all[before];
        has(
            text,
            &["Action: relayed", "Final-Recipient: rfc822; x@plain.test"],
        );
        has(text, &["Status: 2."]);
    }
    let dsn = world.mx("dsn.test").messages();
    assert!(
        dsn.iter()
            .all(|m| m.recipients[0].params == ["NOTIFY=SUCCESS"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn delay_is_told_once_and_the_mail_is_tried_on() {
    let full = Arc::new(AtomicBool::new(true));
    let is_full = Arc::clone(&full);
    let script = Script::default().on(move |moment| match moment.stage {
        Stage::Rcpt if is_full.load(Ordering::SeqCst) => Act::reply(450, "4.2.2 mailbox full"),
        _ => Act::Normal,
    });
    let world = queueing()
        .config("[queue]\ndelay_warning = '1s'\nexpire = '1h'")
        .domain("a.test", script)
        .start()
        .await;
    for rcpt in ["RCPT TO:<x@a.test>", "RCPT TO:<y@a.test> NOTIFY=FAILURE"] {
        let mail = "MAIL FROM:<s@client.test>";
        assert_eq!(send(&world, mail, &[rcpt], CONTENT).await.code, 250);
    }
    let text = notice(&world).await;
    has(
        &text,
        &[
            "Action: delayed",
            "Status: 4.2.2",
            "Final-Recipient: rfc822; x@a.test",
            "Will-Retry-Until: ",
            "mailbox full",
        ],
    );
    assert!(!text.contains("y@a.test"));
    full.store(false, Ordering::SeqCst);
    assert!(world.mx("a.test").wait_for_messages(2).await);
    world.daemon.at_rest().await;
    assert_eq!(notices(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_delivered_in_time_is_returned() {
    let deferring = Script::default().on(|moment| match moment.stage {
        Stage::Rcpt => Act::reply(450, "4.2.2 mailbox full"),
        _ => Act::Normal,
    });
    let world = queueing()
        .config("[queue]\ndelay_warning = '0s'\nexpire = '3s'")
        .domain("a.test", deferring)
        .domain("dead.test", Script::refused())
        .start()
        .await;
    for to in ["x@a.test", "y@dead.test", "z@dead.test"] {
        assert_eq!(world.send(to).await.code, 250);
    }
    assert!(world.mx("home.test").wait_for_messages(3).await);
    world.daemon.at_rest().await;
    let all = notices(&world);
    for (to, why) in [
        ("x@a.test", "mailbox full"),
        ("y@dead.test", "refused"),
        ("z@dead.test", "refused"),
    ] {
        let about = format!("Final-Recipient: rfc822; {to}");
        let text = all.iter().find(|text| text.contains(&about)).unwrap();
        has(text, &["Action: failed", "Status: 5.4.7", why]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_nobody_takes_is_not_bounced() {
    let refusing = Script::default().on(|moment| match (moment.stage, moment.address) {
        (Stage::Rcpt, "postmaster@home.test") => Act::Normal,
        (Stage::Rcpt, _) => Act::reply(550, "5.1.1 no such user"),
        _ => Act::Normal,
    });
    let failing = Script::default().rcpt("nobody@a.test", (550, "5.1.1 no such user"));
    let world = queueing()
        .config("[queue]\npostmaster = 'postmaster@home.test'")
        .domain("a.test", failing)
        .start()
        .await;
    world.mx("home.test").set_script(refusing);
    assert_eq!(world.send("nobody@a.test").await.code, 250);
    let text = notice(&world).await;
    has(&text, &["To: <postmaster@home.test>", "Action: failed"]);
    let to = &world.mx("home.test").messages()[0].recipients[0].address;
    assert_eq!(to, "postmaster@home.test");
    world.daemon.at_rest().await;
    assert_eq!(world.daemon.metric("double_bounces_total", &[]).await, 1.0);
    assert_eq!(notices(&world).len(), 1);
    let delivered = |line: &support::Log| {
        Daemon::field(line, "message").is_some_and(|m| {
            m == "double bounce: it cannot be delivered, and there is no sender to tell"
        })
    };
    let line = world.daemon.wait_log(delivered).await;
    assert_eq!(line["to"], "sender@client.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_may_go_to_the_senders_mx_under_its_policy() {
    let script = Script::default().rcpt("nobody@a.test", (550, "5.1.1 no such user"));
    let world = queueing()
        .config_with(|_| "[queue]\ndsn_via = 'mx'\n".to_owned())
        .config("[[rule]]\ndomains = ['client.test']\nrequire = 'encrypt'")
        .domain("a.test", script)
        .domain("client.test", Script::default())
        .start()
        .await;
    assert_eq!(world.send("nobody@a.test").await.code, 250);
    assert!(world.mx("client.test").wait_for_messages(1).await);
    assert!(!world.mx("client.test").mail_octets_in_clear());
    assert!(notices(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_the_reason_is_named() {
    let world = queueing()
        .config("[queue]\ndelay_warning = '0s'\nexpire = '2s'")
        .config("[[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'")
        .domain("a.test", Script::no_starttls())
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let text = notice(&world).await;
    has(
        &text,
        &["mx.a.test", "STARTTLS", "Action: failed", "Status: 5.4.7"],
    );
    assert!(!world.mx("a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn internationalized_mail_is_reported_as_such() {
    let script = Script::default().on(|moment| match moment.stage {
        Stage::Rcpt => Act::reply(550, "5.1.1 no such user"),
        _ => Act::Normal,
    });
    let world = queueing().domain("a.test", script).start().await;
    let reply = send(
        &world,
        "MAIL FROM:<jürgen@client.test> SMTPUTF8",
        &["RCPT TO:<grüße@a.test>"],
        CONTENT,
    )
    .await;
    assert_eq!(reply.code, 250, "{reply}");
    let text = notice(&world).await;
    has(
        &text,
        &[
            "message/global-delivery-status",
            "Final-Recipient: utf-8; grüße@a.test",
            "To: <jürgen@client.test>",
        ],
    );
    let message = &world.mx("home.test").messages()[0];
    assert!(
        message.params.iter().any(|p| p == "SMTPUTF8"),
        "{:?}",
        message.params
    );
    assert!(world.mx("home.test").violations().is_empty());
}
