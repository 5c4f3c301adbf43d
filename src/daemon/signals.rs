//! Signals, as what they ask for.

use std::io;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::mpsc;

/// What somebody asks of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SIGHUP
    Reload,
    /// SIGTERM or SIGINT; the second time it means at once.
    Stop,
}

/// The signals that the daemon listens to.
#[derive(Debug)]
pub struct Signals {
    hangup: Stream,
    terminate: Stream,
    interrupt: Stream,
    /// Says that a file would be larger than a limit allows: who writes it is told by an error as well.
    _file_size: Stream,
}

impl Signals {
    /// From here on none of them ends the process by itself.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?,
        })
    }

    /// Passes requests on until nobody takes them any more.
    pub async fn forward(mut self, to: mpsc::Sender<Request>) {
        loop {
            let request = tokio::select! {
                _ = self.hangup.recv() => Request::Reload,
                _ = self.terminate.recv() => Request::Stop,
                _ = self.interrupt.recv() => Request::Stop,
                () = to.closed() => return,
            };
            if to.send(request).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[tokio::test]
    async fn signals_are_requests() {
        let signals = Signals::listen().unwrap();
        let (to, mut requests) = mpsc::channel(1);
        let asking = async {
            for (signal, expected) in [
                ("-HUP", Request::Reload),
                ("-TERM", Request::Stop),
                ("-INT", Request::Stop),
                ("-HUP", Request::Reload),
            ] {
                let me = std::process::id().to_string();
                let sent = Command::new("kill").args([signal, &me]).status().unwrap();
                assert!(sent.success());
                assert_eq!(requests.recv().await, Some(expected), "{signal}");
            }
            drop(requests); // ends the forwarding
        };
        tokio::join!(asking, signals.forward(to));
    }
}
