//! Unix sockets and their files: permissions, what was left behind, what is to be left behind.

use super::listener::{BACKLOG, BindError, Listening};
use super::settings::ListenSettings;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Permission bits of a unix socket where nothing else is said.
const UNIX_MODE: u32 = 0o660;

/// Who may connect to a unix socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    mode: u32,
    group: Option<u32>,
}

/// Nobody can connect before `listen`, so the permissions are in force in time.
pub(super) fn unix(path: &Path, access: Access) -> io::Result<Listening> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    access.apply(path)?;
    socket.listen(BACKLOG)?;
    Ok(Listening::Unix(socket.into()))
}

impl Access {
    pub(super) fn of(listen: &ListenSettings) -> Result<Self, BindError> {
        Ok(Self {
            mode: listen.mode.unwrap_or(UNIX_MODE),
            group: listen.group.as_deref().map(group_id).transpose()?,
        })
    }

    pub(super) fn apply(self, path: &Path) -> io::Result<()> {
        if self.group.is_some() {
            chown(path, None, self.group)?;
        }
        fs::set_permissions(path, Permissions::from_mode(self.mode))
    }
}

fn group_id(name: &str) -> Result<u32, BindError> {
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) | Err(_) => Err(BindError::NoGroup(name.to_owned())),
    }
}

/// Removes a socket that a process which has ended left behind, and nothing else.
pub(super) fn remove_stale(
    path: &Path,
    io: impl Fn(io::Error) -> BindError,
) -> Result<(), BindError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(io)
        }
        Ok(_) | Err(_) => Err(BindError::InUse(path.to_owned())),
    }
}

/// A unix socket's file; removed with the listener, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    pub(super) path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let identity = identity(path)?;
        let path = path.to_owned();
        Some(Self { path, identity })
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path) == Some(self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
