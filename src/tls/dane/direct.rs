//! Leaves that webpki takes for none: of X.509 version 1, as `openssl x509 -req` makes them, and with CA:TRUE, as
//! `openssl req -x509` does. RFC 5280 §6.1 forbids neither at the end of a path. They are accepted where
//! an anchor issued them itself; with intermediates in between they are not.

use super::anchor::{Anchor, Extension, extension};
use super::search::{Purpose, Terms};
use crate::tls::certificate::content;
use rustls_pki_types::{SignatureVerificationAlgorithm, UnixTime};
use std::time::Duration;
use webpki::{Error, RawPublicKeyEntity, spki_for_anchor};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_X509_EXT_EXTENDED_KEY_USAGE;
use x509_parser::x509::X509Version;

/// Whether one of the anchors issued the leaf.
pub(super) fn check(
    leaf: &X509Certificate<'_>,
    anchors: &[Anchor],
    terms: Terms,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Result<(), Error> {
    if leaf.version() != X509Version::V3 && !leaf.extensions().is_empty() {
        return Err(Error::UnsupportedCertVersion);
    }
    check_dates(leaf, terms.time)?;
    match terms.purpose {
        Purpose::Any => {}
        Purpose::Server => check_use(leaf)?,
    }
    let issuer = content(leaf.issuer().as_raw()).ok_or(Error::BadDer)?;
    let mut answer = Error::UnknownIssuer;
    for anchor in anchors {
        if anchor.trust.subject.as_ref() != issuer {
            continue;
        }
        // What webpki would check in the leaf's names, nobody does here.
        if anchor.trust.name_constraints.is_some() {
            answer = Error::NameConstraintViolation;
            continue;
        }
        match check_signature(leaf, anchor, algorithms) {
            Ok(()) => return Ok(()),
            Err(error) => answer = error,
        }
    }
    Err(answer)
}

fn check_dates(leaf: &X509Certificate<'_>, time: UnixTime) -> Result<(), Error> {
    let at = |second: i64| {
        u64::try_from(second)
            .map(|second| UnixTime::since_unix_epoch(Duration::from_secs(second)))
            .map_err(|_| Error::BadDerTime)
    };
    let not_before = at(leaf.validity().not_before.timestamp())?;
    let not_after = at(leaf.validity().not_after.timestamp())?;
    if time < not_before {
        return Err(Error::CertNotValidYet { time, not_before });
    }
    if time > not_after {
        return Err(Error::CertExpired { time, not_after });
    }
    Ok(())
}

/// RFC 5280 §4.2.1.12: for servers, or for everything by saying nothing.
fn check_use(leaf: &X509Certificate<'_>) -> Result<(), Error> {
    match extension(leaf, &OID_X509_EXT_EXTENDED_KEY_USAGE) {
        Extension::Absent => Ok(()),
        Extension::Read(ParsedExtension::ExtendedKeyUsage(uses)) if uses.server_auth => Ok(()),
        // That it is empty is not what webpki's error is for, but it comes to the same problem.
        Extension::Read(_) | Extension::Twice => Err(Error::EmptyEkuExtension),
    }
}

fn check_signature(
    leaf: &X509Certificate<'_>,
    anchor: &Anchor,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Result<(), Error> {
    // RFC 5280 §4.1.1.2: inside and outside the signed part the algorithm must be the same.
    if leaf.signature_algorithm != leaf.tbs_certificate.signature {
        return Err(Error::SignatureAlgorithmMismatch);
    }
    let signed = leaf.tbs_certificate.as_ref();
    let algorithm = content(leaf.as_raw())
        .and_then(|whole| whole.get(signed.len()..))
        .and_then(content)
        .ok_or(Error::BadDer)?;
    let signature = &leaf.signature_value;
    if signature.unused_bits != 0 {
        return Err(Error::BadDer);
    }
    let key = spki_for_anchor(&anchor.trust);
    let key = RawPublicKeyEntity::try_from(&key)?;
    // An algorithm leaves the curve open, so there may be several that fit.
    let mut fitting = algorithms
        .iter()
        .filter(|candidate| candidate.signature_alg_id().as_ref() == algorithm);
    let is_signed = fitting.any(|candidate| {
        key.verify_signature(*candidate, signed, &signature.data)
            .is_ok()
    });
    if is_signed {
        return Ok(());
    }
    Err(Error::InvalidSignatureForPublicKey)
}
