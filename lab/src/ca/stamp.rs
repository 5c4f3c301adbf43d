//! Certificates for names that become known later, such as by SNI.

use std::sync::Arc;

use rcgen::{Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Cert, Identity, Key};

/// Makes good certificates as [`super::Ca::identity`] does, but all with one key; for servers, which outlive borrows.
#[derive(Debug)]
pub(crate) struct Stamp {
    issuer: Arc<Issuer<'static, KeyPair>>,
    pair: KeyPair,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Stamp {
    pub(super) fn new(issuer: Arc<Issuer<'static, KeyPair>>) -> Self {
        let pair = Key::P256.pair();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        Self {
            issuer,
            pair,
            key: Arc::new(key),
        }
    }

    pub(crate) fn identity(&self, name: &str) -> Identity {
        let made = Cert::new([name])
            .params()
            .signed_by(&self.pair, &*self.issuer)
            .expect("a server name makes a valid description");
        Identity {
            chain: vec![made.der().clone()],
            key: Arc::clone(&self.key),
        }
    }
}
