use super::*;
use Way::{Blocked, Encrypted as Tls, Plaintext as Plain};

const LATE: u64 = 30 * DAY;

/// Steps: way, when. At the end: how often it was told of, deliveries that were downgrades, the first, the last, whether
/// it still is.
type Case = (
    &'static [(Way, u64)],
    usize,
    u64,
    Option<u64>,
    Option<u64>,
    bool,
);

const CASES: [Case; 10] = [
    (&[(Plain, 0)], 0, 0, None, None, false),
    (&[(Plain, 0), (Tls, 1)], 0, 0, None, None, false),
    (&[(Tls, 0), (Plain, 1)], 1, 1, Some(1), Some(1), true),
    (
        &[(Tls, 0), (Plain, 1), (Plain, 2)],
        1,
        2,
        Some(1),
        Some(2),
        true,
    ),
    (
        &[(Tls, 0), (Plain, 1), (Plain, DAY)],
        2,
        2,
        Some(1),
        Some(DAY),
        true,
    ), // once a day
    (
        &[(Tls, 0), (Plain, 1), (Tls, 2)],
        1,
        1,
        Some(1),
        Some(1),
        false,
    ),
    (
        &[(Tls, 0), (Plain, 1), (Blocked, 2)],
        1,
        1,
        Some(1),
        Some(1),
        true,
    ),
    (
        &[(Tls, 0), (Plain, LATE)],
        1,
        1,
        Some(LATE),
        Some(LATE),
        true,
    ),
    (&[(Tls, 0), (Plain, LATE + 1)], 0, 0, None, None, false), // forgotten
    (
        &[(Tls, 0), (Plain, 1), (Plain, LATE + 1)],
        1,
        1,
        Some(1),
        Some(1),
        false,
    ),
];

#[tokio::test]
async fn plaintext_after_tls_is_a_downgrade() {
    for (steps, told, downgrades, first, last, stands) in CASES {
        let (_directory, store) = open();
        let mut tellings = 0;
        for &(way, at) in steps {
            let recorded = record(&store, seen("a.example", way, T + at, 1)).await;
            tellings += recorded.downgrades.len();
        }
        let row = row(&store, "a.example").await;
        let since = |at: Option<u64>| at.map(|at| at - T);
        assert_eq!(
            (
                tellings,
                row.downgrades,
                since(row.downgrade_first),
                since(row.downgrade_last),
                row.downgraded
            ),
            (told, downgrades, first, last, stands),
            "{steps:?}"
        );
    }
}

#[tokio::test]
async fn a_downgrade_within_one_sighting_is_one() {
    let (_directory, store) = open();
    let sighting = Sighting {
        secured: Some(T),
        clear: Some(Clear {
            first: T,
            last: T + 1,
            cause: "tls_failed",
            before: 3, // of a host that has never had TLS, as far as is known
            after: 2,
            stands: Stands::No,
        }),
        ..seen("a.example", Way::Encrypted, T + 2, 6)
    };
    let recorded = record(&store, sighting).await;
    let told = Downgrade {
        name: "a.example".into(),
        cause: "tls_failed",
        last_secured: T,
    };
    assert_eq!(recorded.downgrades, [told]);
    let row = row(&store, "a.example").await;
    assert_eq!((row.downgrades, row.downgraded), (2, false));
}

#[tokio::test]
async fn a_clock_that_was_wrong_is_survived() {
    let (_directory, store) = open();
    const FUTURE: u64 = T + 5000 * DAY;
    record(&store, seen("a.example", Way::Verified, FUTURE, 1)).await;
    record(&store, seen("a.example", Way::Blocked, T, 1)).await;
    let a = row(&store, "a.example").await;
    assert_eq!((a.first, a.last), (T, T));
    assert_eq!(a.last_secured, Some(T), "not in the future");
    let recorded = record(&store, seen("a.example", Way::Plaintext, T + 31 * DAY, 1)).await;
    assert_eq!(recorded.downgrades, [], "and so it is forgotten in time");
    // What is in the future stays until then; what is in the past goes.
    let limits = HistoryLimits::default();
    while store.prune_history(limits, T + 400 * DAY).await.unwrap() == Pruned::More {}
    let left = store.totals_by_day(0, u64::MAX).await.unwrap();
    let left: Vec<u64> = left.iter().map(|total| total.at).collect();
    assert_eq!(left, [FUTURE]);
}
