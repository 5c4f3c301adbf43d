//! Long queues: no step reads or writes much.

use super::*;
use crate::store::queue::operate::*;
use crate::store::queue::select::*;
use std::time::{Duration, Instant};

/// So many messages: every tenth of `s@rare.test`, every hundredth to few.test, the last ten held, all others to
/// many.test.
fn fill(path: &std::path::Path, count: i64) {
    let (connection, _lock) = schema::open(path).unwrap();
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
        INSERT INTO message (number, id, sender, size, received, expires, details)
        SELECT i, 'M' || i, iif(i % 10 = 0, 's@rare.test', 's@x.test'), 3, i, i + 1000, '{{}}' FROM n;
        INSERT INTO recipient
        (message, address, destination, state, next, attempts, leased, reached)
        SELECT number, 'x@y.test', iif(number % 100 = 0, 'few.test', 'many.test'),
            number > {count} - 10, abs(random() % 1000000), 0, 0, 1 FROM message ORDER BY number;"
    );
    connection.execute_batch(&sql).unwrap();
}

/// Every message that is found, in steps, and how many steps it took.
async fn walk_through(store: &Store, selection: &Selection) -> (usize, usize) {
    let (mut found, mut steps) = (0, 0);
    let mut stretch = ALL;
    loop {
        let page = store.queue_page(selection.clone(), stretch).await.unwrap();
        let in_order = page.messages.iter().map(|m| m.number);
        assert!(in_order.is_sorted_by(|a, b| a < b));
        assert!(
            page.messages
                .first()
                .is_none_or(|m| m.number > stretch.after)
        );
        found += page.messages.len();
        steps += 1;
        match page.next {
            Some(next) => {
                assert!(next > stretch.after);
                stretch.after = next;
            }
            None => return (found, steps),
        }
    }
}

#[tokio::test]
async fn long_queues_are_gone_through_step_by_step() {
    const COUNT: i64 = 100_000;
    let (_directory, path) = place();
    fill(&path, COUNT);
    let store = Store::open(&path).unwrap();
    let rare = |sender: &str| Selection {
        sender: Some(sender.to_owned()),
        ..Selection::default()
    };
    for (selection, found, steps) in [
        (Selection::default(), 100_000, 101),
        (of_domain("few.test"), 1_000, 2),
        (of_domain("many.test"), 99_000, 100),
        (of_domain("nobody.test"), 0, 1),
        (in_state(RecipientState::Held), 10, 1),
        (rare("s@rare.test"), 10_000, 11),
        (rare("nobody@x.test"), 0, 3),
        (rare("s@rare.test").and_domain("few.test"), 1_000, 2),
        (in_state(RecipientState::Held).and_domain("many.test"), 9, 1),
    ] {
        let walked = walk_through(&store, &selection).await;
        assert_eq!(walked, (found, steps), "{selection:?}");
    }
    let bounded = Stretch { until: 500, ..ALL };
    let page = store
        .queue_page(rare("s@rare.test"), bounded)
        .await
        .unwrap();
    assert_eq!((page.messages.len(), page.next), (50, None));
}

#[tokio::test]
async fn changes_go_on_where_the_last_step_ended() {
    let (_directory, path) = place();
    fill(&path, 2_000);
    let store = Store::open(&path).unwrap();
    let until = store.queue_newest().await.unwrap();
    store
        .keep(vec![message("LATER", &["x@many.test"])])
        .await
        .unwrap();
    let (mut held, mut steps) = (0, 0);
    let mut stretch = Stretch { until, ..ALL };
    loop {
        let changed = store
            .queue_change(of_domain("many.test"), Change::Hold, stretch)
            .await
            .unwrap();
        held += changed.recipients;
        steps += 1;
        let Some(next) = changed.next else { break };
        stretch.after = next;
    }
    assert_eq!((held, steps), (1_971, 8)); // 9 were held already
    let later = store.queue_message("LATER").await.unwrap().unwrap();
    assert_eq!(later.recipients[0].state, RecipientState::Waiting);
}

/// A question whose cost grows with the queue holds up mail, or who looks.
#[test]
fn no_step_reads_everything() {
    let (_directory, path) = place();
    let (connection, _lock) = schema::open(&path).unwrap();
    for (sql, indexes, sorts) in [
        (BY_ID, &["sqlite_autoindex_message_1"][..], 0),
        (
            HOW_MANY,
            &["COVERING INDEX recipient_due (destination=? AND state=?)"],
            0,
        ),
        // Few are sorted.
        (
            OF_FEW,
            &[
                "INDEX recipient_due (destination=? AND state=?)",
                "m USING INTEGER PRIMARY KEY",
            ],
            1,
        ),
        (
            WALK,
            &[
                "m USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
                "INDEX recipient_message (message=?)",
            ],
            0,
        ),
        (NEXT, &["INTEGER PRIMARY KEY (rowid>?)"], 0),
        (NEXT_HELD, &["COVERING INDEX recipient_held (message>?)"], 0),
        (
            NEXT_AT,
            &[
                "COVERING INDEX recipient_due",
                "COVERING INDEX recipient_message (message>?)",
            ],
            0,
        ),
        (HOLD, &["INDEX recipient_message (message=?)"], 0),
        (RELEASE, &["INDEX recipient_message (message=?)"], 0),
        (RETRY, &["INDEX recipient_message (message=?)"], 0),
        (DROP, &["INDEX recipient_message (message=?)"], 0),
    ] {
        let plan = policies::plan(&connection, sql);
        for index in indexes {
            assert!(plan.contains(index), "{sql}: {plan}");
        }
        // What is counted or sought in a subquery is bounded by its own limit.
        let scans = plan.matches("SCAN").count() - plan.matches("SCAN (subquery").count();
        assert_eq!(scans, 0, "{sql}: {plan}");
        assert_eq!(plan.matches("TEMP B-TREE").count(), sorts, "{sql}: {plan}");
    }
}

/// For people who change the queries: `cargo nextest run --release --run-ignored all million -- --nocapture`.
#[tokio::test]
#[ignore = "takes a minute"]
async fn the_first_page_of_a_million() {
    let (_directory, path) = place();
    fill(&path, 1_000_000);
    let store = Store::open(&path).unwrap();
    let last = Selection {
        sender: Some("nobody@x.test".to_owned()),
        ..Selection::default()
    };
    for selection in [
        Selection::default(),
        of_domain("few.test"),
        of_domain("many.test"),
        in_state(RecipientState::Held),
        in_state(RecipientState::Held).and_domain("many.test"),
        last.and_domain("many.test"),
        last,
    ] {
        let began = Instant::now();
        let page = store
            .queue_page(selection.clone(), Stretch { most: 100, ..ALL })
            .await
            .unwrap();
        let took = began.elapsed();
        println!("{took:?}: {} of {selection:?}", page.messages.len());
        assert!(took < Duration::from_secs(1), "{took:?} {selection:?}");
        let began = Instant::now();
        let (found, steps) = walk_through(&store, &selection).await;
        println!("  all {found} in {steps} steps: {:?}", began.elapsed());
    }
    let began = Instant::now();
    let mut stretch = ALL;
    let mut longest = Duration::ZERO;
    loop {
        let step = Instant::now();
        let changed = store
            .queue_change(of_domain("many.test"), Change::Hold, stretch)
            .await
            .unwrap();
        longest = longest.max(step.elapsed());
        let Some(next) = changed.next else { break };
        stretch.after = next;
    }
    println!("hold: {:?}, a step {longest:?} at most", began.elapsed());
}
