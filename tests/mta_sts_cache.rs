//! Remembered MTA-STS policies (RFC 8461 §3.3, §5.1, §10.2), through the real binary: a policy that was obeyed once
//! holds until its `max_age` has passed, whatever DNS and the policy host say meanwhile.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lab::dns::{Fault, RecordType};
use support::dane::{said, saw_nothing};
use support::sts::{WEEK, with_policy};
use support::{Answer, PolicyScript, Script, World, WorldBuilder, policy};
use tokio::time::sleep;

const RECORD: &str = "_mta-sts.a.test";
const HOST: &str = "mta-sts.a.test";

/// a.test with a policy, in a DNS whose answers hold for a second only.
fn short_lived(mode: &str, script: Script) -> WorldBuilder {
    World::new()
        .dns(|dns| {
            dns.ttl(1).negative_ttl(1);
        })
        .domain("a.test", script)
        .sts("a.test", "1", policy(mode, &["mx.a.test"], WEEK))
}

/// Between two looks at something that will change.
const POLL: Duration = Duration::from_millis(50);

impl World {
    /// From now on a.test has no STARTTLS: mail that arrives was sent without a policy.
    fn strip_starttls(&self) {
        self.mx("a.test").set_script(Script::no_starttls());
    }

    /// The policy holds: mail does not go to a host without TLS, and the answer is there at once.
    async fn still_in_force(&self, what: &str) {
        let begun = Instant::now();
        let reply = self.send("x@a.test").await;
        assert_eq!(said(&reply), (451, "4.7.4"), "{what}: {reply}");
        assert!(
            reply.contains("mta-sts policy of a.test"),
            "{what}: {reply}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{what}: {:?}",
            begun.elapsed()
        );
    }

    /// Sends until the answer is this one: what DNS has changed is known by then.
    async fn send_until(&self, code: u16) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let reply = self.send("x@a.test").await;
            if reply.code == code {
                return;
            }
            assert!(Instant::now() < until, "{reply}");
            sleep(POLL).await;
        }
    }

    /// Sends until a question for the record was asked again.
    async fn send_until_asked(&self, queries: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.net.dns.queries(RECORD, RecordType::TXT) < queries {
            assert!(Instant::now() < until, "nobody asks any more");
            self.send("x@a.test").await;
            sleep(POLL).await;
        }
    }
}

/// Each connection is a new one, since each script is for new ones.
const NO_REUSE: &str = "[outbound]\nmessages_per_connection = 1";

type Change = fn(&mut World);

/// Every way in which an attacker, or an accident, can make a policy vanish.
fn changes() -> [(&'static str, Change); 13] {
    [
        ("the record is stripped", |w| {
            w.net.dns.remove(RECORD, RecordType::TXT);
        }),
        ("the record is doubled", |w| {
            w.net.dns.txt(RECORD, "v=STSv1; id=2;");
        }),
        ("the record is malformed", |w| {
            w.net.sts_record("a.test", "v=STSv1; id=;");
        }),
        ("SERVFAIL", |w| {
            w.net.dns.fault(RECORD, RecordType::TXT, Fault::ServFail);
        }),
        ("no answer", |w| {
            w.net.dns.fault(RECORD, RecordType::TXT, Fault::Timeout);
        }),
        ("the host has no address, with a new id", |w| {
            w.net.sts_record("a.test", "v=STSv1; id=2;");
            w.net.dns.remove(HOST, RecordType::A);
        }),
        ("the host is down, with a new id", |w| {
            w.net.sts_record("a.test", "v=STSv1; id=2;");
            w.net.sts_of_mut("a.test").stop();
        }),
        ("the host hangs, with a new id", |w| {
            w.net.sts_record("a.test", "v=STSv1; id=2;");
            w.sts("a.test").answer(Answer::Hang);
        }),
        ("the host says 404, with a new id", |w| {
            w.net.sts_record("a.test", "v=STSv1; id=2;");
            w.sts("a.test").answer(Answer::Status(404));
        }),
        ("the host sends no policy, with a new id", |w| {
            w.net.sts_record("a.test", "v=STSv1; id=2;");
            w.sts("a.test").answer(Answer::Policy("mode: none".into()));
        }),
        ("the host's certificate is another's, with a new id", |w| {
            w.net.sts_record("a.test", "v=STSv1; id=2;");
            let other = w.net.ca.identity("mta-sts.other.test");
            let none = policy("none", &[], WEEK);
            w.sts("a.test")
                .set(PolicyScript::policy(&none).identity(other));
        }),
        ("the host redirects, with a new id", |w| {
            w.net.sts_record("a.test", "v=STSv1; id=2;");
            w.sts("a.test")
                .answer(Answer::Redirect("https://evil.test/".into()));
        }),
        ("the policy is another one under the same id", |w| {
            w.sts("a.test")
                .answer(Answer::Policy(policy("none", &[], WEEK)));
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_outlives_whatever_happens_to_its_record_and_its_host() {
    // They wait most of the time.
    let cases = changes().map(async |(what, change)| {
        let mut world = short_lived("enforce", Script::default())
            .config(NO_REUSE)
            .start()
            .await;
        world.make_contact().await;
        world.strip_starttls();
        change(&mut world);
        let asked = world.net.dns.queries(RECORD, RecordType::TXT);
        world.still_in_force(what).await;
        // The change has come through: still, and after a restart, however hard.
        world.send_until_asked(asked + 2).await;
        world.still_in_force(what).await;
        world.daemon.restart("KILL").await;
        world.still_in_force(what).await;
        assert!(saw_nothing_after_contact(&world), "{what}");
    });
    join_all(cases).await;
}

fn saw_nothing_after_contact(world: &World) -> bool {
    world.mx("a.test").messages().len() == 1 && !world.mx("a.test").mail_octets_in_clear()
}

/// RFC 8461 §10.2: it is told, once, and counted.
#[tokio::test(flavor = "multi_thread")]
async fn signs_of_a_downgrade_are_told() {
    type Sign = fn(&World);
    let changes: [(&str, Sign); 3] = [
        ("record_missing", |w| {
            w.net.dns.remove(RECORD, RecordType::TXT);
        }),
        ("record_invalid", |w| {
            w.net.dns.txt(RECORD, "v=STSv1; id=2;");
        }),
        ("fetch_failed", |w| {
            w.net.sts_record("a.test", "v=STSv1; id=2;");
            w.sts("a.test").answer(Answer::Status(500));
        }),
    ];
    let cases = changes.into_iter().flat_map(|(sign, change)| {
        [("enforce", 1.0), ("testing", 0.0)].map(|(mode, expected)| async move {
            let world = short_lived(mode, Script::default()).start().await;
            world.send("x@a.test").await;
            change(&world);
            let asked = world.net.dns.queries(RECORD, RecordType::TXT);
            world.send_until_asked(asked + 3).await;
            if expected > 0.0 {
                let is_it =
                    |line: &support::Log| line["sign"] == sign && line["domain"] == "a.test";
                let line = world.daemon.wait_log(is_it).await;
                assert_eq!(line["severity"], "WARN", "{line}");
            }
            assert_eq!(world.sts_suspicions(sign).await, expected, "{sign} {mode}");
        })
    });
    join_all(cases).await;
}

/// A new id means a new policy, which is fetched while mail goes on under the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_id_brings_the_new_policy() {
    let world = short_lived("enforce", Script::default())
        .config(NO_REUSE)
        .start()
        .await;
    world.make_contact().await;
    world.strip_starttls();
    world.still_in_force("before").await;
    let testing = policy("testing", &["mx.a.test"], WEEK);
    world.sts("a.test").answer(Answer::Policy(testing));
    world.net.sts_record("a.test", "v=STSv1; id=2;");
    world.send_until(250).await;
    assert_eq!(world.sts("a.test").requests().len(), 2);
    assert_eq!(world.daemon.metric("mta_sts_cache_entries", &[]).await, 1.0);
}

/// RFC 8461 §5.1: before mail is held back for it, the domain is asked whether it has changed its mind. A domain that
/// moves to another host, policy and all, loses no time.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_has_moved_is_asked_before_mail_is_held_back() {
    let world = World::new()
        .dns(|dns| {
            dns.ttl(1);
        })
        .domain("a.test", Script::default())
        .host("new.a.test", Script::default())
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
        .start()
        .await;
    world.make_contact().await;
    let moved = policy("enforce", &["new.a.test"], WEEK);
    world.sts("a.test").answer(Answer::Policy(moved));
    world.net.sts_record("a.test", "v=STSv1; id=2;");
    world.net.dns.remove("a.test", RecordType::MX);
    world.net.dns.mx("a.test", 10, "new.a.test");
    // Until all that was known of it has expired.
    sleep(Duration::from_millis(1100)).await;
    world.make_contact().await;
    assert_eq!(world.mx("new.a.test").messages().len(), 1);
    // It was the old policy by which the delivery set out.
    assert_eq!(world.sts_lookups("cached").await, 1.0);
}

/// The other way round: the new id is seen, but its policy cannot be had. Mail waits, and not for the fetch.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_mx_with_a_blocked_policy_host_gets_nothing() {
    let world = short_lived("enforce", Script::default())
        .host("evil.test", Script::default())
        .start()
        .await;
    world.make_contact().await;
    world.sts("a.test").answer(Answer::Status(503));
    world.net.sts_record("a.test", "v=STSv1; id=2;");
    world.net.dns.remove("a.test", RecordType::MX);
    world.net.dns.mx("a.test", 10, "evil.test");
    world.send_until(451).await;
    for _ in 0..3 {
        let reply = world.send("x@a.test").await;
        assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
        assert!(
            reply.contains("evil.test[") && reply.contains("policy lists"),
            "{reply}"
        );
    }
    assert!(saw_nothing(world.mx("evil.test")));
    assert!(world.mx("evil.test").connections().is_empty());
    // One fetch for the new id, and then five minutes none.
    assert_eq!(world.sts("a.test").requests().len(), 2);
}

/// RFC 8461 §5.1: a rule makes failures final, but not before it is known that the policy is still the same.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_final_while_a_newer_policy_cannot_be_fetched() {
    let world = short_lived("enforce", Script::default())
        .host("new.a.test", Script::default())
        .config("[[rule]]\ndomains = ['a.test']\non_failure = 'reject'")
        .start()
        .await;
    world.make_contact().await;
    world.net.dns.remove("a.test", RecordType::MX);
    world.net.dns.mx("a.test", 10, "new.a.test");
    world.send_until(554).await;
    world.sts("a.test").answer(Answer::Status(503));
    world.net.sts_record("a.test", "v=STSv1; id=2;");
    world.send_until(451).await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(reply.contains("policy lists"), "{reply}");
}

/// `max_age` counts from the last successful fetch: the same id does not extend it.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_ends_with_its_max_age() {
    let world = World::new()
        .domain("a.test", Script::default())
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], 6))
        .config(NO_REUSE)
        .start()
        .await;
    world.make_contact().await;
    world.strip_starttls();
    world.sts("a.test").answer(Answer::Status(500));
    let begun = Instant::now();
    world.still_in_force("at once").await;
    world.send_until(250).await;
    let lived = begun.elapsed();
    assert!(
        lived > Duration::from_secs(4) && lived < Duration::from_secs(10),
        "{lived:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_max_age_of_zero_is_for_the_mail_that_waits_for_it() {
    let world = World::new()
        .domain("a.test", Script::no_starttls())
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], 0))
        .start()
        .await;
    for fetches in 1..=2 {
        world.still_in_force("fetched for it").await;
        assert_eq!(world.sts("a.test").requests().len(), fetches);
    }
}

/// RFC 8461 §10.2: also without mail, and before the end; the same id is no reason not to.
#[tokio::test(flavor = "multi_thread")]
async fn policies_are_refreshed_without_mail() {
    let world = World::new()
        .domain("a.test", Script::default())
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], 8))
        .config(NO_REUSE)
        .start()
        .await;
    world.make_contact().await;
    let testing = policy("testing", &["mx.a.test"], WEEK);
    world.sts("a.test").answer(Answer::Policy(testing));
    let changed = [("result", "changed")];
    let refreshes = "mta_sts_refreshes_total";
    world.daemon.wait_metric(refreshes, &changed, 1.0).await;
    world.strip_starttls();
    assert_eq!(world.send("x@a.test").await.code, 250);
    assert_eq!(world.sts_lookups("cached").await, 1.0);
    assert_eq!(world.sts("a.test").requests().len(), 2);
}

/// One policy host that hangs keeps no other policy from being refreshed.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_refresh_delays_no_other() {
    let world = World::new()
        .domain("a.test", Script::default())
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], 6))
        .domain("b.test", Script::default())
        .sts("b.test", "1", policy("enforce", &["mx.b.test"], 8))
        .start()
        .await;
    world.make_contact().await;
    assert_eq!(world.send("x@b.test").await.code, 250);
    world.sts("a.test").answer(Answer::Hang);
    assert!(world.sts("a.test").wait_for_requests(2).await);
    assert!(world.sts("b.test").wait_for_requests(2).await);
    let unchanged = [("result", "unchanged")];
    let refreshes = "mta_sts_refreshes_total";
    world.daemon.wait_metric(refreshes, &unchanged, 1.0).await;
    // The policy whose refresh hangs holds to its end, without a wait.
    assert_eq!(world.sts("a.test").open(), 1);
}

/// RFC 8461 §2, end: mode `none` takes a policy back, and is forgotten when the record is gone too.
#[tokio::test(flavor = "multi_thread")]
async fn mode_none_ends_a_policy() {
    let world = short_lived("enforce", Script::default())
        .config(NO_REUSE)
        .start()
        .await;
    world.make_contact().await;
    world.strip_starttls();
    world
        .sts("a.test")
        .answer(Answer::Policy(policy("none", &[], WEEK)));
    world.net.sts_record("a.test", "v=STSv1; id=2;");
    world.send_until(250).await;
    assert_eq!(world.daemon.metric("mta_sts_cache_entries", &[]).await, 1.0);
    world.net.dns.remove(RECORD, RecordType::TXT);
    let until = Instant::now() + Duration::from_secs(20);
    while world.daemon.metric("mta_sts_cache_entries", &[]).await > 0.0 {
        assert!(Instant::now() < until, "mode none is remembered for ever");
        assert_eq!(world.send("x@a.test").await.code, 250);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_obeyed_is_forgotten_by_a_restart() {
    for signal in ["TERM", "KILL"] {
        let mut world = with_policy("enforce", Script::default())
            .config(NO_REUSE)
            .start()
            .await;
        world.make_contact().await;
        world.strip_starttls();
        world.net.dns.remove(RECORD, RecordType::TXT);
        world.net.sts_of_mut("a.test").stop();
        for _ in 0..3 {
            world.daemon.restart(signal).await;
            world.still_in_force(signal).await;
        }
        world
            .daemon
            .wait_metric("mta_sts_cache_entries", &[], 1.0)
            .await;
    }
}

/// Without a disk to write to policies are obeyed as long as the daemon lives, and /readyz tells.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_policies_are_remembered_in_memory() {
    let world = short_lived("enforce", Script::default())
        .config(NO_REUSE)
        .config("[store]\nurl = 'sqlite:///dev/null/sealpost.db'")
        .start()
        .await;
    world.make_contact().await;
    world.strip_starttls();
    world.net.dns.remove(RECORD, RecordType::TXT);
    world.still_in_force("in memory").await;
    let (status, ready) = world.daemon.get("/readyz").await.unwrap();
    assert!(status == 200 && ready.contains("store:"), "{ready}");
}
