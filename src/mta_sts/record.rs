//! The TXT record that says that there is a policy (RFC 8461 §3.1).

use std::fmt;
use std::sync::Arc;

const VERSION: &[u8] = b"v=STSv1";
const MAX_NAME: usize = 32;

/// Identifies one version of a policy: 1 to 32 letters and digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyId(Arc<str>);

impl PolicyId {
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=32).contains(&text.len());
        let sound = fits && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
        sound.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why TXT records announce no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    #[error("no MTA-STS record")]
    Absent,
    #[error("several MTA-STS records")]
    Several,
    #[error("the MTA-STS record has no id")]
    NoId,
    #[error("the MTA-STS record has more than one id")]
    TwoIds,
    #[error("the id of the MTA-STS record is not 1 to 32 letters and digits")]
    BadId,
    #[error("the MTA-STS record is malformed")]
    Malformed,
}

/// Whether a TXT record is one of MTA-STS at all, and not one of the many others that may be there.
pub fn is_candidate(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(VERSION) else {
        return false;
    };
    skip_blanks(rest).first() == Some(&b';')
}

/// Reads the TXT records at `_mta-sts.DOMAIN`, each with its strings joined. Records of another kind do not
/// count; of this kind there must be exactly one.
pub fn read_records<'a>(
    texts: impl IntoIterator<Item = &'a [u8]>,
) -> Result<PolicyId, RecordFault> {
    let mut candidates = texts.into_iter().filter(|text| is_candidate(text));
    let Some(record) = candidates.next() else {
        return Err(RecordFault::Absent);
    };
    if candidates.next().is_some() {
        return Err(RecordFault::Several);
    }
    read(record)
}

/// `v=STSv1; id=20260101; name=value;`
fn read(record: &[u8]) -> Result<PolicyId, RecordFault> {
    let mut rest = record.strip_prefix(VERSION).ok_or(RecordFault::Malformed)?;
    let mut id = None;
    loop {
        rest = skip_blanks(rest);
        if rest.is_empty() {
            break;
        }
        let after = rest.strip_prefix(b";").ok_or(RecordFault::Malformed)?;
        let field_at = skip_blanks(after);
        if field_at.is_empty() {
            break;
        }
        let end = field_at
            .iter()
            .position(|octet| matches!(octet, b';' | b' ' | b'\t'))
            .unwrap_or(field_at.len());
        let (field, left) = field_at.split_at(end);
        rest = left;
        if let Some(found) = of_field(field)?
            && id.replace(found).is_some()
        {
            return Err(RecordFault::TwoIds);
        }
    }
    id.ok_or(RecordFault::NoId)
}

/// The id, if the field is one; else it must be an extension.
fn of_field(field: &[u8]) -> Result<Option<PolicyId>, RecordFault> {
    let text = std::str::from_utf8(field).map_err(|_| RecordFault::Malformed)?;
    let (name, value) = text.split_once('=').ok_or(RecordFault::Malformed)?;
    if name == "id" {
        return PolicyId::parse(value).map(Some).ok_or(RecordFault::BadId);
    }
    let sound = is_extension_name(name)
        && !value.is_empty()
        && value
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'=');
    if sound {
        Ok(None)
    } else {
        Err(RecordFault::Malformed)
    }
}

/// The same grammar holds for names in the record and in the policy (RFC 8461 §3.1, §3.2).
pub(super) fn is_extension_name(name: &str) -> bool {
    let inner = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.');
    name.len() <= MAX_NAME
        && name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(inner)
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text
        .iter()
        .take_while(|octet| matches!(octet, b' ' | b'\t'))
        .count();
    &text[blanks..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_record_with_one_id() {
        use RecordFault::{Absent, BadId, Malformed, NoId, Several, TwoIds};
        let long = format!("v=STSv1; id={};", "a".repeat(32));
        let longer = format!("v=STSv1; id={};", "a".repeat(33));
        let name = format!("v=STSv1; id=1; {}=x", "n".repeat(32));
        let longer_name = format!("v=STSv1; id=1; {}=x", "n".repeat(33));
        for (records, expected) in [
            (
                &["v=STSv1; id=20260101T000000Z;"][..],
                Ok("20260101T000000Z"),
            ),
            (&["v=STSv1;id=1"], Ok("1")),
            (&["v=STSv1 ;\tid=1 ; "], Ok("1")),
            (&["v=STSv1; id=1; later=a:b/c; "], Ok("1")), // extensions are for the future
            (&["v=STSv1; a.b-c_d=x; id=1"], Ok("1")),
            (&[&long], Ok("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
            (&["v=spf1 -all", "v=STSv1; id=1", "", "x"], Ok("1")), // others are discarded first
            (&["v=STSv10; id=2", "v=STSv1; id=1"], Ok("1")),
            (&[&name], Ok("1")),
            (&[], Err(Absent)),
            (&["v=spf1 -all"], Err(Absent)),
            (&["v=stsv1; id=1"], Err(Absent)), // the version is case-sensitive
            (&[" v=STSv1; id=1"], Err(Absent)),
            (&["id=1; v=STSv1"], Err(Absent)),
            (&["v=STSv1"], Err(Absent)),
            (&["v=STSv1; id=1", "v=STSv1; id=1"], Err(Several)),
            (&["v=STSv1; id=1", "v=STSv1; broken"], Err(Several)),
            (&["v=STSv1;"], Err(NoId)),
            (&["v=STSv1; x=1"], Err(NoId)),
            (&["v=STSv1; id=1; id=1"], Err(TwoIds)),
            (&["v=STSv1; id="], Err(BadId)),
            (&["v=STSv1; id=2026-01-01"], Err(BadId)),
            (&[&longer], Err(BadId)),
            (&["v=STSv1; id=a b"], Err(Malformed)),
            (&["v=STSv1; id = 1"], Err(Malformed)),
            (&["v=STSv1; ID=1"], Err(NoId)), // an extension of that name
            (&["v=STSv1;; id=1"], Err(Malformed)),
            (&["v=STSv1; id=1 x=2"], Err(Malformed)),
            (&["v=STSv1; id=1; x="], Err(Malformed)),
            (&["v=STSv1; id=1; x=a=b"], Err(Malformed)),
            (&["v=STSv1; id=1; _x=a"], Err(Malformed)),
            (&["v=STSv1; id=1; x=\u{e4}"], Err(Malformed)),
            (&[&longer_name], Err(Malformed)),
        ] {
            let got = read_records(records.iter().map(|text| text.as_bytes()));
            let got = got.as_ref().map(PolicyId::as_str).map_err(|fault| *fault);
            assert_eq!(got, expected, "{records:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut record = b"v=STSv1;".to_vec();
            record.extend(&text);
            let _ = read_records([&text[..], &record[..]]);
        }
    }
}
