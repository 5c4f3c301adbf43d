use super::*;
use crate::dane::{TlsaRdata, TlsaSet, usable};
use crate::names::{MxHost, RuleNextHop, TlsaBaseDomain};
use crate::policy::{
    ClientCertificate, Fingerprint, OnFailure, Published, Rules, TlsaFailure, TlsaFinding,
};

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn set() -> TlsaSet {
    let record = [vec![3, 1, 1], vec![7; 32]].concat();
    usable(&[TlsaRdata(record)]).unwrap()
}

/// What is found below a host's name: `usable`, `none usable`, `absent`, `insecure`, `failed`, `not sought`.
fn tlsa(what: &str) -> TlsaFinding {
    let base = TlsaBaseDomain(name("mx.a.example"));
    match what {
        "usable" => TlsaFinding::Usable {
            base,
            records: set(),
        },
        "none usable" => TlsaFinding::NoneUsable(base),
        "absent" => TlsaFinding::SecurelyAbsent,
        "insecure" => TlsaFinding::Insecure,
        "failed" => TlsaFinding::LookupFailed(TlsaFailure::NoAnswer("SERVFAIL".into())),
        "not sought" => TlsaFinding::NotSought,
        other => panic!("{other}"),
    }
}

const TLSA: [&str; 6] = [
    "usable",
    "none usable",
    "absent",
    "insecure",
    "failed",
    "not sought",
];

/// `enforce mx1.a.example *.b.example`, `none`, `bogus`, `unknown`.
fn sts(what: &str) -> StsFinding {
    let mut words = what.split(' ');
    match words.next().unwrap() {
        "none" => StsFinding::NoPolicy,
        "bogus" => StsFinding::Bogus("forged".into()),
        "unknown" => StsFinding::Unknown("damaged".into()),
        mode => {
            let mx: String = words.map(|mx| format!("mx: {mx}\n")).collect();
            let text = format!("version: STSv1\nmode: {mode}\n{mx}max_age: 86400\n");
            StsFinding::Policy(Arc::new(Policy::read(text.as_bytes()).unwrap()))
        }
    }
}

fn rule(require: Option<Level>) -> Rule {
    Rule {
        origin: "rule 1".into(),
        name: None,
        require,
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

struct Case {
    demand: Demand,
    policy: PolicySettings,
    hosts: Vec<HostFacts>,
    sts: StsFinding,
    reports: Reports,
}

impl Case {
    /// a.example with hosts mx1.a.example and so on.
    fn new(trust: DaneTrust, found: &[&str], policy: &str) -> Self {
        let hosts = found.iter().enumerate().map(|(i, what)| HostFacts {
            host: Some(MxHost(name(&format!("mx{}.a.example", i + 1)))),
            next_hop_expanded: None,
            trust,
            tlsa: tlsa(what),
            sts: StsFinding::NotSought,
        });
        Self {
            demand: Demand {
                recipient_domain: Some(name("a.example")),
                next_hop: NextHop::Domain(name("a.example")),
                published: Published::Honor,
            },
            policy: PolicySettings {
                rules: Rules::default(),
                default: Level::May,
                min_version: TlsVersion::V1_2,
                dane: Published::Honor,
                mta_sts: Published::Honor,
            },
            hosts: hosts.collect(),
            sts: sts(policy),
            reports: Reports::No,
        }
    }

    fn rule(mut self, rule: Rule) -> Self {
        let rule = Arc::new(rule);
        self.policy
            .rules
            .add_exact(name("a.example"), rule)
            .unwrap();
        self
    }

    fn require(self, level: Level) -> Self {
        self.rule(rule(Some(level)))
    }

    fn answer(&self) -> Answer {
        answer(&Question {
            demand: &self.demand,
            policy: &self.policy,
            hosts: &self.hosts,
            sts: &self.sts,
            reports: self.reports,
        })
    }

    fn say(&self) -> String {
        self.answer().render()
    }
}

use DaneTrust::{Full, Half};

const SECURE: &str = "OK secure match=mx1.a.example:mx2.a.example servername=hostname";
const CONFLICT: &str = "TEMP an MX host has TLSA records, or may have, and is not in the domain's MTA-STS policy: Postfix can be \
                        told to obey one of them only";
const FAILED: &str = "TEMP mx1.a.example: TLSA lookup: SERVFAIL";
const BOTH: &str = "enforce mx1.a.example mx2.a.example";
const FIRST: &str = "enforce mx1.a.example";

#[test]
#[expect(clippy::too_many_lines, reason = "a table, as rustfmt writes it")]
fn what_is_published_decides_without_a_rule() {
    for (trust, found, policy, expected) in [
        (Full, &["absent", "insecure"][..], "none", "NOTFOUND "),
        (Half, &["not sought"], "none", "NOTFOUND "),
        (Full, &[], "none", "NOTFOUND "), // no such domain, or a null MX
        (Full, &["usable", "usable"], "none", "OK dane-only"),
        (Full, &["usable", "absent"], "none", "OK dane"),
        (Full, &["usable", "none usable"], "none", "OK dane"),
        (Full, &["none usable", "none usable"], "none", "OK dane"),
        (Full, &["none usable", "absent"], "none", "OK dane"),
        (Half, &["usable", "usable"], "none", "OK dane"), // the MX records are not secure
        (Half, &["usable", "insecure"], "none", "OK dane"),
        // What is not known makes mail wait, unless Postfix will know and is told to be strict.
        (Full, &["failed", "absent"], "none", FAILED),
        (Half, &["failed", "usable"], "none", FAILED),
        (Full, &["failed", "usable"], "none", "OK dane-only"),
        (
            Full,
            &["failed", "usable", "absent"],
            "none",
            "OK dane-only",
        ),
        // MTA-STS.
        (Full, &["absent", "insecure"], BOTH, SECURE),
        (Half, &["usable", "usable"], BOTH, SECURE),
        (Full, &["none usable", "absent"], BOTH, SECURE),
        (Full, &[], BOTH, SECURE),
        (
            Full,
            &["absent"],
            "enforce *.a.example mx.b.example",
            "OK secure match=.a.example:mx.b.example servername=hostname",
        ),
        (Full, &["failed", "absent"], BOTH, FAILED),
        (Full, &["absent"], "testing mx1.a.example", "NOTFOUND "),
        (Full, &["absent"], "testing mx9.a.example", "NOTFOUND "),
        (Full, &["usable"], "testing mx9.a.example", "OK dane-only"),
        (Full, &["absent"], "none", "NOTFOUND "),
        (
            Full,
            &["absent"],
            "bogus",
            "TEMP MTA-STS record: DNSSEC validation failed (bogus): forged",
        ),
        (
            Full,
            &["usable"],
            "unknown",
            "TEMP the policies that are remembered cannot be read: damaged",
        ),
        // Both: DANE decides wherever it proves, and no other host is used then.
        (Full, &["usable", "usable"], BOTH, "OK dane-only"),
        (Full, &["usable", "absent"], BOTH, "OK dane-only"),
        (Full, &["usable", "failed"], BOTH, "OK dane-only"),
        (Full, &["usable", "absent"], FIRST, "OK dane-only"),
        (Full, &["usable", "usable"], FIRST, CONFLICT),
        (Full, &["usable", "failed"], FIRST, CONFLICT),
        (
            Full,
            &["absent", "usable"],
            FIRST,
            "OK secure match=mx1.a.example servername=hostname",
        ),
        (
            Full,
            &["absent", "failed"], // not listed: what it has does not matter
            FIRST,
            "OK secure match=mx1.a.example servername=hostname",
        ),
    ] {
        let case = Case::new(trust, found, policy);
        assert_eq!(case.say(), expected, "{trust:?} {found:?} {policy}");
    }
}

#[test]
fn a_next_hop_in_brackets_has_no_policy_domain() {
    let hop = |text| NextHop::Rule(RuleNextHop::parse(text).unwrap());
    for (hop, level, expected) in [
        (hop("[mx1.a.example]:587"), None, "NOTFOUND "),
        (
            hop("[mx1.a.example]:587"),
            Some(Level::Encrypt),
            "OK encrypt",
        ),
        // Mail for the MX hosts of a domain, on another port.
        (
            hop("a.example:587"),
            None,
            "OK secure match=mx1.a.example servername=hostname",
        ),
    ] {
        let mut case = Case::new(Full, &["absent"], FIRST);
        case.demand.next_hop = hop;
        if case.demand.policy_domain().is_none() {
            case.sts = StsFinding::NotSought;
        }
        let case = match level {
            Some(level) => case.require(level),
            None => case,
        };
        assert_eq!(case.say(), expected);
    }
}

#[test]
fn an_address_has_the_floor_and_no_name() {
    for (default, expected) in [
        (Level::May, "NOTFOUND "),
        (Level::Encrypt, "OK encrypt"),
        (
            Level::Verify,
            "TEMP level verify, but an address has no name",
        ),
    ] {
        let mut case = Case::new(Half, &["not sought"], "none");
        case.hosts[0].host = None;
        case.demand.recipient_domain = None;
        case.demand.next_hop = NextHop::Literal("192.0.2.1".parse().unwrap());
        case.policy.default = default;
        assert_eq!(case.say(), expected, "{default}");
    }
}

#[path = "answer_rule_tests.rs"]
mod rules;
#[path = "answer_sweep_tests.rs"]
mod sweep;
