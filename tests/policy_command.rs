//! `sealpost policy` and the admin socket.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::sts::{Answer, policy};
use sealpost::store::{Store, StoredPolicy};
use serde_json::Value;
use support::{Daemon, Exit, Script, World, WorldBuilder, merge};
use tempfile::{TempDir, tempdir};

const DAY: u64 = 86_400;

fn enforced() -> String {
    policy("enforce", &["mx.a.test"], 604_800)
}

/// One domain with a policy that mail to it satisfies.
fn usual() -> WorldBuilder {
    World::new()
        .domain("a.test", Script::default())
        .sts("a.test", "1", enforced())
}

/// `sealpost policy`, to its end.
async fn say(daemon: &Daemon, words: &[&str]) -> Exit {
    say_with(&daemon.config_file(), words).await
}

async fn say_with(config: &Path, words: &[&str]) -> Exit {
    let config = config.display().to_string();
    let words = [&["policy", "--config", &config], words].concat();
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let run = move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Daemon::command(&words)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Exit code and the elements of the array on stdout.
async fn json(daemon: &Daemon, words: &[&str]) -> (Option<i32>, Vec<Value>) {
    let exit = say(daemon, &[words, &["--json"]].concat()).await;
    let parsed = serde_json::from_str(&exit.stdout);
    (
        exit.code,
        parsed.unwrap_or_else(|e| panic!("{e}: {exit:?}")),
    )
}

fn socket(daemon: &Daemon) -> PathBuf {
    daemon.directory().join("admin.sock")
}

/// A policy as an earlier run of the daemon has left it.
fn stored(domain: &str) -> StoredPolicy {
    let now = jiff::Timestamp::now().as_second();
    let fetched = u64::try_from(now).unwrap() - 3 * 3600;
    StoredPolicy {
        domain: domain.to_owned(),
        id: "1".to_owned(),
        mode: "enforce".to_owned(),
        policy: format!("version: STSv1\nmode: enforce\nmx: mx.{domain}\nmax_age: 604800\n"),
        fetched,
        expires: fetched + 7 * DAY,
        used: fetched,
        refresh: fetched + DAY,
    }
}

/// A directory with the state of an earlier run.
async fn remembering(policies: impl IntoIterator<Item = StoredPolicy>) -> TempDir {
    let directory = tempdir().unwrap();
    let store = Store::open(&directory.path().join("sealpost.db")).unwrap();
    let written = policies.into_iter().map(|policy| {
        let store = store.clone();
        async move { store.put_sts_policy(policy).await.unwrap() }
    });
    futures_util::future::join_all(written).await;
    store.close().await;
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_remembered_at_first() {
    let world = usual().start().await;
    let listed = say(&world.daemon, &["list"]).await;
    assert_eq!((listed.code, &*listed.stdout), (Some(0), ""), "{listed:?}");
    assert_eq!(listed.stderr, "no policies are remembered\n");
    assert_eq!(json(&world.daemon, &["list"]).await, (Some(0), Vec::new()));
    let shown = say(&world.daemon, &["show", "a.test"]).await;
    assert_eq!((shown.code, &*shown.stdout), (Some(1), ""), "{shown:?}");
    assert_eq!(
        shown.stderr,
        "sealpost: policy: a.test: no policy is remembered\n"
    );
    let mode = fs::metadata(socket(&world.daemon)).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_listed_and_shown_once_mail_has_found_it() {
    let world = usual().start().await;
    let reply = world.send("x@a.test").await;
    assert_eq!(reply.code, 250, "{reply}");
    let listed = say(&world.daemon, &["list"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let lines: Vec<Vec<&str>> = listed
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 2, "{listed:?}");
    assert_eq!(lines[0], ["DOMAIN", "MODE", "AGE", "EXPIRES", "MX"]);
    assert_eq!(lines[1][..2], ["a.test", "enforce"]);
    assert_eq!(*lines[1].last().unwrap(), "mx.a.test");
    let shown = say(&world.daemon, &["show", "someone@A.TEST"]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for expected in [
        "a.test\n",
        "  mode         enforce\n",
        "  mx           mx.a.test\n",
        "  max_age      604800 s (7 d)\n",
        "  id           1\n",
        "  => in force\n",
    ] {
        assert!(shown.stdout.contains(expected), "{expected}: {shown:?}");
    }
    let (code, shown) = json(&world.daemon, &["show", "a.test"]).await;
    assert_eq!((code, shown.len()), (Some(0), 1));
    let entry = &shown[0];
    assert_eq!(entry["mx"], serde_json::json!(["mx.a.test"]));
    assert_eq!(
        (&entry["live"], &entry["last_failure"]),
        (&true.into(), &Value::Null)
    );
    let (_, listed) = json(&world.daemon, &["list"]).await;
    assert_eq!(listed[0]["fetched"], entry["fetched"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_brings_what_has_changed_under_the_same_id() {
    let world = usual().start().await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let testing = policy("testing", &["mx.a.test", "*.b.test"], DAY);
    world.sts("a.test").answer(Answer::Policy(testing));
    let refreshed = say(&world.daemon, &["refresh", "a.test"]).await;
    assert_eq!(
        (refreshed.code, &*refreshed.stderr),
        (Some(0), ""),
        "{refreshed:?}"
    );
    for expected in [
        "record       id 1\n",
        "mode         testing\n",
        "=> fetched",
    ] {
        assert!(refreshed.stdout.contains(expected), "{refreshed:?}");
    }
    let (_, shown) = json(&world.daemon, &["show", "a.test"]).await;
    assert_eq!(shown[0]["mode"], "testing");
    assert_eq!(shown[0]["mx"], serde_json::json!(["mx.a.test", "*.b.test"]));
    assert_eq!(shown[0]["max_age"], DAY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_a_record_cannot_be_refreshed() {
    let world = World::new()
        .domain("b.test", Script::default())
        .start()
        .await;
    let refreshed = say(&world.daemon, &["refresh", "b.test"]).await;
    assert_eq!(refreshed.code, Some(1), "{refreshed:?}");
    assert_eq!(
        refreshed.stderr,
        "sealpost: policy: b.test: not refreshed: no MTA-STS record\n"
    );
    let (code, answers) = json(&world.daemon, &["refresh", "b.test"]).await;
    assert_eq!(code, Some(1));
    assert_eq!(answers[0]["record"]["problem"], "no MTA-STS record");
    assert_eq!(answers[0]["policy"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_fails_says_why_and_what_stays_in_force() {
    let (net, config) = usual().prepare().await;
    net.sts_of("a.test").answer(Answer::Status(500));
    let directory = remembering([stored("a.test")]).await;
    let daemon = Daemon::start_in(directory, &config).await;
    let refreshed = say(&daemon, &["refresh", "a.test"]).await;
    assert_eq!(refreshed.code, Some(1), "{refreshed:?}");
    let why = "policy host: status 500 (sts-policy-fetch-error)";
    assert!(refreshed.stderr.contains(why), "{refreshed:?}");
    assert!(
        refreshed
            .stdout
            .contains("3 h ago stays in force: enforce for 6 d"),
        "{refreshed:?}"
    );
    let (code, answers) = json(&daemon, &["refresh", "a.test"]).await;
    assert_eq!(code, Some(1));
    assert_eq!(answers[0]["failure"]["result"], "sts-policy-fetch-error");
    assert_eq!(answers[0]["kept"]["mode"], "enforce");
    let shown = say(&daemon, &["show", "a.test"]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let told = format!("s ago: {why}\n  => in force\n");
    assert!(shown.stdout.ends_with(&told), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_is_gone_for_good() {
    let (_net, config) = World::new().prepare().await;
    let directory = remembering([stored("a.test"), stored("xn--bcher-kva.test")]).await;
    let mut daemon = Daemon::start_in(directory, &config).await;
    assert_eq!(say(&daemon, &["show", "a.test"]).await.code, Some(0));
    let forgotten = say(&daemon, &["forget", "a.test", "bücher.test"]).await;
    assert_eq!(
        (forgotten.code, &*forgotten.stderr),
        (Some(0), ""),
        "{forgotten:?}"
    );
    assert_eq!(
        forgotten.stdout,
        "a.test: forgotten\nxn--bcher-kva.test: forgotten\n"
    );
    let told = daemon
        .wait_log(|line| line["message"] == "policy forgotten on request")
        .await;
    assert_eq!(Daemon::field(&told, "domain").unwrap(), "a.test");
    assert!(Daemon::field(&told, "uid").unwrap().is_u64(), "{told}");
    for again in ["show", "forget"] {
        let missing = say(&daemon, &[again, "a.test"]).await;
        assert_eq!(missing.code, Some(1), "{missing:?}");
        assert!(missing.stderr.contains("a.test: no policy is remembered"));
    }
    daemon.restart("TERM").await;
    assert_eq!(json(&daemon, &["list"]).await, (Some(0), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_is_fetched_again_by_the_next_message() {
    let world = usual().start().await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert_eq!(
        say(&world.daemon, &["forget", "a.test"]).await.code,
        Some(0)
    );
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert_eq!(world.sts("a.test").requests().len(), 2);
    assert_eq!(say(&world.daemon, &["show", "a.test"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_any_length() {
    const COUNT: usize = 2_345;
    let (_net, config) = World::new().prepare().await;
    let names: Vec<String> = (0..COUNT).map(|i| format!("d{i:05}.test")).collect();
    let directory = remembering(names.iter().map(|name| stored(name))).await;
    let daemon = Daemon::start_in(directory, &config).await;
    let (code, listed) = json(&daemon, &["list"]).await;
    assert_eq!(code, Some(0));
    let listed: Vec<&str> = listed
        .iter()
        .map(|policy| policy["domain"].as_str().unwrap())
        .collect();
    assert_eq!(listed, names);
    let listed = say(&daemon, &["list"]).await;
    assert_eq!(listed.stdout.lines().count(), COUNT + 1);
    // A reader that has seen enough.
    let head = format!(
        "'{}' policy list --config '{}' | head -n 1",
        env!("CARGO_BIN_EXE_sealpost"),
        daemon.config_file().display()
    );
    let output = Command::new("sh").args(["-c", &head]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_are_wrong_are_usage_errors() {
    let world = World::new().start().await;
    for words in [
        &["show", "a..test"][..],
        &["forget", "192.0.2.1"],
        &["refresh"],
        &["list", "a.test"],
        &[],
    ] {
        let exit = say(&world.daemon, words).await;
        assert_eq!(
            (exit.code, &*exit.stdout),
            (Some(2), ""),
            "{words:?}: {exit:?}"
        );
    }
    let nowhere = say_with(Path::new("/nonexistent/s.toml"), &["list"]).await;
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_down_is_said_to_be() {
    let mut world = World::new().start().await;
    let path = socket(&world.daemon).display().to_string();
    for (signal, why) in [("KILL", "nobody answers"), ("TERM", "no such socket")] {
        world.daemon.end(signal).await;
        let exit = say(&world.daemon, &["list", "--json"]).await;
        assert_eq!((exit.code, &*exit.stdout), (Some(3), ""), "{exit:?}");
        assert!(exit.stderr.contains(why), "{exit:?}");
        assert!(exit.stderr.contains(&path), "{exit:?}");
        world.daemon.start_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_left_behind_is_replaced() {
    let mut world = World::new().start().await;
    world.daemon.end("KILL").await;
    let left = fs::symlink_metadata(socket(&world.daemon)).unwrap();
    assert!(left.file_type().is_socket());
    world.daemon.start_again().await;
    assert_eq!(say(&world.daemon, &["list"]).await.code, Some(0));
    world.daemon.end("TERM").await;
    assert!(!socket(&world.daemon).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_open_the_socket_is_told_who_may() {
    let world = World::new().start().await;
    let socket = socket(&world.daemon);
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o060)).unwrap();
    // Root may open everything, but for one without capabilities.
    let tried = Command::new("setpriv")
        .args(["--bounding-set", "-all"])
        .arg("true")
        .status();
    let mut command = match tried {
        Ok(status) if status.success() => {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--bounding-set", "-all", env!("CARGO_BIN_EXE_sealpost")]);
            setpriv
        }
        Ok(_) | Err(_) => Command::new(env!("CARGO_BIN_EXE_sealpost")),
    };
    command.args(["policy", "list", "--config"]);
    let output = command.arg(world.daemon.config_file()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let expected = format!(
        "{}: permission denied; it takes root (sudo) and the group ",
        socket.display()
    );
    assert!(said.contains(&expected), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_socket_the_daemon_serves_and_says_what_does_not_work() {
    let precious = tempdir().unwrap();
    let file = precious.path().join("file");
    fs::write(&file, "precious").unwrap();
    for (path, mend) in [
        ("STATE/missing/admin.sock", "make its directory"),
        (file.to_str().unwrap(), "remove the file"),
    ] {
        let world = World::new()
            .domain("a.test", Script::default())
            .config(&format!("[admin]\nsocket = '{path}'"))
            .start()
            .await;
        let warning = world
            .daemon
            .wait_log(|line| line["severity"] == "WARN")
            .await;
        let text = warning.to_string();
        assert!(text.contains("sealpost policy does not work"), "{text}");
        assert!(
            text.contains(mend) && text.contains("admin.socket"),
            "{text}"
        );
        assert_eq!(world.send("x@a.test").await.code, 250);
        assert_eq!(say(&world.daemon, &["list"]).await.code, Some(3));
    }
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_leaves_the_first_ones_socket_alone() {
    let world = World::new().start().await;
    let path = socket(&world.daemon);
    let extra = format!(
        "[admin]\nlisten = '{}'\nsocket = '{}'\n[[listen]]\naddress = '{}'\n",
        world.net.ports.at(249),
        path.display(),
        world.net.ports.at(248),
    );
    let mut second = Daemon::start(merge(world.config(), &extra)).await;
    let warning = second.wait_log(|line| line["severity"] == "WARN").await;
    let text = warning.to_string();
    assert!(text.contains("somebody else does already"), "{text}");
    second.end("TERM").await;
    assert_eq!(say(&world.daemon, &["list"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_socket_needs_a_restart() {
    let world = World::new().start().await;
    world.reload("[admin]\nsocket = 'STATE/other.sock'");
    let told = world
        .daemon
        .wait_log(|line| line["message"] == "changed, but needs a restart")
        .await;
    assert_eq!(Daemon::field(&told, "key").unwrap(), "admin.socket");
    assert!(socket(&world.daemon).exists());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!world.daemon.directory().join("other.sock").exists());
}
