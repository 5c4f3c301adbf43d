//! A file of trust anchors, word by word: the part of the zone-file format (RFC 1035 §5.1) that they need.

use super::flaw::Flaw;
use super::rdata::{Dnskey, Ds};
use hickory_resolver::proto::rr::Name;

/// A record that is an anchor.
pub(super) enum AnchorRecord {
    Ds(Ds),
    Key(Dnskey),
}

/// The words of one record, of one line or several in parentheses.
pub(super) struct Entry<'a> {
    pub line: usize,
    /// The line starts with a blank: the owner is that of the record before.
    same_owner: bool,
    words: Vec<&'a str>,
    /// What unbound notes of a key (RFC 5011 §4): `;;state=2`.
    state: Option<u8>,
}

pub(super) fn entries(text: &str) -> Result<Vec<Entry<'_>>, (usize, String)> {
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
    pub(super) fn read(
        &self,
        owner: &mut Option<Name>,
    ) -> Result<Option<(Name, AnchorRecord)>, String> {
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

pub(super) fn hex(digits: &str) -> Option<Vec<u8>> {
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
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_every_length() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYg==", Some(b"foob")),
            ("Zg=", None),
            ("Z===", None),
            ("Zm9v!", None),
            ("Zm=v", None),
        ] {
            assert_eq!(base64(text).as_deref(), expected, "{text}");
        }
    }
}
