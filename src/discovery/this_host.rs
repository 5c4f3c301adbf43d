//! What means this machine: an MX list is cut there, or mail would come back to us.

use super::DiscoverySettings;
use crate::names::DomainName;
use nix::ifaddrs::getifaddrs;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How old the list of interface addresses may be; addresses come and go while we run.
const REFRESH: Duration = Duration::from_secs(10);

/// The addresses of this machine's interfaces, exactly: 127.0.0.1 is one, 127.0.0.2 usually is not.
#[derive(Debug)]
pub(super) struct Interfaces {
    read: fn() -> Option<HashSet<IpAddr>>,
    seen: Mutex<Option<(Instant, Arc<HashSet<IpAddr>>)>>,
}

impl Interfaces {
    /// What the kernel says.
    pub(super) fn of_machine() -> Self {
        Self::read_by(read)
    }

    /// What `read` says; `None` from it means that it cannot tell.
    pub(super) fn read_by(read: fn() -> Option<HashSet<IpAddr>>) -> Self {
        Self {
            read,
            seen: Mutex::new(None),
        }
    }

    /// If the kernel does not tell, the last known ones.
    pub(super) fn addresses(&self) -> Arc<HashSet<IpAddr>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let last = match &*seen {
            Some((at, addresses)) if now < *at + REFRESH => return Arc::clone(addresses),
            Some((_, addresses)) => Arc::clone(addresses),
            None => Arc::default(),
        };
        let addresses = (self.read)().map_or(last, Arc::new);
        *seen = Some((now, Arc::clone(&addresses)));
        addresses
    }
}

fn read() -> Option<HashSet<IpAddr>> {
    let interfaces = getifaddrs().ok()?;
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    Some(addresses.collect())
}

/// This host, for one route.
pub(super) struct ThisHost<'a> {
    pub settings: &'a DiscoverySettings,
    pub interfaces: Arc<HashSet<IpAddr>>,
}

impl ThisHost<'_> {
    pub(super) fn is_named(&self, name: &DomainName) -> bool {
        self.settings.own_names.contains(name)
    }

    /// The unspecified address counts: connecting to it reaches the machine itself.
    pub(super) fn has(&self, ip: &IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.interfaces.contains(&ip)
            || self.settings.nat_addresses.contains(&ip)
            || ip == Ipv4Addr::UNSPECIFIED
            || ip == Ipv6Addr::UNSPECIFIED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_an_interface_and_its_network_is_not() {
        let addresses = Interfaces::of_machine().addresses();
        assert!(addresses.contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(!addresses.contains(&IpAddr::from([127, 0, 0, 2])));
    }

    #[test]
    fn an_unspecified_or_mapped_address_is_ours_too() {
        let settings = DiscoverySettings {
            own_names: vec![],
            nat_addresses: vec!["198.51.100.7".parse().unwrap()],
            port: 25,
            blocked_networks: vec![],
            address_preference: super::super::AddressPreference::Any,
        };
        let interfaces = || Some(HashSet::from([IpAddr::from([192, 0, 2, 1])]));
        let ours = ThisHost {
            settings: &settings,
            interfaces: Interfaces::read_by(interfaces).addresses(),
        };
        for (ip, expected) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("198.51.100.7", true),
            ("0.0.0.0", true),
            ("::", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(ours.has(&ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
