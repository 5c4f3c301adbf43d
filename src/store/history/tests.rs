use super::*;
use std::path::Path;
use tempfile::TempDir;

mod bounds;
mod downgrades;
mod lists;
mod measured;
mod pruning;
mod reading;

/// Midnight of some day.
const T: u64 = 20_000 * DAY;

fn open() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&file(directory.path())).unwrap();
    (directory, store)
}

fn file(directory: &Path) -> std::path::PathBuf {
    directory.join("sealpost.db")
}

fn facet(way: Way) -> Facet {
    let (authenticated, version, cipher, why) = match way {
        Way::Verified => ("dane", "1.3", "TLS_AES_256_GCM_SHA384", ""),
        Way::Encrypted => ("none", "1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ""),
        Way::Plaintext => ("", "", "", "no_starttls"),
        Way::Blocked => ("", "", "", "certificate-expired"),
        Way::Refused | Way::Deferred => ("", "", "", ""),
    };
    Facet {
        way,
        authenticated: authenticated.into(),
        version: version.into(),
        cipher: cipher.into(),
        group: "X25519".into(),
        problem: "none".into(),
        key: "p256".into(),
        policy: "default".into(),
        level: "may".into(),
        why: why.into(),
        dry_run: "".into(),
    }
}

/// So many attempts of one kind at one time.
fn seen(name: &str, way: Way, at: u64, count: u64) -> Sighting {
    let facet = facet(way);
    let delivery = way.is_delivered().then(|| LastDelivery {
        at,
        facet: facet.clone(),
        mx: "mx.example".into(),
    });
    Sighting {
        name: name.into(),
        first: at,
        last: at,
        counts: vec![HourCount {
            at: at - at % HOUR,
            facet: facet.clone(),
            rule: None,
            count,
        }],
        attempt: LastAttempt { facet, rule: None },
        delivery,
        refusal: None,
        secured: way.is_secured().then_some(at),
        clear: (way == Way::Plaintext).then_some(Clear {
            first: at,
            last: at,
            cause: "no_starttls",
            before: count,
            after: 0,
            stands: Stands::Yes,
        }),
    }
}

async fn record(store: &Store, sighting: Sighting) -> Recorded {
    let now = sighting.last;
    store.record_history(vec![sighting], now).await.unwrap()
}

async fn row(store: &Store, name: &str) -> Destination {
    detail(store, name).await.destination
}

async fn detail(store: &Store, name: &str) -> DestinationDetail {
    store.destination_seen(name).await.unwrap().unwrap()
}

fn shown(totals: Vec<Total>) -> Vec<(u64, Way, u64)> {
    let shown = |total: &Total| (total.at - T, total.facet.way, total.count);
    totals.iter().map(shown).collect()
}

#[tokio::test]
async fn what_is_seen_adds_up() {
    let (_directory, store) = open();
    for (way, at, count) in [
        (Way::Verified, T + 10, 2),
        (Way::Verified, T + 20, 3),
        (Way::Encrypted, T + HOUR, 1),
        (Way::Blocked, T + DAY, 4),
        (Way::Refused, T + DAY + 1, 5),
        (Way::Deferred, T + DAY + 2, 6),
    ] {
        record(&store, seen("a.example", way, at, count)).await;
    }
    record(&store, seen("b.example", Way::Verified, T + 30, 7)).await;
    let a = row(&store, "a.example").await;
    let counts = [
        a.verified,
        a.encrypted,
        a.plaintext,
        a.blocked,
        a.refused,
        a.deferred,
    ];
    assert_eq!(counts, [5, 1, 0, 4, 5, 6]);
    assert_eq!((a.first, a.last), (T + 10, T + DAY + 2));
    assert_eq!(
        (a.way, a.delivered_way),
        (Way::Deferred, Some(Way::Encrypted))
    );
    assert_eq!((a.last_secured, a.downgrades), (Some(T + HOUR), 0));

    let hours = store.totals_by_hour(T, T + DAY).await.unwrap();
    assert_eq!(
        shown(hours),
        [(0, Way::Verified, 12), (HOUR, Way::Encrypted, 1)]
    );
    let days = store.totals_by_day(T, T + 2 * DAY).await.unwrap();
    let second = [
        (DAY, Way::Blocked, 4),
        (DAY, Way::Refused, 5),
        (DAY, Way::Deferred, 6),
    ];
    let first = [(0, Way::Verified, 12), (0, Way::Encrypted, 1)];
    assert_eq!(shown(days), [&first[..], &second[..]].concat());
    let a = detail(&store, "a.example").await;
    assert_eq!(
        shown(a.hours)[..2],
        [(0, Way::Verified, 5), (HOUR, Way::Encrypted, 1)]
    );
    assert_eq!(
        shown(a.days),
        [
            &[(0, Way::Verified, 5), (0, Way::Encrypted, 1)][..],
            &second[..]
        ]
        .concat()
    );
    let size = store.history_size().await.unwrap();
    assert_eq!((size.destinations, size.day_rows), (2, 6));
    assert_eq!(size.oldest, Some(T));
}

#[tokio::test]
async fn the_last_channel_and_the_last_refusal_stay() {
    let (_directory, store) = open();
    let refused = |at, words: &str, why| Sighting {
        refusal: Some(LastRefusal {
            at,
            words: words.into(),
            why,
        }),
        ..seen("a.example", Way::Blocked, at, 1)
    };
    record(&store, seen("a.example", Way::Verified, T, 1)).await;
    record(
        &store,
        refused(T + 1, "expired", Some("certificate-expired")),
    )
    .await;
    record(&store, seen("a.example", Way::Deferred, T + 2, 1)).await;
    let a = detail(&store, "a.example").await;
    let channel = a.channel.unwrap();
    assert_eq!((channel.at, &*channel.mx), (T, "mx.example"));
    assert_eq!(*channel.facet, facet(Way::Verified));
    assert_eq!(*a.facet, facet(Way::Deferred));
    let refusal = a.refusal.unwrap();
    assert_eq!(
        (refusal.at, &*refusal.words, refusal.why.as_deref()),
        (T + 1, "expired", Some("certificate-expired"))
    );
    record(&store, refused(T + 3, "no such user", None)).await;
    let refusal = detail(&store, "a.example").await.refusal.unwrap();
    assert_eq!((&*refusal.words, refusal.why), ("no such user", None));
}

#[tokio::test]
async fn rules_have_their_catch() {
    let (_directory, store) = open();
    let under = |rule: &str, name: &str, way, dry_run: &'static str| {
        let mut sighting = seen(name, way, T, 2);
        sighting.counts[0].rule = Some(rule.into());
        sighting.counts[0].facet.dry_run = dry_run.into();
        sighting.attempt.rule = Some(rule.into());
        sighting
    };
    record(&store, under("one", "a.example", Way::Verified, "")).await;
    record(&store, under("one", "b.example", Way::Blocked, "")).await;
    record(&store, under("one", "b.example", Way::Refused, "")).await;
    record(
        &store,
        under("rule 2", "c.example", Way::Plaintext, "block"),
    )
    .await;
    record(&store, seen("d.example", Way::Verified, T, 9)).await;
    let of =
        |rule: &str, [destinations, delivered, blocked, refused, would_block]: [u64; 5]| RuleUse {
            rule: rule.into(),
            first: T,
            last: T,
            destinations,
            delivered,
            blocked,
            refused,
            would_block,
        };
    let rules = store.rules_caught(10).await.unwrap();
    let expected = [of("one", [2, 2, 2, 2, 0]), of("rule 2", [1, 2, 0, 0, 2])];
    assert_eq!(rules, expected);
    assert_eq!(row(&store, "c.example").await.would_block, 2);
    assert_eq!(store.rules_caught(1).await.unwrap().len(), 1);
}
