//! Reading beside writing, and the end of both.

use super::policies::policy;
use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_was_answered_sees_what_it_wrote_while_others_write_and_read() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let mut working = tokio::task::JoinSet::new();
    for task in 0..8 {
        let store = store.clone();
        working.spawn(async move {
            let domain = format!("{task}.test");
            for round in 1..=50 {
                let put = StoredPolicy {
                    id: round.to_string(),
                    ..policy(&domain)
                };
                store.put_sts_policy(put.clone()).await.unwrap();
                assert_eq!(store.sts_policy(&domain).await, Ok(Some(put)));
                store.sts_policy_used(&domain, round).await.unwrap();
                let kept = store.sts_policy(&domain).await.unwrap().unwrap();
                assert_eq!(kept.used, round);
                let after = store.sts_policies("", 100).await.unwrap();
                assert!(after.contains(&kept));
                if round % 10 == 0 {
                    assert_eq!(store.forget_sts_policy(&domain).await, Ok(true));
                    assert_eq!(store.sts_policy(&domain).await, Ok(None));
                }
            }
        });
    }
    working.join_all().await;
    assert_eq!(store.count_sts_policies().await, Ok(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_do_not_wait_for_a_write_under_way() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    store.put_sts_policy(policy("a.test")).await.unwrap();
    let (begin, mut begun) = tokio::sync::mpsc::channel(1);
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let mut writing = tokio::task::JoinSet::new();
    let writer = store.clone();
    writing.spawn(async move {
        let write = writer.write(move |transaction| {
            let rows = changed(transaction, "DELETE FROM sts_policy", []);
            begin.try_send(()).unwrap();
            let _ = gone.recv_timeout(Duration::from_secs(20));
            rows
        });
        write.await
    });
    begun.recv().await.unwrap();
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(store.sts_policy("a.test").await, Ok(Some(policy("a.test"))));
        assert_eq!(store.count_sts_policies().await, Ok(1));
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    go.send(()).unwrap();
    assert_eq!(writing.join_all().await, [Ok(1)]);
    assert_eq!(store.sts_policy("a.test").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_copied_and_begun_anew_although_nobody_stops_writing() {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 400;
    const SIZE: usize = 60_000;
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let mut working = tokio::task::JoinSet::new();
    for task in 0..WRITERS {
        let store = store.clone();
        working.spawn(async move {
            for round in 0..ROUNDS {
                let large = StoredPolicy {
                    id: round.to_string(),
                    policy: format!("{round:04}").repeat(SIZE / 4), // all of it changes
                    ..policy(&format!("{task}.test"))
                };
                store.put_sts_policy(large).await.unwrap();
            }
        });
    }
    working.join_all().await;
    let log = std::fs::metadata(path.with_extension("db-wal")).unwrap();
    let written = (WRITERS * ROUNDS * SIZE) as u64;
    assert!(log.len() < written / 2, "{} octets of {written}", log.len());
    store.close().await;
    let store = Store::open(&path).unwrap();
    for task in 0..WRITERS {
        let kept = store.sts_policy(&format!("{task}.test")).await;
        assert_eq!(kept.unwrap().unwrap().id, (ROUNDS - 1).to_string());
    }
}

#[tokio::test]
async fn closing_ends_both_threads_and_tidies_up() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    store.put_sts_policy(policy("a.test")).await.unwrap();
    let log = path.with_extension("db-wal");
    assert!(log.exists());
    let other = store.clone();
    store.close().await;
    assert!(!log.exists(), "the log is in the file");
    let closed = StoreError::Closed;
    assert_eq!(other.sts_policy("a.test").await, Err(closed.clone()));
    assert_eq!(other.sts_policies("", 1).await, Err(closed.clone()));
    assert_eq!(other.count_sts_policies().await, Err(closed.clone()));
    assert_eq!(other.forget_sts_policy("a.test").await, Err(closed.clone()));
    assert_eq!(other.prune_sts_policies(0, 0).await, Err(closed.clone()));
    other.close().await;
}

#[tokio::test]
async fn the_last_handle_closes_the_file_too() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    store.put_sts_policy(policy("a.test")).await.unwrap();
    drop(store);
    let log = path.with_extension("db-wal");
    let patience = Instant::now() + Duration::from_secs(20);
    while log.exists() {
        assert!(Instant::now() < patience, "still open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let tried = store
        .read(|connection| Ok(connection.execute("DELETE FROM sts_policy", [])?))
        .await;
    assert!(matches!(tried, Err(StoreError::ReadOnly(_))), "{tried:?}");
}

#[tokio::test]
async fn a_full_disk_leaves_reading_alone() {
    let (_directory, path) = place();
    let (connection, lock) = schema::open(&path).unwrap();
    let pages: i64 = connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    connection
        .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        .unwrap();
    let store = Store::start(&path, Writing::of(&path, (connection, lock))).unwrap();
    store.put_sts_policy(policy("a.test")).await.unwrap();
    let large = StoredPolicy {
        policy: "x".repeat(100_000),
        ..policy("a.test")
    };
    assert_eq!(store.put_sts_policy(large).await, Err(StoreError::Full));
    assert_eq!(store.sts_policy("a.test").await, Ok(Some(policy("a.test"))));
    assert_eq!(store.forget_sts_policy("a.test").await, Ok(true));
    assert_eq!(store.sts_policy("a.test").await, Ok(None));
}

#[tokio::test]
async fn what_cannot_be_written_can_be_read() {
    let (_directory, path) = place();
    let (connection, lock) = schema::open(&path).unwrap();
    connection
        .execute_batch(
            "INSERT INTO sts_policy (domain, id, mode, policy, fetched, expires, used, refresh)
             VALUES ('a.test', '1', 'none', '', 1, 2, 3, 4); PRAGMA query_only = ON",
        )
        .unwrap();
    let store = Store::start(&path, Writing::of(&path, (connection, lock))).unwrap();
    let refused = store.put_sts_policy(policy("a.test")).await;
    assert!(
        matches!(refused, Err(StoreError::ReadOnly(_))),
        "{refused:?}"
    );
    let kept = store.sts_policy("a.test").await.unwrap().unwrap();
    assert_eq!((kept.id.as_str(), kept.refresh), ("1", 4));
    assert!(store.prune_sts_policies(9, 0).await.is_err());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_nobody_waits_for_ends() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let ended = std::sync::Arc::new(AtomicBool::new(false));
    let flag = ended.clone();
    let endless = store.read_aside(move |connection| {
        let result = connection.query_row(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
            [],
            |row| row.get::<_, i64>(0),
        );
        flag.store(true, Ordering::SeqCst);
        Ok(result?)
    });
    let given_up = tokio::time::timeout(Duration::from_millis(100), endless).await;
    assert!(given_up.is_err());
    let patience = Instant::now() + Duration::from_secs(20);
    while !ended.load(Ordering::SeqCst) {
        assert!(Instant::now() < patience, "still reading");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
