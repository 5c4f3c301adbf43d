//! How long a delivery may take, and what is true when somebody leaves in the middle of it.
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::mx::Content;
use std::time::{Duration, Instant};
use support::{Act, CONTENT, Daemon, Log, Script, SmtpClient, Stage, World};

fn config(reach: u32, deadline: u32, dot: u32) -> String {
    format!(
        "[relay]\nreach_timeout = '{reach}s'\ndeadline = '{deadline}s'\ndot_deadline = '{dot}s'"
    )
}

fn two(first: Script) -> Vec<(&'static str, u16, Script)> {
    vec![
        ("mx1.a.test", 10, first),
        ("mx2.a.test", 20, Script::default()),
    ]
}

fn text(line: &Log, name: &str) -> String {
    Daemon::field(line, name)
        .and_then(|v| v.as_str())
        .unwrap_or_default()
        .to_owned()
}

/// The only delivery event there will be.
async fn event(world: &World) -> Log {
    world
        .daemon
        .wait_log(|line| Daemon::field(line, "possible_duplicate").is_some())
        .await
}

/// A session that has said all but read no reply to the final dot.
async fn dot_sent(world: &World, to: &str) -> SmtpClient {
    let mut client = world.smtp().await;
    for line in [
        "MAIL FROM:<s@client.test>".to_owned(),
        format!("RCPT TO:<{to}>"),
    ] {
        client.command(&line).await.unwrap().expect(250).unwrap();
    }
    client.command("DATA").await.unwrap().expect(354).unwrap();
    client.send(lab::client::stuffed(CONTENT)).await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_host_leaves_time_for_the_next() {
    let world = World::new()
        .domain_with("a.test", two(Script::silent()))
        .config(&config(3, 30, 40))
        .start()
        .await;
    let started = Instant::now();
    let reply = world.send("r@a.test").await;
    assert_eq!(reply.code, 250, "{reply}");
    assert!(reply.contains("mx2.a.test"), "{reply}");
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reached_in_time_is_a_deferral() {
    let ways: [fn() -> Script; 4] = [
        Script::silent,
        Script::blackhole,
        || Script {
            ehlo: Act::Silence,
            ..Script::default()
        },
        || Script {
            greeting: Act::Normal.dripped(Duration::from_millis(400)),
            ..Script::default()
        },
    ];
    let mut builder = World::new();
    for (at, way) in ways.iter().enumerate() {
        builder = builder.domain(&format!("d{at}.test"), way());
    }
    let world = builder.config(&config(2, 30, 40)).start().await;
    let to: Vec<_> = (0..ways.len()).map(|at| format!("r@d{at}.test")).collect();
    let to: Vec<_> = to.iter().map(String::as_str).collect();
    let started = Instant::now();
    let replies = world.send_lmtp(&to).await;
    let elapsed = started.elapsed();
    for reply in &replies {
        assert_eq!(
            (reply.code, reply.enhanced()),
            (451, Some("4.4.1")),
            "{reply}"
        );
    }
    assert!(
        elapsed > Duration::from_millis(1_900) && elapsed < Duration::from_secs(6),
        "{elapsed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_deadline_no_other_host_is_tried() {
    for (name, script) in [
        (
            "MAIL",
            Script {
                mail: Act::Silence,
                ..Script::default()
            },
        ),
        (
            "DATA",
            Script {
                data: Act::Silence,
                ..Script::default()
            },
        ),
    ] {
        let world = World::new()
            .domain_with("a.test", two(script))
            .config(&config(1, 2, 30))
            .start()
            .await;
        let reply = world.send("r@a.test").await;
        assert_eq!(
            (reply.code, reply.enhanced()),
            (451, Some("4.4.1")),
            "{name}: {reply}"
        );
        assert_eq!(world.mx("mx2.a.test").connections().len(), 0, "{name}");
        assert_eq!(
            text(&event(&world).await, "possible_duplicate"),
            "no",
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_reading_is_left_at_the_deadline() {
    let world = World::new()
        .domain(
            "a.test",
            Script {
                content: Content::Stop,
                ..Script::default()
            },
        )
        .config(&config(1, 2, 30))
        .start()
        .await;
    let content = [
        &b"Subject: big\r\n\r\n"[..],
        &b"0123456789 0123456789\r\n".repeat(1_000_000),
    ]
    .concat();
    let mut client = world.smtp().await;
    let reply = client
        .mail("s@client.test", &["r@a.test"], &content)
        .await
        .unwrap();
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.4.1")),
        "{reply}"
    );
    assert_eq!(text(&event(&world).await, "possible_duplicate"), "no");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_reads_slowly_gets_all_of_it() {
    let slow = Content::Slow {
        octets: 65_536,
        pause: Duration::from_millis(5),
    };
    let world = World::new()
        .domain(
            "a.test",
            Script {
                content: slow,
                ..Script::default()
            },
        )
        .start()
        .await;
    let content = [
        &b"Subject: big\r\n\r\n"[..],
        &b"0123456789 0123456789\r\n".repeat(100_000),
    ]
    .concat();
    let mut client = world.smtp().await;
    client.patience(Duration::from_secs(30));
    let reply = client
        .mail("s@client.test", &["r@a.test"], &content)
        .await
        .unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    assert!(world.mx("a.test").messages()[0].content.ends_with(&content));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_our_final_dot_the_reply_is_awaited_beyond_the_deadline() {
    let slow = Script {
        dot: Act::Normal.after(Duration::from_secs(3)),
        ..Script::default()
    };
    let world = World::new()
        .domain_with("a.test", two(slow))
        .config(&config(1, 2, 30))
        .start()
        .await;
    let reply = world.send("r@a.test").await;
    assert_eq!(reply.code, 250, "{reply}");
    assert_eq!(world.mx("mx2.a.test").connections().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_never_comes_is_a_possible_duplicate() {
    let world = World::new()
        .domain_with(
            "a.test",
            two(Script {
                dot: Act::Silence,
                ..Script::default()
            }),
        )
        .config(&config(1, 2, 3))
        .start()
        .await;
    let started = Instant::now();
    let reply = world.send("r@a.test").await;
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.4.2")),
        "{reply}"
    );
    assert!(
        started.elapsed() > Duration::from_millis(2_900),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(world.mx("mx2.a.test").connections().len(), 0);
    let event = event(&world).await;
    assert_eq!(
        (text(&event, "possible_duplicate"), text(&event, "result")),
        ("yes".into(), "deferred".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_our_dot_takes_its_message_along() {
    let stages: [fn() -> Script; 4] = [
        Script::silent,
        || Script {
            mail: Act::Silence,
            ..Script::default()
        },
        || Script {
            data: Act::Silence,
            ..Script::default()
        },
        || Script {
            tls_ehlo: Act::Silence,
            ..Script::default()
        },
    ];
    for script in stages {
        let world = World::new()
            .domain_with("a.test", two(script()))
            .start()
            .await;
        let client = dot_sent(&world, "r@a.test").await;
        assert!(world.mx("mx1.a.test").wait_for_connections(1).await);
        let silent = world.mx("mx1.a.test");
        drop(client);
        assert!(silent.wait_for_closed().await, "the attempt goes on");
        assert_eq!(text(&event(&world).await, "result"), "deferred");
        assert_eq!(silent.record().messages.len(), 0);
        assert_eq!(world.mx("mx2.a.test").connections().len(), 0);
        let active = [("state", "active")];
        let open = world.daemon.metric("upstream_connections", &active).await;
        assert!(open.abs() < 0.5, "a slot was lost: {open}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_after_our_dot_has_been_served() {
    let slow = Script {
        dot: Act::Normal.after(Duration::from_millis(700)),
        ..Script::default()
    };
    let world = World::new().domain("a.test", slow).start().await;
    let client = dot_sent(&world, "r@a.test").await;
    assert!(
        world
            .mx("a.test")
            .wait_for(|record| record.messages.len() == 1)
            .await
    );
    drop(client);
    let event = event(&world).await;
    assert_eq!(
        (text(&event, "result"), text(&event, "to")),
        ("delivered".into(), "r@a.test".into())
    );
    let delivered = world
        .daemon
        .metric("deliveries_total", &[("result", "delivered")])
        .await;
    assert!((delivered - 1.0).abs() < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_what_is_under_way() {
    let slow = Script {
        dot: Act::Normal.after(Duration::from_secs(2)),
        ..Script::default()
    };
    let before = Script {
        mail: Act::Normal.after(Duration::from_secs(1)),
        ..Script::default()
    };
    let mut world = World::new()
        .domain("a.test", slow)
        .domain("b.test", before)
        .start()
        .await;
    let mut past = dot_sent(&world, "r@a.test").await;
    let mut not_yet = dot_sent(&world, "r@b.test").await;
    assert!(
        world
            .mx("a.test")
            .wait_for(|record| record.messages.len() == 1)
            .await
    );
    assert!(world.mx("b.test").wait_for_connections(1).await);
    world.daemon.signal("TERM");
    for client in [&mut past, &mut not_yet] {
        client.patience(Duration::from_secs(20));
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    }
    let exit = world
        .daemon
        .wait_exit(Duration::from_secs(10))
        .await
        .expect("it ends");
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

/// Half a minute: the grace is a promise, not a setting.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_grace_what_has_not_sent_its_dot_is_given_up_and_the_rest_awaited() {
    let past = Script {
        dot: Act::Normal.after(Duration::from_secs(33)),
        ..Script::default()
    };
    let mut world = World::new()
        .domain("past.test", past)
        .domain_with(
            "a.test",
            two(Script {
                data: Act::Silence,
                ..Script::default()
            }),
        )
        .start()
        .await;
    let mut past = dot_sent(&world, "r@past.test").await;
    let mut stuck = dot_sent(&world, "r@a.test").await;
    assert!(
        world
            .mx("past.test")
            .wait_for(|record| record.messages.len() == 1)
            .await
    );
    let at_data = |record: &lab::mx::Record| {
        record
            .connections
            .iter()
            .any(|c| c.tls_commands.iter().any(|line| line == "DATA"))
    };
    assert!(world.mx("mx1.a.test").wait_for(at_data).await);
    world.daemon.signal("TERM");
    let started = Instant::now();
    stuck.patience(Duration::from_secs(40));
    let reply = stuck.reply().await.unwrap();
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.3.2")),
        "{reply}"
    );
    assert!(
        started.elapsed() > Duration::from_secs(29),
        "{:?}",
        started.elapsed()
    );
    past.patience(Duration::from_secs(20));
    let reply = past.reply().await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    assert_eq!(world.mx("mx2.a.test").connections().len(), 0);
    let exit = world
        .daemon
        .wait_exit(Duration::from_secs(15))
        .await
        .expect("it ends");
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_says_goodbye_and_lingers_is_not_waited_for() {
    for stage in [Stage::Mail, Stage::Rcpt] {
        let goodbye = Script::default().on(move |moment| {
            if moment.stage == stage {
                Act::reply(421, "4.3.2 goodbye").then(Act::Silence)
            } else {
                Act::Normal
            }
        });
        let world = World::new()
            .domain_with("a.test", two(goodbye))
            .start()
            .await;
        let started = Instant::now();
        let reply = world.send("r@a.test").await;
        assert!(
            reply.code == 250 && reply.contains("mx2.a.test"),
            "{stage:?}: {reply}"
        );
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
    }
}
