//! Giving a delivery up: possible at any time, but not once our final dot has gone out.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// Set while the answer to our final dot is awaited: the message may have been accepted, so the
/// attempt runs on until that is known, whoever has left.
#[derive(Debug, Default)]
pub struct PointOfNoReturn(AtomicBool);

impl PointOfNoReturn {
    pub fn pass(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn come_back(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_passed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawn;

/// Runs `work` until it is done, or until `signal` comes at a moment when giving up loses nothing.
pub async fn unless_withdrawn<T>(
    work: impl Future<Output = T>,
    signal: &CancellationToken,
    no_return: &PointOfNoReturn,
) -> Result<T, Withdrawn> {
    let mut work = pin!(work);
    let mut signal = pin!(signal.cancelled());
    let mut given = false;
    std::future::poll_fn(|cx| {
        given = given || signal.as_mut().poll(cx).is_ready();
        if given && !no_return.is_passed() {
            return std::task::Poll::Ready(Err(Withdrawn));
        }
        // Polled even when withdrawn: past the point of no return the work goes on, and stops at the
        // first poll after it.
        match work.as_mut().poll(cx) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Ok(done)),
            std::task::Poll::Pending if given && !no_return.is_passed() => {
                std::task::Poll::Ready(Err(Withdrawn))
            }
            std::task::Poll::Pending => std::task::Poll::Pending,
        }
    })
    .await
}
