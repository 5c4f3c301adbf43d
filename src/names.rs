//! Names with their role in the type: two roles are two types, so that they cannot be swapped.
//!
//! Every name is kept as lower-case A-labels without a trailing dot; U-labels are converted once,
//! where they enter (RFC 5890 §2.3.2.1).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A fully qualified DNS name: A-labels, lower case, no trailing dot, at most 253 octets.
///
/// Underscores are accepted in any label, since MX hosts with underscores occur in the wild.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(Arc<str>);

/// Why a string is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the name is empty")]
    Empty,
    #[error("the name is longer than 253 octets")]
    TooLong,
    #[error("a label is empty or longer than 63 octets")]
    BadLabel,
    #[error("the name has a character that no host name may have")]
    BadCharacter,
    #[error("the name is not a valid internationalised name")]
    BadUnicode,
    #[error("the name is an IP address")]
    IsAddress,
}

impl DomainName {
    /// Longest name in presentation form without the trailing dot (RFC 1035 §2.3.4).
    pub const MAX: usize = 253;

    /// Reads a name as people, configuration files and SMTP write it; U-labels become A-labels.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > 4 * Self::MAX {
            return Err(NameError::TooLong);
        }
        let ascii = if text.is_ascii() && !text.to_ascii_lowercase().contains("xn--") {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| NameError::BadUnicode)?
        };
        check_ascii(&ascii)?;
        Ok(Self(ascii.into()))
    }

    /// Reads a name as it stands in a DNS record: nothing is converted, so that an A-label that today's
    /// IDNA would refuse still names its host.
    pub fn from_dns(ascii: &str) -> Result<Self, NameError> {
        let name = ascii.strip_suffix('.').unwrap_or(ascii);
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        check_ascii(name)?;
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its first label; `None` for a single label.
    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_once('.')?;
        Some(Self(rest.into()))
    }

    /// Whether this is a name below `ancestor`, and not `ancestor` itself.
    pub fn is_below(&self, ancestor: &Self) -> bool {
        self.0
            .strip_suffix(ancestor.as_str())
            .is_some_and(|rest| rest.ends_with('.'))
    }

    /// Whether the name has at least two labels (RFC 5321 §2.3.5 wants fully qualified names).
    pub fn is_qualified(&self) -> bool {
        self.0.contains('.')
    }
}

fn check_ascii(name: &str) -> Result<(), NameError> {
    if name.len() > DomainName::MAX {
        return Err(NameError::TooLong);
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err(NameError::BadLabel);
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return Err(NameError::BadCharacter);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(NameError::BadLabel);
        }
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NameError::IsAddress);
    }
    Ok(())
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub DomainName);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

role!(
    /// The domain that published policies speak for (RFC 8461 §1.1): the recipient's domain, or the
    /// next hop's where a rule routes it.
    PolicyDomain
);
role!(
    /// What an MX record names and what we connect to (RFC 5321 §5.1).
    MxHost
);
role!(
    /// The name below which TLSA records are sought (RFC 7672 §2.2.3).
    TlsaBaseDomain
);

/// Where mail for a recipient goes first: the key by which recipients are grouped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// The MX hosts of a domain (RFC 5321 §5.1), on `outbound.port`.
    Domain(DomainName),
    /// An address literal in the recipient's address, `user@[192.0.2.1]` (RFC 5321 §4.1.3).
    Literal(IpAddr),
    /// A rule's `next_hop`.
    Rule(RuleNextHop),
}

/// A rule's `next_hop`: `example.com`, `[mx.example.com]:587`, `[192.0.2.1]:465`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuleNextHop {
    pub target: RuleTarget,
    /// `None`: `outbound.port`.
    pub port: Option<u16>,
}

/// What a rule's `next_hop` names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RuleTarget {
    /// `example.com`: its MX hosts.
    Mx(DomainName),
    /// `[mx.example.com]`: this host, no MX lookup.
    Host(DomainName),
    /// `[192.0.2.1]`.
    Address(IpAddr),
}

impl RuleNextHop {
    /// Port 465 is TLS from the first byte (RFC 8314 §3.3).
    pub const IMPLICIT_TLS_PORT: u16 = 465;

    pub fn is_implicit_tls(&self) -> bool {
        self.port == Some(Self::IMPLICIT_TLS_PORT)
    }

    /// Reads `host`, `host:port`, `[host]`, `[host]:port`, `[address]`, `[IPv6:...]`.
    pub fn parse(text: &str) -> Result<Self, NextHopError> {
        let (target, port) = if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or(NextHopError::Unclosed)?;
            let port = match after {
                "" => None,
                _ => Some(after.strip_prefix(':').ok_or(NextHopError::AfterBracket)?),
            };
            let inside = inside.strip_prefix("IPv6:").unwrap_or(inside);
            let target = match inside.parse::<IpAddr>() {
                Ok(ip) => RuleTarget::Address(ip),
                Err(_) => RuleTarget::Host(DomainName::parse(inside)?),
            };
            (target, port)
        } else {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            (RuleTarget::Mx(DomainName::parse(host)?), port)
        };
        let port = match port {
            None => None,
            Some(p) => match p.parse::<u16>() {
                Ok(n) if n > 0 && p.bytes().all(|b| b.is_ascii_digit()) => Some(n),
                _ => return Err(NextHopError::Port),
            },
        };
        Ok(Self { target, port })
    }
}

/// Why a `next_hop` cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NextHopError {
    #[error("the opening bracket is not closed")]
    Unclosed,
    #[error("after the closing bracket only :PORT may follow")]
    AfterBracket,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("{0}")]
    Name(#[from] NameError),
}

impl fmt::Display for RuleNextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            RuleTarget::Mx(d) => write!(f, "{d}")?,
            RuleTarget::Host(d) => write!(f, "[{d}]")?,
            RuleTarget::Address(ip) => write!(f, "[{ip}]")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(d) => write!(f, "{d}"),
            Self::Literal(ip) => write!(f, "[{ip}]"),
            Self::Rule(hop) => write!(f, "{hop}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_labels_in_lower_case() {
        for (text, expected) in [
            ("Example.COM.", Ok("example.com")),
            ("bücher.example", Ok("xn--bcher-kva.example")),
            ("XN--BCHER-KVA.example", Ok("xn--bcher-kva.example")),
            ("mx_1.example.com", Ok("mx_1.example.com")),
            ("a..b", Err(NameError::BadLabel)),
            ("", Err(NameError::Empty)),
            (".", Err(NameError::Empty)),
            ("-a.example", Err(NameError::BadLabel)),
            ("a b.example", Err(NameError::BadCharacter)),
            ("192.0.2.1", Err(NameError::IsAddress)),
            ("xn--zz-.example", Err(NameError::BadUnicode)),
        ] {
            let got = DomainName::parse(text);
            assert_eq!(
                got.as_ref().map(DomainName::as_str),
                expected.as_ref().copied(),
                "{text}"
            );
        }
        assert_eq!(DomainName::parse(&"a".repeat(64)), Err(NameError::BadLabel));
        assert_eq!(
            DomainName::parse(&"a.".repeat(2000)),
            Err(NameError::TooLong)
        );
    }

    #[test]
    fn names_in_records_are_taken_as_they_are() {
        for (text, expected) in [
            ("MX_1.Example.COM.", Ok("mx_1.example.com")),
            ("xn--zz-z.example.", Ok("xn--zz-z.example")), // no valid punycode, and yet a host
            (".", Err(NameError::Empty)),
            ("a\\.b.example.", Err(NameError::BadCharacter)), // a dot inside a label
            ("b\\195\\188cher.example.", Err(NameError::BadCharacter)),
            ("192.0.2.1.", Err(NameError::IsAddress)),
        ] {
            let got = DomainName::from_dns(text);
            assert_eq!(
                got.as_ref().map(DomainName::as_str),
                expected.as_ref().copied(),
                "{text}"
            );
        }
    }

    #[test]
    fn below_is_strict() {
        let name = |s| DomainName::parse(s).unwrap();
        for (below, above, expected) in [
            ("a.example.com", "example.com", true),
            ("example.com", "example.com", false),
            ("badexample.com", "example.com", false),
        ] {
            assert_eq!(
                name(below).is_below(&name(above)),
                expected,
                "{below} {above}"
            );
        }
    }

    #[test]
    fn next_hops_of_rules() {
        for (text, expected) in [
            ("Relay.example.net", Ok("relay.example.net")),
            ("relay.example.net:2525", Ok("relay.example.net:2525")),
            ("[mx.example.com]:587", Ok("[mx.example.com]:587")),
            ("[192.0.2.1]", Ok("[192.0.2.1]")),
            ("[IPv6:2001:db8::1]:465", Ok("[2001:db8::1]:465")),
            ("[mx.example.com", Err(NextHopError::Unclosed)),
            ("[mx.example.com]587", Err(NextHopError::AfterBracket)),
            ("mx.example.com:0", Err(NextHopError::Port)),
            ("mx.example.com:+25", Err(NextHopError::Port)),
            ("mx.example.com:70000", Err(NextHopError::Port)),
            ("192.0.2.1", Err(NextHopError::Name(NameError::IsAddress))),
        ] {
            let got = RuleNextHop::parse(text).map(|hop| hop.to_string());
            assert_eq!(got, expected.map(String::from), "{text}");
        }
    }
}
