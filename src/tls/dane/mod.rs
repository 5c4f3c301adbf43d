//! What TLSA records demand of a presented chain (RFC 6698 §2.1, RFC 7671 §5, RFC 7672 §3); called by
//! `TlsClient::judge` after every handshake.
//!
//! One record that is satisfied suffices. DANE-EE(3) is satisfied by the leaf alone: names, dates, uses,
//! version and CA flag are not looked at (RFC 7672 §3.1.1). DANE-TA(2) is satisfied by a path (RFC 5280
//! §6) from the leaf to the anchor that the record stands for, and by a name (RFC 7672 §3.2.3):
//!
//! | the record stands for | the anchor |
//! |---|---|
//! | a presented certificate above the leaf | that certificate, root or not (RFC 7671 §5.2.1) |
//! | a whole certificate that is not presented | the certificate in the record (§5.2.2 of the same) |
//! | a whole key that no presented issuer has | the key, under the name of the issuer sought (§5.2.3) |
//! | the leaf | none: a certificate is no part of its own path (RFC 5280 §6.1), and Postfix agrees |
//!
//! The last line does not concern a whole key: what it signed, it signed, be it a self-signed leaf.

mod anchor;
mod direct;
mod name;
mod search;

use super::certificate::{printable, public_key, subject};
use crate::dane::{Matching, Presented, Tlsa, Usage};
use crate::policy::{CertificateProblem, DaneRequirement};
use anchor::Anchor;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use search::Search;
use std::cell::Cell;
use std::time::SystemTime;

/// Records whose anchors are tried; a domain that publishes more meant to keep us busy.
const MAX_TRIED: usize = 16;
/// Records that are explained.
const MAX_EXPLAINED: usize = 64;
/// Longest subject shown, in characters.
const MAX_SUBJECT: usize = 100;

/// What one record has to do with a presented chain, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaneMatch {
    pub record: Tlsa,
    pub stands_for: StandsFor,
    /// Whether this record alone would do.
    pub verdict: Result<(), CertificateProblem>,
}

/// What a record stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandsFor {
    /// For nothing that was presented.
    Nothing,
    /// For a certificate of the chain: 0 is the server's own. A depth that the record's usage does not
    /// allow makes a mismatch all the same.
    Presented { depth: usize, subject: String },
    /// For a trust anchor that the record itself contains and that was not presented.
    Published,
}

/// A presented chain under the eyes of one requirement.
pub(super) struct Chain<'a> {
    requirement: &'a DaneRequirement,
    /// Leaf first; never empty.
    certificates: &'a [CertificateDer<'static>],
    presented: Vec<Presented<'a>>,
    search: Search<'a>,
    tried: Cell<usize>,
}

/// Whether one of the records is satisfied; if not, the most telling problem.
pub(super) fn check(
    requirement: &DaneRequirement,
    certificates: &[CertificateDer<'static>],
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    now: SystemTime,
) -> Result<(), CertificateProblem> {
    let leaf = certificates.first().ok_or(CertificateProblem::Missing)?;
    let leaf = presented(leaf);
    let records = requirement.records.records();
    let (end_entity, anchored): (Vec<&Tlsa>, Vec<&Tlsa>) = records
        .iter()
        .partition(|record| record.usage == Usage::EndEntity);
    if end_entity.iter().any(|record| record.stands_for(&leaf)) {
        return Ok(());
    }
    if anchored.is_empty() {
        return Err(CertificateProblem::TlsaMismatch);
    }
    let chain = Chain::new(requirement, certificates, algorithms, now);
    let mut most_telling = CertificateProblem::TlsaMismatch;
    for record in anchored {
        match chain.leads_to(record) {
            Ok(()) => return Ok(()),
            Err(problem) if weight(&problem) > weight(&most_telling) => most_telling = problem,
            Err(_) => {}
        }
    }
    Err(most_telling)
}

/// What each record has to do with the chain; at most 64 of them.
pub(super) fn explain(
    requirement: &DaneRequirement,
    certificates: &[CertificateDer<'static>],
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    now: SystemTime,
) -> Vec<DaneMatch> {
    let chain = Chain::new(requirement, certificates, algorithms, now);
    let records = requirement.records.records().iter();
    records
        .take(MAX_EXPLAINED)
        .map(|record| chain.explain(record))
        .collect()
}

/// The nearer a problem is to success, the more it tells: a chain that ends in the right anchor and
/// lacks only the name is not just another chain.
fn weight(problem: &CertificateProblem) -> u8 {
    match problem {
        CertificateProblem::NameMismatch { .. } => 6,
        CertificateProblem::Expired | CertificateProblem::NotYetValid => 5,
        CertificateProblem::WrongUsage => 4,
        CertificateProblem::Unacceptable(_) => 3,
        CertificateProblem::SelfSigned => 2,
        CertificateProblem::Untrusted => 1,
        CertificateProblem::TlsaMismatch
        | CertificateProblem::FingerprintMismatch
        | CertificateProblem::Missing => 0,
    }
}

fn presented<'a>(certificate: &'a CertificateDer<'_>) -> Presented<'a> {
    Presented::new(
        certificate,
        public_key(certificate).map(|key| key.as_ref().to_vec()),
    )
}

impl<'a> Chain<'a> {
    fn new(
        requirement: &'a DaneRequirement,
        certificates: &'a [CertificateDer<'static>],
        algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
        now: SystemTime,
    ) -> Self {
        Self {
            requirement,
            certificates,
            presented: certificates.iter().map(presented).collect(),
            search: Search::new(certificates, algorithms, now),
            tried: Cell::new(0),
        }
    }

    /// Whether a path leads from the leaf to what a DANE-TA(2) record stands for, and the leaf carries one
    /// of the names.
    fn leads_to(&self, record: &Tlsa) -> Result<(), CertificateProblem> {
        let mut refused = CertificateProblem::TlsaMismatch;
        let mut anchors = Vec::new();
        for certificate in self.issuers(record) {
            match Anchor::of_certificate(certificate) {
                Ok(anchor) if self.search.is_leaf(&anchor) => {}
                Ok(anchor) => anchors.push(anchor),
                Err(problem) => refused = problem,
            }
        }
        let is_presented = !anchors.is_empty() || refused != CertificateProblem::TlsaMismatch;
        if !is_presented && record.matching == Matching::Full {
            anchors = self.search.published(record);
        }
        if anchors.is_empty() {
            return Err(refused);
        }
        if self.tried.replace(self.tried.get() + 1) >= MAX_TRIED {
            return Err(CertificateProblem::TlsaMismatch);
        }
        match self.search.path(&anchors) {
            Ok(()) => self.carries_a_name(),
            // What is not presented and issued nothing that is, has nothing to do with the chain.
            Err(CertificateProblem::Untrusted | CertificateProblem::SelfSigned)
                if !is_presented =>
            {
                Err(CertificateProblem::TlsaMismatch)
            }
            Err(problem) => Err(problem),
        }
    }

    /// The presented certificates above the leaf for which the record stands.
    fn issuers(&self, record: &Tlsa) -> impl Iterator<Item = &'a CertificateDer<'static>> {
        self.certificates
            .iter()
            .zip(&self.presented)
            .skip(1)
            .filter(|(_, presented)| record.stands_for(presented))
            .map(|(certificate, _)| certificate)
    }

    fn carries_a_name(&self) -> Result<(), CertificateProblem> {
        match self.certificates.first() {
            Some(leaf) => name::check(leaf, &self.requirement.names),
            None => Err(CertificateProblem::Missing),
        }
    }

    fn explain(&self, record: &Tlsa) -> DaneMatch {
        let leaf_fits = self
            .presented
            .first()
            .is_some_and(|leaf| record.stands_for(leaf));
        let mismatch = Err(CertificateProblem::TlsaMismatch);
        let verdict = match record.usage {
            Usage::EndEntity if leaf_fits => Ok(()),
            Usage::EndEntity => mismatch.clone(),
            Usage::TrustAnchor => self.leads_to(record),
        };
        let above = (1..self.presented.len()).find(|&at| record.stands_for(&self.presented[at]));
        let leaf = leaf_fits.then_some(0);
        let depth = match record.usage {
            Usage::EndEntity => leaf.or(above),
            Usage::TrustAnchor => above.or(leaf),
        };
        let stands_for = match (depth, record.usage) {
            (Some(depth), _) => StandsFor::Presented {
                depth,
                subject: printable(&subject(&self.certificates[depth]), MAX_SUBJECT),
            },
            (None, Usage::TrustAnchor) if verdict != mismatch => StandsFor::Published,
            (None, Usage::TrustAnchor | Usage::EndEntity) => StandsFor::Nothing,
        };
        DaneMatch {
            record: record.clone(),
            stands_for,
            verdict,
        }
    }
}
