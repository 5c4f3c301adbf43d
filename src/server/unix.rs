//! Unix sockets and their files: permissions, what was left behind, what is to be left behind.

use super::settings::SocketSettings;
use super::sockets::{BACKLOG, BindError};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Permission bits of a unix socket where nothing else is said.
const UNIX_MODE: u32 = 0o660;

/// A listening unix socket, non-blocking, for its owner and its group; in place of one that a process which
/// has ended left behind. The file goes with the second value.
pub fn unix_listener(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    let io = |source| BindError::Io {
        address: path.display().to_string(),
        source,
    };
    let access = Access {
        mode: UNIX_MODE,
        group: None,
    };
    remove_stale(path, io)?;
    let listener = unix(path, access).map_err(io)?;
    let file = SocketFile::of(path).ok_or_else(|| io(io::ErrorKind::NotFound.into()))?;
    Ok((listener, file))
}

/// Who may connect to a unix socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    mode: u32,
    group: Option<u32>,
}

/// Nobody can connect before `listen`, so the permissions are in force in time.
pub(super) fn unix(path: &Path, access: Access) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    access.apply(path)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Access {
    pub(super) fn of(settings: &SocketSettings) -> Result<Self, BindError> {
        Ok(Self {
            mode: settings.mode.unwrap_or(UNIX_MODE),
            group: settings.group.as_deref().map(group_id).transpose()?,
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
    match answers(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(io)
        }
        Ok(()) | Err(_) => Err(BindError::InUse(path.to_owned())),
    }
}

/// Whether somebody listens; without waiting for a process that accepts nobody any more.
fn answers(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// A unix socket's file; removed with the listener, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_accepts_nobody_any_more_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        full.listen(0).unwrap();
        let mut waiting = Vec::new();
        loop {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            if client.connect(&SockAddr::unix(&path).unwrap()).is_err() {
                break;
            }
            waiting.push(client);
        }
        assert!(matches!(unix_listener(&path), Err(BindError::InUse(_))));
    }

    #[test]
    fn a_file_that_is_another_s_by_now_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let (_listener, file) = unix_listener(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        // The old file is kept, so that the new one is certain to be another.
        fs::rename(&path, directory.path().join("old")).unwrap();
        fs::write(&path, "").unwrap();
        drop(file);
        assert!(path.exists());
    }
}
