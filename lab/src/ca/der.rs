//! The little DER that the libraries at hand do not offer: version 1 certificates, the public key, RSA numbers.

use rcgen::{KeyPair, SigningKey};
use rustls_pki_types::CertificateDer;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// The same certificate as version 1 (RFC 5280 §4.1.2.1): no version field, no extensions. `signer` is its issuer's
/// key.
pub(super) fn as_version_1(certificate: &[u8], signer: &KeyPair) -> CertificateDer<'static> {
    made_version_1(certificate, signer).expect("a certificate just made is well-formed")
}

fn made_version_1(certificate: &[u8], signer: &KeyPair) -> Option<CertificateDer<'static>> {
    let (outer, _) = element(certificate)?;
    let (tbs, after) = element(outer.content)?;
    let (algorithm, _) = element(after)?;
    let fields = fields(tbs.content)?;
    let kept = fields
        .iter()
        .filter(|field| !matches!(field.tag, VERSION | EXTENSIONS))
        .flat_map(|field| field.whole.iter().copied())
        .collect::<Vec<_>>();
    let tbs = wrap(SEQUENCE, &kept);
    let mut signature = vec![0]; // no unused bits
    signature.extend(signer.sign(&tbs).ok()?);
    let body = [tbs, algorithm.whole.to_vec(), wrap(0x03, &signature)].concat();
    Some(CertificateDer::from(wrap(SEQUENCE, &body)))
}

/// The SubjectPublicKeyInfo of a certificate of any version.
pub(crate) fn spki(certificate: &[u8]) -> Option<&[u8]> {
    let (outer, _) = element(certificate)?;
    let (tbs, _) = element(outer.content)?;
    let fields = fields(tbs.content)?;
    // serial, signature, issuer, validity, subject, key; a version may stand before them.
    let first = usize::from(fields.first()?.tag == VERSION);
    fields.get(first + 5).map(|field| field.whole)
}

/// Modulus, public and private exponent of an RSA key in PKCS #8 (RFC 5958 §2, RFC 8017 A.1.2).
pub(crate) fn rsa_numbers(pkcs8: &[u8]) -> Option<[Vec<u8>; 3]> {
    let (outer, _) = element(pkcs8)?;
    let fields_outer = fields(outer.content)?;
    let (inner, _) = element(fields_outer.get(2)?.content)?;
    let numbers = fields(inner.content)?;
    let number = |place: usize| numbers.get(place).map(|n| n.content.to_vec());
    Some([number(1)?, number(2)?, number(3)?])
}

#[derive(Clone, Copy)]
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

fn fields(mut content: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut fields = Vec::new();
    while !content.is_empty() {
        let (field, rest) = element(content)?;
        fields.push(field);
        content = rest;
    }
    Some(fields)
}

fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = if short < 0x80 {
        (usize::from(short), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
        (
            octets
                .iter()
                .try_fold(0_usize, |n, o| n.checked_mul(256)?.checked_add(*o as usize))?,
            rest,
        )
    };
    let (content, after) = rest.split_at_checked(length)?;
    let whole = &der[..der.len() - after.len()];
    Some((
        Element {
            tag,
            content,
            whole,
        },
        after,
    ))
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match content.len() {
        // Both fit: the arms bound the length.
        length @ 0..0x80 => der.push(length as u8),
        length => {
            let octets = length.to_be_bytes();
            let octets = &octets[octets.iter().take_while(|o| **o == 0).count()..];
            der.push(0x80 | octets.len() as u8);
            der.extend(octets);
        }
    }
    der.extend(content);
    der
}
