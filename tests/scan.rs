//! `sealpost scan`: what domains are like, by the code that delivers, and never a MAIL command.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::ca::Cert;
use lab::dns::{Fault, RecordType};
use lab::mx::{Handshake, Tls, Versions};
use serde_json::Value;
use support::dane::wrong_tlsa;
use support::sts::WEEK;
use support::{Act, Answer, Bench, Script, World, WorldBuilder, ipv6, policy};

fn only(versions: Versions) -> Script {
    Script {
        tls: Tls {
            versions,
            ..Tls::default()
        },
        ..Script::default()
    }
}

/// good.test does everything right; each of the others has one fault, which its name tells.
fn world() -> WorldBuilder {
    let enforce = |domain: &str| policy("enforce", &[&format!("mx.{domain}")], WEEK);
    World::new()
        .domain("good.test", Script::default().with("REQUIRETLS"))
        .domain("mismatch.test", Script::default())
        .domain("norollover.test", Script::default())
        .domain("notcovered.test", Script::default())
        .domain("clear.test", Script::no_starttls())
        .domain("down.test", Script::refused())
        .domain("only12.test", only(Versions::Only12))
        .domain("only13.test", only(Versions::Only13))
        .domain(
            "broken.test",
            Script {
                handshake: Handshake::Alert(40),
                ..Script::default()
            },
        )
        .domain_with(
            "some.test",
            vec![
                ("mx1.some.test", 10, Script::default()),
                ("mx2.some.test", 20, Script::no_starttls()),
                ("mx3.some.test", 30, Script::refused()),
            ],
        )
        .certified("expired.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.expired.test"]).expired()))
        })
        .sts("good.test", "1", enforce("good.test"))
        .sts("mismatch.test", "1", enforce("mismatch.test"))
        .sts("notcovered.test", "1", enforce("other.test"))
        .sts("expired.test", "1", enforce("expired.test"))
        .host("mx.shared.test", Script::default())
        .net(|net| {
            let dns = &net.dns;
            for zone in ["good", "mismatch", "norollover"] {
                dns.secure(&format!("{zone}.test"));
            }
            let (port, next) = (net.ports.port(), net.ca.identity("next.test"));
            net.tlsa("mx.good.test", "3 1 1")
                .tlsa("mx.norollover.test", "3 1 1");
            dns.tlsa("mx.good.test", port, "3 1 1", next.leaf());
            wrong_tlsa(net, "mx.mismatch.test");
            dns.txt("_smtp._tls.good.test", "v=TLSRPTv1; rua=mailto:r@good.test")
                .txt("_smtp._tls.clear.test", "v=TLSRPTv1; rua=nobody")
                .raw("good.test", RecordType::CAA, b"\x00\x05issueca.test")
                .mx("shared1.test", 10, "mx.shared.test")
                .mx("shared2.test", 10, "mx.shared.test")
                .null_mx("null.test")
                .fault("dim.test", RecordType::MX, Fault::ServFail);
        })
}

const DOMAINS: [&str; 16] = [
    "good.test",
    "mismatch.test",
    "norollover.test",
    "notcovered.test",
    "clear.test",
    "down.test",
    "only12.test",
    "only13.test",
    "broken.test",
    "some.test",
    "expired.test",
    "shared1.test",
    "shared2.test",
    "null.test",
    "missing.test",
    "dim.test",
];

/// The codes of a record's findings, those about IPv6 and CAA apart, which no host here has.
fn codes(record: &Value) -> Vec<&str> {
    let findings = record["findings"].as_array().unwrap();
    let codes = findings.iter().map(|f| f["code"].as_str().unwrap());
    let expected = ["ipv6-missing", "caa-missing"];
    codes.filter(|code| !expected.contains(code)).collect()
}

fn find<'a>(records: &'a [Value], domain: &str) -> &'a Value {
    let found = records.iter().find(|record| record["domain"] == domain);
    found.unwrap_or_else(|| panic!("no record of {domain}"))
}

/// Domain, class, whether mail would flow, findings.
type Found = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const FOUND: &[Found] = &[
    ("good.test", "starttls-on-all", "deliverable", &[]),
    (
        "mismatch.test",
        "starttls-on-all",
        "not-deliverable",
        &[
            "not-deliverable",
            "tlsa-mismatch",
            "mta-sts-lists-host-that-dane-contradicts",
            "tlsrpt-missing-although-policy",
        ],
    ),
    (
        "norollover.test",
        "starttls-on-all",
        "deliverable",
        &["no-tlsa-rollover", "tlsrpt-missing-although-policy"],
    ),
    (
        "notcovered.test",
        "starttls-on-all",
        "not-deliverable",
        &[
            "not-deliverable",
            "mta-sts-covers-no-mx",
            "tlsrpt-missing-although-policy",
        ],
    ),
    (
        "clear.test",
        "no-starttls",
        "deliverable",
        &["no-starttls", "tlsrpt-invalid"],
    ),
    ("down.test", "could-not-test", "temporary", &[]),
    (
        "only12.test",
        "starttls-on-all",
        "deliverable",
        &["no-tls-1.3", "no-post-quantum"],
    ),
    ("only13.test", "starttls-on-all", "deliverable", &[]),
    ("broken.test", "no-starttls", "temporary", &["tls-broken"]),
    (
        "some.test",
        "starttls-on-some",
        "deliverable",
        &["only-some-mx-encrypted", "one-mx-unreachable"],
    ),
    (
        "expired.test",
        "starttls-on-all",
        "not-deliverable",
        &[
            "not-deliverable",
            "mta-sts-certificate-not-valid-for-mx",
            "certificate-expired",
            "tlsrpt-missing-although-policy",
        ],
    ),
    ("shared1.test", "starttls-on-all", "deliverable", &[]),
    ("shared2.test", "starttls-on-all", "deliverable", &[]),
    ("null.test", "no-mail", "not-deliverable", &[]),
    ("missing.test", "no-mail", "not-deliverable", &[]),
    ("dim.test", "could-not-test", "temporary", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_out_about_domains_and_nothing_is_sent() {
    let bench = Bench::of(world()).await;
    let records = bench.records(&DOMAINS).await;
    assert_eq!(records.len(), DOMAINS.len());
    for (domain, class, flow, findings) in FOUND {
        let record = find(&records, domain);
        assert_eq!(record["class"], *class, "{record:#}");
        assert_eq!(record["verdict"]["flow"], *flow, "{record:#}");
        assert_eq!(codes(record), *findings, "{record:#}");
    }
    for mx in bench.net.hosts() {
        assert!(mx.wait_for_closed().await);
        let connections = mx.connections();
        let verbs: Vec<String> = connections.iter().flat_map(|c| c.verbs()).collect();
        let known = ["EHLO", "STARTTLS", "QUIT"];
        assert!(
            verbs.iter().all(|v| known.contains(&v.as_str())),
            "{verbs:?}"
        );
        assert_eq!(mx.violations(), Vec::<String>::new());
        assert!(
            connections.len() <= 4,
            "{}: {}",
            mx.name(),
            connections.len()
        );
    }
    let shared = bench.net.mx("mx.shared.test").connections().len();
    assert_eq!(shared, 3, "two domains, one host: visited once");
}

/// Domain, where it stands in the record, what stands there.
const FACTS: &[(&str, &str, &str)] = &[
    ("good.test", "/mx/state", "present"),
    ("good.test", "/mx/dnssec", "secure"),
    ("good.test", "/hosts/0/name", "mx.good.test"),
    ("good.test", "/hosts/0/dnssec", "secure"),
    ("good.test", "/hosts/0/tls", "works"),
    ("good.test", "/hosts/0/tlsa/state", "usable"),
    ("good.test", "/hosts/0/tlsa/matching", "yes"),
    ("good.test", "/hosts/0/tlsa/rollover", "yes"),
    ("good.test", "/hosts/0/caa/state", "present"),
    ("good.test", "/hosts/0/caa/at", "good.test"),
    ("good.test", "/hosts/0/caa/issue/0", "ca.test"),
    ("good.test", "/hosts/0/policy/level", "dane"),
    ("good.test", "/hosts/0/sts_listed", "yes"),
    ("good.test", "/hosts/0/addresses/0/reach", "reached"),
    ("good.test", "/hosts/0/addresses/0/starttls", "offered"),
    ("good.test", "/hosts/0/addresses/0/requiretls", "yes"),
    ("good.test", "/hosts/0/addresses/0/tls/version", "1.3"),
    (
        "good.test",
        "/hosts/0/addresses/0/tls/forward_secrecy",
        "yes",
    ),
    ("good.test", "/hosts/0/addresses/0/versions/1.2", "yes"),
    ("good.test", "/hosts/0/addresses/0/versions/1.3", "yes"),
    (
        "good.test",
        "/hosts/0/addresses/0/versions/1.0",
        "not-tested",
    ),
    (
        "good.test",
        "/hosts/0/addresses/0/versions/with_1_2/version",
        "1.2",
    ),
    ("good.test", "/hosts/0/addresses/0/post_quantum", "yes"),
    ("good.test", "/hosts/0/addresses/0/authenticated", "dane"),
    ("good.test", "/hosts/0/addresses/0/certificate/key", "p256"),
    (
        "good.test",
        "/hosts/0/addresses/0/certificate/verification",
        "valid",
    ),
    (
        "good.test",
        "/hosts/0/addresses/0/certificate/names/0",
        "mx.good.test",
    ),
    (
        "good.test",
        "/hosts/0/addresses/0/certificate/signature",
        "ecdsa-with-SHA256",
    ),
    ("good.test", "/mta_sts/state", "valid"),
    ("good.test", "/mta_sts/mode", "enforce"),
    ("good.test", "/mta_sts/covers_all", "yes"),
    ("good.test", "/mta_sts/certificates_valid", "yes"),
    ("good.test", "/tlsrpt/rua/0", "mailto:r@good.test"),
    ("good.test", "/verdict/authenticated", "dane"),
    ("good.test", "/verdict/encrypted", "yes"),
    ("only12.test", "/hosts/0/addresses/0/versions/1.2", "yes"),
    ("only12.test", "/hosts/0/addresses/0/versions/1.3", "no"),
    ("only12.test", "/hosts/0/addresses/0/post_quantum", "no"),
    ("mismatch.test", "/hosts/0/tlsa/matching", "no"),
    ("mismatch.test", "/hosts/0/tlsa/records/0/matches", "no"),
    (
        "mismatch.test",
        "/hosts/0/addresses/0/certificate/verification",
        "valid",
    ),
    ("some.test", "/hosts/0/tls", "works"),
    ("some.test", "/hosts/1/tls", "not-offered"),
    ("some.test", "/hosts/2/tls", "could-not-test"),
    ("some.test", "/hosts/2/addresses/0/reach", "unreachable"),
    ("some.test", "/hosts/2/addresses/0/starttls", "unknown"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_fact_stands_in_its_place() {
    let bench = Bench::of(world()).await;
    let records = bench
        .records(&["good.test", "only12.test", "mismatch.test", "some.test"])
        .await;
    for (domain, pointer, expected) in FACTS {
        let record = find(&records, domain);
        let is = record.pointer(pointer).and_then(Value::as_str);
        assert_eq!(is, Some(*expected), "{domain}{pointer}: {record:#}");
    }
    let good = find(&records, "good.test");
    let tlsa = format!("_{}._tcp.mx.good.test", bench.net.ports.port());
    assert_eq!(good["hosts"][0]["tlsa"]["at"], tlsa);
    let address = &good["hosts"][0]["addresses"][0];
    assert!(
        address["certificate"]["days_left"].as_i64().unwrap() > 20_000,
        "{address:#}"
    );
    assert_eq!(address["connections"], 3);
    assert_eq!(good["hosts"][0]["preference"], 10);
    let keywords = address["ehlo"].as_array().unwrap();
    assert!(keywords.contains(&"STARTTLS".into()), "{keywords:?}");
}

/// Each has something odd in the DNS, or at its policy host.
fn odd() -> WorldBuilder {
    World::new()
        .host("mx.shared.test", Script::default())
        .domain("sound.test", Script::default())
        .domain("plain.test", Script::default())
        .domain("forged.test", Script::default())
        .domain("nopolicy.test", Script::default())
        .domain("two.test", Script::default())
        .domain("trial.test", Script::default())
        .policy_host("nopolicy.test", Answer::Status(404))
        .sts(
            "trial.test",
            "1",
            policy("testing", &["mx.other.test"], 3600),
        )
        .net(|net| {
            let dns = &net.dns;
            net.tlsa("mx.plain.test", "3 1 1");
            dns.zone("forged.test", lab::dnssec::Zone::secure().altered())
                .txt("_mta-sts.nopolicy.test", "v=STSv1; id=1;")
                .txt("_mta-sts.two.test", "v=STSv1; id=1;")
                .txt("_mta-sts.two.test", "v=STSv1; id=2;")
                .mx("alias.test", 10, "mx.alias.test")
                .cname("mx.alias.test", "mx.shared.test")
                .mx("nowhere.test", 10, "mx.nowhere.test")
                .mx("nowhere.test", 20, "mx.shared.test")
                .mx("mixed.test", 10, "mx.shared.test")
                .null_mx("mixed.test");
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_is_found() {
    let bench = Bench::of(odd()).await;
    for (domain, class, code) in [
        ("plain.test", "starttls-on-all", "tlsa-insecure"),
        ("forged.test", "could-not-test", "mx-bogus"),
        (
            "nopolicy.test",
            "starttls-on-all",
            "mta-sts-policy-host-broken",
        ),
        ("two.test", "starttls-on-all", "mta-sts-record-invalid"),
        ("trial.test", "starttls-on-all", "mta-sts-does-not-cover-mx"),
        ("trial.test", "starttls-on-all", "mta-sts-max-age-short"),
        ("trial.test", "starttls-on-all", "mta-sts-testing"),
        ("alias.test", "starttls-on-all", "mx-is-cname"),
        ("nowhere.test", "starttls-on-all", "mx-without-address"),
        ("mixed.test", "starttls-on-all", "null-mx-with-others"),
    ] {
        // A survey that finds out nothing at all fails.
        let words = ["--depth", "visit", domain, "sound.test"];
        let records = bench.records(&words).await;
        let record = find(&records, domain);
        assert_eq!(record["class"], class, "{record:#}");
        assert!(codes(record).contains(&code), "{code}: {record:#}");
    }
}

/// A host whose IPv6 address is another, and worse, machine.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_a_host_may_differ() {
    if !ipv6() {
        return;
    }
    let world = World::new()
        .domain("a.test", Script::default())
        .host_v6("mx.a.test", Script::no_starttls());
    let bench = Bench::of(world).await;
    let record = &bench.records(&["--depth", "visit", "a.test"]).await[0];
    assert!(codes(record).contains(&"addresses-differ"), "{record:#}");
    let host = &record["hosts"][0];
    assert_eq!(
        (&host["ipv4"], &host["ipv6"]),
        (&"yes".into(), &"yes".into())
    );
    // The worst of them: mail may go there.
    assert_eq!(host["tls"], "not-offered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_of_visits_makes_one_connection() {
    let bench = Bench::of(world()).await;
    let words = [
        "--depth",
        "visit",
        "good.test",
        "shared1.test",
        "shared2.test",
    ];
    let records = bench.records(&words).await;
    let address = &find(&records, "good.test")["hosts"][0]["addresses"][0];
    assert_eq!(address["versions"]["1.2"], "not-tested");
    for mx in ["good.test", "mx.shared.test"] {
        assert_eq!(bench.net.mx(mx).connections().len(), 1, "{mx}");
    }
}

/// Who says our name in answer to EHLO is us: there is nothing to be said of its TLS.
#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_not_a_host_whose_tls_is_broken() {
    let ours = Script {
        ehlo: Act::reply(250, "relay.test\nSTARTTLS"),
        ..Script::default()
    };
    let world = World::new()
        .domain("ours.test", ours)
        .domain("sound.test", Script::default());
    let bench = Bench::of(world).await;
    let records = bench.records(&["ours.test", "sound.test"]).await;
    let record = find(&records, "ours.test");
    let host = &record["hosts"][0];
    assert_eq!(host["addresses"][0]["reach"], "this-host", "{host:#}");
    assert_eq!(host["tls"], "could-not-test", "{host:#}");
    assert!(!codes(record).contains(&"tls-broken"), "{record:#}");
}

/// A ServerHello that chooses a version and `TLS_RSA_WITH_AES_128_CBC_SHA`.
fn chooses(version: u8) -> Vec<u8> {
    let mut hello = vec![22, 3, version, 0, 42, 2, 0, 0, 38, 3, version];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2F, 0]);
    hello
}

/// Domain, where it stands in the record of its address, what stands there.
const DEEP: &[(&str, &str, &str)] = &[
    ("good.test", "/injection", "no"),
    ("good.test", "/versions/1.0", "no"),
    ("good.test", "/versions/1.1", "no"),
    ("good.test", "/deep/weak_suites", "no"),
    ("good.test", "/deep/cipher_order", "not-applicable"),
    ("good.test", "/deep/compression", "no"),
    ("good.test", "/deep/secure_renegotiation", "yes"),
    ("good.test", "/deep/extended_master_secret", "yes"),
    ("prone.test", "/injection", "yes"),
    // One reply to one command: it was not obeyed twice, whatever the reply is.
    ("rude.test", "/injection", "unknown"),
    ("busy.test", "/injection", "unknown"),
    ("old.test", "/versions/1.0", "yes"),
    ("old.test", "/versions/1.2", "no"),
    ("old.test", "/deep/secure_renegotiation", "no"),
    (
        "old.test",
        "/deep/suites/0/name",
        "TLS_RSA_WITH_AES_128_CBC_SHA",
    ),
    // Whoever hangs up has not said no.
    ("mute.test", "/versions/1.0", "unknown"),
    ("mute.test", "/versions/1.2", "not-tested"),
    ("mute.test", "/deep/weak_suites", "unknown"),
    ("mute.test", "/injection", "not-tested"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_survey_finds_injection_and_old_versions() {
    let handshake = |handshake: Handshake| Script {
        handshake,
        ..Script::default()
    };
    let quits = |code| Script {
        quit: Act::reply(code, "no"),
        ..Script::default()
    };
    let world = World::new()
        .domain("good.test", Script::default())
        .domain("prone.test", handshake(Handshake::KeepsBuffer))
        .domain("rude.test", quits(502))
        .domain("busy.test", quits(421))
        .domain("old.test", handshake(Handshake::Garbage(chooses(1))))
        .domain("mute.test", handshake(Handshake::Close));
    let bench = Bench::of(world).await;
    let words = ["--depth", "deep", "--timeout", "5"];
    let domains = [
        "good.test",
        "prone.test",
        "rude.test",
        "busy.test",
        "old.test",
        "mute.test",
    ];
    let records = bench.records(&[&words[..], &domains].concat()).await;
    for (domain, pointer, expected) in DEEP {
        let record = find(&records, domain);
        let address = &record["hosts"][0]["addresses"][0];
        let is = address.pointer(pointer).and_then(Value::as_str);
        assert_eq!(is, Some(*expected), "{domain}{pointer}: {address:#}");
    }
    assert!(codes(find(&records, "prone.test")).contains(&"starttls-injection"));
    assert!(!codes(find(&records, "good.test")).contains(&"starttls-injection"));
    let old = codes(find(&records, "old.test"));
    assert!(
        old.contains(&"old-tls-only") && old.contains(&"tls-broken"),
        "{old:?}"
    );
    for mx in bench.net.hosts() {
        let connections = mx.connections();
        assert!(
            connections
                .iter()
                .all(|c| !c.verbs().contains(&"MAIL".to_owned()))
        );
        assert!(
            connections.len() <= 12,
            "{}: {}",
            mx.name(),
            connections.len()
        );
    }
}

fn hostile() -> WorldBuilder {
    let nasty = "\u{1b}[31m\u{7}\u{9b}2J\u{202e}<script>";
    World::new()
        .domain("a.test", Script::default())
        .domain(
            "endless.test",
            Script {
                greeting: Act::Endless(b"220-never ending\r\n".to_vec()),
                ..Script::default()
            },
        )
        .domain("silent.test", Script::silent())
        .domain(
            "nasty.test",
            Script {
                greeting: Act::raw(format!("220 {nasty}\r\n")),
                ehlo: Act::raw(format!("250-{nasty}\r\n250-{nasty}\r\n250 STARTTLS\r\n")),
                starttls: Act::raw(format!("454 {nasty}\r\n")),
                ..Script::default()
            },
        )
        .certified("huge.test", |ca| {
            Script::with_identity(ca.issue(&Cert::new(["mx.huge.test"]).padded(200)))
        })
        .sts(
            "nasty.test",
            "1",
            format!("<html>{nasty}\r\nmode: {nasty}\r\n"),
        )
        .dns(move |dns| {
            dns.txt(
                "_smtp._tls.nasty.test",
                &format!("v=TLSRPTv1; rua=mailto:{nasty}"),
            );
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hosts_harm_neither_the_scanner_nor_the_terminal() {
    let bench = Bench::of(hostile()).await;
    let words = ["--timeout", "3", "--format", "json"];
    let domains = [
        "a.test",
        "endless.test",
        "silent.test",
        "nasty.test",
        "huge.test",
    ];
    let exit = bench.scan(&[&words[..], &domains].concat()).await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let lines: Vec<&str> = exit.stdout.lines().collect();
    assert_eq!(lines.len(), domains.len());
    for line in lines {
        assert!(
            line.bytes().all(|octet| (b' '..=b'~').contains(&octet)),
            "{line}"
        );
        assert!(!line.contains("\\u00") && line.len() < 20_000, "{line}");
        let record: Value = serde_json::from_str(line).unwrap();
        let class = match record["domain"].as_str().unwrap() {
            "endless.test" | "silent.test" => "could-not-test",
            "nasty.test" => {
                // 454: it may have TLS another time.
                let reason = record["reason"].as_str().unwrap();
                assert!(reason.contains("refused for now: 454 "), "{reason}");
                "could-not-test"
            }
            "huge.test" => continue, // whatever the handshake's own bound makes of it
            _ => "starttls-on-all",
        };
        assert_eq!(record["class"], class, "{record:#}");
    }
    assert!(!exit.stderr.contains('\u{1b}'), "{}", exit.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_once_more() {
    let world = World::new()
        .domain(
            "later.test",
            Script::default().on(|moment| match (moment.stage, moment.connection) {
                (support::Stage::Greeting, 0) => Act::reply(421, "4.3.2 later"),
                _ => Act::Normal,
            }),
        )
        .domain(
            "never.test",
            Script {
                greeting: (554, "5.7.1 never").into(),
                ..Script::default()
            },
        );
    let bench = Bench::of(world).await;
    let records = bench
        .records(&["--depth", "visit", "later.test", "never.test"])
        .await;
    assert_eq!(find(&records, "later.test")["class"], "starttls-on-all");
    assert_eq!(bench.net.mx("later.test").connections().len(), 2);
    let never = find(&records, "never.test");
    assert_eq!(never["class"], "could-not-test");
    assert!(
        never["reason"].as_str().unwrap().contains("5.7.1 never"),
        "{never:#}"
    );
    assert_eq!(bench.net.mx("never.test").connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_groups_and_bad_lines_are_told() {
    let world = World::new()
        .domain("a.test", Script::default())
        .domain("b.test", Script::default());
    let bench = Bench::of(world).await;
    let list = bench.directory.path().join("list.csv");
    let text = "\u{feff}domain;country\r\na.test;nl\r\n\r\n# none\r\nb.test;de\r\na.test;nl\r\na..b;nl\r\n";
    std::fs::write(&list, text).unwrap();
    let words = ["--depth", "visit", list.to_str().unwrap(), "b.test"];
    let exit = bench.scan(&words).await;
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(exit.stderr.contains("line 7: a..b: "), "{}", exit.stderr);
    let records = bench.records(&words).await;
    let told: Vec<_> = records
        .iter()
        .map(|r| (&r["domain"], &r["group"]))
        .collect();
    let (a, b) = (&Value::from("a.test"), &Value::from("b.test"));
    let (nl, de) = (&Value::from("nl"), &Value::from("de"));
    assert_eq!(told, [(a, nl), (b, de), (b, &Value::Null)]);
    for words in [
        &[][..],
        &["a..b"],
        &["--depth", "abyss", "a.test"],
        &["--file", "/nowhere"],
    ] {
        let exit = bench.scan(words).await;
        assert_eq!((exit.code, exit.stdout.as_str()), (Some(2), ""), "{exit:?}");
    }
}
