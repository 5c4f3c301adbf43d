//! Files for others: trust anchors, and all zones with their signatures.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::DnsServer;
use super::resolve::signatures;
use super::text;
use super::tree::{LiveZone, code};
use crate::dnssec::canonical::{RrSet, octets};
use crate::dnssec::declare::Denial;
use crate::name::Domain;
use crate::tasks::lock;

impl DnsServer {
    /// A file with the root's DS records, one a line, for `trust_anchor` here and `trust-anchor-file` of unbound.
    /// It lives as long as this value, and has the keys of now.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn trust_anchor_file(&self) -> PathBuf {
        self.anchor("anchor.ds", |root| {
            let data = root.ds();
            data.iter()
                .filter_map(|data| Some(format!("DS {}", text::ds(data)?)))
                .collect()
        })
    }

    /// The same with the root's DNSKEY records.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn trust_anchor_dnskey_file(&self) -> PathBuf {
        self.anchor("anchor.dnskey", |root| {
            let sets = &root.names[&root.apex];
            let keys = sets
                .get(&code::DNSKEY)
                .into_iter()
                .flat_map(|set| &set.data);
            keys.filter_map(|data| Some(format!("DNSKEY {}", text::dnskey(&octets(data))?)))
                .collect()
        })
    }

    fn anchor(&self, file: &str, records: fn(&LiveZone) -> Vec<String>) -> PathBuf {
        let tree = lock(&self.shared.store).tree();
        let mut lines = String::new();
        for record in records(&tree.zones[&Domain::default()]) {
            let _ = writeln!(lines, ". 3600 IN {record}");
        }
        let path = self.directory.path().join(file);
        std::fs::write(&path, lines).expect("a temporary file can be written");
        path
    }

    /// Writes every zone as a master file with its signatures and proofs, `a.test.zone` and so on; the root is
    /// `root.zone`. The apexes, without the final dot, and their files.
    ///
    /// # Errors
    /// Those of writing files.
    pub fn write_zones(&self, directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
        let tree = lock(&self.shared.store).tree();
        let mut files = Vec::new();
        for zone in tree.zones.values() {
            let apex = text::owner(&zone.apex.wire());
            let apex = apex.trim_end_matches('.');
            let stem = if apex.is_empty() { "root" } else { apex };
            let path = directory.join(format!("{stem}.zone"));
            std::fs::write(&path, master_file(zone))?;
            files.push((apex.to_owned(), path));
        }
        Ok(files)
    }
}

fn master_file(zone: &LiveZone) -> String {
    let mut file = String::new();
    // A master file begins with the SOA record.
    write_set(&mut file, zone, &zone.apex, zone.soa());
    for (owner, sets) in &zone.names {
        for set in sets.values().filter(|set| set.code() != code::SOA) {
            write_set(&mut file, zone, owner, set);
        }
        if zone.is_signed() && zone.zone.denial == Denial::Nsec {
            write_set(&mut file, zone, owner, &zone.nsec(owner).set);
        }
    }
    if zone.is_signed() && zone.zone.denial != Denial::Nsec {
        for (hash, name) in zone.hashes() {
            let proof = zone.nsec3(hash, name);
            write_set(&mut file, zone, &proof.owner, &proof.set);
        }
    }
    file
}

fn write_set(file: &mut String, zone: &LiveZone, owner: &Domain, set: &RrSet) {
    let name = owner.to_name();
    let records = set.records(&name);
    for record in records.iter().chain(&signatures(zone, &name, owner, set)) {
        let record_type = record.record_type();
        let owner = text::owner(&owner.wire());
        let data = text::data(record_type, &record.data);
        let _ = writeln!(file, "{owner} {} IN {record_type} {data}", record.ttl);
    }
}
