//! The examples of the RFCs.

use super::anchor_file::{base64, hex};
use super::budget::Budget;
use super::keys::{ZoneKeys, key_tag};
use super::rdata::Ds;
use super::rrset::RrSet;
use super::signature::{Origin, Verified, WallClock, verify};
use crate::dns::testing::name;
use crate::dns::wire::{Record, append};
use hickory_resolver::proto::rr::{Name, RecordType};

/// An example: a key, its DS record, and a signature by it.
struct Example {
    zone: &'static str,
    flags: u16,
    algorithm: u8,
    key: &'static str,
    tag: u16,
    /// Type and digest.
    ds: (u8, &'static str),
}

/// RFC 4034 §5.4 and RFC 4509 §2.3, the same key.
const RFC_4034: Example = Example {
    zone: "dskey.example.com.",
    flags: 256,
    algorithm: 5,
    key: "AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMm\
          mAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==",
    tag: 60485,
    ds: (1, "2BB183AF5F22588179A53B0A98631FAD1A292118"),
};
const RFC_4509: Example = Example {
    ds: (
        2,
        "D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A",
    ),
    ..RFC_4034
};

/// RFC 6605 §6.1.
const RFC_6605: Example = Example {
    zone: "example.net.",
    flags: 257,
    algorithm: 13,
    key: "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
    tag: 55648,
    ds: (
        2,
        "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17",
    ),
};

/// RFC 8080 §6.1.
const RFC_8080: Example = Example {
    zone: "example.com.",
    flags: 257,
    algorithm: 15,
    key: "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
    tag: 3613,
    ds: (
        2,
        "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
    ),
};

impl Example {
    fn zone(&self) -> Name {
        name(self.zone)
    }

    fn dnskey(&self) -> Vec<u8> {
        let key = base64(self.key).unwrap();
        let [high, low] = self.flags.to_be_bytes();
        [&[high, low, 3, self.algorithm], &key[..]].concat()
    }

    fn keys(&self) -> ZoneKeys {
        let data = self.dnskey();
        ZoneKeys::of(&self.zone(), &[&data])
    }
}

#[test]
fn key_tags_and_digests() {
    for example in [RFC_4034, RFC_4509, RFC_6605, RFC_8080] {
        let dnskey = example.dnskey();
        assert_eq!(key_tag(&dnskey), example.tag, "{}", example.zone);
        let (digest_type, digest) = example.ds;
        let mut ds = Ds {
            key_tag: example.tag,
            algorithm: example.algorithm,
            digest_type,
            digest: hex(digest).unwrap().into(),
        };
        assert!(ds.vouches_for(&example.zone(), &dnskey), "{}", example.zone);
        assert!(!ds.vouches_for(&name("other."), &dnskey));
        ds.digest[0] ^= 1;
        assert!(!ds.vouches_for(&example.zone(), &dnskey));
    }
}

/// `TYPE, owner, data` and the signature's fields and octets.
fn check(
    example: &Example,
    (owner, record_type, data): (&str, RecordType, Vec<u8>),
    (labels, inception, expiration): (u8, u32, u32),
    signature: &str,
) -> Verified {
    let owner = name(owner);
    let mut rrsig = u16::from(record_type).to_be_bytes().to_vec();
    rrsig.extend([example.algorithm, labels]);
    rrsig.extend(3600_u32.to_be_bytes());
    rrsig.extend(expiration.to_be_bytes());
    rrsig.extend(inception.to_be_bytes());
    rrsig.extend(example.tag.to_be_bytes());
    append(&example.zone(), &mut rrsig);
    rrsig.extend(base64(signature).unwrap());
    let record = |record_type, data: Vec<u8>| Record {
        owner: owner.clone(),
        record_type,
        ttl: 86_400,
        data: data.into(),
    };
    let records = [record(record_type, data), record(RecordType::RRSIG, rrsig)];
    let set = RrSet::find(&records, &owner, record_type).unwrap();
    let now = WallClock(inception + 1000);
    verify(&set, &example.keys(), now, &mut Budget::new()).unwrap()
}

#[test]
fn signatures() {
    let a = ("www.example.net.", RecordType::A, vec![192, 0, 2, 1]);
    let verified = check(
        &RFC_6605,
        a,
        (3, 1_281_607_479, 1_284_026_679),
        "qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==",
    );
    let expected = Verified {
        ttl: 3600,
        origin: Origin::Exact,
    };
    assert_eq!(verified, expected);
    let mut mx = vec![0, 10];
    append(&name("mail.example.com."), &mut mx);
    let mx = ("example.com.", RecordType::MX, mx);
    let verified = check(
        &RFC_8080,
        mx,
        (2, 1_438_207_200, 1_440_021_600),
        "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
    );
    assert_eq!(verified, expected);
}
