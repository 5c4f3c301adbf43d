//! The canonical form of record sets and what is signed of them (RFC 4034 §3.1.8.1 and §6, RFC 6840 §5.1).

use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use crate::name::Domain;

/// The class of everything here.
const IN: u16 = 1;

/// All records of one type at one name.
#[derive(Clone, Debug)]
pub(crate) struct RrSet {
    pub(crate) record_type: RecordType,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<RData>,
}

impl RrSet {
    pub(crate) fn code(&self) -> u16 {
        self.record_type.into()
    }

    /// The data in canonical form, sorted, each once (RFC 4034 §6.3).
    fn canonical_data(&self) -> Vec<Vec<u8>> {
        let mut all = self
            .data
            .iter()
            .map(|data| lowered(self.code(), octets(data)))
            .collect::<Vec<_>>();
        all.sort();
        all.dedup();
        all
    }

    /// What is signed: the RRSIG's data up to the signature, then the records under the name that the signature is
    /// for, which is the wildcard if they come from one.
    pub(crate) fn to_be_signed(&self, rrsig: &[u8], owner: &Domain) -> Vec<u8> {
        let owner = owner.wire();
        let mut signed = rrsig.to_vec();
        for data in self.canonical_data() {
            signed.extend_from_slice(&owner);
            signed.extend(self.code().to_be_bytes());
            signed.extend(IN.to_be_bytes());
            signed.extend(self.ttl.to_be_bytes());
            // What is longer cannot be sent.
            signed.extend((data.len() as u16).to_be_bytes());
            signed.extend(data);
        }
        signed
    }
}

/// Data of any type from its octets, which may be none.
pub(crate) fn from_octets(code: RecordType, octets: &[u8]) -> RData {
    let rdata = match octets {
        [] => NULL::new(),
        _ => NULL::with(octets.to_vec()),
    };
    RData::Unknown { code, rdata }
}

/// The octets of a record's data, without compression, letters as they are.
pub(crate) fn octets(data: &RData) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder)
        .expect("the data of a test's record can be encoded");
    octets
}

/// The same with the names in it in lower case, for the types of RFC 4034 §6.2 as RFC 6840 §5.1 changed the list:
/// not NSEC. Data that is too short for its type stays as it is.
fn lowered(code: u16, mut octets: Vec<u8>) -> Vec<u8> {
    let (mut at, names) = match code {
        2..=5 | 7..=9 | 12 | 39 => (0, 1), // NS MD MF CNAME, MB MG MR, PTR, DNAME
        6 | 14 | 17 => (0, 2),             // SOA, MINFO, RP
        15 | 18 | 21 | 36 => (2, 1),       // MX, AFSDB, RT, KX
        26 => (2, 2),                      // PX
        33 => (6, 1),                      // SRV
        35 => (after_strings(&octets, 4), 1), // NAPTR: three strings after two numbers
        _ => return octets,
    };
    for _ in 0..names {
        while let Some(length @ 1..=63) = octets.get(at).map(|length| usize::from(*length)) {
            let end = (at + 1 + length).min(octets.len());
            octets[at + 1..end].make_ascii_lowercase();
            at = end;
        }
        at += 1;
    }
    octets
}

fn after_strings(octets: &[u8], first: usize) -> usize {
    (0..3).fold(first, |at, _| {
        at + 1 + octets.get(at).map_or(0, |length| usize::from(*length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_data_are_lowered_where_the_list_says_so() {
        for (code, data, canonical) in [
            (15, &b"\0\x0a\x02MX\x01A\0"[..], &b"\0\x0a\x02mx\x01a\0"[..]),
            (5, b"\x02MX\0", b"\x02mx\0"),
            (6, b"\x01A\0\x01B\0SERIAL", b"\x01a\0\x01b\0SERIAL"),
            (33, b"ABCDEF\x01A\0", b"ABCDEF\x01a\0"),
            (35, b"ABCD\x01S\0\x02EE\x01A\0", b"ABCD\x01S\0\x02EE\x01a\0"),
            (47, b"\x01A\0", b"\x01A\0"), // NSEC: RFC 6840 §5.1
            (16, b"\x01A", b"\x01A"),
            (15, b"\0", b"\0"),
            (15, b"\0\x0a\x09MX", b"\0\x0a\x09mx"), // cut off
        ] {
            assert_eq!(lowered(code, data.to_vec()), canonical, "{code} {data:?}");
        }
    }

    #[test]
    fn records_are_sorted_as_octets_and_signed_once() {
        let data = |octets: &[u8]| from_octets(RecordType::TLSA, octets);
        let set = RrSet {
            record_type: RecordType::TLSA,
            ttl: 60,
            data: vec![
                data(b"\x03\x02"),
                data(b"\x03"),
                data(b"\x02\xff"),
                data(b"\x03"),
            ],
        };
        assert_eq!(
            set.canonical_data(),
            [&b"\x02\xff"[..], b"\x03", b"\x03\x02"]
        );
        let signed = set.to_be_signed(b"RRSIG", &Domain::parse("A"));
        assert_eq!(
            &signed[..20],
            b"RRSIG\x01a\0\0\x34\0\x01\0\0\0\x3c\0\x02\x02\xff"
        );
    }
}
