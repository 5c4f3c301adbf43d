use super::super::tests::{blocked, name, outcome, plaintext, seen, unreached, via};
use super::*;
use crate::delivery::outcome::PlaintextCause;
use crate::ledger::LogAddresses;
use crate::policy::{
    CertificateProblem, ClientCertificate, Enforce, OnFailure, Published, Rule, Trial,
};
use crate::smtp::address::MailDomain;
use crate::smtp::reply::Reply;
use crate::smtp::status::EnhancedStatus;
use crate::tls::TlsSeen;

/// The beginning of some hour.
const T: u64 = 500_000 * HOUR;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(T + seconds)
}

fn alice(domain: &str) -> Mailbox {
    let domain = match domain.parse() {
        Ok(ip) => MailDomain::Literal(ip),
        Err(_) => MailDomain::Name {
            ascii: name(domain),
            written: domain.to_uppercase(),
        },
    };
    Mailbox {
        local: "alice".to_owned(),
        domain,
    }
}

fn kept() -> History {
    let history = History::default();
    history.keep();
    history
}

fn record(history: &History, to: &str, outcome: &Outcome, time: u64) {
    let attempt = Attempt {
        recipient: &alice(to),
        outcome,
        standing: Standing::default(),
    };
    history.attempted(attempt, at(time));
}

fn over(channel: Channel) -> Outcome {
    Outcome {
        via: Some(Arc::new(via(channel))),
        ..outcome()
    }
}

fn authenticated(authenticated: Authenticated) -> Outcome {
    over(Channel::Tls(Arc::new(TlsSeen {
        authenticated,
        ..seen()
    })))
}

/// What a single attempt is recorded as.
fn single(outcome: &Outcome) -> Sighting {
    let history = kept();
    record(&history, "a.example", outcome, 0);
    let mut taken = history.take();
    assert_eq!(taken.len(), 1);
    taken.remove(0)
}

#[test]
fn outcomes_become_ways() {
    let refused = |result| Outcome {
        result,
        ..outcome()
    };
    for (outcome, way, why) in [
        (authenticated(Authenticated::Dane), Way::Verified, ""),
        (authenticated(Authenticated::HalfDane), Way::Verified, ""),
        (authenticated(Authenticated::WebPki), Way::Verified, ""),
        (authenticated(Authenticated::Fingerprint), Way::Verified, ""),
        (authenticated(Authenticated::None), Way::Encrypted, ""),
        (
            plaintext(DeliveryResult::Delivered),
            Way::Plaintext,
            "no_starttls",
        ),
        (over(Channel::None), Way::Plaintext, ""), // nothing good is assumed
        (blocked(), Way::Blocked, "certificate-expired"),
        (refused(DeliveryResult::Rejected), Way::Refused, ""),
        (refused(DeliveryResult::Deferred), Way::Deferred, ""),
        (plaintext(DeliveryResult::Rejected), Way::Refused, ""),
        (unreached(), Way::Refused, ""),
    ] {
        let sighting = single(&outcome);
        let facet = &sighting.attempt.facet;
        assert_eq!((facet.way, &*facet.why), (way, why), "{outcome:?}");
        assert_eq!(sighting.counts[0].facet, *facet);
        assert_eq!(sighting.delivery.is_some(), way.is_delivered());
        assert_eq!(sighting.refusal.is_some(), !way.is_delivered());
    }
    let history = kept();
    record(&history, "a.example", &refused(DeliveryResult::Queued), 0);
    assert_eq!(history.take(), [], "that mail is kept is no attempt");
}

#[test]
fn a_channel_is_told_in_the_words_of_the_metrics() {
    let odd = over(Channel::Tls(Arc::new(TlsSeen {
        problem: Some(CertificateProblem::Expired),
        key: "rsa1234".into(),
        group: None,
        trial: Trial::Block,
        ..seen()
    })));
    let mut odd = odd;
    let mut through = odd.via.as_deref().unwrap().clone();
    through.trial = Trial::Block;
    odd.via = Some(Arc::new(through));
    let sighting = single(&odd);
    let facet = Facet {
        way: Way::Verified,
        authenticated: "webpki".into(),
        version: "1.3".into(),
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        group: "".into(),
        problem: "expired".into(),
        key: "rsa-other".into(),
        policy: "rule".into(),
        level: "verify".into(),
        why: "".into(),
        dry_run: "block".into(),
    };
    assert_eq!(sighting.attempt.facet, facet);
    let delivery = sighting.delivery.unwrap();
    assert_eq!((delivery.at, &*delivery.mx), (T, "mx.example.com"));
    assert_eq!(delivery.facet, facet);
    let undecided = single(&unreached()).attempt.facet;
    assert_eq!((&*undecided.policy, &*undecided.version), ("undecided", ""));
}

#[test]
fn attempts_add_up_by_destination_hour_and_kind() {
    let history = kept();
    for (to, outcome, time) in [
        ("a.example", outcome(), 0),
        ("a.example", outcome(), 10),
        ("a.example", blocked(), 20),
        ("a.example", outcome(), HOUR),
        ("192.0.2.1", outcome(), 30),
    ] {
        record(&history, to, &outcome, time);
    }
    let mut taken = history.take();
    taken.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<&str> = taken.iter().map(|seen| &*seen.name).collect();
    assert_eq!(names, ["[192.0.2.1]", "a.example"]);
    let a = &taken[1];
    assert_eq!((a.first, a.last), (T, T + HOUR));
    let counts = a.counts.iter();
    let counts: Vec<_> = counts.map(|c| (c.at - T, c.facet.way, c.count)).collect();
    let expected = [
        (0, Way::Verified, 2),
        (0, Way::Blocked, 1),
        (HOUR, Way::Verified, 1),
    ];
    assert_eq!(counts, expected);
    assert_eq!(history.take(), [], "it is taken once");
}

#[test]
fn rules_are_named_or_located() {
    let mut rule = Rule {
        origin: "rule 3".into(),
        name: None,
        require: None,
        match_names: Vec::new(),
        fingerprints: Vec::new(),
        min_version: None,
        published: Published::Honor,
        next_hop: None,
        on_failure: OnFailure::Defer,
        enforce: Enforce::Yes,
        client_certificate: ClientCertificate::Withhold,
    };
    for (name, expected) in [(None, "rule 3"), (Some("partner"), "partner")] {
        rule.name = name.map(Into::into);
        let history = kept();
        let standing = Standing {
            rule: Some(&rule),
            course: Course::OwnDomain,
        };
        let attempt = Attempt {
            recipient: &alice("a.example"),
            outcome: &outcome(),
            standing,
        };
        history.attempted(attempt, at(0));
        let fixed = Standing {
            course: Course::FixedHop,
            ..standing
        };
        let notice = Attempt {
            recipient: &alice("sender.example"),
            standing: fixed,
            ..attempt
        };
        history.attempted(notice, at(0));
        let taken = history.take();
        assert_eq!(taken.len(), 1, "a notice does not go to its destination");
        assert_eq!(taken[0].attempt.rule.as_deref(), Some(expected));
        assert_eq!(taken[0].counts[0].rule.as_deref(), Some(expected));
    }
}

/// Steps: TLS, refused over TLS, plaintext, plaintext that a rule wants. Before TLS, after it, whether it stands.
#[test]
fn plaintext_is_told_from_plaintext_after_tls() {
    let refused = Outcome {
        result: DeliveryResult::Rejected,
        ..outcome()
    };
    let wanted = over(Channel::Plaintext(PlaintextCause::PolicyNone));
    for (steps, expected) in [
        ("T", None),
        ("w", None),
        ("p", Some((1, 0, Stands::Yes))),
        ("pp", Some((2, 0, Stands::Yes))),
        ("pTp", Some((1, 1, Stands::Yes))),
        ("pT", Some((1, 0, Stands::No))),
        ("prp", Some((1, 1, Stands::Yes))),
        ("pr", Some((1, 0, Stands::Yes))), // nothing was delivered since
        ("pw", Some((1, 0, Stands::No))),
    ] {
        let history = kept();
        for (time, step) in steps.chars().enumerate() {
            let outcome = match step {
                'T' => outcome(),
                'r' => refused.clone(),
                'w' => wanted.clone(),
                _ => plaintext(DeliveryResult::Delivered),
            };
            record(&history, "a.example", &outcome, time as u64);
        }
        let clear = history.take()[0].clear;
        let clear = clear.map(|clear| (clear.before, clear.after, clear.stands));
        assert_eq!(clear, expected, "{steps}");
    }
}

#[test]
fn what_hosts_say_is_bounded_and_has_no_addresses() {
    let text = format!("host said: 550 <bob@a.example>\u{7} {}", "x".repeat(2000));
    let refused = Outcome {
        result: DeliveryResult::Rejected,
        reply: Reply::new(550, EnhancedStatus::new(5, 1, 1), text),
        ..outcome()
    };
    let words = single(&refused).refusal.unwrap().words;
    assert!(
        words.starts_with("550 5.1.1 host said: 550 (address) "),
        "{words}"
    );
    assert!(!words.contains(char::is_control) && words.len() <= 512);
}

#[test]
fn nothing_is_gathered_that_nobody_takes() {
    let history = History::default();
    record(&history, "a.example", &outcome(), 0);
    history.keep();
    assert_eq!(history.take(), []);
}

#[test]
fn what_waits_is_bounded() {
    let ledger = Ledger::new(LogAddresses::Plain);
    let history = ledger.history();
    history.keep();
    for n in 0..=MOST {
        record(history, &format!("{n}.example"), &outcome(), 0);
    }
    assert_eq!(ledger.history_dropped(0), 1);
    assert_eq!(ledger.history_dropped(2), 2);
    assert!(
        ledger
            .render()
            .contains("sealpost_history_dropped_total 3\n")
    );
    assert_eq!(history.take().len(), MOST);
    for hour in 0..=MOST_KINDS as u64 {
        record(history, "a.example", &outcome(), hour * HOUR);
    }
    assert_eq!(ledger.history_dropped(0), 1);
    let taken = &history.take()[0];
    assert_eq!(taken.counts.len(), MOST_KINDS);
    assert_eq!(
        taken.last,
        T + MOST_KINDS as u64 * HOUR,
        "what is last is known all the same"
    );
}
