//! A lean host for benchmarks: takes everything, counts, keeps nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::ca::Identity;
use crate::mx::Tls;
use crate::net::listen;
use crate::tasks::Tasks;
use crate::tls;

/// How a sink behaves.
#[derive(Clone, Debug, Default)]
pub struct SinkSettings {
    /// With it STARTTLS is offered, and sessions can be resumed.
    pub identity: Option<Identity>,
    /// Waits so long before each flight of replies, as a host at this distance (round trip) would seem to.
    pub delay: Duration,
}

/// Hosts on any number of addresses with one set of counters. They stop when this is dropped.
#[derive(Debug)]
pub struct Sink {
    counters: Arc<Counters>,
    addresses: Vec<SocketAddr>,
    _tasks: Tasks,
}

/// What a sink counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Messages accepted.
    pub messages: u64,
    /// Recipients of them.
    pub recipients: u64,
    /// Octets of contents as on the wire.
    pub octets: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Handshakes finished.
    pub handshakes: u64,
    /// Those that took up an earlier session.
    pub resumed: u64,
}

#[derive(Debug)]
struct Counters {
    recipients: AtomicU64,
    octets: AtomicU64,
    connections: AtomicU64,
    handshakes: AtomicU64,
    resumed: AtomicU64,
    messages: watch::Sender<(u64, Option<Instant>)>,
}

impl Sink {
    /// Starts hosts on these addresses; port 0 takes a free one.
    ///
    /// # Errors
    /// If one cannot be bound.
    pub async fn start(addresses: &[SocketAddr], settings: SinkSettings) -> io::Result<Self> {
        let identity = settings.identity.as_ref();
        let tls = identity.map(|identity| tls::server_config(&Tls::default(), identity));
        let hosts = addresses.iter().map(|address| (*address, tls.clone()));
        Self::listen(hosts, settings.delay)
    }

    /// Starts hosts of which each has an identity of its own.
    ///
    /// # Errors
    /// If one cannot be bound.
    pub async fn start_each(hosts: &[(SocketAddr, Identity)], delay: Duration) -> io::Result<Self> {
        let hosts = hosts.iter().map(|(address, identity)| {
            let tls = tls::server_config(&Tls::default(), identity);
            (*address, Some(tls))
        });
        Self::listen(hosts, delay)
    }

    fn listen(
        hosts: impl Iterator<Item = (SocketAddr, Option<Arc<ServerConfig>>)>,
        delay: Duration,
    ) -> io::Result<Self> {
        let counters = Arc::new(Counters {
            recipients: AtomicU64::new(0),
            octets: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            messages: watch::Sender::new((0, None)),
        });
        let mut tasks = Tasks::default();
        let mut bound = Vec::new();
        for (address, tls) in hosts {
            let host = Host {
                counters: Arc::clone(&counters),
                tls,
                delay,
            };
            let listener = listen(address, None)?;
            bound.push(listener.local_addr()?);
            tasks.spawn(accept(host, listener));
        }
        Ok(Self {
            counters,
            addresses: bound,
            _tasks: tasks,
        })
    }

    /// Where it listens, in the order given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            messages: self.counters.messages.borrow().0,
            recipients: get(&self.counters.recipients),
            octets: get(&self.counters.octets),
            connections: get(&self.counters.connections),
            handshakes: get(&self.counters.handshakes),
            resumed: get(&self.counters.resumed),
        }
    }

    /// Waits until so many messages came in all; when the last one did, or `None` after `limit`.
    pub async fn wait_for_messages(&self, n: u64, limit: Duration) -> Option<Instant> {
        let mut messages = self.counters.messages.subscribe();
        let waited = tokio::time::timeout(limit, messages.wait_for(|(count, _)| *count >= n)).await;
        waited.ok()?.ok()?.1
    }
}

#[derive(Clone)]
struct Host {
    counters: Arc<Counters>,
    tls: Option<Arc<ServerConfig>>,
    delay: Duration,
}

async fn accept(host: Host, listener: TcpListener) {
    let mut tasks = Tasks::default();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let host = host.clone();
        host.counters.connections.fetch_add(1, Ordering::Relaxed);
        tasks.spawn(async move {
            let _ = host.serve(socket).await;
        });
    }
}

enum Next {
    Closed,
    StartTls,
}

impl Host {
    async fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        pause(self.delay).await;
        socket.write_all(b"220 sink.test ESMTP\r\n").await?;
        let (Some(tls), Next::StartTls) =
            (&self.tls, self.converse(&mut socket, "STARTTLS").await?)
        else {
            return Ok(());
        };
        let mut stream = TlsAcceptor::from(Arc::clone(tls)).accept(socket).await?;
        self.counters.handshakes.fetch_add(1, Ordering::Relaxed);
        if stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
            self.counters.resumed.fetch_add(1, Ordering::Relaxed);
        }
        self.converse(&mut stream, "").await.map(drop)
    }

    async fn converse<S>(&self, stream: &mut S, offer: &str) -> io::Result<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let offer = if self.tls.is_some() { offer } else { "" };
        let mut conversation = Conversation {
            ehlo: ehlo(offer),
            counters: &self.counters,
            buffer: BytesMut::with_capacity(65_536),
            out: Vec::new(),
            recipients: 0,
            state: State::Command,
        };
        loop {
            conversation.buffer.reserve(16_384);
            let read = stream.read_buf(&mut conversation.buffer).await?;
            if read == 0 {
                return Ok(Next::Closed);
            }
            conversation.advance();
            if !conversation.out.is_empty() {
                pause(self.delay).await;
                stream.write_all(&conversation.out).await?;
                stream.flush().await?;
                conversation.out.clear();
            }
            match conversation.state {
                State::Command | State::ContentStart | State::Content => {}
                State::Quit => {
                    stream.shutdown().await?;
                    return Ok(Next::Closed);
                }
                State::StartTls => return Ok(Next::StartTls),
            }
        }
    }
}

fn ehlo(offer: &str) -> Vec<u8> {
    let mut text = "250-sink.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n\
                    250-SMTPUTF8\r\n"
        .to_owned();
    if !offer.is_empty() {
        text.push_str(&format!("250-{offer}\r\n"));
    }
    text.push_str("250 ENHANCEDSTATUSCODES\r\n");
    text.into_bytes()
}

#[derive(PartialEq)]
enum State {
    Command,
    ContentStart,
    Content,
    StartTls,
    Quit,
}

struct Conversation<'a> {
    ehlo: Vec<u8>,
    counters: &'a Counters,
    buffer: BytesMut,
    out: Vec<u8>,
    recipients: u64,
    state: State,
}

impl Conversation<'_> {
    /// Uses up what is in the buffer.
    fn advance(&mut self) {
        loop {
            match self.state {
                State::Command => {
                    let Some(end) = memchr::memchr(b'\n', &self.buffer) else {
                        return;
                    };
                    let line = self.buffer.split_to(end + 1);
                    self.command(&line);
                }
                State::ContentStart if self.buffer.len() < 3 => return,
                State::ContentStart if self.buffer.starts_with(b".\r\n") => self.message(3),
                State::ContentStart => self.state = State::Content,
                State::Content => match memchr::memmem::find(&self.buffer, b"\r\n.\r\n") {
                    Some(at) => self.message(at + 5),
                    None => return self.skip_content(),
                },
                State::StartTls | State::Quit => return,
            }
        }
    }

    /// Forgets all but what may be the beginning of the end.
    fn skip_content(&mut self) {
        let excess = self.buffer.len().saturating_sub(4);
        self.buffer.advance(excess);
        self.counters
            .octets
            .fetch_add(excess as u64, Ordering::Relaxed);
    }

    /// A message ends with these octets.
    fn message(&mut self, octets: usize) {
        self.buffer.advance(octets);
        self.counters
            .octets
            .fetch_add(octets as u64, Ordering::Relaxed);
        self.counters
            .recipients
            .fetch_add(self.recipients, Ordering::Relaxed);
        self.recipients = 0;
        self.counters.messages.send_modify(|(count, last)| {
            *count += 1;
            *last = Some(Instant::now());
        });
        self.out.extend_from_slice(b"250 2.0.0 ok\r\n");
        self.state = State::Command;
    }

    fn command(&mut self, line: &[u8]) {
        let verb = line
            .first_chunk::<4>()
            .map(|verb| verb.to_ascii_uppercase());
        let reply: &[u8] = match verb.as_deref() {
            Some(b"EHLO" | b"HELO") => &self.ehlo,
            Some(b"MAIL" | b"RSET") => {
                self.recipients = 0;
                b"250 2.1.0 ok\r\n"
            }
            Some(b"RCPT") => {
                self.recipients += 1;
                b"250 2.1.5 ok\r\n"
            }
            Some(b"DATA") => {
                self.state = State::ContentStart;
                b"354 go ahead\r\n"
            }
            Some(b"STAR") => {
                self.state = State::StartTls;
                b"220 2.0.0 go ahead\r\n"
            }
            Some(b"QUIT") => {
                self.state = State::Quit;
                b"221 2.0.0 bye\r\n"
            }
            Some(b"NOOP") => b"250 2.0.0 ok\r\n",
            _ => b"500 5.5.2 what?\r\n",
        };
        self.out.extend_from_slice(reply);
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
