use super::*;
use rusqlite::Connection;
use std::fs;
use std::io::{Seek, SeekFrom, Write as _};
use std::path::PathBuf;

fn failure(mx: &str, last: u64) -> RememberedFailure {
    RememberedFailure {
        mx: mx.into(),
        ip: "2001:db8::1".parse().unwrap(),
        first: 1,
        last,
    }
}

async fn names(store: &Store) -> Vec<String> {
    let mut names: Vec<String> = store
        .tls_failures()
        .await
        .unwrap()
        .into_iter()
        .map(|f| f.mx)
        .collect();
    names.sort();
    names
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/sealpost.db");
    (directory, path)
}

#[tokio::test]
async fn failures_outlive_the_process_until_forgotten() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.tls_failures().await, Ok(vec![]));
    store
        .remember_tls_failure(failure("a.test", 5))
        .await
        .unwrap();
    store
        .remember_tls_failure(failure("a.test", 9))
        .await
        .unwrap();
    store
        .remember_tls_failure(failure("b.test", 20))
        .await
        .unwrap();
    store.close().await;

    let store = Store::open(&path).unwrap();
    let mut known = store.tls_failures().await.unwrap();
    known.sort_by(|a, b| a.mx.cmp(&b.mx));
    assert_eq!(known, [failure("a.test", 9), failure("b.test", 20)]);
    store.prune(9).await.unwrap();
    assert_eq!(
        names(&store).await,
        ["a.test", "b.test"],
        "the ninth second is not before it"
    );
    store.prune(10).await.unwrap();
    assert_eq!(names(&store).await, ["b.test"]);
    store
        .forget_tls_failure("b.test", "192.0.2.1".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(
        names(&store).await,
        ["b.test"],
        "another address is another failure"
    );
    store
        .forget_tls_failure("b.test", "2001:db8::1".parse().unwrap())
        .await
        .unwrap();
    assert!(names(&store).await.is_empty());
}

#[tokio::test]
async fn what_was_handed_in_before_close_is_written_and_nothing_after() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let store = store.clone();
        let name = format!("{number}.test");
        waiting.spawn(async move { store.remember_tls_failure(failure(&name, 1)).await });
    }
    for result in waiting.join_all().await {
        result.unwrap();
    }
    let other = store.clone();
    store.close().await;
    assert_eq!(other.tls_failures().await, Err(StoreError::Closed));
    other.close().await;
    assert_eq!(names(&Store::open(&path).unwrap()).await.len(), 1000);
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    let (_directory, path) = place();
    drop(schema::open(&path).unwrap());

    let rest = fs::metadata(&path).unwrap().len() - 100;
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(100)).unwrap();
    file.write_all(&vec![0xAA; rest as usize]).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Corrupt(_))));

    fs::remove_file(&path).unwrap();
    drop(schema::open(&path).unwrap());
    let half = fs::metadata(&path).unwrap().len() / 2;
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(half)
        .unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Corrupt(_))));

    fs::write(
        &path,
        "this is text, and long enough to be no empty database".repeat(40),
    )
    .unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Corrupt(_))));

    let below_a_file = path.join("db");
    assert!(matches!(
        Store::open(&below_a_file),
        Err(StoreError::Directory { .. })
    ));
    assert!(matches!(
        Store::open(path.parent().unwrap()),
        Err(StoreError::CannotOpen(_))
    ));
}

/// A start does not read the whole file; the check that does finds it.
#[tokio::test]
async fn damage_inside_is_found_by_the_check_and_leaves_the_rest_usable() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    store
        .remember_tls_failure(failure("a.test", 1))
        .await
        .unwrap();
    let large = StoredPolicy {
        policy: "x".repeat(100_000),
        ..policies::policy("large.test")
    };
    store.put_sts_policy(large).await.unwrap();
    assert_eq!(store.verify().await, Ok(()));
    store.close().await;

    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::End(-50_000)).unwrap();
    file.write_all(&[0xAA; 20_000]).unwrap();
    let store = Store::open(&path).unwrap();
    let found = store.verify().await;
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
    let large = store.sts_policy("large.test").await;
    assert!(matches!(large, Err(StoreError::Corrupt(_))), "{large:?}");
    assert_eq!(names(&store).await, ["a.test"]);
    store
        .put_sts_policy(policies::policy("b.test"))
        .await
        .unwrap();
    store.close().await;
}

#[test]
fn a_newer_schema_is_left_alone() {
    let (_directory, path) = place();
    drop(schema::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert_eq!(
        Store::open(&path).unwrap_err(),
        StoreError::Newer {
            found: 99,
            known: 5
        }
    );
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date() {
    let (_directory, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let old = Connection::open(&path).unwrap();
    old.execute_batch(schema::STEPS[0]).unwrap();
    old.execute_batch(
        "INSERT INTO tls_failure VALUES ('a.test', '2001:db8::1', 1, 5); PRAGMA user_version = 1",
    )
    .unwrap();
    drop(old);
    for _ in 0..2 {
        let store = Store::open(&path).unwrap();
        assert_eq!(store.tls_failures().await, Ok(vec![failure("a.test", 5)]));
        store
            .put_sts_policy(policies::policy("a.test"))
            .await
            .unwrap();
        assert_eq!(store.count_sts_policies().await, Ok(1));
        store.close().await;
    }
    let version: i64 = Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 5);
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_no_end() {
    let (_directory, path) = place();
    let (connection, lock) = schema::open(&path).unwrap();
    let pages: i64 = connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    connection
        .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        .unwrap();
    let store = Store::start(&path, Writing::of(&path, (connection, lock))).unwrap();
    store
        .remember_tls_failure(failure("small.test", 1))
        .await
        .unwrap();
    let long = "x".repeat(100_000);
    assert_eq!(
        store.remember_tls_failure(failure(&long, 1)).await,
        Err(StoreError::Full)
    );
    assert_eq!(names(&store).await, ["small.test"]);
    store.close().await;
}

#[test]
fn errors_of_sqlite_keep_their_kind() {
    use rusqlite::ffi;
    type Kind = fn(&StoreError) -> bool;
    let cases: [(i32, Kind); 7] = [
        (ffi::SQLITE_BUSY, |e| *e == StoreError::Locked),
        (ffi::SQLITE_FULL, |e| *e == StoreError::Full),
        (ffi::SQLITE_READONLY, |e| {
            matches!(e, StoreError::ReadOnly(_))
        }),
        (ffi::SQLITE_IOERR, |e| matches!(e, StoreError::Io(_))),
        (ffi::SQLITE_NOTADB, |e| matches!(e, StoreError::Corrupt(_))),
        (ffi::SQLITE_CANTOPEN, |e| {
            matches!(e, StoreError::CannotOpen(_))
        }),
        (ffi::SQLITE_CONSTRAINT, |e| {
            matches!(e, StoreError::Other(_))
        }),
    ];
    for (code, is_kind) in cases {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let error = StoreError::from(error);
        assert!(is_kind(&error), "{code}: {error:?}");
    }
}

mod operate;
mod policies;
mod queue;
mod threads;

#[tokio::test]
async fn hosts_with_tls_are_remembered_until_they_are_too_old() {
    let (_directory, path) = place();
    let host = |host: &str, last| RememberedTls {
        host: host.into(),
        last,
    };
    let store = Store::open(&path).unwrap();
    let hosts = vec![host("old.test", 1), host("a.test", 5), host("b.test", 6)];
    store.remember_tls_hosts(hosts, 0).await.unwrap();
    let hosts = vec![host("a.test", 9)];
    store.remember_tls_hosts(hosts, 5).await.unwrap();
    store.close().await;
    let store = Store::open(&path).unwrap();
    let (a, b) = (host("a.test", 9), host("b.test", 6));
    assert_eq!(store.tls_hosts(9).await, Ok(vec![a.clone(), b]));
    assert_eq!(store.tls_hosts(1).await, Ok(vec![a]));
    store.close().await;
}
