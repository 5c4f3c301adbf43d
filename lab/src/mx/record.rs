//! What a host saw.

use std::net::SocketAddr;
use std::time::Instant;

/// Octets of a connection that are kept; what comes later is mail again.
const WIRE_KEPT: usize = 4 << 20;

/// Everything a host saw so far.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// In the order of their beginning.
    pub connections: Vec<Connection>,
    /// All whose final dot (or last BDAT) came, in that order; whatever was answered.
    pub messages: Vec<Message>,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The client's address.
    pub peer: SocketAddr,
    /// Every octet that came over TCP, TLS records included; the first 4 MiB.
    pub wire: Vec<u8>,
    /// How many of these octets came before a handshake began; `None` if none ever did.
    pub tls_start: Option<usize>,
    /// Command lines in the clear.
    pub commands: Vec<String>,
    /// Command lines within TLS.
    pub tls_commands: Vec<String>,
    /// Handshakes begun.
    pub handshakes: usize,
    /// The finished handshake.
    pub tls: Option<TlsSeen>,
    /// Why the handshake failed.
    pub tls_error: Option<String>,
    /// Whether the client said QUIT.
    pub quit: bool,
    /// When it ended.
    pub closed: Option<Instant>,
    /// What a correct client would not have done.
    pub violations: Vec<String>,
    /// When it began.
    pub began: Instant,
}

/// A finished handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSeen {
    /// `1.2` or `1.3`.
    pub version: String,
    /// The server name that the client asked for.
    pub sni: Option<String>,
    /// Whether an earlier session was taken up again.
    pub resumed: bool,
    /// Such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The client's chain, DER, leaf first.
    pub client_chain: Vec<Vec<u8>>,
}

/// How something came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Clear,
    Tls,
}

/// A recipient as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Between `<` and `>`.
    pub address: String,
    /// Parameters as received, such as `NOTIFY=NEVER`.
    pub params: Vec<String>,
}

/// A message as it was given.
#[derive(Clone, Debug)]
pub struct Message {
    /// Index into [`Record::connections`].
    pub connection: usize,
    /// Between `<` and `>`.
    pub sender: String,
    /// Parameters of MAIL as received, such as `SIZE=10`.
    pub params: Vec<String>,
    /// Only the accepted ones.
    pub recipients: Vec<Recipient>,
    /// Without dot-stuffing and final dot.
    pub content: Vec<u8>,
    /// Clear or TLS.
    pub channel: Channel,
    /// What the final dot was, or will be, answered with; `None` for no answer.
    pub reply: Option<u16>,
    /// When the final dot came.
    pub at: Instant,
}

impl Message {
    /// Whether the host took it.
    pub fn accepted(&self) -> bool {
        self.reply.is_some_and(|code| (200..300).contains(&code))
    }

    /// The recipients' addresses.
    pub fn addresses(&self) -> Vec<&str> {
        self.recipients
            .iter()
            .map(|recipient| recipient.address.as_str())
            .collect()
    }

    /// The content as text, for substrings.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

impl Connection {
    pub(super) fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            wire: Vec::new(),
            tls_start: None,
            commands: Vec::new(),
            tls_commands: Vec::new(),
            handshakes: 0,
            tls: None,
            tls_error: None,
            quit: false,
            closed: None,
            violations: Vec::new(),
            began: Instant::now(),
        }
    }

    pub(super) fn received(&mut self, octets: &[u8]) {
        let room = WIRE_KEPT.saturating_sub(self.wire.len());
        self.wire
            .extend_from_slice(&octets[..octets.len().min(room)]);
    }

    /// Every octet that came in the clear, that is, before a handshake began.
    pub fn clear(&self) -> &[u8] {
        &self.wire[..self
            .tls_start
            .unwrap_or(self.wire.len())
            .min(self.wire.len())]
    }

    /// All command lines, clear and TLS.
    pub fn all_commands(&self) -> Vec<&str> {
        self.commands
            .iter()
            .chain(&self.tls_commands)
            .map(String::as_str)
            .collect()
    }

    /// The verbs of all command lines in upper case, clear ones first.
    pub fn verbs(&self) -> Vec<String> {
        let verb = |line: &&str| {
            line.split([' ', ':'])
                .next()
                .unwrap_or("")
                .to_ascii_uppercase()
        };
        self.all_commands().iter().map(verb).collect()
    }

    /// Whether MAIL, RCPT, DATA or BDAT is readable on the wire, at whatever time: also after a handshake
    /// that failed.
    pub fn mail_in_clear(&self) -> bool {
        let upper = self.wire.to_ascii_uppercase();
        let commands: [&[u8]; 4] = [b"MAIL FROM:", b"RCPT TO:", b"\nDATA\r\n", b"\nBDAT "];
        commands
            .iter()
            .any(|command| memchr::memmem::find(&upper, command).is_some())
    }
}

impl Record {
    /// The messages that the host took.
    pub fn accepted(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| message.accepted())
    }
}
