//! TLS towards clients (STARTTLS on a listener).

use super::files::{at, identity};
use super::{CertificateFiles, TlsSettingsError};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use std::fmt;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// TLS towards clients of one listener (STARTTLS). Cheap to clone.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
}

impl TlsServer {
    /// Reads chain and key; fails where they do not belong together.
    pub fn new(files: &CertificateFiles) -> Result<Self, TlsSettingsError> {
        let (chain, key) = identity(files)?;
        let rustls = |error: rustls::Error| TlsSettingsError::Rustls(error.to_string());
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(rustls)?
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .map_err(|error| at(&files.cert, error.to_string()))?;
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(rustls)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// The handshake as server. The caller bounds the time.
    pub async fn accept<S>(&self, stream: S) -> std::io::Result<tokio_rustls::server::TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(stream).await
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}
