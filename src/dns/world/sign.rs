//! Keys and signatures of the tests' zones. What is signed is put together with hickory's encoder, so that
//! the validator's canonical form is checked by another's.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use hickory_resolver::proto::rr::rdata::NULL;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

/// When signatures hold: seconds from now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub from: i64,
    pub to: i64,
}

impl Window {
    pub(crate) const NOW: Self = Self {
        from: -3600,
        to: 86_400,
    };
}

/// The key of a zone, P-256.
pub(crate) struct Signer {
    pub zone: Name,
    pub window: Window,
    /// Of the DNSKEY and RRSIG records; another number makes them useless.
    pub algorithm: u8,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn new(zone: &Name, window: Window) -> Self {
        Self {
            zone: zone.clone(),
            window,
            algorithm: 13,
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    pub(crate) fn dnskey(&self) -> Vec<u8> {
        let point = &self.pair.public_key().as_ref()[1..];
        [&[1, 1, 3, self.algorithm], point].concat()
    }

    /// Data of a DS record.
    pub(crate) fn ds(&self, digest_type: u8) -> Vec<u8> {
        let algorithm = match digest_type {
            1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            4 => &digest::SHA384,
            _ => &digest::SHA256,
        };
        let input = [wire(&self.zone), self.dnskey()].concat();
        let mut data = tag(&self.dnskey()).to_be_bytes().to_vec();
        data.extend([self.algorithm, digest_type]);
        data.extend(digest::digest(algorithm, &input).as_ref());
        data
    }

    /// An RRSIG record over a set; one that is expanded from a wildcard is signed under the wildcard's name.
    pub(crate) fn sign(&self, set: &[Record], signed_as: &Name) -> Record {
        self.sign_for(set, signed_as, self.window)
    }

    pub(crate) fn sign_for(&self, set: &[Record], signed_as: &Name, window: Window) -> Record {
        let first = &set[0];
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs();
        let at = |offset: i64| (now.cast_signed() + offset) as u32;
        let mut data = u16::from(first.record_type()).to_be_bytes().to_vec();
        let labels = signed_as.iter().filter(|label| *label != b"*").count();
        data.extend([self.algorithm, labels as u8]);
        data.extend(first.ttl.to_be_bytes());
        data.extend(at(window.to).to_be_bytes());
        data.extend(at(window.from).to_be_bytes());
        data.extend(tag(&self.dnskey()).to_be_bytes());
        data.extend(wire(&self.zone));
        let mut signed = data.clone();
        let mut rdata: Vec<Vec<u8>> = set.iter().map(canonical).collect();
        rdata.sort();
        for rdata in rdata {
            signed.extend(wire(signed_as));
            signed.extend(u16::from(first.record_type()).to_be_bytes());
            signed.extend([0, 1]);
            signed.extend(first.ttl.to_be_bytes());
            signed.extend((rdata.len() as u16).to_be_bytes());
            signed.extend(rdata);
        }
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        data.extend(signature.as_ref());
        raw(&first.name, RecordType::RRSIG, first.ttl, data)
    }
}

/// A record whose data are given.
pub(crate) fn raw(owner: &Name, code: RecordType, ttl: u32, data: Vec<u8>) -> Record {
    let rdata = NULL::with(data);
    Record::from_rdata(owner.clone(), ttl, RData::Unknown { code, rdata })
}

pub(crate) fn wire(name: &Name) -> Vec<u8> {
    name.to_lowercase().to_bytes().unwrap()
}

fn canonical(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_canonical_form(true);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    record.data.emit(&mut encoder).unwrap();
    bytes
}

/// RFC 4034 appendix B.
fn tag(dnskey: &[u8]) -> u16 {
    let weigh = |(i, octet): (usize, &u8)| match i % 2 {
        0 => u32::from(*octet) << 8,
        _ => u32::from(*octet),
    };
    let sum: u32 = dnskey.iter().enumerate().map(weigh).sum();
    ((sum + (sum >> 16)) & 0xffff) as u16
}
