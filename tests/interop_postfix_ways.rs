//! The ways in which Postfix hands its mail to Sealpost, as `config/postfix` has them; without root or without Postfix
//! these tests say SKIPPED and pass. What it does then, `interop_postfix.rs` tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

mod support;

use std::time::Duration;
use support::Script;
use support::postfix::{
    Mail, Over, client_with, inject, listen_in_the_chroot_of, numbered, quiet, shipped, skipped,
    with_shipped_services,
};

/// Only some domains: the shipped table, with the domains that it names.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_domains_of_the_transport_table_go_through_sealpost() {
    if skipped() {
        return;
    }
    let world = quiet()
        .domain("bank.example", Script::default())
        .domain("tax.gov.example", Script::no_starttls())
        .domain("gov.example", Script::default())
        .config("[[rule]]\ndomains = ['*.gov.example']\nrequire = 'encrypt'")
        .start()
        .await;
    let (_directory, table) = shipped_table();
    let main = shipped("transport_maps.cf").replace("/etc/postfix/transport", &table);
    // Where everything else goes.
    let main = format!("{main}\ndefault_transport = discard:\n");
    let client = with_shipped_services(&world, main);
    listen_in_the_chroot_of(&client, &world).await;
    let to = [
        "a@bank.example",
        "b@tax.gov.example",
        "c@gov.example",
        "d@else.example",
    ];
    let mail = Mail {
        to: to.map(str::to_owned).to_vec(),
        content: numbered(0),
    };
    inject(client.address(), vec![mail], 1).await;
    assert!(client.wait_log("status=sent", 3).await, "{}", client.log());
    assert!(
        client.wait_log("status=deferred", 1).await,
        "{}",
        client.log()
    );
    let of = |address: &str| client.lines(&format!("to=<{address}>")).remove(0);
    for (address, expected) in [
        (
            to[0],
            &[
                "relay=postfix.test[private/sealpost]",
                "status=sent (250 2.0.0 host mx.bank.example",
            ][..],
        ),
        // The administrator reads the reason in Postfix's log.
        (
            to[1],
            &[
                "relay=postfix.test[private/sealpost]",
                "dsn=4.7.4",
                "mx.tax.gov.example",
                "STARTTLS",
            ],
        ),
        (to[2], &["relay=none", "status=sent (gov.example)"]),
        (to[3], &["relay=none", "status=sent"]),
    ] {
        let line = of(address);
        for part in expected {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert_eq!(world.mx("gov.example").messages().len(), 0);
}

/// The shipped table, compiled, in a directory of its own; and its name.
fn shipped_table() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("transport").display().to_string();
    std::fs::write(&table, shipped("transport")).unwrap();
    let postmap = std::process::Command::new("postmap")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .arg(format!("hash:{table}"))
        .output()
        .unwrap();
    assert!(postmap.status.success(), "{postmap:?}");
    (directory, table)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_main_cf_says_for_the_internet_does_not_reach_the_hop_to_sealpost_over_lmtp() {
    settings_for_the_internet(Over::Lmtp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_main_cf_says_for_the_internet_does_not_reach_the_hop_to_sealpost_over_smtp() {
    settings_for_the_internet(Over::Smtp).await;
}

/// A fallback would send mail past Sealpost, a source address would be a stranger's, and Sealpost does the TLS.
async fn settings_for_the_internet(over: Over) {
    if skipped() {
        return;
    }
    let mut world = quiet()
        .domain("a.test", Script::default())
        .domain("fallback.test", Script::default())
        .config("[client]\nnetworks = ['127.0.0.1/32']")
        .start()
        .await;
    let past = world.mx("fallback.test").address();
    let internet = ["smtp", "lmtp"].map(|name| {
        format!(
            "{name}_fallback_relay = [{}]:{}\n{name}_bind_address = 127.9.9.9\n\
             {name}_tls_policy_maps = static:encrypt\n{name}_tls_wrappermode = yes\n",
            past.ip(),
            past.port()
        )
    });
    let internet = internet.concat()
        + "default_destination_rate_delay = 60s\ndefault_transport_rate_delay = 60s\n";
    let client = client_with(&world, over, &internet).await;
    let mail = |n| Mail {
        to: vec!["someone@a.test".to_owned()],
        content: numbered(n),
    };
    inject(client.address(), vec![mail(0)], 1).await;
    assert!(
        world.mx("a.test").wait_for_messages(1).await,
        "{}",
        client.log()
    );
    world.daemon.end("TERM").await;
    inject(client.address(), vec![mail(1)], 1).await;
    assert!(
        client.wait_log("status=deferred", 2).await,
        "{}",
        client.log()
    );
    world.daemon.start_again().await;
    assert!(client.wait_until_empty(Duration::from_secs(30)).await);
    assert_eq!(world.mx("a.test").messages().len(), 2);
    assert_eq!(world.mx("fallback.test").messages().len(), 0);
}

/// The settings of each way go with the service that it uses: as many deliveries at once as there are processes, from
/// the start, no suspension, and senders who hear of what waits.
#[test]
fn each_way_has_the_settings_of_its_service() {
    let master = shipped("master.cf");
    for (file, service) in [
        ("lmtp.cf", "sealpost-lmtp"),
        ("relayhost.cf", "sealpost-smtp"),
        ("transport_maps.cf", "sealpost-lmtp"),
    ] {
        let line = master
            .lines()
            .find(|line| line.starts_with(service))
            .unwrap();
        let processes = line.split_whitespace().nth(6).unwrap();
        assert!(processes.parse::<u32>().unwrap() >= 200, "{line}");
        let main = shipped(file);
        let has = |setting: &str| main.lines().any(|line| line == setting);
        for (name, value) in [
            ("destination_concurrency_limit", processes),
            ("initial_destination_concurrency", processes),
            ("destination_concurrency_failed_cohort_limit", "0"),
            ("destination_concurrency_negative_feedback", "0"),
        ] {
            assert!(
                has(&format!("{service}_{name} = {value}")),
                "{file}: {name}"
            );
        }
        assert!(has("delay_warning_time = 4h"), "{file}");
    }
}
