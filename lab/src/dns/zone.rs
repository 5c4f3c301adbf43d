//! The records, and what the resolver in front of them would find.

use std::collections::HashMap;
use std::net::IpAddr;

use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::Fault;

/// How many aliases are followed before the resolver gives up, as unbound does.
const MAX_ALIASES: usize = 11;

#[derive(Debug)]
pub(super) struct Zone {
    records: HashMap<(String, RecordType), Vec<Record>>,
    pub(super) faults: HashMap<(String, Option<RecordType>), Fault>,
    pub(super) ttl: u32,
    pub(super) negative_ttl: u32,
}

/// What a question leads to. The answers are the chain of aliases and, if there are any, the records.
#[derive(Debug)]
pub(super) enum Found {
    Records(Vec<Record>),
    NoData(Vec<Record>, Record),
    NoName(Vec<Record>, Record),
    TooManyAliases,
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            records: HashMap::new(),
            faults: HashMap::new(),
            ttl: 60,
            negative_ttl: 60,
        }
    }
}

impl Zone {
    pub(super) fn add(&mut self, owner: &str, data: RData) {
        let record = Record::from_rdata(name(owner), self.ttl, data);
        self.records
            .entry((normal(owner), record.record_type()))
            .or_default()
            .push(record);
    }

    pub(super) fn remove(&mut self, owner: &str, record_type: RecordType) {
        self.records.remove(&(normal(owner), record_type));
    }

    pub(super) fn fault(&self, owner: &str, record_type: RecordType) -> Option<Fault> {
        let one = self.faults.get(&(owner.to_owned(), Some(record_type)));
        one.or_else(|| self.faults.get(&(owner.to_owned(), None)))
            .cloned()
    }

    pub(super) fn find(&self, owner: &str, record_type: RecordType) -> Found {
        let mut answers = Vec::new();
        let mut at = owner.to_owned();
        for _ in 0..=MAX_ALIASES {
            if let Some(records) = self.records.get(&(at.clone(), record_type)) {
                answers.extend(records.iter().cloned());
                return Found::Records(answers);
            }
            let Some(alias) = self.records.get(&(at.clone(), RecordType::CNAME)) else {
                let soa = self.soa(&at);
                return match self.exists(&at) {
                    Existence::Exists => Found::NoData(answers, soa),
                    Existence::Nothing => Found::NoName(answers, soa),
                };
            };
            answers.push(alias[0].clone());
            if let RData::CNAME(target) = &alias[0].data {
                at = normal(&target.0.to_ascii());
            }
        }
        Found::TooManyAliases
    }

    /// A name exists if it or a name below it has records (RFC 8020), and so do the root and the top-level names.
    fn exists(&self, owner: &str) -> Existence {
        let below = format!(".{owner}");
        let known = self
            .records
            .keys()
            .any(|(known, _)| known == owner || known.ends_with(&below));
        if known || !owner.contains('.') {
            Existence::Exists
        } else {
            Existence::Nothing
        }
    }

    /// Every name of two labels is a zone of its own here.
    fn soa(&self, owner: &str) -> Record {
        let labels = owner.rsplitn(3, '.').take(2).collect::<Vec<_>>();
        let apex = name(&labels.into_iter().rev().collect::<Vec<_>>().join("."));
        let minimum = self.negative_ttl;
        let (host, mail) = (name("ns.lab.test"), name("hostmaster.lab.test"));
        let data = SOA::new(host, mail, 1, 3600, 600, 86400, minimum);
        Record::from_rdata(apex, minimum, RData::SOA(data))
    }
}

enum Existence {
    Exists,
    Nothing,
}

/// A fully qualified name from text with or without the final dot.
///
/// # Panics
/// If it is none, which only the author of a test can cause.
pub(super) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a domain name in a test is valid");
    name.set_fqdn(true);
    name
}

/// The form in which names are compared: lower case, without the final dot.
pub fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Where an address has its PTR records.
pub(super) fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6
                .octets()
                .into_iter()
                .flat_map(|octet| [octet >> 4, octet & 15]);
            let text = nibbles
                .rev()
                .map(|nibble| format!("{nibble:x}."))
                .collect::<String>();
            format!("{text}ip6.arpa")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_reverse_names() {
        let v4 = "192.0.2.7".parse().unwrap();
        assert_eq!(reverse(v4), "7.2.0.192.in-addr.arpa");
        let v6 = reverse("2001:db8::1".parse().unwrap());
        assert!(
            v6.starts_with("1.0.0.0.") && v6.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"),
            "{v6}"
        );
    }
}
