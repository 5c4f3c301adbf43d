//! `[[socketmap]]`: clients that are many, wrong, slow, strange or gone, and a daemon that changes or ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::dns::{Fault, RecordType};
use support::socketmap::{MapClient, request};
use support::{Daemon, Script, World, WorldBuilder};
use tokio::io::AsyncWriteExt;

/// Last octet of the address at which the daemon answers.
const MAP: u8 = 249;
/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

fn mapped(world: WorldBuilder) -> WorldBuilder {
    world.config_with(|net| format!("[[socketmap]]\nlisten = '{}'", net.ports.at(MAP)))
}

async fn client(world: &World) -> MapClient {
    MapClient::tcp(world.net.ports.at(MAP)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_are_answered_in_their_order() {
    const MANY: usize = 2000;
    let world = mapped(World::new().domain("a.test", Script::default()))
        .config("[[rule]]\ndomains = ['b.test']\nrequire = 'encrypt'\npublished = 'ignore'")
        .start()
        .await;
    let client = client(&world).await;
    let (reading, mut writing) = tokio::io::split(client.stream);
    let mut client = MapClient {
        stream: Box::new(tokio::io::join(reading, tokio::io::sink())),
    };
    let keys = |n: usize| {
        if n.is_multiple_of(3) {
            "b.test"
        } else {
            "a.test"
        }
    };
    let sending = async {
        let all: Vec<u8> = (0..MANY).flat_map(|n| request("m", keys(n))).collect();
        writing.write_all(&all).await.unwrap();
    };
    let reading = async {
        for n in 0..MANY {
            let expected = if n.is_multiple_of(3) {
                "OK encrypt"
            } else {
                "NOTFOUND "
            };
            assert_eq!(client.reply().await.as_deref(), Some(expected), "{n}");
        }
    };
    tokio::join!(sending, reading);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_come_octet_by_octet() {
    let world = mapped(World::new().domain("a.test", Script::default()))
        .start()
        .await;
    let mut client = client(&world).await;
    for octet in request("m", "a.test") {
        client.send(&[octet]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.reply().await.as_deref(), Some("NOTFOUND "));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_speak_the_protocol_is_left() {
    let world = mapped(World::new().domain("a.test", Script::default()))
        .start()
        .await;
    let huge = [b"10001:".to_vec(), vec![b'a'; 20_000]].concat();
    for hostile in [
        &b"EHLO client.test\r\n"[..],
        b"012:m a.test12345,",
        b"00012:",
        b"8:m a.test;",
        b"3:m a.test,",
        b"999999999999999999999999:",
        b"-1:m,",
        b"\0\0\0\0",
        &huge,
    ] {
        let mut client = client(&world).await;
        // It may hang up while we still send.
        let _ = client.stream.write_all(hostile).await;
        assert_eq!(
            client.reply().await,
            None,
            "{:?}",
            String::from_utf8_lossy(&hostile[..4])
        );
    }
    // The frame is right: it is told, and may go on.
    let mut client = client(&world).await;
    client.send(b"6:a.test,0:,8:m a.test,").await;
    let refused = "PERM a request is the name of a map, a blank, and a key";
    assert_eq!(client.reply().await.as_deref(), Some(refused));
    assert_eq!(client.reply().await.as_deref(), Some(refused));
    assert_eq!(client.reply().await.as_deref(), Some("NOTFOUND "));
    let longest = "a".repeat(9_998);
    assert_eq!(client.ask("m", &longest).await, "NOTFOUND ");
    assert_eq!(client.ask("m", "a{b} match=x").await, "NOTFOUND ");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_in_the_middle_is_left_in_time() {
    let world = mapped(World::new()).start().await;
    let mut client = client(&world).await;
    client.send(b"8:m a.").await;
    let began = Instant::now();
    assert_eq!(client.reply().await, None);
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(8) && took < Duration::from_secs(30),
        "{took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_answered() {
    let world = mapped(World::new().domain("a.test", Script::default()))
        .config("[client]\nnetworks = ['192.0.2.0/24']")
        .start()
        .await;
    let mut client = client(&world).await;
    let _ = client.stream.write_all(&request("m", "a.test")).await;
    assert_eq!(client.reply().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_has_its_mode_and_a_reload_changes_what_it_serves() {
    let world = World::new()
        .domain("a.test", Script::default())
        .config("[[socketmap]]\nlisten = 'unix:STATE/map.sock'\nmode = '0666'")
        .start()
        .await;
    let path = world.daemon.directory().join("map.sock");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o666);
    let mut before = MapClient::unix(&path).await;
    assert_eq!(before.ask("m", "a.test").await, "NOTFOUND ");

    world.reload(
        "[[socketmap]]\nlisten = 'unix:STATE/map.sock'\nmode = '0600'\n\
         [[rule]]\ndomains = ['a.test']\nrequire = 'encrypt'",
    );
    let until = Instant::now() + PATIENCE;
    while mode(&path) != 0o600 {
        assert!(Instant::now() < until, "not reloaded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Who was there may go on until he is idle, and hears the new rules; Postfix connects again by itself.
    assert_eq!(
        MapClient::unix(&path).await.ask("m", "a.test").await,
        "OK encrypt"
    );
    let last = before.send_and_hear(&request("m", "a.test")).await;
    assert!(
        last.is_none() || last.as_deref() == Some("OK encrypt"),
        "{last:?}"
    );

    // Without the section there is no socket.
    let config = world.config().replace("[[socketmap]]", "[[gone]]");
    let config = config.split("[[gone]]").next().unwrap().to_owned();
    world.daemon.reload(&config);
    let until = Instant::now() + PATIENCE;
    while path.exists() {
        assert!(
            Instant::now() < until,
            "still there:\n{}",
            world.daemon.stderr()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_may_come_from_systemd() {
    let (net, config) = World::new()
        .domain("a.test", Script::default())
        .config("[[socketmap]]\nlisten = 'systemd:map'")
        .prepare()
        .await;
    let map = std::net::TcpListener::bind(net.ports.at(MAP)).unwrap();
    let other = std::net::TcpListener::bind(net.ports.at(MAP - 1)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let sockets = [("map", map), ("unused", other)];
    let mut daemon = Daemon::spawn_passing(sockets, directory, &config);
    daemon.wait_until_ready().await;
    let mut client = MapClient::tcp(net.ports.at(MAP)).await;
    assert_eq!(client.ask("m", "a.test").await, "NOTFOUND ");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_idle_are_left_at_once_when_it_ends() {
    let mut world = mapped(World::new().domain("a.test", Script::default()))
        .start()
        .await;
    let mut client = client(&world).await;
    assert_eq!(client.ask("m", "a.test").await, "NOTFOUND ");
    let metric = [("protocol", "socketmap")];
    assert_eq!(world.daemon.metric("sessions", &metric).await, 1.0);
    let began = Instant::now();
    world.daemon.signal("TERM");
    assert_eq!(client.reply().await, None);
    assert!(world.daemon.wait_exit(PATIENCE).await.is_some());
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

/// Who has asked gets his answer first.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_owed_is_given_when_it_ends() {
    let world = World::new().domain("a.test", Script::default()).dns(|dns| {
        dns.fault("a.test", RecordType::MX, Fault::Timeout);
    });
    let mut world = mapped(world).start().await;
    let mut client = client(&world).await;
    client.send(&request("m", "a.test")).await;
    let until = Instant::now() + PATIENCE;
    while world.net.dns.queries("a.test", RecordType::MX) == 0 {
        assert!(Instant::now() < until, "nobody asks");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.daemon.signal("TERM");
    let answer = client.reply().await.unwrap();
    assert!(answer.starts_with("TEMP "), "{answer}");
    assert_eq!(client.reply().await, None);
    assert!(world.daemon.wait_exit(PATIENCE).await.is_some());
}

/// Thousands of questions, and no ear for the answers.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_replies_is_left_in_time() {
    let world = World::new()
        .config("[[socketmap]]\nlisten = 'unix:STATE/map.sock'")
        .start()
        .await;
    let path = world.daemon.directory().join("map.sock");
    let mut client = MapClient::unix(&path).await;
    let many = request("m", "").repeat(10_000);
    let began = Instant::now();
    while client.stream.write_all(&many).await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "it goes on listening");
    }
    assert!(
        began.elapsed() > Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_too_many_clients_waits_for_a_place() {
    const PLACES: usize = 500;
    let world = mapped(World::new()).start().await;
    let mut clients = Vec::new();
    for _ in 0..PLACES {
        let mut one = client(&world).await;
        assert_eq!(one.ask("m", "").await, "NOTFOUND ");
        clients.push(one);
    }
    let mut last = client(&world).await;
    last.send(&request("m", "")).await;
    let metric = [("protocol", "socketmap")];
    assert_eq!(world.daemon.metric("sessions", &metric).await, 500.0);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), last.read())
            .await
            .is_err()
    );
    clients.pop();
    assert_eq!(last.reply().await.as_deref(), Some("NOTFOUND "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_may_make_a_listener_for_mail_of_it() {
    let world = mapped(World::new()).start().await;
    let mut before = client(&world).await;
    assert_eq!(before.ask("m", "").await, "NOTFOUND ");
    let at = world.net.ports.at(MAP);
    let listen = format!("[[listen]]\naddress = '{at}'\n");
    let config = world
        .config()
        .replace(&format!("[[socketmap]]\nlisten = \"{at}\"\n"), &listen);
    assert_ne!(config, world.config());
    world.daemon.reload(&config);
    assert_eq!(before.reply().await, None, "its listener has ended");
    let mut mail = lab::client::SmtpClient::smtp(at).await.unwrap();
    assert_eq!(mail.command("NOOP").await.unwrap().code, 250);
}
