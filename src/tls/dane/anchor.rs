//! Trust anchors that records stand for.
//!
//! An anchor is a name and a key (RFC 5280 §6.1.1(d)). Where a certificate says who they are, what it
//! says against issuing certificates holds too, because the record vouches for the certificate (RFC 7671
//! §5.2.1: "apply any relevant constraints"): CA flag and path length (RFC 5280 §4.2.1.9), key usage
//! (§4.2.1.3), name constraints (§4.2.1.10). Its dates do not count, nor who signed it: it is no part of the path
//! (§6.1), and how long it is an anchor is for DNSSEC to say.

use crate::policy::CertificateProblem;
use crate::tls::certificate::content;
use rustls_pki_types::{CertificateDer, Der, TrustAnchor};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::{
    OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_NAME_CONSTRAINTS, Oid,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

/// Where paths may end.
#[derive(Debug)]
pub(super) struct Anchor {
    pub(super) trust: TrustAnchor<'static>,
    /// Intermediates that may follow; self-issued ones are not counted (RFC 5280 §4.2.1.9).
    pub(super) path_length: Option<u32>,
}

impl Anchor {
    /// The anchor that a certificate describes, unless it says that it issues none.
    pub(super) fn of_certificate(
        certificate: &CertificateDer<'_>,
    ) -> Result<Self, CertificateProblem> {
        let unreadable = || CertificateProblem::Unacceptable("cannot be read".into());
        let trust = webpki::anchor_from_trusted_cert(certificate)
            .map_err(|_| unreadable())?
            .to_owned();
        let (_, read) = X509Certificate::from_der(certificate).map_err(|_| unreadable())?;
        let path_length = path_length(&read).ok_or(CertificateProblem::Untrusted)?;
        Ok(Self { trust, path_length })
    }

    /// The anchor of a bare key: a SubjectPublicKeyInfo and the contents of a Name, both in DER.
    pub(super) fn of_key(key: &[u8], name: Vec<u8>) -> Option<Self> {
        Some(Self {
            trust: TrustAnchor {
                subject: Der::from(name),
                subject_public_key_info: Der::from(content(key)?.to_vec()),
                name_constraints: None,
            },
            path_length: None,
        })
    }
}

/// How many intermediates may follow this certificate, `None` for any number; nothing at all where it
/// says that it issues none.
fn path_length(certificate: &X509Certificate<'_>) -> Option<Option<u32>> {
    // Versions before 3 cannot say; that it is one is known from the record (RFC 5280 §6.1.4(k)).
    if certificate.version() != X509Version::V3 {
        return Some(None);
    }
    if !may_sign_certificates(certificate) {
        return None;
    }
    match extension(certificate, &OID_X509_EXT_BASIC_CONSTRAINTS) {
        Extension::Read(ParsedExtension::BasicConstraints(basic)) if basic.ca => {
            Some(basic.path_len_constraint)
        }
        Extension::Read(_) | Extension::Absent | Extension::Twice => None,
    }
}

/// Whether a key usage, if there is one, includes signing certificates (RFC 5280 §6.1.4(n)).
pub(super) fn may_sign_certificates(certificate: &X509Certificate<'_>) -> bool {
    match extension(certificate, &OID_X509_EXT_KEY_USAGE) {
        Extension::Absent => true,
        Extension::Read(ParsedExtension::KeyUsage(usage)) => usage.key_cert_sign(),
        Extension::Read(_) | Extension::Twice => false,
    }
}

/// Whether a certificate limits the names below it.
pub(super) fn constrains_names(certificate: &X509Certificate<'_>) -> bool {
    !matches!(
        extension(certificate, &OID_X509_EXT_NAME_CONSTRAINTS),
        Extension::Absent
    )
}

/// An extension; one that cannot be read is not the same as none.
pub(super) enum Extension<'a> {
    Absent,
    Read(&'a ParsedExtension<'a>),
    Twice,
}

pub(super) fn extension<'a>(certificate: &'a X509Certificate<'_>, oid: &Oid<'_>) -> Extension<'a> {
    match certificate.get_extension_unique(oid) {
        Ok(None) => Extension::Absent,
        Ok(Some(found)) => Extension::Read(found.parsed_extension()),
        Err(_) => Extension::Twice,
    }
}
