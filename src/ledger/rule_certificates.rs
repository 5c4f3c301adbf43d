//! Until when the certificates are valid that were seen under rules with a name.

use super::families::RULE_CERTIFICATE_EXPIRY;
use crate::clock;
use crate::delivery::outcome::{Channel, Via};
use prometheus::GaugeVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Forgotten so long after the last delivery to the host: it may have another one by now, or be gone.
const MEMORY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Hosts remembered of a rule at most; beyond it the one that was met longest ago is forgotten.
const MOST: usize = 64;

/// Shared by its clones.
#[derive(Debug, Clone)]
pub(super) struct RuleCertificates {
    desc: Desc,
    rules: Arc<Mutex<BTreeMap<String, Hosts>>>,
}

/// By name, empty for an address literal, and address: behind one name there may be several machines.
type Hosts = HashMap<(String, IpAddr), Leaf>;

#[derive(Debug, Clone, Copy)]
struct Leaf {
    /// The last second of its validity, in UNIX time.
    expires: i64,
    met: SystemTime,
}

impl RuleCertificates {
    pub(super) fn new() -> prometheus::Result<Self> {
        let gauge = gauge()?;
        // There is one for each metric.
        let desc = gauge.desc().first().map(|&desc| desc.clone());
        Ok(Self {
            desc: desc.ok_or_else(|| prometheus::Error::Msg("no description".into()))?,
            rules: Arc::default(),
        })
    }

    /// These rules are in force, and no others.
    pub(super) fn announce(&self, names: &[&str]) {
        let mut rules = self.lock();
        rules.retain(|name, _| names.contains(&name.as_str()));
        for name in names {
            rules.entry((*name).to_owned()).or_default();
        }
    }

    /// A host has decided about mail under this rule.
    pub(super) fn met(&self, rule: &str, via: &Via, now: SystemTime) {
        let Channel::Tls(seen) = &via.channel else {
            return;
        };
        let Some(expires) = seen.expires else { return };
        let name = via.mx.as_ref().map(ToString::to_string).unwrap_or_default();
        let host = (name, via.address.ip());
        let mut rules = self.lock();
        // A message that was begun before a reload may still have a rule that is gone.
        let Some(hosts) = rules.get_mut(rule) else {
            return;
        };
        hosts.insert(host, Leaf { expires, met: now });
        if hosts.len() > MOST {
            let oldest = hosts.iter().min_by_key(|(_, leaf)| leaf.met);
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                hosts.remove(&oldest);
            }
        }
    }

    /// The earliest of each rule.
    fn earliest(&self, now: SystemTime) -> Vec<(String, i64)> {
        let forgotten = |leaf: &Leaf| {
            let age = now.duration_since(leaf.met);
            age.is_ok_and(|age| age > MEMORY)
        };
        let mut rules = self.lock();
        for hosts in rules.values_mut() {
            hosts.retain(|_, leaf| !forgotten(leaf));
        }
        let earliest = rules.iter().filter_map(|(rule, hosts)| {
            let expires = hosts.values().map(|leaf| leaf.expires).min()?;
            Some((rule.clone(), expires))
        });
        earliest.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Hosts>> {
        // Nothing can panic while it is held.
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Made anew for each answer: what is forgotten is not in it.
impl Collector for RuleCertificates {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(gauge) = gauge() else {
            return Vec::new();
        };
        for (rule, expires) in self.earliest(clock::now()) {
            gauge.with_label_values(&[&rule]).set(expires as f64);
        }
        gauge.collect()
    }
}

fn gauge() -> prometheus::Result<GaugeVec> {
    let family = RULE_CERTIFICATE_EXPIRY;
    GaugeVec::new(family.opts(), family.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::outcome::Dsn;
    use crate::names::{DomainName, MxHost};
    use crate::policy::{Level, PolicySource, TlsVersion, Trial};
    use crate::tls::{Authenticated, Resumed, TlsSeen};
    use std::time::UNIX_EPOCH;

    const DAY: u64 = 24 * 60 * 60;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn via(mx: &str, address: &str, expires: Option<i64>) -> Via {
        let seen = TlsSeen {
            version: TlsVersion::V1_3,
            cipher: "TLS_AES_256_GCM_SHA384",
            group: None,
            resumed: Resumed::No,
            authenticated: Authenticated::None,
            problem: None,
            key: "p256".into(),
            expires,
            trial: Trial::None,
        };
        Via {
            mx: Some(MxHost(DomainName::parse(mx).unwrap())),
            address: format!("{address}:25").parse().unwrap(),
            source: None,
            policy: PolicySource::Rule,
            level: Level::Encrypt,
            rule_name: Some("partner".into()),
            channel: Channel::Tls(Arc::new(seen)),
            dsn: Dsn::NotOffered,
            trial: Trial::None,
        }
    }

    #[test]
    fn the_earliest_of_what_was_seen_lately_counts() {
        let rules = RuleCertificates::new().unwrap();
        rules.announce(&["partner", "other", "partner"]);
        let known = |now| rules.earliest(at(now));
        let of = |expires: i64| vec![("partner".to_owned(), expires)];
        assert_eq!(known(0), []);
        rules.met(
            "partner",
            &via("mx1.example", "192.0.2.1", Some(500)),
            at(0),
        );
        rules.met(
            "partner",
            &via("mx2.example", "192.0.2.2", Some(300)),
            at(0),
        );
        assert_eq!(known(0), of(300));
        // Renewed on one of two hosts, and on another machine behind the same name.
        rules.met(
            "partner",
            &via("mx2.example", "192.0.2.2", Some(900)),
            at(1),
        );
        assert_eq!(known(1), of(500));
        rules.met(
            "partner",
            &via("mx1.example", "192.0.2.3", Some(900)),
            at(2),
        );
        assert_eq!(known(2), of(500));
        rules.met("partner", &via("mx3.example", "192.0.2.4", None), at(2));
        rules.met("gone", &via("mx1.example", "192.0.2.1", Some(1)), at(2));
        assert_eq!(known(2), of(500));
        // A host that gets no mail any more is forgotten.
        assert_eq!(known(7 * DAY + 1), of(900));
        rules.announce(&["partner"]);
        assert_eq!(known(7 * DAY + 1), of(900));
        rules.announce(&["other"]);
        assert_eq!(known(7 * DAY + 1), []);
    }

    #[test]
    fn a_rule_for_many_hosts_is_bounded() {
        let rules = RuleCertificates::new().unwrap();
        rules.announce(&["partner"]);
        for n in 0..=MOST as u64 {
            let host = via(&format!("mx{n}.example"), "192.0.2.1", Some(n as i64));
            rules.met("partner", &host, at(n));
        }
        assert_eq!(rules.earliest(at(MOST as u64)), [("partner".to_owned(), 1)]);
    }
}
