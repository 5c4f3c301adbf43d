//! Stores that cannot be written or read: what nobody has to keep flows, what would have to be kept is not taken, and
//! all is well again without a restart when the store is.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lab::Internet;
use support::{Act, CONTENT, Daemon, Reply, Script, SmtpClient, World, WorldBuilder};
use tempfile::{TempDir, tempdir};
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(20);
/// In the database, in a file beside it, and too large for memory before that.
const SIZES: [usize; 3] = [500, 100_000, 300_000];

fn usual(custody: &str) -> WorldBuilder {
    World::new()
        .without_dnssec()
        .domain("a.test", Script::no_starttls())
        .config(&format!("[relay]\ncustody = '{custody}'"))
        .config("[queue]\nretry = ['500ms']\ndsn_via = 'mx'")
        .config("[client]\nmax_message_size = '1MiB'")
        .config("state_dir = 'STATE/state'")
}

/// Starts it in a mount namespace of its own, which ends with it, after `mount` has been done to its state directory.
/// `None`: that needs root, which is said on stderr.
async fn start_mounted(directory: TempDir, mount: &str, config: &str) -> Option<Daemon> {
    let tried = Command::new("unshare").args(["-m", "true"]).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped, no mount namespaces here (unshare -m)");
        return None;
    }
    let state = directory.path().join("state");
    fs::create_dir_all(&state).unwrap();
    let mount = mount.replace("STATE", &state.display().to_string());
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    let words = ["unshare", "-m", "sh", "-c", &script];
    let mut daemon = Daemon::spawn_under(&words, directory, config);
    daemon.wait_until_ready().await;
    Some(daemon)
}

/// 40 MiB for the state.
async fn on_a_small_disk(world: WorldBuilder) -> Option<(Internet, Daemon)> {
    let (net, config) = world.prepare().await;
    let mount = "mount -t tmpfs -o size=40m none STATE";
    let daemon = start_mounted(tempdir().unwrap(), mount, &config).await?;
    Some((net, daemon))
}

/// The state directory as the daemon sees it.
fn state(daemon: &Daemon) -> PathBuf {
    let root = format!("/proc/{}/root", daemon.pid());
    let state = daemon.directory().join("state");
    Path::new(&root).join(state.strip_prefix("/").unwrap())
}

/// Writes until there is no room for another octet.
fn fill(daemon: &Daemon) {
    let mut file = fs::File::create(state(daemon).join("filler")).unwrap();
    for piece in [1 << 16, 1] {
        while file.write_all(&vec![b'x'; piece]).is_ok() {}
    }
}

async fn send(daemon: &Daemon, size: usize) -> Reply {
    let mut content = CONTENT.to_vec();
    while content.len() < size {
        content
            .extend_from_slice(b"line after line after line after line after line after line\r\n");
    }
    let mut client = SmtpClient::smtp(daemon.smtp.unwrap()).await.unwrap();
    client.patience(PATIENCE);
    let mail = client.mail("s@client.test", &["x@a.test"], &content);
    mail.await.unwrap()
}

/// The replies to two recipients over LMTP.
async fn send_lmtp(daemon: &Daemon) -> Vec<u16> {
    let mut client = SmtpClient::lmtp(daemon.lmtp.unwrap()).await.unwrap();
    client.patience(PATIENCE);
    let to = ["x@a.test", "y@a.test"];
    let replies = client.lmtp_mail("s@client.test", &to, CONTENT).await;
    replies.unwrap().iter().map(|reply| reply.code).collect()
}

/// The reply to the second RCPT of an SMTP transaction.
async fn second_rcpt(daemon: &Daemon) -> Reply {
    let mut client = SmtpClient::smtp(daemon.smtp.unwrap()).await.unwrap();
    for line in ["MAIL FROM:<s@client.test>", "RCPT TO:<x@a.test>"] {
        assert_eq!(client.command(line).await.unwrap().code, 250);
    }
    client.command("RCPT TO:<y@a.test>").await.unwrap()
}

fn code(reply: &Reply) -> (u16, &str) {
    (reply.code, reply.enhanced().unwrap_or(""))
}

/// Waits until metric and /readyz say so of the store; mail should come all the same.
async fn wait_writable(daemon: &Daemon, expected: f64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let metric = daemon.metric("store_writable", &[]).await;
        let (status, text) = daemon.get("/readyz").await.unwrap();
        assert_eq!(status, 200, "{text}");
        let told = text.lines().any(|line| line.starts_with("queue: "));
        if metric == expected && told == (expected == 0.0) {
            return;
        }
        assert!(Instant::now() < until, "store_writable is {metric}, {text}");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn wait_empty(daemon: &Daemon) {
    let until = Instant::now() + PATIENCE;
    while daemon.metric("queue_messages", &[]).await > 0.0 {
        assert!(Instant::now() < until, "messages in the queue");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn still_there(daemon: &mut Daemon) {
    let exit = daemon.wait_exit(Duration::ZERO).await;
    assert!(exit.is_none(), "it has ended: {exit:?}");
    assert!(!daemon.stderr().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_no_mail_that_is_to_be_kept() {
    let Some((net, mut daemon)) = on_a_small_disk(usual("queue")).await else {
        return;
    };
    let mx = net.mx("a.test");
    for size in SIZES {
        assert_eq!(send(&daemon, size).await.code, 250);
    }
    assert!(mx.wait_for_messages(3).await);
    wait_writable(&daemon, 1.0).await;
    wait_empty(&daemon).await;
    fill(&daemon);
    // Before and after it is known.
    for _ in 0..2 {
        for size in SIZES {
            let reply = send(&daemon, size).await;
            assert_eq!(code(&reply), (452, "4.3.1"), "{size}: {reply}");
        }
        assert_eq!(send_lmtp(&daemon).await, [452, 452]);
        wait_writable(&daemon, 0.0).await;
    }
    let left = daemon.kept_files();
    assert_eq!(left, 0, "what could not be written whole is removed");
    fs::remove_file(state(&daemon).join("filler")).unwrap();
    wait_writable(&daemon, 1.0).await;
    for size in SIZES {
        let reply = send(&daemon, size).await;
        assert_eq!(reply.code, 250, "{reply}");
    }
    assert!(mx.wait_for_messages(6).await);
    wait_writable(&daemon, 1.0).await;
    wait_empty(&daemon).await;
    assert_eq!(mx.messages().len(), 6, "nothing twice");
    still_there(&mut daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_while_the_disk_is_full_is_written_down_later_and_arrives_once() {
    let slow = Script {
        dot: Act::Normal.after(Duration::from_secs(1)),
        ..Script::no_starttls()
    };
    let world = usual("queue").domain("slow.test", slow);
    let Some((net, mut daemon)) = on_a_small_disk(world).await else {
        return;
    };
    let mut client = SmtpClient::smtp(daemon.smtp.unwrap()).await.unwrap();
    let reply = client
        .mail("s@client.test", &["x@slow.test"], CONTENT)
        .await;
    assert_eq!(reply.unwrap().code, 250);
    let mx = net.mx("slow.test");
    assert!(mx.wait_for(|record| record.messages.len() == 1).await);
    fill(&daemon);
    wait_writable(&daemon, 0.0).await;
    daemon
        .wait_metric("deliveries_total", &[("result", "delivered")], 1.0)
        .await;
    sleep(Duration::from_secs(1)).await;
    fs::remove_file(state(&daemon).join("filler")).unwrap();
    wait_writable(&daemon, 1.0).await;
    wait_empty(&daemon).await;
    assert_eq!(mx.messages().len(), 1);
    still_there(&mut daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_mail_flows_that_nobody_has_to_keep() {
    for (custody, second) in [
        ("client", [(452, "4.5.3"), (452, "4.5.3")]),
        ("auto", [(250, "2.1.5"), (452, "4.5.3")]),
    ] {
        let Some((net, mut daemon)) = on_a_small_disk(usual(custody)).await else {
            return;
        };
        wait_writable(&daemon, 1.0).await;
        assert_eq!(code(&second_rcpt(&daemon).await), second[0], "{custody}");
        fill(&daemon);
        wait_writable(&daemon, 0.0).await;
        assert_eq!(code(&second_rcpt(&daemon).await), second[1], "{custody}");
        assert_eq!(send(&daemon, 500).await.code, 250, "{custody}");
        assert_eq!(send_lmtp(&daemon).await, [250, 250], "{custody}");
        fs::remove_file(state(&daemon).join("filler")).unwrap();
        wait_writable(&daemon, 1.0).await;
        assert_eq!(code(&second_rcpt(&daemon).await), second[0], "{custody}");
        assert_eq!(net.mx("a.test").messages().len(), 2, "{custody}");
        still_there(&mut daemon).await;
    }
}

/// As by `LimitFSIZE=` or a quota: an error of writing that is not a full disk, and a signal (setrlimit(2)).
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_file_sizes_is_an_error_of_writing_and_no_end() {
    let (net, config) = usual("queue")
        .config("[log]\nlevel = 'error'")
        .prepare()
        .await;
    let words = ["sh", "-c", "ulimit -S -f 1024; exec \"$0\" \"$@\""]; // of 512 octets
    let mut daemon = Daemon::spawn_under(&words, tempdir().unwrap(), &config);
    daemon.wait_until_ready().await;
    let mut taken = 0;
    let refused = loop {
        let reply = send(&daemon, 9_000).await;
        if reply.code != 250 {
            break reply;
        }
        taken += 1;
        assert!(taken < 200);
    };
    assert_eq!(code(&refused), (451, "4.3.0"), "{refused}");
    still_there(&mut daemon).await;
    let pid = daemon.pid().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited:"])
        .status();
    assert!(raised.unwrap().success());
    wait_writable(&daemon, 1.0).await;
    assert_eq!(send(&daemon, 9_000).await.code, 250);
    assert!(net.mx("a.test").wait_for_messages(taken + 1).await);
    wait_empty(&daemon).await;
    still_there(&mut daemon).await;
}

/// Runs one that takes a message which nobody wants yet, and ends by this signal. Its directory.
async fn with_one_in_the_queue(net: &Internet, config: &str, signal: &str) -> TempDir {
    let greeting = Act::reply(421, "4.3.2 closed");
    net.mx("a.test").set_script(Script {
        greeting,
        ..Script::no_starttls()
    });
    let directory = tempdir().unwrap();
    let place = directory.path().to_owned();
    let mut daemon = Daemon::start_in(directory, config).await;
    assert_eq!(send(&daemon, 500).await.code, 250);
    daemon.end(signal).await;
    // The directory of the first goes with it.
    let kept = tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(place.join("state"))
        .arg(kept.path())
        .status();
    assert!(copied.unwrap().success());
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_keeps_nothing_until_it_is_writable_again() {
    for signal in ["KILL", "TERM"] {
        let (net, config) = usual("queue").prepare().await;
        let directory = with_one_in_the_queue(&net, &config, signal).await;
        net.mx("a.test").set_script(Script::no_starttls());
        let mount = "mount --bind STATE STATE && mount -o remount,ro,bind STATE";
        let Some(mut daemon) = start_mounted(directory, mount, &config).await else {
            return;
        };
        wait_writable(&daemon, 0.0).await;
        let reply = send(&daemon, 500).await;
        assert_eq!(code(&reply), (451, "4.3.0"), "{signal}: {reply}");
        assert_eq!(net.mx("a.test").messages().len(), 0, "{signal}");
        let mount = format!(
            "mount -o remount,rw,bind {}",
            daemon.directory().join("state").display()
        );
        let pid = daemon.pid().to_string();
        let words = ["-t", &pid, "-m", "sh", "-c", &mount];
        assert!(
            Command::new("nsenter")
                .args(words)
                .status()
                .unwrap()
                .success()
        );
        wait_writable(&daemon, 1.0).await;
        assert_eq!(send(&daemon, 500).await.code, 250, "{signal}");
        assert!(
            net.mx("a.test").wait_for_messages(2).await,
            "{signal}: what was kept comes too"
        );
        wait_empty(&daemon).await;
        still_there(&mut daemon).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_in_the_way_at_start_can_be_removed_without_a_restart() {
    for in_the_way in ["state", "state/queue", "state/sealpost.db"] {
        for (custody, expected) in [("queue", (451, "4.3.0")), ("auto", (250, "2.0.0"))] {
            let (net, config) = usual(custody).prepare().await;
            let directory = tempdir().unwrap();
            let place = directory.path().join(in_the_way);
            match in_the_way {
                "state/sealpost.db" => fs::create_dir_all(&place).unwrap(),
                _ => {
                    fs::create_dir_all(place.parent().unwrap()).unwrap();
                    fs::write(&place, "in the way").unwrap();
                }
            }
            let mut daemon = Daemon::start_in(directory, &config).await;
            wait_writable(&daemon, 0.0).await;
            let reply = send(&daemon, 100_000).await;
            assert_eq!(code(&reply), expected, "{in_the_way} {custody}: {reply}");
            match place.is_dir() {
                true => fs::remove_dir(&place).unwrap(),
                false => fs::remove_file(&place).unwrap(),
            }
            wait_writable(&daemon, 1.0).await;
            let reply = send(&daemon, 100_000).await;
            assert_eq!(reply.code, 250, "{in_the_way} {custody}: {reply}");
            let came = if custody == "queue" { 1 } else { 2 };
            assert!(net.mx("a.test").wait_for_messages(came).await);
            still_there(&mut daemon).await;
        }
    }
}

/// Which octets of the database are overwritten; whatever that hits.
const DAMAGES: [(u64, u64); 4] = [(0, 100), (100, 4_000), (4_096, 40_000), (0, 1_000_000)];

fn damage(database: &Path, (from, to): (u64, u64)) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::File::options().write(true).open(database).unwrap();
    let to = to.min(file.metadata().unwrap().len());
    let garbage: Vec<u8> = (from..to).map(|_| fastrand::u8(..)).collect();
    file.write_all_at(&garbage, from).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_the_database_ends_nothing() {
    for (custody, at) in DAMAGES.iter().flat_map(|at| [("queue", at), ("auto", at)]) {
        let (net, config) = usual(custody).prepare().await;
        let queue = config.replace("custody = \"auto\"", "custody = \"queue\"");
        let directory = with_one_in_the_queue(&net, &queue, "TERM").await;
        net.mx("a.test").set_script(Script::no_starttls());
        damage(&directory.path().join("state/sealpost.db"), *at);
        let mut daemon = Daemon::start_in(directory, &config).await;
        let reply = send(&daemon, 500).await;
        match custody {
            "queue" => assert!([250, 451].contains(&reply.code), "{at:?}: {reply}"),
            _ => assert_eq!(reply.code, 250, "{at:?}: {reply}"),
        }
        if custody == "queue" && reply.code == 250 {
            assert!(net.mx("a.test").wait_for_messages(1).await, "{at:?}");
        }
        if custody == "auto" {
            assert_eq!(send_lmtp(&daemon).await, [250, 250], "{at:?}");
        }
        still_there(&mut daemon).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_that_comes_while_it_runs_ends_nothing() {
    for at in DAMAGES {
        let (_net, config) = usual("queue").prepare().await;
        let mut daemon = Daemon::start_in(tempdir().unwrap(), &config).await;
        assert_eq!(send(&daemon, 500).await.code, 250);
        let database = daemon.directory().join("state/sealpost.db");
        // Else what is in the log hides it.
        for file in [database.clone(), database.with_extension("db-wal")] {
            damage(&file, at);
        }
        for _ in 0..20 {
            let reply = send(&daemon, 500).await;
            assert!([250, 451, 452].contains(&reply.code), "{at:?}: {reply}");
        }
        still_there(&mut daemon).await;
        daemon.end("TERM").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_with_the_same_state_directory_ends_and_says_why() {
    let shared = tempdir().unwrap();
    let state = format!("state_dir = '{}'", shared.path().display());
    let (_net, config) = usual("queue").config(&state).prepare().await;
    let (_other, another) = usual("queue").config(&state).prepare().await;
    let mut first = Daemon::start(config).await;
    let mut second = Daemon::spawn_in(tempdir().unwrap(), &another);
    let exit = second.wait_exit(PATIENCE).await.unwrap();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    let expected = "another Sealpost has the database open";
    assert!(exit.stderr.contains(expected), "{}", exit.stderr);
    assert_eq!(send(&first, 500).await.code, 250);
    // Whoever is killed leaves the place at once.
    first.end("KILL").await;
    let mut third = Daemon::start(another).await;
    still_there(&mut third).await;
}
