//! How long it takes with many destinations: printed, not asserted, since machines differ.
//! `cargo test --release --lib measured -- --ignored --nocapture`

use super::*;
use std::time::{Duration, Instant};

const DESTINATIONS: u64 = 100_000;
const DAYS: u64 = 10;

/// Not in the order of their numbers.
fn name(n: u64) -> String {
    format!("d{:x}.example", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn way(n: u64, day: u64) -> Way {
    match (n % 97, n % 31, n % 2, day) {
        (0, _, _, _) => Way::Blocked,
        (_, 0, _, 0..4) => Way::Encrypted,
        (_, 0, _, _) => Way::Plaintext,
        (_, _, 0, _) => Way::Verified,
        (_, _, _, _) => Way::Encrypted,
    }
}

async fn fill(store: &Store) -> Duration {
    let at_once = MOST_AT_ONCE as u64;
    let mut slowest = Duration::ZERO;
    for day in 0..DAYS {
        for chunk in 0..DESTINATIONS / at_once {
            let at = T + day * DAY + chunk;
            let sighting = |n| seen(&name(n), way(n, day), at, n % 7 + 1);
            let sightings = (chunk * at_once..(chunk + 1) * at_once).map(sighting);
            let one = Instant::now();
            store.record_history(sightings.collect(), at).await.unwrap();
            slowest = slowest.max(one.elapsed());
        }
    }
    slowest
}

/// The best of a few, since the machine has other things to do.
async fn best(store: &Store, query: &DestinationQuery) -> (Duration, u64) {
    let mut best = (Duration::MAX, 0);
    for _ in 0..5 {
        let one = Instant::now();
        let page = store.destinations_seen(query.clone()).await.unwrap();
        best = best.min((one.elapsed(), page.matching));
    }
    best
}

async fn lists(store: &Store) {
    let filters = [
        DestinationFilter::All,
        DestinationFilter::Blocked,
        DestinationFilter::Plaintext,
        DestinationFilter::Downgraded,
    ];
    let slices = [
        (None, 0),
        (None, 99_000),
        (Some("e1"), 0),
        (Some("none"), 0),
    ];
    for filter in filters {
        for sort in [Sort::Name, Sort::Last, Sort::Deliveries, Sort::Blocked] {
            for (search, offset) in slices {
                let query = DestinationQuery {
                    search: search.map(str::to_owned),
                    filter,
                    sort,
                    offset,
                    limit: 500,
                    ..DestinationQuery::default()
                };
                let (took, matching) = best(store, &query).await;
                println!("{filter:?} {sort:?} {search:?} {offset}: {took:?}, {matching} match");
            }
        }
    }
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn a_hundred_thousand_destinations() {
    let (directory, store) = open();
    let begun = Instant::now();
    let slowest = fill(&store).await;
    println!(
        "filled in {:?}, the slowest write {slowest:?}",
        begun.elapsed()
    );
    let size = std::fs::metadata(file(directory.path())).unwrap().len();
    println!("{:?}, {} MB", store.history_size().await, size >> 20);
    lists(&store).await;
    let one = Instant::now();
    let days = detail(&store, &name(5)).await.days.len();
    println!("one destination: {:?}, {days} days", one.elapsed());
    let one = Instant::now();
    let totals = store.totals_by_day(0, u64::MAX).await.unwrap().len();
    println!("totals: {:?}, {totals} rows", one.elapsed());
    let one = Instant::now();
    let ways = store.ways(T).await.unwrap().len();
    println!("ways: {:?}, {ways} destinations", one.elapsed());
    let limits = HistoryLimits {
        destinations: DESTINATIONS - 1000,
        ..HistoryLimits::default()
    };
    let one = Instant::now();
    let pruned = store.prune_history(limits, T + DAYS * DAY).await.unwrap();
    println!("a thousand forgotten: {:?}, {pruned:?}", one.elapsed());
}
