//! How mail to a domain of which nothing is known finds its MTA-STS policy: the record (RFC 8461 §3.1), and how long
//! anybody waits.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use futures_util::future::join_all;
use lab::client::stuffed;
use lab::dns::{Fault, RecordType};
use lab::dnssec::Zone;
use lab::mx::Handshake;
use std::time::{Duration, Instant};
use support::dane::{said, saw_nothing};
use support::sts::Contact::{Enforced, Failed};
use support::sts::{WEEK, clear_world};
use support::{Act, Answer, CONTENT, PolicyScript, Reply, Script, Stage, World, policy};

const ERROR: &str = "sts-policy-fetch-error";

/// Well below the ten seconds that mail waits for a first fetch.
const AT_ONCE: Duration = Duration::from_secs(4);

/// The reply, and how long it took.
async fn timed(world: &World, domain: &str) -> (Reply, Duration) {
    let begun = Instant::now();
    let reply = world.send(&format!("x@{domain}")).await;
    (reply, begun.elapsed())
}

fn is_enforced(reply: &Reply) -> bool {
    said(reply) == (451, "4.7.4") && reply.contains("mta-sts policy of ")
}

fn gated(domain: &str) -> Answer {
    let body = policy("enforce", &[&format!("mx.{domain}")], WEEK);
    Answer::Gated { body }
}

/// RFC 8461 §3.1: what is no record of MTA-STS is discarded, then exactly one must be left.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_decides_whether_there_is_a_fetch() {
    const GOOD: &str = "v=STSv1; id=1;";
    let faulty = |fault| (vec![GOOD], Some(fault));
    let cases = [
        ("good", (vec![GOOD], None), "fetched"),
        ("beside", (vec!["v=spf1 -all", "", GOOD], None), "fetched"),
        ("split", (vec![], None), "fetched"),
        ("alias", (vec![], None), "fetched"),
        ("long", faulty(Fault::Truncated), "fetched"),
        ("none", (vec![], None), "absent"),
        ("other", (vec!["v=spf1 -all"], None), "absent"),
        ("case", (vec!["v=stsv1; id=1;"], None), "absent"),
        ("dangling", (vec![], None), "absent"),
        ("several", (vec![GOOD, GOOD], None), "record_invalid"),
        ("noid", (vec!["v=STSv1;"], None), "record_invalid"),
        ("bad", (vec!["v=STSv1; id=a-b;"], None), "record_invalid"),
        ("loop", faulty(Fault::CnameLoop), "lookup_failed"),
        ("servfail", faulty(Fault::ServFail), "lookup_failed"),
        ("refused", faulty(Fault::Refused), "lookup_failed"),
        ("silent", faulty(Fault::Timeout), "lookup_failed"),
    ];
    let mut world = clear_world().config("[dns]\ntimeout = '1s'").dns(|dns| {
        dns.txt_strings("_mta-sts.split.test", &[b"v=STS", b"v1; id", b"=1;"])
            .cname("_mta-sts.alias.test", "_x.provider.test")
            .txt("_x.provider.test", GOOD)
            .cname("_mta-sts.dangling.test", "_y.provider.test");
    });
    for (name, (texts, fault), _) in cases.clone() {
        let domain = format!("{name}.test");
        world = world
            .in_clear(&domain)
            .policy_host(&domain, PolicyScript::default())
            .dns(move |dns| {
                let owner = format!("_mta-sts.{name}.test");
                for text in texts {
                    dns.txt(&owner, text);
                }
                if let Some(fault) = fault {
                    dns.fault(&owner, RecordType::TXT, fault);
                }
            });
    }
    let world = world.start().await;
    for (name, _, result) in cases {
        let domain = format!("{name}.test");
        let before = world.sts_lookups(result).await;
        let (reply, time) = timed(&world, &domain).await;
        let fetched = result == "fetched";
        assert_eq!(is_enforced(&reply), fetched, "{name}: {reply}");
        assert_eq!(reply.code == 250, !fetched, "{name}: {reply}");
        assert!(time < AT_ONCE, "{name}: {time:?}");
        assert_eq!(world.sts_lookups(result).await - before, 1.0, "{name}");
        let connections = world.sts(&domain).connections();
        assert_eq!(connections, usize::from(fetched), "{name}");
    }
    let fetches = world.daemon.metric("mta_sts_fetches_total", &[]).await;
    assert_eq!(fetches, 5.0);
}

/// What was altered on the way may hide a policy.
#[tokio::test(flavor = "multi_thread")]
async fn a_bogus_record_defers() {
    let world = World::new()
        .domain("a.test", Script::default())
        .policy_host("a.test", PolicyScript::default())
        .net(|net| {
            let altered = Zone::secure().altered_only([RecordType::TXT]);
            net.dns.zone("a.test", altered);
            net.sts_record("a.test", "v=STSv1; id=1;");
        })
        .start()
        .await;
    let reply = world.send("x@a.test").await;
    assert_eq!(said(&reply), (451, "4.4.3"), "{reply}");
    assert!(reply.contains("bogus"), "{reply}");
    assert!(saw_nothing(world.mx("a.test")));
    assert_eq!(world.sts_lookups("bogus").await, 1.0);
    assert_eq!(world.sts("a.test").connections(), 0);
}

/// Every message that waits gets what the one fetch brings.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_messages_wait_for_one_fetch() {
    const MESSAGES: usize = 50;
    let world = clear_world()
        .published("a.test", gated("a.test"))
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..MESSAGES {
        let mut client = world.smtp().await;
        for line in ["MAIL FROM:<sender@client.test>", "RCPT TO:<x@a.test>"] {
            assert_eq!(client.command(line).await.unwrap().code, 250);
        }
        assert_eq!(client.command("DATA").await.unwrap().code, 354);
        clients.push(client);
    }
    for client in &mut clients {
        client.send(stuffed(CONTENT)).await.unwrap();
    }
    let host = world.sts("a.test");
    assert!(host.wait_for_requests(1).await);
    host.release();
    let replies = clients
        .iter_mut()
        .map(async |client| client.reply().await.unwrap());
    for reply in join_all(replies).await {
        assert!(is_enforced(&reply), "{reply}");
    }
    assert_eq!((host.connections(), host.requests().len()), (1, 1));
    assert_eq!(world.sts_fetches("ok").await, 1.0);
    let with_policy = world.sts_lookups("fetched").await + world.sts_lookups("cached").await;
    assert_eq!(with_policy, 50.0);
}

/// RFC 8461 §3.3: five minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fetch_is_not_tried_again_soon_and_nobody_waits_for_it() {
    let world = clear_world()
        .published("a.test", Answer::Status(500))
        .published("b.test", PolicyScript::default())
        .start()
        .await;
    let failed = Failed(ERROR, "status 500");
    world.first_contact("a.test", failed, 1).await;
    // It would do now.
    world.sts("a.test").answer(Answer::Good);
    let messages = (0..10).map(|_| timed(&world, "a.test"));
    for (reply, time) in join_all(messages).await {
        assert_eq!(reply.code, 250, "{reply}");
        assert!(time < AT_ONCE, "{time:?}");
    }
    assert_eq!(world.sts_lookups("fetch_failed").await, 11.0);
    assert_eq!(world.sts("a.test").connections(), 1);
    // It is that domain's own misfortune.
    let begun = Instant::now();
    world.first_contact("b.test", Enforced, 1).await;
    assert!(begun.elapsed() < AT_ONCE);
    assert_eq!(world.sts_fetches(ERROR).await, 1.0);
}

/// Hosts that hang hold the first message up for ten seconds, and none after it; the fetch runs on.
#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_ten_seconds_once() {
    let domains = ["mute", "hang", "drip", "gated", "txt", "address"].map(|n| format!("{n}.test"));
    let drip = Answer::Drip {
        every: Duration::from_secs(1),
        body: policy("enforce", &["mx.drip.test"], WEEK),
    };
    let world = clear_world()
        .published("mute.test", Answer::HangBeforeTls)
        .published("hang.test", Answer::Hang)
        .published("drip.test", drip)
        .published("gated.test", gated("gated.test"))
        .published("txt.test", PolicyScript::default())
        .published("address.test", PolicyScript::default())
        .in_clear("free.test")
        .dns(|dns| {
            dns.fault("_mta-sts.txt.test", RecordType::TXT, Fault::Timeout)
                .fault_all("mta-sts.address.test", Fault::Timeout);
        })
        .config("[dns]\ntimeout = '40s'")
        .start()
        .await;
    let waiting = domains.iter().map(|domain| timed(&world, domain));
    let free = async {
        let host = world.sts("hang.test");
        assert!(host.wait_for_requests(1).await);
        timed(&world, "free.test").await
    };
    let (waited, (reply, time)) = tokio::join!(join_all(waiting), free);
    assert!(reply.code == 250 && time < AT_ONCE, "{time:?} {reply}");
    for (domain, (reply, time)) in domains.iter().zip(waited) {
        assert_eq!(reply.code, 250, "{domain}: {reply}");
        let seconds = time.as_secs_f64();
        assert!((9.0..13.0).contains(&seconds), "{domain}: {time:?}");
    }
    // A handshake is given up after ten seconds too: that host is found out at the same moment.
    let timed_out = world.sts_lookups("timed_out").await;
    let found_out = world.sts_lookups("fetch_failed").await;
    assert!(timed_out >= 5.0, "{timed_out}");
    assert_eq!(timed_out + found_out, 6.0);

    // Whoever has waited for a record in vain may do so again; for a fetch nobody does.
    let again = domains.iter().filter(|domain| *domain != "txt.test");
    let again = again.map(|domain| timed(&world, domain));
    for (reply, time) in join_all(again).await {
        assert!(reply.code == 250 && time < AT_ONCE, "{time:?} {reply}");
    }
    for domain in ["mute.test", "hang.test", "drip.test", "gated.test"] {
        assert_eq!(world.sts(domain).connections(), 1, "{domain}");
    }
    // What comes late is in force all the same.
    let host = world.sts("gated.test");
    host.release();
    let ok = [("result", "ok")];
    world
        .daemon
        .wait_metric("mta_sts_fetches_total", &ok, 1.0)
        .await;
    let reply = world.send("x@gated.test").await;
    assert!(is_enforced(&reply), "{reply}");
    assert_eq!((host.connections(), host.requests().len()), (1, 1));
    assert_eq!(world.sts_lookups("cached").await, 1.0);
}

/// A rate that is watched needs a zero to begin with.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_policies_begin_at_zero() {
    let world = clear_world().start().await;
    let (_, text) = world.daemon.get("/metrics").await.unwrap();
    let mut expected = Vec::new();
    for (name, label, values) in [
        (
            "mta_sts_fetches_total",
            "result",
            &["ok", ERROR, "sts-policy-invalid", "sts-webpki-invalid"][..],
        ),
        (
            "mta_sts_refreshes_total",
            "result",
            &["changed", "unchanged", "failed"],
        ),
        (
            "mta_sts_downgrade_suspicions_total",
            "sign",
            &["record_missing", "record_invalid", "fetch_failed"],
        ),
    ] {
        expected.extend(
            values
                .iter()
                .map(|v| format!("{name}{{{label}=\"{v}\"}} 0")),
        );
    }
    for result in [
        "cached",
        "fetched",
        "preloaded",
        "absent",
        "record_invalid",
        "lookup_failed",
        "bogus",
        "fetch_failed",
        "timed_out",
    ] {
        let labels = format!("{{result=\"{result}\",source=\"mta-sts\"}}");
        expected.push(format!("policy_lookups_total{labels} 0"));
    }
    for line in expected {
        let line = format!("sealpost_{line}");
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}

/// What the fetch brings is in force at once: for the hosts that are left, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_comes_late_binds_the_hosts_that_are_left() {
    let hosts = vec![
        ("first.a.test", 10, Script::silent()),
        ("mx.a.test", 20, Script::no_starttls()),
    ];
    let world = World::new()
        .domain_with("a.test", hosts)
        .policy_host("a.test", gated("a.test"))
        .net(|net| {
            net.sts_record("a.test", "v=STSv1; id=1;");
        })
        .config("[relay]\nreach_timeout = '8s'")
        .start()
        .await;
    let released = async {
        assert!(world.mx("first.a.test").wait_for_connections(1).await);
        world.sts("a.test").release();
    };
    let ((reply, time), ()) = tokio::join!(timed(&world, "a.test"), released);
    assert_eq!(world.sts_lookups("timed_out").await, 1.0, "{time:?}");
    assert_eq!(said(&reply), (451, "4.7.4"), "{reply}");
    assert!(reply.contains("mta-sts policy of a.test"), "{reply}");
    assert!(saw_nothing(world.mx("mx.a.test")));
}

/// Nor does mail go in the clear to a host that was tried before the policy was there.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_comes_late_ends_the_fallback_to_plaintext() {
    let garbage = Script {
        handshake: Handshake::Garbage(b"what\r\n".to_vec()),
        ..Script::default()
    };
    let hosts = vec![
        ("first.a.test", 10, garbage),
        ("mx.a.test", 20, Script::silent()),
        ("third.a.test", 30, Script::silent()),
    ];
    let mut world = World::new()
        .dns(|dns| {
            dns.negative_ttl(1);
        })
        .domain_with("a.test", hosts)
        .policy_host("a.test", gated("a.test"))
        .config("[relay]\nreach_timeout = '6s'")
        .start()
        .await;
    // The first host's TLS failed long ago, too: its turn to get mail in the clear has come.
    let reply = world.send("x@a.test").await;
    assert_eq!(reply.code, 451, "{reply}");
    world.daemon.end("TERM").await;
    let store = world.daemon.directory().join("sealpost.db");
    let store = rusqlite::Connection::open(store).unwrap();
    let changed = store.execute("UPDATE tls_failure SET first = first - 400", []);
    assert_eq!(changed, Ok(1));
    drop(store);
    world.net.sts_record("a.test", "v=STSv1; id=1;");
    world.daemon.start_again().await;
    let before = world.mx("mx.a.test").connections().len();
    let released = async {
        let second = world.mx("mx.a.test").wait_for_connections(before + 1);
        assert!(second.await);
        world.sts("a.test").release();
    };
    let ((reply, _), ()) = tokio::join!(timed(&world, "a.test"), released);
    assert_eq!(world.sts_lookups("timed_out").await, 1.0);
    assert_eq!(reply.code, 451, "{reply}");
    assert!(saw_nothing(world.mx("first.a.test")));
}

/// Nor to a host that was chosen before, and answers only then.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_comes_late_binds_the_host_that_is_being_called() {
    let slow = Script::no_starttls().on(|moment| {
        if moment.stage == Stage::Greeting {
            Act::Normal.after(Duration::from_secs(2))
        } else {
            Act::Normal
        }
    });
    let world = World::new()
        .domain("a.test", slow)
        .policy_host("a.test", gated("a.test"))
        .net(|net| {
            net.sts_record("a.test", "v=STSv1; id=1;");
        })
        .config("[relay]\nreach_timeout = '8s'")
        .start()
        .await;
    let released = async {
        assert!(world.mx("a.test").wait_for_connections(1).await);
        world.sts("a.test").release();
    };
    let ((reply, _), ()) = tokio::join!(timed(&world, "a.test"), released);
    assert_eq!(world.sts_lookups("timed_out").await, 1.0);
    assert_eq!(said(&reply), (451, "4.7.5"), "{reply}");
    assert!(reply.contains("another policy by now"), "{reply}");
    assert!(saw_nothing(world.mx("a.test")));
}
