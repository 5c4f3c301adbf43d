//! What systemd is told (sd_notify(3)); without systemd nothing happens.

use crate::server::Pulse;
use sd_notify::NotifyState;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Serving, at start and after a reload.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins. `Type=notify-reload` wants the time along with it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The shutdown begins and may take this long.
pub fn stopping(at_most: Duration) {
    let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(micros),
    ]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// Keeps the watchdog content if the unit has one, as long as every listener answers: so tasks are run, and
/// clients accepted. The store is not asked: a slow disk is no reason to end what flows without it.
pub async fn watchdog(pulse: Pulse, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let pause = (limit / 4).max(Duration::from_millis(1));
    let beating = async {
        loop {
            while tokio::time::timeout(pause * 2, pulse.beat()).await.is_err() {
                tracing::error!(
                    "a listener does not answer: systemd's watchdog is not told that all is well"
                );
            }
            tell(&[NotifyState::Watchdog]);
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = beating => {}
        () = stop.cancelled() => {}
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(problem) = sd_notify::notify(states) {
        tracing::debug!(%problem, "systemd cannot be told");
    }
}
