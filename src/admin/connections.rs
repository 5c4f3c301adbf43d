//! A listener whose connections are bounded in number and in time.

use axum::serve::Listener;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long a connection may go on once all are to end: who has asked gets an answer that is ready.
const FAREWELL: Duration = Duration::from_secs(1);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// At once; further ones wait in the kernel.
    pub(super) connections: usize,
    /// Of one connection, however busy or slow.
    pub(super) lifetime: Duration,
}

/// Accepts while there are places.
pub(super) struct Bounded<L> {
    listener: L,
    places: Arc<Semaphore>,
    lifetime: Duration,
    stop: CancellationToken,
}

impl<L> Bounded<L> {
    pub(super) fn new(listener: L, bounds: Bounds, stop: CancellationToken) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(bounds.connections)),
            lifetime: bounds.lifetime,
            stop,
        }
    }

    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Comes when a connection that begins now is to end.
    fn end(&self) -> impl Future<Output = ()> + Send + 'static {
        let (lifetime, stop) = (self.lifetime, self.stop.clone());
        async move {
            tokio::select! {
                () = sleep(lifetime) => {}
                () = stop.cancelled() => sleep(FAREWELL).await,
            }
        }
    }
}

impl<L: Listener> Listener for Bounded<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Connection<L::Io>, L::Addr) {
        let place = loop {
            // It is never closed; if it were, waiting a moment beats spinning.
            match self.places.clone().acquire_owned().await {
                Ok(place) => break place,
                Err(_) => sleep(self.lifetime).await,
            }
        };
        // This waits a moment itself when descriptors have run out.
        let (stream, peer) = self.listener.accept().await;
        let connection = Connection {
            stream,
            end: Some(Box::pin(self.end())),
            _place: place,
        };
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when its time is over, whatever it is doing.
pub(super) struct Connection<S> {
    stream: S,
    /// `None`: its time is over.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _place: OwnedSemaphorePermit,
}

impl<S: Unpin> Connection<S> {
    /// What is bounded.
    pub(super) fn inner(&self) -> &S {
        &self.stream
    }

    fn stream(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut S>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_pending()
        {
            return Ok(Pin::new(&mut self.stream));
        }
        self.end = None;
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream(cx)?.poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream(cx)?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
