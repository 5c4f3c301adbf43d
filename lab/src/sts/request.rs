//! Requests, and what a correct client's look like (RFC 8461 §3.3, RFC 9112).

use std::collections::BTreeSet;

/// Where policies are (RFC 8461 §3.3).
const REQUEST_LINE: &str = "GET /.well-known/mta-sts.txt HTTP/1.1";

/// Fields that tell who asks, or ask a cache ("HTTP caching MUST NOT be used", RFC 8461 §3.3).
const UNWANTED: [&str; 8] = [
    "Authorization",
    "Cookie",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Proxy-Authorization",
];

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Such as GET.
    pub method: String,
    /// Such as `/.well-known/mta-sts.txt`.
    pub target: String,
    /// Names and values, in order, letters as they were.
    pub headers: Vec<(String, String)>,
    /// The server name of the handshake.
    pub sni: Option<String>,
    /// The number of the connection to this host, from 0.
    pub connection: usize,
    /// The rest of the request line.
    pub(super) version: String,
}

/// What a request must fit.
pub(super) struct Expected<'a> {
    pub(super) names: &'a BTreeSet<String>,
    pub(super) port: u16,
}

impl Request {
    /// The first field of this name, compared without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let same = move |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
    }

    /// As much as can be understood of a head.
    pub(super) fn parse(head: &[u8], sni: Option<String>, connection: usize) -> Self {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines();
        let mut words = lines.next().unwrap_or_default().splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (method, target, version) = (word(), word(), word());
        let fields = lines.filter(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim().to_owned())
        });
        Self {
            method,
            target,
            headers: fields.collect(),
            sni,
            connection,
            version,
        }
    }

    /// Whether octets that are no request may follow.
    pub(super) fn has_body(&self) -> bool {
        let length = self.header("Content-Length");
        length.is_some_and(|length| length != "0") || self.header("Transfer-Encoding").is_some()
    }

    /// Whether this connection is to have no other request.
    pub(super) fn is_last(&self) -> bool {
        let close = |value: &str| {
            let mut options = value.split(',');
            options.any(|option| option.trim().eq_ignore_ascii_case("close"))
        };
        self.version != "HTTP/1.1" || self.all("Connection").any(close)
    }
}

/// Where a head ends, the empty line included.
pub(super) fn end_of_head(octets: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', octets).find_map(|at| match &octets[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// All that is wrong with it.
pub(super) fn violations(head: &[u8], request: &Request, expected: &Expected<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let line = [&*request.method, &*request.target, &*request.version].join(" ");
    if line != REQUEST_LINE {
        wrong.push(format!("the request line is {line:?}"));
    }
    wrong.extend(spelling(head));
    wrong.extend(server_name(request, expected));
    wrong.extend(host(request, expected));
    if request.has_body() {
        wrong.push("a request with a body".to_owned());
    }
    for name in UNWANTED {
        if request.header(name).is_some() {
            wrong.push(format!("a request with {name}"));
        }
    }
    wrong
}

/// RFC 9112 §2.2 and §5.1: lines end in CRLF, names are tokens with a colon right behind them, values are visible.
fn spelling(head: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(head).ok().filter(|t| t.is_ascii());
    let Some(text) = text.and_then(|text| text.strip_suffix("\r\n\r\n")) else {
        return Some("a head that is not of ASCII lines with CRLF".to_owned());
    };
    let control = |c: char| c.is_ascii_control() && c != '\t';
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let well_formed = |line: &str| match line.split_once(':') {
        Some((name, value)) => {
            !name.is_empty() && name.chars().all(token) && !value.contains(control)
        }
        None => false,
    };
    let bad = text.split("\r\n").skip(1).find(|line| !well_formed(line));
    bad.map(|line| format!("a header field {line:?}"))
}

fn server_name(request: &Request, expected: &Expected<'_>) -> Option<String> {
    match &request.sni {
        None => Some("a handshake without a server name".to_owned()),
        Some(sni) if expected.names.contains(&sni.to_ascii_lowercase()) => None,
        Some(sni) => Some(format!("a handshake with the server name {sni}")),
    }
}

fn host(request: &Request, expected: &Expected<'_>) -> Option<String> {
    let hosts = request.all("Host").collect::<Vec<_>>();
    let [host] = hosts[..] else {
        return Some(format!("a request with {} Host fields", hosts.len()));
    };
    let port = format!(":{}", expected.port);
    let name = host.strip_suffix(&port).unwrap_or(host);
    let name = name.to_ascii_lowercase();
    let as_in_handshake = match &request.sni {
        Some(sni) => sni.eq_ignore_ascii_case(&name),
        None => true,
    };
    if expected.names.contains(&name) && as_in_handshake {
        return None;
    }
    Some(format!("a request with the Host {host:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "GET /.well-known/mta-sts.txt HTTP/1.1";

    fn found(sni: Option<&str>, head: &str) -> Vec<String> {
        let names = ["mta-sts.a.test", "mta-sts.b.test"];
        let names = names.map(str::to_owned).into();
        let head = head.as_bytes();
        assert_eq!(end_of_head(head), Some(head.len()));
        let request = Request::parse(head, sni.map(str::to_owned), 0);
        let expected = Expected {
            names: &names,
            port: 8443,
        };
        violations(head, &request, &expected)
    }

    #[test]
    fn a_correct_request_has_no_violations() {
        for fields in [
            "Host: mta-sts.a.test\r\n",
            "host:mta-sts.a.test:8443\r\n",
            "User-Agent: x/1\r\nHost: MTA-STS.a.test\r\nAccept: text/plain\r\nConnection: close\r\n",
            "Host: mta-sts.a.test\r\nContent-Length: 0\r\n", // no body
        ] {
            let head = format!("{LINE}\r\n{fields}\r\n");
            assert_eq!(found(Some("mta-sts.a.test"), &head), Vec::<String>::new());
        }
    }

    #[test]
    fn each_wrong_request_line_is_found_alone() {
        for line in [
            "HEAD /.well-known/mta-sts.txt HTTP/1.1",
            "GET / HTTP/1.1",
            "GET /.well-known/mta-sts.txt?x HTTP/1.1",
            "GET https://mta-sts.a.test/.well-known/mta-sts.txt HTTP/1.1", // for proxies
            "GET /.well-known/mta-sts.txt HTTP/1.0",
            "GET  /.well-known/mta-sts.txt HTTP/1.1",
            "",
        ] {
            let head = format!("{line}\r\nHost: mta-sts.a.test\r\n\r\n");
            let wrong = found(Some("mta-sts.a.test"), &head);
            assert!(
                wrong.len() == 1 && wrong[0].contains("request line"),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn each_wrong_field_is_found_alone() {
        for (fields, text) in [
            ("", "0 Host fields"),
            ("Host: a.test", "the Host \"a.test\""),
            ("Host: mta-sts.b.test", "the Host"), // another than in the handshake
            ("Host: mta-sts.a.test:443", "the Host"), // another port
            ("Host: mta-sts.a.test.", "the Host"),
            (
                "Host: mta-sts.a.test\r\nHost: mta-sts.a.test",
                "2 Host fields",
            ),
            ("Host: mta-sts.a.test\r\nContent-Length: 2", "body"),
            ("Host: mta-sts.a.test\r\nTransfer-Encoding: chunked", "body"),
            ("Host: mta-sts.a.test\r\nCookie: a=b", "Cookie"),
            (
                "Host: mta-sts.a.test\r\nauthorization: Basic eA==",
                "Authorization",
            ),
            (
                "Host: mta-sts.a.test\r\nIf-None-Match: \"1\"",
                "If-None-Match",
            ),
            ("Host: mta-sts.a.test\r\nX : y", "header field"),
            ("Host: mta-sts.a.test\r\nX: a\r\n b", "header field"),
            ("Host: mta-sts.a.test\r\nX: a\x01", "header field"),
            ("Host: mta-sts.a.test\r\nnonsense", "header field"),
            ("Host: mta-sts.a.test\r\nX: \u{e9}", "ASCII"),
        ] {
            let lines = [LINE, fields].map(|l| {
                if l.is_empty() {
                    String::new()
                } else {
                    format!("{l}\r\n")
                }
            });
            let wrong = found(Some("mta-sts.a.test"), &format!("{}\r\n", lines.concat()));
            assert!(
                wrong.len() == 1 && wrong[0].contains(text),
                "{fields:?}: {wrong:?}"
            );
        }
        let bare = format!("{LINE}\nHost: mta-sts.a.test\n\n");
        let bare = found(Some("mta-sts.a.test"), &bare);
        assert!(bare.len() == 1 && bare[0].contains("CRLF"), "{bare:?}");
    }

    #[test]
    fn the_server_name_of_the_handshake_counts() {
        let head = format!("{LINE}\r\nHost: mta-sts.a.test\r\n\r\n");
        let without = found(None, &head);
        assert!(without.len() == 1 && without[0].contains("without a server name"));
        let other = found(Some("a.test"), &format!("{LINE}\r\nHost: a.test\r\n\r\n"));
        assert!(other.len() == 2 && other[0].contains("the server name a.test"));
    }
}
