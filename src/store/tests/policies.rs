//! MTA-STS policies: what is kept, what is due, what is forgotten, and that no question reads everything.

use super::*;
use crate::store::policies::*;

pub(super) fn policy(domain: &str) -> StoredPolicy {
    StoredPolicy {
        domain: domain.into(),
        id: "20260101".into(),
        mode: "enforce".into(),
        policy: format!("version: STSv1\nmode: enforce\nmx: *.{domain}\nmax_age: 604800\n"),
        fetched: 1_000,
        expires: 605_800,
        used: 1_000,
        refresh: 87_400,
    }
}

fn domains(policies: Vec<StoredPolicy>) -> Vec<String> {
    policies.into_iter().map(|p| p.domain).collect()
}

async fn all(store: &Store) -> Vec<String> {
    domains(store.sts_policies("", usize::MAX).await.unwrap())
}

#[tokio::test]
async fn policies_outlive_the_process_until_forgotten() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.sts_policy("a.test").await, Ok(None));
    store.put_sts_policy(policy("a.test")).await.unwrap();
    store.put_sts_policy(policy("b.test")).await.unwrap();
    let newer = StoredPolicy {
        id: "2".into(),
        mode: "none".into(),
        policy: "version: STSv1\nmode: none\nmax_age: 0\n".into(),
        fetched: 2_000,
        expires: 2_000,
        used: 2_001,
        refresh: 2_002,
        ..policy("a.test")
    };
    store.put_sts_policy(newer.clone()).await.unwrap();
    store.sts_policy_used("b.test", 77).await.unwrap();
    store.postpone_sts_refresh("b.test", 78).await.unwrap();
    store.sts_policy_used("absent.test", 1).await.unwrap();
    store.postpone_sts_refresh("absent.test", 1).await.unwrap();
    store.close().await;

    let store = Store::open(&path).unwrap();
    assert_eq!(store.count_sts_policies().await, Ok(2));
    assert_eq!(store.sts_policy("a.test").await, Ok(Some(newer)));
    let changed = StoredPolicy {
        used: 77,
        refresh: 78,
        ..policy("b.test")
    };
    assert_eq!(store.sts_policy("b.test").await, Ok(Some(changed)));
    assert_eq!(store.forget_sts_policy("a.test").await, Ok(true));
    assert_eq!(store.forget_sts_policy("a.test").await, Ok(false));
    assert_eq!(store.sts_policy("a.test").await, Ok(None));
    assert_eq!(all(&store).await, ["b.test"]);
}

#[tokio::test]
async fn a_list_goes_on_where_the_last_one_ended() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    for name in ["c.test", "a.test", "b.test", "xn--a.test"] {
        store.put_sts_policy(policy(name)).await.unwrap();
    }
    for (after, limit, expected) in [
        ("", 2, vec!["a.test", "b.test"]),
        ("b.test", 2, vec!["c.test", "xn--a.test"]),
        ("bb.test", 1, vec!["c.test"]), // forgotten in between
        ("xn--a.test", 2, vec![]),
        ("", 0, vec![]),
    ] {
        let found = store.sts_policies(after, limit).await.unwrap();
        assert_eq!(domains(found), expected, "{limit} after {after}");
    }
}

#[tokio::test]
async fn due_is_what_lives_the_longest_due_first() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    for (domain, refresh, expires) in [
        ("later.test", 101, 900),
        ("second.test", 10, 300),
        ("third.test", 100, 101),
        ("first.test", 1, 800),
        ("expired.test", 10, 100),
    ] {
        let policy = StoredPolicy {
            refresh,
            expires,
            ..policy(domain)
        };
        store.put_sts_policy(policy).await.unwrap();
    }
    for (limit, expected) in [
        (usize::MAX, vec!["first.test", "second.test", "third.test"]),
        (2, vec!["first.test", "second.test"]),
        (0, vec![]),
    ] {
        let due = store.sts_policies_due(100, limit).await.unwrap();
        assert_eq!(domains(due), expected, "at most {limit}");
    }
    assert_eq!(store.sts_policies_due(0, 9).await, Ok(vec![]));
    store.postpone_sts_refresh("first.test", 101).await.unwrap();
    let due = store.sts_policies_due(100, 1).await.unwrap();
    assert_eq!(domains(due), ["second.test"]);
}

#[tokio::test]
async fn pruning_takes_the_expired_and_then_the_least_recently_used() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    for (domain, expires, used) in [
        ("expired.test", 99, 500),
        ("now.test", 100, 4),
        ("old.test", 900, 1),
        ("older.test", 900, 0),
        ("new.test", 900, 9),
    ] {
        let policy = StoredPolicy {
            expires,
            used,
            ..policy(domain)
        };
        store.put_sts_policy(policy).await.unwrap();
    }
    assert_eq!(store.prune_sts_policies(100, 4).await, Ok(1));
    assert_eq!(
        all(&store).await,
        ["new.test", "now.test", "old.test", "older.test"]
    );
    assert_eq!(store.prune_sts_policies(100, 2).await, Ok(2));
    assert_eq!(all(&store).await, ["new.test", "now.test"]);
    assert_eq!(store.prune_sts_policies(100, 2).await, Ok(0));
    assert_eq!(store.prune_sts_policies(0, 0).await, Ok(2));
    assert_eq!(store.prune_sts_policies(u64::MAX, 0).await, Ok(0));
}

#[tokio::test]
async fn pruning_takes_more_than_one_step() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let putting = (0..2 * PRUNE_STEP + 100).map(|number| {
        let expires = if number < PRUNE_STEP + 1 { 10 } else { 1_000 };
        store.put_sts_policy(StoredPolicy {
            expires,
            used: number,
            ..policy(&format!("{number}.test"))
        })
    });
    for result in futures_util::future::join_all(putting).await {
        result.unwrap();
    }
    let gone = store.prune_sts_policies(100, 10).await;
    assert_eq!(gone, Ok(2 * PRUNE_STEP + 90));
    assert_eq!(store.count_sts_policies().await, Ok(10));
    let last = 2 * PRUNE_STEP + 99;
    assert!(
        store
            .sts_policy(&format!("{last}.test"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_list_that_was_rolled_back_is_recognised_after_a_restart_too() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.note_preload("/lists/a", 10).await, Ok(10));
    assert_eq!(store.note_preload("/lists/a", 9).await, Ok(10));
    assert_eq!(store.note_preload("/lists/b", 0).await, Ok(0));
    store.close().await;
    let store = Store::open(&path).unwrap();
    assert_eq!(store.note_preload("/lists/a", 1).await, Ok(10));
    assert_eq!(store.note_preload("/lists/a", 11).await, Ok(11));
}

#[tokio::test]
async fn times_beyond_what_fits_are_as_late_as_can_be() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let policy = StoredPolicy {
        expires: u64::MAX,
        ..policy("a.test")
    };
    store.put_sts_policy(policy).await.unwrap();
    let kept = store.sts_policy("a.test").await.unwrap().unwrap();
    assert_eq!(kept.expires, i64::MAX.unsigned_abs());
    let highest = store.note_preload("/list", u64::MAX).await;
    assert_eq!(highest, Ok(i64::MAX.unsigned_abs()));
}

#[tokio::test]
async fn a_row_that_cannot_be_right_is_an_error() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    for domain in ["a.test", "b.test"] {
        store.put_sts_policy(policy(domain)).await.unwrap();
    }
    store.note_preload("/list", 1).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "UPDATE sts_policy SET fetched = -1, refresh = 0 WHERE domain = 'a.test';
             UPDATE preload SET timestamp = -7;",
        )
        .unwrap();
    let is_corrupt =
        |error: StoreError| assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    is_corrupt(store.sts_policy("a.test").await.unwrap_err());
    is_corrupt(store.sts_policies("", 9).await.unwrap_err());
    is_corrupt(store.sts_policies_due(5, 9).await.unwrap_err());
    assert_eq!(
        store.note_preload("/list", 3).await,
        Ok(3),
        "it mends itself"
    );
    assert_eq!(store.sts_policy("b.test").await, Ok(Some(policy("b.test"))));
    assert_eq!(store.forget_sts_policy("a.test").await, Ok(true));
}

/// A question whose cost grows with the file holds up mail.
#[test]
fn no_question_reads_everything() {
    let (_directory, path) = place();
    let (connection, _lock) = schema::open(&path).unwrap();
    for (sql, index) in [
        (ONE, "sqlite_autoindex_sts_policy_1"),
        (IN_ORDER, "sqlite_autoindex_sts_policy_1"),
        (DUE, "INDEX sts_policy_due (refresh<?)"),
        (PUT, ""),
        (FORGET, "sqlite_autoindex_sts_policy_1"),
        (USED, "sqlite_autoindex_sts_policy_1"),
        (POSTPONE, "sqlite_autoindex_sts_policy_1"),
        (FORGET_EXPIRED, "sts_policy_expires"),
        // In the order of the index, and ended by its limit.
        (
            FORGET_UNUSED,
            "SCAN sts_policy USING COVERING INDEX sts_policy_used",
        ),
        (NOTE_PRELOAD, ""),
    ] {
        let plan = plan(&connection, sql);
        assert!(plan.contains(index), "{sql}: {plan}");
        let scans = plan.matches("SCAN").count();
        assert_eq!(
            scans,
            usize::from(index.starts_with("SCAN")),
            "{sql}: {plan}"
        );
        let sorts = plan.matches("TEMP B-TREE").count();
        assert_eq!(sorts, 0, "{sql}: {plan}");
    }
}

pub(super) fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    for parameter in 1..=statement.parameter_count() {
        statement.raw_bind_parameter(parameter, 1).unwrap();
    }
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get::<_, String>(3).unwrap());
    }
    steps.join("\n")
}
