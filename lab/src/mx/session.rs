//! One connection: reading commands, and doing what the script says.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::act::{Act, Step, render};
use super::check;
use super::host::{Live, Shared};
use super::record::{Channel, Recipient, TlsSeen};
use super::script::{Handshake, Idle, Listening, Moment, Script, Stage};
use super::stream::{Stream, Tap};

/// How long a closing host still reads, so that its last reply is not lost in a reset.
const LINGER: Duration = Duration::from_secs(2);
const MAX_LINE: usize = 1 << 20;

/// The connection is over, for whatever reason.
#[derive(Debug)]
pub(super) struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) live: Arc<Live>,
    pub(super) id: usize,
    pub(super) stream: Stream,
    /// Received and not yet used.
    pub(super) buffer: Vec<u8>,
    pub(super) channel: Channel,
    /// Those of the last EHLO on this channel.
    pub(super) keywords: Option<Vec<String>>,
    pub(super) transaction: Option<Transaction>,
    pub(super) transactions: usize,
    kick: watch::Receiver<Vec<u8>>,
    flight: Flight,
    waiting: Waiting,
}

#[derive(Default)]
pub(super) struct Transaction {
    pub(super) sender: String,
    pub(super) params: Vec<String>,
    pub(super) recipients: Vec<Recipient>,
    pub(super) content: Vec<u8>,
}

#[derive(PartialEq)]
enum Flight {
    Fresh,
    Answered,
}

#[derive(PartialEq)]
enum Waiting {
    InBetween,
    AfterTransaction,
}

/// Runs a connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, socket: TcpStream) {
    let Ok(peer) = socket.peer_addr() else { return };
    let _ = socket.set_nodelay(true);
    let id = shared.open(peer);
    let mut session = Session {
        live: shared.live(),
        id,
        stream: Stream::Clear(Tap::new(socket, Arc::clone(&shared), id)),
        buffer: Vec::new(),
        channel: Channel::Clear,
        keywords: None,
        transaction: None,
        transactions: 0,
        kick: shared.kick.subscribe(),
        flight: Flight::Answered,
        waiting: Waiting::InBetween,
        shared: Arc::clone(&shared),
    };
    let Err(Over) = session.run().await;
    drop(session);
    shared.note(id, |seen| seen.closed = Some(Instant::now()));
}

impl Session {
    async fn run(&mut self) -> Result<std::convert::Infallible, Over> {
        if self.script().listening == Listening::ImplicitTls {
            self.handshake().await?;
        }
        let text = format!("{} ESMTP lab", self.hostname());
        let act = self.script().greeting.clone();
        self.answer(Stage::Greeting, "", &act, (220, &text)).await?;
        loop {
            let line = self.command().await?;
            self.dispatch(&line).await?;
        }
    }

    pub(super) fn script(&self) -> &Script {
        &self.live.script
    }

    pub(super) fn hostname(&self) -> String {
        self.script()
            .hostname
            .clone()
            .unwrap_or_else(|| self.shared.name.clone())
    }

    pub(super) fn violation(&self, what: String) {
        self.shared.note(self.id, |seen| seen.violations.push(what));
    }

    pub(super) fn finished_transaction(&mut self) {
        self.transaction = None;
        self.transactions += 1;
        self.waiting = Waiting::AfterTransaction;
    }

    /// The next command line, without its line end.
    async fn command(&mut self) -> Result<String, Over> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.buffer.drain(..=end).collect::<Vec<_>>();
                self.waiting = Waiting::InBetween;
                return Ok(self.take_command(&line));
            }
            if self.buffer.len() > MAX_LINE {
                self.violation("an endless command line".to_owned());
                return Err(Over);
            }
            self.wait_for_more().await?;
        }
    }

    fn take_command(&self, line: &[u8]) -> String {
        let wrong = check::command_line(line);
        let text = String::from_utf8_lossy(line)
            .trim_end_matches(['\r', '\n'])
            .to_owned();
        let channel = self.channel;
        self.shared.note(self.id, |seen| {
            seen.violations.extend(wrong);
            match channel {
                Channel::Clear => seen.commands.push(text.clone()),
                Channel::Tls => seen.tls_commands.push(text.clone()),
            }
        });
        text
    }

    async fn wait_for_more(&mut self) -> Result<(), Over> {
        let idle = match (&self.waiting, &self.script().idle) {
            (Waiting::AfterTransaction, Idle::Say(wait, octets)) => Some((*wait, octets.clone())),
            (Waiting::AfterTransaction, Idle::Close(wait)) => Some((*wait, Vec::new())),
            (Waiting::AfterTransaction, Idle::Wait) | (Waiting::InBetween, _) => None,
        };
        self.buffer.reserve(4096);
        let last_words = tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.buffer) => {
                self.flight = Flight::Fresh;
                return if read? == 0 { Err(Over) } else { Ok(()) };
            }
            Ok(()) = self.kick.changed() => self.kick.borrow_and_update().clone(),
            octets = later(idle) => octets,
        };
        self.stream.write_all(&last_words).await?;
        self.close().await
    }

    /// More octets of content; the connection's end is an error.
    pub(super) async fn read_more(&mut self, limit: usize) -> Result<usize, Over> {
        // `read_buf` alone would grow the buffer by 64 octets at a time.
        self.buffer.reserve(limit.min(65_536));
        let mut limited = (&mut self.stream).take(limit as u64);
        match limited.read_buf(&mut self.buffer).await? {
            0 => Err(Over),
            octets => Ok(octets),
        }
    }

    /// Does what the hook says, else what the field says, else gives the normal reply. The code, if one was said.
    pub(super) async fn answer(
        &mut self,
        stage: Stage,
        line: &str,
        field: &Act,
        normal: (u16, &str),
    ) -> Result<Option<u16>, Over> {
        let act = self.decide(stage, line, "", field);
        self.perform(&act, &render(normal.0, normal.1)).await?;
        Ok(act.code(normal.0))
    }

    /// The hook's act, or else the field's.
    pub(super) fn decide(&self, stage: Stage, line: &str, address: &str, field: &Act) -> Act {
        let (connection, transaction) = (self.id, self.transactions);
        let moment = Moment {
            stage,
            line,
            address,
            connection,
            transaction,
            nth: 0,
        };
        let sender = self.transaction.as_ref().map_or("", |t| t.sender.as_str());
        let act = self.shared.ask_hook(self.script(), sender, moment);
        if act == Act::Normal {
            field.clone()
        } else {
            act
        }
    }

    pub(super) async fn perform(&mut self, act: &Act, normal: &[u8]) -> Result<(), Over> {
        if std::mem::replace(&mut self.flight, Flight::Answered) == Flight::Fresh {
            pause(self.script().delay_per_flight).await;
        }
        pause(self.script().delay_per_reply).await;
        for step in act.steps(self.script().drip) {
            match step {
                Step::Normal(wait) => self.write(normal, wait).await?,
                Step::Write(octets, wait) => self.write(&octets, wait).await?,
                Step::Endless(octets, wait) => loop {
                    self.write(&octets, wait).await?;
                },
                Step::Wait(time) => pause(time).await,
                Step::Silence => return self.silence().await,
                Step::Close => return self.close().await,
                Step::Reset => return self.reset(),
            }
        }
        Ok(())
    }

    async fn write(&mut self, octets: &[u8], wait: Option<Duration>) -> Result<(), Over> {
        let Some(wait) = wait else {
            self.stream.write_all(octets).await?;
            return Ok(self.stream.flush().await?);
        };
        for octet in octets {
            self.stream.write_all(&[*octet]).await?;
            self.stream.flush().await?;
            pause(wait).await;
        }
        Ok(())
    }

    /// Reads, so that it is recorded, and says nothing until the client goes.
    pub(super) async fn silence(&mut self) -> Result<(), Over> {
        loop {
            self.buffer.clear();
            self.read_more(65_536).await?;
        }
    }

    /// Closes so that the client gets everything said before.
    pub(super) async fn close(&mut self) -> Result<(), Over> {
        self.stream.shutdown().await?;
        let _ = tokio::time::timeout(LINGER, self.silence()).await;
        Err(Over)
    }

    pub(super) fn reset(&mut self) -> Result<(), Over> {
        if let Some(socket) = self.stream.socket() {
            let _ = socket.set_zero_linger();
        }
        Err(Over)
    }

    /// What the script says is to happen after the 220 to STARTTLS, or first of all with implicit TLS.
    pub(super) async fn handshake(&mut self) -> Result<(), Over> {
        if self.script().handshake != Handshake::KeepsBuffer {
            self.buffer.clear();
        }
        self.shared.note(self.id, |seen| {
            seen.handshakes += 1;
            seen.tls_start.get_or_insert(seen.wire.len());
        });
        match self.script().handshake.clone() {
            Handshake::Normal | Handshake::Surplus(_) | Handshake::KeepsBuffer => {
                self.accept_tls().await
            }
            Handshake::CloseAfter => {
                self.accept_tls().await?;
                self.close().await
            }
            Handshake::Garbage(octets) => {
                self.read_more(65_536).await?;
                self.stream.write_all(&octets).await?;
                self.silence().await
            }
            Handshake::Stall => self.silence().await,
            Handshake::Close => {
                self.read_more(65_536).await?;
                self.close().await
            }
            Handshake::Reset => {
                self.read_more(65_536).await?;
                self.reset()
            }
            Handshake::Alert(number) => {
                self.read_more(65_536).await?;
                // An alert record: type 21, version, length 2, level fatal, description.
                self.stream.write_all(&[21, 3, 3, 0, 2, 2, number]).await?;
                self.close().await
            }
        }
    }

    async fn accept_tls(&mut self) -> Result<(), Over> {
        let Stream::Clear(tap) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(Over);
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&self.live.tls));
        let tls = match acceptor.accept(tap).await {
            Ok(tls) => tls,
            Err(error) => {
                self.shared
                    .note(self.id, |seen| seen.tls_error = Some(error.to_string()));
                return Err(Over);
            }
        };
        let seen_tls = seen(tls.get_ref().1);
        self.shared.note(self.id, |seen| seen.tls = Some(seen_tls));
        self.stream = Stream::Tls(Box::new(tls));
        self.channel = Channel::Tls;
        self.keywords = None;
        self.transaction = None;
        Ok(())
    }
}

fn seen(tls: &rustls::ServerConnection) -> TlsSeen {
    let version = match tls.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let chain = tls.peer_certificates().unwrap_or_default();
    TlsSeen {
        version,
        sni: tls.server_name().map(str::to_owned),
        resumed: tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        cipher: tls
            .negotiated_cipher_suite()
            .map(|s| format!("{:?}", s.suite()))
            .unwrap_or_default(),
        client_chain: chain.iter().map(|der| der.to_vec()).collect(),
    }
}

async fn later(idle: Option<(Duration, Vec<u8>)>) -> Vec<u8> {
    match idle {
        Some((wait, octets)) => {
            tokio::time::sleep(wait).await;
            octets
        }
        None => std::future::pending().await,
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
