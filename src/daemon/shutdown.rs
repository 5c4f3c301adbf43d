//! The end: who is told what, and how long whom is waited for.

use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What sessions and deliveries watch. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Idle sessions get 421, no transaction begins.
    pub draining: CancellationToken,
    /// Deliveries whose final dot has not gone out are given up: 451 4.3.2.
    pub expired: CancellationToken,
    /// So are those whose final dot has gone out, 451 4.4.2: the message may arrive twice, but nobody is
    /// left without a reply.
    pub abandoned: CancellationToken,
}

/// How long the end may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For transactions to end by themselves.
    pub grace: Duration,
    /// After it, for replies to final dots that have gone out.
    pub dots: Duration,
    /// For the last replies, once everything is given up.
    pub farewell: Duration,
}

impl Patience {
    /// What users are promised.
    pub const DEFAULT: Self = Self {
        grace: Duration::from_secs(30),
        dots: Duration::from_secs(75),
        farewell: Duration::from_secs(2),
    };

    pub fn total(self) -> Duration {
        [self.dots, self.farewell]
            .into_iter()
            .fold(self.grace, Duration::saturating_add)
    }
}

/// How the end came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everybody ended within the grace.
    InGrace,
    /// Some were given up after the grace, none that could have arrived.
    Expired,
    /// Some had not ended after all that time, and were given up.
    Abandoned,
    /// A second signal asked for it.
    AtOnce,
}

impl Shutdown {
    /// Waits for `finished` with patience, or for `again`; then gives up what is left, and waits a
    /// moment for its replies.
    pub async fn drain(
        &self,
        patience: Patience,
        finished: impl Future<Output = ()>,
        again: impl Future<Output = ()>,
    ) -> Ended {
        self.draining.cancel();
        tokio::pin!(finished);
        let in_time = async {
            let grace = tokio::time::timeout(patience.grace, finished.as_mut());
            if grace.await.is_ok() {
                return Ended::InGrace;
            }
            self.expired.cancel();
            match tokio::time::timeout(patience.dots, finished.as_mut()).await {
                Ok(()) => Ended::Expired,
                Err(_) => Ended::Abandoned,
            }
        };
        let ended = tokio::select! {
            ended = in_time => ended,
            () = again => Ended::AtOnce,
        };
        self.expired.cancel();
        match ended {
            Ended::InGrace | Ended::Expired => {}
            Ended::Abandoned | Ended::AtOnce => {
                self.abandoned.cancel();
                // Whoever has not ended by then is named by the caller.
                let _ = tokio::time::timeout(patience.farewell, finished).await;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const SHORT: Patience = Patience {
        grace: Duration::from_millis(20),
        dots: Duration::from_millis(20),
        farewell: Duration::from_secs(20),
    };

    #[tokio::test]
    async fn the_end_comes_in_steps() {
        let shutdown = Shutdown::default();
        let idle = shutdown.draining.clone().cancelled_owned();
        let ended = shutdown.drain(Patience::DEFAULT, idle, pending()).await;
        assert_eq!(ended, Ended::InGrace);

        let shutdown = Shutdown::default();
        let slow = shutdown.expired.clone().cancelled_owned();
        let ended = shutdown.drain(SHORT, slow, pending()).await;
        assert_eq!(ended, Ended::Expired);

        let shutdown = Shutdown::default();
        let stuck = shutdown.abandoned.clone().cancelled_owned();
        let ended = shutdown.drain(SHORT, stuck, pending()).await;
        assert_eq!(ended, Ended::Abandoned);

        let shutdown = Shutdown::default();
        let stuck = shutdown.abandoned.clone().cancelled_owned();
        let ended = shutdown.drain(Patience::DEFAULT, stuck, ready(())).await;
        assert_eq!(ended, Ended::AtOnce);
        assert!(shutdown.expired.is_cancelled());
    }

    #[tokio::test]
    async fn what_is_given_up_at_last_may_still_reply() {
        let shutdown = Shutdown::default();
        let mut replied = false;
        let slow = async {
            shutdown.abandoned.cancelled().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            replied = true;
        };
        let ended = shutdown.drain(SHORT, slow, pending()).await;
        assert_eq!((ended, replied), (Ended::Abandoned, true));

        let shutdown = Shutdown::default();
        let hurried = Patience {
            farewell: Duration::from_millis(20),
            ..SHORT
        };
        let ended = shutdown.drain(hurried, pending(), pending()).await;
        assert_eq!(ended, Ended::Abandoned, "not for ever");
    }
}
