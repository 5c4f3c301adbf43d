//! The search for a path from the leaf to an anchor (RFC 5280 §6): webpki's, and what it leaves to its
//! callers.

use super::anchor::{Anchor, constrains_names, may_sign_certificates};
use super::{by_hand, name};
use crate::dane::{Selector, Tlsa};
use crate::policy::CertificateProblem;
use crate::tls::certificate::{DistinguishedNames, public_key, validity};
use crate::tls::issuers::Issuers;
use crate::tls::path::problem;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use std::time::{Duration, SystemTime};
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, VerifiedPath,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// When a path must hold, and what for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) time: UnixTime,
    pub(super) purpose: Purpose,
}

/// What the certificates of a path must be meant for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Server,
    Any,
}

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        match self {
            Self::Server => KeyUsage::server_auth().validate(purposes),
            Self::Any => Ok(()),
        }
    }
}

/// A leaf and the certificates that may lie on its way to an anchor.
pub(super) struct Search<'a> {
    leaf: &'a CertificateDer<'static>,
    /// As x509-parser reads it, if it does.
    read: Option<X509Certificate<'a>>,
    issuers: Issuers<'a>,
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    now: UnixTime,
}

impl<'a> Search<'a> {
    /// `others` is the chain without its leaf.
    pub(super) fn new(
        leaf: &'a CertificateDer<'static>,
        others: &'a [CertificateDer<'static>],
        algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
        now: SystemTime,
    ) -> Self {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            leaf,
            read: X509Certificate::from_der(leaf).ok().map(|(_, read)| read),
            issuers: Issuers::of(leaf, others),
            algorithms,
            now: UnixTime::since_unix_epoch(now),
        }
    }

    /// Whether a certificate is the leaf, or another of the leaf's own name and key.
    pub(super) fn is_leaf(&self, certificate: &CertificateDer<'_>) -> bool {
        let subject = |cert| DistinguishedNames::of(cert).map(|names| names.subject);
        subject(certificate) == subject(self.leaf)
            && public_key(certificate) == public_key(self.leaf)
    }

    /// The anchors that a record with a whole certificate or key itself contains, if somebody seeks them.
    pub(super) fn published(&self, record: &Tlsa) -> Vec<Anchor> {
        match record.selector {
            Selector::Certificate => {
                let certificate = CertificateDer::from_slice(&record.data);
                Anchor::of_certificate(&certificate)
                    .into_iter()
                    .filter(|anchor| self.is_sought(anchor) && !self.is_leaf(&certificate))
                    .collect()
            }
            // Whose key it is, it does not say: whoever is sought as issuer.
            Selector::PublicKey => self
                .issuers
                .names
                .iter()
                .filter_map(|name| Anchor::of_key(&record.data, name.clone()))
                .collect(),
        }
    }

    /// Whether somebody names the anchor as issuer.
    pub(super) fn is_sought(&self, anchor: &Anchor) -> bool {
        let subject = anchor.trust.subject.as_ref();
        self.issuers.names.iter().any(|name| name == subject)
    }

    /// Whether a path that is valid now leads from the leaf to one of the anchors. Problems of dates and
    /// purposes are told only where there is a path but for them.
    pub(super) fn path(&self, anchors: &[Anchor]) -> Result<(), CertificateProblem> {
        let found = self.path_on(anchors, self.terms(Purpose::Server));
        match found {
            Err(
                CertificateProblem::Expired
                | CertificateProblem::NotYetValid
                | CertificateProblem::WrongUsage,
            ) => self.path_on_any_terms(anchors).and(found),
            Ok(()) | Err(_) => found,
        }
    }

    fn terms(&self, purpose: Purpose) -> Terms {
        Terms {
            time: self.now,
            purpose,
        }
    }

    /// Whether there is a path now or when the leaf's time began or ended, whatever it was meant for.
    fn path_on_any_terms(&self, anchors: &[Anchor]) -> Result<(), CertificateProblem> {
        let mut terms = self.terms(Purpose::Any);
        let mut answer = self.path_on(anchors, terms);
        let dates = validity(self.leaf).map(|dates| [*dates.end(), *dates.start()]);
        for second in dates.into_iter().flatten() {
            if answer.is_ok() {
                break;
            }
            let second = u64::try_from(second).unwrap_or(0);
            terms.time = UnixTime::since_unix_epoch(Duration::from_secs(second));
            answer = self.path_on(anchors, terms);
        }
        answer
    }

    fn path_on(&self, anchors: &[Anchor], terms: Terms) -> Result<(), CertificateProblem> {
        let found = match (self.by_webpki(anchors, terms), &self.read) {
            (Err(Error::UnsupportedCertVersion | Error::CaUsedAsEndEntity), Some(leaf)) => {
                let ways = by_hand::Ways {
                    anchors,
                    issuers: &self.issuers.certificates,
                    terms,
                    algorithms: self.algorithms,
                };
                by_hand::check(leaf, &ways)
            }
            (found, _) => found,
        };
        found.map_err(|error| problem(&error, self.leaf))
    }

    fn by_webpki(&self, anchors: &[Anchor], terms: Terms) -> Result<(), Error> {
        // What nobody names as issuer ends no path.
        let anchors: Vec<&Anchor> = anchors
            .iter()
            .filter(|anchor| self.is_sought(anchor))
            .collect();
        let trusted: Vec<TrustAnchor<'_>> =
            anchors.iter().map(|anchor| anchor.trust.clone()).collect();
        let rest = |path: &VerifiedPath<'_>| {
            let mut pairs = trusted.iter().zip(&anchors);
            let end = pairs.find(|(trust, _)| std::ptr::eq(*trust, path.anchor()));
            let (_, anchor) = end.ok_or(Error::UnknownIssuer)?;
            check_rest(path, anchor, self.read.as_ref())
        };
        let leaf = EndEntityCert::try_from(self.leaf)?;
        leaf.verify_for_usage(
            self.algorithms,
            &trusted,
            &self.issuers.certificates,
            terms.time,
            terms.purpose,
            None,
            Some(&rest),
        )
        .map(|_| ())
    }
}

/// What webpki does not check: how long the path below the anchor may be, whether intermediates may sign
/// certificates, and that a name which is none to it keeps within what issuers allow.
fn check_rest(
    path: &VerifiedPath<'_>,
    anchor: &Anchor,
    leaf: Option<&X509Certificate<'_>>,
) -> Result<(), Error> {
    let mut length = 0;
    let mut constrained = anchor.trust.name_constraints.is_some();
    for intermediate in path.intermediate_certificates() {
        let der = intermediate.der();
        let (_, read) = X509Certificate::from_der(&der).map_err(|_| Error::BadDer)?;
        if !may_sign_certificates(&read) {
            return Err(Error::EndEntityUsedAsCa);
        }
        constrained |= constrains_names(&read);
        length += u32::from(intermediate.subject() != intermediate.issuer());
    }
    if anchor.path_length.is_some_and(|longest| length > longest) {
        return Err(Error::PathLenConstraintViolated);
    }
    if constrained && leaf.is_none_or(name::is_without_dns_id) {
        return Err(Error::NameConstraintViolation);
    }
    Ok(())
}
