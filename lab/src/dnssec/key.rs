//! Keys of zones: DNSKEY and DS data, key tags, signatures (RFC 4034, 5702, 6605, 8080).

use std::collections::HashMap;
use std::sync::Mutex;

use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};

use super::rsa;
use crate::name::Domain;
use crate::tasks::lock;

/// What a zone is signed with (RFC 8624 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// 7, RSASHA1-NSEC3-SHA1.
    RsaSha1Nsec3,
    /// 8, RSASHA256; the key is always the same one, of 2048 bits.
    RsaSha256,
    /// 10, RSASHA512; the same key.
    RsaSha512,
    /// 13, ECDSAP256SHA256.
    EcdsaP256,
    /// 14, ECDSAP384SHA384.
    EcdsaP384,
    /// 15, ED25519.
    Ed25519,
    /// One that nobody knows. Keys and signatures are random octets.
    Unknown(u8),
}

impl Algorithm {
    /// The number in DNSKEY, DS and RRSIG.
    pub fn number(self) -> u8 {
        match self {
            Self::RsaSha1Nsec3 => 7,
            Self::RsaSha256 => 8,
            Self::RsaSha512 => 10,
            Self::EcdsaP256 => 13,
            Self::EcdsaP384 => 14,
            Self::Ed25519 => 15,
            Self::Unknown(number) => number,
        }
    }
}

/// How a DS record names its key (RFC 4034 §5.1.3, RFC 4509, RFC 6605).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digest {
    /// 1; ignored where there is another (RFC 4509 §3).
    Sha1,
    /// 2.
    Sha256,
    /// 4.
    Sha384,
    /// One that nobody knows, of 32 octets.
    Unknown(u8),
}

impl Digest {
    /// The number in DS.
    pub fn number(self) -> u8 {
        match self {
            Self::Sha1 => 1,
            Self::Sha256 => 2,
            Self::Sha384 => 4,
            Self::Unknown(number) => number,
        }
    }

    pub(crate) fn of(self, octets: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 | Self::Unknown(_) => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
        };
        digest::digest(algorithm, octets).as_ref().to_vec()
    }
}

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything; flags 257.
    Combined,
    /// The DNSKEY set; flags 257.
    KeySigning,
    /// Everything else; flags 256.
    ZoneSigning,
}

/// Flags of RFC 4034 §2.1.1: zone key, and secure entry point.
const ZONE_KEY: u16 = 256;
const ENTRY_POINT: u16 = 257;

/// Always 3 (RFC 4034 §2.1.2).
const PROTOCOL: u8 = 3;

/// Signatures that are remembered by each key.
const CACHE: usize = 10_000;

/// A key pair of a zone.
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    pub(crate) role: Role,
    secret: Secret,
    public: Vec<u8>,
    /// Signatures by digest of what was signed: what has not changed is not signed again.
    made: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

enum Secret {
    Rsa(Box<RsaKeyPair>),
    RsaSha1(rsa::Private),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
    None,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Key({:?}, {:?}, {})",
            self.algorithm,
            self.role,
            self.tag()
        )
    }
}

impl Key {
    pub(crate) fn new(algorithm: Algorithm, role: Role) -> Self {
        let (secret, public) = match algorithm {
            Algorithm::RsaSha1Nsec3 => (Secret::RsaSha1(rsa::Private::fixed()), rsa_public()),
            Algorithm::RsaSha256 | Algorithm::RsaSha512 => (rsa_pair(), rsa_public()),
            Algorithm::EcdsaP256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::EcdsaP384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::Ed25519 => ed25519(),
            Algorithm::Unknown(_) => (Secret::None, random(64)),
        };
        Self {
            algorithm,
            role,
            secret,
            public,
            made: Mutex::default(),
        }
    }

    pub(crate) fn is_entry_point(&self) -> bool {
        match self.role {
            Role::Combined | Role::KeySigning => true,
            Role::ZoneSigning => false,
        }
    }

    /// The data of its DNSKEY record.
    pub(crate) fn dnskey(&self) -> Vec<u8> {
        let flags = if self.is_entry_point() {
            ENTRY_POINT
        } else {
            ZONE_KEY
        };
        let mut data = flags.to_be_bytes().to_vec();
        data.extend([PROTOCOL, self.algorithm.number()]);
        data.extend_from_slice(&self.public);
        data
    }

    /// RFC 4034 appendix B.
    pub(crate) fn tag(&self) -> u16 {
        let sum = self.dnskey().chunks(2).fold(0_u32, |sum, pair| {
            let low = pair.get(1).copied().unwrap_or(0);
            sum + u32::from(u16::from_be_bytes([pair[0], low]))
        });
        (sum + (sum >> 16)) as u16
    }

    /// The data of a DS record for it (RFC 4034 §5.1).
    pub(crate) fn ds(&self, zone: &Domain, digest: Digest) -> Vec<u8> {
        let mut data = self.tag().to_be_bytes().to_vec();
        data.extend([self.algorithm.number(), digest.number()]);
        data.extend(digest.of(&[zone.wire(), self.dnskey()].concat()));
        data
    }

    pub(crate) fn sign(&self, octets: &[u8]) -> Vec<u8> {
        let digest = Digest::Sha256.of(octets);
        if let Some(signature) = lock(&self.made).get(&digest) {
            return signature.clone();
        }
        let signature = self.sign_anew(octets);
        let mut made = lock(&self.made);
        if made.len() >= CACHE {
            made.clear();
        }
        made.insert(digest, signature.clone());
        signature
    }

    fn sign_anew(&self, octets: &[u8]) -> Vec<u8> {
        let random_source = SystemRandom::new();
        match &self.secret {
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let encoding: &dyn signature::RsaEncoding =
                    if self.algorithm == Algorithm::RsaSha512 {
                        &signature::RSA_PKCS1_SHA512
                    } else {
                        &signature::RSA_PKCS1_SHA256
                    };
                pair.sign(encoding, &random_source, octets, &mut signature)
                    .expect("an RSA key signs");
                signature
            }
            Secret::RsaSha1(private) => private.sign_sha1(octets),
            Secret::Ecdsa(pair) => {
                let signature = pair.sign(&random_source, octets);
                signature.expect("an EC key signs").as_ref().to_vec()
            }
            Secret::Ed25519(pair) => pair.sign(octets).as_ref().to_vec(),
            Secret::None => random(64),
        }
    }
}

fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm) -> (Secret, Vec<u8>) {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
        .and_then(|made| {
            EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random)
                .map_err(|_| ring::error::Unspecified)
        })
        .expect("keys can be generated");
    // The point without its form octet (RFC 6605 §4).
    let public = pair.public_key().as_ref()[1..].to_vec();
    (Secret::Ecdsa(Box::new(pair)), public)
}

fn ed25519() -> (Secret, Vec<u8>) {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("keys can be generated");
    let pair = Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key just generated is valid");
    let public = pair.public_key().as_ref().to_vec();
    (Secret::Ed25519(pair), public)
}

fn rsa_pair() -> Secret {
    let pair = RsaKeyPair::from_pkcs8(&rsa::fixed_pkcs8()).expect("the fixed key is valid");
    Secret::Rsa(Box::new(pair))
}

/// RFC 3110 §2; the exponent is a short one.
fn rsa_public() -> Vec<u8> {
    let key = rsa::Private::fixed();
    let exponent = key.exponent();
    [vec![exponent.len() as u8], exponent, key.modulus()].concat()
}

fn random(octets: usize) -> Vec<u8> {
    (0..octets).map(|_| fastrand::u8(..)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_verify_under_the_public_key_of_the_dnskey() {
        for (algorithm, verification) in [
            (
                Algorithm::RsaSha1Nsec3,
                &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY
                    as &dyn signature::VerificationAlgorithm,
            ),
            (Algorithm::RsaSha256, &signature::RSA_PKCS1_2048_8192_SHA256),
            (Algorithm::RsaSha512, &signature::RSA_PKCS1_2048_8192_SHA512),
            (Algorithm::EcdsaP256, &signature::ECDSA_P256_SHA256_FIXED),
            (Algorithm::EcdsaP384, &signature::ECDSA_P384_SHA384_FIXED),
            (Algorithm::Ed25519, &signature::ED25519),
        ] {
            let key = Key::new(algorithm, Role::Combined);
            let public = match algorithm {
                Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => [&[4], &key.public[..]].concat(),
                Algorithm::Ed25519 | Algorithm::Unknown(_) => key.public.clone(),
                Algorithm::RsaSha1Nsec3 | Algorithm::RsaSha256 | Algorithm::RsaSha512 => {
                    pkcs1(&key.public)
                }
            };
            let signed = key.sign(b"what is signed");
            let public = signature::UnparsedPublicKey::new(verification, public);
            public.verify(b"what is signed", &signed).unwrap();
            assert!(public.verify(b"something else", &signed).is_err());
            assert_eq!(key.sign(b"what is signed"), signed, "it is remembered");
        }
    }

    /// As DER: SEQUENCE { modulus, exponent }, for a key of 2048 bits and an exponent of 3 octets.
    fn pkcs1(public: &[u8]) -> Vec<u8> {
        let (exponent, modulus) = public[1..].split_at(usize::from(public[0]));
        let integers = [
            &[0x02, 0x82, 0x01, 0x01, 0][..],
            modulus,
            &[0x02, exponent.len() as u8],
            exponent,
        ]
        .concat();
        [
            &[0x30, 0x82][..],
            &(integers.len() as u16).to_be_bytes(),
            &integers,
        ]
        .concat()
    }

    #[test]
    fn the_tag_is_that_of_rfc_4034_section_5_4() {
        let public = "AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZ\
            DRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9Xzc\
            nOf+EPbtG9DMBmADjFDc2w/rljwvFw==";
        let mut key = Key::new(Algorithm::Unknown(5), Role::ZoneSigning);
        key.public = rsa::unbase64(public);
        assert_eq!(key.tag(), 60485);
        let ds = key.ds(&Domain::parse("dskey.example.com"), Digest::Sha1);
        let hex = ds
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect::<String>();
        assert_eq!(hex, "EC4505012BB183AF5F22588179A53B0A98631FAD1A292118");
    }
}
