//! The kinds of question that can be asked, and their records in our types.

use super::{Family, LookupFailure, MxRecord};
use crate::dane::TlsaRdata;
use crate::names::{DomainName, TlsaBaseDomain};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::proto::serialize::binary::BinEncodable;
use std::net::IpAddr;

/// Records kept of one answer; an RRset of 64 KB must not sit in the cache.
pub(super) const MAX_RECORDS: usize = 64;

/// A question whose answer is records of `T`.
pub(super) struct Question<T> {
    pub query: Query,
    /// The name asked for, in our type.
    pub name: DomainName,
    /// The record type, for labels.
    pub label: &'static str,
    /// Drops records that are of no use.
    pub convert: fn(Vec<RData>) -> Vec<T>,
}

impl Question<MxRecord> {
    pub(super) fn mx(name: &DomainName) -> Result<Self, LookupFailure> {
        Ok(Self {
            query: Query::query(wire_name(name)?, RecordType::MX),
            name: name.clone(),
            label: "MX",
            convert: mx_records,
        })
    }
}

impl Question<IpAddr> {
    pub(super) fn addresses(name: &DomainName, family: Family) -> Result<Self, LookupFailure> {
        let (record_type, label) = match family {
            Family::V4 => (RecordType::A, "A"),
            Family::V6 => (RecordType::AAAA, "AAAA"),
        };
        Ok(Self {
            query: Query::query(wire_name(name)?, record_type),
            name: name.clone(),
            label,
            convert: addresses,
        })
    }
}

impl Question<TlsaRdata> {
    pub(super) fn tlsa(base: &TlsaBaseDomain, port: u16) -> Result<Self, LookupFailure> {
        let owner = format!("_{port}._tcp.{base}");
        let mut wire = Name::from_ascii(&owner).map_err(|_| unwritable(&owner))?;
        wire.set_fqdn(true);
        Ok(Self {
            query: Query::query(wire, RecordType::TLSA),
            name: base.0.clone(),
            label: "TLSA",
            convert: tlsa_records,
        })
    }
}

impl Question<DomainName> {
    pub(super) fn alias(name: &DomainName) -> Result<Self, LookupFailure> {
        Ok(Self {
            query: Query::query(wire_name(name)?, RecordType::CNAME),
            name: name.clone(),
            label: "CNAME",
            convert: targets,
        })
    }

    pub(super) fn pointer(ip: IpAddr) -> Result<Self, LookupFailure> {
        let mut reverse = Name::from(ip.to_canonical());
        reverse.set_fqdn(true);
        let name = name_of(&reverse).ok_or_else(|| unwritable(&reverse))?;
        Ok(Self {
            query: Query::query(reverse, RecordType::PTR),
            name,
            label: "PTR",
            convert: names,
        })
    }
}

/// A record's name; `None` for the root and for what no host can be called.
pub(super) fn name_of(name: &Name) -> Option<DomainName> {
    DomainName::from_dns(&name.to_ascii()).ok()
}

/// Always fully qualified, so that no search list can apply.
fn wire_name(name: &DomainName) -> Result<Name, LookupFailure> {
    let mut wire = Name::from_ascii(name.as_str()).map_err(|_| unwritable(name))?;
    wire.set_fqdn(true);
    Ok(wire)
}

fn unwritable(name: &dyn std::fmt::Display) -> LookupFailure {
    LookupFailure::Malformed(format!("{name} cannot be asked for"))
}

/// The MX records that name a host (RFC 5321 §5.1: others of the set may be wrong), best first. The
/// root counts only if it is alone (RFC 7505 §3).
fn mx_records(records: Vec<RData>) -> Vec<MxRecord> {
    let alone = records.len() == 1;
    let mut found: Vec<MxRecord> = records
        .into_iter()
        .filter_map(|record| {
            let RData::MX(mx) = record else { return None };
            let host = name_of(&mx.exchange);
            let usable = host.is_some() || (alone && mx.exchange.is_root());
            usable.then_some(MxRecord {
                preference: mx.preference,
                host,
            })
        })
        .collect();
    found.sort_by_key(|mx| mx.preference);
    found.truncate(MAX_RECORDS);
    found
}

fn addresses(records: Vec<RData>) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for ip in records.iter().filter_map(RData::ip_addr) {
        if !found.contains(&ip) && found.len() < MAX_RECORDS {
            found.push(ip);
        }
    }
    found
}

fn tlsa_records(records: Vec<RData>) -> Vec<TlsaRdata> {
    let octets = records.iter().filter_map(|record| record.to_bytes().ok());
    octets.take(MAX_RECORDS).map(TlsaRdata).collect()
}

fn targets(records: Vec<RData>) -> Vec<DomainName> {
    let target = |record| {
        let RData::CNAME(target) = record else {
            return None;
        };
        name_of(&target.0)
    };
    records.into_iter().filter_map(target).take(1).collect()
}

fn names(records: Vec<RData>) -> Vec<DomainName> {
    records
        .into_iter()
        .filter_map(|record| {
            let RData::PTR(pointer) = record else {
                return None;
            };
            name_of(&pointer.0)
        })
        .take(MAX_RECORDS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::mx;

    #[test]
    fn mx_records_that_name_no_host_are_dropped() {
        for (set, expected) in [
            (
                &[(20, "b.test."), (10, "mx_a.test.")][..],
                "10 mx_a.test, 20 b.test",
            ),
            (&[(10, "192.0.2.1."), (20, "b.test.")], "20 b.test"), // an address, not a name
            (&[(10, "192.0.2.1.")], ""),
            (&[(0, ".")], "0 ."),
            (&[(0, "."), (10, "b.test.")], "10 b.test"), // a null MX beside others
            (&[(0, "."), (10, "192.0.2.1.")], ""),
            (&[(10, "*.test."), (10, "c\\.d.test.")], ""),
        ] {
            let records = set.iter().map(|(p, h)| mx("x.test.", *p, h, 60).data);
            let said: Vec<String> = mx_records(records.collect())
                .iter()
                .map(|mx| match &mx.host {
                    Some(host) => format!("{} {host}", mx.preference),
                    None => format!("{} .", mx.preference),
                })
                .collect();
            assert_eq!(said.join(", "), expected);
        }
    }

    #[test]
    fn huge_sets_are_cut_and_the_best_kept() {
        let records = (0..2000u16)
            .rev()
            .map(|p| mx("x.test.", p, "a.test.", 60).data);
        let kept = mx_records(records.collect());
        assert_eq!((kept.len(), kept[0].preference), (MAX_RECORDS, 0));
    }
}
