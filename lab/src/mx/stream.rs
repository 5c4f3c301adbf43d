//! The stream under a session: a socket whose every incoming octet is recorded, in the clear or under TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::host::Shared;

/// Records what comes in.
#[derive(Debug)]
pub(super) struct Tap {
    socket: TcpStream,
    shared: Arc<Shared>,
    connection: usize,
}

impl Tap {
    pub(super) fn new(socket: TcpStream, shared: Arc<Shared>, connection: usize) -> Self {
        Self {
            socket,
            shared,
            connection,
        }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        let octets = &buffer.filled()[before..];
        self.shared
            .note(self.connection, |seen| seen.received(octets));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Clear or TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Clear(Tap),
    Tls(Box<TlsStream<Tap>>),
    /// Only while one becomes the other.
    Gone,
}

impl Stream {
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Clear(tap) => Some(tap.socket()),
            Self::Tls(tls) => Some(tls.get_ref().0.socket()),
            Self::Gone => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tap) => Pin::new(tap).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(tap) => Pin::new(tap).poll_write(context, octets),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, octets),
            Self::Gone => Poll::Ready(Ok(0)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tap) => Pin::new(tap).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tap) => Pin::new(tap).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}
