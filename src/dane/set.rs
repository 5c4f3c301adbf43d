//! The records of one RRset that count.

use super::record::{Matching, Selector, Tlsa, TlsaRdata, Unusable, Usage};
use std::collections::HashMap;
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
    let strongest = strongest_digests(parsed.iter().flatten());
    parsed
        .into_iter()
        .map(|record| match record {
            Err(why) => Assessment::Unusable(why),
            // The whole certificate or key is no digest, and never outranked.
            Ok(tlsa) if tlsa.matching == Matching::Full => Assessment::Counts(tlsa),
            Ok(tlsa) if strongest.get(&(tlsa.usage, tlsa.selector)) > Some(&tlsa.matching) => {
                Assessment::Outranked(tlsa)
            }
            Ok(tlsa) => Assessment::Counts(tlsa),
        })
        .collect()
}

/// Of each usage and selector the strongest digest that is published in a usable record: a malformed one
/// must not lock out the others.
fn strongest_digests<'a>(
    usable: impl Iterator<Item = &'a Tlsa>,
) -> HashMap<(Usage, Selector), Matching> {
    let mut strongest = HashMap::new();
    for tlsa in usable.filter(|tlsa| tlsa.matching != Matching::Full) {
        let known = strongest
            .entry((tlsa.usage, tlsa.selector))
            .or_insert(tlsa.matching);
        *known = tlsa.matching.max(*known);
    }
    strongest
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
