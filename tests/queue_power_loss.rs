//! The power goes at any moment: what was not synced is taken back, and whatever was answered with 250 still arrives or
//! is reported.
//!
//! This is what `queue_crash` cannot show: that a commit and a large content are synced, in the right order and with
//! their names, before the reply. What it covers is the system calls of this process, see `support::power`; that disks
//! and file systems keep what they say they have is beyond it.
//!
//! `SEALPOST_CRASH_SEED` and `SEALPOST_CRASH_ROUNDS` as in `queue_crash`.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::time::{Duration, Instant};

use fastrand::Rng;
use support::World;
use support::power::Power;
use support::traffic::{Account, Deaths, Strike, Traffic, from_environment, hosts};
use tokio::time::sleep;

const SESSIONS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_with_250_survives_a_loss_of_power() {
    let seed = from_environment("SEALPOST_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
    let rounds = from_environment("SEALPOST_CRASH_ROUNDS").unwrap_or(60);
    eprintln!("SEALPOST_CRASH_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let strike = Strike::default();
    let world = hosts(World::new(), &strike)
        .without_dnssec()
        // Below the one that is watched, so that its own name is too.
        .config("state_dir = 'STATE/disk/state'")
        .config("[queue]\nretry = ['250ms', '500ms', '1s']")
        .config("[relay]\ncustody = 'queue'")
        .config("[log]\nlevel = 'info'");
    let mut world = world.start().await;
    // The first start is one of those that are cut off.
    world.daemon.end("KILL").await;
    let disk = world.daemon.directory().join("disk");
    std::fs::remove_dir_all(&disk).unwrap();
    std::fs::create_dir(&disk).unwrap();
    let Some(power) = Power::ready(&disk) else {
        return;
    };
    let (mut deaths, mut cuts) = (Deaths::default(), Vec::new());
    let traffic = Traffic::begin(SESSIONS, world.daemon.smtp.unwrap(), &strike, &mut random);
    for _ in 0..rounds {
        let words = power.words();
        world
            .daemon
            .begin_again_under(&words.each_ref().map(String::as_str));
        match random.u8(..6) {
            0 => end(&mut world, &mut deaths, &mut random).await,
            _ => {
                deaths
                    .live_and_die(&mut world.daemon, &strike, &mut random)
                    .await
            }
        }
        cuts.push(power.cut(&mut random));
    }
    world.daemon.start_again().await;
    let account = Account::settle(&world, traffic, &deaths).await;
    let sum = |of: fn(&support::power::Cut) -> usize| cuts.iter().map(of).sum::<usize>();
    let (syncs, unsynced) = (sum(|cut| cut.syncs), sum(|cut| cut.unsynced));
    let (files, names) = (sum(|cut| cut.files), sum(|cut| cut.names));
    eprintln!(
        "{deaths}\n{account}\n{syncs} syncs; {unsynced} changes were not synced when the power went, \
         which changed {files} files and {names} names"
    );
    // The journal was kept, and something was taken back.
    assert!(syncs > 0 && files > 0 && names > 0);
    assert!(account.taken > cuts.len(), "{account}");
}

/// It is told to end, and the power goes while it does or right after.
async fn end(world: &mut World, deaths: &mut Deaths, random: &mut Rng) {
    world.daemon.wait_until_ready().await;
    sleep(Duration::from_millis(random.u64(..150))).await;
    world.daemon.signal("TERM");
    sleep(Duration::from_millis(random.u64(..400))).await;
    world.daemon.kill();
    deaths.times.push(Instant::now());
    world.daemon.gone().await;
}
