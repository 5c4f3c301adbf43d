//! Handshakes that offer less than a delivery does: they find out what a host accepts besides what it prefers.

use super::client::{server_name, session};
use super::failure::failure_from_io;
use super::verifier::ProofOfKey;
use super::{Handshake, TlsSession, TlsSettingsError};
use crate::policy::TlsFailure;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, SupportedProtocolVersion};
use std::fmt;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offering {
    OnlyTls12,
    OnlyTls13,
    /// TLS 1.3 with the hybrid group X25519MLKEM768 and no other.
    OnlyPostQuantum,
}

/// Clients of one offer each. They resume nothing and present no certificate. Cheap to clone.
#[derive(Clone)]
pub struct TlsProbes {
    tls12: Arc<ClientConfig>,
    tls13: Arc<ClientConfig>,
    post_quantum: Arc<ClientConfig>,
}

impl fmt::Debug for TlsProbes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsProbes")
    }
}

impl TlsProbes {
    pub fn new() -> Result<Self, TlsSettingsError> {
        let all = aws_lc_rs::default_provider();
        let hybrid = CryptoProvider {
            kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
            ..all.clone()
        };
        let all = Arc::new(all);
        Ok(Self {
            tls12: offering(&all, &rustls::version::TLS12)?,
            tls13: offering(&all, &rustls::version::TLS13)?,
            post_quantum: offering(&Arc::new(hybrid), &rustls::version::TLS13)?,
        })
    }

    /// As [`super::TlsClient::connect`], with a smaller offer.
    pub async fn connect<S>(
        &self,
        stream: S,
        handshake: &Handshake<'_>,
        offering: Offering,
    ) -> Result<(TlsStream<S>, TlsSession), TlsFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = match offering {
            Offering::OnlyTls12 => &self.tls12,
            Offering::OnlyTls13 => &self.tls13,
            Offering::OnlyPostQuantum => &self.post_quantum,
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector
            .connect(server_name(handshake)?, stream)
            .await
            .map_err(|error| failure_from_io(&error))?;
        let session = session(stream.get_ref().1)?;
        Ok((stream, session))
    }
}

fn offering(
    provider: &Arc<CryptoProvider>,
    version: &'static SupportedProtocolVersion,
) -> Result<Arc<ClientConfig>, TlsSettingsError> {
    let verifier = ProofOfKey::new(provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[version])
        .map_err(|error| TlsSettingsError::Rustls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
