//! Records, in the shape in which tests write them down.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, TXT};
use hickory_proto::rr::{RData, RecordType};

use super::{DnsServer, resolve};
use crate::ca::der;
use crate::dnssec::Digest;
use crate::dnssec::canonical::from_octets;
use crate::name::{name, reverse};
use crate::tasks::lock;

impl DnsServer {
    /// Adds an MX record.
    pub fn mx(&self, owner: &str, preference: u16, host: &str) -> &Self {
        self.record(owner, RData::MX(MX::new(preference, name(host))))
    }

    /// "Accepts no mail" (RFC 7505): `MX 0 .`
    pub fn null_mx(&self, owner: &str) -> &Self {
        self.mx(owner, 0, ".")
    }

    /// Adds an A record.
    pub fn a(&self, owner: &str, address: &str) -> &Self {
        self.record(
            owner,
            RData::A(A(address.parse().expect("an IPv4 address"))),
        )
    }

    /// Adds an AAAA record.
    pub fn aaaa(&self, owner: &str, address: &str) -> &Self {
        self.record(
            owner,
            RData::AAAA(AAAA(address.parse().expect("an IPv6 address"))),
        )
    }

    /// Adds an A or AAAA record.
    pub fn address_of(&self, owner: &str, address: IpAddr) -> &Self {
        match address {
            IpAddr::V4(v4) => self.record(owner, RData::A(A(v4))),
            IpAddr::V6(v6) => self.record(owner, RData::AAAA(AAAA(v6))),
        }
    }

    /// Makes the name an alias.
    pub fn cname(&self, owner: &str, target: &str) -> &Self {
        self.record(owner, RData::CNAME(CNAME(name(target))))
    }

    /// Makes every name below this one an alias of the same name below the target (RFC 6672).
    pub fn dname(&self, owner: &str, target: &str) -> &Self {
        self.raw(owner, RecordType::DNAME, &resolve::dname_data(target))
    }

    /// Adds a TXT record of one string, cut at 255 octets into several.
    pub fn txt(&self, owner: &str, text: &str) -> &Self {
        if text.is_empty() {
            return self.txt_strings(owner, &[b""]);
        }
        let strings = text.as_bytes().chunks(255);
        self.txt_strings(owner, &strings.collect::<Vec<_>>())
    }

    /// Adds a TXT record of these strings; without any its data is empty, which RFC 1035 §3.3.14 does not know.
    ///
    /// # Panics
    /// If one has more than 255 octets.
    pub fn txt_strings(&self, owner: &str, strings: &[&[u8]]) -> &Self {
        let longest = strings.iter().map(|string| string.len()).max();
        assert!(longest <= Some(255), "a string has no more than 255 octets");
        self.record(owner, RData::TXT(TXT::from_bytes(strings.to_vec())))
    }

    /// Adds a PTR record for an address.
    pub fn ptr(&self, address: IpAddr, target: &str) -> &Self {
        let owner = reverse(address);
        self.record(&owner, RData::PTR(PTR(name(target))))
    }

    /// Adds a TLSA record for this certificate, or chain member, at `_PORT._tcp.HOST`. `parameters` are usage,
    /// selector and matching type as in `"3 1 1"` (RFC 6698 §2.1).
    ///
    /// # Panics
    /// If the parameters are not three small numbers, or selector and matching type are none that RFC 6698 defines,
    /// or the certificate is none.
    pub fn tlsa(&self, host: &str, port: u16, parameters: &str, certificate: &[u8]) -> &Self {
        self.tlsa_raw(host, port, &tlsa_data(parameters, certificate))
    }

    /// The same with these octets as its data; they may be any, and fewer than three.
    pub fn tlsa_raw(&self, host: &str, port: u16, data: &[u8]) -> &Self {
        self.raw(&tlsa_owner(host, port), RecordType::TLSA, data)
    }

    /// Adds a record of any type with these octets as its data.
    pub fn raw(&self, owner: &str, record_type: RecordType, data: &[u8]) -> &Self {
        self.record(owner, from_octets(record_type, data))
    }

    /// Adds a record.
    pub fn record(&self, owner: &str, data: RData) -> &Self {
        lock(&self.shared.store).add(owner, data);
        self
    }

    /// Takes all records of a type away.
    pub fn remove(&self, owner: &str, record_type: RecordType) -> &Self {
        lock(&self.shared.store).remove(owner, record_type);
        self
    }
}

/// Where a host has its TLSA records (RFC 6698 §3).
pub fn tlsa_owner(host: &str, port: u16) -> String {
    format!("_{port}._tcp.{host}")
}

/// The data of a TLSA record for a certificate; see [`DnsServer::tlsa`].
///
/// # Panics
/// As there.
pub fn tlsa_data(parameters: &str, certificate: &[u8]) -> Vec<u8> {
    let numbers = parameters.split_whitespace().map(str::parse::<u8>);
    let numbers = numbers.collect::<Result<Vec<_>, _>>();
    let Ok([usage, selector, matching]) = numbers.as_deref() else {
        panic!("usage, selector and matching type, such as 3 1 1, not {parameters:?}");
    };
    let selected = match selector {
        0 => certificate,
        1 => der::spki(certificate).expect("the certificate is well-formed"),
        _ => panic!("no data can be made for selector {selector}"),
    };
    let association = match matching {
        0 => selected.to_vec(),
        1 => Digest::Sha256.of(selected),
        2 => ring::digest::digest(&ring::digest::SHA512, selected)
            .as_ref()
            .to_vec(),
        _ => panic!("no data can be made for matching type {matching}"),
    };
    [&[*usage, *selector, *matching], &association[..]].concat()
}
