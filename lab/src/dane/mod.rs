//! DANE as tables: what an MX host presents, what its TLSA records say, and what must become of mail.
//!
//! The expectation is worked out from the description of a case by the rules of the RFCs ([`oracle`]); no
//! certificate is parsed and no path is sought for it. A case is made real for any host name:
//!
//! ```
//! use lab::dane::{Expected, cases};
//!
//! let ca = lab::ca::Ca::default();
//! let case = &cases()[0];
//! let host = case.certificate.host(&ca, "mx.example.test");
//! // It presents `host.identity`; its records are published at `_25._tcp.mx.example.test`.
//! let records = host.publish(&case.records);
//! assert!(!records.is_empty() && !case.to_string().is_empty());
//! // Then mail for it is, or is not:
//! let delivered = case.expected() != Expected::Deferred;
//! # let _ = delivered;
//! ```

mod certificate;
mod oracle;
mod record;

use std::fmt;

use crate::ca::{Ca, Identity};

use certificate::Signers;

pub use certificate::Certificate;
pub use record::{Association, Data, Record, Selector};

/// What must become of mail for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Delivered; the host is authenticated by DANE.
    Authenticated,
    /// Delivered under TLS without authentication: no record is usable (RFC 7672 §2.2).
    EncryptedOnly,
    /// Not delivered: no record is satisfied.
    Deferred,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What the host presents.
    pub certificate: Certificate,
    /// What is published for it; at least one.
    pub records: Vec<Record>,
}

/// A certificate made for a certain host.
#[derive(Debug)]
pub struct Host<'a> {
    ca: &'a Ca,
    /// What it presents.
    pub identity: Identity,
    /// Another authority of the same name, and what the host would present then.
    other: (Ca, Identity),
}

impl Certificate {
    /// A host of at least three labels with such a certificate; `ca` is the authority that the cases speak of.
    pub fn host<'a>(self, ca: &'a Ca, name: &str) -> Host<'a> {
        let other = ca.namesake();
        let others = other.issue(&self.describe(name));
        Host {
            ca,
            identity: ca.issue(&self.describe(name)),
            other: (other, others),
        }
    }
}

impl Host<'_> {
    /// The RDATA of each record.
    pub fn publish(&self, records: &[Record]) -> Vec<Vec<u8>> {
        let (other, identity) = &self.other;
        records
            .iter()
            .map(|record| match record.data {
                Data::Wrong => record.rdata(other, identity),
                Data::Right | Data::Cut | Data::Absent => record.rdata(self.ca, &self.identity),
            })
            .collect()
    }
}

impl Case {
    /// What must become of mail, by the RFCs.
    pub fn expected(&self) -> Expected {
        oracle::expected(self)
    }
}

impl fmt::Display for Case {
    /// `expired: 3 1 1 leaf, 3 1 1 wrong leaf`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:", self.certificate)?;
        for (at, record) in self.records.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma} {record}")?;
        }
        Ok(())
    }
}

/// The whole table: every certificate with every usage, selector and matching type, in every state; some ten
/// thousand.
pub fn cases() -> Vec<Case> {
    let records = [records(2), records(3), unusable()].concat();
    Certificate::ALL
        .into_iter()
        .flat_map(|certificate| {
            let records = records.iter().filter(move |records| {
                // About an intermediate there is nothing to say where there is none.
                let has_one = certificate.facts().signers == Signers::IntermediateAndRoot;
                has_one || records[0].association != Association::Intermediate
            });
            records.map(move |records| Case {
                certificate,
                records: records.clone(),
            })
        })
        .collect()
}

/// What may be published of a usage that SMTP knows.
fn records(usage: u8) -> Vec<Vec<Record>> {
    let mut all = Vec::new();
    for selector in Selector::ALL {
        for matching in 0..=2 {
            for association in Association::ALL {
                all.extend(published(Record {
                    usage,
                    selector,
                    matching,
                    association,
                    data: Data::Right,
                }));
            }
        }
    }
    all
}

/// What SMTP does not know, alone and beside the leaf's key, right and wrong.
fn unusable() -> Vec<Vec<Record>> {
    let mut all = Vec::new();
    for usage in 0..=4 {
        for selector in Selector::ALL {
            for matching in 0..=3 {
                let unusable = Record {
                    usage,
                    selector,
                    matching,
                    association: Association::Leaf,
                    data: Data::Right,
                };
                if !matches!((usage, matching), (2 | 3, 0..=2)) {
                    all.push(vec![unusable]);
                    all.extend(
                        [Data::Right, Data::Wrong].map(|data| vec![unusable, leaf_key(data)]),
                    );
                }
            }
        }
    }
    all
}

/// What is published most: 3 1 1.
fn leaf_key(data: Data) -> Record {
    Record {
        usage: 3,
        selector: Selector::Key,
        matching: 1,
        association: Association::Leaf,
        data,
    }
}

/// What may be published of one record: alone, spoilt, and beside others.
fn published(right: Record) -> Vec<Vec<Record>> {
    let with = |data| Record { data, ..right };
    let mut all = vec![
        vec![right],
        vec![with(Data::Wrong)],
        vec![with(Data::Cut)],
        vec![with(Data::Absent)],
        vec![with(Data::Wrong), right],
        vec![with(Data::Cut), right],
        vec![right, with(Data::Absent)],
    ];
    // Digest agility (RFC 7671 §9): beside another digest of the same, right or wrong or unusable.
    for matching in [1, 2] {
        for data in [Data::Right, Data::Wrong, Data::Cut] {
            let other = Record {
                matching,
                data,
                ..right
            };
            if matching != right.matching {
                all.push(vec![right, other]);
                all.push(vec![other, with(Data::Wrong)]);
            }
        }
    }
    for data in [Data::Right, Data::Wrong] {
        all.push(vec![with(Data::Wrong), leaf_key(data)]);
        all.push(vec![right, leaf_key(data)]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_certificate_meets_every_outcome() {
        let cases = cases();
        for certificate in Certificate::ALL {
            let outcomes: HashSet<Expected> = cases
                .iter()
                .filter(|case| case.certificate == certificate)
                .map(Case::expected)
                .collect();
            assert_eq!(outcomes.len(), 3, "{certificate:?}");
        }
    }
}
