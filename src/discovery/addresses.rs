//! Which addresses of a host are used, and in which order. Pure.

use super::{AddressPreference, HostFailure};
use crate::dns::{Answer, Family, LookupFailure, Proof};
use crate::names::DomainName;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Addresses tried of one host. The list alternates between the families, so both are among them.
pub(super) const MAX_ADDRESSES: usize = 8;

/// What a lookup of one family came to.
pub(super) type Looked = Result<Arc<Answer<IpAddr>>, LookupFailure>;

/// The addresses of a host, as published; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addresses {
    pub v4: Vec<IpAddr>,
    pub v6: Vec<IpAddr>,
    /// Where they were found, after CNAMEs.
    pub canonical: DomainName,
    /// Of the better proven family: each may come from servers of its own, and DANE needs one (RFC 7672
    /// §2.2.2).
    pub proof: Proof,
    /// As in [`Answer::first_alias`].
    pub first_alias: Option<Proof>,
}

impl Addresses {
    pub(super) fn any(&self, is: impl Fn(&IpAddr) -> bool) -> bool {
        self.v4.iter().chain(&self.v6).any(is)
    }

    /// Leaves out what must not be connected to.
    pub(super) fn without(mut self, blocked: &[IpNet]) -> Result<Self, HostFailure> {
        self.v4.retain(|ip| !is_blocked(*ip, blocked));
        self.v6.retain(|ip| !is_blocked(*ip, blocked));
        if self.v4.is_empty() && self.v6.is_empty() {
            return Err(HostFailure::OnlyBlocked);
        }
        Ok(self)
    }

    /// Alternating between the families, each in random order: five broken IPv6 addresses must not use
    /// up all tries.
    pub(super) fn arranged(
        mut self,
        preference: AddressPreference,
        random: &mut fastrand::Rng,
    ) -> Vec<IpAddr> {
        random.shuffle(&mut self.v4);
        random.shuffle(&mut self.v6);
        let (first, second) = match preference {
            AddressPreference::Any | AddressPreference::Ipv6 => (self.v6, self.v4),
            AddressPreference::Ipv4 => (self.v4, self.v6),
            AddressPreference::Ipv4Only => (self.v4, Vec::new()),
            AddressPreference::Ipv6Only => (self.v6, Vec::new()),
        };
        let (mut first, mut second) = (first.into_iter(), second.into_iter());
        let mut arranged = Vec::new();
        while arranged.len() < MAX_ADDRESSES {
            let before = arranged.len();
            arranged.extend(first.next());
            arranged.extend(second.next());
            if arranged.len() == before {
                break;
            }
        }
        arranged.truncate(MAX_ADDRESSES);
        arranged
    }
}

/// Both families' answers in one: a family that failed does not hide the other, but "no address" is
/// said only if both say so.
pub(super) fn merge(v4: Looked, v6: Looked) -> Result<Addresses, HostFailure> {
    let records = |looked: &Looked| match looked {
        Ok(answer) => answer.records.clone(),
        Err(_) => Vec::new(),
    };
    let (v4_records, v6_records) = (records(&v4), records(&v6));
    if v4_records.is_empty() && v6_records.is_empty() {
        return Err(match v4.and(v6) {
            Ok(_) => HostFailure::NoAddress,
            Err(failure) => failure.into(),
        });
    }
    let found: Vec<Arc<Answer<IpAddr>>> = [v4, v6]
        .into_iter()
        .flatten()
        .filter(|answer| !answer.records.is_empty())
        .collect();
    let is_secure = |answer: &&Arc<Answer<IpAddr>>| answer.proof == Proof::Secure;
    let Some(best) = found.iter().find(is_secure).or(found.first()) else {
        return Err(HostFailure::NoAddress);
    };
    Ok(Addresses {
        v4: v4_records,
        v6: v6_records,
        canonical: best.canonical.clone(),
        proof: best.proof,
        first_alias: best.first_alias,
    })
}

/// Whether an address must not be connected to for what strangers publish. IPv4 inside IPv6 counts as
/// what it stands for.
pub(super) fn is_blocked(ip: IpAddr, blocked: &[IpNet]) -> bool {
    let hidden = match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().or_else(|| behind_nat64(ip)),
    };
    blocked.iter().any(|net| {
        net.contains(&ip) || hidden.is_some_and(|hidden| net.contains(&IpAddr::V4(hidden)))
    })
}

/// The IPv4 address in the well-known prefix `64:ff9b::/96` (RFC 6052 §2.1).
fn behind_nat64(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

/// Whether connections of this family are made at all.
pub(super) fn is_used(family: Family, preference: AddressPreference) -> bool {
    match preference {
        AddressPreference::Any | AddressPreference::Ipv6 | AddressPreference::Ipv4 => true,
        AddressPreference::Ipv4Only => family == Family::V4,
        AddressPreference::Ipv6Only => family == Family::V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Existence;
    use std::time::Instant;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn name() -> DomainName {
        DomainName::parse("mx.test").unwrap()
    }

    #[test]
    fn blocked_in_every_disguise() {
        let blocked: Vec<IpNet> = ["127.0.0.0/8", "169.254.0.0/16", "::/127", "fe80::/10"]
            .iter()
            .map(|net| net.parse().unwrap())
            .collect();
        for (ip, expected) in [
            ("127.0.0.1", true),
            ("127.255.255.255", true),
            ("128.0.0.1", false),
            ("::1", true),
            ("::2", false),
            ("fe80::1", true),
            ("2001:db8::1", false),
            ("::ffff:127.0.0.1", true),
            ("::ffff:192.0.2.1", false),
            ("64:ff9b::127.0.0.1", true),
            ("64:ff9b::192.0.2.1", false),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!(is_blocked(ip, &blocked), expected, "{ip}");
        }
        let all_v6 = ["::/0".parse().unwrap()];
        assert!(is_blocked("::ffff:192.0.2.1".parse().unwrap(), &all_v6));
        assert!(!is_blocked("192.0.2.1".parse().unwrap(), &all_v6));
    }

    #[test]
    fn families_alternate_and_both_are_represented() {
        use AddressPreference::{Any, Ipv4, Ipv4Only, Ipv6, Ipv6Only};
        for (v4, v6, preference, expected) in [
            (2, 2, Any, "6464"),
            (2, 2, Ipv6, "6464"),
            (2, 2, Ipv4, "4646"),
            (1, 5, Any, "646666"),
            (20, 1, Any, "64444444"),
            (1, 20, Ipv4, "46666666"),
            (20, 20, Any, "64646464"),
            (3, 3, Ipv4Only, "444"),
            (3, 3, Ipv6Only, "666"),
            (0, 2, Ipv4, "66"),
        ] {
            let addresses = Addresses {
                v4: (0..v4).map(|n| IpAddr::from([192, 0, 2, n])).collect(),
                v6: (0..v6)
                    .map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]))
                    .collect(),
                canonical: name(),
                proof: Proof::Insecure,
                first_alias: None,
            };
            let arranged = addresses.arranged(preference, &mut fastrand::Rng::with_seed(3));
            let families: String = arranged
                .iter()
                .map(|ip| if ip.is_ipv4() { '4' } else { '6' })
                .collect();
            assert_eq!(families, expected, "{v4} {v6} {preference:?}");
            let distinct: std::collections::HashSet<_> = arranged.iter().collect();
            assert_eq!(distinct.len(), arranged.len());
        }
    }

    /// DANE needs one family whose addresses are secure, not both (RFC 7672 §2.2.2).
    #[test]
    fn the_better_proven_family_counts() {
        let answer = |ip: &str, canonical: &str, proof| -> Looked {
            Ok(Arc::new(Answer {
                records: ips(&[ip]),
                existence: Existence::Present,
                proof,
                canonical: DomainName::parse(canonical).unwrap(),
                first_alias: None,
                expires: Instant::now(),
            }))
        };
        for (v4, v6, expected) in [
            (Proof::Secure, Proof::Secure, (Proof::Secure, "four.test")),
            (Proof::Secure, Proof::Insecure, (Proof::Secure, "four.test")),
            (Proof::Insecure, Proof::Secure, (Proof::Secure, "six.test")),
            (
                Proof::Insecure,
                Proof::Insecure,
                (Proof::Insecure, "four.test"),
            ),
        ] {
            let four = answer("192.0.2.1", "four.test", v4);
            let six = answer("2001:db8::1", "six.test", v6);
            let merged = merge(four, six).unwrap();
            let got = (merged.proof, merged.canonical.as_str());
            assert_eq!(got, expected, "{v4:?} {v6:?}");
            assert_eq!((merged.v4.len(), merged.v6.len()), (1, 1));
        }
    }

    #[test]
    fn one_family_does_not_hide_the_other() {
        let answer = |list: &[&str], existence| -> Looked {
            Ok(Arc::new(Answer {
                records: ips(list),
                existence,
                proof: Proof::Insecure,
                canonical: name(),
                first_alias: None,
                expires: Instant::now(),
            }))
        };
        let four = || answer(&["192.0.2.1"], Existence::Present);
        let six = || answer(&["2001:db8::1"], Existence::Present);
        let none = || answer(&[], Existence::NoData);
        let gone = || answer(&[], Existence::NxDomain);
        let failed = || -> Looked { Err(LookupFailure::TimedOut) };
        for (v4, v6, expected) in [
            (four(), six(), Ok((1, 1))),
            (four(), none(), Ok((1, 0))),
            (four(), failed(), Ok((1, 0))),
            (failed(), six(), Ok((0, 1))),
            (none(), six(), Ok((0, 1))),
            (none(), none(), Err(HostFailure::NoAddress)),
            (gone(), gone(), Err(HostFailure::NoAddress)),
            (none(), failed(), Err(LookupFailure::TimedOut.into())),
            (failed(), none(), Err(LookupFailure::TimedOut.into())),
            (failed(), failed(), Err(LookupFailure::TimedOut.into())),
        ] {
            let what = format!("{v4:?} {v6:?}");
            let got = merge(v4, v6).map(|found| (found.v4.len(), found.v6.len()));
            assert_eq!(got, expected, "{what}");
        }
    }
}
