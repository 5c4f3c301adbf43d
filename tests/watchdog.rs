//! What systemd's watchdog is told (sd_notify(3)) by a daemon that is well, however little it has. Under systemd
//! itself: `tests/packaging.rs`.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::process::Command;
use std::time::Duration;

use support::{Daemon, Script, World, merge};
use tempfile::tempdir;
use tokio::net::UnixDatagram;

/// Longer than anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_file_descriptors_is_not_ended_for_it() {
    let systemd = tempdir().unwrap();
    let place = systemd.path().join("notify");
    let heard = UnixDatagram::bind(&place).unwrap();
    let (net, config) = World::new()
        .domain("a.test", Script::default())
        .prepare()
        .await;
    let map = format!("[[socketmap]]\nlisten = '{}'", net.ports.next());
    let place = format!("NOTIFY_SOCKET={}", place.display());
    let words = ["env", &place, "WATCHDOG_USEC=200000"];
    let mut daemon = Daemon::spawn_under(&words, tempdir().unwrap(), &merge(&config, &map));
    daemon.wait_until_ready().await;
    let hear = async |wanted: &str| {
        let mut datagram = [0; 512];
        let heard = async {
            loop {
                let length = heard.recv(&mut datagram).await.unwrap();
                if String::from_utf8_lossy(&datagram[..length]).trim_end() == wanted {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await
    };
    hear("READY=1").await.unwrap();
    hear("WATCHDOG=1").await.unwrap();
    // No more than it has.
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--nofile=1:1", "--pid", &daemon.pid().to_string()]);
    match prlimit.status() {
        Ok(status) => assert!(status.success()),
        Err(_) => return println!("SKIPPED: prlimit is not installed"),
    }
    // One that is on its way already, and more.
    for _ in 0..5 {
        hear("WATCHDOG=1").await.unwrap();
    }
    daemon.end("TERM").await;
}
