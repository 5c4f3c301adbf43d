//! A certification authority of its own, and certificates of every kind that MX hosts really have.

pub(crate) mod der;
mod kind;
mod stamp;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

pub use kind::{Cert, Intermediate, Issued, Key, Root, Validity};
pub(crate) use stamp::Stamp;

/// A root with its files in a temporary directory. Good certificates: `ca.identity("mx1.example.test")`; others:
/// `ca.issue(&Cert::new(["mx1.example.test"]).expired())`.
#[derive(Debug)]
pub struct Ca {
    name: String,
    root: CertificateDer<'static>,
    issuer: Arc<Issuer<'static, KeyPair>>,
    intermediate: CertificateDer<'static>,
    intermediate_issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
    files: AtomicUsize,
}

impl Ca {
    /// A new root `CN=NAME`, unknown to everybody who does not read [`Ca::roots_file`].
    ///
    /// # Panics
    /// If the machine cannot make keys or temporary files.
    pub fn new(name: &str) -> Self {
        let (root, issuer) = authority(name, None);
        let (intermediate, intermediate_issuer) =
            authority(&format!("{name} intermediate"), Some(&issuer));
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(
            directory.path().join("roots.pem"),
            pem("CERTIFICATE", &root),
        )
        .expect("a temporary file can be written");
        Self {
            name: name.into(),
            root,
            issuer: Arc::new(issuer),
            intermediate,
            intermediate_issuer,
            directory,
            files: AtomicUsize::new(0),
        }
    }

    /// A good certificate (P-256, by the root directly) for one name.
    pub fn identity(&self, name: &str) -> Identity {
        self.issue(&Cert::new([name]))
    }

    /// A certificate of any kind.
    ///
    /// # Panics
    /// If the description makes no certificate, such as a name that is not ASCII.
    pub fn issue(&self, cert: &Cert) -> Identity {
        let pair = cert.key.pair();
        let params = cert.params();
        let (made, signer) = match cert.issued {
            Issued::ByRoot => (params.signed_by(&pair, &*self.issuer), self.issuer.key()),
            Issued::ByIntermediate(_) => (
                params.signed_by(&pair, &self.intermediate_issuer),
                self.intermediate_issuer.key(),
            ),
            Issued::BySelf => (params.self_signed(&pair), &pair),
        };
        let made = made.expect("the certificate's description is valid");
        let mut chain = match cert.version_1 {
            true => vec![der::as_version_1(made.der(), signer)],
            false => vec![made.der().clone()],
        };
        if cert.issued == Issued::ByIntermediate(Intermediate::Sent) {
            chain.push(self.intermediate.clone());
        }
        if cert.root == Root::Sent {
            chain.push(self.root.clone());
        }
        chain.extend((0..cert.padding).map(|_| self.intermediate.clone()));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        Identity {
            chain,
            key: Arc::new(key),
        }
    }

    /// Makes good certificates later on, with one key for all.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::new(Arc::clone(&self.issuer))
    }

    /// Another authority with the same name, and other keys.
    pub fn namesake(&self) -> Self {
        Self::new(&self.name)
    }

    /// The root certificate.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The intermediate of [`Cert::with_intermediate`].
    pub fn intermediate(&self) -> &CertificateDer<'static> {
        &self.intermediate
    }

    /// A PEM file with the root, for `tls.roots`. It lives as long as this value.
    pub fn roots_file(&self) -> PathBuf {
        self.directory.path().join("roots.pem")
    }

    /// Writes an identity into PEM files that live as long as this value.
    ///
    /// # Panics
    /// If the files cannot be written.
    pub fn files(&self, identity: &Identity) -> PemFiles {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        identity
            .write_pem(self.directory.path(), &format!("identity{number}"))
            .expect("a temporary file can be written")
    }
}

impl Default for Ca {
    fn default() -> Self {
        Self::new("Sealpost lab root")
    }
}

/// A chain, leaf first, and the leaf's key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What is sent in the handshake.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS #8.
    pub key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    /// The leaf's DER, such as for fingerprints.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    /// The DER of the leaf's SubjectPublicKeyInfo, such as for fingerprints of the key.
    ///
    /// # Panics
    /// Never for a certificate that this crate made.
    pub fn spki(&self) -> Vec<u8> {
        spki(self.leaf())
    }

    /// The chain as PEM.
    pub fn chain_pem(&self) -> String {
        self.chain
            .iter()
            .map(|der| pem("CERTIFICATE", der))
            .collect()
    }

    /// The key as PEM.
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", self.key.secret_der())
    }

    /// Writes `NAME.crt` and `NAME.key` into a directory.
    ///
    /// # Errors
    /// Those of writing files.
    pub fn write_pem(&self, directory: &Path, name: &str) -> io::Result<PemFiles> {
        let files = PemFiles {
            cert: directory.join(format!("{name}.crt")),
            key: directory.join(format!("{name}.key")),
        };
        std::fs::write(&files.cert, self.chain_pem())?;
        std::fs::write(&files.key, self.key_pem())?;
        Ok(files)
    }
}

/// The DER of a certificate's SubjectPublicKeyInfo.
///
/// # Panics
/// If it is no certificate.
pub fn spki(certificate: &CertificateDer<'_>) -> Vec<u8> {
    der::spki(certificate)
        .expect("the lab's own certificates are well-formed")
        .to_vec()
}

/// Where an identity was written to.
#[derive(Clone, Debug)]
pub struct PemFiles {
    /// The chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

fn authority(
    name: &str,
    parent: Option<&Issuer<'static, KeyPair>>,
) -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("keys can be generated");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names, no bad names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2015, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    let certificate = match parent {
        Some(issuer) => params.signed_by(&key, issuer),
        None => params.self_signed(&key),
    }
    .expect("a fixed description is valid");
    (certificate.der().clone(), Issuer::new(params, key))
}

fn pem(label: &str, der: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64(der).as_bytes().chunks(64) {
        let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

pub(crate) fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, octet| word << 8 | u32::from(*octet))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (word >> (18 - 6 * place) & 63) as usize;
            text.push(if place <= chunk.len() {
                char::from(ALPHABET[index])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_rfc_4648_section_10_says() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded, "{plain}");
        }
    }
}
