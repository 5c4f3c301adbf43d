//! What Postfix's smtp, lmtp and smtpd say, taken apart.

use super::channel::{Channel, Trust, Version};
use super::problem::Problem;
use memchr::memchr;
use memchr::memmem;

/// A TLS connection, established or used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TlsLine<'a> {
    pub(super) use_: Use,
    /// `mx.example.net[192.0.2.1]:25`
    pub(super) peer: &'a [u8],
    pub(super) channel: Channel,
    pub(super) cipher: &'a [u8],
    /// Group or method of the key exchange; empty in logs of old versions.
    pub(super) exchange: &'a [u8],
}

/// Whether a connection is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    New,
    Again,
}

/// What became of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery<'a> {
    pub(super) queue_id: &'a [u8],
    pub(super) recipient: &'a [u8],
    pub(super) relay: &'a [u8],
    /// How many messages this connection has had; 1 if the line does not say.
    pub(super) uses: u32,
    /// Time for connection and transmission, whole seconds, rounded up.
    pub(super) took: i64,
    /// `tls=`, of Postfix 3.11; may be empty.
    pub(super) level: &'a [u8],
    pub(super) status: Status,
    /// What is in parentheses, without them.
    pub(super) reply: &'a [u8],
}

/// `status=`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Sent,
    Deferred,
    Bounced,
}

/// What an smtp or lmtp says that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender<'a> {
    Tls(TlsLine<'a>),
    Delivery(Delivery<'a>),
    Problem(Problem, &'a [u8]),
}

/// What an smtpd says that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiver<'a> {
    Connect(&'a [u8]),
    Tls(TlsLine<'a>),
    /// A message has begun.
    Message(Client<'a>),
    Disconnect,
    /// A handshake failed.
    Failure,
}

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client<'a> {
    pub(super) peer: &'a [u8],
    pub(super) login: Login,
}

/// Whether a client has logged in, and is one of our users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    Stranger,
    User,
}

/// Reads what an smtp or lmtp says.
pub(super) fn sender(text: &[u8]) -> Option<Sender<'_>> {
    if let Some((queue_id, rest)) = queue_id(text) {
        if rest.starts_with(b"to=<") {
            return delivery(queue_id, rest).map(Sender::Delivery);
        }
        return Problem::of(rest).map(|problem| Sender::Problem(problem, rest));
    }
    match text.first()? {
        b'T' | b'U' | b'V' | b'A' => tls(text, b"to ").map(Sender::Tls),
        _ => Problem::of(text).map(|problem| Sender::Problem(problem, text)),
    }
}

/// Reads what an smtpd says.
pub(super) fn receiver(text: &[u8]) -> Option<Receiver<'_>> {
    if let Some(peer) = text.strip_prefix(b"connect from ") {
        return Some(Receiver::Connect(peer));
    }
    if text.starts_with(b"disconnect from ") {
        return Some(Receiver::Disconnect);
    }
    if text.starts_with(b"SSL_accept error from ") {
        return Some(Receiver::Failure);
    }
    if let Some((_, rest)) = queue_id(text) {
        let rest = rest.strip_prefix(b"client=")?;
        let peer = &rest[..memmem::find(rest, b", ").unwrap_or(rest.len())];
        let login = match memmem::find(&rest[peer.len()..], b", sasl_username=") {
            Some(_) => Login::User,
            None => Login::Stranger,
        };
        return Some(Receiver::Message(Client { peer, login }));
    }
    tls(text, b"from ").map(Receiver::Tls)
}

/// `4XyZ12abc: ` in front; `NOQUEUE` is one too.
fn queue_id(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const MAX: usize = 32;
    let end = memchr(b':', &text[..text.len().min(MAX)])?;
    let id = &text[..end];
    let sound = id.len() >= 5 && id.iter().all(u8::is_ascii_alphanumeric);
    // `warning: ` and the like are words, and in lower case.
    let word = id.iter().all(u8::is_ascii_lowercase);
    let rest = text[end + 1..].strip_prefix(b" ")?;
    (sound && !word).then_some((id, rest))
}

/// `Trusted TLS connection established to mx[192.0.2.1]:25: TLSv1.3 with cipher X (256/256 bits) key-exchange Y ...`
fn tls<'a>(text: &'a [u8], towards: &[u8]) -> Option<TlsLine<'a>> {
    let (word, rest) = text.split_at(memchr(b' ', text)?);
    let trust = match word {
        b"Anonymous" => Trust::Anonymous,
        b"Untrusted" => Trust::Untrusted,
        b"Trusted" => Trust::Trusted,
        b"Verified" => Trust::Verified,
        _ => return None,
    };
    let rest = rest.strip_prefix(b" TLS connection ")?;
    let (use_, rest) = match rest.strip_prefix(b"established ") {
        Some(rest) => (Use::New, rest),
        None => (Use::Again, rest.strip_prefix(b"reused ")?),
    };
    let rest = rest.strip_prefix(towards)?;
    let bracket = memchr(b']', rest)?;
    let colon = bracket + memmem::find(&rest[bracket..], b": ")?;
    let peer = &rest[..colon];
    // smtpd: `from client[192.0.2.1] to the.name.that.was.asked.for: `
    let peer = &peer[..memchr(b' ', peer).unwrap_or(peer.len())];
    let (version, rest) = upto(&rest[colon + 2..], b" with cipher ")?;
    let (cipher, rest) = upto(rest, b" (")?;
    Some(TlsLine {
        use_,
        peer,
        channel: Channel::Tls(Version::parse(version), trust),
        cipher,
        exchange: exchange(rest),
    })
}

/// `X25519`, `DHE (2048 bits)`, and for `ECDHE (P-256)` the group alone.
fn exchange(rest: &[u8]) -> &[u8] {
    let Some((_, rest)) = upto(rest, b" key-exchange ") else {
        return b"";
    };
    let method = &rest[..memchr(b' ', rest).unwrap_or(rest.len())];
    let Some(inside) = rest[method.len()..].strip_prefix(b" (") else {
        return method;
    };
    let Some(end) = memchr(b')', inside) else {
        return method;
    };
    if inside[..end].ends_with(b" bits") {
        return &rest[..method.len() + 2 + end + 1];
    }
    &inside[..end]
}

fn delivery<'a>(queue_id: &'a [u8], text: &'a [u8]) -> Option<Delivery<'a>> {
    let (recipient, mut rest) = address(text.strip_prefix(b"to=<")?)?;
    if let Some(original) = rest.strip_prefix(b"orig_to=<") {
        rest = address(original)?.1;
    }
    let mut read = Delivery {
        queue_id,
        recipient,
        relay: b"",
        uses: 1,
        took: 0,
        level: b"",
        status: Status::Sent,
        reply: b"",
    };
    loop {
        if let Some(status) = rest.strip_prefix(b"status=") {
            let (word, reply) = upto(status, b" (").unwrap_or((status, b""));
            read.status = match word {
                b"sent" => Status::Sent,
                b"deferred" => Status::Deferred,
                b"bounced" => Status::Bounced,
                // Of address verification: nothing was delivered.
                _ => return None,
            };
            read.reply = reply.strip_suffix(b")").unwrap_or(reply);
            return Some(read);
        }
        let (field, after) = upto(rest, b", ")?;
        rest = after;
        if let Some(relay) = field.strip_prefix(b"relay=") {
            read.relay = relay;
        } else if let Some(uses) = field.strip_prefix(b"conn_use=") {
            read.uses = super::line::pid(uses).unwrap_or(1);
        } else if let Some(delays) = field.strip_prefix(b"delays=") {
            read.took = took(delays);
        } else if let Some(level) = field.strip_prefix(b"tls=") {
            read.level = level;
        }
    }
}

/// Of `before/queue/connection/transmission` the last two.
fn took(delays: &[u8]) -> i64 {
    let parts = delays.split(|b| *b == b'/').skip(2);
    let whole = |part: &[u8]| {
        let digits = part.iter().take_while(|b| b.is_ascii_digit()).count();
        super::line::pid(&part[..digits]).map_or(1, |seconds| i64::from(seconds) + 1)
    };
    parts.map(whole).sum()
}

/// Up to the closing `>, `; quotes are respected, in which anything may stand (RFC 5321 §4.1.2).
fn address(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut at, mut escaped) = (0, false);
    if text.first() == Some(&b'"') {
        let body = &text[1..];
        let end = body.iter().position(|b| {
            let closes = *b == b'"' && !escaped;
            escaped = *b == b'\\' && !escaped;
            closes
        });
        at = 1 + end?;
    }
    let end = at + memmem::find(&text[at..], b">, ")?;
    Some((&text[..end], &text[end + 3..]))
}

/// What Sealpost's reply says of how it delivered: `... (sealpost ID, TLSv1.3, dane)`.
///
/// The remote host's words come before, so that it cannot speak for Sealpost.
pub(super) fn told_by_sealpost(reply: &[u8]) -> Option<Channel> {
    let start = memmem::rfind(reply, b" (sealpost ")?;
    let (_, rest) = upto(&reply[start + 11..], b", ")?;
    let (version, rest) = upto(rest, b", ")?;
    let proof = &rest[..memchr(b')', rest)?];
    if version == b"plaintext" {
        return Some(Channel::Plaintext);
    }
    let trust = match proof {
        b"dane" => Trust::Dane,
        b"webpki" => Trust::WebPki,
        b"fingerprint" => Trust::Fingerprint,
        _ => Trust::Untrusted,
    };
    Some(Channel::Tls(Version::parse(version), trust))
}

fn upto<'a>(text: &'a [u8], sign: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(text, sign)?;
    Some((&text[..at], &text[at + sign.len()..]))
}

#[cfg(test)]
#[path = "postfix_tests.rs"]
mod tests;
