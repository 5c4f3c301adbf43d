use crate::tls::testing::{Authority, MX, file};
use crate::tls::{CertificateFiles, Roots, TlsClient, TlsServer, TlsSettings, TlsSettingsError};
use std::path::{Path, PathBuf};

fn with_roots(roots: Roots) -> Result<TlsClient, TlsSettingsError> {
    TlsClient::new(&TlsSettings {
        roots,
        client_certificate: None,
    })
}

fn named(error: TlsSettingsError) -> (PathBuf, String) {
    match error {
        TlsSettingsError::File { path, reason } => (path, reason),
        error @ (TlsSettingsError::NoRoots | TlsSettingsError::Rustls(_)) => panic!("{error}"),
    }
}

#[test]
fn roots_are_read_or_the_file_is_named() {
    assert!(with_roots(Roots::Mozilla).is_ok());
    // A machine may have none.
    let system = with_roots(Roots::System);
    assert!(
        system.is_ok(),
        "built-in roots stand in for a missing store"
    );
    assert!(matches!(
        with_roots(Roots::Files(vec![])),
        Err(TlsSettingsError::NoRoots)
    ));
    let good = file(&Authority::root("root").pem);
    for (what, text) in [
        ("empty", ""),
        ("text", "no certificate at all"),
        (
            "no certificate inside",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
        (
            "not base64",
            "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n",
        ),
    ] {
        let bad = file(text);
        let files = vec![good.path().into(), bad.path().into()];
        let (path, reason) = named(with_roots(Roots::Files(files)).unwrap_err());
        assert_eq!(path, bad.path(), "{what}: {reason}");
    }
    let missing = Path::new("/nonexistent/roots.pem");
    let (path, _) = named(with_roots(Roots::Files(vec![missing.into()])).unwrap_err());
    assert_eq!(path, missing);
}

#[test]
fn a_key_that_does_not_belong_to_the_certificate_is_refused() {
    let root = Authority::root("root");
    let cert = file(&root.pem);
    let other = file(&rcgen::KeyPair::generate().unwrap().serialize_pem());
    let files = CertificateFiles {
        cert: cert.path().into(),
        key: other.path().into(),
    };
    let (path, reason) = named(TlsServer::new(&files).unwrap_err());
    assert_eq!(path, cert.path(), "{reason}");
    let roots = file(&Authority::root(MX).pem);
    let settings = TlsSettings {
        roots: Roots::Files(vec![roots.path().into()]),
        client_certificate: Some(files.clone()),
    };
    assert_eq!(named(TlsClient::new(&settings).unwrap_err()).0, cert.path());

    let no_key = CertificateFiles {
        key: cert.path().into(),
        ..files
    };
    assert_eq!(named(TlsServer::new(&no_key).unwrap_err()).0, cert.path());
}
