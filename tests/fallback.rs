//! `relay.plaintext_fallback`: what becomes of opportunistic mail when a TLS handshake fails.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::time::Duration;

use lab::client::{Reply, SmtpClient};
use lab::mx::{Channel, Handshake};
use rusqlite::Connection;
use support::{CONTENT, Daemon, Script, World, WorldBuilder};
use tempfile::TempDir;

fn said(reply: &Reply) -> (u16, &str) {
    (reply.code, reply.enhanced().unwrap_or(""))
}

fn broken() -> Script {
    Script {
        handshake: Handshake::Alert(80),
        ..Script::default()
    }
}

/// A daemon whose state outlives it.
struct Lasting {
    world: World,
    state: TempDir,
}

impl Lasting {
    async fn start(builder: WorldBuilder) -> Self {
        let state = tempfile::tempdir().unwrap();
        let world = builder
            .config(&format!("state_dir = '{}'", state.path().display()))
            .start()
            .await;
        Self { world, state }
    }

    fn database(&self) -> Connection {
        Connection::open(self.state.path().join("sealpost.db")).unwrap()
    }

    /// Stops the daemon, changes its memory, starts it again: whatever it held in its own memory is gone.
    async fn restart(&mut self, change: &str) {
        self.world.daemon.signal("TERM");
        let exit = self.world.daemon.wait_exit(Duration::from_secs(20)).await;
        assert_eq!(exit.expect("it stops").code, Some(0));
        if !change.is_empty() {
            self.database().execute_batch(change).unwrap();
        }
        let config = self.world.config().to_owned();
        self.world.daemon = Daemon::start(config).await;
    }

    /// Names and addresses of the hosts on disk.
    fn remembered(&self) -> Vec<(String, String)> {
        let database = self.database();
        let mut all = database
            .prepare("SELECT mx, ip FROM tls_failure ORDER BY mx")
            .unwrap();
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Waits until so many hosts are remembered on disk.
    async fn wait_for_remembered(&self, count: usize) {
        for _ in 0..500 {
            if self.remembered().len() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", self.remembered());
    }
}

const LONG_AGO: &str = "UPDATE tls_failure SET first = first - 400";

/// The time in `plaintext not before TIME`.
fn not_before(reply: &Reply) -> String {
    let text = reply.text();
    let (_, rest) = text
        .split_once("TLS failed, plaintext not before ")
        .unwrap_or_else(|| panic!("{reply}"));
    rest.split([';', ' ']).next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_failure_delays_and_says_until_when() {
    let world = World::new().domain("a.test", broken()).start().await;
    let first = world.send("x@a.test").await;
    assert_eq!(said(&first), (451, "4.7.5"), "{first}");
    let time: jiff::Timestamp = not_before(&first).parse().unwrap();
    let wait = time.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((290..=300).contains(&wait), "{wait}");
    assert!(first.contains("mx.a.test["), "{first}");
    // The time does not move, however often it is tried.
    let second = world.send("x@a.test").await;
    assert_eq!(not_before(&second), not_before(&first));
    let mx = world.mx("a.test");
    assert!(!mx.mail_octets_in_clear() && !mx.wire_contains("secret-marker"));
    let metrics = world.daemon.metrics().await;
    let labels = [
        ("reason", "validation-failure"),
        ("policy", "default"),
        ("enforced", "no"),
    ];
    assert_eq!(metrics.get("tls_failures_total", &labels), 1.0);
    assert_eq!(metrics.get("plaintext_total", &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_fail_a_handshake_is_remembered() {
    let ways = [
        ("alert.test", Handshake::Alert(40)),
        ("garbage.test", Handshake::Garbage(b"what\r\n".to_vec())),
        ("close.test", Handshake::Close),
        ("reset.test", Handshake::Reset),
        ("stall.test", Handshake::Stall),
        ("surplus.test", Handshake::Surplus(b"250 ok\r\n".to_vec())),
        ("leave.test", Handshake::CloseAfter),
    ];
    let mut builder = World::new().config("relay.reach_timeout = '4s'");
    for (domain, handshake) in ways.clone() {
        builder = builder.domain(
            domain,
            Script {
                handshake,
                ..Script::default()
            },
        );
    }
    let lasting = Lasting::start(builder).await;
    let world = &lasting.world;
    let recipients = ways.clone().map(|(domain, _)| format!("x@{domain}"));
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    for ((domain, _), reply) in ways.iter().zip(world.send_lmtp(&recipients).await) {
        assert_eq!(said(&reply), (451, "4.7.5"), "{domain}: {reply}");
        not_before(&reply);
        assert!(!world.mx(domain).mail_octets_in_clear(), "{domain}");
    }
    lasting.wait_for_remembered(ways.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_shorten_or_prolong_the_wait() {
    let mut lasting = Lasting::start(World::new().domain("a.test", broken())).await;
    let before = lasting.world.send("x@a.test").await;
    lasting.wait_for_remembered(1).await;
    lasting
        .restart("UPDATE tls_failure SET first = first - 100")
        .await;
    let after = lasting.world.send("x@a.test").await;
    assert_eq!(said(&after), (451, "4.7.5"), "{after}");
    let time = |reply| not_before(reply).parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time(&before).duration_since(time(&after)).as_secs(), 100);
    assert!(!lasting.world.mx("a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_is_used_after_five_minutes_on_a_new_connection() {
    let mut lasting = Lasting::start(World::new().domain("a.test", broken())).await;
    assert_eq!(said(&lasting.world.send("x@a.test").await), (451, "4.7.5"));
    lasting.wait_for_remembered(1).await;
    let (mx, ip) = lasting.remembered()[0].clone();
    assert_eq!(
        (mx, ip),
        (
            "mx.a.test".to_owned(),
            lasting.world.mx("a.test").address().ip().to_string()
        )
    );
    lasting.restart(LONG_AGO).await;
    let world = &lasting.world;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    assert!(reply.contains("plaintext, may"), "{reply}");
    let mx = world.mx("a.test");
    assert_eq!(mx.messages()[0].channel, Channel::Clear);
    let connections = mx.connections();
    // TLS was tried once more, and nothing more was said where it failed.
    assert_eq!(connections.len(), 3);
    assert_eq!(connections[1].commands, ["EHLO relay.test", "STARTTLS"]);
    assert_eq!(connections[2].verbs()[..2], ["EHLO", "MAIL"]);
    let metrics = world.daemon.metrics().await;
    assert_eq!(
        metrics.get("plaintext_total", &[("cause", "tls_failed")]),
        1.0
    );
    let labels = [("result", "delivered"), ("tls", "none"), ("level", "may")];
    assert_eq!(metrics.get("deliveries_total", &labels), 1.0);
    // The next message uses what is known, and no third way.
    assert_eq!(said(&world.send("x@a.test").await), (250, "2.0.0"));
    assert_eq!(world.mx("a.test").messages().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_handshake_forgives_everything() {
    let mut lasting = Lasting::start(World::new().domain("a.test", broken())).await;
    assert_eq!(said(&lasting.world.send("x@a.test").await), (451, "4.7.5"));
    lasting.wait_for_remembered(1).await;
    lasting.restart(LONG_AGO).await;
    lasting.world.mx("a.test").set_script(Script::default());
    let reply = lasting.world.send("x@a.test").await;
    assert!(reply.contains("TLSv1.3, may"), "{reply}");
    lasting.wait_for_remembered(0).await;
    lasting.world.mx("a.test").set_script(broken());
    lasting.restart("").await;
    let reply = lasting.world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    let time: jiff::Timestamp = not_before(&reply).parse().unwrap();
    assert!(time.duration_since(jiff::Timestamp::now()).as_secs() >= 290);
    assert!(!lasting.world.mx("a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_forgotten_a_day_after_the_last_one() {
    let mut lasting = Lasting::start(World::new().domain("a.test", broken())).await;
    assert_eq!(said(&lasting.world.send("x@a.test").await), (451, "4.7.5"));
    lasting.wait_for_remembered(1).await;
    lasting
        .restart("UPDATE tls_failure SET first = first - 90000, last = last - 86500")
        .await;
    let reply = lasting.world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    not_before(&reply);
    assert!(!lasting.world.mx("a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_is_per_host_and_address() {
    let builder = World::new()
        .domain("a.test", broken())
        .domain("b.test", broken())
        // The same machine under another name.
        .net(|net| {
            let ip = net.mx("mx.a.test").address().ip();
            net.dns
                .mx("c.test", 10, "mx.c.test")
                .address_of("mx.c.test", ip);
        });
    let mut lasting = Lasting::start(builder).await;
    assert_eq!(said(&lasting.world.send("x@a.test").await), (451, "4.7.5"));
    lasting.wait_for_remembered(1).await;
    lasting.restart(LONG_AGO).await;
    for domain in ["b.test", "c.test"] {
        let reply = lasting.world.send(&format!("x@{domain}")).await;
        assert_eq!(said(&reply), (451, "4.7.5"), "{domain}: {reply}");
        not_before(&reply);
    }
    assert_eq!(said(&lasting.world.send("x@a.test").await), (250, "2.0.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hosts_are_tried_over_tls_first() {
    let builder = World::new()
        .domain_with(
            "a.test",
            vec![
                ("bad.a.test", 10, broken()),
                ("good.a.test", 20, Script::default()),
            ],
        )
        .domain_with(
            "b.test",
            vec![
                ("bad.b.test", 10, broken()),
                ("down.b.test", 20, Script::refused()),
            ],
        );
    let mut lasting = Lasting::start(builder).await;
    let replies = lasting.world.send_lmtp(&["x@a.test", "x@b.test"]).await;
    assert!(replies[0].contains("host good.a.test["), "{}", replies[0]);
    assert_eq!(replies[1].code, 451, "{}", replies[1]);
    lasting.wait_for_remembered(2).await;
    lasting.restart(LONG_AGO).await;
    let world = &lasting.world;
    let replies = world.send_lmtp(&["x@a.test", "x@b.test"]).await;
    assert!(
        replies[0].contains("host good.a.test[") && replies[0].contains("TLSv1.3"),
        "{}",
        replies[0]
    );
    assert!(!world.mx("bad.a.test").mail_octets_in_clear());
    // Nobody is left but the one that cannot TLS.
    assert_eq!(said(&replies[1]), (250, "2.0.0"), "{}", replies[1]);
    assert!(replies[1].contains("host bad.b.test["), "{}", replies[1]);
    assert_eq!(world.mx("bad.b.test").messages()[0].channel, Channel::Clear);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_loosens_no_rule() {
    let builder = World::new()
        .domain("a.test", broken())
        .dns(|dns| {
            dns.mx("b.test", 10, "mx.a.test");
        })
        .config("[[rule]]\ndomains = ['b.test']\nrequire = 'encrypt'");
    let mut lasting = Lasting::start(builder).await;
    assert_eq!(said(&lasting.world.send("x@a.test").await), (451, "4.7.5"));
    lasting.wait_for_remembered(1).await;
    lasting.restart(LONG_AGO).await;
    let world = &lasting.world;
    assert_eq!(said(&world.send("free@a.test").await), (250, "2.0.0"));
    let reply = world.send("bound@b.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(!reply.contains("not before"), "{reply}");
    assert!(!world.mx("a.test").wire_contains("bound@b.test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn immediate_falls_back_at_once_on_a_new_connection() {
    let world = World::new()
        .domain_with(
            "a.test",
            vec![
                ("bad.a.test", 10, broken()),
                ("idle.a.test", 20, Script::default()),
            ],
        )
        .config("relay.plaintext_fallback = 'immediate'")
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    assert!(
        reply.contains("host bad.a.test[") && reply.contains("plaintext"),
        "{reply}"
    );
    let connections = world.mx("bad.a.test").connections();
    assert_eq!(connections.len(), 2);
    assert_eq!(connections[0].commands, ["EHLO relay.test", "STARTTLS"]);
    assert!(connections[1].handshakes == 0 && connections[1].verbs().contains(&"DATA".to_owned()));
    assert!(world.mx("idle.a.test").connections().is_empty());
    assert_eq!(
        world
            .daemon
            .metric("plaintext_total", &[("cause", "tls_failed")])
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_handshake_leaves_time_for_the_fallback() {
    let stall = Script {
        handshake: Handshake::Stall,
        ..Script::default()
    };
    let world = World::new()
        .domain("a.test", stall)
        .config("relay.plaintext_fallback = 'immediate'\nrelay.reach_timeout = '6s'")
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (250, "2.0.0"), "{reply}");
    assert!(reply.contains("plaintext"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn never_means_never() {
    let builder = World::new()
        .domain("a.test", broken())
        .config("relay.plaintext_fallback = 'never'");
    let mut lasting = Lasting::start(builder).await;
    for _ in 0..2 {
        let reply = lasting.world.send("x@a.test").await;
        assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
        assert!(
            !reply.contains("plaintext") && reply.contains("default policy of a.test"),
            "{reply}"
        );
        // As if it had failed for long, in an earlier life under another setting.
        let ip = lasting.world.mx("a.test").address().ip();
        let row = format!(
            "INSERT OR REPLACE INTO tls_failure SELECT 'mx.a.test', '{ip}', unixepoch() - 4000, unixepoch() - 10"
        );
        lasting.restart(&row).await;
    }
    assert!(!lasting.world.mx("a.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_mail_flows_and_a_failure_delays_all_the_same() {
    let state = tempfile::tempdir().unwrap();
    let damaged = b"this is no database, but long enough to be taken for the header of one";
    std::fs::write(state.path().join("sealpost.db"), damaged).unwrap();
    let (net, config) = World::new()
        .domain("a.test", broken())
        .domain("b.test", Script::default())
        .config(&format!("state_dir = '{}'", state.path().display()))
        .prepare()
        .await;
    let daemon = Daemon::spawn_in(tempfile::tempdir().unwrap(), &config);
    daemon
        .wait_log(|line| line.to_string().contains("the store does not work"))
        .await;
    let mut client = loop {
        match SmtpClient::lmtp(net.relay_lmtp()).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let to = ["x@a.test", "x@b.test"];
    let replies = client
        .lmtp_mail("s@client.test", &to, CONTENT)
        .await
        .unwrap();
    assert_eq!(said(&replies[0]), (451, "4.7.5"), "{}", replies[0]);
    not_before(&replies[0]);
    assert_eq!(said(&replies[1]), (250, "2.0.0"), "{}", replies[1]);
    let (_, body) = daemon.get("/readyz").await.unwrap();
    assert!(body.contains("store"), "{body}");
    assert!(!net.mx("a.test").mail_octets_in_clear());
}
