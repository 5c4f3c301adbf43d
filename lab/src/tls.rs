//! rustls configurations of servers and clients.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::ca::Identity;
use crate::mx::{ClientCert, Tls, Versions};

/// A server that presents this identity, however odd its certificate is.
///
/// # Panics
/// If the identity's key is of no kind that rustls can use.
pub(crate) fn server_config(tls: &Tls, identity: &Identity) -> Arc<ServerConfig> {
    server_config_with(tls, Arc::new(Always(certified(identity))))
}

/// A server that presents what the resolver says, whatever identity is in the settings.
pub(crate) fn server_config_with(
    tls: &Tls,
    resolver: Arc<dyn ResolvesServerCert>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(tls.versions))
        .expect("the provider has suites for TLS 1.2 and 1.3");
    let builder = match tls.client_cert {
        ClientCert::NotAsked => builder.with_no_client_auth(),
        demand @ (ClientCert::Asked | ClientCert::Required | ClientCert::Refused) => {
            builder.with_client_cert_verifier(Arc::new(Anybody { provider, demand }))
        }
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.send_tls13_tickets = tls.tickets;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if tls.tickets > 0 {
        config.ticketer = aws_lc_rs::Ticketer::new().expect("random numbers are to be had");
    }
    Arc::new(config)
}

/// An identity as rustls wants it.
///
/// # Panics
/// If its key is of no kind that rustls can use.
pub(crate) fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    let key = aws_lc_rs::sign::any_supported_type(&identity.key)
        .expect("the lab makes only keys that rustls can use");
    Arc::new(CertifiedKey::new(identity.chain.clone(), key))
}

/// A client that accepts any certificate; for tests of servers.
///
/// # Panics
/// If the client's own identity is invalid.
pub(crate) fn client_config(identity: Option<&Identity>) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Anybody {
        provider: Arc::clone(&provider),
        demand: ClientCert::NotAsked,
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .expect("the lab's identities are usable"),
    })
}

const VERSION_12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const VERSION_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn versions(versions: Versions) -> &'static [&'static SupportedProtocolVersion] {
    match versions {
        Versions::Both => rustls::ALL_VERSIONS,
        Versions::Only12 => VERSION_12,
        Versions::Only13 => VERSION_13,
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Checks signatures, as every peer must, and nothing else.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
    demand: ClientCert,
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.demand == ClientCert::Required
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.demand {
            ClientCert::Refused => Err(Error::InvalidCertificate(
                rustls::CertificateError::UnknownIssuer,
            )),
            ClientCert::NotAsked | ClientCert::Asked | ClientCert::Required => {
                Ok(ClientCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ClientCertVerifier::verify_tls12_signature(self, message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ClientCertVerifier::verify_tls13_signature(self, message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ClientCertVerifier::supported_verify_schemes(self)
    }
}
