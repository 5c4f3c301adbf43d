//! Sockets that systemd passed (sd_listen_fds(3)).

use super::listener::Listening;
use listenfd::ListenFd;
use std::io;
use std::sync::Arc;

/// The listening stream sockets that this process was started with, by name. They stay open as long as
/// this does, so that each reload finds them again. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    sockets: Arc<Vec<(String, Listening)>>,
}

impl Passed {
    /// Takes them out of the environment: a second time there are none. For the start of the process,
    /// when there are no threads that could read the environment meanwhile.
    pub fn take() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for at in 0..passed.len() {
            let name = names.next().unwrap_or_default().to_owned();
            if let Ok(Some(socket)) = passed.take_tcp_listener(at) {
                sockets.push((name, Listening::Tcp(socket)));
            } else if let Ok(Some(socket)) = passed.take_unix_listener(at) {
                sockets.push((name, Listening::Unix(socket)));
            }
        }
        let sockets = Arc::new(sockets);
        Self { sockets }
    }

    /// Duplicates of all that have this name.
    pub(super) fn named(&self, name: &str) -> io::Result<Vec<Listening>> {
        let so_named = self.sockets.iter().filter(|(n, _)| n == name);
        let copy = |(_, socket): &(String, Listening)| {
            let copy = socket.try_clone()?;
            copy.set_nonblocking()?;
            Ok(copy)
        };
        so_named.map(copy).collect()
    }
}
