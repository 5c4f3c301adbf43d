use super::*;
use crate::names::{DomainName, MxHost, NextHop, RuleNextHop};
use crate::policy::{
    Authentication, CertificateProblem, ClientCertificate, DaneTrust, Encryption, Fingerprint,
    MatchName, ReferenceName, Rule, StsFinding, TlsFailure, TlsRequirement, TlsaFinding,
};

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn rule() -> Rule {
    Rule {
        origin: "rule 1".into(),
        name: None,
        require: None,
        match_names: Vec::new(),
        fingerprints: Vec::new(),
        min_version: None,
        published: Published::Honor,
        next_hop: None,
        on_failure: OnFailure::Defer,
        enforce: Enforce::Yes,
        client_certificate: ClientCertificate::Withhold,
    }
}

fn rules(rule: Rule) -> Rules {
    let mut rules = Rules::default();
    rules
        .add_exact(name("example.com"), Arc::new(rule))
        .unwrap();
    rules
}

/// Mail for example.com, whose MX is mx.example.net.
struct Case {
    demand: Demand,
    host: HostFacts,
    default: Level,
    min_version: TlsVersion,
    dane: Published,
    mta_sts: Published,
}

impl Case {
    fn new() -> Self {
        Self {
            demand: Demand {
                recipient_domain: Some(name("example.com")),
                next_hop: NextHop::Domain(name("example.com")),
                published: Published::Honor,
            },
            host: HostFacts {
                host: Some(MxHost(name("mx.example.net"))),
                next_hop_expanded: None,
                trust: DaneTrust::Full,
                tlsa: TlsaFinding::NotSought,
                sts: StsFinding::NotSought,
            },
            default: Level::May,
            min_version: TlsVersion::V1_2,
            dane: Published::Honor,
            mta_sts: Published::Honor,
        }
    }

    /// As if a rule or an address literal routed the mail.
    fn routed(hop: NextHop, host: Option<&str>) -> Self {
        let mut case = Self::new();
        if matches!(hop, NextHop::Literal(_)) {
            case.demand.recipient_domain = None;
        }
        case.demand.next_hop = hop;
        case.host.host = host.map(|host| MxHost(name(host)));
        case
    }

    fn verdict(&self, rules: &Rules) -> HostVerdict {
        for_host(&self.demand, &self.host, &self.settings(rules))
    }

    fn settings(&self, rules: &Rules) -> PolicySettings {
        PolicySettings {
            rules: rules.clone(),
            default: self.default,
            min_version: self.min_version,
            dane: self.dane,
            mta_sts: self.mta_sts,
        }
    }

    fn policy(&self, rules: &Rules) -> HostPolicy {
        match self.verdict(rules) {
            HostVerdict::Use(policy) => policy,
            HostVerdict::Defer(refused) | HostVerdict::Skip(refused) => panic!("{refused:?}"),
        }
    }
}

/// `encryption authentication names...`, for tables.
fn short(requirement: &TlsRequirement) -> String {
    let encryption = match requirement.encryption {
        Encryption::Never => "never",
        Encryption::Opportunistic => "try",
        Encryption::Mandatory => "must",
    };
    match &requirement.authentication {
        Authentication::None => encryption.into(),
        Authentication::Fingerprint(pins) => format!("{encryption} pins:{}", pins.len()),
        Authentication::WebPki(names) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            format!("{encryption} webpki:{}", names.join(","))
        }
    }
}

/// The one requirement that is watched, if any is.
fn sole_audit(policy: &HostPolicy) -> Option<&TlsRequirement> {
    assert!(policy.audits.len() < 2, "{policy:?}");
    policy.audits.first().map(|audit| &audit.requirement)
}

fn hop(text: &str) -> NextHop {
    NextHop::Rule(RuleNextHop::parse(text).unwrap())
}

#[test]
fn each_level_demands_what_its_name_says() {
    let host_audit = Some("must webpki:mx.example.net");
    for (level, enforce, audit) in [
        (Level::None, "never", None),
        (Level::May, "try", host_audit),
        (Level::Dane, "must", host_audit), // nobody asked for TLSA: not proven absent
        (Level::Encrypt, "must", host_audit),
        (Level::Fingerprint, "must pins:1", None),
        (Level::Verify, "must webpki:mx.example.net", None),
        (Level::Secure, "must webpki:example.com,.example.com", None),
    ] {
        let rules = rules(Rule {
            require: Some(level),
            fingerprints: vec![Fingerprint::Certificate([1; 32])],
            ..rule()
        });
        let policy = Case::new().policy(&rules);
        assert_eq!(short(&policy.enforce), enforce, "{level}");
        assert_eq!(sole_audit(&policy).map(short).as_deref(), audit, "{level}");
        assert_eq!(policy.source, PolicySource::Rule, "{level}");
    }
}

#[test]
fn dane_only_without_tlsa_defers() {
    let rules = rules(Rule {
        require: Some(Level::DaneOnly),
        ..rule()
    });
    let HostVerdict::Defer(deferral) = Case::new().verdict(&rules) else {
        panic!("used");
    };
    assert_eq!(deferral.reason, DeferReason::TlsaNotSought);
    assert_eq!(
        (deferral.level, &*deferral.subject),
        (Level::DaneOnly, "example.com")
    );
}

#[test]
fn match_words_replace_the_usual_names() {
    use MatchName::{Below, DotNextHop, HostName, Name, NextHop};
    for (level, words, expected) in [
        (Level::Verify, vec![], "mx.example.net"),
        (Level::Verify, vec![NextHop], "example.com"),
        (
            Level::Verify,
            vec![HostName, DotNextHop],
            "mx.example.net,.example.com",
        ),
        (Level::Secure, vec![HostName], "mx.example.net"),
        (Level::Secure, vec![Name(name("a.test"))], "a.test"),
        (Level::Secure, vec![Below(name("b.test"))], ".b.test"),
    ] {
        let rules = rules(Rule {
            require: Some(level),
            match_names: words.clone(),
            ..rule()
        });
        let policy = Case::new().policy(&rules);
        assert_eq!(
            short(&policy.enforce),
            format!("must webpki:{expected}"),
            "{level} {words:?}"
        );
    }
}

#[test]
fn names_are_those_of_the_next_hop() {
    let literal = NextHop::Literal("192.0.2.1".parse().unwrap());
    for (hop, host, verify, secure) in [
        (
            hop("relay.test"),
            Some("mx1.relay.test"),
            "mx1.relay.test",
            "relay.test,.relay.test",
        ),
        (
            hop("[smtp.test]:587"),
            Some("smtp.test"),
            "smtp.test",
            "smtp.test,.smtp.test",
        ),
        (hop("[192.0.2.1]"), None, "", ""), // no name: matches nothing
        (literal, None, "", ""),
    ] {
        let mut case = Case::routed(hop.clone(), host);
        for (level, expected) in [(Level::Verify, verify), (Level::Secure, secure)] {
            case.default = level;
            let policy = case.policy(&Rules::default());
            assert_eq!(
                short(&policy.enforce),
                format!("must webpki:{expected}"),
                "{hop} {level}"
            );
        }
    }
}

#[test]
fn an_address_without_a_name_is_not_audited() {
    let case = Case::routed(NextHop::Literal("192.0.2.1".parse().unwrap()), None);
    let policy = case.policy(&rules(Rule {
        require: Some(Level::Secure),
        ..rule()
    }));
    assert_eq!(
        (short(&policy.enforce).as_str(), sole_audit(&policy)),
        ("try", None)
    );
    assert_eq!(
        policy.describe(&TlsFailure::StarttlsNotOffered),
        "default policy of [192.0.2.1]"
    );
}

fn changed(change: impl FnOnce(&mut Rule)) -> Rule {
    let mut rule = rule();
    change(&mut rule);
    rule
}

#[test]
fn the_source_is_the_rule_only_where_it_binds() {
    use PolicySource::{Default, Rule as ByRule};
    let hop = || RuleNextHop::parse("[x.test]").ok();
    let present = ClientCertificate::Present;
    let version = Some(TlsVersion::V1_3);
    for (what, rule, source) in [
        ("nothing", rule(), Default),
        ("routes", changed(|r| r.next_hop = hop()), Default),
        (
            "rejects",
            changed(|r| r.on_failure = OnFailure::Reject),
            Default,
        ),
        (
            "requires",
            changed(|r| r.require = Some(Level::May)),
            ByRule,
        ),
        ("version", changed(|r| r.min_version = version), ByRule),
        (
            "names",
            changed(|r| r.match_names.push(MatchName::HostName)),
            ByRule,
        ),
        ("shows", changed(|r| r.client_certificate = present), ByRule),
    ] {
        let on_failure = rule.on_failure;
        let version = rule.min_version.unwrap_or(TlsVersion::V1_2);
        let certificate = rule.client_certificate;
        let policy = Case::new().policy(&rules(rule));
        assert_eq!(
            (policy.source, policy.on_failure),
            (source, on_failure),
            "{what}"
        );
        assert_eq!(policy.enforce.min_version, version, "{what}");
        assert_eq!(policy.enforce.client_certificate, certificate, "{what}");
    }
}

#[test]
fn a_rule_in_dry_run_is_watched_and_binds_nothing() {
    let case = Case::new();
    let watched = rules(Rule {
        name: Some("partner".into()),
        require: Some(Level::Secure),
        min_version: Some(TlsVersion::V1_3),
        on_failure: OnFailure::Reject,
        client_certificate: ClientCertificate::Present,
        enforce: Enforce::DryRun,
        ..rule()
    });
    let policy = case.policy(&watched);
    let unruled = case.policy(&Rules::default());
    assert_eq!(policy.enforce, unruled.enforce);
    assert_eq!(
        (policy.source, policy.level),
        (unruled.source, unruled.level)
    );
    assert_eq!(policy.on_failure, OnFailure::Defer);
    assert_eq!(policy.rule_name.as_deref(), Some("partner"));
    let audit = sole_audit(&policy).unwrap();
    assert_eq!(short(audit), "must webpki:example.com,.example.com");
    assert_eq!(audit.min_version, TlsVersion::V1_3);

    // One that demands no TLS leaves the default's own audit.
    let lax = rules(Rule {
        require: Some(Level::None),
        enforce: Enforce::DryRun,
        ..rule()
    });
    assert_eq!(case.policy(&lax).audits, unruled.audits);
}

#[test]
fn the_permit_for_plaintext_exists_only_without_mandatory_tls() {
    for level in Level::ALL {
        let rules = rules(Rule {
            require: Some(level),
            ..rule()
        });
        let HostVerdict::Use(policy) = Case::new().verdict(&rules) else {
            continue;
        };
        let expected = matches!(level, Level::None | Level::May);
        assert_eq!(policy.plaintext_permit().is_some(), expected, "{level}");
    }
}

/// How much a requirement asks for; a stricter one has the larger number.
fn strength(requirement: &TlsRequirement) -> (u8, u8) {
    let encryption = match requirement.encryption {
        Encryption::Never => 0,
        Encryption::Opportunistic => 1,
        Encryption::Mandatory => 2,
    };
    let authentication = match &requirement.authentication {
        Authentication::None => 0,
        Authentication::Fingerprint(_) | Authentication::WebPki(_) => 1,
    };
    (encryption, authentication)
}

/// What each level asks for at least.
fn floor_strength(level: Level) -> (u8, u8) {
    match level {
        Level::None => (0, 0),
        Level::May => (1, 0),
        Level::Dane | Level::Encrypt => (2, 0),
        Level::Fingerprint | Level::Verify | Level::Secure | Level::DaneOnly => (2, 1),
    }
}

#[test]
fn no_combination_is_weaker_than_its_floor() {
    let words = [
        vec![],
        vec![MatchName::HostName],
        vec![MatchName::NextHop],
        vec![MatchName::DotNextHop, MatchName::Name(name("x.test"))],
        vec![MatchName::Below(name("y.test"))],
    ];
    let hops = [
        (NextHop::Domain(name("example.com")), Some("mx.example.net")),
        (NextHop::Literal("192.0.2.1".parse().unwrap()), None),
        (hop("relay.test"), Some("mx.relay.test")),
        (hop("[relay.test]:465"), Some("relay.test")),
        (hop("[2001:db8::1]"), None),
    ];
    let mut tried = 0;
    for default in Level::ALL {
        for require in Level::ALL.map(Some).into_iter().chain([None]) {
            for enforce in [Enforce::Yes, Enforce::DryRun] {
                for match_names in &words {
                    for (hop, host) in &hops {
                        let mut case = Case::routed(hop.clone(), *host);
                        case.default = default;
                        case.min_version = TlsVersion::V1_3;
                        let ruled = case.demand.recipient_domain.is_some();
                        let floor = match require {
                            Some(level) if ruled && enforce == Enforce::Yes => level,
                            Some(_) | None => default,
                        };
                        let match_names = match_names.clone();
                        let rules = rules(Rule {
                            require,
                            enforce,
                            match_names,
                            ..rule()
                        });
                        let verdict = case.verdict(&rules);
                        check_floor(&verdict, floor, *host);
                        tried += 1;
                    }
                }
            }
        }
    }
    assert_eq!(tried, 8 * 9 * 2 * 5 * 5);
}

fn check_floor(verdict: &HostVerdict, floor: Level, host: Option<&str>) {
    let HostVerdict::Use(policy) = verdict else {
        assert_eq!(floor, Level::DaneOnly, "{verdict:?}");
        return;
    };
    assert!(
        strength(&policy.enforce) >= floor_strength(floor),
        "{floor} {policy:?}"
    );
    assert_eq!(policy.enforce.min_version, TlsVersion::V1_3);
    if floor == Level::None {
        assert_eq!(policy.enforce.encryption, Encryption::Never);
    }
    let Authentication::WebPki(names) = &policy.enforce.authentication else {
        return;
    };
    // Without a name, only what the rule spells out can match.
    let spelled = |name: &ReferenceName| ["x.test", ".y.test"].contains(&&*name.to_string());
    assert!(host.is_some() || names.iter().all(spelled), "{names:?}");
}

#[path = "verdict_sts_tests.rs"]
mod sts;
#[path = "verdict_sweep_tests.rs"]
mod sweep;
#[path = "verdict_tlsa_tests.rs"]
mod tlsa;
