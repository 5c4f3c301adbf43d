//! The kinds of question that can be asked, and their records in our types.

use super::wire::plain_name;
use super::{CaaRdata, Family, LookupFailure, MxRecord, PolicyRecord, ReportRecord};
use crate::dane::TlsaRdata;
use crate::mta_sts;
use crate::names::{DomainName, PolicyDomain, TlsaBaseDomain};
use crate::tlsrpt;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use std::net::IpAddr;

/// Records kept of one answer; an RRset of 64 KB must not sit in the cache.
pub(super) const MAX_RECORDS: usize = 64;

/// A question whose answer is records of `T`.
pub(super) struct Question<T> {
    pub query: Query,
    /// The name asked for, in our type.
    pub name: DomainName,
    /// Reads the records' data; drops those that are of no use.
    pub convert: fn(Vec<Box<[u8]>>) -> Vec<T>,
}

impl Question<MxRecord> {
    pub(super) fn mx(name: &DomainName) -> Result<Self, LookupFailure> {
        Ok(Self {
            query: Query::query(wire_name(name)?, RecordType::MX),
            name: name.clone(),
            convert: mx_records,
        })
    }
}

impl Question<IpAddr> {
    pub(super) fn addresses(name: &DomainName, family: Family) -> Result<Self, LookupFailure> {
        let record_type = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        Ok(Self {
            query: Query::query(wire_name(name)?, record_type),
            name: name.clone(),
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
            convert: tlsa_records,
        })
    }
}

impl Question<PolicyRecord> {
    pub(super) fn policy_records(domain: &PolicyDomain) -> Result<Self, LookupFailure> {
        let owner = format!("{}.{domain}", mta_sts::RECORD_LABEL);
        let mut wire = Name::from_ascii(&owner).map_err(|_| unwritable(&owner))?;
        wire.set_fqdn(true);
        Ok(Self {
            query: Query::query(wire, RecordType::TXT),
            name: domain.0.clone(),
            convert: policy_records,
        })
    }
}

impl Question<ReportRecord> {
    pub(super) fn report_records(domain: &DomainName) -> Result<Self, LookupFailure> {
        let owner = format!("{}.{domain}", tlsrpt::RECORD_LABELS);
        let mut wire = Name::from_ascii(&owner).map_err(|_| unwritable(&owner))?;
        wire.set_fqdn(true);
        Ok(Self {
            query: Query::query(wire, RecordType::TXT),
            name: domain.clone(),
            convert: report_records,
        })
    }
}

impl Question<CaaRdata> {
    pub(super) fn caa(name: &DomainName) -> Result<Self, LookupFailure> {
        Ok(Self {
            query: Query::query(wire_name(name)?, RecordType::CAA),
            name: name.clone(),
            convert: caa_records,
        })
    }
}

impl Question<DomainName> {
    pub(super) fn alias(name: &DomainName) -> Result<Self, LookupFailure> {
        Ok(Self {
            query: Query::query(wire_name(name)?, RecordType::CNAME),
            name: name.clone(),
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

/// The MX records that name a host (RFC 5321 §5.1: others of the set may be wrong), best first. The root (RFC 7505
/// §3) is kept if it is alone, and beside others that name hosts, where it means nothing.
fn mx_records(records: Vec<Box<[u8]>>) -> Vec<MxRecord> {
    let alone = records.len() == 1;
    let read = |data: &[u8]| {
        let (preference, rest) = data.split_first_chunk()?;
        let exchange = only_name(rest)?;
        let host = name_of(&exchange);
        (host.is_some() || exchange.is_root()).then_some(MxRecord {
            preference: u16::from_be_bytes(*preference),
            host,
        })
    };
    let mut found: Vec<MxRecord> = records.iter().filter_map(|data| read(data)).collect();
    if !alone && found.iter().all(|mx| mx.host.is_none()) {
        found.clear();
    }
    found.sort_by_key(|mx| mx.preference);
    // However many there are, they take no host's place.
    let mut roots = 0;
    found.retain(|mx| {
        roots += usize::from(mx.host.is_none());
        mx.host.is_some() || roots == 1
    });
    found.truncate(MAX_RECORDS);
    found
}

fn addresses(records: Vec<Box<[u8]>>) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for ip in records.iter().filter_map(|data| address(data)) {
        if !found.contains(&ip) && found.len() < MAX_RECORDS {
            found.push(ip);
        }
    }
    found
}

/// The question was for one family; records of the other type never get here.
fn address(data: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(data) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(data).ok().map(IpAddr::from)
}

fn tlsa_records(records: Vec<Box<[u8]>>) -> Vec<TlsaRdata> {
    let octets = records.into_iter().map(Vec::from);
    octets.take(MAX_RECORDS).map(TlsaRdata).collect()
}

/// TXT records of MTA-STS.
fn policy_records(records: Vec<Box<[u8]>>) -> Vec<PolicyRecord> {
    let kept = kept_texts(&records, mta_sts::is_candidate, b"v=STSv1;");
    kept.into_iter().map(PolicyRecord).collect()
}

/// TXT records of TLS reporting.
fn report_records(records: Vec<Box<[u8]>>) -> Vec<ReportRecord> {
    let kept = kept_texts(&records, tlsrpt::is_candidate, b"v=TLSRPTv1;");
    kept.into_iter().map(ReportRecord).collect()
}

/// TXT records of one kind, and as many as it takes to see that there is more than one. One that is so long that
/// it would burden the cache is kept as a malformed one.
fn kept_texts(
    records: &[Box<[u8]>],
    is_ours: fn(&[u8]) -> bool,
    malformed: &[u8],
) -> Vec<Box<[u8]>> {
    const MAX_LENGTH: usize = 1024;
    let texts = records.iter().filter_map(|data| joined(data));
    let ours = texts.filter(|text| is_ours(text));
    let kept = ours.map(|text| match text.len() {
        ..=MAX_LENGTH => text.into(),
        _ => malformed.into(),
    });
    kept.take(2).collect()
}

fn caa_records(records: Vec<Box<[u8]>>) -> Vec<CaaRdata> {
    const MAX_LENGTH: usize = 1024;
    let cut = records.into_iter().map(|data| match data.len() {
        ..=MAX_LENGTH => data,
        _ => data[..MAX_LENGTH].into(),
    });
    cut.take(MAX_RECORDS).map(CaaRdata).collect()
}

/// The strings of a TXT record, put together without anything between them (RFC 8461 §3.1).
fn joined(data: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((length, after)) = rest.split_first() {
        let (string, next) = after.split_at_checked(usize::from(*length))?;
        text.extend_from_slice(string);
        rest = next;
    }
    Some(text)
}

fn targets(records: Vec<Box<[u8]>>) -> Vec<DomainName> {
    let mut targets = names(records);
    targets.truncate(1);
    targets
}

fn names(records: Vec<Box<[u8]>>) -> Vec<DomainName> {
    records
        .iter()
        .filter_map(|data| name_of(&only_name(data)?))
        .take(MAX_RECORDS)
        .collect()
}

/// Data that are one name and nothing else.
fn only_name(data: &[u8]) -> Option<Name> {
    let (name, rest) = plain_name(data)?;
    rest.is_empty().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::{data, mx};

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
            (&[(0, "."), (10, "b.test.")], "0 ., 10 b.test"), // a null MX beside others
            (
                &[(0, "."), (0, "."), (5, "."), (10, "b.test.")],
                "0 ., 10 b.test",
            ),
            (&[(0, "."), (10, "192.0.2.1.")], ""),
            (&[(10, "*.test."), (10, "c\\.d.test.")], ""),
        ] {
            let records = set.iter().map(|(p, h)| data(&mx("x.test.", *p, h, 60)));
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
    fn records_of_mta_sts_are_told_from_others() {
        let txt = |strings: &[&[u8]]| {
            let mut data = Vec::new();
            for string in strings {
                data.push(u8::try_from(string.len()).unwrap());
                data.extend_from_slice(string);
            }
            data.into_boxed_slice()
        };
        let long: &[&[u8]] = &[
            b"v=STSv1; id=1; x=",
            &[b'a'; 255],
            &[b'a'; 255],
            &[b'a'; 255],
            &[b'a'; 255],
        ];
        for (records, expected) in [
            (vec![txt(&[b"v=STSv1; id=1"])], &["v=STSv1; id=1"][..]),
            (
                vec![txt(&[b"v=STSv1", b"; id", b"=1", b""])],
                &["v=STSv1; id=1"],
            ),
            (
                vec![txt(&[b"v=spf1"]), txt(&[]), txt(&[b"v=STSv1;"])],
                &["v=STSv1;"],
            ),
            (
                vec![txt(&[b"v=STSv1; id=1"]); 9],
                &["v=STSv1; id=1", "v=STSv1; id=1"],
            ),
            (vec![b"\x0ev=STSv1; id=1".as_slice().into()], &[]), // says to be longer than it is
            (vec![txt(long)], &["v=STSv1;"]),
        ] {
            let kept = policy_records(records);
            let kept: Vec<_> = kept.iter().map(|r| String::from_utf8_lossy(&r.0)).collect();
            assert_eq!(kept, expected);
        }
    }

    #[test]
    fn huge_sets_are_cut_and_the_best_kept() {
        let records = (0..2000u16)
            .rev()
            .map(|p| data(&mx("x.test.", p, "a.test.", 60)));
        let kept = mx_records(records.collect());
        assert_eq!((kept.len(), kept[0].preference), (MAX_RECORDS, 0));
    }
}
