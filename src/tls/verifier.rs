//! The one verifier: it checks the handshake's signature and nothing else.
//!
//! One instance serves every connection, because rustls resumes a session only under the verifier that
//! was there when it began.

use super::certificate::{self, public_key};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use webpki::RawPublicKeyEntity;

/// Accepts every certificate whose key the peer proves to have.
#[derive(Debug)]
pub(super) struct ProofOfKey {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ProofOfKey {
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { algorithms }
    }
}

impl ServerCertVerifier for ProofOfKey {
    /// Names, dates and paths are the business of `TlsClient::judge`.
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if certificate::is_webpki_readable(cert) {
            return verify_tls12_signature(message, cert, dss, &self.algorithms);
        }
        tls12_with_raw_key(message, &key_of(cert)?, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if certificate::is_webpki_readable(cert) {
            return verify_tls13_signature(message, cert, dss, &self.algorithms);
        }
        verify_tls13_signature_with_raw_key(message, &key_of(cert)?, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The key of a certificate that webpki refuses to read, such as one of X.509 version 1.
fn key_of(cert: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    public_key(cert).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// rustls has this for TLS 1.3 only. A scheme of TLS 1.2 leaves the curve open, so all algorithms that
/// it may mean are tried (RFC 5246 §7.4.1.4.1).
fn tls12_with_raw_key(
    message: &[u8],
    spki: &SubjectPublicKeyInfoDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = RawPublicKeyEntity::try_from(spki)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let (_, candidates) = algorithms
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == dss.scheme)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    candidates
        .iter()
        .any(|algorithm| {
            key.verify_signature(*algorithm, message, dss.signature())
                .is_ok()
        })
        .then(HandshakeSignatureValid::assertion)
        .ok_or(Error::InvalidCertificate(CertificateError::BadSignature))
}
