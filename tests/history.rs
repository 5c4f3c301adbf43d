//! The history: what the daemon remembers of each destination, read by another process as a status page or a suggestion
//! would.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::Cert;
use lab::dns::RecordType;
use sealpost::store::history::{
    DestinationDetail, DestinationFilter, DestinationQuery, Facet, Slot, Way,
};
use sealpost::store::{HistoryReader, Store};
use sha2::{Digest as _, Sha256};
use support::sts::WEEK;
use support::{Daemon, Script, World, policy};

fn history(daemon: &Daemon) -> HistoryReader {
    Store::open_history_for_reading(&daemon.directory().join("sealpost.db")).unwrap()
}

fn known(reader: &HistoryReader, name: &str) -> DestinationDetail {
    let known = reader.destination(name).unwrap();
    known.unwrap_or_else(|| panic!("{name} is not in the history"))
}

fn pin(world: &lab::Internet, host: &str) -> String {
    let digest = Sha256::digest(world.mx(host).identity().spki());
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The host's key and certificate as the default, and the words of the facet: authenticated, problem, policy, level, why.
fn words(facet: &Facet) -> [&str; 5] {
    [
        &facet.authenticated,
        &facet.problem,
        &facet.policy,
        &facet.level,
        &facet.why,
    ]
}

type Case = (&'static str, u16, Way, [&'static str; 5]);

/// Domain, first digit of the reply, what it is remembered as.
#[rustfmt::skip]
const CASES: [Case; 9] = [
    ("dane.test", 2, Way::Verified, ["dane", "none", "dane", "dane", ""]),
    ("sts.test", 2, Way::Verified, ["webpki", "none", "mta-sts", "verify", ""]),
    ("pin.test", 2, Way::Verified, ["fingerprint", "none", "rule", "fingerprint", ""]),
    ("tls.test", 2, Way::Encrypted, ["none", "expired", "default", "may", ""]),
    ("clear.test", 2, Way::Plaintext, ["", "", "default", "may", "no_starttls"]),
    ("unwanted.test", 2, Way::Plaintext, ["", "", "rule", "none", "policy_none"]),
    ("strict.test", 4, Way::Blocked, ["", "", "rule", "encrypt", "starttls-not-supported"]),
    ("refusing.test", 5, Way::Refused, ["none", "none", "default", "may", ""]),
    ("absent.test", 5, Way::Refused, ["", "", "undecided", "undecided", ""]),
];

/// One domain for each case.
fn every_level() -> support::WorldBuilder {
    let refusal = support::Act::reply(550, "5.1.1 <x@refusing.test> is unknown");
    let refusing = Script::default().rcpt("x@refusing.test", refusal);
    World::new()
        .domain("dane.test", Script::default())
        .domain("sts.test", Script::default())
        .sts("sts.test", "1", policy("enforce", &["mx.sts.test"], WEEK))
        .domain("pin.test", Script::default())
        .certified("tls.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.tls.test"]).expired()))
        })
        .domain("clear.test", Script::no_starttls())
        .domain("strict.test", Script::no_starttls())
        .domain("unwanted.test", Script::default())
        .domain("refusing.test", refusing)
        .net(|net| {
            net.dns.secure("dane.test");
            net.tlsa("mx.dane.test", "3 1 1");
        })
        .config_with(|net| {
            format!(
                "[[rule]]\ndomains = ['pin.test']\nrequire = 'fingerprint'\nname = 'pinned'\n\
                 fingerprints = ['spki-sha256:{}']\n\
                 [[rule]]\ndomains = ['strict.test']\nrequire = 'encrypt'\n\
                 [[rule]]\ndomains = ['unwanted.test']\nrequire = 'none'",
                pin(net, "pin.test")
            )
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_at_which_level_is_remembered() {
    let mut world = every_level().start().await;
    for (domain, code, _, _) in CASES {
        let reply = world.send(&format!("x@{domain}")).await;
        assert_eq!(reply.code / 100, code, "{domain}: {reply}");
    }
    // At its end the daemon writes down what is left.
    world.daemon.end("TERM").await;
    let reader = history(&world.daemon);
    for (domain, _, way, expected) in CASES {
        let known = known(&reader, domain);
        let (row, facet) = (&known.destination, &known.facet);
        assert_eq!((row.way, words(facet)), (way, expected), "{domain}");
        let of_tls = [&facet.version, &facet.cipher, &facet.group, &facet.key];
        let tls = of_tls.iter().filter(|label| !label.is_empty()).count();
        let seen = !facet.problem.is_empty();
        assert_eq!(tls, if seen { 4 } else { 0 }, "{domain}: {facet:?}");
        assert_eq!(row.last_secured.is_some(), seen, "{domain}");
        let mx = known.channel.map(|channel| channel.mx);
        let expected = way.is_delivered().then(|| format!("mx.{domain}"));
        assert_eq!(mx, expected, "{domain}");
        for slot in [&known.days, &known.hours] {
            let first = (slot.len(), slot[0].count, &slot[0].facet);
            assert_eq!(first, (1, 1, facet), "{domain}");
        }
    }
    check_refusals(&reader);
    check_rules(&reader, &world.daemon);
    let blocked = DestinationQuery {
        filter: DestinationFilter::Blocked,
        ..DestinationQuery::default()
    };
    let page = reader.destinations(&blocked).unwrap();
    assert_eq!((page.matching, &*page.rows[0].name), (1, "strict.test"));
    let days = reader.totals(Slot::Day, 0, u64::MAX).unwrap();
    let sum: u64 = days.iter().map(|total| total.count).sum();
    assert_eq!(sum, CASES.len() as u64);
}

fn check_refusals(reader: &HistoryReader) {
    for (domain, words, why) in [
        (
            "strict.test",
            "STARTTLS is not offered",
            Some("starttls-not-supported"),
        ),
        ("refusing.test", "said: <(address)> is unknown", None),
        ("absent.test", "does not exist", None),
    ] {
        let refusal = known(reader, domain).refusal.unwrap();
        assert!(refusal.words.contains(words), "{refusal:?}");
        assert_eq!(refusal.why.as_deref(), why);
    }
}

fn check_rules(reader: &HistoryReader, daemon: &Daemon) {
    let rule = |name| known(reader, name).rule;
    let located = rule("strict.test").unwrap();
    let file = daemon.config_file().display().to_string();
    assert!(located.starts_with(&format!("{file}:")), "{located}");
    assert_eq!(rule("pin.test").as_deref(), Some("pinned"));
    assert_eq!(rule("dane.test"), None);
    let mut caught: Vec<_> = reader.rules_caught(10).unwrap();
    caught.sort_by_key(|rule| rule.blocked);
    let counts = caught
        .iter()
        .map(|rule| (rule.destinations, rule.delivered, rule.blocked));
    let counts: Vec<_> = counts.collect();
    assert_eq!(counts, [(1, 1, 0), (1, 1, 0), (1, 0, 1)]);
    assert_eq!(caught[2].rule, located);
    assert!(caught.iter().any(|rule| rule.rule == "pinned"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_in_dry_run_would_block_is_remembered() {
    let mut world = World::new()
        .domain("good.test", Script::default())
        .certified("bad.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["other.test"])))
        })
        .domain("clear.test", Script::no_starttls())
        .domain("insecure.test", Script::default())
        .domain("free.test", Script::no_starttls())
        .config(
            "[[rule]]\ndomains = ['good.test', 'bad.test', 'clear.test']\nrequire = 'verify'\nenforce = 'dry-run'\nname = 'trial'\n\
             [[rule]]\ndomains = ['insecure.test']\nrequire = 'dane-only'\nenforce = 'dry-run'",
        )
        .start()
        .await;
    let cases = [
        ("good.test", Way::Encrypted, "pass"),
        ("bad.test", Way::Encrypted, "block"),
        ("clear.test", Way::Plaintext, "block"),
        ("insecure.test", Way::Encrypted, "block"),
        ("free.test", Way::Plaintext, ""),
    ];
    // The second time over the same connection.
    for _ in 0..2 {
        for (domain, _, _) in cases {
            assert_eq!(
                world.send(&format!("x@{domain}")).await.code,
                250,
                "{domain}"
            );
        }
    }
    world.daemon.end("TERM").await;
    let reader = history(&world.daemon);
    for (domain, way, trial) in cases {
        let known = known(&reader, domain);
        assert_eq!(
            (known.facet.way, &*known.facet.dry_run),
            (way, trial),
            "{domain}"
        );
        let would_block = if trial == "block" { 2 } else { 0 };
        assert_eq!(known.destination.would_block, would_block, "{domain}");
    }
    let rules = reader.rules_caught(10).unwrap();
    let would_block = rules.iter().map(|rule| (rule.delivered, rule.would_block));
    assert_eq!(would_block.collect::<Vec<_>>(), [(6, 4), (2, 2)]);
    assert_eq!(rules[0].rule, "trial");
    let used = reader.ways(0).unwrap();
    assert_eq!(used.len(), cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downgrade_is_told_once_a_day_and_remembered() {
    let mut world = World::new()
        .domain("a.test", Script::default())
        .domain("never.test", Script::no_starttls())
        .config("[outbound]\nmessages_per_connection = 1")
        .start()
        .await;
    for to in ["x@a.test", "x@never.test"] {
        assert_eq!(world.send(to).await.code, 250, "{to}");
    }
    world.daemon.restart("TERM").await;
    // Another host, which was never seen before: only of the destination it is known that it had TLS.
    world
        .net
        .host("mx2.a.test", Script::no_starttls())
        .await
        .unwrap();
    world
        .net
        .dns
        .remove("a.test", RecordType::MX)
        .mx("a.test", 10, "mx2.a.test");
    for _ in 0..2 {
        for to in ["x@a.test", "x@never.test"] {
            assert_eq!(world.send(to).await.code, 250, "{to}");
        }
    }
    let is_told = |line: &support::Log| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("downgrade: ")
    };
    // Without an end of the daemon.
    let told = world.daemon.wait_log(is_told).await;
    for (field, value) in [
        ("severity", "WARN"),
        ("domain", "a.test"),
        ("cause", "no_starttls"),
    ] {
        assert_eq!(told[field], value, "{field} in {told}");
    }
    let labels = [("cause", "no_starttls")];
    world
        .daemon
        .wait_metric("downgrades_total", &labels, 1.0)
        .await;
    assert_eq!(
        world.daemon.metric("plaintext_after_tls_total", &[]).await,
        0.0
    );
    world.daemon.restart("TERM").await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    world.daemon.end("TERM").await;
    let tellings = world.daemon.log().into_iter().filter(is_told).count();
    let reader = history(&world.daemon);
    let row = known(&reader, "a.test").destination;
    assert!(row.downgraded && row.downgrade_first.is_some(), "{row:?}");
    assert_eq!(row.downgrades, 3);
    // A test that runs over midnight hears it twice.
    let day = |at: Option<u64>| at.unwrap() / (24 * 60 * 60);
    let days = day(row.downgrade_last) - day(row.downgrade_first) + 1;
    assert_eq!(tellings as u64, days);
    assert!(!known(&reader, "never.test").destination.downgraded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_seconds_and_no_more() {
    let mut world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    world.daemon.restart("TERM").await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    world.daemon.restart("KILL").await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    // A reader is in nobody's way.
    let beside = history(&world.daemon);
    assert!(known(&beside, "a.test").destination.encrypted >= 1);
    world.daemon.end("TERM").await;
    let after = known(&beside, "a.test").destination.encrypted;
    assert!((2..=3).contains(&after), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_history_is_kept_that_nobody_wants() {
    let mut world = World::new()
        .domain("a.test", Script::default())
        .config("[history]\nenabled = false")
        .start()
        .await;
    assert_eq!(world.send("x@a.test").await.code, 250);
    world.daemon.end("TERM").await;
    let size = history(&world.daemon).size().unwrap();
    assert_eq!((size.destinations, size.day_rows), (0, 0));
}
