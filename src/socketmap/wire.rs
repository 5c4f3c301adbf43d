//! Netstrings, as socketmap clients send and expect them (socketmap_table(5)): pure, strict, bounded.

use std::ops::Range;

/// Longest request that is read, in octets, without its frame; Postfix sends no longer ones.
pub(super) const MAX_REQUEST: usize = 10_000;
/// Longest reply that Postfix takes, in octets, without its frame.
pub(super) const MAX_REPLY: usize = 100_000;
/// Digits of [`MAX_REQUEST`].
const MAX_DIGITS: usize = 5;
/// Longest request with its frame: `10000:` and `,`.
pub(super) const MAX_FRAME: usize = MAX_DIGITS + 1 + MAX_REQUEST + 1;

/// What the octets received so far begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The beginning of a request, or nothing.
    Incomplete,
    Request {
        payload: Range<usize>,
        /// Octets of the request with its frame.
        length: usize,
    },
}

/// Why the octets are no netstring that is taken; where the next one begins is not known then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the length is no number")]
    NoLength,
    #[error("the length has leading zeros")]
    LeadingZeros,
    #[error("the request is longer than {MAX_REQUEST} octets")]
    TooLong,
    #[error("the request does not end in a comma")]
    NoComma,
}

/// Reads the first request of what was received.
pub(super) fn parse(received: &[u8]) -> Result<Parsed, Malformed> {
    let digits = received.iter().take_while(|o| o.is_ascii_digit()).count();
    if digits > 1 && received.first() == Some(&b'0') {
        return Err(Malformed::LeadingZeros);
    }
    if digits > MAX_DIGITS {
        return Err(Malformed::TooLong);
    }
    match received.get(digits) {
        None => return Ok(Parsed::Incomplete),
        Some(b':') if digits > 0 => {}
        Some(_) => return Err(Malformed::NoLength),
    }
    let length = received
        .iter()
        .take(digits)
        .fold(0_usize, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    if length > MAX_REQUEST {
        return Err(Malformed::TooLong);
    }
    let payload = digits + 1..digits + 1 + length;
    match received.get(payload.end) {
        None => Ok(Parsed::Incomplete),
        Some(b',') => Ok(Parsed::Request {
            length: payload.end + 1,
            payload,
        }),
        Some(_) => Err(Malformed::NoComma),
    }
}

/// The map's name and the key; `None` where no blank separates them.
pub(super) fn split(request: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = request.iter().position(|octet| *octet == b' ')?;
    let (name, key) = request.split_at(blank);
    Some((name, key.get(1..)?))
}

/// A reply in its frame.
pub(super) fn frame(reply: &str) -> Vec<u8> {
    format!("{}:{reply},", reply.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(payload: Range<usize>, length: usize) -> Result<Parsed, Malformed> {
        Ok(Parsed::Request { payload, length })
    }

    #[test]
    fn netstrings_are_read_strictly() {
        for (received, expected) in [
            ("", Ok(Parsed::Incomplete)),
            ("1", Ok(Parsed::Incomplete)),
            ("12:QUERY a.exa", Ok(Parsed::Incomplete)),
            ("12:QUERY a.exa,", Ok(Parsed::Incomplete)), // the comma may belong to the key
            ("9:QUERY a.b,", request(2..11, 12)),
            ("9:QUERY a.b,9:QUERY", request(2..11, 12)), // the next one may follow at once
            ("0:,", request(2..2, 3)),
            ("10000:", Ok(Parsed::Incomplete)),
            ("10001:", Err(Malformed::TooLong)),
            ("100000", Err(Malformed::TooLong)), // before its colon comes
            ("99999999999999999999:", Err(Malformed::TooLong)),
            ("09:QUERY a.b,", Err(Malformed::LeadingZeros)),
            ("00:,", Err(Malformed::LeadingZeros)),
            (":", Err(Malformed::NoLength)),
            ("-1:", Err(Malformed::NoLength)),
            ("+9:QUERY a.b,", Err(Malformed::NoLength)),
            (" 9:QUERY a.b,", Err(Malformed::NoLength)),
            ("9 :QUERY a.b,", Err(Malformed::NoLength)),
            ("GET / HTTP/1.1\r\n", Err(Malformed::NoLength)),
            ("9:QUERY a.b;", Err(Malformed::NoComma)),
            ("8:QUERY a.b,", Err(Malformed::NoComma)),
        ] {
            assert_eq!(parse(received.as_bytes()), expected, "{received}");
        }
    }

    #[test]
    fn a_request_is_a_name_and_a_key() {
        let split = |text: &'static str| split(text.as_bytes());
        assert_eq!(split("QUERY a.b"), Some((&b"QUERY"[..], &b"a.b"[..])));
        assert_eq!(split("QUERY "), Some((&b"QUERY"[..], &b""[..])));
        assert_eq!(split("QUERY a b"), Some((&b"QUERY"[..], &b"a b"[..])));
        assert_eq!(split(" a"), Some((&b""[..], &b"a"[..])));
        assert_eq!(split("QUERY"), None);
        assert_eq!(split(""), None);
    }

    #[test]
    fn the_longest_request_fits_its_frame() {
        let longest = [b"10000:", &[b'a'; MAX_REQUEST][..], b","].concat();
        assert_eq!(longest.len(), MAX_FRAME);
        assert_eq!(parse(&longest), request(6..10_006, MAX_FRAME));
        assert_eq!(frame("NOTFOUND "), b"9:NOTFOUND ,");
    }

    proptest! {
        /// A full buffer is never incomplete, so that a reader cannot be made to wait for ever.
        #[test]
        fn a_full_buffer_is_decided(mut octets in proptest::collection::vec(any::<u8>(), 0..64), zeros in any::<bool>()) {
            octets.resize(MAX_FRAME, if zeros { b'0' } else { b'x' });
            prop_assert_ne!(parse(&octets), Ok(Parsed::Incomplete));
        }

        #[test]
        fn what_was_framed_is_read_wherever_it_is_cut(payload in "[ -~]{0,200}", rest in "[ -~]{0,20}", cut in 0_usize..230) {
            let framed = frame(&payload);
            let all = [&framed[..], rest.as_bytes()].concat();
            let length = framed.len();
            let parsed = parse(&all);
            prop_assert_eq!(&parsed, &request(length - 1 - payload.len()..length - 1, length));
            let cut = cut.min(all.len());
            let expected = if cut < length { Ok(Parsed::Incomplete) } else { parsed };
            prop_assert_eq!(parse(&all[..cut]), expected);
        }

        #[test]
        fn nothing_panics(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Parsed::Request { payload, length }) = parse(&octets) {
                prop_assert!(length <= octets.len() && payload.end < length);
                let _ = split(&octets[payload]);
            }
        }
    }
}
