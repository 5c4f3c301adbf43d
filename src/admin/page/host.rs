//! Whether a request was meant for this host. A page in somebody's browser may have its own name resolve to our
//! address (DNS rebinding); the browser then says that name, and would hand our answer to the page.

use crate::names::DomainName;
use axum::http::{HeaderMap, Uri, header};
use std::net::{IpAddr, Ipv6Addr};

/// Whether the name that a client called us by is one of ours: an address, `localhost`, or one of `known`.
pub(super) fn is_ours<'a>(
    (uri, headers): (&Uri, &HeaderMap),
    known: impl IntoIterator<Item = &'a DomainName>,
) -> bool {
    let said = match said(uri, headers) {
        Said::Name(said) => said,
        // No browser leaves it out.
        Said::Nothing => return true,
        Said::Unclear => return false,
    };
    if is_address(said) || said.eq_ignore_ascii_case("localhost") {
        return true;
    }
    DomainName::parse(said).is_ok_and(|name| known.into_iter().any(|known| *known == name))
}

/// By what name a client called us.
enum Said<'a> {
    /// Without the port.
    Name(&'a str),
    Nothing,
    Unclear,
}

fn said<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Said<'a> {
    if let Some(authority) = uri.authority() {
        return Said::Name(without_port(authority.as_str()));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => Said::Nothing,
        (Some(only), None) => match only.to_str() {
            Ok(only) => Said::Name(without_port(only)),
            Err(_) => Said::Unclear,
        },
        (Some(_), Some(_)) => Said::Unclear,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

fn is_address(host: &str) -> bool {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => matches!(host.parse(), Ok(IpAddr::V4(_))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn names_that_are_ours() {
        let known = ["relay.example.net", "status.example.net"];
        let known = known.map(|name| DomainName::parse(name).unwrap());
        for (host, ours) in [
            ("127.0.0.1:9825", true),
            ("192.0.2.1", true),
            ("[::1]:9825", true),
            ("[::1]", true),
            ("localhost:9825", true),
            ("LOCALHOST", true),
            ("Relay.Example.NET:9825", true),
            ("status.example.net", true),
            ("evil.example", false),
            ("relay.example.net.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("::1", false),
            ("[evil.example]", false),
            ("", false),
            (":9825", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            let origin = Uri::from_static("/");
            assert_eq!(is_ours((&origin, &headers), &known), ours, "{host:?}");
        }
        let origin = Uri::from_static("/");
        assert!(
            is_ours((&origin, &HeaderMap::new()), &known),
            "HTTP/1.0 needs none"
        );
        // Whoever writes two means one that we do not see.
        let mut two = HeaderMap::new();
        two.append(header::HOST, HeaderValue::from_static("localhost"));
        two.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(!is_ours((&origin, &two), &known));
        // The whole URL counts more than the header (RFC 9112 §3.2.2).
        let whole = Uri::from_static("http://evil.example/");
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        assert!(!is_ours((&whole, &headers), &known));
    }
}
