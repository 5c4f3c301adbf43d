//! The shell over real sockets, with a relay that says what it is told.

mod limits;
mod starttls;
mod transactions;

use super::*;
use crate::delivery::outcome::{DeliveryResult, Outcome, PossibleDuplicate, Reached};
use crate::ledger::LogAddresses;
use crate::message::{Message, SpoolLimits};
use crate::names::DomainName;
use crate::relay::{Answering, Custody, Delivering, InFlight, Room};
use crate::smtp::envelope::Recipient;
use crate::smtp::reply::Reply;
use crate::tls::CertificateFiles;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Everything that should happen does so within this time.
const SOON: Duration = Duration::from_secs(20);

pub(super) fn settings() -> ServerSettings {
    ServerSettings {
        hostname: DomainName::parse("relay.example").unwrap(),
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        max_sessions: 10,
        max_sessions_per_client: 0,
        max_message_size: 1000,
        max_recipients: 3,
        idle_timeout: Duration::from_secs(60),
        hop_limit: 50,
        custody: Custody::Client,
        tls_required_no: TlsRequiredNo::Honor,
    }
}

fn outcome(text: &str) -> Outcome {
    Outcome {
        result: DeliveryResult::Delivered,
        reply: Reply::plain(250, text),
        via: None,
        possible_duplicate: PossibleDuplicate::No,
        attempts: 1,
        blocked: None,
        missing: None,
        reached: Reached::Yes,
    }
}

/// A message as the relay got it, with the means to answer and to see that it was withdrawn.
#[derive(Debug)]
struct Submitted {
    message: Message,
    answers: Vec<Option<oneshot::Sender<Outcome>>>,
    withdrawn: CancellationToken,
}

impl Submitted {
    fn answer(&mut self, index: usize, text: &str) {
        let sender = self.answers[index].take().unwrap();
        sender.send(outcome(text)).unwrap();
    }

    async fn content(&self) -> Vec<u8> {
        let mut reader = self.message.content.reader();
        let mut content = Vec::new();
        while let Some(piece) = reader.chunk().await.unwrap() {
            content.extend_from_slice(&piece);
        }
        content
    }

    /// Without our Received field.
    async fn body(&self) -> Vec<u8> {
        let content = self.content().await;
        let mut rest = &content[..];
        assert!(rest.starts_with(b"Received: from "));
        loop {
            let end = memchr::memchr(b'\n', rest).unwrap() + 1;
            rest = &rest[end..];
            if !rest.starts_with(b"\t") {
                return rest.to_vec();
            }
        }
    }
}

#[derive(Debug)]
struct Relay {
    submitted: mpsc::UnboundedSender<Submitted>,
    expected: Mutex<Vec<String>>,
}

impl Submit for Relay {
    fn expect(&self, recipient: &Recipient) {
        let mailbox = recipient.mailbox.to_string();
        assert!(!mailbox.starts_with("panic@"), "a fault of the program");
        self.expected.lock().unwrap().push(mailbox);
    }

    fn room(&self) -> Room {
        Room::Yes
    }

    fn submit(&self, message: Message, _: Answering) -> InFlight {
        let recipients = message.envelope.recipients.len();
        let (answers, outcomes): (Vec<_>, Vec<_>) = (0..recipients)
            .map(|_| oneshot::channel())
            .map(|(sender, receiver)| (Some(sender), receiver))
            .unzip();
        let withdrawn = CancellationToken::new();
        let withdraw = withdrawn.clone().drop_guard();
        let submitted = Submitted {
            message,
            answers,
            withdrawn,
        };
        self.submitted.send(submitted).unwrap();
        InFlight::of_outcomes(Delivering { outcomes, withdraw })
    }
}

/// A server on a port of its own.
struct Server {
    address: std::net::SocketAddr,
    relay: Arc<Relay>,
    submitted: mpsc::UnboundedReceiver<Submitted>,
    shutdown: Shutdown,
    spool: SpoolMemory,
    settings: watch::Sender<Arc<ServerSettings>>,
    pulse: Pulse,
    serving: JoinHandle<std::io::Result<()>>,
}

fn start(protocol: Protocol, settings: ServerSettings) -> Server {
    start_with(protocol, settings, None)
}

fn start_with(
    protocol: Protocol,
    settings: ServerSettings,
    tls: Option<CertificateFiles>,
) -> Server {
    let listen = ListenSettings {
        address: ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()),
        protocol,
        mode: None,
        group: None,
        tls,
        hostname: None,
        bind: Vec::new(),
    };
    serve(&listen, settings)
}

#[allow(clippy::disallowed_methods)] // the test waits for it or ends with it
fn serve(listen: &ListenSettings, settings: ServerSettings) -> Server {
    let bound = bind(listen, &Passed::default()).unwrap();
    let nowhere = std::net::SocketAddr::from(([0; 4], 0));
    let address = bound.local_addr().unwrap_or(nowhere);
    let (sender, submitted) = mpsc::unbounded_channel();
    let relay = Arc::new(Relay {
        submitted: sender,
        expected: Mutex::default(),
    });
    let spool = SpoolMemory::new(SpoolLimits::default());
    let (settings, watched) = watch::channel(Arc::new(settings));
    let submit = Arc::clone(&relay) as Arc<dyn Submit>;
    let ledger = Ledger::new(LogAddresses::Plain);
    let context = ServerContext::new(watched, submit, ledger, spool.clone());
    let shutdown = Shutdown::default();
    let pulse = context.pulse.clone();
    let stop = shutdown.clone();
    let serving = tokio::spawn(async move { bound.serve(context, stop).await });
    Server {
        address,
        relay,
        submitted,
        shutdown,
        spool,
        settings,
        pulse,
        serving,
    }
}

impl Server {
    async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Client {
            stream,
            read: Vec::new(),
        }
    }

    async fn next(&mut self) -> Submitted {
        timeout(SOON, self.submitted.recv()).await.unwrap().unwrap()
    }
}

struct Client<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, wire: &[u8]) {
        self.stream.write_all(wire).await.unwrap();
    }

    /// The next line that ends a reply; empty at the end of the stream.
    async fn reply(&mut self) -> String {
        loop {
            while let Some(end) = memchr::memchr(b'\n', &self.read) {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                if line.get(3) != Some(&b'-') {
                    return String::from_utf8(line).unwrap().trim_end().to_owned();
                }
            }
            let mut more = [0; 4096];
            let octets = timeout(SOON, self.stream.read(&mut more)).await.unwrap();
            match octets {
                Ok(octets) if octets > 0 => self.read.extend_from_slice(&more[..octets]),
                _ => return String::new(),
            }
        }
    }

    /// Everything up to the end of the stream.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = timeout(SOON, self.stream.read_to_end(&mut rest))
            .await
            .unwrap();
        rest
    }

    /// Sends commands in one write and expects a reply that starts so for each.
    async fn talk(&mut self, exchange: &[(&str, &str)]) {
        let wire: String = exchange
            .iter()
            .map(|(line, _)| format!("{line}\r\n"))
            .collect();
        self.send(wire.as_bytes()).await;
        for (line, expected) in exchange {
            let reply = self.reply().await;
            assert!(reply.starts_with(expected), "{line}: {reply}");
        }
    }

    async fn greeted(&mut self, hello: &str) {
        assert!(self.reply().await.starts_with("220 relay.example "));
        self.talk(&[(hello, "250")]).await;
    }
}

const SMTP: &[(&str, &str)] = &[
    ("MAIL FROM:<a@b.example>", "250 2.1.0"),
    ("RCPT TO:<c@d.example>", "250 2.1.5"),
    ("DATA", "354"),
];
