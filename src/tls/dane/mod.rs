//! What TLSA records demand of a presented chain (RFC 6698 §2.1, RFC 7671 §5, RFC 7672 §3); called by
//! `TlsClient::judge` after every handshake.
//!
//! One record that is satisfied suffices. DANE-EE(3) is satisfied by the leaf alone: names, dates, uses,
//! version and CA flag are not looked at (RFC 7672 §3.1.1). DANE-TA(2) is satisfied by a path (RFC 5280
//! §6) from the leaf to the anchor that the record stands for, and by a name (RFC 7672 §3.2.3):
//!
//! | the record stands for | the anchor |
//! |---|---|
//! | a presented certificate above the leaf | that certificate, root or not (RFC 7671 §5.2.2) |
//! | a whole certificate that is not presented | the certificate in the record (RFC 7671 §5.2) |
//! | a whole key that no presented issuer has | the key, under the name of the issuer sought (RFC 7671 §5.2.3) |
//! | the leaf | none: a certificate is no part of its own path (RFC 5280 §6.1), and Postfix agrees |
//!
//! The last line does not concern a whole key: what it signed, it signed, be it a self-signed leaf.
//!
//! webpki seeks the path ([`search`]); leaves that it takes for none, of version 1 or CA:TRUE, are followed by
//! hand ([`by_hand`]).

mod anchor;
mod by_hand;
mod chain;
mod name;
mod search;

use crate::dane::{Tlsa, Usage};
use crate::policy::{CertificateProblem, DaneRequirement};
use chain::Chain;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use std::time::SystemTime;

/// Records that are explained.
const MAX_EXPLAINED: usize = 64;

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
    /// For a certificate of the chain: 0 is the server's own. At a depth that the record's usage does not
    /// mean, it is a mismatch all the same. The subject is one line of printable ASCII.
    Presented { depth: usize, subject: String },
    /// For a trust anchor that the record itself contains and that was not presented.
    Published,
}

/// Whether one of the records is satisfied; if not, the most telling problem.
pub(super) fn check(
    requirement: &DaneRequirement,
    certificates: &[CertificateDer<'static>],
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    now: SystemTime,
) -> Result<(), CertificateProblem> {
    let chain = Chain::new(requirement, certificates, algorithms, now)
        .ok_or(CertificateProblem::Missing)?;
    let records = requirement.records.records();
    let of = |usage| records.iter().filter(move |record| record.usage == usage);
    if of(Usage::EndEntity).any(|record| chain.is_the_leaf(record)) {
        return Ok(());
    }
    let mut most_telling = CertificateProblem::TlsaMismatch;
    for record in of(Usage::TrustAnchor) {
        match chain.leads_to(record) {
            Ok(()) => return Ok(()),
            Err(problem) if weight(&problem) > weight(&most_telling) => most_telling = problem,
            Err(_) => {}
        }
    }
    Err(most_telling)
}

/// What each record has to do with the chain; at most 64 of them, and none where there is no chain.
pub(super) fn explain(
    requirement: &DaneRequirement,
    certificates: &[CertificateDer<'static>],
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    now: SystemTime,
) -> Vec<DaneMatch> {
    let Some(chain) = Chain::new(requirement, certificates, algorithms, now) else {
        return Vec::new();
    };
    let records = requirement.records.records().iter();
    records
        .take(MAX_EXPLAINED)
        .map(|record| explain_one(&chain, record))
        .collect()
}

fn explain_one(chain: &Chain<'_>, record: &Tlsa) -> DaneMatch {
    let verdict = match record.usage {
        Usage::TrustAnchor => chain.leads_to(record),
        Usage::EndEntity if chain.is_the_leaf(record) => Ok(()),
        Usage::EndEntity => Err(CertificateProblem::TlsaMismatch),
    };
    let stands_for = match (chain.find(record), record.usage) {
        (Some((depth, subject)), _) => StandsFor::Presented { depth, subject },
        (None, Usage::TrustAnchor) if verdict != Err(CertificateProblem::TlsaMismatch) => {
            StandsFor::Published
        }
        (None, Usage::TrustAnchor | Usage::EndEntity) => StandsFor::Nothing,
    };
    DaneMatch {
        record: record.clone(),
        stands_for,
        verdict,
    }
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
