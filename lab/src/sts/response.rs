//! The octets of responses.

use super::script::{Answer, own, padded, trap};

/// What [`Answer::BrokenTls`] says.
pub(super) const NOT_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// To a request whose head does not end.
pub(super) const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// How much more than there is a truncated response promises.
const MISSING: usize = 100;

/// The response to the host of this name; empty where it is not made of octets that end.
pub(super) fn response(answer: &Answer, name: &str) -> Vec<u8> {
    match answer {
        Answer::Good => with_policy(200, &own(name)),
        Answer::Policy(body)
        | Answer::Drip { body, .. }
        | Answer::Late { body, .. }
        | Answer::Gated { body } => with_policy(200, body),
        Answer::Big(octets) => with_policy(200, &padded(name, *octets)),
        Answer::Status(status) => with_policy(*status, &trap()),
        Answer::Redirect(location) => {
            let headers = [("Content-Type", "text/plain"), ("Location", location)];
            full(301, &owned(&headers), trap().as_bytes())
        }
        Answer::Custom {
            status,
            headers,
            body,
        } => full(*status, headers, body),
        Answer::Raw(octets) | Answer::Cut(octets) => octets.clone(),
        Answer::Truncated => {
            let promised = (trap().len() + MISSING).to_string();
            let headers = [
                ("Content-Type", "text/plain"),
                ("Content-Length", &promised),
            ];
            full(200, &owned(&headers), trap().as_bytes())
        }
        Answer::Endless => {
            let headers = [
                ("Content-Type", "text/plain"),
                ("Transfer-Encoding", "chunked"),
            ];
            full(200, &owned(&headers), &chunk(trap().as_bytes()))
        }
        Answer::HangBeforeTls
        | Answer::Hang
        | Answer::BrokenTls
        | Answer::Alert(_)
        | Answer::CloseBeforeTls
        | Answer::CloseAfterRequest => Vec::new(),
    }
}

/// One of those that an endless body goes on with; a valid extension.
pub(super) fn endless_chunk() -> Vec<u8> {
    let line = format!("x_pad: {}\r\n", "x".repeat(71));
    chunk(line.repeat(50).as_bytes())
}

/// RFC 9112 §7.1.
fn chunk(octets: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", octets.len());
    [size.as_bytes(), octets, b"\r\n"].concat()
}

fn with_policy(status: u16, body: &str) -> Vec<u8> {
    let headers = owned(&[("Content-Type", "text/plain")]);
    full(status, &headers, body.as_bytes())
}

fn full(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let reason = if status == 200 { "OK" } else { "" };
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let framed = headers.iter().any(|(name, _)| {
        name.eq_ignore_ascii_case("Content-Length")
            || name.eq_ignore_ascii_case("Transfer-Encoding")
    });
    if !framed {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
