//! Every combination of settings, wishes and findings.

use super::tlsa::{bogus, case, failed, none_usable, usable_finding};
use super::*;

/// Everything that can be said, at once.
struct Said {
    default: Level,
    require: Option<Level>,
    enforce: Enforce,
    published: Published,
    dane: Published,
    wish: Published,
    trust: DaneTrust,
}

fn everything() -> Vec<Said> {
    use Published::{Honor, Ignore};
    let mut all = Vec::new();
    for default in [Level::May, Level::Encrypt, Level::Verify] {
        for require in Level::ALL.map(Some).into_iter().chain([None]) {
            for enforce in [Enforce::Yes, Enforce::DryRun] {
                for switches in 0..16 {
                    let on = |bit: u8| if switches & bit == 0 { Honor } else { Ignore };
                    all.push(Said {
                        default,
                        require,
                        enforce,
                        published: on(1),
                        dane: on(2),
                        wish: on(4),
                        trust: match on(8) {
                            Honor => DaneTrust::Full,
                            Ignore => DaneTrust::Half,
                        },
                    });
                }
            }
        }
    }
    all
}

impl Said {
    /// The level that binds.
    fn floor(&self) -> Level {
        match (self.enforce, self.require) {
            (Enforce::Yes, Some(level)) => level,
            (Enforce::Yes, None) | (Enforce::DryRun, _) => self.default,
        }
    }

    /// Whether TLSA records bind, in words of the contract.
    fn binds(&self) -> bool {
        let ignored_by_rule = self.enforce == Enforce::Yes && self.published == Published::Ignore;
        let all_honor = self.dane == Published::Honor && self.wish == Published::Honor;
        match self.floor() {
            Level::Dane | Level::DaneOnly => true,
            Level::None => false,
            Level::May | Level::Encrypt | Level::Fingerprint | Level::Verify | Level::Secure => {
                all_honor && !ignored_by_rule
            }
        }
    }

    fn verdict(&self, tlsa: TlsaFinding) -> HostVerdict {
        let mut case = case(tlsa);
        case.default = self.default;
        case.dane = self.dane;
        case.demand.published = self.wish;
        case.host.trust = self.trust;
        case.verdict(&rules(Rule {
            require: self.require,
            enforce: self.enforce,
            published: self.published,
            ..rule()
        }))
    }

    /// Whether full DANE stands in for the default's WebPKI, which no rule demands.
    fn is_replaced(&self, policy: &HostPolicy) -> bool {
        let by_rule = self.enforce == Enforce::Yes && self.require.is_some();
        let dane = policy.enforce.dane.as_ref();
        !by_rule && dane.is_some_and(|dane| dane.trust == DaneTrust::Full)
    }

    fn check(&self, tlsa: TlsaFinding) {
        let what = format!("{:?} {:?} {:?}", self.require, self.enforce, tlsa);
        let policy = match self.verdict(tlsa.clone()) {
            HostVerdict::Use(policy) => policy,
            HostVerdict::Skip(skipped) => panic!("{skipped:?}"),
            HostVerdict::Defer(_) => {
                let failed = matches!(tlsa, TlsaFinding::LookupFailed(_));
                assert!(
                    failed && self.binds() || self.floor() == Level::DaneOnly,
                    "{what}"
                );
                return;
            }
        };
        let mandatory = policy.enforce.encryption == Encryption::Mandatory;
        match (&tlsa, self.binds()) {
            (TlsaFinding::LookupFailed(_), true) => panic!("used all the same: {what}"),
            (TlsaFinding::Usable { .. }, true) => {
                assert!(mandatory && policy.enforce.dane.is_some(), "{what}");
            }
            (TlsaFinding::NoneUsable(_), true) => assert!(mandatory, "{what}"),
            (_, true) => assert!(policy.enforce.dane.is_none(), "{what}"),
            (_, false) => assert!(policy.enforce.dane.is_none(), "{what}"),
        }
        // At level dane, less than encryption costs a proof.
        let proven = matches!(tlsa, TlsaFinding::SecurelyAbsent | TlsaFinding::Insecure);
        if self.floor() == Level::Dane && !proven {
            assert!(mandatory, "{what}");
        }
        if self.floor() == Level::DaneOnly {
            assert!(policy.enforce.dane.is_some(), "{what}");
            assert_eq!(self.trust, DaneTrust::Full, "{what}");
        }
        let least = if self.is_replaced(&policy) {
            floor_strength(Level::Encrypt)
        } else {
            least_strength(self.floor())
        };
        assert!(strength(&policy.enforce) >= least, "{what}");
        assert_eq!(policy.plaintext_permit().is_some(), !mandatory, "{what}");
    }
}

/// What a floor comes to at least; that of `dane` is `may`, once it is proven that there is nothing.
fn least_strength(floor: Level) -> (u8, u8) {
    match floor {
        Level::Dane => floor_strength(Level::May),
        // Its authentication is what DANE demands, which is looked at besides.
        Level::DaneOnly => floor_strength(Level::Encrypt),
        Level::None
        | Level::May
        | Level::Encrypt
        | Level::Fingerprint
        | Level::Verify
        | Level::Secure => floor_strength(floor),
    }
}

/// Whatever is said and found, what binds is enforced, and nothing is weaker than its floor.
#[test]
fn no_combination_lets_tlsa_records_go() {
    let all = everything();
    for said in &all {
        for tlsa in [
            TlsaFinding::NotSought,
            TlsaFinding::SecurelyAbsent,
            TlsaFinding::Insecure,
            usable_finding(),
            none_usable(),
            failed(),
            bogus(),
        ] {
            said.check(tlsa);
        }
    }
    assert_eq!(all.len(), 3 * 9 * 2 * 16);
}
