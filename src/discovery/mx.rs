//! MX records in the order of trying (RFC 5321 §5.1). Pure.

use crate::dns::MxRecord;
use crate::names::DomainName;

/// What a domain's MX records come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Published {
    /// "No mail", as the sole record (RFC 7505 §3).
    NullMx,
    Hosts(Vec<Candidate>),
    /// There are MX records, and not one names a host.
    NoHost,
}

/// A host that may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub preference: u16,
    pub host: DomainName,
}

/// Reads MX records; a null MX beside others is ignored.
pub(super) fn published(records: &[MxRecord]) -> Published {
    if let [MxRecord { host: None, .. }] = records {
        return Published::NullMx;
    }
    let hosts: Vec<Candidate> = records
        .iter()
        .filter_map(|mx| {
            Some(Candidate {
                preference: mx.preference,
                host: mx.host.clone()?,
            })
        })
        .collect();
    if hosts.is_empty() {
        Published::NoHost
    } else {
        Published::Hosts(hosts)
    }
}

/// Lowest preference first, equal ones in random order so that load spreads; a host named twice counts
/// once, at its best.
pub(super) fn order(mut hosts: Vec<Candidate>, random: &mut fastrand::Rng) -> Vec<Candidate> {
    random.shuffle(&mut hosts);
    hosts.sort_by_key(|candidate| candidate.preference);
    let mut ordered: Vec<Candidate> = Vec::with_capacity(hosts.len());
    for candidate in hosts {
        if !ordered.iter().any(|other| other.host == candidate.host) {
            ordered.push(candidate);
        }
    }
    ordered
}

/// Cuts the list at this host: it and all that are no better would send the mail back to us (RFC 5321
/// §5.1).
pub(super) fn cut<T>(
    mut hosts: Vec<T>,
    preference: impl Fn(&T) -> u16,
    is_ours: impl Fn(&T) -> bool,
) -> Vec<T> {
    let ours = hosts
        .iter()
        .filter(|host| is_ours(host))
        .map(&preference)
        .min();
    if let Some(ours) = ours {
        hosts.retain(|host| preference(host) < ours);
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    fn candidates(list: &[(u16, &str)]) -> Vec<Candidate> {
        let candidate = |(preference, host): &(u16, &str)| Candidate {
            preference: *preference,
            host: name(host),
        };
        list.iter().map(candidate).collect()
    }

    fn said(hosts: &[Candidate]) -> String {
        let names: Vec<&str> = hosts.iter().map(|c| c.host.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn null_mx_only_if_alone() {
        let null = MxRecord {
            preference: 0,
            host: None,
        };
        let real = MxRecord {
            preference: 10,
            host: Some(name("a.test")),
        };
        let hosts = Published::Hosts(candidates(&[(10, "a.test")]));
        for (records, expected) in [
            (vec![null.clone()], Published::NullMx),
            (vec![null.clone(), real.clone()], hosts.clone()),
            (vec![real], hosts),
            (vec![null.clone(), null], Published::NoHost),
            (vec![], Published::NoHost),
        ] {
            assert_eq!(published(&records), expected, "{records:?}");
        }
    }

    #[test]
    fn preference_rules_and_equals_are_shuffled() {
        let list = candidates(&[
            (20, "d.test"),
            (10, "a.test"),
            (10, "b.test"),
            (10, "c.test"),
            (30, "a.test"), // named twice
        ]);
        let mut seen = HashSet::new();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let ordered = order(list.clone(), &mut random);
            assert_eq!(ordered.len(), 4);
            assert_eq!(ordered[3].host, name("d.test"));
            seen.insert(said(&ordered));
        }
        assert_eq!(seen.len(), 6, "every order of three equals");
    }

    #[test]
    fn the_list_ends_where_we_are() {
        let list = [
            (10, "a.test"),
            (20, "b.test"),
            (20, "c.test"),
            (30, "d.test"),
        ];
        for (ours, expected) in [
            (&["x.test"][..], "a.test b.test c.test d.test"),
            (&["d.test"], "a.test b.test c.test"),
            (&["c.test"], "a.test"), // its equals go too
            (&["d.test", "b.test"], "a.test"),
            (&["a.test"], ""),
        ] {
            let left = cut(
                candidates(&list),
                |c| c.preference,
                |c| ours.contains(&c.host.as_str()),
            );
            assert_eq!(said(&left), expected, "{ours:?}");
        }
    }
}
