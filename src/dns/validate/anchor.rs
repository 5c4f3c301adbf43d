//! Trust anchors: where validation starts (RFC 4035 §4.4, RFC 7958).
//!
//! A file holds DS or DNSKEY records in zone-file format, as unbound's `root.key` does with its comments
//! of state (RFC 5011). Anchors of other zones are used besides that of the root; if the file has none for
//! the root, IANA's is used, so that nothing is left without.

use super::anchor_file::{AnchorRecord, entries};
use super::budget::Budget;
use super::flaw::Flaw;
use super::keys::{Delegation, ZoneKeys, is_supported};
use super::names::labels;
use super::rdata::{Dnskey, Ds};
use super::rrset::RrSet;
use super::signature::{Verified, WallClock};
use hickory_resolver::proto::rr::Name;
use std::path::Path;

/// Largest file that is read.
const MAX_FILE: usize = 64 * 1024;

/// The DS records of IANA's root keys of 2017 and 2024, from
/// <https://data.iana.org/root-anchors/root-anchors.xml>.
const IANA: &str = "\
. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
";

/// What is trusted without proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) struct Anchors(Vec<Anchor>);

/// The anchor of one zone: at least one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dns) struct Anchor {
    pub zone: Name,
    pub ds: Vec<Ds>,
    pub keys: Vec<Dnskey>,
}

impl Anchor {
    /// The keys of a DNSKEY set that the anchor vouches for.
    pub(in crate::dns) fn keys(
        &self,
        set: &RrSet<'_>,
        now: WallClock,
        budget: &mut Budget,
    ) -> Result<(ZoneKeys, Verified), Flaw> {
        let by_ds = match Delegation::of(self.ds.clone()) {
            Delegation::Signed(ds) => ZoneKeys::vouched(set, &ds, now, budget),
            Delegation::NotUnderstood => Err(Flaw::NoTrustedKey),
        };
        by_ds
            .or_else(|flaw| match self.keys[..] {
                [] => Err(flaw),
                _ => ZoneKeys::anchored(set, &self.keys, now, budget),
            })
            .map_err(|flaw| {
                if flaw == Flaw::NoTrustedKey {
                    return Flaw::NotTheAnchor;
                }
                flaw
            })
    }
}

impl Anchors {
    pub(in crate::dns) fn iana() -> Self {
        // A test reads it.
        Self::read(IANA).unwrap_or(Self(Vec::new()))
    }

    pub(in crate::dns) fn load(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let octets = std::fs::read(path).map_err(|e| format!("{shown}: {e}"))?;
        if octets.len() > MAX_FILE {
            return Err(format!("{shown}: larger than {MAX_FILE} octets"));
        }
        let text = String::from_utf8(octets).map_err(|_| format!("{shown}: not a text file"))?;
        let mut anchors = Self::read(&text).map_err(|(line, why)| match line {
            0 => format!("{shown}: {why}"),
            _ => format!("{shown}:{line}: {why}"),
        })?;
        if !anchors.0.iter().any(|anchor| anchor.zone.is_root()) {
            anchors.0.extend(Self::iana().0);
        }
        Ok(anchors)
    }

    /// Fails with the line's number, 0 for the whole.
    fn read(text: &str) -> Result<Self, (usize, String)> {
        let mut anchors = Self(Vec::new());
        let mut owner = None;
        for entry in entries(text)? {
            let line = entry.line;
            if let Some(record) = entry.read(&mut owner).map_err(|why| (line, why))? {
                anchors.add(record);
            }
        }
        if anchors.0.is_empty() {
            return Err((0, "no DS or DNSKEY record that is in force".into()));
        }
        for Anchor { zone, ds, keys } in &anchors.0 {
            let usable = keys.iter().any(|key| is_supported(key.algorithm))
                || Delegation::of(ds.clone()) != Delegation::NotUnderstood;
            if !usable {
                return Err((0, format!("no algorithm for {zone} is understood")));
            }
        }
        Ok(anchors)
    }

    fn add(&mut self, (zone, record): (Name, AnchorRecord)) {
        let at = match self.0.iter().position(|anchor| anchor.zone == zone) {
            Some(at) => at,
            None => {
                self.0.push(Anchor {
                    zone,
                    ds: Vec::new(),
                    keys: Vec::new(),
                });
                self.0.len() - 1
            }
        };
        match record {
            AnchorRecord::Ds(ds) => self.0[at].ds.push(ds),
            AnchorRecord::Key(key) => self.0[at].keys.push(key),
        }
    }

    /// The deepest anchor at or above a name.
    pub(in crate::dns) fn above(&self, name: &Name) -> Option<&Anchor> {
        let above = self.0.iter().filter(|anchor| anchor.zone.zone_of(name));
        above.max_by_key(|anchor| labels(&anchor.zone))
    }

    /// The anchor nearest to the root.
    pub(in crate::dns) fn highest(&self) -> Option<&Anchor> {
        self.0.iter().min_by_key(|anchor| labels(&anchor.zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::testing::name;

    const KEY: &str = "AwEAAag=";

    /// `zone:DS records:keys` of each anchor, or the error.
    fn say(text: &str) -> String {
        let anchors = match Anchors::read(text) {
            Ok(anchors) => anchors,
            Err((line, why)) => return format!("{line}: {why}"),
        };
        let one = |a: &Anchor| format!("{}:{}:{}", a.zone, a.ds.len(), a.keys.len());
        let all: Vec<String> = anchors.0.iter().map(one).collect();
        all.join(" ")
    }

    #[test]
    fn the_root_of_iana() {
        assert_eq!(say(IANA), ".:2:0");
        let anchors = Anchors::iana();
        assert_eq!(anchors.0[0].ds[0].key_tag, 20326);
        assert_eq!(anchors.0[0].ds[1].key_tag, 38696);
        assert_eq!(anchors.above(&name("a.test.")), Some(&anchors.0[0]));
    }

    #[test]
    fn files_as_they_are_found() {
        let digest = "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";
        let (half, rest) = digest.split_at(32);
        for (what, text, expected) in [
            ("DS", format!(". IN DS 1 8 2 {digest}"), ".:1:0"),
            (
                "lower case",
                format!(". in ds 1 8 2 {}", digest.to_lowercase()),
                ".:1:0",
            ),
            ("TTL", format!(". 86400 IN DS 1 8 2 {digest}"), ".:1:0"),
            ("class first", format!(". IN 1h DS 1 8 2 {digest}"), ".:1:0"),
            (
                "no class",
                format!(".\tDS\t1 8 2 {half} {rest} ; no class"),
                ".:1:0",
            ),
            (
                "lines",
                format!("$TTL 60\n. IN DS 1 8 2 (\n {half} ; half\n\n {rest} )\n"),
                ".:1:0",
            ),
            (
                "same owner",
                format!(". DNSKEY 257 3 8 {KEY}\n\tDNSKEY 257 3 8 {KEY}"),
                ".:0:2",
            ),
            (
                "zones",
                format!("Test DS 1 8 2 {digest}\n. DNSKEY 257 3 8 {KEY}"),
                "Test.:1:0 .:0:1",
            ),
            (
                "of unbound",
                format!(
                    "; autotrust trust anchor file\n;;id: . 1\n;;last_queried: 1\n\
                     .\t86400\tIN\tDNSKEY\t257 3 8 {KEY} ;{{id = 20326 (ksk), size = 2048b}} ;;state=2 [  VALID  ] ;;count=0\n\
                     .\t86400\tIN\tDNSKEY\t257 3 8 {KEY} ;{{id = 1 (ksk), size = 2048b}} ;;state=1 [ ADDPEND ] ;;count=3\n"
                ),
                ".:0:1",
            ),
            (
                "revoked",
                format!(". DNSKEY 385 3 8 {KEY}\n. DNSKEY 257 3 8 {KEY}"),
                ".:0:1",
            ),
        ] {
            assert_eq!(say(&text), expected, "{what}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            ("", "0: no DS or DNSKEY record that is in force"),
            ("; nothing", "0: no DS or DNSKEY record that is in force"),
            (
                ". DNSKEY 385 3 8 AwEAAag=",
                "0: no DS or DNSKEY record that is in force",
            ),
            (". DS 1 200 2 00", "1: the digest has the wrong length"),
            (". DS 1 8 9 00", "0: no algorithm for . is understood"),
            (
                ". DNSKEY 257 3 200 AwEAAag=",
                "0: no algorithm for . is understood",
            ),
            (
                "\n. A 192.0.2.1",
                "2: A: only DS and DNSKEY records are anchors",
            ),
            (". DS 1 8 2", "1: the digest is not hexadecimal"),
            (". DS 1 8 2 0g", "1: the digest is not hexadecimal"),
            (". DS 70000 8 2 00", "1: \"70000\" is no key tag"),
            (
                ". DS 1",
                "1: a DS record has a key tag, an algorithm, a digest type and a digest",
            ),
            (". DNSKEY 257 3 8 AwE", "1: the key is not base64"),
            (". DNSKEY 257 3 8 ====", "1: the key is not base64"),
            (". DNSKEY 257 3 8", "1: the key is not base64"),
            (" DS 1 8 2 00", "1: a record without a name"),
            ("a..b DS 1 8 2 00", "1: \"a..b\" is not a name"),
            (".", "1: a name without a record"),
            ("\n. DS ( 1 8\n2 00", "2: the parenthesis is not closed"),
            (". DS ) 1 8", "1: parentheses do not match"),
            ("$INCLUDE x", "1: $INCLUDE is not understood"),
        ] {
            assert_eq!(say(text), expected, "{text}");
        }
    }

    #[test]
    fn the_root_is_always_anchored() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("corp. DNSKEY 257 3 8 {KEY}")).unwrap();
        let anchors = Anchors::load(file.path()).unwrap();
        assert_eq!(anchors.above(&name("a.corp.")).unwrap().zone, name("corp."));
        assert_eq!(anchors.above(&name("corp.a.")).unwrap().ds.len(), 2);
        assert!(Anchors::load(file.path()).is_ok());
        std::fs::write(file.path(), "\nx").unwrap();
        let shown = file.path().display().to_string();
        let expected = Err(format!("{shown}:2: a name without a record"));
        assert_eq!(Anchors::load(file.path()).map(|_| ()), expected);
        assert!(Anchors::load("/nowhere".as_ref()).is_err());
    }
}
