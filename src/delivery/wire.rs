//! A connection's octets: replies in, commands out, every wait bounded.

use super::failure::{Failure, Stage};
use crate::smtp::reply::{Reply, ReplyParser};
use crate::tls::ClientTls;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// In the clear or under TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<ClientTls>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A stream with what has been read of the next reply.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    input: Vec<u8>,
    parser: ReplyParser,
    /// The last read failure was an alert or other TLS fault of the peer, not a lost connection.
    pub(super) tls_fault: Option<crate::policy::TlsFailure>,
}

/// How much is read at once; replies are short.
const READ_SIZE: usize = 1024;

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            parser: ReplyParser::default(),
            tls_fault: None,
        }
    }

    /// The stream alone, for the TLS handshake. `None` if octets were read ahead, which must never
    /// be taken for part of the TLS session (RFC 3207 §6, CVE-2011-0411).
    pub(super) fn into_clean_stream(self) -> Option<Stream> {
        self.input.is_empty().then_some(self.stream)
    }

    /// The next reply, complete before `until`.
    pub(super) async fn reply(&mut self, stage: Stage, until: Instant) -> Result<Reply, Failure> {
        loop {
            if let Some(reply) = self.buffered(stage)? {
                return Ok(reply);
            }
            self.input.reserve(READ_SIZE);
            match timeout_at(until, self.stream.read_buf(&mut self.input)).await {
                Err(_) => return Err(Failure::TimedOut { stage }),
                Ok(Ok(0)) => return Err(Failure::Lost { stage }),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    self.tls_fault = crate::tls::peer_fault(&error);
                    return Err(Failure::Lost { stage });
                }
            }
        }
    }

    /// A reply that lies in the buffer already.
    fn buffered(&mut self, stage: Stage) -> Result<Option<Reply>, Failure> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let (used, reply) = self
            .parser
            .advance(&self.input)
            .map_err(|error| Failure::Protocol { stage, error })?;
        self.input.drain(..used);
        Ok(reply)
    }

    /// Sends octets whole.
    pub(super) async fn send(
        &mut self,
        octets: &[u8],
        stage: Stage,
        until: Instant,
    ) -> Result<(), Failure> {
        let sending = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        match timeout_at(until, sending).await {
            Err(_) => Err(Failure::TimedOut { stage }),
            Ok(Err(_)) => Err(Failure::Lost { stage }),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Sends a piece of the message, listening meanwhile: a host that has had enough says so and may
    /// stop reading, and the reply that waits must not be lost.
    pub(super) async fn send_listening(
        &mut self,
        octets: &[u8],
        until: Instant,
    ) -> Result<Heard, Failure> {
        let stage = Stage::Content;
        let mut left = octets;
        let stream = &mut self.stream;
        let input = &mut self.input;
        let sending = poll_fn(|cx| {
            while !left.is_empty() {
                match Pin::new(&mut *stream).poll_write(cx, left) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(())),
                    Poll::Ready(Ok(n)) => left = &left[n..],
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(())),
                    Poll::Pending => return listen(stream, input, cx),
                }
            }
            match Pin::new(&mut *stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(Heard::Nothing)),
                Poll::Ready(Err(_)) => Poll::Ready(Err(())),
                Poll::Pending => listen(stream, input, cx),
            }
        });
        match timeout_at(until, sending).await {
            Err(_) => Err(Failure::TimedOut { stage }),
            Ok(Err(())) => Err(Failure::Lost { stage }),
            Ok(Ok(heard)) => Ok(heard),
        }
    }

    /// Looks, without waiting, whether the peer has said or done something unasked: `Silence` is
    /// what a healthy connection keeps between transactions.
    pub(super) fn glance(&mut self) -> Glance {
        if !self.input.is_empty() {
            return Glance::Octets;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut space = [0u8; 64];
        let mut buf = ReadBuf::new(&mut space);
        match Pin::new(&mut self.stream).poll_read(&mut cx, &mut buf) {
            Poll::Pending => Glance::Silence,
            Poll::Ready(Ok(())) if buf.filled().is_empty() => Glance::Closed,
            Poll::Ready(Ok(())) => {
                self.input.extend_from_slice(buf.filled());
                Glance::Octets
            }
            Poll::Ready(Err(_)) => Glance::Closed,
        }
    }

    /// Waits until the peer has said or done something.
    #[cfg(test)]
    pub(super) async fn readable(&self) {
        if let Stream::Plain(stream) = &self.stream {
            stream.readable().await.unwrap();
        }
    }

    /// Says goodbye and closes; nobody cares for the answer for long.
    pub(super) async fn quit(mut self, patience: std::time::Duration) {
        let until = Instant::now() + patience;
        if self.send(b"QUIT\r\n", Stage::Rset, until).await.is_ok() {
            let _ = self.reply(Stage::Rset, until).await;
        }
        // Without waiting for the peer's close_notify: SMTP's framing needs none.
        let _ = timeout_at(until, self.stream.shutdown()).await;
    }
}

fn listen(
    stream: &mut Stream,
    input: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<Result<Heard, ()>> {
    let mut space = [0u8; 256];
    let mut buf = ReadBuf::new(&mut space);
    match Pin::new(stream).poll_read(cx, &mut buf) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
            input.extend_from_slice(buf.filled());
            Poll::Ready(Ok(Heard::Something))
        }
        Poll::Ready(_) => Poll::Ready(Err(())),
    }
}

/// What came while a piece of the message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing; the piece is sent.
    Nothing,
    /// The peer spoke before its turn; the piece is sent in part only.
    Something,
}

/// What a look at an idle connection shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glance {
    Silence,
    /// Octets that nobody asked for, such as a 421.
    Octets,
    Closed,
}
