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
/// published in full (RFC 7671 §5.2.2, §5.2.3).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dane::Certificate as C;
    use Association::{Intermediate, Leaf, Root};
    use Data::{Absent, Cut, Right, Wrong};
    use Expected::{Authenticated, Deferred, EncryptedOnly};

    fn record(fields: &str, association: Association, data: Data) -> Record {
        let fields: Vec<u8> = fields
            .split(' ')
            .map(|f| f.parse().expect("a digit"))
            .collect();
        Record {
            usage: fields[0],
            selector: Selector::ALL[usize::from(fields[1])],
            matching: fields[2],
            association,
            data,
        }
    }

    type Line = (C, &'static [(&'static str, Association, Data)], Expected);

    const LINES: &[Line] = &[
        (C::Good, &[("3 1 1", Leaf, Right)], Authenticated),
        (C::Good, &[("3 1 1", Leaf, Wrong)], Deferred),
        (C::Good, &[("3 1 1", Leaf, Cut)], EncryptedOnly), // RFC 7672 §2.2
        (C::Good, &[("3 1 1", Leaf, Absent)], EncryptedOnly),
        (C::Good, &[("1 1 1", Leaf, Right)], EncryptedOnly), // RFC 7672 §3.1.3
        (C::Good, &[("0 0 1", Root, Right)], EncryptedOnly),
        (
            C::Good,
            &[("1 1 1", Leaf, Right), ("3 1 1", Leaf, Wrong)],
            Deferred,
        ),
        (C::Good, &[("3 1 1", Root, Right)], Deferred), // the leaf and nothing else
        (C::Good, &[("2 0 1", Root, Right)], Authenticated),
        (C::Good, &[("2 0 1", Leaf, Right)], Deferred),
        // RFC 7672 §3.1.1: DANE-EE looks at nothing else, §3.1.2: DANE-TA does.
        (C::Expired, &[("3 1 1", Leaf, Right)], Authenticated),
        (C::Expired, &[("2 0 1", Root, Right)], Deferred),
        (C::WrongName, &[("3 0 1", Leaf, Right)], Authenticated),
        (C::WrongName, &[("2 0 1", Root, Right)], Deferred),
        (
            C::SelfSignedVersion1,
            &[("3 0 2", Leaf, Right)],
            Authenticated,
        ),
        (C::SelfSigned, &[("2 1 1", Leaf, Right)], Deferred),
        (C::CommonName, &[("2 1 1", Root, Right)], Authenticated), // RFC 7672 §3.2.3
        (C::CommonNameBesideSan, &[("2 1 1", Root, Right)], Deferred),
        // RFC 7671 §5.2.2: a digest of what is not sent is of no use, §5.2.3: a whole key is.
        (C::RootOmitted, &[("2 0 1", Root, Right)], Deferred),
        (C::RootOmitted, &[("2 0 0", Root, Right)], Authenticated),
        (C::RootOmitted, &[("2 1 0", Root, Right)], Authenticated),
        (C::IntermediateOmitted, &[("2 0 1", Root, Right)], Deferred),
        (
            C::IntermediateOmitted,
            &[("2 1 0", Intermediate, Right)],
            Authenticated,
        ),
        (
            C::ByIntermediate,
            &[("2 1 1", Intermediate, Right)],
            Authenticated,
        ),
        // RFC 7671 §9.
        (
            C::Good,
            &[("3 1 1", Leaf, Right), ("3 1 2", Leaf, Wrong)],
            Deferred,
        ),
        (
            C::Good,
            &[("3 1 1", Leaf, Right), ("3 1 2", Leaf, Cut)],
            Authenticated,
        ),
        (
            C::Good,
            &[("3 1 1", Leaf, Right), ("3 0 2", Leaf, Wrong)],
            Authenticated,
        ),
        (
            C::Good,
            &[("3 1 0", Leaf, Right), ("3 1 2", Leaf, Wrong)],
            Authenticated,
        ),
        // A change of keys: old and new.
        (
            C::Good,
            &[("3 1 1", Leaf, Wrong), ("3 1 1", Leaf, Right)],
            Authenticated,
        ),
    ];

    #[test]
    fn what_the_rfcs_say_in_so_many_words() {
        for (certificate, records, expected) in LINES {
            let records = records.iter();
            let case = Case {
                certificate: *certificate,
                records: records
                    .map(|(fields, association, data)| record(fields, *association, *data))
                    .collect(),
            };
            assert_eq!(case.expected(), *expected, "{case}");
        }
    }
}
