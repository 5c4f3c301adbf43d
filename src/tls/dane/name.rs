//! The names of a leaf under DANE-TA(2) (RFC 7672 §3.2.3): the DNS-IDs, and only where there is none at all
//! the common name.

use super::anchor::{Extension, extension};
use crate::names::DomainName;
use crate::policy::{CertificateProblem, ReferenceName};
use crate::tls::certificate::{carries_any, presented_names, printable};
use rustls_pki_types::CertificateDer;
use std::slice;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_EXT_SUBJECT_ALT_NAME};
use x509_parser::prelude::FromDer;

/// Context-specific tag of a dNSName (RFC 5280 §4.2.1.6).
const DNS_NAME: u32 = 2;
/// Longest common name shown, in characters; a DNS name has at most 253.
const MAX_SHOWN: usize = 100;

/// Whether the leaf carries one of the names.
pub(super) fn check(
    leaf: &CertificateDer<'_>,
    names: &[DomainName],
) -> Result<(), CertificateProblem> {
    let dns_id = |name: &DomainName| {
        let name = ReferenceName::Exact(name.clone());
        carries_any(leaf, slice::from_ref(&name))
    };
    let common_names = common_names(leaf);
    let cn_id = |name: &DomainName| common_names.iter().any(|cn| fits(cn, name));
    if names.iter().any(|name| dns_id(name) || cn_id(name)) {
        return Ok(());
    }
    let mut presented = presented_names(leaf);
    presented.extend(common_names.iter().map(|cn| printable(cn, MAX_SHOWN)));
    Err(CertificateProblem::NameMismatch { presented })
}

/// Whether the leaf's names are to be sought in its subject.
pub(super) fn is_without_dns_id(leaf: &X509Certificate<'_>) -> bool {
    match extension(leaf, &OID_X509_EXT_SUBJECT_ALT_NAME) {
        Extension::Absent => true,
        Extension::Read(ParsedExtension::SubjectAlternativeName(san)) => {
            san.general_names.iter().all(|name| match name {
                GeneralName::DNSName(_) => false,
                GeneralName::Invalid(tag, _) => tag.0 != DNS_NAME,
                GeneralName::OtherName(..)
                | GeneralName::RFC822Name(_)
                | GeneralName::X400Address(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EDIPartyName(_)
                | GeneralName::URI(_)
                | GeneralName::IPAddress(_)
                | GeneralName::RegisteredID(_) => true,
            })
        }
        Extension::Read(_) | Extension::Twice => false,
    }
}

/// The CN-IDs (RFC 6125 §1.8): of each RDN that has exactly one common name.
fn common_names(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else {
        return Vec::new();
    };
    if !is_without_dns_id(&leaf) {
        return Vec::new();
    }
    let subject = leaf.subject();
    subject
        .iter_rdn()
        .filter_map(|rdn| {
            let mut common = rdn
                .iter()
                .filter(|attribute| *attribute.attr_type() == OID_X509_COMMON_NAME);
            let only = common.next().filter(|_| common.next().is_none())?;
            only.as_str().ok().map(str::to_owned)
        })
        .collect()
}

/// As for DNS-IDs: in any case of letters, and a wildcard is the whole first label and stands for exactly one.
fn fits(common_name: &str, name: &DomainName) -> bool {
    let common_name = common_name.to_ascii_lowercase();
    if common_name == name.as_str() {
        return true;
    }
    match (common_name.strip_prefix("*."), name.parent()) {
        (Some(rest), Some(parent)) => rest == parent.as_str() && parent.is_qualified(),
        (Some(_), None) | (None, _) => false,
    }
}
