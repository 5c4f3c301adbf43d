use super::*;

async fn prune(store: &Store, limits: HistoryLimits, now: u64) -> u32 {
    let mut steps = 1;
    while store.prune_history(limits, now).await.unwrap() == Pruned::More {
        steps += 1;
    }
    steps
}

async fn names(store: &Store) -> Vec<String> {
    let query = DestinationQuery {
        sort: Sort::Name,
        direction: Direction::Ascending,
        ..DestinationQuery::default()
    };
    let page = store.destinations_seen(query).await.unwrap();
    page.rows.into_iter().map(|row| row.name).collect()
}

#[tokio::test]
async fn hours_are_kept_for_days_and_days_for_a_year() {
    let (_directory, store) = open();
    record(&store, seen("a.example", Way::Verified, T, 1)).await;
    record(&store, seen("b.example", Way::Verified, T + 2 * DAY, 1)).await;
    let limits = HistoryLimits::default();
    for (now, hours, days, destinations) in [
        (T + 3 * DAY, 2, 2, 2),
        (T + 3 * DAY + 1, 1, 2, 2),
        (T + 5 * DAY + 1, 0, 2, 2),
        (T + 366 * DAY, 0, 2, 2),
        (T + 366 * DAY + 1, 0, 1, 1),
        (T + 368 * DAY + 1, 0, 0, 0),
    ] {
        prune(&store, limits, now).await;
        let by_hour = store.totals_by_hour(0, u64::MAX).await.unwrap().len();
        let by_day = store.totals_by_day(0, u64::MAX).await.unwrap().len();
        let size = store.history_size().await.unwrap();
        let known = (by_hour, by_day, size.destinations, size.day_rows);
        assert_eq!(known, (hours, days, destinations, days as u64), "{now}");
    }
}

#[tokio::test]
async fn who_was_not_seen_the_longest_goes_first() {
    let (_directory, store) = open();
    for n in 0..60_u64 {
        let name = format!("{n:02}.example");
        record(&store, seen(&name, Way::Verified, T + DAY * (n % 3), 1)).await;
    }
    record(&store, seen("00.example", Way::Verified, T + 3 * DAY, 1)).await;
    let limits = HistoryLimits {
        destinations: 21,
        ..HistoryLimits::default()
    };
    prune(&store, limits, T + 3 * DAY).await;
    let size = store.history_size().await.unwrap();
    assert_eq!((size.destinations, size.day_rows), (21, 22));
    let left = names(&store).await;
    assert_eq!(left[..3], ["00.example", "02.example", "05.example"]);
    // Nothing is left of the others but what was delivered in all.
    assert_eq!(store.destination_seen("01.example").await.unwrap(), None);
    let used = store.ways(0).await.unwrap();
    assert_eq!(used.len(), 21);
    let days = store.totals_by_day(0, u64::MAX).await.unwrap();
    assert_eq!(days.iter().map(|total| total.count).sum::<u64>(), 61);
    let rows = |table: &'static str| {
        store.read(move |c| {
            let sql = format!("SELECT count(*) FROM {table}");
            Ok(c.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
        })
    };
    assert_eq!(rows("destination_detail").await, Ok(21));
    assert_eq!(rows("destination_day").await, Ok(22));
    assert_eq!(rows("destination_hour").await, Ok(22));
}

#[tokio::test]
async fn the_oldest_days_go_when_there_are_too_many_rows() {
    let (_directory, store) = open();
    for day in 0..4 {
        for n in 0..300_u64 {
            let name = format!("{n}.example");
            let chunk = vec![seen(&name, Way::Verified, T + day * DAY, 1)];
            store.record_history(chunk, T + day * DAY).await.unwrap();
        }
    }
    let limits = HistoryLimits {
        day_rows: 600,
        ..HistoryLimits::default()
    };
    let steps = prune(&store, limits, T + 4 * DAY).await;
    assert!(steps > 1, "in steps");
    let size = store.history_size().await.unwrap();
    assert_eq!((size.day_rows, size.oldest), (600, Some(T)));
    let days = |known: DestinationDetail| known.days.iter().map(|day| day.at).collect::<Vec<_>>();
    let known = days(detail(&store, "7.example").await);
    assert_eq!(known, [T + 2 * DAY, T + 3 * DAY]);
    assert_eq!(store.totals_by_day(0, u64::MAX).await.unwrap().len(), 4);
}

#[tokio::test]
async fn who_is_seen_again_stays() {
    let (_directory, store) = open();
    record(&store, seen("a.example", Way::Verified, T, 1)).await;
    let limits = HistoryLimits {
        destinations: 0,
        ..HistoryLimits::default()
    };
    let unseen = store
        .read(move |c| prune::unseen(c, limits, T))
        .await
        .unwrap();
    assert_eq!(unseen.len(), 1);
    record(&store, seen("a.example", Way::Verified, T + 1, 1)).await;
    let gone = store.change(move |t| prune::forget(t, &unseen)).await;
    assert_eq!(gone, Ok(0));
    assert_eq!(names(&store).await, ["a.example"]);
}
