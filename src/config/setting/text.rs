//! Values that are written as text in quotes, each read strictly.

use super::duration::{read_duration, show_duration};
use super::{AddressOrOff, DnsServer, Mode, Pattern, Setting, as_toml, fault, quote, text};
use crate::config::problems::Fault;
use crate::names::{DomainName, RuleNextHop};
use crate::policy::postfix_map::{match_name, sha256};
use crate::policy::{Fingerprint, MatchName};
use crate::server::ListenAddress;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// Values that are written as text.
macro_rules! textual {
    ($type:ty, $wanted:literal, $read:expr, $show:expr) => {
        impl Setting for $type {
            fn read(item: &Spanned<DeValue<'_>>) -> Result<Self, Vec<Fault>> {
                let text = text(item, $wanted)?;
                let read: fn(&str) -> Result<$type, (String, String)> = $read;
                read(text).or_else(|(what, mend)| fault(item, what, mend))
            }

            fn show(&self) -> String {
                let show: fn(&$type) -> String = $show;
                as_toml(&show(self))
            }
        }
    };
}

textual!(
    String,
    "a string in quotes",
    |t| Ok(t.to_owned()),
    String::clone
);
textual!(
    DomainName,
    "a name in quotes",
    read_name,
    ToString::to_string
);
textual!(PathBuf, "a path in quotes", read_path, |p| p
    .display()
    .to_string());
textual!(
    Duration,
    "a time as \"90s\" or \"9m30s\"",
    read_duration,
    show_duration
);
textual!(
    IpAddr,
    "an address as \"192.0.2.1\"",
    read_ip,
    ToString::to_string
);
textual!(
    SocketAddr,
    "an address as \"127.0.0.1:2525\"",
    read_socket,
    ToString::to_string
);
textual!(
    ipnet::IpNet,
    "a network as \"192.0.2.0/24\"",
    read_network,
    ToString::to_string
);
textual!(
    ListenAddress,
    "an address as \"127.0.0.1:2525\"",
    read_listen,
    show_listen
);
textual!(Mode, "permissions as \"0660\"", read_mode, |m| format!(
    "{:04o}",
    m.0
));
textual!(
    DnsServer,
    "an address as \"127.0.0.1:53\"",
    read_server,
    |s| s.0.to_string()
);
textual!(
    AddressOrOff,
    "an address as \"127.0.0.1:9825\", or \"off\"",
    read_or_off,
    |a| { a.0.map_or_else(|| "off".to_owned(), |a| a.to_string()) }
);
textual!(Pattern, "a domain in quotes", read_pattern, |p| match p {
    Pattern::Exact(name) => name.to_string(),
    Pattern::Below(name) => format!("*.{name}"),
});
textual!(MatchName, "a name in quotes", read_match, |m| match m {
    MatchName::Name(name) => name.to_string(),
    MatchName::Below(name) => format!(".{name}"),
    MatchName::NextHop => "nexthop".to_owned(),
    MatchName::DotNextHop => "dot-nexthop".to_owned(),
    MatchName::HostName => "hostname".to_owned(),
});
textual!(
    Fingerprint,
    "\"cert-sha256:HEX\" or \"spki-sha256:HEX\"",
    read_pin,
    show_pin
);
textual!(
    RuleNextHop,
    "a next hop as \"[mx.example.com]:587\"",
    read_hop,
    ToString::to_string
);

pub(super) type Read<T> = Result<T, (String, String)>;

pub(super) fn no<T>(what: impl Into<String>, mend: impl Into<String>) -> Read<T> {
    Err((what.into(), mend.into()))
}

fn read_name(text: &str) -> Read<DomainName> {
    DomainName::parse(text).or_else(|error| no(format!("{}: {error}", quote(text)), ""))
}

fn read_path(text: &str) -> Read<PathBuf> {
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(PathBuf::from(text));
    }
    no(
        format!("{} is no absolute path", quote(text)),
        "write the path from / on",
    )
}

fn read_ip(text: &str) -> Read<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match (text.parse(), bare.parse::<IpAddr>()) {
        (Ok(ip), _) => Ok(ip),
        (Err(_), Ok(ip)) => no(
            format!("{} has brackets", quote(text)),
            format!("write \"{ip}\""),
        ),
        (Err(_), Err(_)) => no(
            format!("{} is no IP address", quote(text)),
            "write it as \"192.0.2.1\" or \"2001:db8::1\"",
        ),
    }
}

fn read_socket(text: &str) -> Read<SocketAddr> {
    text.parse().or_else(|_| {
        no(
            format!("{} is no address with port", quote(text)),
            "write it as \"127.0.0.1:2525\" or \"[::1]:2525\"",
        )
    })
}

fn read_network(text: &str) -> Read<ipnet::IpNet> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        return no(
            format!("{} has no prefix length", quote(text)),
            format!("write \"{ip}/{bits}\" for this one address"),
        );
    }
    let Ok(network) = text.parse::<ipnet::IpNet>() else {
        return no(
            format!("{} is no network", quote(text)),
            "write it as \"192.0.2.0/24\" or \"2001:db8::/32\"",
        );
    };
    if network.trunc() == network {
        return Ok(network);
    }
    no(
        format!("{} has bits set beyond its prefix length", quote(text)),
        format!(
            "write \"{}\", or \"{}/{}\" for the one address",
            network.trunc(),
            network.addr(),
            network.max_prefix_len()
        ),
    )
}

/// Longest path that fits `sockaddr_un` (unix(7)), its final NUL set aside.
const MAX_SOCKET_PATH: usize = 107;

fn read_listen(text: &str) -> Read<ListenAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.len() > MAX_SOCKET_PATH {
            return no(
                "the path is too long for a socket",
                format!("at most {MAX_SOCKET_PATH} octets"),
            );
        }
        return read_path(path).map(ListenAddress::Unix);
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        if name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic() || c == ':') {
            return no(
                format!("{} is no socket name", quote(name)),
                "write FileDescriptorName= of the socket unit",
            );
        }
        return Ok(ListenAddress::Systemd(name.to_owned()));
    }
    text.parse().map(ListenAddress::Tcp).or_else(|_| {
        no(
            format!("{} is nothing to listen on", quote(text)),
            "write \"IP:PORT\", \"[IP]:PORT\", \"unix:/PATH\" or \"systemd:NAME\"",
        )
    })
}

fn show_listen(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
        ListenAddress::Systemd(name) => format!("systemd:{name}"),
    }
}

fn read_mode(text: &str) -> Read<Mode> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal && mode <= 0o777 => Ok(Mode(mode)),
        Ok(_) | Err(_) => no(
            format!("{} is no permission", quote(text)),
            "write it in octal, as \"0660\"",
        ),
    }
}

fn read_server(text: &str) -> Read<DnsServer> {
    match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(address), _) => Ok(DnsServer(address)),
        (Err(_), Ok(ip)) => Ok(DnsServer(SocketAddr::new(ip, 53))),
        (Err(_), Err(_)) => no(
            format!("{} is no address", quote(text)),
            "write it as \"127.0.0.1:53\"; names cannot be looked up without a server",
        ),
    }
}

fn read_or_off(text: &str) -> Read<AddressOrOff> {
    match text {
        "off" => Ok(AddressOrOff(None)),
        _ => read_socket(text).map(|address| AddressOrOff(Some(address))),
    }
}

fn read_pattern(text: &str) -> Read<Pattern> {
    if let Some(parent) = text.strip_prefix("*.") {
        return read_name(parent).map(Pattern::Below);
    }
    if let Some(parent) = text.strip_prefix('.') {
        return no(
            format!("{} is Postfix's form", quote(text)),
            format!("write \"*.{parent}\" for any name below it"),
        );
    }
    if text == "*" {
        return no(
            "\"*\" is no domain",
            "what holds for all domains is said by policy.default",
        );
    }
    read_name(text).map(Pattern::Exact)
}

fn read_match(text: &str) -> Read<MatchName> {
    if text.starts_with("*.") {
        return no(
            format!("{} cannot be matched", quote(text)),
            format!("write {} for any name below it", quote(&text[1..])),
        );
    }
    match_name(text).or_else(|error| no(format!("{}: {error}", quote(text)), ""))
}

fn read_pin(text: &str) -> Read<Fingerprint> {
    let (kind, digest) = text.split_once(':').unwrap_or(("", text));
    let digest = sha256(digest);
    match (kind, digest) {
        ("cert-sha256", Some(digest)) => Ok(Fingerprint::Certificate(digest)),
        ("spki-sha256", Some(digest)) => Ok(Fingerprint::PublicKey(digest)),
        ("cert-sha256" | "spki-sha256", None) => no(
            format!("{} has no SHA-256 digest", quote(text)),
            "64 hexadecimal digits must follow, colons between pairs are allowed",
        ),
        (_, _) => no(
            format!("{} does not say what was digested", quote(text)),
            "write \"cert-sha256:HEX\" for the certificate or \"spki-sha256:HEX\" for its key",
        ),
    }
}

fn show_pin(pin: &Fingerprint) -> String {
    let (kind, digest) = match pin {
        Fingerprint::Certificate(digest) => ("cert-sha256", digest),
        Fingerprint::PublicKey(digest) => ("spki-sha256", digest),
        // Only a Postfix map has these; a rule of the file cannot.
        Fingerprint::Either(digest) => ("sha256", digest),
    };
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    format!("{kind}:{hex}")
}

fn read_hop(text: &str) -> Read<RuleNextHop> {
    RuleNextHop::parse(text).or_else(|error| {
        no(
            format!("{}: {error}", quote(text)),
            "write \"example.com\", \"[mx.example.com]:587\" or \"[192.0.2.1]\"",
        )
    })
}
