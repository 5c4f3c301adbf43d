//! Sockets that systemd makes and passes (sd_listen_fds(3)): which listener has them, and who waits at them while
//! the daemon is away. Under systemd itself: `tests/packaging.rs`.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use lab::Internet;
use support::{CONTENT, Daemon, Script, SmtpClient, World, merge};
use tempfile::tempdir;

const SOON: Duration = Duration::from_secs(5);

async fn world(listen: &str) -> (Internet, String) {
    let (net, config) = World::new()
        .domain("a.test", Script::default())
        .prepare()
        .await;
    (net, merge(&config, listen))
}

fn smtp_at(address: impl std::fmt::Display) -> String {
    format!("[[listen]]\naddress = '{address}'\nprotocol = 'smtp'\n")
}

/// A socket, and a copy to pass once more.
fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn mail(address: SocketAddr) -> u16 {
    let mut client = SmtpClient::smtp(address).await.unwrap();
    let reply = client.mail("s@client.test", &["x@a.test"], CONTENT).await;
    reply.unwrap().code
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_socket_activate_passes_tcp_and_unix_sockets() {
    let activate = "systemd-socket-activate";
    if std::process::Command::new(activate)
        .arg("--version")
        .output()
        .is_err()
    {
        println!("SKIPPED: {activate} is not installed");
        return;
    }
    let directory = tempdir().unwrap();
    let path = directory.path().join("lmtp");
    let (net, config) = world("").await;
    let at = net.ports.next();
    let config = merge(&config, &smtp_at(at));
    let words = [activate, "--fdname=smtp:lmtp", "-l", &at.to_string(), "-l"];
    let path_word = path.display().to_string();
    let words: Vec<&str> = words.into_iter().chain([path_word.as_str()]).collect();
    let mut daemon = Daemon::spawn_under(&words, tempdir().unwrap(), &config);
    // The one that starts it waits until it is served, as all do.
    let mut lmtp = loop {
        match SmtpClient::connect_unix(&path).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(lmtp.reply().await.unwrap().code, 220);
    // Nothing in the configuration has it; it is named after its protocol.
    assert_eq!(lmtp.command("LHLO c.test").await.unwrap().code, 250);
    let replies = lmtp
        .lmtp_mail("s@client.test", &["x@a.test"], CONTENT)
        .await;
    assert_eq!(replies.unwrap()[0].code, 250);
    // This one is configured by its address.
    assert_eq!(mail(at).await, 250);
    daemon.end("TERM").await;
    assert!(path.exists(), "the file is not the daemon's");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_a_passed_socket_is_served_by_the_next_daemon() {
    let (one, at) = socket();
    let (other, _) = socket();
    let (_net, config) = world(&smtp_at(at)).await;
    let passed = || {
        [
            ("mail", one.try_clone().unwrap()),
            ("smtp", other.try_clone().unwrap()),
        ]
    };
    // Full with one, it leaves the others waiting.
    let full = merge(&config, "[client]\nmax_sessions = 1\n");
    let mut daemon = Daemon::spawn_passing(passed(), tempdir().unwrap(), &full);
    daemon.wait_until_ready().await;
    let mut served = SmtpClient::smtp(at).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(SmtpClient::connect(at).await.unwrap());
    }
    daemon.signal("TERM");
    assert_eq!(served.reply().await.unwrap().code, 421);
    daemon.gone().await;
    waiting.push(SmtpClient::connect(at).await.unwrap());
    let mut next = Daemon::spawn_passing(passed(), tempdir().unwrap(), &config);
    next.wait_until_ready().await;
    for mut client in waiting {
        assert_eq!(client.reply().await.unwrap().code, 220);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_nobody_has_is_told_of_and_so_is_one_that_is_not_there() {
    let ((one, at), (other, unused)) = (socket(), socket());
    let sockets = || {
        [
            ("smtp", one.try_clone().unwrap()),
            ("mail", other.try_clone().unwrap()),
        ]
    };
    let (_net, config) = world(&smtp_at("systemd:smtp")).await;
    let mut daemon = Daemon::spawn_passing(sockets(), tempdir().unwrap(), &config);
    daemon.wait_until_ready().await;
    assert_eq!(mail(at).await, 250);
    let warned = |line: &support::Log| line.to_string().contains("waits in vain");
    let warning = daemon.wait_log(warned).await.to_string();
    let named = format!("mail ({unused})");
    assert!(warning.contains(&named), "{warning}");
    daemon.end("TERM").await;

    for (listen, expected) in [
        (
            smtp_at("systemd:lmtp"),
            format!(
                "no listening stream socket named lmtp; it passed smtp ({at}), mail ({unused})"
            ),
        ),
        (
            smtp_at("systemd:smtp") + &smtp_at(at),
            format!("systemd:smtp and {at} are the same socket"),
        ),
    ] {
        let config = merge(&config, &listen);
        let mut daemon = Daemon::spawn_passing(sockets(), tempdir().unwrap(), &config);
        let exit = daemon.wait_exit(SOON).await.expect("it ends");
        assert_ne!(exit.code, Some(0));
        assert!(exit.stderr.contains(&expected), "{}", exit.stderr);
    }
    let mut daemon = Daemon::spawn_in(tempdir().unwrap(), &config);
    let exit = daemon.wait_exit(SOON).await.expect("it ends");
    assert!(exit.stderr.contains("it passed none"), "{}", exit.stderr);
}
