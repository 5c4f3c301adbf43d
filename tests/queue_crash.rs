//! kill -9 at every kind of moment while mail comes in, goes out and is reported: whatever was answered with 250 arrives
//! or is reported, nothing stays behind, and what arrives twice does so for a reason.
//!
//! It does not show that the disk has what the kernel was given: that outlives a process; see `power_loss`. Figures are
//! printed. A run is repeated by its seed as far as chance is ours, which the moments between two processes are not.
//! `make soak` is the same for longer.
//!
//! | environment | what | without it |
//! |---|---|---|
//! | `SEALPOST_CRASH_SEED` | what is drawn | chance |
//! | `SEALPOST_CRASH_ROUNDS` | deaths | 100 |
//! | `SEALPOST_CRASH_SECONDS` | begins again and again with an empty queue for so long | once |

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::time::{Duration, Instant};

use fastrand::Rng;
use support::traffic::{Account, Deaths, Strike, Traffic, from_environment, hosts, set_custody};
use support::{Act, Daemon, Log, Script, Stage, World};
use tokio::time::sleep;

const SESSIONS: usize = 20;
/// Deaths with the same custody.
const STRETCH: usize = 10;

async fn world(strike: &Strike) -> World {
    hosts(World::new(), strike)
        .without_dnssec()
        .config("[queue]\nretry = ['250ms', '500ms', '1s']")
        .config("[relay]\ncustody = 'queue'")
        .config("[log]\nlevel = 'info'")
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_with_250_survives_every_kill() {
    let seed = from_environment("SEALPOST_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
    let rounds = from_environment("SEALPOST_CRASH_ROUNDS").unwrap_or(100);
    let seconds = from_environment("SEALPOST_CRASH_SECONDS").unwrap_or(0);
    eprintln!("SEALPOST_CRASH_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let began = Instant::now();
    let (mut deaths, mut account) = (Deaths::default(), Account::default());
    for episode in 1.. {
        let (more_deaths, more) = once(usize::try_from(rounds).unwrap(), &mut random).await;
        deaths.add(more_deaths);
        account.add(&more);
        let elapsed = began.elapsed();
        eprintln!("{episode} times an empty queue, {elapsed:.0?}: {deaths}\n{account}");
        if elapsed >= Duration::from_secs(seconds) {
            break;
        }
    }
}

/// The MX has taken the message and we have not heard of it; then it defers it, and then it takes it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_doubt_is_told_whatever_the_next_attempt_brings() {
    let script = Script::no_starttls().on(|moment| match (moment.stage, moment.nth) {
        (Stage::Dot, 1) => Act::Silence,
        (Stage::Dot, 2) => Act::reply(451, "4.3.0 not now"),
        _ => Act::Normal,
    });
    let mut world = World::new()
        .domain("a.test", script)
        .config("[queue]\nretry = ['250ms']")
        .config("[relay]\ncustody = 'queue'")
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    let mx = world.mx("a.test");
    assert!(mx.wait_for(|record| record.messages.len() == 1).await);
    world.daemon.restart("KILL").await;
    assert!(world.mx("a.test").wait_for_messages(1).await);
    world
        .daemon
        .wait_metric("deliveries_total", &[("result", "delivered")], 1.0)
        .await;
    let text =
        |line: &Log, name| Daemon::field(line, name).and_then(|v| v.as_str().map(str::to_owned));
    let told = world.daemon.deliveries().into_iter().map(|line| {
        let duplicate = text(&line, "possible_duplicate");
        (text(&line, "result").unwrap(), duplicate.unwrap())
    });
    let expected = [("queued", "no"), ("deferred", "yes"), ("delivered", "yes")];
    let expected = expected.map(|(result, twice)| (result.to_owned(), twice.to_owned()));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

/// Begins with an empty queue and ends with one.
async fn once(rounds: usize, random: &mut Rng) -> (Deaths, Account) {
    let strike = Strike::default();
    let mut world = world(&strike).await;
    let to = world.daemon.smtp.unwrap();
    let mut deaths = Deaths::default();
    let traffic = Traffic::begin(SESSIONS, to, &strike, random);
    world.daemon.end("KILL").await;
    while deaths.count() < rounds {
        if deaths.count() % STRETCH == 0 {
            let custody = ["queue", "auto", "queue"][deaths.count() / STRETCH % 3];
            set_custody(&world.daemon, world.config(), custody);
        }
        world.daemon.begin_again();
        deaths
            .live_and_die(&mut world.daemon, &strike, random)
            .await;
    }
    world.daemon.start_again().await;
    let account = Account::settle(&world, traffic, &deaths).await;
    nothing_is_left(&mut world).await;
    // It was at work, or nothing was tried.
    assert!(
        account.taken > rounds && account.duplicates.all() > 0,
        "{account}"
    );
    (deaths, account)
}

/// A start tidies up behind those that died.
async fn nothing_is_left(world: &mut World) {
    // What is not clearly older than the start may be of a message that is just being written.
    sleep(Duration::from_millis(1100)).await;
    world.daemon.restart("TERM").await;
    let left = || world.daemon.kept_files();
    let until = Instant::now() + Duration::from_secs(10);
    while left() > 0 && Instant::now() < until {
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(left(), 0);
}
