//! A lean client for benchmarks: many sessions, many messages each, nothing kept.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The longest that a reply is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// Octets of a reply; more is nobody's reply.
const MAX_REPLY: usize = 65_536;

/// What a source sends.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// The relay.
    pub to: SocketAddr,
    /// EHLO or LHLO.
    pub protocol: Protocol,
    /// Sessions at the same time; each keeps its connection for all its messages.
    pub sessions: usize,
    /// Messages in all, of one recipient each.
    pub messages: u64,
    /// Octets of a message's content, at least those of its header.
    pub size: usize,
    /// The recipients' domains, one after the other.
    pub domains: Vec<String>,
}

/// Which greeting it begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033; with one recipient it has no more replies than SMTP.
    Lmtp,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages that the relay answered with 250.
    pub accepted: u64,
    /// All others.
    pub refused: u64,
    /// What the relay said to one of those.
    pub refusal: Option<String>,
    /// Of each that was accepted, from the first octet of its content to the reply.
    pub times: Vec<Duration>,
}

/// Sends all messages, and waits for all replies.
///
/// # Errors
/// If a session ends before its last message, or the relay does not do PIPELINING (RFC 2920).
pub async fn send(settings: SourceSettings) -> io::Result<Sent> {
    let sessions = settings.sessions;
    let settings = Arc::new(settings);
    let next = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for _ in 0..sessions {
        running.spawn(session(Arc::clone(&settings), Arc::clone(&next)));
    }
    let mut sum = Sent::default();
    while let Some(ended) = running.join_next().await {
        let sent = ended.map_err(io::Error::other)??;
        sum.accepted += sent.accepted;
        sum.refused += sent.refused;
        sum.refusal = sum.refusal.or(sent.refusal);
        sum.times.extend(sent.times);
    }
    Ok(sum)
}

async fn session(settings: Arc<SourceSettings>, next: Arc<AtomicU64>) -> io::Result<Sent> {
    let mut wire = Wire::open(settings.to).await?;
    wire.greet(settings.protocol).await?;
    let mut content = Content::new(settings.size);
    let mut sent = Sent::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= settings.messages {
            break;
        }
        let domain = &settings.domains[number as usize % settings.domains.len()];
        match wire.message(number, domain, &mut content).await? {
            Ok(time) => {
                sent.accepted += 1;
                sent.times.push(time);
            }
            Err(refusal) => {
                sent.refused += 1;
                sent.refusal.get_or_insert(refusal);
            }
        }
    }
    wire.socket.write_all(b"QUIT\r\n").await?;
    wire.reply().await?;
    Ok(sent)
}

struct Wire {
    socket: TcpStream,
    buffer: BytesMut,
}

struct Reply {
    code: u16,
    text: String,
}

impl Wire {
    async fn open(to: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(to).await?;
        socket.set_nodelay(true)?;
        let buffer = BytesMut::with_capacity(4096);
        Ok(Self { socket, buffer })
    }

    async fn greet(&mut self, protocol: Protocol) -> io::Result<()> {
        self.expect(220).await?;
        let hello: &[u8] = match protocol {
            Protocol::Smtp => b"EHLO source.test\r\n",
            Protocol::Lmtp => b"LHLO source.test\r\n",
        };
        self.socket.write_all(hello).await?;
        let offer = self.expect(250).await?;
        if offer.text.contains("PIPELINING") {
            Ok(())
        } else {
            Err(io::Error::other("the relay does not offer PIPELINING"))
        }
    }

    /// One transaction: how long the content took to be accepted, or the reply that it failed with.
    async fn message(
        &mut self,
        number: u64,
        domain: &str,
        content: &mut Content,
    ) -> io::Result<Result<Duration, String>> {
        let envelope = format!(
            "MAIL FROM:<sender@source.test>\r\nRCPT TO:<user{number}@{domain}>\r\nDATA\r\n"
        );
        self.socket.write_all(envelope.as_bytes()).await?;
        let mut refusal = None;
        for _ in ["MAIL", "RCPT"] {
            let reply = self.reply().await?;
            if reply.code != 250 {
                refusal.get_or_insert(reply.text);
            }
        }
        let data = self.reply().await?;
        if data.code != 354 {
            return Ok(Err(refusal.unwrap_or(data.text)));
        }
        if let Some(refusal) = refusal {
            self.socket.write_all(b".\r\n").await?;
            self.reply().await?;
            return Ok(Err(refusal));
        }
        let begin = Instant::now();
        self.socket.write_all(content.numbered(number)).await?;
        let end = self.reply().await?;
        Ok(match end.code {
            250 => Ok(begin.elapsed()),
            _ => Err(end.text),
        })
    }

    async fn expect(&mut self, code: u16) -> io::Result<Reply> {
        let reply = self.reply().await?;
        if reply.code == code {
            Ok(reply)
        } else {
            Err(io::Error::other(reply.text))
        }
    }

    async fn reply(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(end) = end_of_reply(&self.buffer) {
                let text = self.buffer.copy_to_bytes(end);
                let text = String::from_utf8_lossy(&text).trim_end().to_owned();
                let code = text.get(..3).and_then(|code| code.parse().ok());
                let code = code.ok_or_else(|| io::Error::other(format!("no reply: {text}")))?;
                return Ok(Reply { code, text });
            }
            if self.buffer.len() > MAX_REPLY {
                return Err(io::Error::other("a reply without end"));
            }
            let read = self.socket.read_buf(&mut self.buffer);
            if tokio::time::timeout(PATIENCE, read).await?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Where the reply that begins here ends, if all of it is here: after the first line without a hyphen behind its code.
fn end_of_reply(buffer: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = memchr::memchr(b'\n', &buffer[at..])? + 1;
        let continues = buffer[at..at + length].get(3) == Some(&b'-');
        at += length;
        if !continues {
            return Some(at);
        }
    }
}

/// A message whose only difference from the next is its number.
struct Content {
    octets: Vec<u8>,
    number_at: usize,
}

const DIGITS: usize = 10;

impl Content {
    fn new(size: usize) -> Self {
        const LINE: &[u8] =
            b"The quick brown fox jumps over the lazy dog, and does it again and again.\r\n";
        let mut octets = b"From: <sender@source.test>\r\nTo: <user@example.test>\r\n\
            Subject: a message of the benchmark\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\
            Message-ID: <"
            .to_vec();
        let number_at = octets.len();
        octets.extend_from_slice(&[b'0'; DIGITS]);
        octets.extend_from_slice(b"@source.test>\r\n\r\n");
        while octets.len() < size {
            octets.extend_from_slice(LINE);
        }
        octets.extend_from_slice(b".\r\n");
        Self { octets, number_at }
    }

    fn numbered(&mut self, number: u64) -> &[u8] {
        let digits = format!("{number:0DIGITS$}");
        self.octets[self.number_at..self.number_at + DIGITS]
            .copy_from_slice(&digits.as_bytes()[..DIGITS]);
        &self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{Sink, SinkSettings};

    #[test]
    fn a_reply_ends_with_the_line_that_has_no_hyphen() {
        for (buffer, end) in [
            ("", None),
            ("250 ok", None),
            ("250 ok\r\n", Some(8)),
            ("250\r\n", Some(5)),
            ("250-a\r\n250 b\r\n354 c\r\n", Some(14)),
            ("250-a\r\n", None),
        ] {
            assert_eq!(end_of_reply(buffer.as_bytes()), end, "{buffer:?}");
        }
    }

    #[tokio::test]
    async fn every_message_arrives() {
        let anywhere = ["127.0.0.1:0".parse().unwrap()];
        let sink = Sink::start(&anywhere, SinkSettings::default());
        let sink = sink.await.unwrap();
        let settings = SourceSettings {
            to: sink.addresses()[0],
            protocol: Protocol::Smtp,
            sessions: 3,
            messages: 20,
            size: 10_000,
            domains: vec!["a.test".to_owned(), "b.test".to_owned()],
        };
        let sent = send(settings).await.unwrap();
        assert_eq!((sent.accepted, sent.refused, sent.refusal), (20, 0, None));
        assert_eq!(sent.times.len(), 20);
        let counts = sink.counts();
        assert_eq!((counts.messages, counts.connections), (20, 3));
        assert!(counts.octets >= 200_000);
    }
}
