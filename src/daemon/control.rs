//! The admin socket: without it mail flows all the same.

use crate::admin::ControlSocket;
use crate::server::BindError;
use std::io;
use std::path::Path;

/// Binds `admin.socket`; `None`: the log says what does not work now, and how to mend it.
pub(super) fn bind(path: &Path) -> Option<ControlSocket> {
    match ControlSocket::bind(path) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!(
                socket = %path.display(),
                %error,
                mend = mend(&error),
                "no admin socket: sealpost policy does not work with this daemon, nor does sealpost queue",
            );
            None
        }
    }
}

fn mend(error: &BindError) -> &'static str {
    match error {
        BindError::InUse(_) => "give this daemon an admin.socket of its own",
        BindError::NotASocket(_) => "remove the file, or name another in admin.socket",
        BindError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "make its directory, or name another in admin.socket"
        }
        BindError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "let the daemon's user write to its directory, or name another in admin.socket"
        }
        BindError::Io { .. }
        | BindError::NoGroup(_)
        | BindError::NotPassed { .. }
        | BindError::Tls { .. } => "name another in admin.socket",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_obstacle_has_its_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "precious").unwrap();
        let _taken = ControlSocket::bind(&at("taken")).unwrap();
        for (socket, remedy) in [
            (at("taken"), "of its own"),
            (at("file"), "remove the file"),
            (at("missing/s"), "make its directory"),
            (at(&"x".repeat(200)), "name another"), // too long for an address
        ] {
            let error = ControlSocket::bind(&socket).unwrap_err();
            assert!(mend(&error).contains(remedy), "{error}: {}", mend(&error));
            assert!(bind(&socket).is_none());
        }
        assert_eq!(std::fs::read(at("file")).unwrap(), b"precious");
    }
}
