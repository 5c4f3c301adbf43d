//! `sealpost check` on MTA-STS: the record, what is published now, what the daemon remembers, which of them decides,
//! which hosts are listed, and whether mail would flow.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::Cert;
use lab::dns::{Fault, RecordType};
use serde_json::Value;
use support::sts::{WEEK, listing, with_policy};
use support::{Answer, Daemon, Exit, PolicyScript, Script, World, policy};

/// Runs it with the daemon's own configuration.
async fn check(world: &World, arguments: &[&str]) -> Exit {
    let file = world.daemon.config_file();
    let mut words = vec![
        "check".to_owned(),
        "--config".into(),
        file.display().to_string(),
    ];
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    let running = tokio::task::spawn_blocking(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Daemon::command(&words)
    });
    running.await.unwrap()
}

async fn json(world: &World, domain: &str) -> (Exit, Value) {
    let exit = check(world, &["--json", domain]).await;
    let reports: Value =
        serde_json::from_str(&exit.stdout).unwrap_or_else(|e| panic!("{e}: {exit:?}"));
    (exit, reports[0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_policy_is_shown_step_by_step() {
    let world = with_policy("enforce", Script::default()).start().await;
    let exit = check(&world, &["a.test"]).await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
    for line in [
        "  MTA-STS      of a.test: id 1",
        "    published  enforce, MX mx.a.test, max_age 604800, fetched now",
        "    cached     the daemon remembers none",
        "    in force   the published one",
        "    MTA-STS    lists this host",
        "    policy     verify (mta-sts of a.test), by MTA-STS a certificate for mx.a.test, plaintext never",
        "authenticated webpki",
        "  => mail would flow",
    ] {
        assert!(exit.stdout.contains(line), "{line}\n{}", exit.stdout);
    }
    // It looks; the daemon's memory is the daemon's.
    assert_eq!(world.daemon.metric("mta_sts_cache_entries", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_daemon_remembers_decides() {
    let world = with_policy("enforce", Script::default()).start().await;
    world.make_contact().await;
    world
        .sts("a.test")
        .answer(Answer::Policy(policy("none", &[], WEEK)));
    let (exit, report) = json(&world, "a.test").await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let sts = &report["mta_sts"];
    assert_eq!(sts["in_force"], "cached");
    assert_eq!(
        (&sts["cached"]["mode"], &sts["published"]["mode"]),
        (&"enforce".into(), &"none".into())
    );
    assert_eq!(report["hosts"][0]["policy"]["mta_sts"], "mx.a.test");
    let cache = sts["cache"].as_str().unwrap();
    assert!(
        cache.contains("id 1, fetched 20") && cache.contains("holds until 20"),
        "{cache}"
    );

    // No daemon, no memory.
    let mut world = world;
    world.daemon.end("TERM").await;
    let (_, report) = json(&world, "a.test").await;
    let sts = &report["mta_sts"];
    assert_eq!(sts["in_force"], "published");
    let cache = sts["cache"].as_str().unwrap();
    assert!(
        cache.starts_with("not known, no answer of a daemon: "),
        "{cache}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_mail_from_flowing_is_said() {
    let unlisted = listing("enforce", &["other.test"]).start().await;
    let exit = check(&unlisted, &["x@a.test"]).await;
    assert_eq!(exit.code, Some(1), "{exit:?}");
    for words in [
        "does NOT list this host",
        "451 4.7.5 mta-sts policy of a.test: mx.a.test[",
        "mail would NOT flow",
    ] {
        assert!(exit.stdout.contains(words), "{words}\n{}", exit.stdout);
    }
    assert!(unlisted.mx("a.test").connections().is_empty());

    let untrusted = World::new()
        .certified("a.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.a.test"]).expired()))
        })
        .sts("a.test", "1", policy("enforce", &["mx.a.test"], WEEK))
        .start()
        .await;
    let exit = check(&untrusted, &["a.test"]).await;
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(
        exit.stdout.contains("certificate has expired"),
        "{}",
        exit.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn testing_says_what_enforcing_would_mean() {
    let world = listing("testing", &["other.test"]).start().await;
    let exit = check(&world, &["a.test"]).await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let line = "testing    the MTA-STS policy, if enforced, would not use the host: not among";
    assert!(exit.stdout.contains(line), "{}", exit.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_there_is_no_policy_is_said() {
    type Change = fn(&World);
    let cases: [(&str, Change, &str); 5] = [
        (
            "no MTA-STS record",
            |w| {
                w.net.dns.remove("_mta-sts.a.test", RecordType::TXT);
            },
            "",
        ),
        (
            "several MTA-STS records",
            |w| {
                w.net.dns.txt("_mta-sts.a.test", "v=STSv1; id=2;");
            },
            "",
        ),
        (
            "not known: ",
            |w| {
                w.net
                    .dns
                    .fault("_mta-sts.a.test", RecordType::TXT, Fault::ServFail);
            },
            "",
        ),
        (
            "policy host: status 404",
            |w| w.sts("a.test").answer(Answer::Status(404)),
            "sts-policy-fetch-error",
        ),
        (
            "policy host: certificate is for mta-sts.b.test",
            |w| {
                let other = w.net.ca.identity("mta-sts.b.test");
                w.sts("a.test").set(PolicyScript::default().identity(other));
            },
            "sts-webpki-invalid",
        ),
    ];
    for (words, change, result) in cases {
        let world = with_policy("enforce", Script::default()).start().await;
        change(&world);
        let exit = check(&world, &["a.test"]).await;
        assert_eq!(exit.code, Some(0), "{exit:?}");
        for words in [words, result, "in force   no policy"] {
            assert!(exit.stdout.contains(words), "{words}\n{}", exit.stdout);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_asks_nothing_is_told() {
    let world = with_policy("enforce", Script::default())
        .config("[policy]\nmta_sts = false")
        .start()
        .await;
    let (_, report) = json(&world, "a.test").await;
    assert_eq!(report["mta_sts"], Value::Null);
    assert_eq!(report["hosts"][0]["listed"], Value::Null);
}
