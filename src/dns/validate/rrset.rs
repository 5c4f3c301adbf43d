//! Records of one owner and type, with their signatures (RFC 2181 §5).

use super::rdata::Rrsig;
use crate::dns::wire::Record;
use hickory_resolver::proto::rr::{Name, RecordType};

/// Signatures of one set that are looked at; honest zones have one or two per key set.
const MAX_SIGNATURES: usize = 8;

/// Signers of one set that are looked at; honest sets have one.
const MAX_SIGNERS: usize = 2;

/// Borrowed from a reply.
#[derive(Debug)]
pub(in crate::dns) struct RrSet<'a> {
    pub owner: &'a Name,
    pub record_type: RecordType,
    pub data: Vec<&'a [u8]>,
    /// The lowest of its records, in seconds.
    pub ttl: u32,
    pub signatures: Vec<Rrsig>,
}

impl<'a> RrSet<'a> {
    /// The set in a section of a reply; `None` if it has no record.
    pub(in crate::dns) fn find(
        section: &'a [Record],
        owner: &'a Name,
        record_type: RecordType,
    ) -> Option<Self> {
        let mut set = Self {
            owner,
            record_type,
            data: Vec::new(),
            ttl: u32::MAX,
            signatures: Vec::new(),
        };
        for record in section.iter().filter(|record| record.owner == *owner) {
            if record.record_type == record_type {
                set.ttl = set.ttl.min(record.ttl);
                set.data.push(&record.data);
            } else if record.record_type == RecordType::RRSIG {
                set.sign(&record.data);
            }
        }
        (!set.data.is_empty()).then_some(set)
    }

    fn sign(&mut self, data: &[u8]) {
        if covered(data) != Some(self.record_type) || self.signatures.len() == MAX_SIGNATURES {
            return;
        }
        self.signatures.extend(Rrsig::read(data));
    }

    /// The zones that claim to have signed it and could have (RFC 4035 §5.3.1), deepest first.
    pub(in crate::dns) fn signers(&self) -> Vec<Name> {
        let mut signers: Vec<Name> = Vec::new();
        for signature in &self.signatures {
            if signature.signer.zone_of(self.owner) && !signers.contains(&signature.signer) {
                signers.push(signature.signer.clone());
            }
        }
        deepest_first(signers)
    }
}

/// The signers of a reply's denials that could speak for `name`, deepest first.
pub(super) fn denial_signers(authorities: &[Record], name: &Name) -> Vec<Name> {
    let mut signers: Vec<Name> = Vec::new();
    let signatures = authorities
        .iter()
        .filter(|record| record.record_type == RecordType::RRSIG);
    for record in signatures.take(MAX_SIGNATURES * 4) {
        let denies = matches!(
            covered(&record.data),
            Some(RecordType::NSEC | RecordType::NSEC3)
        );
        let Some(rrsig) = Rrsig::read(&record.data).filter(|_| denies) else {
            continue;
        };
        if rrsig.signer.zone_of(name) && !signers.contains(&rrsig.signer) {
            signers.push(rrsig.signer);
        }
    }
    deepest_first(signers)
}

fn deepest_first(mut signers: Vec<Name>) -> Vec<Name> {
    signers.sort_by_key(|signer| std::cmp::Reverse(signer.iter().len()));
    signers.truncate(MAX_SIGNERS);
    signers
}

fn covered(rrsig: &[u8]) -> Option<RecordType> {
    let [high, low, ..] = *rrsig else { return None };
    Some(RecordType::from(u16::from_be_bytes([high, low])))
}
