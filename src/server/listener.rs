//! A listener of mail: its sockets, and what is spoken on them.

use super::passed::Passed;
use super::session::{Role, StartTls};
use super::settings::ListenSettings;
use super::sockets::{BindError, Sockets};
use crate::tls::{CertificateFiles, TlsServer, TlsSettingsError};
use arc_swap::ArcSwap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// A listener that exists and is not yet served; clients wait in its backlog.
#[derive(Debug)]
pub struct BoundListener {
    pub(super) sockets: Sockets,
    pub(super) role: Arc<Role>,
    pub(super) tls: Option<Arc<TlsSlot>>,
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
    // A certificate that cannot be used leaves no socket behind.
    let tls = tls(listen)?;
    let sockets = Sockets::bind(&listen.socket(), passed)?;
    Ok(BoundListener {
        sockets,
        role: Arc::new(role(listen)),
        tls,
    })
}

fn tls(listen: &ListenSettings) -> Result<Option<Arc<TlsSlot>>, BindError> {
    let Some(files) = &listen.tls else {
        return Ok(None);
    };
    let slot = TlsSlot::new(files).map_err(|source| BindError::Tls {
        address: listen.address.to_string(),
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
    /// Sockets that are open already, in another role.
    pub fn on(sockets: &Sockets, listen: &ListenSettings) -> Result<Self, BindError> {
        Ok(Self {
            sockets: sockets.again(&listen.socket())?,
            role: Arc::new(role(listen)),
            tls: tls(listen)?,
        })
    }

    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Puts the permissions of a unix socket in force; to be called when it is about to be served.
    pub fn apply_access(&self) -> io::Result<()> {
        self.sockets.apply_access()
    }

    /// Where it listens, in the words of the configuration.
    pub fn address(&self) -> &str {
        self.sockets.address()
    }

    /// The address of a TCP listener, with the port that it got.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.sockets.local_addr()
    }

    /// The certificate, to be reloaded; `None` without STARTTLS.
    pub fn tls(&self) -> Option<Arc<TlsSlot>> {
        self.tls.clone()
    }
}
