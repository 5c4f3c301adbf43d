use super::*;

#[tokio::test]
async fn names_are_found() {
    let (_directory, store) = open();
    for n in 0..4_u64 {
        let name = format!("{n}.example");
        record(&store, seen(&name, Way::Verified, T + n, 10 - n)).await;
    }
    record(&store, seen("3.example", Way::Plaintext, T + 10, 1)).await;
    record(&store, seen("4.test", Way::Blocked, T + 4, 1)).await;
    record(&store, seen("5.test", Way::Plaintext, T + 5, 1)).await;
    let all = DestinationQuery {
        sort: Sort::Name,
        direction: Direction::Ascending,
        ..DestinationQuery::default()
    };
    let search = |text: &str| DestinationQuery {
        search: Some(text.into()),
        ..all.clone()
    };
    let filter = |filter| DestinationQuery {
        filter,
        ..all.clone()
    };
    let sort = |sort, direction| DestinationQuery {
        sort,
        direction,
        ..all.clone()
    };
    let slice = |offset, limit| DestinationQuery {
        offset,
        limit,
        ..all.clone()
    };
    for (query, matching, expected) in [
        (all.clone(), 6, "012345"),
        (search(""), 6, "012345"),
        (search("TEST"), 2, "45"),
        (search("%"), 0, ""),
        (filter(DestinationFilter::Blocked), 1, "4"),
        (filter(DestinationFilter::Plaintext), 2, "35"),
        (filter(DestinationFilter::Downgraded), 1, "3"),
        (sort(Sort::Name, Direction::Descending), 6, "543210"),
        (sort(Sort::Last, Direction::Ascending), 6, "012453"),
        (sort(Sort::Deliveries, Direction::Descending), 6, "013254"),
        (sort(Sort::Blocked, Direction::Descending), 6, "453210"),
        (slice(1, 2), 6, "12"),
        (slice(4, 1), 6, "4"),
        (slice(3, 9), 6, "345"),
        (slice(9, 2), 6, ""),
    ] {
        let page = store.destinations_seen(query.clone()).await.unwrap();
        let names: String = page.rows.iter().map(|row| &row.name[..1]).collect();
        assert_eq!((page.matching, &*names), (matching, expected), "{query:?}");
    }
}
