use super::*;

const V1_3: Channel = Channel::Tls(Some(Version::V1_3));
const V1_2: Channel = Channel::Tls(Some(Version::V1_2));

fn way(channel: Channel, proof: Proof, full_check: FullCheck, deliveries: u64) -> Way {
    Way {
        channel,
        proof,
        full_check,
        origin: Origin::Default,
        demand: Demand::Opportunistic,
        deliveries,
    }
}

fn to(domain: &str, ways: &[Way]) -> Destination {
    Destination {
        domain: domain.to_owned(),
        ways: ways.to_vec(),
        first: 1,
        last: 2,
        standing: Standing::Free,
    }
}

const TERMS: Terms = Terms {
    least: 10,
    min_version: Version::V1_2,
    published: Reason::LeaveOut,
};

#[test]
fn what_the_evidence_bears_out() {
    use FullCheck::{Fails, Passes, Unknown};
    use Proof::{Nobody, WebPki};
    let certain = |level| Some((level, Certainty::Certain));
    for (ways, expected, why) in [
        (
            &[way(V1_3, Nobody, Passes, 10)][..],
            certain(Level::Verify),
            "it would pass",
        ),
        (
            &[way(V1_3, WebPki, Unknown, 10)],
            certain(Level::Verify),
            "it was verified",
        ),
        (&[way(V1_3, Nobody, Passes, 9)], None, "too few"),
        (
            &[way(V1_3, Nobody, Passes, 9), way(V1_3, Nobody, Fails, 1)],
            certain(Level::Encrypt),
            "not always",
        ),
        (
            &[way(V1_3, Nobody, Unknown, 10)],
            certain(Level::Encrypt),
            "nobody knows",
        ),
        (
            &[way(V1_3, Proof::Some, Unknown, 10)],
            Some((Level::Verify, Certainty::Trial)),
            "by what it was authenticated is not known",
        ),
    ] {
        assert_eq!(proposed(ways), expected, "{why}");
    }
}

/// The level that the rule for a destination reached in these ways has.
fn proposed(ways: &[Way]) -> Option<(Level, Certainty)> {
    let found = propose(&[to("a.example", ways)], TERMS);
    let rule = found.rules.first()?;
    Some((rule.requirement.level, rule.certainty))
}

#[test]
fn one_exception_among_many_counts() {
    use FullCheck::{Fails, Passes, Unknown};
    use Proof::{Dane, Nobody, Pin};
    let certain = |level| Some((level, Certainty::Certain));
    for (ways, expected, why) in [
        (
            &[way(V1_3, Dane, Fails, 10)][..],
            certain(Level::DaneOnly),
            "always DANE",
        ),
        (
            &[way(V1_3, Dane, Fails, 9), way(V1_3, Nobody, Passes, 1)],
            certain(Level::Encrypt),
            "neither always",
        ),
        (
            &[way(V1_3, Dane, Passes, 9), way(V1_3, Nobody, Passes, 1)],
            certain(Level::Verify),
            "not always DANE, but verify would pass",
        ),
        (
            &[way(V1_3, Pin, Fails, 10)],
            certain(Level::Encrypt),
            "a pin is no authority",
        ),
        (
            &[
                way(V1_3, Nobody, Passes, 1000),
                way(Channel::Plaintext, Nobody, Unknown, 1),
            ],
            None,
            "once in the clear",
        ),
        (
            &[
                way(V1_3, Nobody, Passes, 10),
                way(Channel::Plaintext, Nobody, Unknown, 0),
            ],
            certain(Level::Verify),
            "a way that was never gone",
        ),
        (
            &[way(Channel::Tls(Some(Version::Older)), Nobody, Passes, 10)],
            None,
            "too old",
        ),
        (
            &[way(Channel::Tls(None), Nobody, Passes, 10)],
            None,
            "of no known version",
        ),
        (&[], None, "no mail at all"),
    ] {
        assert_eq!(proposed(ways), expected, "{why}");
    }
}

#[test]
fn what_is_protected_already_is_left_out() {
    let ways = [way(V1_3, Proof::Nobody, FullCheck::Passes, 10)];
    let standing = |standing| Destination {
        standing,
        ..to("a.example", &ways)
    };
    let all = [
        standing(Standing::Free),
        standing(Standing::Rule("rule 1".to_owned())),
        standing(Standing::Published),
    ];
    let found = propose(&all, TERMS);
    assert_eq!(
        (found.rules.len(), found.with_rule, found.published),
        (1, 1, 1)
    );
    let terms = Terms {
        published: Reason::Propose,
        ..TERMS
    };
    let found = propose(&all, terms);
    assert_eq!(
        (found.rules.len(), found.with_rule, found.published),
        (2, 1, 0)
    );
    // One that asks for nothing gets nothing.
    let terms = Terms { least: 0, ..TERMS };
    assert_eq!(propose(&[to("a.example", &[])], terms).too_few, 1);
}

#[test]
fn a_version_is_demanded_where_it_was_always_had() {
    let strict = Terms {
        min_version: Version::V1_3,
        ..TERMS
    };
    let mixed = [
        way(V1_3, Proof::Nobody, FullCheck::Passes, 10),
        way(V1_2, Proof::Nobody, FullCheck::Passes, 10),
    ];
    for (ways, expected) in [(&mixed[..1], Version::V1_3), (&mixed[..], Version::V1_2)] {
        let found = propose(&[to("a.example", ways)], strict);
        assert_eq!(found.rules[0].requirement.min_version, expected);
        assert_eq!(found.rules[0].weakest, Some(expected));
    }
}

/// Destinations of every kind, with 170 deliveries in all.
fn world() -> [Destination; 5] {
    use FullCheck::{Fails, Passes, Unknown};
    use Proof::Nobody;
    let published = Way {
        origin: Origin::Published,
        demand: Demand::Mandatory,
        ..way(V1_2, Proof::Dane, Fails, 100)
    };
    [
        to("good.example", &[way(V1_3, Nobody, Passes, 50)]),
        to(
            "clear.example",
            &[
                way(Channel::Plaintext, Nobody, Unknown, 5),
                way(V1_2, Nobody, Fails, 5),
            ],
        ),
        to("unknown.example", &[way(V1_2, Nobody, Unknown, 7)]),
        to("dane.example", &[published]),
        Destination {
            standing: Standing::Rule("rule 1".to_owned()),
            ..to(
                "ruled.example",
                &[way(Channel::Plaintext, Nobody, Unknown, 3)],
            )
        },
    ]
}

#[test]
fn what_would_have_been_blocked() {
    let destinations = world();
    let rules = propose(&destinations, TERMS).rules;
    let encrypt = |min_version| Requirement {
        level: Level::Encrypt,
        min_version,
    };
    let verify = Requirement {
        level: Level::Verify,
        min_version: Version::V1_2,
    };
    for (change, blocked, unknown, first) in [
        (Change::Rules(&rules), 0, 0, None),
        (
            Change::Default(encrypt(Version::V1_2)),
            5,
            0,
            Some("clear.example"),
        ),
        (
            Change::Default(encrypt(Version::V1_3)),
            17,
            0,
            Some("clear.example"),
        ),
        (Change::Default(verify), 10, 7, Some("clear.example")),
        (
            Change::MinVersion(Version::V1_3),
            100,
            0,
            Some("dane.example"),
        ),
        (Change::MinVersion(Version::V1_2), 0, 0, None),
    ] {
        let effect = what_if(&destinations, change);
        assert_eq!(
            (effect.blocked, effect.unknown),
            (blocked, unknown),
            "{change:?}"
        );
        assert_eq!(effect.deliveries, 170);
        assert_eq!(
            effect.destinations.first().map(|e| &*e.domain),
            first,
            "{change:?}"
        );
    }
}

/// A rule that was proposed from what was seen later would have blocked what was before.
#[test]
fn rules_are_held_against_all_that_is_remembered() {
    let lately = to(
        "a.example",
        &[way(V1_3, Proof::Nobody, FullCheck::Passes, 10)],
    );
    let rules = propose(&[lately], TERMS).rules;
    let ever = to(
        "a.example",
        &[
            way(V1_3, Proof::Nobody, FullCheck::Passes, 10),
            way(V1_3, Proof::Nobody, FullCheck::Fails, 4),
        ],
    );
    let effect = what_if(&[ever], Change::Rules(&rules));
    assert_eq!((effect.blocked, effect.deliveries), (4, 14));
}
