use super::*;

#[tokio::test]
async fn what_strangers_write_is_bounded() {
    let (_directory, store) = open();
    let long = "ä".repeat(5000);
    let hostile = Sighting {
        name: long.as_str().into(),
        attempt: LastAttempt {
            facet: facet(Way::Blocked),
            rule: Some(long.as_str().into()),
        },
        delivery: Some(LastDelivery {
            at: T,
            facet: facet(Way::Verified),
            mx: long.as_str().into(),
        }),
        refusal: Some(LastRefusal {
            at: T,
            words: long.clone(),
            why: None,
        }),
        ..seen("", Way::Blocked, T, 1)
    };
    record(&store, hostile.clone()).await;
    record(&store, hostile).await;
    let page = store
        .destinations_seen(DestinationQuery::default())
        .await
        .unwrap();
    assert_eq!(page.matching, 1, "the same");
    let name = &page.rows[0].name;
    assert_eq!(name.len(), 254);
    let known = detail(&store, name).await;
    assert_eq!(known.rule.unwrap().len(), 254);
    assert_eq!(known.channel.unwrap().mx.len(), 254);
    assert_eq!(known.refusal.unwrap().words.len(), 512);
}

#[tokio::test]
async fn kinds_are_told_apart_until_there_are_too_many() {
    let (_directory, store) = open();
    let most = facet::MOST as u64;
    for chunk in 0..=most / 500 {
        let counts = (0..500).map(|n| HourCount {
            at: T,
            facet: Facet {
                cipher: format!("cipher {chunk} {n}").into(),
                ..facet(Way::Verified)
            },
            rule: None,
            count: 1,
        });
        let sighting = Sighting {
            counts: counts.collect(),
            ..seen("a.example", Way::Verified, T, 1)
        };
        record(&store, sighting).await;
    }
    let all = store.totals_by_day(T, T + 1).await.unwrap();
    let sum: u64 = all.iter().map(|total| total.count).sum();
    assert_eq!(sum, (most / 500 + 1) * 500, "nothing is lost");
    assert!(all.len() as u64 <= most + 1, "{}", all.len());
    let folded = all
        .iter()
        .find(|total| total.facet.cipher == OTHER)
        .unwrap();
    assert_eq!(*folded.facet, Facet::folded(Way::Verified));
    // Once they are old, there is room again.
    let limits = HistoryLimits::default();
    while store.prune_history(limits, T + 400 * DAY).await.unwrap() == Pruned::More {}
    let new = Facet {
        cipher: "new".into(),
        ..facet(Way::Verified)
    };
    let mut sighting = seen("b.example", Way::Verified, T + 400 * DAY, 1);
    sighting.counts[0].facet = new.clone();
    record(&store, sighting).await;
    let all = store.totals_by_day(T + 400 * DAY, u64::MAX).await.unwrap();
    assert_eq!(*all[0].facet, new);
}
