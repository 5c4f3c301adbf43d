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
}

/// How long the end may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For transactions to end by themselves.
    pub grace: Duration,
    /// After it, for replies to final dots that have gone out.
    pub dots: Duration,
}

impl Patience {
    /// What users are promised.
    pub const DEFAULT: Self = Self {
        grace: Duration::from_secs(30),
        dots: Duration::from_secs(75),
    };

    pub fn total(self) -> Duration {
        self.grace.saturating_add(self.dots)
    }
}

/// How the end came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everybody ended within the grace.
    InGrace,
    /// Some were given up after the grace; all have their reply.
    Expired,
    /// Some had not ended after all that time.
    Abandoned,
    /// A second signal asked for it.
    AtOnce,
}

impl Shutdown {
    /// Waits for `finished` with patience, or for `again`.
    pub async fn drain(
        &self,
        patience: Patience,
        finished: impl Future<Output = ()>,
        again: impl Future<Output = ()>,
    ) -> Ended {
        self.draining.cancel();
        let in_time = async {
            tokio::pin!(finished);
            let grace = tokio::time::timeout(patience.grace, finished.as_mut());
            if grace.await.is_ok() {
                return Ended::InGrace;
            }
            self.expired.cancel();
            match tokio::time::timeout(patience.dots, finished).await {
                Ok(()) => Ended::Expired,
                Err(_) => Ended::Abandoned,
            }
        };
        let ended = tokio::select! {
            ended = in_time => ended,
            () = again => Ended::AtOnce,
        };
        self.expired.cancel();
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
        let ended = shutdown.drain(SHORT, pending(), pending()).await;
        assert_eq!(ended, Ended::Abandoned);

        let shutdown = Shutdown::default();
        let ended = shutdown
            .drain(Patience::DEFAULT, pending(), ready(()))
            .await;
        assert_eq!(ended, Ended::AtOnce);
        assert!(shutdown.expired.is_cancelled());
    }
}
