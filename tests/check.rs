//! `sealpost check`: what would become of mail for a destination, and why, without sending any.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::Cert;
use lab::dns::{Fault, RecordType};
use serde_json::Value;
use support::{Bench, Daemon, Script, World, WorldBuilder, ipv6};

const VERIFY: &str = "[[rule]]\ndomains = ['v.test', 's.test', 'clear.test']\nrequire = 'verify'";

fn domains() -> WorldBuilder {
    World::new()
        .domain("a.test", Script::default())
        .domain("v.test", Script::default())
        .certified("s.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.s.test"]).self_signed()))
        })
        .domain("clear.test", Script::no_starttls())
        .domain("down.test", Script::refused())
        .domain(
            "full.test",
            Script {
                greeting: (554, "5.3.2 full").into(),
                ..Script::default()
            },
        )
        .dns(|dns| {
            dns.null_mx("null.test")
                .mx("mine.test", 10, "relay.test")
                .fault("dim.test", RecordType::MX, Fault::ServFail);
        })
        .config(VERIFY)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_whether_mail_would_flow() {
    let bench = Bench::of(domains()).await;
    for (words, code) in [
        (&["a.test"][..], 0),
        (&["someone@v.test"], 0),
        (&["a.test", "v.test"], 0),
        (&["s.test"], 1),
        (&["clear.test"], 1),
        (&["null.test"], 1),
        (&["nowhere.test"], 1),
        (&["mine.test"], 1),
        (&["down.test"], 3),
        (&["full.test"], 3),
        (&["dim.test"], 3),
        (&["a.test", "down.test"], 3),
        (&["s.test", "down.test", "a.test"], 1), // the worst of them
        (&["--no-connect", "down.test"], 0),
        (&["--no-connect", "null.test"], 1),
        (&["--no-connect", "dim.test"], 3),
        (&[], 2),
        (&["--frobnicate", "a.test"], 2),
        (&["a..test"], 2),
        (&["[300.1.1.1]"], 2),
    ] {
        let exit = bench.check(words).await;
        assert_eq!(exit.code, Some(code), "{words:?}: {exit:?}");
        assert_eq!(exit.stdout.is_empty(), code == 2, "{words:?}: {exit:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_is_exit_code_2() {
    let bench = Bench::of(World::new()).await;
    let file = bench.directory.path().join("sealpost.toml");
    std::fs::write(&file, "hostnam = 'relay.test'\n").unwrap();
    let exit = bench.check(&["a.test"]).await;
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert!(
        exit.stderr.contains(":1:") && exit.stderr.contains("hostname"),
        "{}",
        exit.stderr
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(bench.check(&["a.test"]).await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_goes_as_far_as_the_handshake_and_sends_no_mail() {
    let bench = Bench::of(domains()).await;
    bench.check(&["v.test", "clear.test"]).await;
    let mx = bench.net.mx("v.test");
    assert!(mx.wait_for_closed().await);
    let connections = mx.connections();
    assert_eq!(connections.len(), 1);
    assert_eq!(connections[0].verbs(), ["EHLO", "STARTTLS", "EHLO", "QUIT"]);
    let clear = bench.net.mx("clear.test").connections();
    assert_eq!(clear[0].verbs()[0], "EHLO");
    assert!(!clear[0].verbs().contains(&"MAIL".to_owned()));
    assert_eq!(mx.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connect_connects_to_nobody() {
    let bench = Bench::of(domains()).await;
    let (code, reports) = bench.json(&["--no-connect", "v.test", "down.test"]).await;
    assert_eq!(code, Some(0));
    assert_eq!(reports[0]["hosts"][0]["policy"]["level"], "verify");
    assert_eq!(reports[0]["hosts"][0]["visits"], Value::Array(Vec::new()));
    assert!(bench.net.mx("v.test").connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_names_policy_host_and_fact() {
    let bench = Bench::of(domains()).await;
    let (code, reports) = bench
        .json(&["v.test", "s.test", "clear.test", "null.test"])
        .await;
    assert_eq!((code, reports.len()), (Some(1), 4));
    let host = &reports[0]["hosts"][0];
    let ip = bench.net.mx("v.test").address().ip().to_string();
    for (pointer, expected) in [
        ("/host", "mx.v.test"),
        ("/addresses/0", &ip),
        ("/policy/level", "verify"),
        ("/policy/source", "rule"),
        ("/policy/subject", "v.test"),
        ("/policy/accepts/0", "mx.v.test"),
        ("/policy/plaintext", "never"),
        ("/policy/min_version", "1.2"),
        ("/visits/0/address", &ip),
        ("/visits/0/family", "ipv4"),
        ("/visits/0/tls", "1.3"),
        ("/visits/0/key", "p256"),
        ("/visits/0/authenticated", "webpki"),
        ("/visits/0/verdict", "deliverable"),
    ] {
        assert_eq!(
            host.pointer(pointer).and_then(Value::as_str),
            Some(expected),
            "{pointer}: {host}"
        );
    }
    assert_eq!(
        host.pointer("/port").and_then(Value::as_u64),
        Some(bench.net.ports.port().into())
    );
    assert_eq!(reports[0]["hostname"], "relay.test");
    assert_eq!(reports[0]["verdict"], "deliverable");
    let reply = |report: &Value| {
        report["hosts"][0]["visits"][0]["reply"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    };
    let said = reply(&reports[1]);
    assert!(
        said.starts_with("451 4.7.5 rule policy of s.test: mx.s.test["),
        "{said}"
    );
    assert!(said.ends_with("certificate is self-signed"), "{said}");
    let said = reply(&reports[2]);
    assert!(
        said.starts_with("451 4.7.4 ") && said.contains("STARTTLS is not offered"),
        "{said}"
    );
    assert_eq!(reports[2]["verdict"], "not-deliverable");
    let said = reports[3]["reply"].as_str().unwrap();
    assert!(said.starts_with("556 5.1.10 "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_explains_step_by_step() {
    let bench = Bench::of(domains()).await;
    let exit = bench
        .check(&["v.test", "s.test", "a.test", "null.test"])
        .await;
    for words in [
        "v.test\n",
        "MX host      mx.v.test",
        "verify (rule of v.test), certificate for mx.v.test, plaintext never",
        "ok, TLSv1.3 TLS_",
        "a full check finds nothing wrong",
        "=> mail would flow",
        "451 4.7.5 rule policy of s.test",
        "=> mail would NOT flow",
        "rule         none, policy.default applies",
        "may (default of a.test), plaintext possible",
        "no route     556 5.1.10",
        "EHLO name    relay.test",
    ] {
        assert!(exit.stdout.contains(words), "{words}\n{}", exit.stdout);
    }
    assert!(!exit.stdout.contains('\x1b'), "{}", exit.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn opportunistic_findings_are_told() {
    let bench = Bench::of(World::new().certified("a.test", |ca| {
        Script::with_identity(ca.issue(&Cert::new(["mx.a.test"]).expired()))
    }))
    .await;
    let (code, reports) = bench.json(&["a.test"]).await;
    assert_eq!(code, Some(0));
    let visit = &reports[0]["hosts"][0]["visits"][0];
    assert_eq!(
        visit["certificate_problem"], "certificate has expired",
        "{visit}"
    );
    assert_eq!(visit["authenticated"], "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_its_rule_would_hold_back() {
    let dry = "[[rule]]\ndomains = ['a.test', 's.test', 'clear.test']\nrequire = 'verify'\n\
               enforce = 'dry-run'";
    let world = World::new()
        .domain("a.test", Script::default())
        .certified("s.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.s.test"]).self_signed()))
        })
        .domain("clear.test", Script::no_starttls())
        .config(dry);
    let bench = Bench::of(world).await;
    for (domain, reason) in [
        ("a.test", None),
        ("s.test", Some("self-signed")),
        ("clear.test", Some("STARTTLS is not offered")),
    ] {
        let exit = bench.check(&[domain]).await;
        assert_eq!(exit.code, Some(0), "{exit:?}");
        let mut lines = exit.stdout.lines().filter(|line| line.contains("dry-run"));
        let line = lines.next();
        assert_eq!(line.is_some(), reason.is_some(), "{exit:?}");
        if let (Some(line), Some(reason)) = (line, reason) {
            assert!(line.contains("would hold mail back"), "{line}");
            assert!(line.contains(reason), "{line}");
        }
        let json = bench.check(&["--json", domain]).await;
        let told: Value = serde_json::from_str(&json.stdout).unwrap();
        let told = &told[0]["hosts"][0]["visits"][0]["dry_run"];
        assert_eq!(told.is_string(), reason.is_some(), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_good_mx_is_enough_and_every_one_is_shown() {
    let bench = Bench::of(World::new().domain_with(
        "a.test",
        vec![
            ("down.a.test", 10, Script::refused()),
            ("good.a.test", 20, Script::default()),
        ],
    ))
    .await;
    let (code, reports) = bench.json(&["a.test"]).await;
    assert_eq!(code, Some(0));
    let hosts = reports[0]["hosts"].as_array().unwrap();
    let verdicts: Vec<_> = hosts
        .iter()
        .map(|h| {
            (
                h["host"].as_str().unwrap(),
                h["visits"][0]["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        verdicts,
        [("down.a.test", "temporary"), ("good.a.test", "deliverable")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_is_visited() {
    if !ipv6() {
        return;
    }
    let bench = Bench::of(
        World::new()
            .domain("a.test", Script::default())
            .host_v6("mx.a.test", Script::refused()),
    )
    .await;
    let (code, reports) = bench.json(&["a.test"]).await;
    assert_eq!(code, Some(0));
    let visits = reports[0]["hosts"][0]["visits"].as_array().unwrap();
    let mut seen: Vec<_> = visits
        .iter()
        .map(|v| {
            (
                v["family"].as_str().unwrap(),
                v["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [("ipv4", "deliverable"), ("ipv6", "temporary")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rules_next_hop_is_followed() {
    let bench = Bench::of(
        World::new()
            .host(
                "smart.test",
                Script {
                    hostname: Some("relay.test".into()),
                    ..Script::default()
                },
            )
            .config(
                "[[rule]]\ndomains = ['a.test']\nrequire = 'verify'\nnext_hop = '[smart.test]'",
            ),
    )
    .await;
    let (code, reports) = bench.json(&["a.test"]).await;
    assert_eq!(code, Some(0), "{reports:?}");
    assert_eq!(reports[0]["next_hop"], "[smart.test]");
    assert_eq!(reports[0]["hosts"][0]["policy"]["accepts"][0], "smart.test");
    assert!(
        reports[0]["rule"]
            .as_str()
            .is_some_and(|rule| rule.contains("sealpost.toml")),
        "{reports:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn literals_and_internationalised_domains_are_destinations() {
    let bench = Bench::of(World::new().domain("xn--bcher-kva.test", Script::default())).await;
    let literal = format!("x@[{}]", bench.net.mx("xn--bcher-kva.test").address().ip());
    let (code, reports) = bench.json(&["bücher.test", &literal]).await;
    assert_eq!(code, Some(0), "{reports:?}");
    assert_eq!(reports[0]["hosts"][0]["host"], "mx.xn--bcher-kva.test");
    assert_eq!(reports[1]["hosts"][0]["host"], Value::Null);
    assert_eq!(bench.net.mx("xn--bcher-kva.test").connections().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_source_addresses_are_shown_with_their_names() {
    let bench = Bench::of(
        World::new()
            .domain("a.test", Script::default())
            .dns(|dns| {
                dns.ptr("127.0.0.77".parse().unwrap(), "out.relay.test");
            })
            .config("outbound.bind = ['127.0.0.77', '127.0.0.78']"),
    )
    .await;
    let (code, reports) = bench.json(&["a.test"]).await;
    assert_eq!(code, Some(0), "{reports:?}");
    assert_eq!(reports[0]["sources"][0]["names"][0], "out.relay.test");
    let text = bench.check(&["a.test"]).await.stdout;
    assert!(text.contains("127.0.0.77 (out.relay.test)"), "{text}");
    assert!(text.contains("127.0.0.78 (no PTR record)"), "{text}");
    let peers: Vec<_> = bench
        .net
        .mx("a.test")
        .connections()
        .iter()
        .map(|c| c.peer.ip().to_string())
        .collect();
    assert!(
        peers.iter().all(|ip| ip.starts_with("127.0.0.7")),
        "{peers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_stranger_says_moves_the_cursor() {
    let evil = Script {
        greeting: (554, "5.7.1 \x1b[2J\x07gone").into(),
        ..Script::default()
    };
    let bench = Bench::of(World::new().domain("a.test", evil)).await;
    for words in [&["a.test"][..], &["--json", "a.test"]] {
        let exit = bench.check(words).await;
        assert!(exit.stdout.contains("gone"), "{exit:?}");
        assert!(!exit.stdout.contains(['\x1b', '\x07']), "{exit:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_needs_no_daemon_and_leaves_a_running_one_alone() {
    let world = World::new()
        .domain("a.test", Script::default())
        .start()
        .await;
    let file = world.daemon.config_file().display().to_string();
    let run = move || Daemon::command(&["check", "--config", &file, "a.test"]);
    let exit = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert_eq!(world.daemon.metric("tls_handshakes_total", &[]).await, 0.0);
    assert_eq!(world.send("x@a.test").await.code, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_handshake_means_what_plaintext_fallback_makes_of_it() {
    for (fallback, code, words) in [
        ("delayed", 3, "TLS failed, plaintext not before 2"),
        ("immediate", 0, "ok, in the clear"),
        ("never", 1, "451 4.7.5 default policy of a.test"),
    ] {
        let handshake = lab::mx::Handshake::Alert(80);
        let broken = Script {
            handshake,
            ..Script::default()
        };
        let config = format!("relay.plaintext_fallback = '{fallback}'");
        let bench = Bench::of(World::new().domain("a.test", broken).config(&config)).await;
        let exit = bench.check(&["a.test"]).await;
        assert_eq!(exit.code, Some(code), "{fallback}: {exit:?}");
        assert!(exit.stdout.contains(words), "{fallback}: {}", exit.stdout);
        assert!(!bench.net.mx("a.test").mail_octets_in_clear());
    }
}

/// A delivery does not try every host that a stranger may list.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_delivery_would_come_to_makes_no_mail_flow() {
    for (failing, code) in [(5, 0), (6, 3)] {
        let mut builder = World::new();
        let names: Vec<String> = (0..=failing).map(|n| format!("mx{n}.a.test")).collect();
        for (n, name) in names.iter().enumerate() {
            let script = if n < failing {
                Script::refused()
            } else {
                Script::default()
            };
            builder = builder.domain_with("a.test", vec![(name, n as u16, script)]);
        }
        let bench = Bench::of(builder).await;
        let exit = bench.check(&["a.test"]).await;
        assert_eq!(exit.code, Some(code), "{failing}: {}", exit.stdout);
        assert_eq!(
            exit.stdout.contains("not tried"),
            code != 0,
            "{}",
            exit.stdout
        );
    }
}
