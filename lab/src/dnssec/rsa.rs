//! The fixed RSA key, and signatures with SHA-1 (RFC 5155 §2), which no current library makes.

use num_bigint::BigUint;

use super::key::Digest;
use crate::ca::der;

const PEM: &str = include_str!("../../data/rsa2048.pem");

/// DigestInfo of SHA-1 up to the digest (RFC 8017 §9.2, note 1).
const SHA1_INFO: [u8; 15] = [
    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
];

/// A private key as three numbers.
pub(super) struct Private {
    modulus: BigUint,
    exponent: BigUint,
    secret: BigUint,
}

/// The key as PKCS #8. It protects nothing.
pub(super) fn fixed_pkcs8() -> Vec<u8> {
    let base64 = PEM.lines().filter(|line| !line.starts_with('-'));
    unbase64(&base64.collect::<String>())
}

impl Private {
    pub(super) fn fixed() -> Self {
        let [modulus, exponent, secret] =
            der::rsa_numbers(&fixed_pkcs8()).expect("the fixed key is valid");
        let number = |octets: Vec<u8>| BigUint::from_bytes_be(&octets);
        Self {
            modulus: number(modulus),
            exponent: number(exponent),
            secret: number(secret),
        }
    }

    pub(super) fn modulus(&self) -> Vec<u8> {
        self.modulus.to_bytes_be()
    }

    pub(super) fn exponent(&self) -> Vec<u8> {
        self.exponent.to_bytes_be()
    }

    /// EMSA-PKCS1-v1_5 (RFC 8017 §8.2.1, §9.2).
    pub(super) fn sign_sha1(&self, octets: &[u8]) -> Vec<u8> {
        let length = self.modulus().len();
        let info = [&SHA1_INFO[..], &Digest::Sha1.of(octets)].concat();
        let mut padded = vec![0, 1];
        padded.resize(length - info.len() - 1, 0xff);
        padded.push(0);
        padded.extend(info);
        let signature = BigUint::from_bytes_be(&padded).modpow(&self.secret, &self.modulus);
        let signature = signature.to_bytes_be();
        [vec![0; length - signature.len()], signature].concat()
    }
}

/// The lab's own data is well-formed; anything else in it is skipped.
pub(super) fn unbase64(text: &str) -> Vec<u8> {
    let (mut octets, mut word, mut bits) = (Vec::new(), 0_u32, 0);
    for symbol in text.bytes() {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        word = word << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            octets.push((word >> bits) as u8);
        }
    }
    octets
}
