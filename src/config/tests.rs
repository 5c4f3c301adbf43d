use super::*;
use crate::policy::{MatchName, Published};
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
    assert_eq!(server.custody, Custody::Client);
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
    assert_eq!(config.default_level, Level::May);
    assert!(config.notices.is_empty());
}

/// Each case: the text (after the first line, which sets `hostname`), and what is said of it.
#[test]
fn problems_say_where_what_and_how_to_mend() {
    for (text, expected) in [
        (
            "[client]\nnetwork = []",
            "3:1: client.network: there is no key \"network\"; did you mean \"networks\"?",
        ),
        (
            "[clint]",
            "2:2: clint: there is no key \"clint\"; did you mean \"client\"?",
        ),
        (
            "[client]\nnetworks = [\"10.1.2.3/8\"]",
            "3:13: client.networks: \"10.1.2.3/8\" has bits set beyond its prefix length; write \
             \"10.0.0.0/8\", or \"10.1.2.3/32\" for the one address",
        ),
        (
            "[client]\nnetworks = [\"127.0.0.1\"]",
            "3:13: client.networks: \"127.0.0.1\" has no prefix length; write \"127.0.0.1/32\" for \
             this one address",
        ),
        (
            "[client]\nnetworks = [\"0.0.0.0/0\"]",
            "3:12: client.networks: 0.0.0.0/0 makes an open relay; name the networks of your own \
             mail servers",
        ),
        (
            "[client]\nmax_message_size = \"50MX\"",
            "3:20: client.max_message_size: \"50MX\" is no size; write octets, or as \"50MiB\"",
        ),
        (
            "[client]\nmax_message_size = \"99999999999GiB\"",
            "3:20: client.max_message_size: \"99999999999GiB\" is no size; write octets, or as \
             \"50MiB\"",
        ),
        (
            "[client]\nmax_recipients = -1",
            "3:18: client.max_recipients: cannot be -1; write a number from 0 to \
             18446744073709551615",
        ),
        (
            "[client]\nmax_sessions = 0",
            "3:16: client.max_sessions: is zero; write 1 or more",
        ),
        (
            "[client]\nidle_timeout = 5",
            "3:16: client.idle_timeout: is an integer; write a time as \"90s\" or \"9m30s\"",
        ),
        (
            "[relay]\ncustody = \"auto\"",
            "3:11: relay.custody: \"auto\" is not in this version; write \"client\"",
        ),
        (
            "[relay]\ncustody = \"queue\"",
            "3:11: relay.custody: \"queue\" is not in this version; write \"client\"",
        ),
        (
            "[relay]\ndeadline = \"1m\"",
            "3:12: relay.deadline: 1m is less than relay.reach_timeout (1m30s); raise deadline, or \
             lower reach_timeout",
        ),
        (
            "[relay]\ndot_deadline = \"2m\"",
            "3:16: relay.dot_deadline: 2m is less than relay.deadline (5m); raise dot_deadline, or \
             lower deadline",
        ),
        (
            "[relay]\nplaintext_fallback = \"delay\"",
            "3:22: relay.plaintext_fallback: cannot be \"delay\"; did you mean \"delayed\"?",
        ),
        (
            "[tls]\nmin_version = \"1.1\"",
            "3:15: tls.min_version: cannot be \"1.1\"; did you mean \"1.2\"?",
        ),
        (
            "[tls]\nclient_cert = { cert = \"/c.pem\", kye = \"/k.pem\" }",
            "3:15: tls.client_cert: has no key; write { cert = \"/PATH\", key = \"/PATH\" }\n\
             test.toml:3:34: tls.client_cert: there is no key \"kye\"; did you mean \"key\"?",
        ),
        (
            "[[listen]]\naddress = \"127.0.0.1:25\"\n[[listen]]\naddress = \"0.0.0.0:25\"",
            "5:11: listen 2: address: 127.0.0.1:25 is listened on already; give each [[listen]] an \
             address of its own",
        ),
        (
            "[[listen]]\nprotocol = \"lmtp\"",
            "2:1: listen 1: address: is missing; write address = \"127.0.0.1:2525\"",
        ),
        (
            "[[listen]]\naddress = \"127.0.0.1:25\"\nmode = \"0660\"",
            "4:8: listen 1: mode: is for unix sockets only; remove it",
        ),
        (
            "[[listen]]\naddress = \"unix:relative.sock\"",
            "3:11: listen 1: address: \"relative.sock\" is no absolute path; write the path from / \
             on",
        ),
        (
            "listen = []",
            "2:10: listen: has no listener; write a [[listen]], or leave it out",
        ),
        (
            "client = 3",
            "2:10: client: is a section, not integer; write [client] on a line of its own, its \
             keys below",
        ),
        (
            "[admin]\nlisten = \"127.0.0.1:2525\"",
            "3:10: admin.listen: 127.0.0.1:2525 is the address of a [[listen]]; give it a port of \
             its own",
        ),
        (
            "[policy]\ndefault = \"dane\"",
            "3:11: policy.default: cannot be \"dane\"; write \"may\", \"encrypt\" or \"verify\"; the \
             others need a [[rule]]",
        ),
        (
            "[policy]\npreload = [\"/etc/list.json\"]",
            "3:11: policy.preload: is not in this version; remove it",
        ),
        (
            "[policy]\ntls_policy_map = \"hash:/etc/postfix/tls_policy\"",
            "3:18: policy.tls_policy_map: \"hash:/etc/postfix/tls_policy\" is no absolute path; \
             write the path from / on",
        ),
        (
            "[tlsrpt]\nenabled = true",
            "3:11: tlsrpt.enabled: is not in this version; write false",
        ),
        (
            "[[socketmap]]\nlisten = \"unix:/run/map.sock\"",
            "3:10: socketmap 1: listen: is not in this version; remove the section",
        ),
        (
            "[store]\nurl = \"postgres://db/sealpost\"",
            "3:7: store.url: a shared database is not in this version; remove it",
        ),
        (
            "[outbound]\nport = 0",
            "3:8: outbound.port: is no port; write 1 to 65535",
        ),
        (
            "[log]\nlevel = \"verbose\"",
            "3:9: log.level: cannot be \"verbose\"; write \"error\", \"warn\", \"info\", \"debug\" or \
             \"trace\"",
        ),
    ] {
        let errors = parse(text).expect_err(text);
        assert_eq!(
            errors.to_string(),
            format!("test.toml:{expected}"),
            "{text}"
        );
    }
}

#[test]
fn rules_that_contradict_themselves_are_refused() {
    for (rule, expected) in [
        (
            "require = \"dane\"",
            "require: \"dane\" is not in this version",
        ),
        (
            "require = \"dane-only\"",
            "require: \"dane-only\" is not in this version",
        ),
        (
            "match = [\"mx.example.com\"]",
            "match: does not go with level \"may\"",
        ),
        ("require = \"verify\"\nmatch = []", "match: is empty"),
        (
            "require = \"verify\"\nmatch = [\"*.x.example\"]",
            "match: \"*.x.example\" cannot be matched",
        ),
        (
            "require = \"fingerprint\"",
            "fingerprints: level \"fingerprint\" needs at least one",
        ),
        (
            "require = \"fingerprint\"\nfingerprints = []",
            "fingerprints: level \"fingerprint\" needs",
        ),
        (
            "require = \"fingerprint\"\nfingerprints = [\"cert-sha256:00\"]",
            "fingerprints: \"cert-sha256:00\" has no SHA-256 digest",
        ),
        (
            "require = \"verify\"\nfingerprints = [\"spki-sha256:00\"]",
            "fingerprints: does not go with level \"verify\"",
        ),
        (
            "require = \"may\"\nmin_version = \"1.3\"",
            "min_version: binds only where TLS is mandatory",
        ),
        (
            "require = \"none\"\npublished = \"honor\"",
            "published: cannot be \"honor\"",
        ),
        (
            "require = \"none\"\nnext_hop = \"[a.example]:465\"",
            "next_hop: port 465 is TLS",
        ),
        (
            "require = \"verify\"\nnext_hop = \"[192.0.2.1]\"",
            "next_hop: an address has no name",
        ),
        (
            "require = \"verify\"\nclient_cert = true",
            "client_cert: there is no client certificate",
        ),
        (
            "require = \"encrypted\"",
            "require: cannot be \"encrypted\"; did you mean \"encrypt\"?",
        ),
        ("name = \"a b\"", "name: is no name for a metric"),
        (
            "next_hop = \"[mx.example.com\"",
            "next_hop: \"[mx.example.com\": the opening bracket",
        ),
    ] {
        let errors =
            parse(&format!("[[rule]]\ndomains = [\"a.example\"]\n{rule}")).expect_err(rule);
        let first = &errors.0[0];
        assert!(
            first.to_string().contains(&format!("rule 1: {expected}")),
            "{rule}: {errors}"
        );
        assert!(
            first.place.is_some_and(|place| place.line != 3),
            "{rule}: {errors}"
        );
    }
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
    let rule = config.rules.find(&name("www.gov.example")).unwrap();
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
    assert!(config.rules.find(&name("gov.example")).is_none());
    let none = config.rules.find(&name("old.example")).unwrap();
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
    let rule = config.rules.find(&name("a.example")).unwrap();
    assert_eq!(
        (rule.require, rule.published),
        (Some(Level::Encrypt), Published::Ignore)
    );
    assert_eq!(rule.origin, format!("{path}:2"));
    assert!(config.rules.find(&name("x.b.example")).is_some());
    assert_eq!(
        config.notices,
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
fn an_entry_for_a_next_hop_binds_the_rule_that_routes_there() {
    let map = "[mx.example.com]:587 secure match=mx.example.com\n[unused.example] may\n";
    let rule = "[[rule]]\ndomains = [\"a.example\"]\nnext_hop = \"[mx.example.com]:587\"\n";
    let (path, config) = with_map(map, rule);
    let config = config.unwrap();
    let found = config.rules.find(&name("a.example")).unwrap();
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
            rules: Rules::default(), // a rule's origin is its line
            shown: String::new(),
            ..config.clone()
        };
        assert_eq!(bare(&again), bare(&config));
    }
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

/// The shipped file with its optional settings (`#key = value`) switched on has every known key.
#[test]
fn the_shipped_file_has_every_key() {
    let shipped = include_str!("../../config/sealpost.toml");
    let everything: String = shipped
        .lines()
        .map(|line| {
            let optional = line.strip_prefix('#');
            let optional =
                optional.filter(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '['));
            format!("{}\n", optional.unwrap_or(line))
        })
        .collect();
    let source = Source::new(ORIGIN, &everything);
    read(&source, &everything, &|| Err("not needed".to_owned()));
    let problems = source.problems.take();
    let unexpected: Vec<_> = problems
        .iter()
        .filter(|p| !p.what.contains("not in this version") && !p.what.contains("cannot be opened"))
        .map(ToString::to_string)
        .collect();
    assert_eq!(unexpected, Vec::<String>::new());
    let document = DeTable::parse(&everything).unwrap();
    let mut missing = Vec::new();
    for known in source.known.borrow().iter() {
        let mut keys = known.split('.');
        let first = keys.next().unwrap();
        let Some(item) = document.get_ref().get(first) else {
            missing.push(known.clone());
            continue;
        };
        let Some(key) = keys.next() else { continue };
        let has = match item.get_ref() {
            toml::de::DeValue::Array(array) => array
                .iter()
                .any(|t| t.get_ref().as_table().is_some_and(|t| t.contains_key(key))),
            value => value.as_table().is_some_and(|t| t.contains_key(key)),
        };
        if !has {
            missing.push(known.clone());
        }
    }
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "keys that the shipped file does not have"
    );
    assert!(source.known.borrow().len() > 80, "{:?}", source.known);
}

/// The shipped file sets nothing but defaults, save its two listeners.
#[test]
fn the_shipped_file_says_what_the_defaults_are() {
    let shipped = include_str!("../../config/sealpost.toml");
    let shipped = parse(shipped).unwrap_or_else(|e| panic!("{e}"));
    let [smtp, lmtp] = shipped.listeners.as_slice() else {
        panic!("{:?}", shipped.listeners)
    };
    assert_eq!(
        (smtp.protocol, lmtp.protocol),
        (Protocol::Smtp, Protocol::Lmtp)
    );
    assert_eq!(
        lmtp.address,
        ListenAddress::Tcp("127.0.0.1:2424".parse().unwrap())
    );
    let default = parse("").unwrap();
    assert_eq!(*smtp, default.listeners[0]);
    let of = |config: &Config| Config {
        listeners: Vec::new(),
        shown: String::new(),
        ..config.clone()
    };
    assert_eq!(of(&shipped), of(&default));
    let after_listeners = |config: &Config| {
        let at = config.shown.find("[client]").unwrap();
        config.shown[at..].to_owned()
    };
    assert_eq!(after_listeners(&shipped), after_listeners(&default));
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
