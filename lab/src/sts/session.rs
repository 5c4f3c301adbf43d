//! One connection: the handshake, requests, and what the script says to them.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::host::{Gate, Live, Open, Shared};
use super::request::{Request, end_of_head, violations};
use super::response::{NOT_TLS, TOO_LARGE, endless_chunk, response};
use super::script::Answer;

/// The head of a request, in octets; a correct client needs a few hundred.
pub(super) const MAX_HEAD: usize = 8192;

/// How long a closing host still reads, so that what it said last is not lost in a reset.
const LINGER: Duration = Duration::from_secs(2);

/// The connection is over, for whatever reason.
#[derive(Debug)]
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

struct Session {
    open: Open,
    live: Arc<Live>,
    stream: TlsStream<TcpStream>,
    sni: Option<String>,
    /// Received and not yet used.
    buffer: Vec<u8>,
    rest: Rest,
}

/// What came after the request in hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// Octets that no correct client sends, and were complained of.
    Surplus,
}

/// Runs a connection to its end.
pub(super) async fn serve(open: Open, live: Arc<Live>, mut socket: TcpStream) {
    let _ = socket.set_nodelay(true);
    if let Err(Over) = before_tls(&live.script.answer, &mut socket).await {
        return;
    }
    let shared = Arc::clone(&open.shared);
    let acceptor = TlsAcceptor::from(Arc::clone(&live.tls));
    let stream = match timeout(live.script.patience, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return failed(&shared, error.to_string()),
        Err(_) => return failed(&shared, "the client said too little".to_owned()),
    };
    let mut session = Session {
        sni: stream.get_ref().1.server_name().map(str::to_owned),
        open,
        live,
        stream,
        buffer: Vec::new(),
        rest: Rest::Nothing,
    };
    let Err(Over) = session.run().await;
}

fn failed(shared: &Shared, why: String) {
    shared.note(|seen| seen.failed_handshakes.push(why));
}

/// What some answers do in place of a handshake.
async fn before_tls(answer: &Answer, socket: &mut TcpStream) -> Result<(), Over> {
    match answer {
        Answer::HangBeforeTls => silence(socket).await,
        Answer::CloseBeforeTls => close(socket).await,
        Answer::BrokenTls => {
            read(socket, &mut Vec::new()).await?;
            socket.write_all(NOT_TLS).await?;
            silence(socket).await
        }
        Answer::Alert(number) => {
            read(socket, &mut Vec::new()).await?;
            // An alert record: type 21, version, length 2, level fatal, description.
            socket.write_all(&[21, 3, 3, 0, 2, 2, *number]).await?;
            close(socket).await
        }
        Answer::Good
        | Answer::Policy(_)
        | Answer::Status(_)
        | Answer::Redirect(_)
        | Answer::Custom { .. }
        | Answer::Raw(_)
        | Answer::Cut(_)
        | Answer::Hang
        | Answer::Drip { .. }
        | Answer::Endless
        | Answer::Big(_)
        | Answer::CloseAfterRequest
        | Answer::Truncated
        | Answer::Late { .. }
        | Answer::Gated { .. } => Ok(()),
    }
}

impl Session {
    async fn run(&mut self) -> Result<Infallible, Over> {
        loop {
            let patience = self.live.script.patience;
            let Ok(head) = timeout(patience, self.head()).await else {
                return self.close().await;
            };
            let request = self.take(&head?);
            self.respond().await?;
            if self.rest == Rest::Surplus || request.is_last() {
                return self.close().await;
            }
        }
    }

    /// The octets of the next request up to the empty line.
    async fn head(&mut self) -> Result<Vec<u8>, Over> {
        loop {
            let end = end_of_head(&self.buffer);
            match end {
                Some(end @ ..=MAX_HEAD) => return Ok(self.buffer.drain(..end).collect()),
                None if self.buffer.len() <= MAX_HEAD => {}
                Some(_) | None => {
                    self.open
                        .violation(&format!("a head of more than {MAX_HEAD} octets"));
                    self.stream.write_all(TOO_LARGE).await?;
                    return self.close().await;
                }
            }
            read(&mut self.stream, &mut self.buffer).await?;
        }
    }

    /// Records and judges a request.
    fn take(&mut self, head: &[u8]) -> Request {
        let shared = &self.open.shared;
        let request = Request::parse(head, self.sni.clone(), self.open.number);
        for what in violations(head, &request, &shared.expected()) {
            self.open.violation(&what);
        }
        shared.note(|seen| seen.requests.push(request.clone()));
        if request.has_body() {
            self.rest = Rest::Surplus;
        } else if !self.buffer.is_empty() {
            self.surplus();
        }
        request
    }

    /// What came is not used: whoever sends it gets no second answer.
    fn surplus(&mut self) {
        self.buffer.clear();
        if std::mem::replace(&mut self.rest, Rest::Surplus) == Rest::Nothing {
            self.open
                .violation("octets after a request, before its answer");
        }
    }

    async fn respond(&mut self) -> Result<(), Over> {
        let live = Arc::clone(&self.live);
        let shared = Arc::clone(&self.open.shared);
        let name = shared.name(self.sni.as_deref());
        let octets = response(&live.script.answer, name);
        match &live.script.answer {
            Answer::Good
            | Answer::Policy(_)
            | Answer::Status(_)
            | Answer::Redirect(_)
            | Answer::Custom { .. }
            | Answer::Big(_) => self.say(&octets).await,
            Answer::Late { after, .. } => {
                self.wait(sleep(*after)).await?;
                self.say(&octets).await
            }
            Answer::Gated { .. } => {
                let mut gate = shared.gate.subscribe();
                let opened = async move { gate.wait_for(|gate| *gate != Gate::Shut).await.is_ok() };
                self.wait(opened).await?;
                self.say(&octets).await
            }
            Answer::Drip { every, .. } => {
                for octet in octets {
                    self.say(&[octet]).await?;
                    self.wait(sleep(*every)).await?;
                }
                Ok(())
            }
            Answer::Endless => {
                self.say(&octets).await?;
                let chunk = endless_chunk();
                loop {
                    self.say(&chunk).await?;
                }
            }
            Answer::Raw(_) | Answer::Truncated | Answer::CloseAfterRequest => {
                self.say(&octets).await?;
                self.close().await
            }
            Answer::Cut(_) => {
                self.say(&octets).await?;
                Err(Over)
            }
            Answer::Hang
            | Answer::HangBeforeTls
            | Answer::CloseBeforeTls
            | Answer::BrokenTls
            | Answer::Alert(_) => self.wait(std::future::pending()).await,
        }
    }

    async fn say(&mut self, octets: &[u8]) -> Result<(), Over> {
        if *self.open.shared.gate.borrow() == Gate::Stopped {
            return Err(Over);
        }
        self.stream.write_all(octets).await?;
        Ok(self.stream.flush().await?)
    }

    /// Waits for something as long as the client stays.
    async fn wait<T>(&mut self, something: impl Future<Output = T>) -> Result<T, Over> {
        let mut something = std::pin::pin!(something);
        loop {
            tokio::select! {
                biased;
                octets = read(&mut self.stream, &mut self.buffer) => octets?,
                done = &mut something => return Ok(done),
            }
            self.surplus();
        }
    }

    async fn close<T>(&mut self) -> Result<T, Over> {
        close(&mut self.stream).await
    }
}

/// More octets; the connection's end is an error.
async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Result<(), Over> {
    buffer.reserve(4096);
    match stream.read_buf(buffer).await? {
        0 => Err(Over),
        _ => Ok(()),
    }
}

/// Reads and says nothing until the client goes.
async fn silence<T>(stream: &mut (impl AsyncRead + Unpin)) -> Result<T, Over> {
    let mut buffer = Vec::new();
    loop {
        read(stream, &mut buffer).await?;
        buffer.clear();
    }
}

/// Closes so that the client gets everything said before.
async fn close<T>(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<T, Over> {
    stream.shutdown().await?;
    let _ = timeout(LINGER, silence::<()>(stream)).await;
    Err(Over)
}
