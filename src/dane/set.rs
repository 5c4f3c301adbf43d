//! The records of one RRset that count.

use super::record::{Matching, Tlsa, TlsaRdata, Unusable};
use std::sync::Arc;

/// At least one usable record, those that digest agility leaves (RFC 7671 §9); sorted, so that the same
/// records make the same set in whatever order they came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsaSet(Arc<[Tlsa]>);

impl TlsaSet {
    pub fn records(&self) -> &[Tlsa] {
        &self.0
    }
}

/// What one published record is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assessment {
    Counts(Tlsa),
    /// Usable, but a stronger digest of the same usage and selector is published (RFC 7671 §9).
    Outranked(Tlsa),
    Unusable(Unusable),
}

/// What each record is worth, in the order of publication.
pub fn assess(records: &[TlsaRdata]) -> Vec<Assessment> {
    let parsed: Vec<Result<Tlsa, Unusable>> = records.iter().map(TlsaRdata::parse).collect();
    let digests = |tlsa: &&Tlsa| tlsa.matching != Matching::Full;
    parsed
        .iter()
        .map(|record| match record {
            Err(why) => Assessment::Unusable(*why),
            Ok(tlsa) => {
                let stronger = parsed.iter().flatten().filter(digests).any(|other| {
                    tlsa.matching != Matching::Full
                        && (other.usage, other.selector) == (tlsa.usage, tlsa.selector)
                        && other.matching > tlsa.matching
                });
                if stronger {
                    Assessment::Outranked(tlsa.clone())
                } else {
                    Assessment::Counts(tlsa.clone())
                }
            }
        })
        .collect()
}

/// The records that count. `None` is not "no DANE": TLS is still required (RFC 7672 §2.2).
pub fn usable(records: &[TlsaRdata]) -> Option<TlsaSet> {
    let mut counting: Vec<Tlsa> = assess(records)
        .into_iter()
        .filter_map(|assessment| match assessment {
            Assessment::Counts(tlsa) => Some(tlsa),
            Assessment::Outranked(_) | Assessment::Unusable(_) => None,
        })
        .collect();
    counting.sort();
    counting.dedup();
    (!counting.is_empty()).then(|| TlsaSet(counting.into()))
}
