//! A presented chain, and what single records find in it.

use super::anchor::Anchor;
use super::name;
use super::search::Search;
use crate::dane::{Matching, Presented, Tlsa, Usage};
use crate::policy::{CertificateProblem, DaneRequirement};
use crate::tls::certificate::{printable, public_key, subject};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use std::cell::{Cell, OnceCell};
use std::time::SystemTime;

/// Records for whose anchors a path is sought; a domain that publishes more of them means to keep us busy.
const MAX_SOUGHT: usize = 16;
/// Longest subject shown, in characters.
const MAX_SUBJECT: usize = 100;

/// A presented chain under the eyes of one requirement. What only DANE-TA(2) needs is worked out when
/// there is such a record.
pub(super) struct Chain<'a> {
    requirement: &'a DaneRequirement,
    leaf: (&'a CertificateDer<'static>, Presented<'a>),
    /// Those that were sent with it, in the order in which they came.
    others: &'a [CertificateDer<'static>],
    presented: OnceCell<Vec<Presented<'a>>>,
    search: OnceCell<Search<'a>>,
    sought: Cell<usize>,
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    now: SystemTime,
}

impl<'a> Chain<'a> {
    /// `None` where nothing was presented.
    pub(super) fn new(
        requirement: &'a DaneRequirement,
        certificates: &'a [CertificateDer<'static>],
        algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
        now: SystemTime,
    ) -> Option<Self> {
        let (leaf, others) = certificates.split_first()?;
        Some(Self {
            requirement,
            leaf: (leaf, presented(leaf)),
            others,
            presented: OnceCell::new(),
            search: OnceCell::new(),
            sought: Cell::new(0),
            algorithms,
            now,
        })
    }

    /// Whether the record stands for the leaf: all that DANE-EE(3) asks.
    pub(super) fn is_the_leaf(&self, record: &Tlsa) -> bool {
        record.stands_for(&self.leaf.1)
    }

    /// Whether a path leads from the leaf to what a DANE-TA(2) record stands for, and the leaf carries one
    /// of the names.
    pub(super) fn leads_to(&self, record: &Tlsa) -> Result<(), CertificateProblem> {
        let (anchors, refused) = self.presented_anchors(record);
        match refused {
            None if anchors.is_empty() => self.leads_to_published(record),
            Some(problem) if anchors.is_empty() => Err(problem),
            None | Some(_) => self.leads_to_one_of(&anchors),
        }
    }

    /// The certificates above the leaf for which the record stands, as anchors; and why one of them is
    /// none.
    fn presented_anchors(&self, record: &Tlsa) -> (Vec<Anchor>, Option<CertificateProblem>) {
        let (mut anchors, mut refused) = (Vec::new(), None);
        for (_, certificate) in self.above_the_leaf(record) {
            if self.search().is_leaf(certificate) {
                continue;
            }
            match Anchor::of_certificate(certificate) {
                Ok(anchor) => anchors.push(anchor),
                Err(problem) => refused = Some(problem),
            }
        }
        (anchors, refused)
    }

    /// Only where nothing that is presented fits (RFC 7671 §5.2.3). What then has issued nothing in the
    /// chain has nothing to do with it.
    fn leads_to_published(&self, record: &Tlsa) -> Result<(), CertificateProblem> {
        let anchors = match record.matching {
            Matching::Full => self.search().published(record),
            Matching::Sha256 | Matching::Sha512 => Vec::new(),
        };
        match self.leads_to_one_of(&anchors) {
            Err(CertificateProblem::Untrusted | CertificateProblem::SelfSigned) => {
                Err(CertificateProblem::TlsaMismatch)
            }
            verdict @ (Ok(()) | Err(_)) => verdict,
        }
    }

    fn leads_to_one_of(&self, anchors: &[Anchor]) -> Result<(), CertificateProblem> {
        let sought = self.sought.get();
        if anchors.is_empty() || sought == MAX_SOUGHT {
            return Err(CertificateProblem::TlsaMismatch);
        }
        self.sought.set(sought + 1);
        self.search().path(anchors)?;
        name::check(self.leaf.0, &self.requirement.names)
    }

    /// The certificate for which the record stands, at a depth that its usage means or at another: how
    /// deep, and whose it is, in one line of printable ASCII.
    pub(super) fn find(&self, record: &Tlsa) -> Option<(usize, String)> {
        let leaf = self.is_the_leaf(record).then_some((0, self.leaf.0));
        let above = self.above_the_leaf(record).next();
        let (depth, certificate) = match record.usage {
            Usage::EndEntity => leaf.or(above),
            Usage::TrustAnchor => above.or(leaf),
        }?;
        Some((depth, printable(&subject(certificate), MAX_SUBJECT)))
    }

    /// The certificates above the leaf for which the record stands, with their depth.
    fn above_the_leaf(
        &self,
        record: &Tlsa,
    ) -> impl Iterator<Item = (usize, &'a CertificateDer<'static>)> {
        self.presented
            .get_or_init(|| self.others.iter().map(presented).collect())
            .iter()
            .zip(self.others)
            .enumerate()
            .filter(|(_, (presented, _))| record.stands_for(presented))
            .map(|(at, (_, certificate))| (at + 1, certificate))
    }

    fn search(&self) -> &Search<'a> {
        self.search
            .get_or_init(|| Search::new(self.leaf.0, self.others, self.algorithms, self.now))
    }
}

fn presented<'a>(certificate: &'a CertificateDer<'_>) -> Presented<'a> {
    let key = public_key(certificate).map(|key| key.as_ref().to_vec());
    Presented::new(certificate, key)
}
