//! `sealpost queue`: an administrator looks at what waits, and does something about it.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::wildcard_enum_match_arm)] // hooks change one stage

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Act, CONTENT, Daemon, Exit, Log, Script, Stage, World, WorldBuilder};

const PATIENCE: Duration = Duration::from_secs(20);
const SENDER: &str = "sender@client.test";

/// Everything is kept and stays away for an hour once it was deferred; notices go to the host of `home.test`.
fn queueing() -> WorldBuilder {
    World::new()
        .domain("home.test", Script::default())
        .config("[relay]\ncustody = 'queue'")
        .config("[queue]\nretry = ['1h']")
        .config_with(|net| {
            let home = net.mx("home.test").address();
            format!("[queue]\ndsn_via = '[{}]:{}'\n", home.ip(), home.port())
        })
}

/// What a test opens for a host.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<AtomicBool>,
    /// Who has come to it.
    seen: Arc<AtomicUsize>,
}

impl Gate {
    fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// A host that acts so at this stage until it is open.
    fn until_open(&self, stage: Stage, act: Act) -> Script {
        let gate = self.clone();
        Script::default().on(
            move |moment| match moment.stage == stage && !gate.is_open() {
                true => act.clone(),
                false => Act::Normal,
            },
        )
    }

    /// A host that takes no recipient yet.
    fn later(&self) -> Script {
        self.until_open(Stage::Rcpt, Act::reply(450, "4.2.0 come back later"))
    }

    /// A host that answers nobody yet.
    fn closed(&self) -> Script {
        let closed = Act::reply(421, "4.3.2 closed for the night").then_close();
        self.until_open(Stage::Greeting, closed)
    }

    /// A host that makes everybody wait after the final dot until it is open, and then acts so.
    fn slow(&self, act: Act) -> Script {
        let gate = self.clone();
        Script::default().on(move |moment| match moment.stage {
            Stage::Dot => {
                gate.seen.fetch_add(1, Ordering::SeqCst);
                tokio::task::block_in_place(|| {
                    while !gate.is_open() {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                });
                act.clone()
            }
            _ => Act::Normal,
        })
    }

    async fn seen(&self, count: usize) {
        within("nobody has come", || {
            self.seen.load(Ordering::SeqCst) >= count
        })
        .await;
    }
}

async fn within(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// `sealpost queue`, to its end.
async fn say(daemon: &Daemon, words: &[&str]) -> Exit {
    let config = daemon.config_file().display().to_string();
    let words = [&["queue", "--config", &config], words].concat();
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let run = move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Daemon::command(&words)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The same, and it goes well: what it prints.
async fn done(daemon: &Daemon, words: &[&str]) -> String {
    let exit = say(daemon, words).await;
    assert_eq!((exit.code, &*exit.stderr), (Some(0), ""), "{words:?}");
    exit.stdout
}

/// The elements of the array.
async fn listed(daemon: &Daemon, words: &[&str]) -> Vec<Value> {
    let exit = say(daemon, &[&["list", "--json"], words].concat()).await;
    assert_eq!((exit.code, &*exit.stderr), (Some(0), ""), "{words:?}");
    let parsed = serde_json::from_str(&exit.stdout);
    parsed.unwrap_or_else(|e| panic!("{e}: {exit:?}"))
}

async fn ids(daemon: &Daemon, words: &[&str]) -> BTreeSet<String> {
    let listed = listed(daemon, words).await.into_iter();
    listed
        .map(|message| message["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until the list says so.
async fn listed_until(daemon: &Daemon, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let list = listed(daemon, &[]).await;
        if is_so(&list) {
            return list;
        }
        assert!(Instant::now() < until, "{list:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn recipients(list: &[Value]) -> impl Iterator<Item = &Value> {
    list.iter()
        .flat_map(|message| message["recipients"].as_array().unwrap())
}

/// Waits until so many messages are there and every recipient waits for another attempt.
async fn deferred(daemon: &Daemon, messages: usize) -> Vec<Value> {
    listed_until(daemon, |list| {
        let waits = |one: &Value| one["status"] == "waiting" && !one["reply"].is_null();
        list.len() == messages && recipients(list).all(waits)
    })
    .await
}

async fn emptied(daemon: &Daemon) {
    listed_until(daemon, |list| list.is_empty()).await;
}

/// Hands a message over: its id.
async fn queued(world: &World, from: &str, to: &[&str], content: &[u8]) -> String {
    let mut client = world.smtp().await;
    let reply = client.mail(from, to, content).await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let text = reply.text();
    let (_, id) = text.split_once("queued as ").unwrap();
    id.trim().to_owned()
}

async fn send(world: &World, to: &str) -> String {
    queued(world, SENDER, &[to], CONTENT).await
}

/// Nothing has gone wrong for the daemon itself.
fn assert_no_trouble(daemon: &Daemon) {
    let is_bad = |line: &Log| {
        line["severity"] == "ERROR" || line["severity"] == "WARN" && line["message"] != "delivery"
    };
    let bad: Vec<Log> = daemon.log().into_iter().filter(is_bad).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

// What is seen.

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_queue_is_said_to_be_empty() {
    let world = queueing().start().await;
    for (words, out, err) in [
        (&["list"][..], "", "the queue is empty\n"),
        (&["list", "--json"], "[]\n", ""),
        (
            &["list", "--domain", "a.test"],
            "",
            "no such messages in the queue\n",
        ),
        (
            &["drop", "--all"],
            "dropped: 0 recipients of 0 messages\n",
            "sealpost: queue: there is nothing of it\n",
        ),
        (
            &["retry", "--all", "--json"],
            "{\"messages\":0,\"recipients\":0,\"missing\":[]}\n",
            "",
        ),
    ] {
        let exit = say(&world.daemon, words).await;
        assert_eq!(
            (exit.code, &*exit.stdout, &*exit.stderr),
            (Some(0), out, err),
            "{words:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_listed_with_why_and_until_when() {
    let world = queueing()
        .domain("a.test", Gate::default().later())
        .start()
        .await;
    let id = queued(&world, SENDER, &["x@a.test", "y@a.test"], CONTENT).await;
    deferred(&world.daemon, 1).await;
    let list = done(&world.daemon, &["list"]).await;
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    let words: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(
        words,
        ["ID", "AGE", "SIZE", "STATE", "NEXT", "SENDER", "RECIPIENTS"]
    );
    assert!(lines[1].starts_with(&id), "{list}");
    for expected in [SENDER, "waiting", " in ", "x@a.test +1"] {
        assert!(lines[1].contains(expected), "{expected}: {list}");
    }
    let column = |title| lines[0].find(title).unwrap();
    assert_eq!(column("SENDER"), lines[1].find(SENDER).unwrap(), "{list}");
    assert_eq!(column("STATE"), lines[1].find("waiting").unwrap(), "{list}");
    assert_eq!(column("RECIPIENTS"), lines[1].find("x@a").unwrap());
    assert!(lines[2].starts_with("    450 4.2.0 "), "{list}");
    assert!(lines[2].ends_with("come back later"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_in_json_has_the_fields_that_scripts_rely_on() {
    let world = queueing()
        .domain("a.test", Gate::default().later())
        .start()
        .await;
    let before = jiff::Timestamp::now().as_second();
    let id = queued(&world, SENDER, &["x@a.test", "Y@A.TEST"], CONTENT).await;
    let list = deferred(&world.daemon, 1).await;
    let fields = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let message = &list[0];
    let of_message: BTreeSet<String> = names(&[
        "id",
        "state",
        "sender",
        "size",
        "received",
        "next_attempt",
        "expires",
        "recipients",
    ]);
    assert_eq!(fields(message), of_message);
    let of_recipient: BTreeSet<String> = names(&[
        "address",
        "domain",
        "status",
        "reply",
        "attempts",
        "last_attempt",
        "next_attempt",
    ]);
    for recipient in recipients(&list) {
        assert_eq!(fields(recipient), of_recipient);
        assert_eq!(recipient["domain"], "a.test");
        assert_eq!(recipient["status"], "waiting");
        assert_eq!(recipient["attempts"], 1);
        let reply = recipient["reply"].as_str().unwrap();
        assert!(reply.starts_with("450 4.2.0 "), "{reply}");
    }
    let addresses: Vec<&Value> = recipients(&list).map(|one| &one["address"]).collect();
    assert_eq!(addresses, ["x@a.test", "Y@A.TEST"]);
    assert_eq!(message["id"], *id);
    assert_eq!(message["state"], "waiting");
    assert_eq!(message["sender"], SENDER);
    assert!(message["size"].as_u64().unwrap() >= CONTENT.len() as u64);
    let time = |name: &str| -> i64 {
        let time: jiff::Timestamp = message[name].as_str().unwrap().parse().unwrap();
        time.as_second()
    };
    let received = time("received");
    assert!((before..=before + 20).contains(&received));
    assert_eq!(time("expires"), received + 5 * 86_400);
    assert!((received + 3600..received + 4000).contains(&time("next_attempt")));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_about_a_message_is_shown() {
    let world = queueing()
        .domain("a.test", Gate::default().later())
        .start()
        .await;
    let id = send(&world, "x@a.test").await;
    deferred(&world.daemon, 1).await;
    // As people copy it from a log.
    let shown = done(&world.daemon, &["show", &id.to_lowercase()]).await;
    for expected in [
        &format!("{id}\n"),
        "  state        waiting\n",
        "  sender       <sender@client.test>\n",
        "  recipient    <x@a.test>\n",
        "attempted once\n",
        "come back later",
        "next attempt ",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let object = done(&world.daemon, &["show", "--json", &id]).await;
    let object: Value = serde_json::from_str(&object).unwrap();
    assert_eq!([object], *listed(&world.daemon, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_id_is_named_and_the_others_are_served() {
    let world = queueing()
        .domain("a.test", Gate::default().later())
        .start()
        .await;
    let id = send(&world, "x@a.test").await;
    deferred(&world.daemon, 1).await;
    let missing = "sealpost: queue: 0ABC: no such message in the queue\n";
    for act in ["show", "retry", "hold", "release", "drop"] {
        let alone = say(&world.daemon, &[act, "0abc"]).await;
        assert_eq!((alone.code, &*alone.stderr), (Some(1), missing), "{act}");
    }
    let alone = say(&world.daemon, &["show", "0abc"]).await;
    assert_eq!(alone.stdout, "");
    let alone = say(&world.daemon, &["show", "--json", "0abc"]).await;
    let said: Value = serde_json::from_str(&alone.stdout).unwrap();
    assert_eq!(
        said,
        json!({"id": "0ABC", "error": "no such message in the queue"})
    );
    let both = say(&world.daemon, &["show", "0abc", &id]).await;
    assert_eq!((both.code, &*both.stderr), (Some(1), missing));
    assert!(both.stdout.starts_with(&id), "{both:?}");
    let both = say(&world.daemon, &["drop", "--json", "0abc", &id]).await;
    assert_eq!((both.code, &*both.stderr), (Some(1), missing));
    let said: Value = serde_json::from_str(&both.stdout).unwrap();
    assert_eq!(
        said,
        json!({"messages": 1, "recipients": 1, "missing": ["0ABC"]})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_cut_off_says_so() {
    let world = queueing()
        .domain("a.test", Gate::default().later())
        .start()
        .await;
    for _ in 0..3 {
        send(&world, "x@a.test").await;
    }
    let all = deferred(&world.daemon, 3).await;
    let cut = say(&world.daemon, &["list", "--limit", "2"]).await;
    assert_eq!(cut.code, Some(0));
    assert_eq!(cut.stdout.lines().count(), 1 + 2 * 2, "{cut:?}");
    assert!(cut.stderr.contains("1 more of 3"), "{cut:?}");
    let whole = done(&world.daemon, &["list", "--limit", "3"]).await;
    assert_eq!(whole.lines().count(), 1 + 3 * 2, "{whole}");
    // In the order of arrival.
    let first = listed(&world.daemon, &["--limit", "2"]).await;
    assert_eq!(first, all[..2]);
    let times: Vec<&str> = all
        .iter()
        .map(|m| m["received"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

/// What an MX says to take over a terminal, and more than fits a line.
fn hostile_reply() -> Vec<u8> {
    let mut reply = b"450-4.2.0 \x1b[2J\x1b]0;owned\x07\x08\x08 \x9b31m\xff\xe9\x00\x7f ".to_vec();
    reply.extend_from_slice("\u{202e}\u{85}\u{2028}gr\u{fc}\u{df}e".as_bytes());
    reply.extend_from_slice(b"\x0bx\x0cy\rz\r\n");
    for _ in 0..20 {
        reply.extend_from_slice(b"450-4.2.0 ");
        reply.extend_from_slice(&b"0123456789".repeat(40));
        reply.extend_from_slice(b"\r\n");
    }
    reply.extend_from_slice(b"450 4.2.0 \x1b[0m06F3Q5T1ZK8W9XAB\r\n");
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_say_moves_no_cursor_and_breaks_no_line() {
    let hostile = Gate::default().until_open(Stage::Rcpt, Act::raw(hostile_reply()));
    let world = queueing().domain("a.test", hostile).start().await;
    let mut client = world.smtp().await;
    for command in [
        "MAIL FROM:<\"\u{202e}\u{200f}\u{2066}gnp.exe\"@client.test> SMTPUTF8",
        "RCPT TO:<\"\u{2028}\u{202d}2J\"@a.test>",
        "RCPT TO:<x@a.test>",
        "DATA",
    ] {
        let reply = client.command(command).await.unwrap();
        assert!(reply.code < 400, "{command}: {reply}");
    }
    client.send(lab::client::stuffed(CONTENT)).await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 250);
    send(&world, "x@a.test").await;
    let list = deferred(&world.daemon, 2).await;
    for recipient in recipients(&list) {
        let reply = recipient["reply"].as_str().unwrap();
        assert!(reply.starts_with("450 4.2.0 "), "{reply}");
        assert!(reply.len() <= 512 && reply.is_ascii(), "{reply}");
    }
    let id = list[0]["id"].as_str().unwrap();
    let table = done(&world.daemon, &["list"]).await;
    assert_eq!(table.lines().count(), 1 + 2 * 2, "{table}");
    let shown = done(&world.daemon, &["show", id]).await;
    for text in [
        table,
        shown,
        done(&world.daemon, &["list", "--json"]).await,
        done(&world.daemon, &["show", "--json", id]).await,
    ] {
        let moves = |c: &char| c.is_control() && *c != '\n';
        assert_eq!(text.chars().find(moves), None, "{text:?}");
    }
    let text = done(&world.daemon, &["list"]).await + &done(&world.daemon, &["show", id]).await;
    let turns = |c: &char| "\u{200f}\u{202e}\u{202d}\u{2028}\u{2066}".contains(*c);
    assert_eq!(text.chars().find(turns), None, "{text:?}");
}

// What is meant.

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_is_what_was_said() {
    let (a, b) = (Gate::default(), Gate::default());
    let world = queueing()
        .domain("a.test", a.later())
        .domain("b.test", b.later())
        .start()
        .await;
    let one = queued(&world, "one@client.test", &["x@a.test"], CONTENT).await;
    let two = queued(
        &world,
        "two@client.test",
        &["x@a.test", "y@b.test"],
        CONTENT,
    )
    .await;
    let null = queued(&world, "", &["y@b.test"], CONTENT).await;
    deferred(&world.daemon, 3).await;
    let held = done(&world.daemon, &["hold", &two, "--domain", "b.test"]).await;
    assert_eq!(held, "held: 1 recipient of 1 message\n");
    let cases: &[(&[&str], &[&String])] = &[
        (&[], &[&one, &two, &null]),
        (&["--domain", "a.test"], &[&one, &two]),
        (&["--domain", "someone@B.Test."], &[&two, &null]),
        (&["--domain", "c.test"], &[]),
        (&["--sender", "one@client.test"], &[&one]),
        (&["--sender", "<TWO@client.test>"], &[&two]),
        (&["--sender", "client.test"], &[]),
        (&["--sender", "<>"], &[&null]),
        (&["--sender", ""], &[&null]),
        (&["--state", "held"], &[&two]),
        (&["--state", "waiting"], &[&one, &two, &null]),
        (&["--state", "held", "--domain", "a.test"], &[]),
        (&["--state", "held", "--domain", "b.test"], &[&two]),
        (&["--state", "waiting", "--domain", "b.test"], &[&null]),
        (&["--sender", "<>", "--domain", "a.test"], &[]),
        (&["--older-than", "1h"], &[]),
        (&["--older-than", "0s"], &[&one, &two, &null]),
        (&["--newer-than", "1d12h"], &[&one, &two, &null]),
        (&["--newer-than", "0s"], &[]),
        (&["--newer-than", "1h", "--older-than", "1h"], &[]),
    ];
    for (words, expected) in cases {
        let expected: BTreeSet<String> = expected.iter().map(|&id| id.clone()).collect();
        assert_eq!(ids(&world.daemon, words).await, expected, "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_concerns_what_a_list_with_the_same_words_shows() {
    let world = queueing()
        .domain("a.test", Gate::default().later())
        .domain("b.test", Gate::default().later())
        .start()
        .await;
    queued(&world, "one@client.test", &["x@a.test"], CONTENT).await;
    let both = ["x@a.test", "y@b.test"];
    queued(&world, "two@client.test", &both, CONTENT).await;
    let null = queued(&world, "", &["y@b.test"], CONTENT).await;
    deferred(&world.daemon, 3).await;
    for (words, changed) in [
        (&["--older-than", "1h"][..], "0 recipients of 0 messages"),
        (
            &[&null, "--sender", "one@client.test"],
            "0 recipients of 0 messages",
        ),
        (&["--state", "held"], "0 recipients of 0 messages"),
        (&["--domain", "a.test"], "2 recipients of 2 messages"),
        (&["--sender", "<>"], "1 recipient of 1 message"),
        (&["--newer-than", "1h"], "1 recipient of 1 message"),
        (&["--all"], "0 recipients of 0 messages"),
    ] {
        let said = say(&world.daemon, &[&["hold"], words].concat()).await;
        assert_eq!(said.code, Some(0), "{words:?}");
        assert_eq!(said.stdout, format!("held: {changed}\n"), "{words:?}");
        let nothing = "nothing of it that is not held already";
        assert_eq!(said.stderr.contains(nothing), changed.starts_with('0'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_a_selection_is_a_usage_error() {
    let world = queueing()
        .domain("a.test", Gate::default().later())
        .start()
        .await;
    send(&world, "x@a.test").await;
    let before = deferred(&world.daemon, 1).await;
    for act in ["retry", "hold", "release", "drop"] {
        let exit = say(&world.daemon, &[act]).await;
        assert_eq!((exit.code, &*exit.stdout), (Some(2), ""), "{act}");
        assert!(exit.stderr.contains("--all"), "{exit:?}");
        let exit = say(&world.daemon, &[act, "--json"]).await;
        assert_eq!((exit.code, &*exit.stdout), (Some(2), ""), "{act}");
    }
    for words in [
        &["drop", "--all", "--domain", "a.test"][..],
        &["drop", "--older-than", "yesterday"],
        &["drop", "--domain", "a..test"],
        &["drop", "../x"],
        &["drop", "--state", "active"],
        &["show"],
        &["list", "--limit", "0"],
        &["flush"],
        &[],
    ] {
        let exit = say(&world.daemon, words).await;
        assert_eq!((exit.code, &*exit.stdout), (Some(2), ""), "{words:?}");
        assert!(!exit.stderr.is_empty());
    }
    assert_eq!(listed(&world.daemon, &[]).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_which_a_domain_is_held_goes_to_the_others() {
    let (a, b) = (Gate::default(), Gate::default());
    let world = queueing()
        .domain("a.test", a.later())
        .domain("b.test", b.later())
        .start()
        .await;
    let id = queued(&world, SENDER, &["x@a.test", "y@b.test"], CONTENT).await;
    deferred(&world.daemon, 1).await;
    let said = done(&world.daemon, &["hold", "--domain", "b.test"]).await;
    assert_eq!(said, "held: 1 recipient of 1 message\n");
    let list = listed(&world.daemon, &[]).await;
    assert_eq!(list[0]["state"], "waiting", "a part of it does");
    let table = done(&world.daemon, &["list", "--state", "held"]).await;
    assert!(table.contains(" y@b.test +1 (1 held)\n"), "{table}");
    let of_b = &list[0]["recipients"][1];
    assert_eq!(
        (&of_b["status"], &of_b["next_attempt"]),
        (&json!("held"), &Value::Null)
    );
    a.open();
    b.open();
    let said = done(&world.daemon, &["retry", "--all"]).await;
    assert_eq!(said, "made due: 1 recipient of 1 message\n");
    assert!(world.mx("a.test").wait_for_messages(1).await);
    let list = listed_until(&world.daemon, |list| {
        list[0]["recipients"].as_array().unwrap().len() == 1
    })
    .await;
    assert_eq!(
        (&list[0]["state"], &list[0]["next_attempt"]),
        (&json!("held"), &Value::Null)
    );
    assert!(world.mx("b.test").messages().is_empty());
    let table = done(&world.daemon, &["list"]).await;
    assert!(
        table.contains(" held ") && table.contains("y@b.test\n"),
        "{table}"
    );
    done(&world.daemon, &["release", &id]).await;
    done(&world.daemon, &["retry", &id]).await;
    assert!(world.mx("b.test").wait_for_messages(1).await);
    emptied(&world.daemon).await;
}

// What is done.

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_stays_until_it_is_released_also_over_a_crash() {
    let gate = Gate::default();
    let mut world = queueing()
        .config("[queue]\nretry = ['3s']")
        .domain("a.test", gate.later())
        .start()
        .await;
    let id = send(&world, "held@a.test").await;
    deferred(&world.daemon, 1).await;
    let said = done(&world.daemon, &["hold", &id]).await;
    assert_eq!(said, "held: 1 recipient of 1 message\n");
    gate.open();
    world.daemon.restart("KILL").await;
    tokio::time::sleep(Duration::from_secs(4)).await; // its time has come and gone
    send(&world, "x@a.test").await;
    assert!(world.mx("a.test").wait_for_messages(1).await);
    let said = say(&world.daemon, &["retry", "--all"]).await;
    assert_eq!(said.stdout, "made due: 0 recipients of 0 messages\n");
    assert!(said.stderr.contains("it is held"), "{said:?}");
    let list = listed_until(&world.daemon, |list| list.len() == 1).await;
    assert_eq!(
        (&list[0]["id"], &list[0]["state"]),
        (&json!(id), &json!("held"))
    );
    assert_eq!(list[0]["recipients"][0]["attempts"], 1);
    let said = done(&world.daemon, &["release", &id]).await;
    assert_eq!(said, "released: 1 recipient of 1 message\n");
    assert!(world.mx("a.test").wait_for_messages(2).await);
    let last = world.mx("a.test").messages().pop().unwrap();
    assert_eq!(last.recipients[0].address, "held@a.test");
    emptied(&world.daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_released_has_its_time_again() {
    let gate = Gate::default();
    let world = queueing().domain("a.test", gate.later()).start().await;
    let id = send(&world, "x@a.test").await;
    let before = deferred(&world.daemon, 1).await;
    done(&world.daemon, &["hold", &id]).await;
    let held = listed(&world.daemon, &[]).await;
    assert_eq!(held[0]["next_attempt"], Value::Null);
    assert!(
        done(&world.daemon, &["show", &id])
            .await
            .contains("state        held")
    );
    done(&world.daemon, &["release", "--all"]).await;
    assert_eq!(listed(&world.daemon, &[]).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_brings_out_what_is_deferred_before_its_time() {
    let (a, b) = (Gate::default(), Gate::default());
    let world = queueing()
        .domain("a.test", a.later())
        .domain("b.test", b.later())
        .start()
        .await;
    let one = send(&world, "one@a.test").await;
    let two = queued(&world, SENDER, &["two@a.test", "two@b.test"], CONTENT).await;
    deferred(&world.daemon, 2).await;
    a.open();
    b.open();
    let said = done(&world.daemon, &["retry", &one]).await;
    assert_eq!(said, "made due: 1 recipient of 1 message\n");
    assert!(world.mx("a.test").wait_for_messages(1).await);
    let list = listed_until(&world.daemon, |list| list.len() == 1).await;
    assert_eq!(list[0]["id"], *two);
    let said = done(&world.daemon, &["retry", "--domain", "b.test"]).await;
    assert_eq!(said, "made due: 1 recipient of 1 message\n");
    assert!(world.mx("b.test").wait_for_messages(1).await);
    let left = listed_until(&world.daemon, |list| recipients(list).count() == 1).await;
    assert_eq!(left[0]["recipients"][0]["address"], "two@a.test");
    assert_eq!(left[0]["recipients"][0]["attempts"], 1);
    let attempt = |line: &Log| line["result"] == "delivered" && line["to"] == "two@b.test";
    let attempt = world.daemon.wait_log(attempt).await;
    assert_eq!(Daemon::field(&attempt, "queue_attempt").unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_lifts_the_suspension_of_a_destination_that_answered_nobody() {
    let gate = Gate::default();
    let world = queueing().domain("a.test", gate.closed()).start().await;
    let first = send(&world, "x@a.test").await;
    deferred(&world.daemon, 1).await;
    let calls = world.mx("a.test").connections().len();
    for _ in 0..3 {
        send(&world, "x@a.test").await;
    }
    // They are not even attempted, and it is said why.
    let list = deferred(&world.daemon, 4).await;
    for recipient in recipients(&list[1..]) {
        assert_eq!(recipient["attempts"], 0);
        let reply = recipient["reply"].as_str().unwrap();
        assert!(reply.contains("closed for the night"), "{reply}");
        let next: jiff::Timestamp = recipient["next_attempt"].as_str().unwrap().parse().unwrap();
        assert!(next.as_second() > jiff::Timestamp::now().as_second() + 3000);
    }
    assert_eq!(world.mx("a.test").connections().len(), calls);
    gate.open();
    let said = done(&world.daemon, &["retry", &first]).await;
    assert_eq!(said, "made due: 1 recipient of 1 message\n");
    assert!(world.mx("a.test").wait_for_messages(4).await, "all of them");
    emptied(&world.daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_is_gone_with_its_file_and_nobody_is_told() {
    let gate = Gate::default();
    let failing = Script::default().rcpt("nobody@b.test", (550, "5.1.1 no such user"));
    let world = queueing()
        .domain("a.test", gate.later())
        .domain("b.test", failing)
        .start()
        .await;
    let large = [CONTENT, &b"0123456789\r\n".repeat(30_000)[..]].concat();
    let id = queued(&world, SENDER, &["x@a.test"], &large).await;
    send(&world, "x@a.test").await;
    deferred(&world.daemon, 2).await;
    assert_eq!(world.daemon.kept_files(), 1);
    let said = done(&world.daemon, &["drop", &id]).await;
    assert_eq!(said, "dropped: 1 recipient of 1 message\n");
    assert_eq!(world.daemon.kept_files(), 0);
    assert_eq!(say(&world.daemon, &["show", &id]).await.code, Some(1));
    let said = done(&world.daemon, &["drop", "--domain", "a.test"]).await;
    assert_eq!(said, "dropped: 1 recipient of 1 message\n");
    emptied(&world.daemon).await;
    // Had there been a notice, it would have come before this one.
    send(&world, "nobody@b.test").await;
    assert!(world.mx("home.test").wait_for_messages(1).await);
    emptied(&world.daemon).await;
    let notices = world.mx("home.test").messages();
    assert_eq!(notices.len(), 1);
    assert!(
        notices[0].text().contains("nobody@b.test"),
        "{}",
        notices[0].text()
    );
    gate.open();
    send(&world, "last@a.test").await;
    assert!(world.mx("a.test").wait_for_messages(1).await);
    assert_eq!(world.mx("a.test").messages().len(), 1);
    assert_no_trouble(&world.daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_does_not_expire() {
    let gate = Gate::default();
    let world = queueing()
        .config("[queue]\nexpire = '3s'\ndelay_warning = '2s'\nretry = ['1h']")
        .domain("a.test", gate.later())
        .domain("b.test", Gate::default().later())
        .start()
        .await;
    let id = send(&world, "held@a.test").await;
    done(&world.daemon, &["hold", &id]).await;
    send(&world, "x@b.test").await;
    // A warning and the end of it, for the other one alone.
    assert!(world.mx("home.test").wait_for_messages(2).await);
    let list = listed_until(&world.daemon, |list| list.len() == 1).await;
    assert_eq!(
        (&list[0]["id"], &list[0]["state"]),
        (&json!(id), &json!("held"))
    );
    for notice in world.mx("home.test").messages() {
        assert!(!notice.text().contains("held@a.test"), "{}", notice.text());
    }
    let shown = done(&world.daemon, &["show", &id]).await;
    assert!(shown.contains("  state        held\n"), "{shown}");
    // Time is over, but for a last attempt.
    gate.open();
    done(&world.daemon, &["release", &id]).await;
    assert!(world.mx("a.test").wait_for_messages(1).await);
    emptied(&world.daemon).await;
    assert_eq!(world.mx("home.test").messages().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_attempted_while_it_is_dropped_does_no_harm() {
    let (a, b, c) = (Gate::default(), Gate::default(), Gate::default());
    let failing = Script::default().rcpt("nobody@d.test", (550, "5.1.1 no such user"));
    let world = queueing()
        .domain("a.test", a.slow(Act::Normal))
        .domain("b.test", b.slow(Act::reply(450, "4.2.0 come back later")))
        .domain("c.test", c.slow(Act::reply(550, "5.7.1 not that")))
        .domain("d.test", failing)
        .start()
        .await;
    let large = [CONTENT, &b"0123456789\r\n".repeat(30_000)[..]].concat();
    let to = ["x@a.test", "x@b.test", "x@c.test"];
    queued(&world, SENDER, &to, CONTENT).await;
    let mut client = world.smtp().await;
    // A notice of it would be as large.
    let mail = format!("MAIL FROM:<{SENDER}> RET=FULL");
    let rcpt = to.map(|to| format!("RCPT TO:<{to}>"));
    for command in [&[mail], &rcpt[..], &["DATA".to_owned()]].concat() {
        let reply = client.command(&command).await.unwrap();
        assert!(reply.code < 400, "{command}: {reply}");
    }
    client.send(lab::client::stuffed(&large)).await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 250);
    for gate in [&a, &b, &c] {
        gate.seen(2).await;
    }
    let list = listed(&world.daemon, &[]).await;
    assert!(list.iter().all(|message| message["state"] == "active"));
    let said = done(&world.daemon, &["drop", "--all"]).await;
    assert_eq!(said, "dropped: 6 recipients of 2 messages\n");
    assert!(listed(&world.daemon, &[]).await.is_empty());
    for gate in [&a, &b, &c] {
        gate.open();
    }
    for result in ["delivered", "deferred", "rejected"] {
        let labels = [("result", result)];
        world
            .daemon
            .wait_metric("deliveries_total", &labels, 2.0)
            .await;
    }
    // Whoever drops mail tells nobody: the first notice is that of the next message.
    send(&world, "nobody@d.test").await;
    assert!(world.mx("home.test").wait_for_messages(1).await);
    emptied(&world.daemon).await;
    for notice in world.mx("home.test").messages() {
        assert!(notice.text().contains("nobody@d.test"), "{}", notice.text());
    }
    assert_eq!(world.daemon.kept_files(), 0);
    assert_no_trouble(&world.daemon);
}

/// Mail that a worker has taken up behind a message that keeps it busy.
async fn behind_a_slow_one(gate: &Gate, act: &str) -> World {
    let open = Gate::default();
    let (later, slow) = (open.clone(), gate.clone().slow(Act::Normal).hook.unwrap());
    let script = Script::default().on(move |moment| match (moment.stage, later.is_open()) {
        (Stage::Rcpt, false) => Act::reply(450, "4.2.0 come back later"),
        _ => (slow.0)(moment),
    });
    let world = queueing().domain("a.test", script).start().await;
    for _ in 0..30 {
        send(&world, "x@a.test").await;
    }
    deferred(&world.daemon, 30).await;
    open.open();
    done(&world.daemon, &["retry", "--all"]).await;
    gate.seen(1).await;
    let said = done(&world.daemon, &[act, "--all"]).await;
    assert!(said.ends_with(": 30 recipients of 30 messages\n"), "{said}");
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_before_its_turn_is_not_attempted() {
    let gate = Gate::default();
    let world = behind_a_slow_one(&gate, "drop").await;
    gate.open();
    at_rest(&world, &gate).await;
    let begun = world.mx("a.test").messages().len();
    assert!(begun < 10, "{begun} of 30 were attempted");
    assert_no_trouble(&world.daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_before_its_turn_is_not_attempted() {
    let gate = Gate::default();
    let world = behind_a_slow_one(&gate, "hold").await;
    gate.open();
    at_rest(&world, &gate).await;
    let begun = world.mx("a.test").messages().len();
    assert!(begun < 10, "{begun} of 30 were attempted");
    let list = listed_until(&world.daemon, |list| list.len() == 30 - begun).await;
    for recipient in recipients(&list) {
        assert_eq!(
            (&recipient["status"], &recipient["attempts"]),
            (&json!("held"), &json!(1))
        );
    }
    // Their turn had come.
    done(&world.daemon, &["release", "--all"]).await;
    assert!(world.mx("a.test").wait_for_messages(30).await);
    emptied(&world.daemon).await;
    assert_no_trouble(&world.daemon);
}

/// Waits until every attempt that has come to the host has ended, and no other follows for a while.
async fn at_rest(world: &World, gate: &Gate) {
    let until = Instant::now() + PATIENCE;
    let mut same = 0;
    let mut before = 0;
    while same < 4 {
        let seen = gate.seen.load(Ordering::SeqCst);
        let delivered = [("result", "delivered")];
        let delivered = world.daemon.metric("deliveries_total", &delivered).await;
        same = match seen == before && delivered as usize == seen {
            true => same + 1,
            false => 0,
        };
        before = seen;
        assert!(Instant::now() < until, "{seen} seen, {delivered} delivered");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_at_once_share_what_there_is() {
    let world = queueing()
        .domain("a.test", Gate::default().closed())
        .start()
        .await;
    let mut client = world.smtp().await;
    for _ in 0..600 {
        let reply = client.mail(SENDER, &["x@a.test"], CONTENT).await.unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    }
    deferred(&world.daemon, 600).await;
    for (one, other) in [("hold", "release"), ("retry", "release"), ("drop", "drop")] {
        let (one, other) = ([one, "--all", "--json"], [other, "--all", "--json"]);
        let (one, other) = tokio::join!(say(&world.daemon, &one), say(&world.daemon, &other));
        let mut sum = 0;
        for exit in [one, other] {
            assert_eq!((exit.code, &*exit.stderr), (Some(0), ""), "{exit:?}");
            let said: Value = serde_json::from_str(&exit.stdout).unwrap();
            assert_eq!(said["recipients"], said["messages"]);
            sum += said["messages"].as_u64().unwrap();
        }
        let list = listed(&world.daemon, &[]).await;
        match list.len() {
            0 => assert_eq!(sum, 600, "nothing is counted twice"),
            left => assert_eq!(left, 600),
        }
    }
    assert!(listed(&world.daemon, &[]).await.is_empty());
    assert_no_trouble(&world.daemon);
}

// What is told of it.

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_logged_with_who_asked() {
    let world = queueing()
        .domain("a.test", Gate::default().later())
        .start()
        .await;
    queued(&world, SENDER, &["x@a.test", "y@a.test"], CONTENT).await;
    send(&world, "x@a.test").await;
    deferred(&world.daemon, 2).await;
    for act in ["hold", "hold", "release", "retry", "drop", "drop"] {
        let exit = say(&world.daemon, &[act, "--all"]).await;
        assert_eq!(exit.code, Some(0), "{exit:?}");
    }
    listed(&world.daemon, &[]).await;
    let log = world.daemon.log().into_iter();
    let changes: Vec<Value> = log
        .filter(|line| line["message"] == "queue changed on request")
        .map(|line| {
            let field = |name| Daemon::field(&line, name).unwrap().clone();
            let names = ["what", "messages", "recipients", "uid"];
            Value::Array(names.map(field).to_vec())
        })
        .collect();
    let uid = fs::metadata("/proc/self").unwrap().uid();
    // What has changed nothing is not told.
    let expected = ["held", "released", "made due", "dropped"];
    assert_eq!(changes, expected.map(|what| json!([what, 2, 3, uid])));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_follow() {
    let world = queueing()
        .domain("a.test", Gate::default().later())
        .start()
        .await;
    for _ in 0..3 {
        send(&world, "x@a.test").await;
    }
    let list = deferred(&world.daemon, 3).await;
    let oldest = list[0]["id"].as_str().unwrap();
    for (words, waiting, held) in [
        (&["hold", oldest][..], 2.0, 1.0),
        (&["hold", "--all"], 0.0, 3.0),
        (&["release", oldest], 1.0, 2.0),
        (&["drop", "--state", "held"], 1.0, 0.0),
        (&["hold", "--all"], 0.0, 1.0),
        (&["drop", "--all"], 0.0, 0.0),
    ] {
        done(&world.daemon, words).await;
        let until = Instant::now() + PATIENCE;
        loop {
            let metrics = world.daemon.metrics().await;
            let count = |state| metrics.get("queue_messages", &[("state", state)]);
            let age = |state| metrics.get("queue_oldest_age_seconds", &[("state", state)]);
            let is_so = [count("waiting"), count("held")] == [waiting, held]
                // Ages tell of what there is, and of nothing else.
                && (age("waiting") > 0.0) == (waiting > 0.0)
                && (age("held") > 0.0) == (held > 0.0);
            if is_so {
                break;
            }
            assert!(
                Instant::now() < until,
                "{words:?}: {} waiting for {}, {} held for {}",
                count("waiting"),
                age("waiting"),
                count("held"),
                age("held")
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

// How it is called.

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_every_command_says_that_nobody_answers() {
    let mut world = queueing().start().await;
    let socket = world.daemon.directory().join("admin.sock");
    for (signal, why) in [("KILL", "nobody answers"), ("TERM", "no such socket")] {
        world.daemon.end(signal).await;
        for words in [
            &["list"][..],
            &["list", "--json"],
            &["show", "0ABC"],
            &["retry", "0ABC"],
            &["hold", "--all"],
            &["release", "--all"],
            &["drop", "--all", "--json"],
        ] {
            let exit = say(&world.daemon, words).await;
            assert_eq!((exit.code, &*exit.stdout), (Some(3), ""), "{words:?}");
            for expected in [why, &socket.display().to_string()] {
                assert!(exit.stderr.contains(expected), "{words:?}: {exit:?}");
            }
        }
        world.daemon.start_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_says_which_daemon_is_asked() {
    let world = queueing().start().await;
    let file = world.daemon.config_file();
    let sealpost = |words: &[&str], file: Option<&std::path::Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost"));
        command.args(words).env_remove("SEALPOST_CONFIG");
        if let Some(file) = file {
            command.env("SEALPOST_CONFIG", file);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let here = file.display().to_string();
    let nowhere = std::path::Path::new("/nonexistent/sealpost.toml");
    let well = (Some(0), "the queue is empty\n".to_owned());
    assert_eq!(sealpost(&["queue", "list"], Some(&file)), well);
    for words in [
        ["--config", &here, "queue", "list"],
        ["queue", "--config", &here, "list"],
        ["queue", "list", "--config", &here],
    ] {
        assert_eq!(sealpost(&words, None), well);
        assert_eq!(sealpost(&words, Some(nowhere)), well, "what is said counts");
    }
    let (code, said) = sealpost(&["queue", "list"], Some(nowhere));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("/nonexistent/sealpost.toml"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_tells_what_a_command_does_and_how_it_exits() {
    for (words, expected) in [
        (&[][..], "retry"),
        (&["list"], "--json"),
        (&["show"], "<ID>"),
        (&["retry"], "What is held stays held"),
        (&["hold"], "until it is released"),
        (&["release"], "--state"),
        (&["drop"], "nobody is told"),
    ] {
        let words = [&["queue"], words, &["--help"]].concat();
        let exit = Daemon::command(&words);
        assert_eq!((exit.code, &*exit.stderr), (Some(0), ""), "{words:?}");
        let text = exit.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in [expected, "Exit: 0 well, 1 no such message"] {
            assert!(text.contains(expected), "{expected}: {}", exit.stdout);
        }
    }
}
