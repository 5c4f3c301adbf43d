//! What a certificate is to look like: a good one, and one change per scenario.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// A description of a certificate; [`Cert::new`] is a good one, each method makes one change.
#[derive(Clone, Debug)]
pub struct Cert {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    common_name: Option<String>,
    validity: Validity,
    usage: ExtendedKeyUsagePurpose,
    authority: IsCa,
    pub(super) key: Key,
    pub(super) issued: Issued,
    pub(super) root: Root,
    pub(super) version_1: bool,
    pub(super) padding: usize,
}

/// The time in which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From 2020 to 2100.
    Now,
    /// From 2020 to 2021.
    Expired,
    /// From 2100 to 2110.
    NotYet,
}

/// The leaf's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA, 2048 bits; always the same one.
    Rsa2048,
}

/// Who signed the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// The root itself.
    ByRoot,
    /// An intermediate.
    ByIntermediate(Intermediate),
    /// The leaf's own key.
    BySelf,
}

/// Whether the server sends the root, which clients need only for DANE-TA (RFC 7672 §3.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// At the end of the chain.
    Sent,
    /// As RFC 5246 §7.4.2 allows.
    Omitted,
}

/// Whether the server sends the intermediate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intermediate {
    /// As it should be.
    Sent,
    /// A frequent mistake.
    Omitted,
}

impl Cert {
    /// A good server certificate for these names; `*.example.test` makes a wildcard.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            addresses: Vec::new(),
            common_name: None,
            validity: Validity::Now,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
            authority: IsCa::NoCa,
            key: Key::P256,
            issued: Issued::ByRoot,
            root: Root::Omitted,
            version_1: false,
            padding: 0,
        }
    }

    /// Ended in 2021.
    pub fn expired(self) -> Self {
        Self {
            validity: Validity::Expired,
            ..self
        }
    }

    /// Begins in 2100.
    pub fn not_yet_valid(self) -> Self {
        Self {
            validity: Validity::NotYet,
            ..self
        }
    }

    /// Signed by its own key.
    pub fn self_signed(self) -> Self {
        Self {
            issued: Issued::BySelf,
            ..self
        }
    }

    /// CA:TRUE.
    pub fn authority(self) -> Self {
        Self {
            authority: IsCa::Ca(BasicConstraints::Unconstrained),
            ..self
        }
    }

    /// Signed by its own key and CA:TRUE, as `openssl req -x509` makes them.
    pub fn self_signed_ca(self) -> Self {
        self.self_signed().authority()
    }

    /// The root is sent too.
    pub fn with_root(self) -> Self {
        Self {
            root: Root::Sent,
            ..self
        }
    }

    /// Signed by an intermediate that is sent or not.
    pub fn with_intermediate(self, sent: Intermediate) -> Self {
        Self {
            issued: Issued::ByIntermediate(sent),
            ..self
        }
    }

    /// Only for clients (extended key usage clientAuth).
    pub fn client_only(self) -> Self {
        Self {
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            ..self
        }
    }

    /// No subjectAltName: the first name is in the CN only.
    pub fn cn_only(mut self) -> Self {
        self.common_name = self.names.drain(..).next();
        self
    }

    /// This CN beside the names in the subjectAltName.
    pub fn common_name(self, name: &str) -> Self {
        Self {
            common_name: Some(name.into()),
            ..self
        }
    }

    /// An address in the subjectAltName.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Another kind of key.
    pub fn key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    /// X.509 version 1: no extensions, the first name is in the CN; signed by its own key.
    pub fn version_1(self) -> Self {
        self.self_signed().issued_version_1()
    }

    /// X.509 version 1, as `openssl x509 -req` makes them; whoever signs it.
    pub fn issued_version_1(self) -> Self {
        Self {
            version_1: true,
            ..self.cn_only()
        }
    }

    /// Sends so many useless certificates after the chain; 100 are about 45 KB.
    pub fn padded(self, certificates: usize) -> Self {
        Self {
            padding: certificates,
            ..self
        }
    }

    pub(super) fn params(&self) -> CertificateParams {
        let mut params =
            CertificateParams::new(self.names.clone()).expect("names of tests are ASCII");
        params
            .subject_alt_names
            .extend(self.addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name = DistinguishedName::new();
        let name = self.common_name.as_ref().or(self.names.first());
        params
            .distinguished_name
            .push(DnType::CommonName, name.map_or("nameless", String::as_str));
        params.is_ca = self.authority;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![self.usage.clone()];
        params.use_authority_key_identifier_extension = true;
        let (from, to) = match self.validity {
            Validity::Now => (2020, 2100),
            Validity::Expired => (2020, 2021),
            Validity::NotYet => (2100, 2110),
        };
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params
    }
}

impl Key {
    pub(super) fn pair(self) -> KeyPair {
        match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            // The signer at hand cannot generate RSA keys; this one protects nothing.
            Self::Rsa2048 => KeyPair::from_pem(include_str!("../../data/rsa2048.pem")),
        }
        .expect("keys can be generated, and the fixed one is valid")
    }
}
