//! The search for a path from the leaf to an anchor (RFC 5280 §6): webpki's, and what it leaves to its
//! callers.

use super::anchor::{Anchor, constrains_names, may_sign_certificates};
use super::{direct, name};
use crate::dane::{Selector, Tlsa};
use crate::policy::CertificateProblem;
use crate::tls::certificate::{DistinguishedNames, public_key, validity};
use crate::tls::path::{plausible_issuers, problem};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use std::time::{Duration, SystemTime};
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, VerifiedPath,
    spki_for_anchor,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// What the leaf must be meant for.
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
    leaf: Option<&'a CertificateDer<'static>>,
    issuers: Vec<CertificateDer<'a>>,
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    now: UnixTime,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        chain: &'a [CertificateDer<'static>],
        algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
        now: SystemTime,
    ) -> Self {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            leaf: chain.first(),
            issuers: plausible_issuers(chain),
            algorithms,
            now: UnixTime::since_unix_epoch(now),
        }
    }

    /// Whether the anchor is the leaf itself, under the leaf's own name and key.
    pub(super) fn is_leaf(&self, anchor: &Anchor) -> bool {
        self.leaf.is_some_and(|leaf| {
            let names = DistinguishedNames::of(leaf);
            names.is_some_and(|names| names.subject == anchor.trust.subject.as_ref())
                && public_key(leaf) == Some(spki_for_anchor(&anchor.trust))
        })
    }

    /// The anchors that a record with a whole certificate or key itself contains.
    pub(super) fn published(&self, record: &Tlsa) -> Vec<Anchor> {
        match record.selector {
            Selector::Certificate => {
                let certificate = CertificateDer::from_slice(&record.data);
                Anchor::of_certificate(&certificate)
                    .into_iter()
                    .filter(|anchor| !self.is_leaf(anchor))
                    .collect()
            }
            // Whose key it is, it does not say: whoever is sought as issuer.
            Selector::PublicKey => self
                .names_of_issuers()
                .into_iter()
                .filter_map(|name| Anchor::of_key(&record.data, name))
                .collect(),
        }
    }

    fn names_of_issuers(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let leaf = self.leaf.into_iter().filter_map(DistinguishedNames::of);
        let issuers = self.issuers.iter().filter_map(DistinguishedNames::of);
        for found in leaf.chain(issuers) {
            if !names.contains(&found.issuer) {
                names.push(found.issuer);
            }
        }
        names
    }

    /// Whether a path that is valid now leads from the leaf to one of the anchors. Problems of dates and uses are
    /// told only where there is a path but for them.
    pub(super) fn path(&self, anchors: &[Anchor]) -> Result<(), CertificateProblem> {
        let found = self.path_at(anchors, self.now, Purpose::Server);
        match found {
            Err(
                CertificateProblem::Expired
                | CertificateProblem::NotYetValid
                | CertificateProblem::WrongUsage,
            ) => self.path_ever(anchors).and(found),
            Ok(()) | Err(_) => found,
        }
    }

    /// Whether there is a path when the dates of the leaf do not matter, nor what it is meant for.
    fn path_ever(&self, anchors: &[Anchor]) -> Result<(), CertificateProblem> {
        let seconds = |second: i64| u64::try_from(second).unwrap_or(0);
        let at = |second: i64| UnixTime::since_unix_epoch(Duration::from_secs(seconds(second)));
        let mut answer = self.path_at(anchors, self.now, Purpose::Any);
        let dates = self.leaf.and_then(validity);
        for time in dates.iter().flat_map(|d| [at(*d.end()), at(*d.start())]) {
            if answer.is_ok() {
                break;
            }
            answer = self.path_at(anchors, time, Purpose::Any);
        }
        answer
    }

    fn path_at(
        &self,
        anchors: &[Anchor],
        time: UnixTime,
        purpose: Purpose,
    ) -> Result<(), CertificateProblem> {
        let leaf = self.leaf.ok_or(CertificateProblem::Missing)?;
        let trusted: Vec<TrustAnchor> = anchors.iter().map(|anchor| anchor.trust.clone()).collect();
        let (_, read) = X509Certificate::from_der(leaf)
            .map_err(|_| CertificateProblem::Unacceptable("cannot be read".into()))?;
        let rest = |path: &VerifiedPath<'_>| {
            let place = trusted
                .iter()
                .position(|trust| std::ptr::eq(trust, path.anchor()));
            let anchor = place.and_then(|place| anchors.get(place));
            check_rest(path, anchor, &read)
        };
        let by_webpki = EndEntityCert::try_from(leaf).and_then(|leaf| {
            leaf.verify_for_usage(
                self.algorithms,
                &trusted,
                &self.issuers,
                time,
                purpose,
                None,
                Some(&rest),
            )
            .map(|_| ())
        });
        let found = match by_webpki {
            Err(Error::UnsupportedCertVersion | Error::CaUsedAsEndEntity) => {
                direct::check(&read, anchors, self.algorithms, (time, purpose))
            }
            Ok(()) | Err(_) => by_webpki,
        };
        found.map_err(|error| problem(&error, leaf))
    }
}

/// What webpki does not check: how long the path below the anchor may be, whether intermediates may sign
/// certificates, and that a name which is none to it keeps within what issuers allow.
fn check_rest(
    path: &VerifiedPath<'_>,
    anchor: Option<&Anchor>,
    leaf: &X509Certificate<'_>,
) -> Result<(), Error> {
    let anchor = anchor.ok_or(Error::UnknownIssuer)?;
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
    if constrained && name::is_without_dns_id(leaf) {
        return Err(Error::NameConstraintViolation);
    }
    Ok(())
}
