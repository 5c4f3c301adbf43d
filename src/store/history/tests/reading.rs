use super::*;
use crate::store::schema::STEPS;
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn another_process_reads_while_the_store_is_open_and_when_it_is_not() {
    let (directory, store) = open();
    let path = file(directory.path());
    record(&store, seen("a.example", Way::Verified, T, 3)).await;
    let beside = Store::open_history_for_reading(&path).unwrap();
    record(&store, seen("a.example", Way::Encrypted, T + DAY, 1)).await;
    let check = |reader: &HistoryReader| {
        let size = reader.size().unwrap();
        assert_eq!((size.destinations, size.day_rows), (1, 2));
        let since = |since| {
            let used = reader.ways(since).unwrap();
            let ways = used.iter().flat_map(|used| &used.ways);
            ways.map(|(facet, sum)| (facet.way, *sum))
                .collect::<Vec<_>>()
        };
        assert_eq!(since(T + HOUR), [(Way::Verified, 3), (Way::Encrypted, 1)]);
        assert_eq!(since(T + DAY + HOUR), [(Way::Encrypted, 1)]);
        assert_eq!(since(T + 2 * DAY), []);
        assert_eq!(reader.totals(Slot::Hour, 0, u64::MAX).unwrap().len(), 2);
        let page = reader.destinations(&DestinationQuery::default()).unwrap();
        assert_eq!(page.rows[0].delivered(), 4);
        assert!(reader.destination("a.example").unwrap().is_some());
        assert_eq!(reader.rules_caught(1).unwrap(), []);
    };
    check(&beside);
    drop(beside);
    store.close().await;
    check(&Store::open_history_for_reading(&path).unwrap());
    // Somebody who may read the file and nothing else.
    let sealed =
        |mode| std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode));
    sealed(0o555).unwrap();
    let reader = Store::open_history_for_reading(&path);
    sealed(0o755).unwrap();
    check(&reader.unwrap());
    // Nobody is in the way of the next daemon.
    let store = Store::open(&path).unwrap();
    record(&store, seen("b.example", Way::Verified, T, 1)).await;
}

#[test]
fn what_is_not_there_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path());
    assert!(Store::open_history_for_reading(&path).is_err());
    assert!(!path.exists(), "nothing is made");
    let old = Connection::open(&path).unwrap();
    for step in &STEPS[..4] {
        old.execute_batch(step).unwrap();
    }
    old.pragma_update(None, "user_version", 4).unwrap();
    let error = Store::open_history_for_reading(&path).unwrap_err();
    assert!(error.to_string().contains("has no history"), "{error}");
    drop(old);
    // The next daemon brings it up to date.
    let _store = Store::open(&path).unwrap();
    let reader = Store::open_history_for_reading(&path).unwrap();
    assert_eq!(reader.size().unwrap().destinations, 0);
}

/// A file that nobody has open is read by a name with anything in it.
#[tokio::test]
async fn a_file_at_rest_is_found_whatever_it_is_called() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("odd ?name=1&x#y%41.db");
    let store = Store::open(&path).unwrap();
    record(&store, seen("a.example", Way::Verified, T, 3)).await;
    store.close().await;
    let connection = crate::store::schema::open_at_rest(&path).unwrap();
    assert_eq!(series::size(&connection).unwrap().destinations, 1);
}
