//! Trust anchors: the root's keys in a file.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::DnsServer;
use super::tree::{LiveZone, code};
use crate::ca::base64;
use crate::dnssec::canonical::octets;
use crate::name::Domain;
use crate::tasks::lock;

impl DnsServer {
    pub(super) fn anchor(
        &self,
        file: &str,
        record_type: &str,
        data: fn(&LiveZone) -> Vec<String>,
    ) -> PathBuf {
        let tree = lock(&self.shared.store).tree();
        let mut lines = String::new();
        for data in data(&tree.zones[&Domain::default()]) {
            let _ = writeln!(lines, ". 3600 IN {record_type} {data}");
        }
        let path = self.directory.path().join(file);
        std::fs::write(&path, lines).expect("a temporary file can be written");
        path
    }
}

pub(super) fn ds(root: &LiveZone) -> Vec<String> {
    root.ds().iter().filter_map(|data| ds_text(data)).collect()
}

pub(super) fn dnskey(root: &LiveZone) -> Vec<String> {
    let sets = &root.names[&root.apex];
    let keys = sets
        .get(&code::DNSKEY)
        .into_iter()
        .flat_map(|set| &set.data);
    keys.filter_map(|data| dnskey_text(&octets(data))).collect()
}

/// RFC 4034 §5.3.
pub(super) fn ds_text(data: &[u8]) -> Option<String> {
    let ([tag @ .., algorithm, digest_type], digest) = data.split_first_chunk::<4>()?;
    let tag = u16::from_be_bytes([tag[0], tag[1]]);
    let digest = hex(digest);
    Some(format!("{tag} {algorithm} {digest_type} {digest}"))
}

/// RFC 4034 §2.2.
pub(super) fn dnskey_text(data: &[u8]) -> Option<String> {
    let ([flags @ .., protocol, algorithm], key) = data.split_first_chunk::<4>()?;
    let flags = u16::from_be_bytes([flags[0], flags[1]]);
    let key = base64(key);
    Some(format!("{flags} {protocol} {algorithm} {key}"))
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02X}");
        text
    })
}
