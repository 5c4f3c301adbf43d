//! What MTA-STS policies make of every floor and every finding of TLSA records.

use super::tlsa::{bogus, failed, none_usable, require, said, usable_finding};
use super::*;
use crate::mta_sts::{Mode, Policy};
use crate::policy::AuditPurpose;

fn policy(mode: &str, mx: &str) -> StsFinding {
    let file = format!("version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n");
    StsFinding::Policy(Arc::new(Policy::parse(file.as_bytes()).unwrap()))
}

/// A policy that lists the MX host.
fn listing(mode: &str) -> StsFinding {
    policy(mode, "*.example.net")
}

/// One that does not.
fn not_listing(mode: &str) -> StsFinding {
    policy(mode, "mx.example.com")
}

fn case(sts: StsFinding, tlsa: TlsaFinding) -> Case {
    let mut case = Case::new();
    case.host.sts = sts;
    case.host.tlsa = tlsa;
    case
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, as rustfmt writes it")]
fn an_enforced_policy_is_added_on_top_of_the_default() {
    use TlsaFinding::{Insecure, NotSought, SecurelyAbsent};
    let enforced = "verify mta-sts must +sts:mx.example.net";
    for (default, sts, tlsa, expected) in [
        (Level::May, listing("enforce"), SecurelyAbsent, enforced),
        (Level::May, listing("enforce"), Insecure, enforced),
        (Level::May, listing("enforce"), NotSought, enforced),
        (Level::Encrypt, listing("enforce"), Insecure, enforced),
        (Level::Verify, listing("enforce"), Insecure, enforced),
        // DANE decides alone, or not at all; MTA-STS never stands in for DANE that failed (RFC 8461 §2).
        (
            Level::May,
            listing("enforce"),
            usable_finding(),
            "dane dane must +dane",
        ),
        (
            Level::May,
            listing("enforce"),
            failed(),
            "defer dane tlsa-lookup-failed",
        ),
        (
            Level::May,
            listing("enforce"),
            bogus(),
            "defer dane dnssec-invalid",
        ),
        // Records that cannot be used authenticate nobody: the authorities do.
        (Level::May, listing("enforce"), none_usable(), enforced),
        // The list of hosts binds with DANE too.
        (
            Level::May,
            not_listing("enforce"),
            usable_finding(),
            "skip mta-sts validation-failure",
        ),
        (
            Level::May,
            not_listing("enforce"),
            SecurelyAbsent,
            "skip mta-sts validation-failure",
        ),
        (
            Level::May,
            not_listing("enforce"),
            failed(),
            "skip mta-sts validation-failure",
        ),
        (
            Level::May,
            listing("testing"),
            SecurelyAbsent,
            "may default try",
        ),
        (
            Level::May,
            not_listing("testing"),
            SecurelyAbsent,
            "may default try",
        ),
        (
            Level::Encrypt,
            not_listing("testing"),
            SecurelyAbsent,
            "encrypt default must",
        ),
        (
            Level::May,
            listing("testing"),
            usable_finding(),
            "dane dane must +dane",
        ),
        (
            Level::May,
            listing("none"),
            SecurelyAbsent,
            "may default try",
        ),
        (
            Level::May,
            not_listing("none"),
            SecurelyAbsent,
            "may default try",
        ),
        (
            Level::May,
            StsFinding::NoPolicy,
            SecurelyAbsent,
            "may default try",
        ),
        (
            Level::May,
            StsFinding::Bogus("x".into()),
            SecurelyAbsent,
            "defer mta-sts dnssec-invalid",
        ),
        (
            Level::May,
            StsFinding::Bogus("x".into()),
            usable_finding(),
            "defer mta-sts dnssec-invalid",
        ),
    ] {
        let mut case = case(sts, tlsa);
        case.default = default;
        let verdict = case.verdict(&Rules::default());
        assert_eq!(said(&verdict), expected, "{default} {:?}", case.host);
    }
}

/// A rule keeps its own name and demand; the published policy comes beside it.
#[test]
fn an_enforced_policy_is_added_on_top_of_a_rule() {
    let host = "+sts:mx.example.net";
    for (level, expected) in [
        (Level::None, "none rule never".to_owned()), // knows nothing of what is published
        (Level::May, format!("verify mta-sts must {host}")),
        (Level::Dane, format!("verify mta-sts must {host}")),
        (Level::Encrypt, format!("verify mta-sts must {host}")),
        (
            Level::Fingerprint,
            format!("fingerprint rule must pins:1 {host}"),
        ),
        (
            Level::Verify,
            format!("verify rule must webpki:mx.example.net {host}"),
        ),
        (
            Level::Secure,
            format!("secure rule must webpki:example.com,.example.com {host}"),
        ),
        (Level::DaneOnly, "defer rule dane-required".into()),
    ] {
        let case = case(listing("enforce"), TlsaFinding::SecurelyAbsent);
        assert_eq!(said(&case.verdict(&require(level))), expected, "{level}");
    }
    let mut rule = rule();
    rule.require = Some(Level::Verify);
    rule.match_names = vec![MatchName::Name(name("mail.partner.test"))];
    let case = case(listing("enforce"), TlsaFinding::SecurelyAbsent);
    let expected = format!("verify rule must webpki:mail.partner.test {host}");
    assert_eq!(said(&case.verdict(&rules(rule))), expected);
}

/// An MX RRset that is not signed proves nothing of the domain, whatever its hosts publish.
#[test]
fn half_dane_does_not_stand_in_for_a_policy() {
    let mut case = case(listing("enforce"), usable_finding());
    case.host.trust = DaneTrust::Half;
    let expected = "verify mta-sts must +half +sts:mx.example.net";
    assert_eq!(said(&case.verdict(&Rules::default())), expected);
    case.host.sts = not_listing("enforce");
    let expected = "skip mta-sts validation-failure";
    assert_eq!(said(&case.verdict(&Rules::default())), expected);
}

/// RFC 8461 §7.1: where the authorities must vouch for the MX host's name, that name is asked for, whatever it is an
/// alias of.
#[test]
fn the_name_that_must_be_vouched_for_is_asked_for() {
    let mut case = case(StsFinding::NoPolicy, usable_finding());
    if let TlsaFinding::Usable { base, .. } = &mut case.host.tlsa {
        base.0 = name("real.example.net");
    }
    for (trust, sts, expected) in [
        (DaneTrust::Full, StsFinding::NoPolicy, "real.example.net"),
        (DaneTrust::Full, listing("enforce"), "real.example.net"),
        (DaneTrust::Half, StsFinding::NoPolicy, "real.example.net"),
        (DaneTrust::Half, listing("enforce"), "mx.example.net"),
    ] {
        (case.host.trust, case.host.sts) = (trust, sts);
        let policy = case.policy(&Rules::default());
        assert_eq!(
            policy.server_name(),
            Some(&name(expected)),
            "{:?}",
            case.host
        );
    }
}

#[test]
fn testing_is_watched_and_binds_nothing() {
    for tlsa in [TlsaFinding::SecurelyAbsent, usable_finding(), none_usable()] {
        for require in [
            None,
            Some(Level::May),
            Some(Level::Encrypt),
            Some(Level::Secure),
        ] {
            let rules = rules(Rule { require, ..rule() });
            let without = case(StsFinding::NoPolicy, tlsa.clone()).policy(&rules);
            let tested = case(listing("testing"), tlsa.clone()).policy(&rules);
            assert_eq!(tested.enforce, without.enforce, "{require:?} {tlsa:?}");
            assert_eq!(
                (tested.level, tested.source),
                (without.level, without.source)
            );
            let watched: Vec<_> = tested
                .audits
                .iter()
                .map(|audit| (audit.purpose, short(&audit.requirement)))
                .collect();
            // Enforced, it would leave the certificate to DANE.
            let by_dane = matches!(tlsa, TlsaFinding::Usable { .. });
            let full = (AuditPurpose::Testing, "must webpki:mx.example.net".into());
            let expected = if by_dane { vec![] } else { vec![full] };
            assert_eq!(watched, expected, "{require:?} {tlsa:?}");
            let unlisted = case(not_listing("testing"), tlsa.clone()).policy(&rules);
            assert_eq!(unlisted.enforce, without.enforce, "{require:?} {tlsa:?}");
            let [objection] = &unlisted.objections[..] else {
                panic!("{unlisted:?}")
            };
            let expected = (AuditPurpose::Testing, &DeferReason::NotListed);
            assert_eq!((objection.purpose, &objection.reason), expected);
        }
    }
    // A rule that is tried out is watched beside it.
    let mut dry_run = rule();
    dry_run.enforce = Enforce::DryRun;
    dry_run.require = Some(Level::Secure);
    let both = case(listing("testing"), TlsaFinding::Insecure).policy(&rules(dry_run));
    let purposes: Vec<_> = both.audits.iter().map(|audit| audit.purpose).collect();
    assert_eq!(purposes, [AuditPurpose::Testing, AuditPurpose::DryRun]);
}

/// RFC 8461 §3.4: of the recipients' domain, or of the next hop's where a rule routes by MX.
#[test]
fn whose_policy_it_is() {
    for (next_hop, expected) in [
        (NextHop::Domain(name("example.com")), Some("example.com")),
        (hop("relay.example.org"), Some("relay.example.org")),
        (hop("relay.example.org:587"), Some("relay.example.org")),
        (hop("[relay.example.org]"), None),
        (hop("[192.0.2.1]"), None),
        (NextHop::Literal("192.0.2.1".parse().unwrap()), None),
    ] {
        let case = Case::routed(next_hop, Some("mx.example.net"));
        let found = seek_sts(&case.demand, &case.settings(&Rules::default()));
        let found = found.as_ref().map(|domain| domain.0.as_str());
        assert_eq!(found, expected, "{:?}", case.demand);
    }
    let mut case = Case::routed(hop("relay.example.org"), Some("mx.example.net"));
    case.host.sts = not_listing("enforce");
    let HostVerdict::Skip(skipped) = case.verdict(&Rules::default()) else {
        panic!("used")
    };
    assert_eq!(&*skipped.subject, "relay.example.org");
    case.host.sts = listing("enforce");
    let policy = case.policy(&Rules::default());
    let failure = TlsFailure::MtaSts(CertificateProblem::Expired);
    let expected = "mta-sts policy of relay.example.org";
    assert_eq!(policy.describe(&failure), expected);
}

#[test]
fn what_switches_policies_off() {
    let sought = |change: &dyn Fn(&mut Case, &mut Rule)| {
        let (mut case, mut rule) = (Case::new(), rule());
        case.host.sts = not_listing("enforce");
        change(&mut case, &mut rule);
        let rules = rules(rule);
        let sought = seek_sts(&case.demand, &case.settings(&rules)).is_some();
        let used = matches!(case.verdict(&rules), HostVerdict::Use(_));
        assert_ne!(
            sought, used,
            "what is not sought does not bind, and the other way round"
        );
        sought
    };
    use Published::Ignore;
    assert!(sought(&|_, _| {}));
    assert!(sought(&|case, _| case.dane = Ignore));
    assert!(!sought(&|case, _| case.mta_sts = Ignore));
    assert!(!sought(&|case, _| case.demand.published = Ignore));
    assert!(!sought(&|_, rule| rule.published = Ignore));
    assert!(!sought(&|_, rule| rule.require = Some(Level::None)));
    assert!(sought(&|_, rule| rule.require = Some(Level::Dane)));
    // A rule that is only tried out switches nothing off.
    assert!(sought(&|_, rule| {
        rule.published = Ignore;
        rule.enforce = Enforce::DryRun;
    }));
}

/// What a host shows, as far as a verdict can depend on it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is tried with each")]
struct Shown {
    /// The authorities vouch for the MX host's name.
    webpki: bool,
    /// For the next hop's name, or one below it.
    next_hop: bool,
    tlsa: bool,
    pin: bool,
}

impl Shown {
    fn all() -> Vec<Self> {
        let of = |bits: u8| Self {
            webpki: bits & 1 != 0,
            next_hop: bits & 2 != 0,
            tlsa: bits & 4 != 0,
            pin: bits & 8 != 0,
        };
        (0..16).map(of).collect()
    }

    /// Whether mail would flow over TLS.
    fn satisfies(self, requirement: &TlsRequirement) -> bool {
        let by_rule = match &requirement.authentication {
            Authentication::None => true,
            Authentication::Fingerprint(_) => self.pin,
            Authentication::WebPki(names) => {
                let of_host = ReferenceName::Exact(name("mx.example.net"));
                let at_host = names.contains(&of_host);
                if at_host { self.webpki } else { self.next_hop }
            }
        };
        let by_dane = requirement.dane.is_none() || self.tlsa;
        let by_sts = match &requirement.mta_sts {
            Some(host) => self.webpki && *host == name("mx.example.net"),
            None => true,
        };
        by_rule && by_dane && by_sts
    }
}

/// Every TLSA finding x trust x policy x listed x certificate x floor: no promise that the domain has made is
/// ever answered with plaintext, with a host that is not listed, or with a certificate that proves nothing.
#[test]
fn no_promise_is_broken() {
    let findings = || {
        [
            TlsaFinding::NotSought,
            TlsaFinding::SecurelyAbsent,
            TlsaFinding::Insecure,
        ]
        .into_iter()
        .chain([usable_finding(), none_usable(), failed(), bogus()])
    };
    let floors = Level::ALL.map(Some).into_iter().chain([None]);
    let mut tried = 0;
    for (floor, trust) in
        floors.flat_map(|floor| [DaneTrust::Full, DaneTrust::Half].map(|trust| (floor, trust)))
    {
        let rules = match floor {
            Some(level) => require(level),
            None => Rules::default(),
        };
        for tlsa in findings() {
            for mode in [Mode::Enforce, Mode::Testing, Mode::None] {
                for sts in [listing(mode.as_str()), not_listing(mode.as_str())] {
                    let mut case = case(sts, tlsa.clone());
                    case.host.trust = trust;
                    check_promises(&case, &rules, floor, mode);
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 9 * 2 * 7 * 3 * 2);
}

fn check_promises(case: &Case, rules: &Rules, floor: Option<Level>, mode: Mode) {
    let what = format!("{floor:?} {:?}", case.host);
    let HostVerdict::Use(policy) = case.verdict(rules) else {
        // What only tests, or says nothing, holds no mail back.
        let used = matches!(case.verdict_without_policy(rules), HostVerdict::Use(_));
        assert!(mode == Mode::Enforce || !used, "{what}");
        return;
    };
    if floor == Some(Level::None) || mode != Mode::Enforce {
        return;
    }
    assert!(!case.host.sts.forbids(case.host.host.as_ref()), "{what}");
    assert_eq!(policy.enforce.encryption, Encryption::Mandatory, "{what}");
    assert!(policy.plaintext_permit().is_none(), "{what}");
    let dane = matches!(case.host.tlsa, TlsaFinding::Usable { .. });
    for shown in Shown::all() {
        if !shown.satisfies(&policy.enforce) {
            continue;
        }
        assert!(
            !dane || shown.tlsa,
            "a wrong TLSA record rescued: {what} {shown:?}"
        );
        let proven = dane && case.host.trust == DaneTrust::Full;
        assert!(
            proven || shown.webpki,
            "nobody authenticated: {what} {shown:?}"
        );
    }
}

impl Case {
    fn verdict_without_policy(&self, rules: &Rules) -> HostVerdict {
        let mut host = self.host.clone();
        host.sts = StsFinding::NoPolicy;
        for_host(&self.demand, &host, &self.settings(rules))
    }
}
