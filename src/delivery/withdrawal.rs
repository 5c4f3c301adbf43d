//! Giving a delivery up: possible at any time; once our final dot has gone out, only at the price of a
//! message that may arrive twice.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
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
pub enum Withdrawn {
    /// Nothing was accepted meanwhile.
    InTime,
    /// Past the point of no return: the message may have been accepted.
    TooLate,
}

/// What makes a delivery give up.
#[derive(Debug, Clone, Copy)]
pub struct Signals<'a> {
    /// At a moment when giving up loses nothing.
    pub withdraw: &'a CancellationToken,
    /// At once, whatever that means.
    pub abandon: &'a CancellationToken,
}

/// Runs `work` until it is done, or until it is to be given up.
pub async fn unless_withdrawn<T>(
    work: impl Future<Output = T>,
    signals: Signals<'_>,
    no_return: &PointOfNoReturn,
) -> Result<T, Withdrawn> {
    let mut work = pin!(work);
    let mut withdraw = pin!(signals.withdraw.cancelled());
    let mut abandon = pin!(signals.abandon.cancelled());
    let (mut given, mut lost) = (false, false);
    std::future::poll_fn(|cx| {
        given = given || withdraw.as_mut().poll(cx).is_ready();
        lost = lost || abandon.as_mut().poll(cx).is_ready();
        if (given || lost) && !no_return.is_passed() {
            return Poll::Ready(Err(Withdrawn::InTime));
        }
        // Polled even when withdrawn: past the point of no return the work goes on, and stops at the
        // first poll after it.
        match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending if (given || lost) && !no_return.is_passed() => {
                Poll::Ready(Err(Withdrawn::InTime))
            }
            Poll::Pending if lost => Poll::Ready(Err(Withdrawn::TooLate)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::future::pending;

    #[tokio::test]
    async fn the_point_of_no_return_decides_what_giving_up_means() {
        use Withdrawn::{InTime, TooLate};
        for (what, withdrawn, abandoned, passed, expected) in [
            ("withdrawn before", true, false, false, Some(Err(InTime))),
            ("withdrawn after", true, false, true, None),
            ("abandoned before", true, true, false, Some(Err(InTime))),
            ("abandoned after", true, true, true, Some(Err(TooLate))),
            ("let alone", false, false, true, None),
        ] {
            let (withdraw, abandon) = (CancellationToken::new(), CancellationToken::new());
            let signals = Signals {
                withdraw: &withdraw,
                abandon: &abandon,
            };
            let no_return = PointOfNoReturn::default();
            let work = async {
                if passed {
                    no_return.pass();
                }
                pending::<()>().await;
            };
            let mut run = pin!(unless_withdrawn(work, signals, &no_return));
            assert_eq!(run.as_mut().now_or_never(), None, "{what}");
            if withdrawn {
                withdraw.cancel();
            }
            if abandoned {
                abandon.cancel();
            }
            assert_eq!(run.as_mut().now_or_never(), expected, "{what}");
        }
    }

    #[tokio::test]
    async fn what_is_done_in_the_last_moment_counts() {
        let token = CancellationToken::new();
        token.cancel();
        let signals = Signals {
            withdraw: &token,
            abandon: &token,
        };
        let no_return = PointOfNoReturn::default();
        no_return.pass();
        let done = unless_withdrawn(async { 250 }, signals, &no_return).await;
        assert_eq!(done, Ok(250));
    }
}
