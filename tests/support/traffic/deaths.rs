//! A relay that dies at moments of every kind and is started again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::{sleep, timeout};

use super::super::config::merge;
use super::super::daemon::Daemon;
use super::strike::{Phase, Strike};

/// A start takes some tens of milliseconds.
const START: u64 = 60;
/// What a life lasts before a phase is waited for, milliseconds.
const LIFE: u64 = 150;
/// How long a phase is waited for; then it is any moment.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long after the moment it may come, microseconds.
const SPREAD: u64 = 3_000;

/// Deaths so far.
#[derive(Debug, Default)]
pub struct Deaths {
    /// When; for who asks what was under way then.
    pub times: Vec<Instant>,
    pub phases: BTreeMap<Phase, usize>,
    /// Messages in the queue right after a start, at most.
    pub largest_queue: f64,
}

impl Deaths {
    /// Kills a relay that was just started, in some phase.
    pub async fn live_and_die(&mut self, daemon: &mut Daemon, strike: &Strike, random: &mut Rng) {
        let mut phase = phase(random);
        if phase == Phase::Start {
            sleep(Duration::from_millis(random.u64(..START))).await;
        } else {
            daemon.wait_until_ready().await;
            let queue = daemon.metric("queue_messages", &[]).await;
            self.largest_queue = self.largest_queue.max(queue);
            sleep(Duration::from_millis(random.u64(..LIFE))).await;
            let wait = strike.wait(phase, random.usize(..4));
            if phase != Phase::Any && timeout(PATIENCE, wait).await.is_err() {
                phase = Phase::Any;
            }
            if random.bool() {
                sleep(Duration::from_micros(random.u64(..SPREAD))).await;
            }
        }
        daemon.kill();
        *self.phases.entry(phase).or_default() += 1;
        self.times.push(Instant::now());
        let exit = daemon.wait_exit(Duration::from_secs(20)).await;
        let code = exit.expect("it is gone after kill -9").code;
        assert_eq!(code, None, "it ended by itself:\n{}", daemon.stderr());
    }

    pub fn count(&self) -> usize {
        self.times.len()
    }

    pub fn add(&mut self, more: Self) {
        self.times.extend(more.times);
        for (phase, count) in more.phases {
            *self.phases.entry(phase).or_default() += count;
        }
        self.largest_queue = self.largest_queue.max(more.largest_queue);
    }
}

impl fmt::Display for Deaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, phases, most) = (self.count(), &self.phases, self.largest_queue);
        write!(
            f,
            "{count} starts and deaths {phases:?}, up to {most} messages in the queue"
        )
    }
}

/// Changes the custody of the next start.
pub fn set_custody(daemon: &Daemon, config: &str, custody: &str) {
    let config = merge(config, &format!("[relay]\ncustody = '{custody}'"));
    daemon.write_config(&config);
}

fn phase(random: &mut Rng) -> Phase {
    match random.u8(..20) {
        0..3 => Phase::Start,
        3..5 => Phase::Any,
        5 => Phase::Envelope,
        6 => Phase::Content,
        7..11 => Phase::Dot,
        11..13 => Phase::Attempt,
        13..16 => Phase::Taken,
        16..18 => Phase::Retry,
        _ => Phase::Notice,
    }
}
