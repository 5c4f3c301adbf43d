//! Record data as master files have it (RFC 1035 §5.1, RFC 4034, RFC 5155 §3.3, RFC 3597 §5).

use std::fmt::Write as _;

use hickory_proto::rr::{RData, RecordType};

use super::proof::base32hex;
use crate::ca::base64;
use crate::dnssec::canonical::octets;

/// The data; in the form for unknown types where nothing better is known or the data is not what the type should have.
pub(super) fn data(record_type: RecordType, data: &RData) -> String {
    let octets = octets(data);
    let known = match u16::from(record_type) {
        1 | 2 | 5 | 6 | 12 | 15 | 28 if !matches!(data, RData::Unknown { .. }) => {
            Some(data.to_string())
        }
        2 | 5 | 12 | 39 => domain(&octets).and_then(|(name, rest)| rest.is_empty().then_some(name)),
        16 => strings(&octets),
        43 => ds(&octets),
        46 => rrsig(&octets),
        47 => nsec(&octets),
        48 => dnskey(&octets),
        50 => nsec3(&octets),
        51 => nsec3param(&octets).map(|(text, _)| text),
        52 => tlsa(&octets),
        _ => None,
    };
    known.unwrap_or_else(|| format!("\\# {} {}", octets.len(), hex(&octets)))
}

/// RFC 4034 §5.3.
pub(super) fn ds(data: &[u8]) -> Option<String> {
    let ([tag @ .., algorithm, digest_type], digest) = data.split_first_chunk::<4>()?;
    let tag = u16::from_be_bytes([tag[0], tag[1]]);
    let digest = hex(digest);
    Some(format!("{tag} {algorithm} {digest_type} {digest}"))
}

/// RFC 4034 §2.2.
pub(super) fn dnskey(data: &[u8]) -> Option<String> {
    let ([flags @ .., protocol, algorithm], key) = data.split_first_chunk::<4>()?;
    let flags = u16::from_be_bytes([flags[0], flags[1]]);
    let key = base64(key);
    Some(format!("{flags} {protocol} {algorithm} {key}"))
}

/// RFC 4034 §3.2, with times in seconds since 1970.
fn rrsig(data: &[u8]) -> Option<String> {
    let (fixed, rest) = data.split_first_chunk::<18>()?;
    let short = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let long = |at: usize| u32::from(short(at)) << 16 | u32::from(short(at + 2));
    let (signer, signature) = domain(rest)?;
    Some(format!(
        "{covered} {algorithm} {labels} {ttl} {expiration} {inception} {tag} {signer} {signature}",
        covered = RecordType::from(short(0)),
        algorithm = fixed[2],
        labels = fixed[3],
        ttl = long(4),
        expiration = long(8),
        inception = long(12),
        tag = short(16),
        signature = base64(signature),
    ))
}

fn nsec(data: &[u8]) -> Option<String> {
    let (next, types) = domain(data)?;
    Some(format!("{next}{}", bitmap(types)?))
}

fn nsec3(data: &[u8]) -> Option<String> {
    let (parameters, rest) = nsec3param(data)?;
    let (length, rest) = rest.split_first()?;
    let (next, types) = rest.split_at_checked(usize::from(*length))?;
    Some(format!(
        "{parameters} {}{}",
        base32hex(next),
        bitmap(types)?
    ))
}

fn nsec3param(data: &[u8]) -> Option<(String, &[u8])> {
    let ([algorithm, flags, iterations @ .., length], rest) = data.split_first_chunk::<5>()?;
    let iterations = u16::from_be_bytes([iterations[0], iterations[1]]);
    let (salt, rest) = rest.split_at_checked(usize::from(*length))?;
    let salt = if salt.is_empty() {
        "-".to_owned()
    } else {
        hex(salt)
    };
    Some((format!("{algorithm} {flags} {iterations} {salt}"), rest))
}

/// RFC 6698 §2.2.
fn tlsa(data: &[u8]) -> Option<String> {
    let ([usage, selector, matching], association) = data.split_first_chunk::<3>()?;
    let association = hex(association);
    (!association.is_empty()).then(|| format!("{usage} {selector} {matching} {association}"))
}

fn strings(mut data: &[u8]) -> Option<String> {
    let mut all = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length))?;
        all.push(format!("\"{}\"", escaped(string)));
        data = rest;
    }
    Some(all.join(" "))
}

/// The types of a bitmap, each after a blank.
fn bitmap(mut data: &[u8]) -> Option<String> {
    let mut types = String::new();
    while let Some(([window, length], rest)) = data.split_first_chunk::<2>() {
        let (bits, rest) = rest.split_at_checked(usize::from(*length))?;
        for (place, octet) in (0_u16..).zip(bits) {
            for bit in (0..8).filter(|bit| octet & (0x80 >> bit) != 0) {
                let code = u16::from(*window) << 8 | (place * 8 + bit);
                let _ = write!(types, " {}", RecordType::from(code));
            }
        }
        data = rest;
    }
    Some(types)
}

/// A name, and what is after it.
fn domain(mut data: &[u8]) -> Option<(String, &[u8])> {
    let mut text = String::new();
    loop {
        let (length, rest) = data.split_first()?;
        if *length == 0 {
            let name = if text.is_empty() {
                ".".to_owned()
            } else {
                text
            };
            return Some((name, rest));
        }
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        let _ = write!(text, "{}.", escaped(label).replace('.', "\\."));
        data = rest;
    }
}

fn escaped(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = match octet {
            b'"' | b'\\' => write!(text, "\\{}", char::from(*octet)),
            b' '..=b'~' => write!(text, "{}", char::from(*octet)),
            _ => write!(text, "\\{octet:03}"),
        };
        text
    })
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02X}");
        text
    })
}

/// A name as a record's owner.
pub(super) fn owner(wire: &[u8]) -> String {
    domain(wire).map_or_else(|| ".".to_owned(), |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::canonical::from_octets;

    #[test]
    fn data_is_written_as_the_rfcs_say() {
        for (code, octets, text) in [
            (16, &b"\x03a\"b\x01\xff"[..], r#""a\"b" "\255""#),
            (52, &[3, 1, 1, 0xab], "3 1 1 AB"),
            (52, &[3, 1], "\\# 2 0301"),
            (52, &[], "\\# 0 "),
            (39, b"\x01a\x04test\0", "a.test."),
            (
                47,
                b"\x01a\0\x00\x06\x40\x01\0\0\0\x03",
                "a. A MX RRSIG NSEC",
            ),
            (51, &[1, 0, 0, 5, 1, 0xaa], "1 0 5 AA"),
            (51, &[1, 0, 0, 5, 0], "1 0 5 -"),
            (65_280, &[1, 2], "\\# 2 0102"),
        ] {
            let record_type = RecordType::from(code);
            let found = data(record_type, &from_octets(record_type, octets));
            assert_eq!(found, text, "{code} {octets:?}");
        }
    }
}
