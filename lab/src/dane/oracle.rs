//! What must become of mail, by the words of the RFCs alone.

use crate::ca::{Intermediate, Root};

use super::certificate::{Facts, Signers, State};
use super::{Association, Case, Data, Expected, Record, Selector};

pub(super) fn expected(case: &Case) -> Expected {
    let usable: Vec<&Record> = case.records.iter().filter(|r| is_usable(r)).collect();
    // RFC 7672 §2.2: TLS is required all the same.
    if usable.is_empty() {
        return Expected::EncryptedOnly;
    }
    let facts = case.certificate.facts();
    // RFC 7671 §9: of the digests of one usage and selector, the strongest one only.
    let outranked = |record: &Record| {
        record.matching == 1
            && usable.iter().any(|other| {
                other.matching == 2
                    && other.usage == record.usage
                    && other.selector == record.selector
            })
    };
    let mut counting = usable.iter().filter(|record| !outranked(record));
    if counting.any(|record| is_satisfied(record, &facts)) {
        Expected::Authenticated
    } else {
        Expected::Deferred
    }
}

/// RFC 7672 §3.1.3: PKIX-TA and PKIX-EE are not for SMTP. RFC 6698 §4.1, RFC 7671 §4: unknown parameters and
/// malformed data make a record unusable, and only that record.
fn is_usable(record: &Record) -> bool {
    let is_known = matches!(record.usage, 2 | 3) && record.matching <= 2;
    let is_whole = match record.data {
        Data::Right | Data::Wrong => true,
        Data::Cut | Data::Absent => false,
    };
    is_known && is_whole
}

fn is_satisfied(record: &Record, facts: &Facts) -> bool {
    if record.data == Data::Wrong {
        return false;
    }
    match record.usage {
        // RFC 7672 §3.1.1: the server's own certificate or key, and nothing else about it.
        3 => record.association == Association::Leaf,
        // RFC 7672 §3.1.2: a path, with dates and uses of RFC 5280, and a name.
        _ => {
            [facts.dates, facts.name, facts.purpose] == [State::Good; 3] && has_path(record, facts)
        }
    }
}

/// Whether a path leads to the anchor: everything below it is presented, and it is itself presented or
/// published in full (RFC 7671 §5.2.1 to §5.2.3).
fn has_path(record: &Record, facts: &Facts) -> bool {
    let is_full = record.matching == 0;
    let is_key = record.selector == Selector::Key;
    let intermediate = facts.intermediate == Intermediate::Sent;
    let root = facts.root == Root::Sent;
    match (record.association, facts.signers) {
        // The leaf is no part of its own path (RFC 5280 §6.1), but a bare key may have signed it.
        (Association::Leaf, Signers::Itself) => is_full && is_key,
        (Association::Leaf, Signers::Root | Signers::IntermediateAndRoot) => false,
        (Association::Intermediate | Association::Root, Signers::Itself) => false,
        (Association::Intermediate, Signers::Root) => false,
        (Association::Root, Signers::Root) => root || is_full,
        (Association::Intermediate, Signers::IntermediateAndRoot) => intermediate || is_full,
        (Association::Root, Signers::IntermediateAndRoot) => intermediate && (root || is_full),
    }
}
