//! What Postfix asks for: a next hop in the words of transport(5), or a part of one.

use crate::names::{DomainName, RuleNextHop, RuleTarget};
use std::net::IpAddr;

/// A key of `smtp_tls_policy_maps`, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing that has a policy: no key, a parent domain (`.example.com`: what rules say of it was found for the
    /// domain itself already), the path of a unix socket.
    Nothing,
    /// `example.com`, `example.com:2525`, `[mx.example.com]:587`, `[192.0.2.1]`.
    NextHop(RuleNextHop),
    /// Something that no name or address is read from.
    Unreadable,
    /// A port by a name that is not known here.
    UnknownPort(String),
}

/// Ports by their names in services(5), which Postfix takes too.
const SERVICES: [(&str, u16); 5] = [
    ("smtp", 25),
    ("lmtp", 24),
    ("submission", 587),
    ("submissions", 465),
    ("smtps", 465),
];

impl Asked {
    pub(super) fn read(key: &[u8]) -> Self {
        let Ok(key) = std::str::from_utf8(key) else {
            return Self::Unreadable;
        };
        if key.is_empty() || key.starts_with(['.', '/']) {
            return Self::Nothing;
        }
        // Without brackets too: in Postfix some tables take that.
        if let Ok(ip) = key.parse::<IpAddr>() {
            return Self::at(RuleTarget::Address(ip), None);
        }
        let (name, port) = match divide(key) {
            Some(divided) => divided,
            None => return Self::Unreadable,
        };
        let port = match port.map(read_port) {
            None => None,
            Some(Some(port)) => Some(port),
            Some(None) => {
                return Self::UnknownPort(port.unwrap_or_default().to_owned());
            }
        };
        let bracketed = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
        let target = match bracketed {
            None => read_name(name).map(RuleTarget::Mx),
            Some(inside) => match read_address(inside) {
                Some(ip) => Some(RuleTarget::Address(ip)),
                None => read_name(inside).map(RuleTarget::Host),
            },
        };
        target.map_or(Self::Unreadable, |target| Self::at(target, port))
    }

    fn at(target: RuleTarget, port: Option<u16>) -> Self {
        Self::NextHop(RuleNextHop { target, port })
    }
}

/// What stands before the port, and the port.
fn divide(key: &str) -> Option<(&str, Option<&str>)> {
    let end = match key.strip_prefix('[') {
        Some(inside) => inside.find(']')? + 2,
        None => key.find(':').unwrap_or(key.len()),
    };
    let (name, rest) = key.split_at_checked(end)?;
    match rest {
        "" => Some((name, None)),
        _ => rest.strip_prefix(':').map(|port| (name, Some(port))),
    }
}

fn read_port(text: &str) -> Option<u16> {
    if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
        return text.parse().ok().filter(|port| *port > 0);
    }
    let mut services = SERVICES.into_iter();
    services.find_map(|(name, port)| name.eq_ignore_ascii_case(text).then_some(port))
}

fn read_address(text: &str) -> Option<IpAddr> {
    let tagged = text
        .get(..5)
        .is_some_and(|t| t.eq_ignore_ascii_case("ipv6:"));
    let address = if tagged { text.get(5..)? } else { text };
    address.parse().ok()
}

/// As people write it, or as it stands in DNS: Postfix looks up what IDNA would refuse.
fn read_name(text: &str) -> Option<DomainName> {
    let name = DomainName::parse(text).or_else(|_| DomainName::from_dns(text));
    name.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_next_hops() {
        for (key, expected) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("xn--zz-z.example", "xn--zz-z.example"), // no valid punycode, and yet a domain
            ("_x.example", "_x.example"),
            ("example.com:2525", "example.com:2525"),
            ("[mx.example.com]", "[mx.example.com]"),
            ("[mx.example.com]:587", "[mx.example.com]:587"),
            ("[mx.example.com]:submission", "[mx.example.com]:587"),
            ("example.com:SMTP", "example.com:25"),
            ("192.0.2.1", "[192.0.2.1]"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("[192.0.2.1]:25", "[192.0.2.1]:25"),
            ("[IPv6:2001:db8::1]:25", "[2001:db8::1]:25"),
            ("[ipv6:2001:db8::1]", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            let Asked::NextHop(hop) = Asked::read(key.as_bytes()) else {
                panic!("{key}: {:?}", Asked::read(key.as_bytes()));
            };
            assert_eq!(hop.to_string(), expected, "{key}");
        }
    }

    #[test]
    fn other_keys_have_no_policy_or_no_meaning() {
        for key in ["", ".", ".com", ".example.com", "/var/run/lmtp"] {
            assert_eq!(Asked::read(key.as_bytes()), Asked::Nothing, "{key}");
        }
        for key in [
            "a b.example",
            "-",
            "a..b",
            "[",
            "[]",
            "[mx.example",
            "[mx.example]25",
            "]:25",
            "a\0b",
            "a{b",
            "256.256.256.256",
            "ü[",
        ] {
            assert_eq!(Asked::read(key.as_bytes()), Asked::Unreadable, "{key}");
        }
        assert_eq!(Asked::read(b"\xff.example"), Asked::Unreadable);
        let long = format!("{}.example", "a".repeat(9000));
        assert_eq!(Asked::read(long.as_bytes()), Asked::Unreadable);
        for (key, port) in [
            ("a.example:qmtp", "qmtp"),
            ("a.example:0", "0"),
            ("a.example:", ""),
            ("[a.example]:99999", "99999"),
        ] {
            let expected = Asked::UnknownPort(port.to_owned());
            assert_eq!(Asked::read(key.as_bytes()), expected, "{key}");
        }
    }
}
