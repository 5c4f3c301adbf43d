//! What a signature is made over (RFC 4034 §3.1.8.1, §6).

use super::names::{append_canonical, last, wildcard_at};
use super::rdata::Rrsig;
use super::rrset::RrSet;
use crate::dns::wire::plain_name;
use hickory_resolver::proto::rr::{DNSClass, RecordType};

/// Record data in canonical form and order, without duplicates (RFC 4034 §6.2, §6.3).
pub(super) struct CanonicalData(Vec<Box<[u8]>>);

impl CanonicalData {
    pub(super) fn of(set: &RrSet<'_>) -> Self {
        let mut data: Vec<Box<[u8]>> = set
            .data
            .iter()
            .map(|data| lowered(set.record_type, data))
            .collect();
        data.sort_unstable();
        data.dedup();
        Self(data)
    }
}

/// The octets that `rrsig` signs, if it signs the set; `None` if its labels do not fit the owner.
pub(super) fn signed_data(set: &RrSet<'_>, data: &CanonicalData, rrsig: &Rrsig) -> Option<Vec<u8>> {
    let mut owner = Vec::new();
    match set.owner.num_labels().checked_sub(rrsig.labels)? {
        0 => append_canonical(set.owner, &mut owner),
        _ => {
            let encloser = last(set.owner, rrsig.labels.into());
            append_canonical(&wildcard_at(&encloser)?, &mut owner);
        }
    }
    let mut signed = rrsig.head.to_vec();
    append_canonical(&rrsig.signer, &mut signed);
    for data in &data.0 {
        signed.extend_from_slice(&owner);
        signed.extend_from_slice(&u16::from(set.record_type).to_be_bytes());
        signed.extend_from_slice(&u16::from(DNSClass::IN).to_be_bytes());
        signed.extend_from_slice(&rrsig.original_ttl.to_be_bytes());
        let length = u16::try_from(data.len()).ok()?;
        signed.extend_from_slice(&length.to_be_bytes());
        signed.extend_from_slice(data);
    }
    Some(signed)
}

/// The data with the names in it in lower case, for the types where that is canonical; malformed data
/// stay as they are.
fn lowered(record_type: RecordType, data: &[u8]) -> Box<[u8]> {
    let whole = || data.to_vec().into_boxed_slice();
    let Some((fixed, names)) = names_in(record_type) else {
        return whole();
    };
    let Some((head, mut rest)) = data.split_at_checked(fixed) else {
        return whole();
    };
    let mut lowered = head.to_vec();
    for _ in 0..names {
        let Some((name, after)) = plain_name(rest) else {
            return whole();
        };
        append_canonical(&name, &mut lowered);
        rest = after;
    }
    lowered.extend_from_slice(rest);
    lowered.into()
}

/// Octets before the names in the data, and how many names: RFC 4034 §6.2, less NSEC (RFC 6840 §5.1) and
/// what nobody asks for (NAPTR, A6, SIG, NXT, RRSIG).
fn names_in(record_type: RecordType) -> Option<(usize, usize)> {
    match u16::from(record_type) {
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => Some((0, 1)), // NS MD MF CNAME MB MG MR PTR DNAME
        6 | 14 | 17 => Some((0, 2)),                         // SOA MINFO RP
        15 | 18 | 21 | 36 => Some((2, 1)),                   // MX AFSDB RT KX
        26 => Some((2, 2)),                                  // PX
        33 => Some((6, 1)),                                  // SRV
        _ => None,
    }
}
