//! What goes wrong around a queue, and costs neither mail nor machine: slow hosts, strangers' words, administrators in
//! the middle of it, a store that fails.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(clippy::wildcard_enum_match_arm)] // hooks change one stage

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Act, CONTENT, Daemon, Exit, Script, Stage, World, WorldBuilder};

/// Everything is kept, and notices go to the host of `home.test`.
fn queueing() -> WorldBuilder {
    World::new()
        .domain("home.test", Script::default())
        .config("[relay]\ncustody = 'queue'")
        .config("[queue]\nretry = ['1s']")
        .config_with(|net| {
            let home = net.mx("home.test").address();
            format!("[queue]\ndsn_via = '[{}]:{}'\n", home.ip(), home.port())
        })
}

/// A host that answers nobody until the flag is set, and then takes this long at each final dot.
fn closed_until(open: &Arc<AtomicBool>, dot: Duration) -> Script {
    let open = Arc::clone(open);
    Script::default().on(move |moment| match moment.stage {
        Stage::Greeting if !open.load(Ordering::SeqCst) => {
            Act::reply(421, "4.3.2 closed").then_close()
        }
        Stage::Dot => Act::Normal.after(dot),
        _ => Act::Normal,
    })
}

async fn send(world: &World, to: &[&str], messages: usize) {
    let mut client = world.smtp().await;
    for _ in 0..messages {
        let reply = client.mail("s@client.test", to, CONTENT).await.unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    }
}

fn queue(world: &World, words: &[&str]) -> Exit {
    let file = world.daemon.config_file();
    let words = [&["queue"], words, &["--config", file.to_str().unwrap()]].concat();
    let exit = Daemon::command(&words);
    assert_eq!(exit.code, Some(0), "{words:?}: {exit:?}");
    exit
}

/// CPU that a process has used, in hundredths of a second.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_outlasts_its_retry_time_costs_nothing_meanwhile() {
    let world = queueing()
        .domain("slow.test", Script::silent())
        .start()
        .await;
    assert_eq!(world.send("x@slow.test").await.code, 250);
    assert!(world.mx("slow.test").wait_for_connections(1).await);
    // Longer than the retry time: that is what is measured.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let before = ticks(world.daemon.pid());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let used = ticks(world.daemon.pid()) - before;
    assert!(used < 50, "{used} hundredths of a second of CPU in 3 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postmaster_who_cannot_be_reached_is_not_told_so() {
    let gone = Script::default().rcpt("boss@gone.test", (550, "5.1.1 gone"));
    let world = queueing()
        .config("[queue]\npostmaster = 'Boss@gone.test'")
        .domain("gone.test", gone)
        .start()
        .await;
    let mut client = world.smtp().await;
    let reply = client.mail("", &["boss@gone.test"], CONTENT).await.unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    world
        .daemon
        .wait_metric("double_bounces_total", &[], 1.0)
        .await;
    world.daemon.at_rest().await;
    // It would come back through his own mail server, and fail again, for ever.
    assert_eq!(world.mx("home.test").messages().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postmaster_whose_mail_goes_on_to_nobody_is_told_once() {
    let refusing = Script::default().on(|moment| match moment.stage {
        Stage::Rcpt => Act::reply(550, "5.7.1 we do not like it"),
        _ => Act::Normal,
    });
    let world = queueing()
        .config("[queue]\npostmaster = 'boss@home.test'")
        .domain("elsewhere.test", refusing)
        .start()
        .await;
    let mut client = world.smtp().await;
    let mut bounce = async |content: &[u8]| {
        let mail = client.mail("", &["boss@elsewhere.test"], content);
        assert_eq!(mail.await.unwrap().code, 250);
    };
    bounce(CONTENT).await;
    assert!(world.mx("home.test").wait_for_messages(1).await);
    // What his own mail server does with it, where he is an alias.
    let copy = world.mx("home.test").messages().remove(0).content;
    bounce(&copy).await;
    world
        .daemon
        .wait_metric("double_bounces_total", &[], 2.0)
        .await;
    world.daemon.at_rest().await;
    assert_eq!(world.mx("home.test").messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_put_aside_finds_its_large_mail_again() {
    let open = Arc::new(AtomicBool::new(false));
    let mut world = queueing()
        .domain("a.test", closed_until(&open, Duration::ZERO))
        .start()
        .await;
    let large = [
        &b"Subject: x\r\n\r\n"[..],
        &b"0123456789\r\n".repeat(30_000),
    ]
    .concat();
    let mut client = world.smtp().await;
    let to = ["x@a.test"];
    let reply = client.mail("s@client.test", &to, &large).await.unwrap();
    assert_eq!(reply.code, 250);
    assert_eq!(world.daemon.kept_files(), 1);
    let place = world.daemon.directory().to_owned();
    let rename = |from: &str, to: &str| {
        for entry in std::fs::read_dir(&place).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if let Some(rest) = name.strip_prefix(from) {
                std::fs::rename(entry.path(), place.join(format!("{to}{rest}"))).unwrap();
            }
        }
    };
    // Old enough to be taken for left behind.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    world.daemon.end("TERM").await;
    rename("sealpost.db", "aside.db");
    world.daemon.start_again().await;
    assert_eq!(world.send("y@home.test").await.code, 250);
    assert!(world.mx("home.test").wait_for_messages(1).await);
    world.daemon.end("TERM").await;
    rename("sealpost.db", "second.db");
    rename("aside.db", "sealpost.db");
    open.store(true, Ordering::SeqCst);
    world.daemon.start_again().await;
    assert!(world.mx("a.test").wait_for_messages(1).await);
    assert!(world.mx("a.test").messages()[0].content.ends_with(&large));
}

/// Eight messages, one worker: one of them is being sent, and others of its batch wait behind it.
async fn eight_in_a_row() -> World {
    let open = Arc::new(AtomicBool::new(false));
    let world = queueing()
        .config("[outbound]\nmax_connections_per_mx = 1")
        .domain("a.test", closed_until(&open, Duration::from_secs(1)))
        .start()
        .await;
    send(&world, &["x@a.test"], 8).await;
    open.store(true, Ordering::SeqCst);
    // The probe, then the first of a batch.
    assert!(world.mx("a.test").wait_for(|r| r.messages.len() >= 2).await);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_another_is_held_when_it_is_held() {
    let world = eight_in_a_row().await;
    queue(&world, &["hold", "--all"]);
    let begun = world.mx("a.test").messages().len();
    world.daemon.at_rest().await;
    let sent = world.mx("a.test").messages().len();
    assert!(sent <= begun + 1, "{begun} had begun, {sent} were sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_while_it_waits_behind_another_is_no_error() {
    let world = eight_in_a_row().await;
    queue(&world, &["drop", "--all"]);
    let begun = world.mx("a.test").messages().len();
    world.daemon.at_rest().await;
    let sent = world.mx("a.test").messages().len();
    assert!(sent <= begun + 1, "{begun} had begun, {sent} were sent");
    let errors = world.daemon.log();
    let errors: Vec<_> = errors.iter().filter(|l| l["severity"] == "ERROR").collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_words_are_bounded_before_they_are_kept() {
    let line = format!("421-{}\r\n", "x".repeat(4000));
    let endless = line.repeat(127) + "421 end\r\n";
    let script = Script {
        greeting: Act::raw(endless.as_bytes()),
        ..Script::default()
    };
    let world = queueing()
        .config("[queue]\nretry = ['1h']")
        .domain("a.test", script)
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let deferred = [("result", "deferred")];
    world
        .daemon
        .wait_metric("deliveries_total", &deferred, 1.0)
        .await;
    let until = Instant::now() + Duration::from_secs(10);
    let reply = loop {
        let listed = world.daemon.queue();
        if let Some(reply) = listed[0]["recipients"][0]["reply"].as_str() {
            break reply.to_owned();
        }
        assert!(Instant::now() < until, "{listed:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(reply.contains("421 xxx"), "{reply}");
    assert!(reply.len() <= 1100, "{} octets", reply.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_success_of_many_is_told_in_few_notices() {
    let world = queueing()
        .config("[relay]\ncustody = 'auto'")
        .domain("a.test", Script::default().without("DSN"))
        .start()
        .await;
    for (hello, final_replies) in [("EHLO", 1), ("LHLO", 100)] {
        let mut client = match hello {
            "EHLO" => world.smtp().await,
            _ => world.lmtp().await,
        };
        let before = world.mx("home.test").messages().len();
        client.command("MAIL FROM:<s@client.test>").await.unwrap();
        for n in 0..100 {
            let rcpt = format!("RCPT TO:<x{n}@a.test> NOTIFY=SUCCESS");
            assert_eq!(client.command(&rcpt).await.unwrap().code, 250);
        }
        client.command("DATA").await.unwrap();
        client.send(lab::client::stuffed(CONTENT)).await.unwrap();
        for _ in 0..final_replies {
            assert_eq!(client.reply().await.unwrap().code, 250);
        }
        world.daemon.at_rest().await;
        let told = world.mx("home.test").messages().len() - before;
        // In one for all that were known together: a host takes fifty in one transaction.
        assert!((1..=10).contains(&told), "{hello}: {told} notices");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dns_calls_localhost_is_not_this_machine() {
    let world = queueing()
        .config_with(|_| "[queue]\ndsn_via = 'localhost'\n".to_owned())
        .domain(
            "a.test",
            Script::default().rcpt("x@a.test", (550, "5.1.1 gone")),
        )
        .domain("evil.test", Script::default())
        .dns(|dns| {
            dns.mx("localhost", 10, "mx.evil.test");
        })
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert!(world.mx("evil.test").wait_for_messages(1).await);
    assert!(!world.mx("evil.test").mail_octets_in_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_on_from_another_address_when_its_own_is_gone() {
    let open = Arc::new(AtomicBool::new(false));
    let mut world = queueing()
        .domain("a.test", closed_until(&open, Duration::ZERO))
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let deferred = |line: &support::Log| line["result"] == "deferred";
    world.daemon.wait_log(deferred).await;
    world.daemon.end("TERM").await;
    // As if its listener had had `bind = ["192.0.2.77"]`, which this machine has no longer.
    let database = world.daemon.directory().join("sealpost.db");
    let database = rusqlite::Connection::open(database).unwrap();
    let set = "UPDATE message SET details = json_set(details, '$.bind', json('[\"192.0.2.77\"]'))";
    assert_eq!(database.execute(set, []).unwrap(), 1);
    drop(database);
    open.store(true, Ordering::SeqCst);
    world.daemon.start_again().await;
    assert!(world.mx("a.test").wait_for_messages(1).await);
}

/// Mail goes out from an address that this machine does not have; it expires after so long.
fn from_nowhere(expire: &str) -> WorldBuilder {
    queueing()
        .config("[outbound]\nbind = ['192.0.2.77']")
        .config(&format!(
            "[queue]\ndelay_warning = '0s'\nretry = ['1s', '1h']\nexpire = '{expire}'"
        ))
        .domain("a.test", Script::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_our_own_is_an_attempt_like_any_other() {
    let world = from_nowhere("5d").start().await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let second = |line: &support::Log| line["queue_attempt"] == 2 && line["result"] == "deferred";
    world.daemon.wait_log(second).await;
    // The pauses grow: after the second attempt the next one is in an hour.
    let until = Instant::now() + Duration::from_secs(20);
    let recipient = loop {
        let list = world.daemon.queue();
        let recipient = list[0]["recipients"][0].clone();
        if recipient["attempts"] == 2 && list[0]["state"] == "waiting" {
            break recipient;
        }
        assert!(Instant::now() < until, "{list:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let time = |key: &str| {
        recipient[key]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let pause = time("next_attempt").as_second() - time("last_attempt").as_second();
    assert!(pause > 3000, "{recipient}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_expires_also_if_the_fault_is_ours() {
    let world = from_nowhere("3s").start().await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let given_up = |line: &support::Log| {
        line["result"] == "rejected"
            && line["reply"]
                .as_str()
                .is_some_and(|r| r.contains("given up"))
    };
    world.daemon.wait_log(given_up).await;
}

/// A message whose content has a file of its own.
fn large(subject: &str) -> Vec<u8> {
    let header = format!("Subject: {subject}\r\n\r\n");
    [header.as_bytes(), &b"0123456789\r\n".repeat(30_000)].concat()
}

/// The files of large contents.
fn files(world: &World) -> Vec<PathBuf> {
    let inside = |place: PathBuf| std::fs::read_dir(place).unwrap().flatten();
    let queue = inside(world.daemon.directory().join("queue"));
    queue
        .flat_map(|of| inside(of.path()))
        .map(|file| file.path())
        .collect()
}

fn notices(world: &World) -> Vec<String> {
    let messages = world.mx("home.test").messages();
    messages.iter().map(lab::mx::Message::text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_holds_up_no_other_notice() {
    let world = queueing()
        .config("[queue]\nretry = ['1h']\ndelay_warning = '2s'\nexpire = '5s'")
        .domain("dead.test", Script::refused())
        .start()
        .await;
    let mut client = world.smtp().await;
    let mut mail = async |from: &str, content: &[u8]| {
        let reply = client.mail(from, &["x@dead.test"], content).await.unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    };
    mail("first@client.test", &large("first")).await;
    let file = files(&world).remove(0);
    mail("second@client.test", CONTENT).await;
    // It is there, and cannot be opened: as where the disk has a fault.
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    assert!(world.mx("home.test").wait_for_messages(3).await);
    let all = notices(&world);
    let about = |action: &str, to: &str| {
        let is_it = |text: &&String| {
            text.contains(&format!("Action: {action}")) && text.contains(&format!("To: <{to}>"))
        };
        all.iter().filter(is_it).count()
    };
    assert_eq!(about("delayed", "first@client.test"), 1, "{all:?}");
    assert_eq!(about("delayed", "second@client.test"), 1, "{all:?}");
    assert_eq!(about("failed", "second@client.test"), 1, "{all:?}");
    // It is not thrown away.
    let list = queue(&world, &["list"]).stdout;
    assert!(list.contains("first@client.test"), "{list}");
}

/// A large message whose file this happens to while it waits; what its sender is told in the end.
async fn ruined(ruin: impl Fn(&Path)) -> String {
    let full = Arc::new(AtomicBool::new(true));
    let is_full = Arc::clone(&full);
    let deferring = Script::default().on(move |moment| match moment.stage {
        Stage::Rcpt if is_full.load(Ordering::SeqCst) => Act::reply(450, "4.2.2 mailbox full"),
        _ => Act::Normal,
    });
    let world = queueing()
        .config("[queue]\ndelay_warning = '0s'\nexpire = '3s'")
        .domain("a.test", deferring)
        .start()
        .await;
    let mut client = world.smtp().await;
    let to = ["x@a.test"];
    let reply = client.mail("s@client.test", &to, &large("x")).await;
    assert_eq!(reply.unwrap().code, 250);
    let deferred = |line: &support::Log| line["result"] == "deferred";
    world.daemon.wait_log(deferred).await;
    ruin(&files(&world).remove(0));
    full.store(false, Ordering::SeqCst);
    assert!(world.mx("home.test").wait_for_messages(1).await);
    world.daemon.at_rest().await;
    assert!(world.mx("a.test").messages().is_empty());
    let mut notices = notices(&world);
    assert_eq!(notices.len(), 1, "{notices:?}");
    notices.remove(0).replace("\r\n ", " ")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sent_what_is_gone_is_told_so_in_the_end() {
    let gone = ruined(|file| std::fs::remove_file(file).unwrap());
    let half = ruined(|file| {
        let file = std::fs::File::options().write(true).open(file).unwrap();
        file.set_len(1000).unwrap();
    });
    let (gone, half) = tokio::join!(gone, half);
    for (notice, why) in [
        (gone, "its content is gone"),
        (half, "it has 1000 octets of 3"),
    ] {
        for line in [
            "To: <s@client.test>",
            "Action: failed",
            "Status: 5.4.7",
            why,
        ] {
            assert!(notice.contains(line), "{line}: {notice}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_warned_of_what_is_held() {
    let world = queueing()
        .config("[queue]\nretry = ['1h']\ndelay_warning = '3s'\nexpire = '1h'")
        .domain("a.test", Script::refused())
        .domain("b.test", Script::refused())
        .start()
        .await;
    send(&world, &["x@a.test", "y@b.test"], 1).await;
    queue(&world, &["hold", "--domain", "a.test"]);
    assert!(world.mx("home.test").wait_for_messages(1).await);
    let notice = notices(&world).remove(0);
    assert!(notice.contains("Final-Recipient: rfc822; y@b.test"));
    assert!(
        !notice.contains("Final-Recipient: rfc822; x@a.test"),
        "{notice}"
    );
    queue(&world, &["release", "--domain", "a.test"]);
    assert!(world.mx("home.test").wait_for_messages(2).await);
}

/// How long a backlog takes once its host is there.
async fn drain(recipients: &[&str]) -> Duration {
    const MESSAGES: usize = 100;
    let open = Arc::new(AtomicBool::new(false));
    let world = queueing()
        .domain("a.test", closed_until(&open, Duration::from_millis(200)))
        .start()
        .await;
    send(&world, recipients, MESSAGES).await;
    open.store(true, Ordering::SeqCst);
    assert!(world.mx("a.test").wait_for_messages(1).await);
    let began = Instant::now();
    assert!(world.mx("a.test").wait_for_messages(MESSAGES).await);
    began.elapsed()
}

/// One worker would take twenty seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_has_many_workers_also_if_its_messages_have_several_recipients() {
    let took = drain(&["x@a.test", "y@a.test"]).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_does_not_fill_the_log() {
    const DOMAINS: usize = 300;
    let dead = Script {
        greeting: Act::reply(421, "4.3.2 closed"),
        ..Script::default()
    };
    let world = queueing()
        .dns(|dns| {
            for n in 0..DOMAINS {
                dns.mx(&format!("d{n}.test"), 10, "mx.dead.test");
            }
        })
        .domain("dead.test", dead)
        .start()
        .await;
    let to: Vec<String> = (0..DOMAINS).map(|n| format!("x@d{n}.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    send(&world, &to, 1).await;
    let deferred = [("result", "deferred")];
    world
        .daemon
        .wait_metric("deliveries_total", &deferred, 300.0)
        .await;
    // As a full disk does: every change fails, and reading goes on.
    let database = world.daemon.directory().join("sealpost.db");
    let database = rusqlite::Connection::open(database).unwrap();
    let trigger = "CREATE TRIGGER full BEFORE UPDATE ON recipient \
                   BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    database.execute_batch(trigger).unwrap();
    let is_told = |line: &support::Log| line.to_string().contains("store fails");
    world.daemon.wait_log(is_told).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let lines = world.daemon.log().iter().filter(|l| is_told(l)).count();
    assert!(lines < 5, "{lines} lines in five seconds");
}
