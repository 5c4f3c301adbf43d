//! Certificates, keys and roots from where the configuration says they are.

use super::{CertificateFiles, Roots, TlsSettingsError};
use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use std::path::Path;

/// The trusted roots; at least one.
pub(super) fn roots(roots: &Roots) -> Result<Vec<TrustAnchor<'static>>, TlsSettingsError> {
    let anchors = match roots {
        Roots::System => system(),
        Roots::Mozilla => webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        Roots::Files(files) => {
            let mut anchors = Vec::new();
            for file in files {
                anchors.extend(from_file(file)?);
            }
            anchors
        }
    };
    if anchors.is_empty() {
        return Err(TlsSettingsError::NoRoots);
    }
    Ok(anchors)
}

/// The system's roots. A single one that cannot be read is no reason to trust none.
fn system() -> Vec<TrustAnchor<'static>> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.roots.is_empty() {
        // A machine without a store must not keep mail from flowing; at levels that verify, Mozilla's
        // roots are what its store would hold.
        tracing::warn!("this system has no trusted roots: Mozilla's, as built in, are used");
        return webpki_roots::TLS_SERVER_ROOTS.to_vec();
    }
    store.roots
}

fn from_file(path: &Path) -> Result<Vec<TrustAnchor<'static>>, TlsSettingsError> {
    certificates(path)?
        .iter()
        .enumerate()
        .map(|(index, cert)| {
            webpki::anchor_from_trusted_cert(cert)
                .map(|anchor| anchor.to_owned())
                .map_err(|error| at(path, format!("certificate {}: {error}", index + 1)))
        })
        .collect()
}

/// A chain and its key.
pub(super) fn identity(
    files: &CertificateFiles,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsSettingsError> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        if matches!(error, pem::Error::NoItemsFound) {
            return at(&files.key, "no private key in it");
        }
        at(&files.key, error.to_string())
    })?;
    Ok((chain, key))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSettingsError> {
    let certs = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| at(path, error.to_string()))?;
    if certs.is_empty() {
        return Err(at(path, "no certificate in it"));
    }
    Ok(certs)
}

pub(super) fn at(path: &Path, reason: impl Into<String>) -> TlsSettingsError {
    TlsSettingsError::File {
        path: path.into(),
        reason: reason.into(),
    }
}
