//! xtext (RFC 3461 §4): printable ASCII with `+HH` for the rest.

/// The decoded octets; `None` if it is no xtext.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        decoded.push(match octet {
            b'+' => hex(octets.next()?)? << 4 | hex(octets.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => octet,
            _ => return None,
        });
    }
    Some(decoded)
}

/// Upper case only (RFC 3461 §4).
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_strict() {
        for (text, expected) in [
            ("a+2Bb", Some("a+b")),
            ("", Some("")),
            ("+3D", Some("=")),
            ("+3d", None),
            ("+3", None),
            ("+", None),
            ("a=b", None),
            ("a b", None),
            ("ä", None),
        ] {
            let expected = expected.map(|e| e.as_bytes().to_vec());
            assert_eq!(decode(text), expected, "{text}");
        }
    }
}
