//! The shell over real sockets, with a relay that says what it is told.

use super::*;
use crate::delivery::outcome::{DeliveryResult, Outcome, PossibleDuplicate};
use crate::ledger::LogAddresses;
use crate::message::{Message, SpoolLimits};
use crate::names::DomainName;
use crate::relay::{Custody, InFlight};
use crate::smtp::envelope::Recipient;
use crate::smtp::reply::Reply;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        self.expected.lock().unwrap().push(mailbox);
    }

    fn submit(&self, message: Message) -> InFlight {
        let recipients = message.envelope.recipients.len();
        let (answers, outcomes): (Vec<_>, Vec<_>) = (0..recipients)
            .map(|_| oneshot::channel())
            .map(|(sender, receiver)| (Some(sender), receiver))
            .unzip();
        let withdrawn = CancellationToken::new();
        let guard = withdrawn.clone().drop_guard();
        let submitted = Submitted {
            message,
            answers,
            withdrawn,
        };
        self.submitted.send(submitted).unwrap();
        InFlight::new(outcomes, Some(guard))
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
    serving: JoinHandle<std::io::Result<()>>,
}

#[allow(clippy::disallowed_methods)] // the test waits for it or ends with it
fn start(protocol: Protocol, settings: ServerSettings) -> Server {
    let listen = ListenSettings {
        address: ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()),
        protocol,
        mode: None,
        group: None,
        tls: None,
        hostname: None,
        bind: Vec::new(),
    };
    let bound = bind(&listen).unwrap();
    let address = bound.local_addr().unwrap();
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
    let stop = shutdown.clone();
    let serving = tokio::spawn(async move { bound.serve(context, stop).await });
    Server {
        address,
        relay,
        submitted,
        shutdown,
        spool,
        settings,
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

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
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

#[tokio::test]
async fn a_message_comes_through_pipelined_and_dots_are_taken_off() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    for round in ["one", "two"] {
        client.talk(SMTP).await;
        client
            .send(b"Message-ID: <1@b>\r\n\r\n..dot\r\n.\r\n")
            .await;
        let mut got = server.next().await;
        assert_eq!(got.body().await, b"Message-ID: <1@b>\r\n\r\n.dot\r\n");
        assert_eq!(got.message.message_id, "<1@b>");
        got.answer(0, round);
        assert_eq!(client.reply().await, format!("250 {round}"));
    }
    assert_eq!(server.relay.expected.lock().unwrap().len(), 2);
    client.talk(&[("QUIT", "221")]).await;
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn lmtp_replies_leave_one_by_one_in_order() {
    let mut server = start(Protocol::Lmtp, settings());
    let mut client = server.client().await;
    client.greeted("LHLO mta.example").await;
    client
        .talk(&[
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<a@b.example>", "250"),
            ("RCPT TO:<c@b.example>", "250"),
            ("RCPT TO:<d@b.example>", "250"),
            ("DATA", "354"),
        ])
        .await;
    client.send(b"A: b\r\n\r\n.\r\nNOOP\r\n").await;
    let mut got = server.next().await;
    got.answer(0, "first");
    assert_eq!(
        client.reply().await,
        "250 first",
        "while others are unknown"
    );
    got.answer(2, "third");
    got.answer(1, "second");
    assert_eq!(client.reply().await, "250 second");
    assert_eq!(client.reply().await, "250 third");
    assert!(
        client.reply().await.starts_with("250 2.0.0"),
        "NOOP was kept"
    );
}

#[tokio::test]
async fn smuggled_content_is_refused_whole_and_the_session_stays_in_step() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\n\0.\n",
    ] {
        client.talk(SMTP).await;
        let smuggled = format!("A: b\r\n\r\nx{end}MAIL FROM:<evil@b.example>\r\nDATA\r\n\r\n.\r\n");
        client.send(smuggled.as_bytes()).await;
        let reply = client.reply().await;
        assert!(reply.starts_with("550 5.6.11"), "{end:?}: {reply}");
        client.talk(&[("NOOP", "250 2.0.0")]).await;
    }
    client
        .talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<c@d.example>", "250")])
        .await;
    client.send(b"BDAT 5 LAST\r\na\nb\r\n").await;
    assert!(client.reply().await.starts_with("550 5.6.11"));
    assert!(server.submitted.try_recv().is_err(), "nothing was relayed");
    assert_eq!(server.spool.used(), 0);
}

#[tokio::test]
async fn chunks_make_a_message() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client
        .send(
            b"MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nBDAT 7\r\nA: b\r\n\rBDAT 4 LAST\r\n\n.\r\n",
        )
        .await;
    for _ in 0..3 {
        assert!(client.reply().await.starts_with("250 2"));
    }
    let mut got = server.next().await;
    assert_eq!(got.body().await, b"A: b\r\n\r\n.\r\n");
    got.answer(0, "done");
    assert_eq!(client.reply().await, "250 done");
    // Refused chunks are read past.
    client.send(b"BDAT 6\r\nQUIT\r\nNOOP\r\n").await;
    assert!(client.reply().await.starts_with("503"));
    assert!(client.reply().await.starts_with("250 2.0.0"));
}

#[tokio::test]
async fn content_beyond_the_limit_is_read_to_its_end() {
    let server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.talk(SMTP).await;
    let line = [&[b'x'; 98][..], b"\r\n"].concat();
    client.send(&line.repeat(5_000)).await;
    client.send(b".\r\nNOOP\r\n").await;
    assert!(client.reply().await.starts_with("552 5.3.4"));
    assert!(client.reply().await.starts_with("250 2.0.0"));
    client
        .talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<c@d.example>", "250")])
        .await;
    client.send(b"BDAT 5000 LAST\r\n").await;
    client.send(&line.repeat(50)).await;
    assert!(client.reply().await.starts_with("552 5.3.4"));
    assert_eq!(server.spool.used(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_withdraws_its_message() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.talk(SMTP).await;
    client.send(b"A: b\r\n\r\n.\r\n").await;
    let got = server.next().await;
    assert!(!got.withdrawn.is_cancelled());
    drop(client);
    timeout(SOON, got.withdrawn.cancelled()).await.unwrap();
}

#[tokio::test]
async fn an_outcome_that_never_comes_is_a_deferral() {
    let mut server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.talk(SMTP).await;
    client.send(b"\r\n.\r\n").await;
    drop(server.next().await);
    assert!(client.reply().await.starts_with("451 4.3.0"));
}

#[tokio::test]
async fn strangers_hear_554_and_may_quit() {
    let nobody = ServerSettings {
        networks: Vec::new(),
        ..settings()
    };
    let server = start(Protocol::Smtp, nobody);
    let mut client = server.client().await;
    assert!(client.reply().await.starts_with("554 5.7.1"));
    client
        .talk(&[("EHLO a", "503"), ("MAIL FROM:<>", "503"), ("QUIT", "221")])
        .await;
}

#[tokio::test]
async fn overlong_and_unix_lines_are_refused_in_step() {
    let server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.send(&[b'x'; 200_000]).await;
    client.send(b"\r\nNOOP\r\nNOOP\nNOOP\r\n").await;
    for expected in ["500 5.5.2", "250 2.0.0", "500 5.5.2", "250 2.0.0"] {
        assert!(client.reply().await.starts_with(expected));
    }
}

/// Octet by octet: without a whole command the time is up, however busy the client seems.
#[tokio::test]
async fn silent_and_dripping_clients_are_dropped() {
    let hasty = ServerSettings {
        idle_timeout: Duration::from_millis(300),
        ..settings()
    };
    let server = start(Protocol::Smtp, hasty);
    let mut silent = server.client().await;
    silent.greeted("EHLO mta.example").await;
    assert!(silent.reply().await.starts_with("421 4.4.2"));
    assert_eq!(silent.reply().await, "");

    let mut silent_in_data = server.client().await;
    silent_in_data.greeted("EHLO mta.example").await;
    silent_in_data.talk(SMTP).await;
    assert!(silent_in_data.reply().await.starts_with("421 4.4.2"));

    for in_content in [false, true] {
        let mut dripping = server.client().await;
        dripping.greeted("EHLO mta.example").await;
        if in_content {
            dripping.talk(SMTP).await;
        }
        let (mut reader, mut writer) = dripping.stream.split();
        let mut reply = [0; 9];
        let drip = async {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            read = timeout(SOON, reader.read_exact(&mut reply)) => { read.unwrap().unwrap(); }
            () = drip => panic!("cut off without a reply"),
        }
        assert_eq!(&reply, b"421 4.4.2");
    }
}

#[tokio::test]
async fn shutdown_ends_the_idle_and_lets_transactions_end() {
    let mut server = start(Protocol::Smtp, settings());
    let mut idle = server.client().await;
    idle.greeted("EHLO mta.example").await;
    let mut waiting = server.client().await;
    waiting.greeted("EHLO mta.example").await;
    waiting.talk(SMTP).await;
    waiting.send(b"\r\n.\r\n").await;
    let mut got = server.next().await;
    let mut sending = server.client().await;
    sending.greeted("EHLO mta.example").await;
    sending.talk(SMTP).await;
    let mut stuck = server.client().await;
    stuck.greeted("EHLO mta.example").await;
    stuck.talk(SMTP).await;

    server.shutdown.draining.cancel();
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    timeout(SOON, &mut server.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "closed");
    sending.send(b"\r\n.\r\n").await;
    let mut late = server.next().await;
    late.answer(0, "late");
    assert_eq!(sending.reply().await, "250 late");
    assert!(sending.reply().await.starts_with("421 4.3.2"));

    server.shutdown.expired.cancel();
    assert!(stuck.reply().await.starts_with("421 4.3.2"));
    got.answer(0, "after all");
    assert_eq!(waiting.reply().await, "250 after all");
    drop((idle, waiting, sending, stuck));
    server.shutdown.sessions.close();
    timeout(SOON, server.shutdown.sessions.wait())
        .await
        .unwrap();
}

#[tokio::test]
async fn at_the_limit_accepting_pauses_before_anybody_hears_421() {
    let one = ServerSettings {
        max_sessions: 1,
        ..settings()
    };
    let server = start(Protocol::Smtp, one);
    let mut first = server.client().await;
    first.greeted("EHLO mta.example").await;
    let begun = tokio::time::Instant::now();
    let mut second = server.client().await;
    let reply = second.reply().await;
    assert!(reply.starts_with("421 4.3.2"), "{reply}");
    assert!(begun.elapsed() >= Duration::from_secs(10));
    let mut third = server.client().await;
    first.talk(&[("QUIT", "221")]).await;
    drop(first);
    assert!(
        third.reply().await.starts_with("220 "),
        "the place is free again"
    );
}

#[tokio::test]
async fn new_settings_hold_for_the_next_transaction() {
    let server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    let smaller = ServerSettings {
        max_message_size: 10,
        ..settings()
    };
    server.settings.send(Arc::new(smaller)).unwrap();
    client
        .talk(&[
            ("MAIL FROM:<> SIZE=11", "552 5.3.4"),
            ("MAIL FROM:<> SIZE=10", "250"),
        ])
        .await;
}

#[tokio::test]
async fn random_octets_do_no_harm() {
    let server = start(Protocol::Smtp, settings());
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut client = server.client().await;
        let words: [&[u8]; 12] = [
            b"EHLO a\r\n",
            b"MAIL FROM:<>\r\n",
            b"RCPT TO:<a@b.example>\r\n",
            b"DATA\r\n",
            b"\r\n.\r\n",
            b"BDAT 3\r\n",
            b"\n",
            b"\0\xff",
            b"STARTTLS\r\n",
            b"RSET\r\n",
            b"<@:",
            b"BDAT 9 LAST\r\n",
        ];
        let wire: Vec<u8> = (0..60)
            .flat_map(|_| words[random.usize(..12)].to_vec())
            .collect();
        // The server may have hung up already.
        let _ = client.stream.write_all(&wire).await;
        let _ = client.stream.shutdown().await;
        while !client.reply().await.is_empty() {}
    }
    let mut client = server.client().await;
    client.greeted("EHLO still.there").await;
}
