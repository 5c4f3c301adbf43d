use super::*;
use crate::delivery::outcome::{PossibleDuplicate, Reached};

fn outcome(line: &str) -> Outcome {
    let reply = Reply::from_line(line);
    Outcome {
        result: match reply.severity() {
            Severity::Positive | Severity::Intermediate => DeliveryResult::Delivered,
            Severity::Transient => DeliveryResult::Deferred,
            Severity::Permanent => DeliveryResult::Rejected,
        },
        reply,
        via: None,
        possible_duplicate: PossibleDuplicate::No,
        attempts: 1,
        blocked: None,
        missing: None,
        reached: Reached::Yes,
    }
}

#[test]
fn recipients_that_share_an_outcome_share_its_reply() {
    for (outcomes, expected) in [
        (&["250 2.0.0 a said ok"][..], Some("250 2.0.0 a said ok")),
        (
            &["250 2.0.0 a said ok", "250 2.0.0 b said ok"],
            Some("250 2.0.0 a said ok (and 1 more)"),
        ),
        (
            &["451 4.4.1 a", "450 4.2.0 b", "451 4.4.1 c"],
            Some("451 4.4.1 a (and 2 more)"),
        ),
        // Of those that failed, the most common code.
        (
            &["554 5.7.1 a", "550 5.1.1 b", "550 5.1.1 c"],
            Some("550 5.1.1 b (and 2 more)"),
        ),
        (
            &["554 5.7.1 a", "550 5.1.1 b"],
            Some("554 5.7.1 a (and 1 more)"),
        ),
        (&["250 2.0.0 a", "451 4.4.1 b"], None),
        (&["250 2.0.0 a", "550 5.1.1 b"], None),
        (&["451 4.4.1 a", "550 5.1.1 b"], None),
    ] {
        let known: Vec<_> = outcomes.iter().map(|line| outcome(line)).collect();
        let expected = match expected {
            Some(line) => Verdict::Shared(Reply::from_line(line)),
            None => Verdict::Differ,
        };
        assert_eq!(verdict(&known), expected, "{outcomes:?}");
    }
}

#[test]
fn how_many_more_there_are_is_said_however_long_the_reply_is() {
    let long = format!("550 5.1.1 {}", "ä".repeat(600));
    let known = [outcome(&long), outcome(&long)];
    let Verdict::Shared(reply) = verdict(&known) else {
        panic!("they share it")
    };
    let wire = String::from_utf8(reply.to_wire()).unwrap();
    assert!(wire.ends_with(" (and 1 more)\r\n"), "{wire}");
    assert!(wire.len() <= 512);
}

#[test]
fn a_full_disk_is_said_in_other_words_than_a_broken_one() {
    assert_eq!(
        not_kept(&StoreError::Full).to_string(),
        "452 4.3.1 no room to keep the message"
    );
    for error in [
        StoreError::Locked,
        StoreError::Corrupt("x".into()),
        StoreError::Closed,
    ] {
        assert!(
            not_kept(&error).to_string().starts_with("451 4.3.0 "),
            "{error}"
        );
    }
}
