//! Trust anchors: where validation starts (RFC 4035 §4.4, RFC 7958).
//!
//! A file holds DS or DNSKEY records in zone-file format, as unbound's `root.key` does with its comments
//! of state (RFC 5011). The anchor of the root may be joined or replaced by those of other zones; names
//! that no anchor is above are not validated.

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

/// Whether a file of trust anchors can be used; if not, why, with file and line.
pub fn check_trust_anchor(path: &Path) -> Result<(), String> {
    Anchors::load(path).map(|_| ())
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
        Self::read(&text).map_err(|(line, why)| match line {
            0 => format!("{shown}: {why}"),
            _ => format!("{shown}:{line}: {why}"),
        })
    }

    /// Fails with the line's number, 0 for the whole.
    pub(super) fn read(text: &str) -> Result<Self, (usize, String)> {
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

enum AnchorRecord {
    Ds(Ds),
    Key(Dnskey),
}

/// The words of one record, of one line or several in parentheses.
struct Entry<'a> {
    line: usize,
    /// The line starts with a blank: the owner is that of the record before.
    same_owner: bool,
    words: Vec<&'a str>,
    /// What unbound notes of a key (RFC 5011 §4): `;;state=2`.
    state: Option<u8>,
}

fn entries(text: &str) -> Result<Vec<Entry<'_>>, (usize, String)> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut open: Option<usize> = None;
    for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line)) {
        let (content, comment) = line.split_once(';').unwrap_or((line, ""));
        if open.is_none() && !content.trim().is_empty() {
            entries.push(Entry {
                line: number,
                same_owner: content.starts_with([' ', '\t']),
                words: Vec::new(),
                state: None,
            });
        }
        let Some(entry) = entries.last_mut().filter(|_| !content.trim().is_empty()) else {
            continue;
        };
        let mut rest = content;
        while let Some(at) = rest.find(['(', ')']) {
            entry.words.extend(rest[..at].split_whitespace());
            match (&rest[at..=at], open) {
                ("(", None) => open = Some(number),
                (")", Some(_)) => open = None,
                _ => return Err((number, "parentheses do not match".into())),
            }
            rest = &rest[at + 1..];
        }
        entry.words.extend(rest.split_whitespace());
        entry.state = entry.state.or_else(|| state_in(comment));
    }
    match open {
        Some(number) => Err((number, "the parenthesis is not closed".into())),
        None => Ok(entries),
    }
}

fn state_in(comment: &str) -> Option<u8> {
    let (_, after) = comment.split_once(";state=")?;
    after.get(..1)?.parse().ok()
}

impl Entry<'_> {
    /// `None` for what is no record or is not in force.
    fn read(&self, owner: &mut Option<Name>) -> Result<Option<(Name, AnchorRecord)>, String> {
        let mut words = self.words.iter().copied().peekable();
        if words.peek().is_some_and(|word| word.starts_with('$')) {
            return match self.words[0] {
                "$TTL" => Ok(None),
                other => Err(format!("{other} is not understood")),
            };
        }
        if !self.same_owner {
            *owner = Some(owner_name(words.next().unwrap_or_default())?);
        }
        let zone = owner.clone().ok_or("a record without a name")?;
        let is_filler = |word: &str| {
            word.eq_ignore_ascii_case("IN")
                || word.bytes().next().is_some_and(|b| b.is_ascii_digit())
        };
        while words.next_if(|word| is_filler(word)).is_some() {}
        let record_type = words.next().unwrap_or_default().to_ascii_uppercase();
        let fields: Vec<&str> = words.collect();
        let record = match &record_type[..] {
            "DS" => AnchorRecord::Ds(ds(&fields)?),
            "DNSKEY" => AnchorRecord::Key(dnskey(&fields)?),
            "" => return Err("a name without a record".into()),
            other => return Err(format!("{other}: only DS and DNSKEY records are anchors")),
        };
        let revoked = matches!(&record, AnchorRecord::Key(key) if !key.is_zone_key());
        // VALID and MISSING are trusted, other states are not (RFC 5011 §4.2).
        let in_force = self.state.is_none_or(|state| matches!(state, 2 | 3));
        Ok((in_force && !revoked).then_some((zone, record)))
    }
}

fn owner_name(word: &str) -> Result<Name, String> {
    let wrong = || format!("{word:?} is not a name");
    if word.is_empty() || word.contains('\\') {
        return Err(wrong());
    }
    let mut name = Name::from_ascii(word).map_err(|_| wrong())?;
    name.set_fqdn(true);
    Ok(name)
}

fn ds(fields: &[&str]) -> Result<Ds, String> {
    let [tag, algorithm, digest_type, digest @ ..] = fields else {
        return Err("a DS record has a key tag, an algorithm, a digest type and a digest".into());
    };
    let ds = Ds {
        key_tag: number(tag, "key tag")?,
        algorithm: number(algorithm, "algorithm")?,
        digest_type: number(digest_type, "digest type")?,
        digest: hex(&digest.concat())
            .ok_or("the digest is not hexadecimal")?
            .into(),
    };
    let length = match ds.digest_type {
        1 => Some(20),
        2 => Some(32),
        4 => Some(48),
        _ => None,
    };
    if length.is_some_and(|length| length != ds.digest.len()) {
        return Err("the digest has the wrong length".into());
    }
    Ok(ds)
}

fn dnskey(fields: &[&str]) -> Result<Dnskey, String> {
    let [flags, protocol, algorithm, key @ ..] = fields else {
        return Err("a DNSKEY record has flags, a protocol, an algorithm and a key".into());
    };
    let flags: u16 = number(flags, "flags")?;
    let mut data = flags.to_be_bytes().to_vec();
    data.push(number(protocol, "protocol")?);
    data.push(number(algorithm, "algorithm")?);
    let key = base64(&key.concat()).filter(|key| !key.is_empty());
    data.extend(key.ok_or("the key is not base64")?);
    Dnskey::read(&data).ok_or_else(|| Flaw::NoKey.to_string())
}

fn number<N: std::str::FromStr>(word: &str, what: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("{word:?} is no {what}"))
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok())
        .collect()
}

/// RFC 4648 §4, with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut octets = Vec::new();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 {
        return None;
    }
    for group in digits.as_bytes().chunks(4) {
        let mut bits: u32 = 0;
        for digit in group {
            let value = ALPHABET.iter().position(|letter| letter == digit)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bits <<= 6 * (4 - group.len());
        octets.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(octets)
}
