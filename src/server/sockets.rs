//! Sockets to listen on: made early, while there may still be rights to lose, and served late.

use super::passed::Passed;
use super::settings::{ListenAddress, SocketSettings};
use super::stream::Socket as Stream;
use super::unix::{Access, SocketFile, remove_stale, unix};
use crate::tls::TlsSettingsError;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

/// Connections that wait to be accepted: an MTA opens hundreds at once.
pub(super) const BACKLOG: i32 = 1024;
/// How long accepting pauses when the process is out of file descriptors or memory.
pub(super) const EXHAUSTED_PAUSE: Duration = Duration::from_secs(1);

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {address}: {source}")]
    Io { address: String, source: io::Error },
    #[error("cannot listen on {0}: somebody else does already")]
    InUse(PathBuf),
    #[error("cannot listen on {0}: there is a file that is no socket")]
    NotASocket(PathBuf),
    #[error("there is no group {0}")]
    NoGroup(String),
    #[error("systemd passed no listening stream socket named {name}; {passed}")]
    NotPassed { name: String, passed: String },
    #[error("listener {address}: {source}")]
    Tls {
        address: String,
        source: TlsSettingsError,
    },
}

#[derive(Debug)]
pub(super) enum Listening {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Listening {
    /// The same socket once more.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }

    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(true),
            Self::Unix(socket) => socket.set_nonblocking(true),
        }
    }
}

/// What becomes of the sockets when a listener ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Closed,
    /// Another listener serves them from now on, or the next daemon will.
    Replaced,
}

/// Whose the sockets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// They end with the listener.
    Own,
    /// They are systemd's: the next daemon has them too.
    Passed,
}

/// The sockets of one address, which exist and are not yet served; clients wait in their backlog.
#[derive(Debug)]
pub struct Sockets {
    address: String,
    /// Shared with those who listen at the same address after a reload, see [`Self::again`].
    sockets: Arc<Vec<Listening>>,
    file: Option<Arc<SocketFile>>,
    /// What the file's permissions are to become, see [`Self::apply_access`].
    access: Option<Access>,
    origin: Origin,
}

impl Sockets {
    /// Makes them, or finds them among those that were passed. Needs no runtime.
    pub fn bind(settings: &SocketSettings, passed: &Passed) -> Result<Self, BindError> {
        let address = settings.address.to_string();
        let io = |source| BindError::Io {
            address: address.clone(),
            source,
        };
        let mut file = None;
        let mut origin = Origin::Passed;
        let mut sockets = passed.find(&settings.address).map_err(io)?;
        if sockets.is_empty() {
            origin = Origin::Own;
            sockets.push(match &settings.address {
                ListenAddress::Tcp(at) => Listening::Tcp(tcp_listener(*at).map_err(io)?),
                ListenAddress::Unix(path) => {
                    remove_stale(path, io)?;
                    let socket = unix(path, Access::of(settings)?).map_err(io)?;
                    file = SocketFile::of(path).map(Arc::new);
                    Listening::Unix(socket)
                }
                ListenAddress::Systemd(name) => {
                    return Err(BindError::NotPassed {
                        name: name.clone(),
                        passed: passed.listed(),
                    });
                }
            });
        }
        Ok(Self {
            sockets: Arc::new(sockets),
            address,
            file,
            access: None, // in force since before it listens
            origin,
        })
    }

    /// The same sockets for somebody else: whoever connects meanwhile waits in the backlog. Nothing changes before
    /// they are served: it may come to nothing.
    pub fn again(&self, settings: &SocketSettings) -> Result<Self, BindError> {
        let access = self.file.as_ref().map(|_| Access::of(settings));
        Ok(Self {
            address: self.address.clone(),
            sockets: Arc::clone(&self.sockets),
            file: self.file.clone(),
            access: access.transpose()?,
            origin: self.origin,
        })
    }

    /// Puts the permissions of a unix socket in force; to be called when it is about to be served.
    pub fn apply_access(&self) -> io::Result<()> {
        match (&self.file, self.access) {
            (Some(file), Some(access)) => access.apply(&file.path),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// One for each socket, as soon as there are file descriptors for them: who came before has ended already.
    pub async fn acceptors(&self) -> io::Result<Vec<Acceptor>> {
        when_possible(|| {
            let copies = self.sockets.iter().map(Listening::try_clone);
            copies.map(|socket| Acceptor::new(socket?)).collect()
        })
        .await
    }

    /// How it ends, if it ends now.
    pub(super) fn ending(&self) -> Ending {
        match (self.origin, Arc::strong_count(&self.sockets)) {
            (Origin::Own, 0 | 1) => Ending::Closed,
            (Origin::Own | Origin::Passed, _) => Ending::Replaced,
        }
    }

    /// Where they listen, in the words of the configuration.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address of a TCP socket, with the port that it got.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.sockets.iter().find_map(|socket| match socket {
            Listening::Tcp(listener) => listener.local_addr().ok(),
            Listening::Unix(_) => None,
        })
    }
}

/// Takes clients from one socket.
#[derive(Debug)]
pub enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn new(socket: Listening) -> io::Result<Self> {
        Ok(match socket {
            Listening::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            Listening::Unix(socket) => Self::Unix(UnixListener::from_std(socket)?),
        })
    }

    /// The next client, and where it comes from unless by a unix socket.
    pub async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // A small reply must not wait for the acknowledgement of the one before it.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(from.ip())))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }
}

/// Errors of accepting that come again at once if it goes on.
pub fn is_exhaustion(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let exhausted = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    let raised = error.raw_os_error().map(Errno::from_raw);
    raised.is_some_and(|errno| exhausted.contains(&errno))
}

/// What came of an attempt that was not in vain for want of file descriptors or memory.
async fn when_possible<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!(%error, "accepting pauses");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            done => return done,
        }
    }
}

/// A listening TCP socket. One for IPv6 takes no IPv4 clients, whatever the system's default, so that
/// `0.0.0.0:PORT` and `[::]:PORT` stand side by side.
pub fn tcp_listener(at: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket
        .bind(&at.into())
        .map_err(|error| explained(error, at))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The unit takes every privilege away.
fn explained(error: io::Error, at: SocketAddr) -> io::Error {
    match error.kind() == io::ErrorKind::PermissionDenied && at.port() < 1024 {
        true => io::Error::new(
            error.kind(),
            format!("{error}; have systemd open this port: ListenStream= in sealpost.socket"),
        ),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn bind(settings: &SocketSettings) -> Result<Sockets, BindError> {
        Sockets::bind(settings, &Passed::default())
    }

    fn listen(address: ListenAddress) -> SocketSettings {
        SocketSettings {
            address,
            mode: None,
            group: None,
        }
    }

    #[test]
    fn who_may_not_open_a_port_hears_who_may() {
        let said = |kind: io::ErrorKind, port| {
            explained(kind.into(), ([127, 0, 0, 1], port).into()).to_string()
        };
        assert!(said(io::ErrorKind::PermissionDenied, 25).ends_with("in sealpost.socket"));
        assert!(!said(io::ErrorKind::PermissionDenied, 2525).contains("systemd"));
        assert!(!said(io::ErrorKind::AddrInUse, 25).contains("systemd"));
    }

    #[test]
    fn a_unix_socket_has_its_mode_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lmtp.sock");
        let mut settings = listen(ListenAddress::Unix(path.clone()));
        settings.mode = Some(0o600);
        let bound = bind(&settings).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(bind(&settings), Err(BindError::InUse(_))));
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lmtp.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "stale");
        drop(bind(&listen(ListenAddress::Unix(path.clone()))).unwrap());
        fs::write(&path, "precious").unwrap();
        let refused = bind(&listen(ListenAddress::Unix(path.clone())));
        assert!(matches!(refused, Err(BindError::NotASocket(_))));
        assert!(path.exists());
    }

    #[test]
    fn what_is_not_there_is_said() {
        let mut settings = listen(ListenAddress::Systemd("lmtp".to_owned()));
        assert!(matches!(bind(&settings), Err(BindError::NotPassed { .. })));
        let directory = tempfile::tempdir().unwrap();
        settings.address = ListenAddress::Unix(directory.path().join("s"));
        settings.group = Some("no-such-group".to_owned());
        assert!(matches!(bind(&settings), Err(BindError::NoGroup(_))));
        settings.address = ListenAddress::Unix(directory.path().join("missing/s"));
        settings.group = None;
        assert!(matches!(bind(&settings), Err(BindError::Io { .. })));
    }

    #[tokio::test]
    async fn a_listener_waits_for_descriptors_and_for_nothing_else() {
        let raised = |errno: nix::errno::Errno| io::Error::from_raw_os_error(errno as i32);
        let mut attempts = 0;
        let served = when_possible(|| {
            attempts += 1;
            if attempts < 2 {
                return Err(raised(nix::errno::Errno::EMFILE));
            }
            Ok(attempts)
        });
        assert_eq!(served.await.unwrap(), 2);
        let broken = when_possible(|| io::Result::<()>::Err(raised(nix::errno::Errno::EINVAL)));
        assert!(broken.await.is_err());
    }

    #[test]
    fn both_families_listen_on_one_port() {
        if Socket::new(Domain::IPV6, Type::STREAM, None).is_err() {
            eprintln!("skipped, there is no IPv6 here");
            return;
        }
        let four = tcp_listener("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = four.local_addr().unwrap().port();
        tcp_listener(format!("[::]:{port}").parse().unwrap()).unwrap();
    }

    #[test]
    fn a_tcp_port_taken_is_an_error() {
        let bound = bind(&listen(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()))).unwrap();
        let taken = bound.local_addr().unwrap();
        assert!(bind(&listen(ListenAddress::Tcp(taken))).is_err());
    }
}
