//! Bounds, and an order that does not depend on chance.

use super::*;

#[test]
fn labels_and_groups_that_anybody_can_make_up_are_bounded() {
    let records: Vec<Record> = (0..MAX_GROUPS + 50)
        .map(|at| {
            let hosts = vec![host(
                &format!("mx{at}"),
                vec![address("1.3", &format!("C{at}"))],
            )];
            record("a.example", Some(&format!("g{at}")), hosts)
        })
        .collect();
    let survey = survey(&records);
    assert_eq!(survey.group_count(), MAX_GROUPS + 1);
    let further = survey.groups().find(|(name, _)| *name == FURTHER_GROUPS);
    assert_eq!(further.unwrap().1.domains, 50);
    let ciphers = survey
        .all
        .chart(Subject::Domains, Property::Ciphers)
        .unwrap();
    assert_eq!(ciphers.parts().len(), MAX_LABELS + 1);
    let sum: u64 = ciphers.parts().iter().map(|(_, n)| n).sum();
    assert_eq!(sum, (MAX_GROUPS + 50) as u64);
}

#[test]
fn the_order_of_records_makes_no_difference() {
    let mut records: Vec<Record> = (0..40)
        .map(|at| {
            let hosts = vec![host(
                &format!("mx{}", at % 7),
                vec![address(["1.2", "1.3"][at % 2], "C")],
            )];
            record(&format!("d{at}"), Some(["nl", "de"][at % 2]), hosts)
        })
        .collect();
    // A host is the same whoever asks.
    for record in &mut records {
        let name = record.hosts[0].name.clone();
        record.hosts[0].addresses = vec![address(if name == "mx1" { "1.2" } else { "1.3" }, "C")];
    }
    let forwards = survey(&records);
    records.reverse();
    let backwards = survey(&records);
    assert_eq!(forwards.all, backwards.all);
    assert!(forwards.groups().eq(backwards.groups()));
}

#[test]
fn parts_are_ordered_by_rank_then_frequency() {
    let mut counts = Counts::default();
    for text in ["b", "c", "c", "a"] {
        counts.add(Label::new(0, text, Tone::Neutral));
    }
    counts.add(Label::new(1, "last", Tone::Neutral));
    let order: Vec<_> = counts
        .parts()
        .iter()
        .map(|(label, _)| label.text.to_string())
        .collect();
    assert_eq!(order, ["c", "a", "b", "last"]);
}
