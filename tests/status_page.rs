//! The status page of a real daemon: mail of every kind is sent, and then the figures are right, on the page and in JSON.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::Cert;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::time::{Duration, Instant};
use support::sts::WEEK;
use support::{Act, Script, World, WorldBuilder, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The history is written every ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Domain, how often it is sent to, what becomes of it.
const CASES: [(&str, u64, &str); 7] = [
    ("dane.test", 3, "verified"),
    ("sts.test", 2, "verified"),
    ("pin.test", 1, "verified"),
    ("tls.test", 2, "encrypted"),
    ("clear.test", 1, "plaintext"),
    ("strict.test", 2, "blocked"),
    ("refusing.test", 1, "refused"),
];

fn every_kind() -> WorldBuilder {
    let refusal = Act::reply(550, "5.1.1 <x@refusing.test> is unknown");
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
        .domain("refusing.test", Script::default().rcpt("x@refusing.test", refusal))
        .net(|net| {
            net.dns.secure("dane.test");
            net.tlsa("mx.dane.test", "3 1 1");
        })
        .config_with(|net| {
            let digest = Sha256::digest(net.mx("pin.test").identity().spki());
            let pin: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
            format!(
                "[admin]\nhosts = ['status.test']\n\
                 [[rule]]\ndomains = ['pin.test']\nrequire = 'fingerprint'\nname = 'pinned'\n\
                 fingerprints = ['spki-sha256:{pin}']\n\
                 [[rule]]\ndomains = ['strict.test']\nrequire = 'encrypt'\n\
                 [[rule]]\ndomains = ['tls.test']\nrequire = 'verify'\nenforce = 'dry-run'\nname = 'trial'"
            )
        })
}

/// Status and body.
async fn get(world: &World, path: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(world.daemon.admin).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

async fn json(world: &World, path: &str) -> Value {
    let (status, body) = get(world, &format!("/api/v1{path}"), "localhost").await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The overview, as soon as all attempts are in the history.
async fn recorded(world: &World) -> Value {
    let all: u64 = CASES.iter().map(|(_, times, _)| times).sum();
    let until = Instant::now() + PATIENCE;
    loop {
        let overview = json(world, "/overview").await;
        let day = &overview["history"]["day"];
        let kinds = [
            "dane",
            "webpki",
            "pin",
            "encrypted",
            "plaintext",
            "blocked",
            "refused",
            "deferred",
        ];
        let sum: u64 = kinds.iter().map(|kind| day[kind].as_u64().unwrap()).sum();
        if sum >= all {
            return overview;
        }
        assert!(Instant::now() < until, "{overview}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_every_kind_is_shown() {
    let world = every_kind().start().await;
    for (domain, times, _) in CASES {
        for _ in 0..times {
            world.send(&format!("x@{domain}")).await;
        }
    }
    let overview = recorded(&world).await;
    check_overview(&overview);
    for (domain, times, state) in CASES {
        let shown = json(&world, &format!("/destinations/{domain}")).await;
        assert_eq!(
            (&shown["state"], &shown[state]),
            (&state.into(), &times.into()),
            "{domain}"
        );
    }
    let strict = json(&world, "/destinations/strict.test").await;
    let reason = strict["refusal"]["reason"].as_str().unwrap();
    assert!(reason.contains("STARTTLS is not offered"), "{reason}");
    assert_eq!(
        json(&world, "/destinations/sts.test").await["mta_sts"]["mode"],
        "enforce"
    );
    check_rules(&json(&world, "/rules").await);
    let policies = json(&world, "/policies").await;
    assert_eq!(
        (&policies["matching"], &policies["policies"][0]["domain"]),
        (&1.into(), &"sts.test".into())
    );
    let (rules, queue) = (json(&world, "/rules").await, json(&world, "/queue").await);
    let list = json(&world, "/destinations").await;
    check_documented(&[&overview, &strict, &list, &policies, &rules, &queue]);
    let (status, page) = get(&world, "/", "localhost").await;
    assert_eq!(status, 200);
    for expected in [
        "<b>9</b><span>delivered in 24 hours</span>",
        "<b>1</b><span>in the clear in 24 hours</span>",
        "<b>1</b><span>destinations blocked now</span>",
        "works; signatures are checked here",
        "relay.test",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    for path in [
        "/",
        "/destinations",
        "/destinations/refusing.test",
        "/api/v1/destinations",
    ] {
        let (_, body) = get(&world, path, "localhost").await;
        assert!(!body.contains("x@refusing"), "{path}: an address");
    }
}

/// Names of all fields, however deep.
fn fields(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields_of) => {
            for (name, value) in fields_of {
                found.insert(name.clone());
                fields(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check_documented(answers: &[&Value]) {
    let page = support::monitoring::text("docs/page.md");
    let mut found = std::collections::BTreeSet::new();
    answers.iter().for_each(|answer| fields(answer, &mut found));
    found.retain(|field| !page.contains(&format!("`{field}`")));
    assert!(found.is_empty(), "not in docs/page.md: {found:?}");
}

fn check_overview(overview: &Value) {
    for period in ["day", "month"] {
        let period = &overview["history"][period];
        let kinds = [
            "dane",
            "half_dane",
            "webpki",
            "pin",
            "encrypted",
            "plaintext",
            "blocked",
            "refused",
            "deferred",
        ];
        let counts = kinds.map(|kind| period[kind].as_u64().unwrap());
        assert_eq!(counts, [3, 0, 2, 1, 2, 1, 2, 1, 0]);
        assert_eq!(period["would_block"], 2);
        let shares = &period["shares"];
        let problems = &shares["certificate_problem"];
        assert_eq!(
            *problems,
            serde_json::json!([{"label": "none", "count": 6}, {"label": "expired", "count": 2}])
        );
        assert_eq!(
            shares["blocked_reason"][0]["label"],
            "starttls-not-supported"
        );
        assert_eq!(shares["plaintext_cause"][0]["label"], "no_starttls");
    }
    let history = &overview["history"];
    assert_eq!(
        (&history["destinations"], &history["blocked"]),
        (&7.into(), &1.into())
    );
    assert_eq!(history["blocked_now"][0]["name"], "strict.test");
    assert_eq!(overview["dnssec"]["validation"], "in-process");
    assert_eq!(overview["queue"]["messages"], 0);
}

fn check_rules(list: &Value) {
    let rules = list["rules"].as_array().unwrap();
    let caught = rules.iter().map(|rule| {
        let caught = &rule["caught"];
        let of = |what: &str| caught[what].as_u64().unwrap();
        (
            of("destinations"),
            of("delivered"),
            of("blocked"),
            of("would_block"),
        )
    });
    let caught: Vec<_> = caught.collect();
    assert_eq!(caught, [(1, 1, 0, 0), (1, 0, 2, 0), (1, 2, 0, 2)], "{list}");
    assert_eq!(
        (&rules[0]["name"], &rules[2]["enforce"]),
        (&"pinned".into(), &"dry-run".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_who_is_answered_and_says_what_failed() {
    let world = World::new()
        .config("[admin]\nhosts = ['status.test']")
        .start()
        .await;
    let status = async |host: &str| get(&world, "/", host).await.0;
    assert_eq!(
        (status("status.test").await, status("evil.test").await),
        (200, 421)
    );
    world.reload(
        "[admin]\nhosts = ['other.test']\n[[rule]]\ndomains = ['new.test']\nrequire = 'verify'",
    );
    let reloads = async |word: &'static str| {
        let is_it = move |line: &support::Log| line.to_string().contains(word);
        world.daemon.wait_log(is_it).await;
    };
    reloads("configuration reloaded").await;
    assert_eq!(
        (status("other.test").await, status("status.test").await),
        (200, 421)
    );
    let rules = json(&world, "/rules").await;
    assert_eq!(rules["rules"][0]["domains"][0], "new.test");
    world.daemon.reload("hostname = 7");
    reloads("configuration not reloaded").await;
    let overview = json(&world, "/overview").await;
    assert!(
        overview["configuration"]["problem"]
            .as_str()
            .unwrap()
            .contains("hostname"),
        "{overview}"
    );
    let (_, page) = get(&world, "/", "localhost").await;
    assert!(
        page.contains("The configuration was not reloaded, the old one stays in force"),
        "{page}"
    );
    world.reload("[admin]\npage = false");
    world
        .daemon
        .wait_metric("config_last_reload_successful", &[], 1.0)
        .await;
    assert_eq!(get(&world, "/", "localhost").await, (404, String::new()));
    assert_eq!(get(&world, "/healthz", "evil.test").await.0, 200);
}
