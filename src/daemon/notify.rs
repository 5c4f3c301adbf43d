//! What systemd is told (sd_notify(3)); without systemd nothing happens.

use crate::server::Pulse;
use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
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
    let ear = Ear::find();
    let beating = async {
        loop {
            while tokio::time::timeout(pause * 2, pulse.beat()).await.is_err() {
                tracing::error!(
                    "a listener does not answer: systemd's watchdog is not told that all is well"
                );
            }
            match &ear {
                Some(ear) => ear.tell(&NotifyState::Watchdog),
                None => tell(&[NotifyState::Watchdog]),
            }
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

/// Where systemd listens, with a socket that is kept: a daemon that waits for file descriptors has none for another,
/// and is well.
struct Ear {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Ear {
    /// `None` without systemd.
    fn find() -> Option<Self> {
        let at = std::env::var_os("NOTIFY_SOCKET")?;
        let ear = Self::at(&at);
        ear.inspect_err(|problem| tracing::warn!(%problem, "systemd cannot be told"))
            .ok()
    }

    /// A path, or with `@` a name without a file.
    fn at(place: &OsStr) -> io::Result<Self> {
        let address = match place.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(place)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A beat that systemd has no room for is lost; the next one comes in time.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    fn tell(&self, state: &NotifyState<'_>) {
        let text = state.to_string();
        if let Err(problem) = self.socket.send_to_addr(text.as_bytes(), &self.address) {
            tracing::debug!(%problem, "systemd cannot be told");
        }
    }
}
