//! The byte stream of a session: TCP or unix, in the clear or under TLS.

use crate::tls::ServerTls;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What was accepted.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Says what can be said without waiting, and closes.
    pub(super) fn say_and_close(self, octets: &[u8]) {
        // Tokio would wait to be told that the socket is writable; a new one is.
        let _ = match self {
            Self::Tcp(stream) => stream.into_std().and_then(|mut s| s.write(octets)),
            Self::Unix(stream) => stream.into_std().and_then(|mut s| s.write(octets)),
        };
    }
}

/// What the session talks over.
#[derive(Debug)]
pub(super) enum Stream {
    Clear(Socket),
    Tls(Box<ServerTls<Socket>>),
    /// Between the two, or after a handshake that failed.
    Gone,
}

/// Calls a method on whatever is inside.
macro_rules! on_socket {
    ($self:ident, $inner:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Tcp(inner) => {
                let $inner = Pin::new(inner);
                $call
            }
            Socket::Unix(inner) => {
                let $inner = Pin::new(inner);
                $call
            }
        }
    };
}

macro_rules! on_stream {
    ($self:ident, $inner:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Clear(inner) => {
                let $inner = Pin::new(inner);
                $call
            }
            Stream::Tls(inner) => {
                let $inner = Pin::new(inner.as_mut());
                $call
            }
            Stream::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    };
}

macro_rules! stream {
    ($type:ty, $on:ident) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                $on!(self, inner => inner.poll_read(cx, buf))
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                $on!(self, inner => inner.poll_write(cx, buf))
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $on!(self, inner => inner.poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $on!(self, inner => inner.poll_shutdown(cx))
            }
        }
    };
}

stream!(Socket, on_socket);
stream!(Stream, on_stream);
