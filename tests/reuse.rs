//! Connections are kept and shared where host, address and policy are the same, and never at a message's expense.
#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use futures_util::future::join_all;
use lab::mx::Idle;
use std::time::{Duration, Instant};
use support::{Act, CONTENT, Reply, Script, Stage, World};

/// Sends so many messages at the same time, each in a session of its own.
async fn at_once(world: &World, to: &[String]) -> Vec<Reply> {
    join_all(to.iter().map(|to| world.send(to))).await
}

fn at(stage: Stage, transaction: usize, act: Act) -> Script {
    Script::default().on(move |moment| {
        let now =
            moment.stage == stage && moment.transaction == transaction && moment.connection == 0;
        if now { act.clone() } else { Act::Normal }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_several_domains_share_a_connection() {
    let world = World::new()
        .domain("a.test", Script::default())
        .dns(|dns| {
            dns.mx("b.test", 10, "mx.a.test")
                .mx("c.test", 10, "mx.a.test");
        })
        .start()
        .await;
    for to in ["r@a.test", "r@b.test", "r@c.test", "r@a.test"] {
        assert_eq!(world.send(to).await.code, 250);
    }
    let mx = world.mx("a.test");
    assert_eq!(
        (mx.messages().len(), mx.connections().len(), mx.violations()),
        (4, 1, vec![])
    );
    assert_eq!(mx.connections()[0].handshakes, 1);
    let metrics = world.daemon.metrics().await;
    assert!((metrics.get("tls_handshakes_total", &[]) - 1.0).abs() < 0.5);
    assert!((metrics.get("upstream_connections", &[("state", "idle")]) - 1.0).abs() < 0.5);
    assert!(
        metrics
            .get("upstream_connections", &[("state", "active")])
            .abs()
            < 0.5
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_carries_so_many_messages_and_no_more() {
    let world = World::new()
        .domain("a.test", Script::default())
        .config("[outbound]\nmessages_per_connection = 2")
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(world.send("r@a.test").await.code, 250);
    }
    let mx = world.mx("a.test");
    let connections = mx.connections();
    assert_eq!((mx.messages().len(), connections.len()), (5, 3));
    assert!(
        mx.wait_for(|record| record.connections[..2]
            .iter()
            .all(|c| c.quit && c.closed.is_some()))
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_with_quit() {
    let world = World::new()
        .domain("a.test", Script::default())
        .config("[outbound]\nidle_connection_timeout = '1s'")
        .start()
        .await;
    assert_eq!(world.send("r@a.test").await.code, 250);
    let mx = world.mx("a.test");
    assert!(mx.wait_for_closed().await && mx.connections()[0].quit);
    world.daemon.wait_log(|_| true).await;
    let none = [("state", "idle")];
    let until = Instant::now() + Duration::from_secs(10);
    while world.daemon.metric("upstream_connections", &none).await > 0.5 {
        assert!(Instant::now() < until, "the gauge stays");
    }
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!(mx.connections().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_says_quit_on_idle_connections() {
    let mut world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    assert_eq!(world.send("r@a.test").await.code, 250);
    world.daemon.signal("TERM");
    let exit = world
        .daemon
        .wait_exit(Duration::from_secs(10))
        .await
        .expect("it ends");
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let mx = world.mx("a.test");
    assert!(mx.wait_for_closed().await && mx.connections()[0].quit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_left_an_idle_connection_is_no_messages_fault() {
    for last_words in [
        "421 4.4.2 mx.a.test idle for too long\r\n",
        "",
        "250 2.0.0 surprise\r\n",
    ] {
        let world = World::new()
            .domain("a.test", Script::default())
            .start()
            .await;
        assert_eq!(world.send("r@a.test").await.code, 250);
        let mx = world.mx("a.test");
        mx.kick(last_words);
        assert!(mx.wait_for_closed().await, "{last_words:?}");
        let reply = world.send("r@a.test").await;
        assert_eq!(reply.code, 250, "{last_words:?}: {reply}");
        assert_eq!(
            (mx.messages().len(), mx.connections().len()),
            (2, 2),
            "{last_words:?}"
        );
        // And the host is not held to be down.
        assert_eq!(world.send("r@a.test").await.code, 250);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_fails_at_its_next_mail_is_replaced() {
    let acts = [
        Act::Close,
        Act::Reset,
        Act::reply(421, "4.4.2 idle for too long").then_close(),
        Act::Silence,
    ];
    for act in acts {
        let world = World::new()
            .domain("a.test", at(Stage::Mail, 1, act.clone()))
            .config("[relay]\nreach_timeout = '3s'\ndeadline = '60s'")
            .start()
            .await;
        assert_eq!(world.send("r@a.test").await.code, 250);
        let reply = world.send("r@a.test").await;
        assert_eq!(reply.code, 250, "{act:?}: {reply}");
        let mx = world.mx("a.test");
        assert_eq!(
            (mx.messages().len(), mx.connections().len()),
            (2, 2),
            "{act:?}"
        );
        let deferred = world
            .daemon
            .metric("deliveries_total", &[("result", "deferred")])
            .await;
        assert!(deferred.abs() < 0.5, "{act:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_host_that_hangs_up_by_itself_costs_nothing() {
    let world = World::new()
        .domain(
            "a.test",
            Script {
                idle: Idle::Say(Duration::from_millis(50), b"421 4.4.2 bye\r\n".to_vec()),
                ..Script::default()
            },
        )
        .start()
        .await;
    let mx = world.mx("a.test");
    for n in 1..=3 {
        assert_eq!(world.send("r@a.test").await.code, 250);
        assert!(mx.wait_for_closed().await);
        assert_eq!((mx.messages().len(), mx.connections().len()), (n, n));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_followed_by_rset_and_a_refused_rset_by_the_end() {
    for (rset, connections) in [
        (Act::Normal, 1),
        (Act::reply(500, "5.5.1 what?"), 2),
        (Act::Close, 2),
    ] {
        let refusing = Script {
            rset: rset.clone(),
            ..Script::default().rcpt("no@a.test", (550, "5.1.1 no"))
        };
        let world = World::new().domain("a.test", refusing).start().await;
        assert_eq!(world.send("no@a.test").await.code, 550);
        let mx = world.mx("a.test");
        let said_rset =
            |record: &lab::mx::Record| record.connections[0].verbs().contains(&"RSET".to_owned());
        assert!(mx.wait_for(said_rset).await);
        if connections == 2 {
            assert!(mx.wait_for_closed().await);
        } else {
            world
                .daemon
                .wait_metric("upstream_connections", &[("state", "idle")], 1.0)
                .await;
        }
        assert_eq!(world.send("yes@a.test").await.code, 250, "{rset:?}");
        assert_eq!(
            (mx.connections().len(), mx.violations()),
            (connections, vec![]),
            "{rset:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_after_a_421() {
    for stage in [Stage::Mail, Stage::Data, Stage::Dot] {
        let world = World::new()
            .domain("a.test", at(stage, 0, Act::reply(421, "4.3.2 closing")))
            .start()
            .await;
        assert_eq!(world.send("r@a.test").await.code, 451, "{stage:?}");
        let mx = world.mx("a.test");
        assert!(mx.wait_for_closed().await, "{stage:?}: it was kept");
        let verbs = mx.connections()[0].verbs();
        assert!(!verbs.contains(&"RSET".to_owned()), "{stage:?}: {verbs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_never_uses_the_connection_of_another() {
    let world = World::new()
        .domain("a.test", Script::default())
        .dns(|dns| {
            dns.mx("strict.test", 10, "mx.a.test").mx("clear.test", 10, "mx.a.test");
        })
        .config("[[rule]]\ndomains = ['strict.test']\nrequire = 'verify'\n[[rule]]\ndomains = ['clear.test']\nrequire = 'none'")
        .start()
        .await;
    for to in [
        "r@clear.test",
        "r@a.test",
        "r@strict.test",
        "r@clear.test",
        "r@strict.test",
        "r@a.test",
    ] {
        assert_eq!(world.send(to).await.code, 250, "{to}");
    }
    let mx = world.mx("a.test");
    assert_eq!(mx.connections().len(), 3);
    for message in mx.messages() {
        let clear = mx.connections()[message.connection].tls.is_none();
        assert_eq!(clear, message.addresses() == ["r@clear.test"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waives_tls_does_not_share_its_connection() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let waiver = [b"TLS-Required: No\r\n", CONTENT].concat();
    for content in [&waiver[..], CONTENT, &waiver[..], CONTENT] {
        let mut client = world.smtp().await;
        let reply = client
            .mail("s@client.test", &["r@a.test"], content)
            .await
            .unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    }
    let mx = world.mx("a.test");
    assert_eq!(mx.connections().len(), 2);
    let carried = |waives: bool| {
        let of = |m: &lab::mx::Message| m.text().contains("TLS-Required") == waives;
        let mut on: Vec<_> = mx
            .messages()
            .iter()
            .filter(|m| of(m))
            .map(|m| m.connection)
            .collect();
        on.dedup();
        on
    };
    assert_eq!((carried(true).len(), carried(false).len()), (1, 1));
    assert_ne!(carried(true), carried(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_to_a_host_than_allowed() {
    let slow = Script {
        dot: Act::Normal.after(Duration::from_millis(40)),
        ..Script::default()
    };
    let world = World::new()
        .domain("a.test", slow)
        .dns(|dns| {
            dns.mx("b.test", 10, "mx.a.test");
        })
        .config("[outbound]\nmax_connections_per_mx = 2")
        .start()
        .await;
    let to: Vec<_> = (0..30)
        .map(|n| format!("r{n}@{}.test", if n % 2 == 0 { "a" } else { "b" }))
        .collect();
    let replies = at_once(&world, &to).await;
    assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    let mx = world.mx("a.test");
    assert_eq!(
        (mx.messages().len(), mx.connections().len()),
        (30, 2),
        "two, and they are reused"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_in_all_than_allowed_and_everybody_has_a_turn() {
    let slow = || Script {
        dot: Act::Normal.after(Duration::from_millis(30)),
        ..Script::default()
    };
    let mut builder = World::new();
    for n in 0..12 {
        builder = builder.domain(&format!("d{n}.test"), slow());
    }
    let world = builder
        .config("[outbound]\nmax_connections = 3\nmax_connections_per_mx = 2")
        .start()
        .await;
    let to: Vec<_> = (0..48).map(|n| format!("r{n}@d{}.test", n % 12)).collect();
    let replies = at_once(&world, &to).await;
    assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    // At no moment were more than three open, as the hosts saw it: a host learns of an end a little later than we do,
    // so only what began before another's last message counts.
    let mut spans = Vec::new();
    for n in 0..12 {
        let record = world.mx(&format!("d{n}.test")).record();
        for (at, connection) in record.connections.iter().enumerate() {
            let last = record
                .messages
                .iter()
                .filter(|m| m.connection == at)
                .map(|m| m.at)
                .max();
            spans.extend(last.map(|last| (connection.began, last)));
        }
    }
    let most = spans
        .iter()
        .map(|(began, _)| {
            spans
                .iter()
                .filter(|(b, last)| b <= began && began < last)
                .count()
        })
        .max();
    assert!(most <= Some(3), "{most:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_for_one_domain_leaves_a_turn_for_another() {
    let slow = Script {
        dot: Act::Normal.after(Duration::from_millis(60)),
        ..Script::default()
    };
    let world = World::new()
        .domain("flood.test", slow)
        .dns(|dns| {
            dns.mx("small.test", 10, "mx.flood.test");
        })
        .config("[outbound]\nmax_connections_per_mx = 1")
        .start()
        .await;
    let to: Vec<_> = (0..20).map(|n| format!("r{n}@flood.test")).collect();
    let flood = at_once(&world, &to);
    let small = async {
        let mx = world.mx("flood.test");
        assert!(mx.wait_for_messages(3).await);
        let before = mx.messages().len();
        assert_eq!(world.send("r@small.test").await.code, 250);
        mx.messages().len() - before
    };
    let (replies, passed) = tokio::join!(flood, small);
    assert!(replies.iter().all(|reply| reply.code == 250));
    assert!(passed <= 5, "{passed} others went first");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_no_connection_in_time_is_deferred() {
    let world = World::new()
        .domain(
            "a.test",
            Script {
                dot: Act::Normal.after(Duration::from_secs(4)),
                ..Script::default()
            },
        )
        .config("[outbound]\nmax_connections_per_mx = 1\n[relay]\nreach_timeout = '1s'")
        .start()
        .await;
    let first = world.send("first@a.test");
    let second = async {
        assert!(
            world
                .mx("a.test")
                .wait_for(|record| record.messages.len() == 1)
                .await
        );
        world.send("second@a.test").await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.code, 250, "{first}");
    assert_eq!(
        (second.code, second.enhanced()),
        (451, Some("4.3.2")),
        "{second}"
    );
    // It is nobody's fault.
    assert_eq!(world.send("third@a.test").await.code, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_reconnect_together_are_all_resumed() {
    let slow = Script {
        dot: Act::Normal.after(Duration::from_millis(300)),
        ..Script::default()
    };
    let world = World::new()
        .domain("a.test", slow)
        .config("[outbound]\nmessages_per_connection = 1\nmax_connections_per_mx = 50")
        .start()
        .await;
    let to: Vec<_> = (0..50).map(|n| format!("r{n}@a.test")).collect();
    for _ in 0..2 {
        let replies = at_once(&world, &to).await;
        assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    }
    let connections = world.mx("a.test").connections();
    assert_eq!(connections.len(), 100);
    let resumed = connections[50..]
        .iter()
        .filter(|c| c.tls.as_ref().is_some_and(|tls| tls.resumed));
    assert_eq!(resumed.count(), 50);
    let counted = world
        .daemon
        .metric("tls_handshakes_total", &[("resumed", "yes")])
        .await;
    assert!(counted > 49.5, "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_are_given_up_leave_no_connection_behind() {
    let world = World::new()
        .domain(
            "a.test",
            Script {
                data: Act::Silence,
                ..Script::default()
            },
        )
        .config("[outbound]\nmax_connections_per_mx = 3")
        .start()
        .await;
    let mut clients = Vec::new();
    for n in 0..10 {
        let mut client = world.smtp().await;
        let lines = [
            "MAIL FROM:<s@client.test>".to_owned(),
            format!("RCPT TO:<r{n}@a.test>"),
            "DATA".to_owned(),
        ];
        for line in lines {
            client.command(&line).await.unwrap();
        }
        client.send(lab::client::stuffed(CONTENT)).await.unwrap();
        clients.push(client);
    }
    assert!(world.mx("a.test").wait_for_connections(3).await);
    drop(clients);
    world
        .daemon
        .wait_metric("deliveries_total", &[("result", "deferred")], 10.0)
        .await;
    world.mx("a.test").set_script(Script::default());
    let to: Vec<_> = (0..3).map(|n| format!("r{n}@a.test")).collect();
    let replies = at_once(&world, &to).await;
    assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    let active = world
        .daemon
        .metric("upstream_connections", &[("state", "active")])
        .await;
    assert!(active.abs() < 0.5, "{active}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reload_no_connection_made_before_carries_a_message() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    assert_eq!(world.send("r@a.test").await.code, 250);
    world.reload("[tls]\nmin_version = '1.3'");
    let mx = world.mx("a.test");
    assert!(mx.wait_for(|record| record.connections[0].quit).await);
    assert_eq!(world.send("r@a.test").await.code, 250);
    assert_eq!((mx.messages().len(), mx.connections().len()), (2, 2));
}

/// A message that began before a reload may connect after it; what it trusted is nothing to the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_judged_by_old_roots_serves_nobody_who_trusts_new_ones() {
    let slow = Script {
        greeting: Act::reply(421, "4.3.2 not now").after(Duration::from_secs(2)),
        ..Script::default()
    };
    let world = World::new()
        .domain_with(
            "a.test",
            vec![
                ("mx1.a.test", 10, slow),
                ("mx2.a.test", 20, Script::default()),
            ],
        )
        .dns(|dns| {
            dns.mx("b.test", 10, "mx2.a.test");
        })
        .config("[[rule]]\ndomains = ['a.test', 'b.test']\nrequire = 'verify'")
        .start()
        .await;
    let mut client = world.smtp().await;
    let first = async { client.mail("s@client.test", &["x@a.test"], CONTENT).await };
    let reload = async {
        assert!(world.mx("mx1.a.test").wait_for_connections(1).await);
        world.reload("tls.roots = 'mozilla'");
        world
            .daemon
            .wait_log(|line| line.to_string().contains("configuration reloaded"))
            .await;
    };
    let (first, ()) = tokio::join!(first, reload);
    let first = first.unwrap();
    assert_eq!(first.code, 250, "by the roots of its time: {first}");
    let reply = world.send("y@b.test").await;
    assert_eq!(reply.code, 451, "{reply}");
    assert!(
        reply.contains("not signed by a trusted authority"),
        "{reply}"
    );
}
