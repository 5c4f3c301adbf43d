//! Paths of leaves that webpki takes for none: of X.509 version 1, as `openssl x509 -req` makes them, and
//! with CA:TRUE, as `openssl req -x509` does. RFC 5280 §6.1 forbids neither at the end of a path.
//!
//! All that §6.1 asks of the certificates in between is asked here too, but for one thing: where names
//! are constrained (§4.2.1.10), there is no path.

use super::anchor::{Anchor, Extension, constrains_names, extension, path_length};
use super::search::{Purpose, Terms};
use crate::tls::certificate::content;
use rustls_pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
};
use std::cell::Cell;
use std::time::Duration;
use webpki::{EndEntityCert, Error, RawPublicKeyEntity, spki_for_anchor};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_X509_EXT_EXTENDED_KEY_USAGE;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

/// Signatures that are checked for one leaf; as many as webpki checks.
const MAX_SIGNATURES: usize = 100;
/// Certificates between leaf and anchor; as many as webpki allows.
const MAX_INTERMEDIATES: usize = 6;

/// Where a path may lead, and on what terms.
pub(super) struct Ways<'a> {
    pub(super) anchors: &'a [Anchor],
    pub(super) issuers: &'a [CertificateDer<'a>],
    pub(super) terms: Terms,
    pub(super) algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
}

/// Whether a path leads from the leaf to one of the anchors.
pub(super) fn check(leaf: &X509Certificate<'_>, ways: &Ways<'_>) -> Result<(), Error> {
    if leaf.version() != X509Version::V3 && !leaf.extensions().is_empty() {
        return Err(Error::UnsupportedCertVersion);
    }
    check_terms(leaf, ways.terms)?;
    let climb = Climb {
        ways,
        issuers: ways.issuers.iter().filter_map(intermediate).collect(),
        signatures: Cell::new(0),
    };
    climb.from(leaf, &mut Vec::new())
}

/// A certificate that may lie between leaf and anchor: of version 3, an authority's, and without critical
/// extensions that nobody knows.
fn intermediate<'a>(certificate: &'a CertificateDer<'_>) -> Option<Intermediate<'a>> {
    EndEntityCert::try_from(certificate).ok()?;
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    let longest = path_length(&read)?;
    Some(Intermediate { read, longest })
}

struct Intermediate<'a> {
    read: X509Certificate<'a>,
    /// Intermediates that may be below it.
    longest: Option<u32>,
}

impl Intermediate<'_> {
    fn is_self_issued(&self) -> bool {
        self.read.subject().as_raw() == self.read.issuer().as_raw()
    }
}

struct Climb<'a> {
    ways: &'a Ways<'a>,
    issuers: Vec<Intermediate<'a>>,
    signatures: Cell<usize>,
}

impl<'a> Climb<'a> {
    /// Whether there is a path upwards from a certificate, below which these intermediates lie already.
    fn from(
        &'a self,
        certificate: &X509Certificate<'_>,
        below: &mut Vec<&'a Intermediate<'a>>,
    ) -> Result<(), Error> {
        let issuer = content(certificate.issuer().as_raw()).ok_or(Error::BadDer)?;
        let mut answer = Error::UnknownIssuer;
        for anchor in self.ways.anchors {
            if anchor.trust.subject.as_ref() == issuer {
                match self.ends(certificate, anchor, below) {
                    Ok(()) => return Ok(()),
                    Err(error) => answer = error,
                }
            }
        }
        for next in &self.issuers {
            let is_new = below.iter().all(|known| !std::ptr::eq(*known, next));
            if next.read.subject().as_raw() != certificate.issuer().as_raw() || !is_new {
                continue;
            }
            match self.goes_on(certificate, next, below) {
                Ok(()) => return Ok(()),
                Err(error) => answer = error,
            }
        }
        Err(answer)
    }

    fn ends(
        &self,
        certificate: &X509Certificate<'_>,
        anchor: &Anchor,
        below: &[&Intermediate<'_>],
    ) -> Result<(), Error> {
        if anchor.trust.name_constraints.is_some() {
            return Err(Error::NameConstraintViolation);
        }
        check_length(anchor.path_length, below)?;
        self.check_signature(certificate, &spki_for_anchor(&anchor.trust))
    }

    fn goes_on(
        &'a self,
        certificate: &X509Certificate<'_>,
        next: &'a Intermediate<'a>,
        below: &mut Vec<&'a Intermediate<'a>>,
    ) -> Result<(), Error> {
        if below.len() == MAX_INTERMEDIATES {
            return Err(Error::MaximumPathDepthExceeded);
        }
        if constrains_names(&next.read) {
            return Err(Error::NameConstraintViolation);
        }
        check_length(next.longest, below)?;
        check_terms(&next.read, self.ways.terms)?;
        let key = SubjectPublicKeyInfoDer::from(next.read.public_key().raw);
        self.check_signature(certificate, &key)?;
        below.push(next);
        let found = self.from(&next.read, below);
        below.pop();
        found
    }

    fn check_signature(
        &self,
        certificate: &X509Certificate<'_>,
        key: &SubjectPublicKeyInfoDer<'_>,
    ) -> Result<(), Error> {
        if self.signatures.replace(self.signatures.get() + 1) >= MAX_SIGNATURES {
            return Err(Error::MaximumSignatureChecksExceeded);
        }
        check_signature(certificate, key, self.ways.algorithms)
    }
}

/// RFC 5280 §4.2.1.9: self-issued certificates are not counted.
fn check_length(longest: Option<u32>, below: &[&Intermediate<'_>]) -> Result<(), Error> {
    let length = below.iter().filter(|cert| !cert.is_self_issued()).count();
    if longest.is_some_and(|longest| u32::try_from(length).is_ok_and(|length| length > longest)) {
        return Err(Error::PathLenConstraintViolated);
    }
    Ok(())
}

fn check_terms(certificate: &X509Certificate<'_>, terms: Terms) -> Result<(), Error> {
    check_dates(certificate, terms.time)?;
    match terms.purpose {
        Purpose::Any => Ok(()),
        Purpose::Server => check_use(certificate),
    }
}

fn check_dates(certificate: &X509Certificate<'_>, time: UnixTime) -> Result<(), Error> {
    let at = |second: i64| {
        u64::try_from(second)
            .map(|second| UnixTime::since_unix_epoch(Duration::from_secs(second)))
            .map_err(|_| Error::BadDerTime)
    };
    let not_before = at(certificate.validity().not_before.timestamp())?;
    let not_after = at(certificate.validity().not_after.timestamp())?;
    if time < not_before {
        return Err(Error::CertNotValidYet { time, not_before });
    }
    if time > not_after {
        return Err(Error::CertExpired { time, not_after });
    }
    Ok(())
}

/// RFC 5280 §4.2.1.12: for servers, or for everything by saying nothing.
fn check_use(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    match extension(certificate, &OID_X509_EXT_EXTENDED_KEY_USAGE) {
        Extension::Absent => Ok(()),
        Extension::Read(ParsedExtension::ExtendedKeyUsage(uses)) if uses.server_auth => Ok(()),
        // Of webpki's errors about uses the one that carries nothing; they are all one problem.
        Extension::Read(_) | Extension::Twice => Err(Error::EmptyEkuExtension),
    }
}

fn check_signature(
    certificate: &X509Certificate<'_>,
    key: &SubjectPublicKeyInfoDer<'_>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Result<(), Error> {
    // RFC 5280 §4.1.1.2: inside and outside the signed part the algorithm must be the same.
    if certificate.signature_algorithm != certificate.tbs_certificate.signature {
        return Err(Error::SignatureAlgorithmMismatch);
    }
    let signed = certificate.tbs_certificate.as_ref();
    let algorithm = content(certificate.as_raw())
        .and_then(|whole| whole.get(signed.len()..))
        .and_then(content)
        .ok_or(Error::BadDer)?;
    let signature = &certificate.signature_value;
    if signature.unused_bits != 0 {
        return Err(Error::BadDer);
    }
    let key = RawPublicKeyEntity::try_from(key)?;
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
