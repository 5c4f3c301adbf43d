//! Sockets to listen on: made early, while there may still be rights to lose, and served late.

use super::passed::Passed;
use super::session::{Role, StartTls};
use super::settings::{ListenAddress, ListenSettings};
use super::unix::{Access, SocketFile, remove_stale, unix};
use crate::tls::{CertificateFiles, TlsServer, TlsSettingsError};
use arc_swap::ArcSwap;
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Connections that wait to be accepted: an MTA opens hundreds at once.
pub(super) const BACKLOG: i32 = 1024;

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

/// A listener that exists and is not yet served; clients wait in its backlog.
#[derive(Debug)]
pub struct BoundListener {
    pub(super) address: String,
    /// Shared with those who listen at the same address after a reload, see [`Self::again`].
    pub(super) sockets: Arc<Vec<Listening>>,
    pub(super) role: Arc<Role>,
    pub(super) tls: Option<Arc<TlsSlot>>,
    pub(super) file: Option<Arc<SocketFile>>,
    /// What the file's permissions are to become, see [`Self::apply_access`].
    access: Option<Access>,
    origin: Origin,
}

/// Whose the sockets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// They end with the listener.
    Own,
    /// They are systemd's: the next daemon has them too.
    Passed,
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

/// The certificate of a listener, which can be read anew.
pub struct TlsSlot {
    files: CertificateFiles,
    current: ArcSwap<TlsServer>,
}

impl TlsSlot {
    fn new(files: &CertificateFiles) -> Result<Self, TlsSettingsError> {
        Ok(Self {
            files: files.clone(),
            current: ArcSwap::from_pointee(TlsServer::new(files)?),
        })
    }

    /// Reads the files again; the old certificate stays in force if they cannot be used.
    pub fn reload(&self) -> Result<(), TlsSettingsError> {
        self.current.store(Arc::new(TlsServer::new(&self.files)?));
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<TlsServer> {
        self.current.load_full()
    }
}

impl fmt::Debug for TlsSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsSlot({})", self.files.cert.display())
    }
}

/// Makes the sockets of one listener, or finds them among those that were passed. Needs no runtime.
pub fn bind(listen: &ListenSettings, passed: &Passed) -> Result<BoundListener, BindError> {
    let address = describe(&listen.address);
    let tls = tls(listen, &address)?;
    let io = |source| BindError::Io {
        address: address.clone(),
        source,
    };
    let mut file = None;
    let mut origin = Origin::Passed;
    let mut sockets = passed.find(&listen.address).map_err(io)?;
    if sockets.is_empty() {
        origin = Origin::Own;
        sockets.push(match &listen.address {
            ListenAddress::Tcp(at) => Listening::Tcp(tcp_listener(*at).map_err(io)?),
            ListenAddress::Unix(path) => {
                remove_stale(path, io)?;
                let socket = unix(path, Access::of(listen)?).map_err(io)?;
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
    Ok(BoundListener {
        sockets: Arc::new(sockets),
        role: Arc::new(role(listen)),
        address,
        tls,
        file,
        access: None, // in force since before it listens
        origin,
    })
}

fn tls(listen: &ListenSettings, address: &str) -> Result<Option<Arc<TlsSlot>>, BindError> {
    let Some(files) = &listen.tls else {
        return Ok(None);
    };
    let slot = TlsSlot::new(files).map_err(|source| BindError::Tls {
        address: address.to_owned(),
        source,
    })?;
    Ok(Some(Arc::new(slot)))
}

fn role(listen: &ListenSettings) -> Role {
    Role {
        protocol: listen.protocol,
        hostname: listen.hostname.clone(),
        bind: listen.bind.clone(),
        starttls: match listen.tls {
            Some(_) => StartTls::Offered,
            None => StartTls::NotOffered,
        },
    }
}

impl BoundListener {
    /// The same sockets in a new role: whoever connects meanwhile waits in the backlog. Nothing changes
    /// before it is served: it may come to nothing.
    pub fn again(&self, listen: &ListenSettings) -> Result<Self, BindError> {
        let access = self.file.as_ref().map(|_| Access::of(listen)).transpose()?;
        Ok(Self {
            address: self.address.clone(),
            sockets: Arc::clone(&self.sockets),
            role: Arc::new(role(listen)),
            tls: tls(listen, &self.address)?,
            file: self.file.clone(),
            access,
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

    pub(super) fn copies(&self) -> io::Result<Vec<Listening>> {
        self.sockets.iter().map(Listening::try_clone).collect()
    }

    /// How it ends, if it ends now.
    pub(super) fn ending(&self) -> Ending {
        match (self.origin, Arc::strong_count(&self.sockets)) {
            (Origin::Own, 0 | 1) => Ending::Closed,
            (Origin::Own | Origin::Passed, _) => Ending::Replaced,
        }
    }

    /// Where it listens, in the words of the configuration.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address of a TCP listener, with the port that it got.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.sockets.iter().find_map(|socket| match socket {
            Listening::Tcp(listener) => listener.local_addr().ok(),
            Listening::Unix(_) => None,
        })
    }

    /// The certificate, to be reloaded; `None` without STARTTLS.
    pub fn tls(&self) -> Option<Arc<TlsSlot>> {
        self.tls.clone()
    }
}

pub(super) fn describe(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(at) => at.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
        ListenAddress::Systemd(name) => format!("systemd:{name}"),
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
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Protocol;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn bind(listen: &ListenSettings) -> Result<BoundListener, BindError> {
        super::bind(listen, &Passed::default())
    }

    fn listen(address: ListenAddress) -> ListenSettings {
        ListenSettings {
            address,
            protocol: Protocol::Lmtp,
            mode: None,
            group: None,
            tls: None,
            hostname: None,
            bind: Vec::new(),
        }
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
