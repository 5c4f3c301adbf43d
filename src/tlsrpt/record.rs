//! The TXT record that says where reports go (RFC 8460 §3).

const VERSION: &[u8] = b"v=TLSRPTv1";
/// Addresses that are read; reports are not for crowds.
const MAX_ADDRESSES: usize = 10;

/// A record that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRecord {
    /// `mailto:` and `https:` URIs as published, at least one and at most ten; printable ASCII.
    pub addresses: Vec<String>,
}

/// Why TXT records name nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    #[error("no TLSRPT record")]
    Absent,
    #[error("several TLSRPT records")]
    Several,
    #[error("the TLSRPT record has no rua")]
    NoAddress,
    #[error("the TLSRPT record has more than one rua")]
    TwoLists,
    #[error("the rua of the TLSRPT record is neither mailto: nor https:")]
    BadAddress,
    #[error("the TLSRPT record is malformed")]
    Malformed,
}

/// Whether a TXT record is one of TLS reporting at all: others are discarded (RFC 8460 §3).
pub fn is_candidate(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(VERSION) else {
        return false;
    };
    rest.trim_ascii_start().first() == Some(&b';')
}

/// Reads the TXT records at `_smtp._tls.DOMAIN`, each with its strings joined. Of this kind there must be exactly
/// one.
pub fn read_records<'a>(
    texts: impl IntoIterator<Item = &'a [u8]>,
) -> Result<ReportRecord, RecordFault> {
    let mut candidates = texts.into_iter().filter(|text| is_candidate(text));
    let Some(record) = candidates.next() else {
        return Err(RecordFault::Absent);
    };
    if candidates.next().is_some() {
        return Err(RecordFault::Several);
    }
    read(record)
}

/// `v=TLSRPTv1; rua=mailto:reports@example.com,https://example.com/v1; name=value`
fn read(record: &[u8]) -> Result<ReportRecord, RecordFault> {
    let text = std::str::from_utf8(record).map_err(|_| RecordFault::Malformed)?;
    let mut addresses = None;
    let mut fields = text.split(';').skip(1).map(str::trim).peekable();
    while let Some(field) = fields.next() {
        if field.is_empty() && fields.peek().is_none() {
            break;
        }
        let (name, value) = field.split_once('=').ok_or(RecordFault::Malformed)?;
        let (name, value) = (name.trim_end(), value.trim_start());
        let sound = !name.is_empty() && value.bytes().all(|b| (b' '..=b'~').contains(&b));
        if !sound {
            return Err(RecordFault::Malformed);
        }
        if name == "rua" && addresses.replace(read_addresses(value)?).is_some() {
            return Err(RecordFault::TwoLists);
        }
    }
    let addresses = addresses.ok_or(RecordFault::NoAddress)?;
    Ok(ReportRecord { addresses })
}

fn read_addresses(value: &str) -> Result<Vec<String>, RecordFault> {
    let mut addresses = Vec::new();
    for uri in value.split(',').map(str::trim).take(MAX_ADDRESSES) {
        let lower = uri.to_ascii_lowercase();
        let rest = lower
            .strip_prefix("mailto:")
            .or_else(|| lower.strip_prefix("https:"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(' ')) {
            return Err(RecordFault::BadAddress);
        }
        addresses.push(uri.to_owned());
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_record_with_one_list() {
        use RecordFault::{Absent, BadAddress, Malformed, NoAddress, Several, TwoLists};
        for (records, expected) in [
            (
                &["v=TLSRPTv1; rua=mailto:a@b.test"][..],
                Ok("mailto:a@b.test"),
            ),
            (
                &["v=TLSRPTv1;rua=https://b.test/x;"],
                Ok("https://b.test/x"),
            ),
            (
                &["v=TLSRPTv1; rua=mailto:a@b.test, https://b.test/x; x=y"],
                Ok("mailto:a@b.test https://b.test/x"),
            ),
            (
                &["v=spf1 -all", "v=TLSRPTv1; rua=MAILTO:a@b.test"],
                Ok("MAILTO:a@b.test"),
            ),
            (&[], Err(Absent)),
            (&["v=TLSRPTv2; rua=mailto:a@b.test"], Err(Absent)),
            (&["v=TLSRPTv1"], Err(Absent)), // the delimiter is part of the version
            (&["v=tlsrptv1; rua=mailto:a@b.test"], Err(Absent)),
            (
                &["v=TLSRPTv1;", "v=TLSRPTv1; rua=mailto:a@b.test"],
                Err(Several),
            ),
            (&["v=TLSRPTv1;"], Err(NoAddress)),
            (
                &["v=TLSRPTv1; rua=mailto:a@b.test; rua=mailto:c@b.test"],
                Err(TwoLists),
            ),
            (&["v=TLSRPTv1; rua=a@b.test"], Err(BadAddress)),
            (&["v=TLSRPTv1; rua=mailto:"], Err(BadAddress)),
            (&["v=TLSRPTv1; rua=http://b.test"], Err(BadAddress)),
            (&["v=TLSRPTv1; rua"], Err(Malformed)),
            (&["v=TLSRPTv1;; rua=mailto:a@b.test"], Err(Malformed)),
            (
                &["v=TLSRPTv1; rua=mailto:a\u{1b}[31m@b.test"],
                Err(Malformed),
            ),
        ] {
            let got = read_records(records.iter().map(|text| text.as_bytes()));
            let got = got.map(|record| record.addresses.join(" "));
            assert_eq!(
                got.as_deref().map_err(|fault| *fault),
                expected,
                "{records:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut record = b"v=TLSRPTv1;".to_vec();
            record.extend(&text);
            let _ = read_records([&text[..], &record[..]]);
        }
    }
}
