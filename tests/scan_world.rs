//! A survey of thousands of domains on five hundred MX hosts whose properties are known gives exactly the known
//! statistics. What is expected is computed here, from how the world was drawn, and not by Sealpost.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod support;

use lab::Internet;
use lab::ca::{Cert, Key};
use lab::mx::{Tls, Versions};
use lab::sts::PolicyScript;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use support::sts::WEEK;
use support::{Daemon, Script, World, policy};

/// Environment: how many domains; `make bench` takes 10,000.
const DOMAINS: &str = "SEALPOST_SCAN_DOMAINS";
const USUAL: usize = 1_500;
const HOSTS: usize = 500;
const SEED: u64 = 0x5ea1_9057;
const GROUPS: [&str; 4] = ["banks", "hospitals", "public", "schools"];
/// Domains with MTA-STS, one in so many.
const STS: usize = 20;
/// Handshakes of a survey with one host.
const MOST_CONNECTIONS: usize = 4;

/// A kind of MX host: what is known of it.
struct Kind {
    name: &'static str,
    starttls: &'static str,
    /// With TLS: best version, verification by its rank, key.
    tls: Option<(&'static str, (u8, &'static str), &'static str)>,
    dane: &'static str,
}

const fn kind(
    name: &'static str,
    version: &'static str,
    verification: (u8, &'static str),
    key: &'static str,
) -> Kind {
    Kind {
        name,
        starttls: "works",
        tls: Some((version, verification, key)),
        dane: "none",
    }
}

const VALID: (u8, &str) = (0, "valid");

const KINDS: [Kind; 10] = [
    kind("good", "TLS 1.3", VALID, "P-256"),
    Kind {
        dane: "valid",
        ..kind("dane", "TLS 1.3", VALID, "P-256")
    },
    Kind {
        dane: "TLSA that does not match",
        ..kind("wrong", "TLS 1.3", VALID, "P-256")
    },
    kind("old", "TLS 1.2", VALID, "RSA 2048"),
    kind("new", "TLS 1.3", VALID, "P-384"),
    Kind {
        name: "clear",
        starttls: "not offered",
        tls: None,
        dane: "none",
    },
    kind("expired", "TLS 1.3", (5, "expired"), "P-256"),
    kind("selfsigned", "TLS 1.3", (3, "self-signed"), "P-256"),
    kind("othername", "TLS 1.3", (1, "name mismatch"), "P-256"),
    Kind {
        name: "down",
        starttls: "could not test",
        tls: None,
        dane: "none",
    },
];

/// A domain as it was drawn.
struct Domain {
    name: String,
    group: &'static str,
    mail: Mail,
    sts: Option<&'static str>,
}

enum Mail {
    /// The numbers of its hosts.
    Hosts(Vec<usize>),
    NullMx,
    NoSuchDomain,
}

fn draw(domains: usize) -> Vec<Domain> {
    let mut random = fastrand::Rng::with_seed(SEED);
    (0..domains)
        .map(|number| {
            let mail = match random.u32(0..100) {
                0..3 => Mail::NullMx,
                3..5 => Mail::NoSuchDomain,
                _ => {
                    let count = random.usize(1..=3);
                    let hosts: BTreeSet<usize> =
                        (0..count).map(|_| random.usize(0..HOSTS)).collect();
                    Mail::Hosts(hosts.into_iter().collect())
                }
            };
            let sts = match (number % STS, &mail) {
                (0, Mail::Hosts(_)) => Some(*random.choice(&["enforce", "testing"]).unwrap()),
                _ => None,
            };
            let zone = random.choice(["signed.test", "unsigned.test"]).unwrap();
            Domain {
                name: format!("d{number}.{zone}"),
                group: random.choice(GROUPS).unwrap(),
                mail,
                sts,
            }
        })
        .collect()
}

fn kind_of(host: usize) -> &'static Kind {
    &KINDS[host % KINDS.len()]
}

fn host_name(host: usize) -> String {
    format!("mx{host}.{}.hosts.test", kind_of(host).name)
}

fn script(net: &Internet, kind: &Kind) -> Script {
    let cert = Cert::new([format!("*.{}.hosts.test", kind.name)]);
    let issue = |cert: Cert| Script::with_identity(net.ca.issue(&cert));
    let only = |versions, key| {
        let script = issue(cert.clone().key(key));
        let tls = Tls {
            versions,
            ..script.tls
        };
        Script { tls, ..script }
    };
    match kind.name {
        "old" => only(Versions::Only12, Key::Rsa2048),
        "new" => only(Versions::Only13, Key::P384),
        "clear" => Script::no_starttls(),
        "expired" => issue(cert.expired()),
        "selfsigned" => issue(cert.self_signed()),
        "othername" => issue(Cert::new(["elsewhere.test"])),
        "down" => Script::refused(),
        _ => issue(cert),
    }
}

async fn build(net: &mut Internet, domains: &[Domain]) {
    for zone in ["hosts.test", "signed.test"] {
        net.dns.secure(zone);
    }
    let (port, other) = (net.ports.port(), net.ca.identity("other.test"));
    for kind in &KINDS {
        let script = script(net, kind);
        net.host(&format!("lab-{}.test", kind.name), script)
            .await
            .unwrap();
    }
    for host in 0..HOSTS {
        let (kind, name) = (kind_of(host), host_name(host));
        let lab = net.mx(&format!("lab-{}.test", kind.name));
        net.dns.address_of(&name, lab.address().ip());
        match kind.name {
            "dane" => {
                net.dns.tlsa(&name, port, "3 1 1", lab.identity().leaf());
            }
            "wrong" => {
                net.dns.tlsa(&name, port, "3 1 1", other.leaf());
            }
            _ => {}
        }
    }
    for domain in domains {
        match &domain.mail {
            Mail::Hosts(hosts) => {
                for host in hosts {
                    net.dns.mx(&domain.name, 10, &host_name(*host));
                }
            }
            Mail::NullMx => {
                net.dns.null_mx(&domain.name);
            }
            Mail::NoSuchDomain => {}
        }
    }
    let patterns: Vec<String> = KINDS
        .iter()
        .map(|kind| format!("*.{}.hosts.test", kind.name))
        .collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    for mode in ["enforce", "testing"] {
        let with = domains.iter().filter(|domain| domain.sts == Some(mode));
        let names: Vec<&str> = with.map(|domain| &*domain.name).collect();
        for name in &names {
            net.sts_record(name, "v=STSv1; id=1;");
        }
        let script = PolicyScript::policy(&policy(mode, &patterns, WEEK));
        net.policy_host_of_many(&names, script).await.unwrap();
    }
}

/// Chart, group (`None`: all), part: how often.
type Expected =
    BTreeMap<(&'static str, &'static str, Option<&'static str>), BTreeMap<&'static str, u64>>;

#[derive(Default)]
struct Oracle {
    expected: Expected,
    hosts: BTreeSet<(Option<&'static str>, usize)>,
}

impl Oracle {
    fn count(
        &mut self,
        subject: &'static str,
        property: &'static str,
        group: Option<&'static str>,
        part: &'static str,
    ) {
        *self
            .expected
            .entry((subject, property, group))
            .or_default()
            .entry(part)
            .or_default() += 1;
    }

    fn domain(&mut self, domain: &Domain) {
        let Mail::Hosts(hosts) = &domain.mail else {
            for group in [None, Some(domain.group)] {
                self.count("domains", "starttls", group, "takes no mail");
            }
            return;
        };
        let kinds: Vec<&Kind> = hosts.iter().map(|host| kind_of(*host)).collect();
        for group in [None, Some(domain.group)] {
            self.count("domains", "starttls", group, class(&kinds));
            self.count("domains", "dane", group, dane(&kinds));
            self.count("domains", "mta-sts", group, domain.sts.unwrap_or("none"));
            if let Some((version, verification, keys)) = tls(&kinds) {
                self.count("domains", "best-version", group, version);
                self.count("domains", "verification", group, verification);
                for key in keys {
                    self.count("domains", "keys", group, key);
                }
            }
            for host in hosts {
                if self.hosts.insert((group, *host)) {
                    self.host(kind_of(*host), group);
                }
            }
        }
    }

    fn host(&mut self, kind: &Kind, group: Option<&'static str>) {
        self.count("hosts", "starttls", group, kind.starttls);
        self.count("hosts", "dane", group, kind.dane);
        if let Some((version, (_, verification), key)) = kind.tls {
            self.count("hosts", "best-version", group, version);
            self.count("hosts", "verification", group, verification);
            self.count("hosts", "keys", group, key);
            self.count("hosts", "forward-secrecy", group, "yes");
            if kind.name != "new" {
                self.count("hosts", "versions", group, "TLS 1.2");
            }
            if kind.name != "old" {
                self.count("hosts", "versions", group, "TLS 1.3");
            }
        }
    }
}

fn class(kinds: &[&Kind]) -> &'static str {
    let with = kinds.iter().filter(|kind| kind.starttls == "works").count();
    let without = kinds
        .iter()
        .filter(|kind| kind.starttls == "not offered")
        .count();
    match (with, without) {
        (0, 0) => "could not test",
        (_, 0) => "on all MX",
        (0, _) => "on no MX",
        _ => "on some MX",
    }
}

fn dane(kinds: &[&Kind]) -> &'static str {
    let of = |name: &str| kinds.iter().filter(|kind| kind.name == name).count();
    match (of("wrong"), of("dane")) {
        (1.., _) => "TLSA that does not match",
        (0, 0) => "none",
        (0, valid) if valid == kinds.len() => "valid on all MX",
        (0, _) => "valid on some MX",
    }
}

/// The worst version and verification, and all keys, of the hosts with TLS.
fn tls(kinds: &[&Kind]) -> Option<(&'static str, &'static str, BTreeSet<&'static str>)> {
    let with: Vec<_> = kinds.iter().filter_map(|kind| kind.tls).collect();
    let version = with.iter().map(|(version, ..)| *version).min()?;
    let (_, verification) = with
        .iter()
        .map(|(_, verification, _)| *verification)
        .max()?;
    Some((
        version,
        verification,
        with.iter().map(|(_, _, key)| *key).collect(),
    ))
}

fn counted(
    statistics: &Value,
    (subject, property, group): (&str, &str, Option<&str>),
) -> BTreeMap<String, u64> {
    let of = match group {
        Some(group) => &statistics["groups"][group],
        None => &statistics["all"],
    };
    let charts = of["charts"].as_array().unwrap().iter();
    let mut chart =
        charts.filter(|chart| chart["subject"] == subject && chart["property"] == property);
    let parts = chart
        .next()
        .map(|chart| chart["parts"].as_array().unwrap().as_slice());
    let parts = parts.unwrap_or_default().iter();
    parts
        .map(|part| {
            (
                part["label"].as_str().unwrap().to_owned(),
                part["count"].as_u64().unwrap(),
            )
        })
        .collect()
}

/// `sealpost scan` of these domains: its statistics.
async fn scan(config: &str, domains: &[Domain]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (config_file, list_file) = (file("sealpost.toml"), file("domains.csv"));
    let kept_file = file("kept.json");
    let config = config.replace("STATE", &directory.path().display().to_string());
    std::fs::write(&config_file, config).unwrap();
    let list = domains.iter().fold(String::new(), |mut list, domain| {
        writeln!(list, "{},{}", domain.name, domain.group).unwrap();
        list
    });
    std::fs::write(&list_file, list).unwrap();
    let scan = move || {
        let words = ["scan", "--config", &config_file, &list_file];
        let pace = [
            "--retry-after",
            "0",
            "--concurrency",
            "64",
            "--resume",
            &kept_file,
        ];
        Daemon::command(&[&words[..], &pace, &["--format", "statistics"]].concat())
    };
    let began = std::time::Instant::now();
    let exit = tokio::task::spawn_blocking(scan).await.unwrap();
    eprintln!("{} domains in {:?}", domains.len(), began.elapsed());
    assert_eq!((exit.code, &*exit.stderr), (Some(0), ""), "{exit:?}");
    classes_are_right(
        &std::fs::read_to_string(file("kept.json")).unwrap(),
        domains,
    );
    serde_json::from_str(&exit.stdout).unwrap()
}

/// Each domain for itself; what is wrong shows its record.
fn classes_are_right(records: &str, domains: &[Domain]) {
    let mut left: BTreeMap<&str, &str> = domains
        .iter()
        .map(|domain| {
            let class = match &domain.mail {
                Mail::Hosts(hosts) => {
                    class(&hosts.iter().map(|host| kind_of(*host)).collect::<Vec<_>>())
                }
                Mail::NullMx | Mail::NoSuchDomain => "takes no mail",
            };
            (&*domain.name, class)
        })
        .collect();
    for line in records.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let expected = left.remove(record["domain"].as_str().unwrap());
        let found = match record["class"].as_str().unwrap() {
            "starttls-on-all" => "on all MX",
            "starttls-on-some" => "on some MX",
            "no-starttls" => "on no MX",
            "no-mail" => "takes no mail",
            _ => "could not test",
        };
        assert_eq!(Some(found), expected, "{line}");
    }
    assert_eq!(left, BTreeMap::new(), "every domain has a record");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_world_gives_exactly_the_known_statistics() {
    let domains = std::env::var(DOMAINS).map_or(USUAL, |number| number.parse().unwrap());
    let domains = draw(domains);
    // Patience with DNS: what is lost or slow here is this machine's, and an answer that fails is not a known property.
    let builder = World::new().config("dns.timeout = '30s'");
    let (mut net, config) = builder.prepare().await;
    build(&mut net, &domains).await;
    let statistics = scan(&config, &domains).await;

    let mut oracle = Oracle::default();
    for domain in &domains {
        oracle.domain(domain);
    }
    assert!(
        oracle.expected.len() > 60,
        "every chart of every group is compared"
    );
    for (chart, expected) in &oracle.expected {
        let expected = expected.iter().map(|(part, n)| ((*part).to_owned(), *n));
        let expected: BTreeMap<String, u64> = expected.collect();
        assert_eq!(counted(&statistics, *chart), expected, "{chart:?}");
    }
    for group in GROUPS {
        let of = domains
            .iter()
            .filter(|domain| domain.group == group)
            .count();
        let hosts = oracle
            .hosts
            .iter()
            .filter(|(of, _)| *of == Some(group))
            .count();
        let told = &statistics["groups"][group];
        assert_eq!(
            (&told["domains"], &told["mx_hosts"]),
            (&of.into(), &hosts.into())
        );
    }
    assert_eq!(statistics["all"]["domains"], domains.len());
    for kind in &KINDS {
        let of_kind = |(group, host): &&(Option<&str>, usize)| {
            group.is_none() && kind_of(*host).name == kind.name
        };
        visited_politely(&net, kind, oracle.hosts.iter().filter(of_kind).count());
    }
}

/// Each host was visited once, however many domains have it, and nobody sent mail.
fn visited_politely(net: &Internet, kind: &Kind, hosts: usize) {
    let mx = net.mx(&format!("lab-{}.test", kind.name));
    let connections = mx.connections();
    let most = hosts * MOST_CONNECTIONS;
    let made = connections.len();
    assert!(made <= most, "{}: {made} of {most}", kind.name);
    assert_eq!(made >= hosts, kind.name != "down", "{}", kind.name);
    let verbs = connections.iter().flat_map(|connection| connection.verbs());
    assert_eq!(
        verbs.filter(|verb| verb == "MAIL").count(),
        0,
        "{}",
        kind.name
    );
}
