mod mistakes;
mod shipped;

use super::*;
use crate::policy::{Level, MatchName, Published, Rules, TlsVersion};
use crate::relay::Custody;
use crate::server::{ListenAddress, Protocol};
use proptest::prelude::*;
use std::time::Duration;

const ORIGIN: &str = "test.toml";

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::from_str(&format!("hostname = \"relay.example.net\"\n{text}"), ORIGIN)
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

#[test]
fn an_empty_file_gives_the_documented_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/sealpost"));
    assert_eq!(config.store, Path::new("/var/lib/sealpost/sealpost.db"));
    let [listener] = config.listeners.as_slice() else {
        panic!("{:?}", config.listeners)
    };
    assert_eq!(
        listener.address,
        ListenAddress::Tcp("127.0.0.1:2525".parse().unwrap())
    );
    assert_eq!(listener.protocol, Protocol::Smtp);
    let server = &config.server;
    assert_eq!(format!("{:?}", server.networks), "[127.0.0.0/8, ::1/128]");
    assert_eq!(server.max_message_size, 50 * 1024 * 1024);
    assert_eq!(
        (server.max_sessions, server.max_recipients, server.hop_limit),
        (1000, 1000, 50)
    );
    assert_eq!(server.custody, Custody::Auto);
    let delivery = &config.delivery;
    assert_eq!(delivery.reach_timeout, Duration::from_secs(90));
    assert_eq!(delivery.deadline, Duration::from_secs(300));
    assert_eq!(delivery.dot_deadline, Duration::from_secs(570));
    assert_eq!(
        (delivery.max_connections, delivery.max_connections_per_mx),
        (500, 20)
    );
    assert_eq!(config.discovery.blocked_networks.len(), 7);
    assert_eq!(config.discovery.own_names, [name("relay.example.net")]);
    assert_eq!(config.admin.listen, Some("127.0.0.1:9825".parse().unwrap()));
    assert_eq!(config.policy.default, Level::May);
    assert!(config.notices.is_empty());
}

#[test]
fn two_rules_for_one_domain_are_refused_and_both_places_named() {
    let errors = parse(
        "[[rule]]\ndomains = [\"a.example\"]\nrequire = \"verify\"\n\
         [[rule]]\ndomains = [\"b.example\", \"A.example.\"]\nrequire = \"may\"",
    )
    .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "test.toml:6:11: rule 2: domains: a.example has a rule already (test.toml:2); name each \
         domain in one rule only"
    );
}

#[test]
fn every_problem_is_reported_in_the_order_of_the_file() {
    let errors = parse(
        "statedir = \"/x\"\n[log]\nlevel = 3\n[client]\nnetworks = [\"x\", \"::1/128\", \"y\"]\n\
         [relay]\ndeadline = \"soon\"",
    )
    .unwrap_err();
    let places: Vec<_> = errors
        .0
        .iter()
        .map(|p| (p.place.unwrap().line, p.key.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (2, "statedir"),
            (4, "log.level"),
            (6, "client.networks"),
            (6, "client.networks"),
            (8, "relay.deadline"),
        ]
    );
}

#[test]
fn a_hostname_must_be_qualified() {
    let errors = Config::from_str("hostname = \"mx\"", ORIGIN).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "test.toml:1:12: hostname: \"mx\" is not fully qualified; write it with its domain, as \
         \"mx.example.net\""
    );
    let read = |fqdn: &dyn Fn() -> Result<DomainName, String>| {
        let source = Source::new(ORIGIN, "");
        let config = read(&source, "", fqdn);
        let problems: Vec<String> = source
            .problems
            .take()
            .iter()
            .map(ToString::to_string)
            .collect();
        (config.map(|c| c.hostname), problems.join("\n"))
    };
    let (found, problems) = read(&|| Ok(name("mx.example.net")));
    assert_eq!(
        (found, problems.as_str()),
        (Some(name("mx.example.net")), "")
    );
    let (found, problems) = read(&|| Err("nobody knows".to_owned()));
    assert_eq!(found, None);
    assert!(
        problems.contains("hostname: is not set, and nobody knows; write"),
        "{problems}"
    );
}

#[test]
fn times_and_sizes_are_strict_and_cannot_overflow() {
    for (text, expected) in [
        ("90s", Some(90_000)),
        ("9m30s", Some(570_000)),
        ("1d2h3m4s5ms", Some(93_784_005)),
        ("100ms", Some(100)),
        ("", None),
        ("90", None),
        ("s", None),
        ("30s9m", None), // the greatest unit first
        ("1m1m", None),
        ("1 m", None),
        ("-1s", None),
        ("1.5s", None),
        ("1M", None),
        ("99999999999999999999s", None),
        ("18446744073709551615d", None),
        ("36525d", Some(36_525 * 86_400_000)),
        ("36525d1ms", None),
    ] {
        let text = format!("[client]\nidle_timeout = \"{text}\"");
        let got = parse(&text).ok().map(|c| c.server.idle_timeout.as_millis());
        assert_eq!(got, expected, "{text}");
    }
    for (text, expected) in [
        ("\"1KiB\"", Some(1024)),
        ("\"10MB\"", Some(10_000_000)),
        ("4096", Some(4096)),
        ("0x10", Some(16)),
        ("\"12\"", None), // a unit, or a number
        ("\"1kib\"", None),
        ("\"17179869184GiB\"", None),
        ("1.5", None),
    ] {
        let text = format!("[client]\nmax_message_size = {text}");
        assert_eq!(
            parse(&text).ok().map(|c| c.server.max_message_size),
            expected,
            "{text}"
        );
    }
}

#[test]
fn rules_become_settings() {
    let config = parse(
        "[tls]\nclient_cert = { cert = \"/c\", key = \"/k\" }\n\
         [[rule]]\ndomains = [\"bank.example\", \"*.gov.example\"]\nrequire = \"verify\"\n\
         match = [\"mx.example.com\", \".example.net\", \"nexthop\"]\nmin_version = \"1.3\"\n\
         published = \"ignore\"\non_failure = \"reject\"\nname = \"partner-bank\"\n\
         client_cert = true\nnext_hop = \"[mx.example.com]:587\"\n\
         [[rule]]\ndomains = [\"old.example\"]\nrequire = \"none\"",
    )
    .unwrap();
    let rule = config.policy.rules.find(&name("www.gov.example")).unwrap();
    assert_eq!(rule.require, Some(Level::Verify));
    assert_eq!(rule.origin, "test.toml:4");
    assert_eq!(
        rule.match_names,
        [
            MatchName::Name(name("mx.example.com")),
            MatchName::Below(name("example.net")),
            MatchName::NextHop
        ]
    );
    assert_eq!(rule.min_version, Some(TlsVersion::V1_3));
    assert_eq!(rule.name.as_deref(), Some("partner-bank"));
    assert!(config.policy.rules.find(&name("gov.example")).is_none());
    let none = config.policy.rules.find(&name("old.example")).unwrap();
    assert_eq!(none.published, Published::Ignore, "implied by level none");
}

fn with_map(map: &str, text: &str) -> (String, Result<Config, ConfigErrors>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), map).unwrap();
    let path = file.path().display().to_string();
    let config = parse(&format!("[policy]\ntls_policy_map = \"{path}\"\n{text}"));
    (path, config)
}

#[test]
fn a_postfix_map_becomes_rules_that_replace_what_is_published() {
    let (path, config) = with_map("# ours\na.example encrypt\n.b.example may\n", "");
    let config = config.unwrap();
    let rule = config.policy.rules.find(&name("a.example")).unwrap();
    assert_eq!(
        (rule.require, rule.published),
        (Some(Level::Encrypt), Published::Ignore)
    );
    assert_eq!(rule.origin, format!("{path}:2"));
    assert!(config.policy.rules.find(&name("x.b.example")).is_some());
    assert_eq!(
        config.replacements,
        [
            format!(
                "{path}:2: a.example encrypt: replaces what the domain publishes (DANE, MTA-STS)"
            ),
            format!("{path}:3: .b.example may: replaces what the domain publishes (DANE, MTA-STS)"),
        ]
    );
}

#[test]
fn a_domain_in_both_files_is_a_contradiction_that_names_both_places() {
    let (path, config) = with_map("\na.example may\n", "[[rule]]\ndomains = [\"a.example\"]");
    assert_eq!(
        config.unwrap_err().to_string(),
        format!("{path}:2: a.example has a rule already (test.toml:4); keep one of them")
    );
}

#[test]
fn an_entry_for_an_address_binds_mail_to_its_literal() {
    let (_, config) = with_map("[192.0.2.1] encrypt\n[192.0.2.1]:587 may\n", "");
    let config = config.unwrap();
    let demand = |ip: &str| crate::policy::Demand {
        recipient_domain: None,
        next_hop: crate::names::NextHop::Literal(ip.parse().unwrap()),
        published: Published::Honor,
    };
    let rule = config
        .policy
        .rules
        .for_demand(&demand("192.0.2.1"))
        .unwrap();
    assert_eq!(rule.require, Some(Level::Encrypt));
    assert_eq!(config.policy.rules.for_demand(&demand("192.0.2.2")), None);
    assert_eq!(config.notices.len(), 1, "{:?}", config.notices);
}

#[test]
fn postfix_may_ask_for_an_entry_that_no_rule_routes_to() {
    let map = "[mx.example.com]:587 encrypt\n";
    let (_, config) = with_map(map, "[[socketmap]]\nlisten = \"127.0.0.1:2526\"\n");
    let config = config.unwrap();
    let hop = crate::names::RuleNextHop::parse("[mx.example.com]:587").unwrap();
    let rule = config.policy.rules.for_next_hop(&hop).unwrap();
    assert_eq!(rule.require, Some(Level::Encrypt));
    assert_eq!(config.notices, Vec::<String>::new());
}

#[test]
fn an_entry_for_a_next_hop_binds_the_rule_that_routes_there() {
    let map = "[mx.example.com]:587 secure match=mx.example.com\n[unused.example] may\n";
    let rule = "[[rule]]\ndomains = [\"a.example\"]\nnext_hop = \"[mx.example.com]:587\"\n";
    let (path, config) = with_map(map, rule);
    let config = config.unwrap();
    let found = config.policy.rules.find(&name("a.example")).unwrap();
    assert_eq!(found.require, Some(Level::Secure));
    assert_eq!(found.match_names, [MatchName::Name(name("mx.example.com"))]);
    assert_eq!(
        config.notices,
        [format!(
            "{path}:2: no [[rule]] has next_hop = \"[unused.example]\"; the entry has no effect"
        )]
    );
    let (path, config) = with_map(map, &format!("{rule}require = \"may\""));
    assert_eq!(
        config.unwrap_err().to_string(),
        format!(
            "test.toml:6:12: rule 1: next_hop: [mx.example.com]:587 has an entry of its own \
             ({path}:1); say what TLS must be there in one place only"
        )
    );
}

#[test]
fn what_is_shown_reads_as_the_same_configuration() {
    for text in [
        "",
        "[[listen]]\naddress = \"unix:/run/a.sock\"\nprotocol = \"lmtp\"\nmode = \"0660\"\n\
         [[listen]]\naddress = \"[::1]:25\"\ntls = { cert = \"/c\\\"\", key = \"/k\" }\n\
         [dns]\nservers = [\"192.0.2.1\"]\n[tls]\nroots = [\"/a.pem\"]\n[admin]\nlisten = \"off\"\n\
         [client]\nmax_message_size = 1001\n[outbound]\nassume_8bit = true\n\
         [[rule]]\ndomains = [\"*.a.example\"]\nrequire = \"fingerprint\"\n\
         fingerprints = [\"spki-sha256:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\"]",
        "[[rule]]\ndomains = [\"b.example\"]\nrequire = \"none\"\n[[rule]]\ndomains = [\"c.example\"]",
    ] {
        let config = parse(text).unwrap();
        let again = Config::from_str(config.show(), ORIGIN);
        let again = again.unwrap_or_else(|e| panic!("{e}\n{}", config.show()));
        assert_eq!(again.show(), config.show());
        let bare = |config: &Config| Config {
            policy: PolicySettings {
                rules: Rules::default(), // a rule's origin is its line
                ..config.policy.clone()
            },
            shown: String::new(),
            ..config.clone()
        };
        assert_eq!(bare(&again), bare(&config));
    }
}

#[test]
fn a_plain_next_hop_falls_back_to_its_parents_as_in_postfix() {
    let map = "relay.example encrypt\n.provider.example verify\n";
    for (hop, expected) in [
        ("relay.example", Some(Level::Encrypt)),
        ("out.provider.example", Some(Level::Verify)),
        ("provider.example", None),
        ("relay.example:26", None), // with a port only the same port is found
        ("[relay.example]", None),
    ] {
        let rule = format!("[[rule]]\ndomains = [\"a.example\"]\nnext_hop = \"{hop}\"");
        let config = with_map(map, &rule).1.unwrap();
        assert_eq!(
            config
                .policy
                .rules
                .find(&name("a.example"))
                .unwrap()
                .require,
            expected,
            "{hop}"
        );
    }
}

#[test]
fn of_very_many_problems_the_first_are_reported() {
    let text: String = (0..5000).map(|i| format!("unknown_{i} = 1\n")).collect();
    assert_eq!(parse(&text).unwrap_err().0.len(), problems::MAX_PROBLEMS);
    let broken = "a = = 1\n".repeat(5000);
    assert!(parse(&broken).unwrap_err().0.len() <= problems::MAX_PROBLEMS);
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let errors = Config::load(Path::new("/nonexistent/sealpost.toml")).unwrap_err();
    assert!(
        errors
            .to_string()
            .starts_with("/nonexistent/sealpost.toml: cannot be opened: ")
    );
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}") {
        let _ = Config::from_str(&text, ORIGIN);
    }

    #[test]
    fn the_shipped_file_damaged_anywhere_never_panics(at in 0_usize..20_000, octet in ".") {
        let shipped = include_str!("../../config/sealpost.toml");
        let mut at = at.min(shipped.len());
        while !shipped.is_char_boundary(at) {
            at -= 1;
        }
        let _ = Config::from_str(&shipped[..at], ORIGIN);
        let _ = Config::from_str(&format!("{}{octet}{}", &shipped[..at], &shipped[at..]), ORIGIN);
    }

    #[test]
    fn random_values_never_panic(value in "[-+0-9a-z.:/*\\[\\]_]{0,40}") {
        let text = format!(
            "[client]\nnetworks = [\"{value}\"]\nidle_timeout = \"{value}\"\nmax_message_size = \"{value}\"\n\
             [[listen]]\naddress = \"{value}\"\nmode = \"{value}\"\n[[rule]]\ndomains = [\"{value}\"]\n\
             match = [\"{value}\"]\nfingerprints = [\"{value}\"]\nnext_hop = \"{value}\""
        );
        prop_assert!(parse(&text).is_err() || value.is_empty());
    }
}
