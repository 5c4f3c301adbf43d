//! What records are compared with: a certificate of a presented chain and its key.

use super::record::{Matching, Selector, Tlsa};
use sha2::{Digest, Sha256, Sha512};
use std::cell::OnceCell;

/// A certificate and its key as records may stand for them. Each digest is computed at most once, and
/// only when a record asks for it.
#[derive(Debug)]
pub struct Presented<'a> {
    certificate: Content<&'a [u8]>,
    /// The SubjectPublicKeyInfo in DER; `None` where nobody can read it.
    key: Option<Content<Vec<u8>>>,
}

impl<'a> Presented<'a> {
    /// Both in DER, the key as SubjectPublicKeyInfo.
    pub fn new(certificate: &'a [u8], key: Option<Vec<u8>>) -> Self {
        Self {
            certificate: Content::new(certificate),
            key: key.map(Content::new),
        }
    }
}

impl Tlsa {
    /// Whether the record stands for this certificate or its key (RFC 6698 §2.1.2, §2.1.3). Whether its
    /// usage may stand for a certificate at that place in the chain is another question.
    pub fn stands_for(&self, presented: &Presented<'_>) -> bool {
        match self.selector {
            Selector::Certificate => presented.certificate.is(self.matching, &self.data),
            Selector::PublicKey => presented
                .key
                .as_ref()
                .is_some_and(|key| key.is(self.matching, &self.data)),
        }
    }
}

#[derive(Debug)]
struct Content<T> {
    der: T,
    sha256: OnceCell<[u8; 32]>,
    sha512: OnceCell<[u8; 64]>,
}

impl<T: AsRef<[u8]>> Content<T> {
    fn new(der: T) -> Self {
        Self {
            der,
            sha256: OnceCell::new(),
            sha512: OnceCell::new(),
        }
    }

    fn is(&self, matching: Matching, data: &[u8]) -> bool {
        let der = self.der.as_ref();
        match matching {
            Matching::Full => der == data,
            Matching::Sha256 => self.sha256.get_or_init(|| Sha256::digest(der).into()) == data,
            Matching::Sha512 => self.sha512.get_or_init(|| Sha512::digest(der).into()) == data,
        }
    }
}
