//! The servers of the machine's own resolver, resolv.conf(5). Search lists and options are nothing to
//! us: every name that is asked for is fully qualified.

use super::DnsSetupError;
use nix::net::if_::if_nametoindex;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

const FILE: &str = "/etc/resolv.conf";

/// RFC 1035 §4.2.
const PORT: u16 = 53;

pub(super) fn servers() -> Result<Vec<SocketAddr>, DnsSetupError> {
    let text = std::fs::read(FILE).map_err(|e| DnsSetupError::SystemConfig(e.to_string()))?;
    let servers = servers_in(&String::from_utf8_lossy(&text));
    if servers.is_empty() {
        return Err(DnsSetupError::NoServers);
    }
    Ok(servers)
}

/// Lines that say something else, or nothing sensible, are passed over, as the C library does.
fn servers_in(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == "nameserver").then_some(())?;
            server(words.next()?)
        })
        .collect()
}

/// `192.0.2.53`, `2001:db8::53`, `fe80::1%eth0`.
fn server(word: &str) -> Option<SocketAddr> {
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PORT));
    }
    let (ip, zone) = word.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    let scope = match zone.parse() {
        Ok(index) => index,
        Err(_) => if_nametoindex(zone).ok()?,
    };
    Some(SocketAddrV6::new(ip, PORT, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_are_read() {
        for (text, expected) in [
            (
                "nameserver 192.0.2.53\nnameserver 2001:db8::53",
                "192.0.2.53:53 [2001:db8::53]:53",
            ),
            (
                "# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n\tnameserver\t192.0.2.3 # x",
                "192.0.2.3:53",
            ),
            (
                "search -- a..b \u{fffd}\noptions ndots:5\nnameserver 127.0.0.53\r\n",
                "127.0.0.53:53",
            ),
            ("nameserver fe80::1%7", "[fe80::1%7]:53"),
            (
                "nameserver fe80::1%no-such-interface\nnameserver dns.example\nnameserver",
                "",
            ),
            ("", ""),
        ] {
            let got: Vec<String> = servers_in(text).iter().map(ToString::to_string).collect();
            assert_eq!(got.join(" "), expected, "{text}");
        }
    }
}
