//! The store with very many MTA-STS policies: how long it takes to open, how fast a policy is found while others
//! are written, what the questions that read much cost, and how much memory it takes.
//!
//!     cargo bench --bench policies [-- ROWS]

#![allow(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use futures_util::StreamExt;
use sealpost::store::{Store, StoredPolicy};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

const ROWS: u64 = 1_000_000;
/// Who writes the rows at the same time.
const WRITERS: usize = 512;
const READS: usize = 100_000;
const READERS: usize = 4;
/// What a read may take, at the 99th percentile.
const TARGET_READ: Duration = Duration::from_millis(1);
const TARGET_OPEN: Duration = Duration::from_secs(2);
/// The time at which all is fetched.
const THEN: u64 = 1_900_000_000;
const DAY: u64 = 24 * 60 * 60;

/// About 150 octets of policy; domains in no order, as they come.
fn policy(number: u64) -> StoredPolicy {
    let domain = domain(number);
    StoredPolicy {
        id: format!("{THEN}"),
        mode: "enforce".into(),
        policy: format!(
            "version: STSv1\nmode: enforce\nmx: mx1.{domain}\nmx: mx2.{domain}\nmx: *.mail.{domain}\nmax_age: 604800\n"
        ),
        domain,
        fetched: THEN + number % DAY,
        expires: THEN + number % DAY + 7 * DAY,
        used: THEN + number % 1_000,
        refresh: THEN + number % DAY + DAY,
    }
}

fn domain(number: u64) -> String {
    format!(
        "{:08x}.example",
        number.wrapping_mul(0x9E37_79B9) & 0xFFFF_FFFF
    )
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    format!("{:.1} MiB", kib / 1024.0)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn fill(store: &Store, rows: u64) {
    let began = Instant::now();
    futures_util::stream::iter(0..rows)
        .map(|number| store.put_sts_policy(policy(number)))
        .buffer_unordered(WRITERS)
        .for_each(|written| async move { written.unwrap() })
        .await;
    let took = began.elapsed();
    println!(
        "{rows} rows written in {:.1} s, {:.0}/s",
        took.as_secs_f64(),
        rows as f64 / took.as_secs_f64()
    );
}

/// Random reads by several tasks; the 99th percentile.
async fn read(store: &Store, rows: u64, what: &str) -> Duration {
    let began = Instant::now();
    let mut reading = JoinSet::new();
    for seed in 0..READERS {
        let store = store.clone();
        reading.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed as u64);
            let mut times = Vec::with_capacity(READS / READERS);
            for _ in 0..READS / READERS {
                let domain = domain(random.u64(0..rows));
                let began = Instant::now();
                assert!(store.sts_policy(&domain).await.unwrap().is_some());
                times.push(began.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = reading.join_all().await.concat();
    let took = began.elapsed();
    times.sort();
    let at = |share: usize| times[times.len() * share / 1000];
    println!(
        "{READS} reads by {READERS} tasks, {what}: {:.0}/s, p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, longest {:.1} ms",
        READS as f64 / took.as_secs_f64(),
        milliseconds(at(500)),
        milliseconds(at(990)),
        milliseconds(at(999)),
        milliseconds(*times.last().unwrap()),
    );
    at(990)
}

/// Writes until it is told to stop, from several tasks; how many.
async fn write(store: Store, rows: u64, stop: watch::Receiver<bool>) -> u64 {
    let mut writing = JoinSet::new();
    for seed in 100..100 + READERS as u64 {
        let (store, stop) = (store.clone(), stop.clone());
        writing.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut written = 0;
            while !*stop.borrow() {
                let number = random.u64(0..rows);
                store.put_sts_policy(policy(number)).await.unwrap();
                written += 1;
            }
            written
        });
    }
    writing.join_all().await.iter().sum()
}

async fn read_beside_writes(store: &Store, rows: u64) -> Duration {
    let (stop, stopped) = watch::channel(false);
    let mut writing = JoinSet::new();
    writing.spawn(write(store.clone(), rows, stopped));
    let slowest = read(store, rows, "others write").await;
    stop.send_replace(true);
    println!(
        "  {} rows were written meanwhile",
        writing.join_all().await[0]
    );
    slowest
}

/// What reads much, and what a delivery's lookup notices of it.
async fn heavy(store: &Store, rows: u64) {
    let began = Instant::now();
    assert_eq!(store.count_sts_policies().await, Ok(rows));
    println!("count: {:.1} ms", milliseconds(began.elapsed()));
    let began = Instant::now();
    let due = store.sts_policies_due(THEN + 3 * DAY, 100);
    let due = due.await.unwrap().len();
    println!(
        "the longest due {due} where all {rows} are due: {:.1} ms",
        milliseconds(began.elapsed())
    );
    let began = Instant::now();
    store.verify().await.unwrap();
    println!("verify: {:.2} s", began.elapsed().as_secs_f64());
}

async fn prune(store: &Store, rows: u64) {
    let (beside, began) = (store.clone(), Instant::now());
    let mut pruning = JoinSet::new();
    pruning.spawn(async move { beside.prune_sts_policies(THEN, rows - rows / 10).await });
    let mut longest = Duration::ZERO;
    while pruning.try_join_next().is_none() {
        let began = Instant::now();
        store.put_sts_policy(policy(rows - 1)).await.unwrap();
        longest = longest.max(began.elapsed());
    }
    println!(
        "{} of them forgotten in {:.1} s; the slowest write meanwhile {:.1} ms",
        rows - store.count_sts_policies().await.unwrap(),
        began.elapsed().as_secs_f64(),
        milliseconds(longest),
    );
}

#[tokio::main]
async fn main() -> ExitCode {
    let given = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let rows = given.unwrap_or(ROWS);
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("sealpost.db");
    let store = Store::open(&path).unwrap();
    fill(&store, rows).await;
    store.close().await;
    println!("file: {:.1} MiB", octets(&path) / 1024.0 / 1024.0);

    let before = resident();
    let began = Instant::now();
    let store = Store::open(&path).unwrap();
    let open = began.elapsed();
    println!("opened in {:.1} ms", milliseconds(open));
    let quiet = read(&store, rows, "nobody writes").await;
    println!(
        "resident memory: {before} before it was opened, {} after these reads",
        resident()
    );
    let busy = read_beside_writes(&store, rows).await;
    println!(
        "  the log has grown to {:.1} MiB",
        octets(&path.with_extension("db-wal")) / 1024.0 / 1024.0
    );
    heavy(&store, rows).await;
    prune(&store, rows).await;
    println!("resident memory in the end: {}", resident());
    store.close().await;

    let met = open < TARGET_OPEN && quiet.max(busy) < TARGET_READ;
    let verdict = if met { "met" } else { "NOT MET" };
    println!("targets: opened below 2 s, reads below 1 ms at p99: {verdict}");
    if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn octets(path: &Path) -> f64 {
    std::fs::metadata(path).unwrap().len() as f64
}
