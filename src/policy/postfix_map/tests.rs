use super::*;
use crate::policy::{Fingerprint, TlsVersion};
use proptest::prelude::*;

const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn digest() -> [u8; 32] {
    sha256(HEX).unwrap()
}

fn one(text: &str) -> Result<Rule, String> {
    let map = parse(text, "map");
    match (map.entries.as_slice(), map.errors.as_slice()) {
        ([entry], []) => Ok(entry.rule.clone()),
        ([], [error]) => Err(error.text.clone()),
        (_, _) => panic!("{text}: {map:?}"),
    }
}

#[test]
fn keys_are_domains_parents_and_next_hops() {
    for (key, expected) in [
        ("Example.COM", Ok("example.com")),
        (".example.com", Ok(".example.com")),
        ("[mx.example.com]", Ok("[mx.example.com]")),
        ("[mx.example.com]:587", Ok("[mx.example.com]:587")),
        ("mx.example.com:587", Ok("mx.example.com:587")),
        ("[192.0.2.1]", Ok("[192.0.2.1]")),
        ("192.0.2.1", Err("write an address in brackets")),
        ("[mx.example.com", Err("not closed")),
        ("*.example.com", Err("no host name may have")),
        (".", Err("empty")),
        ("a:b:c", Err("port")),
    ] {
        let map = parse(&format!("{key} encrypt"), "map");
        match expected {
            Ok(expected) => assert_eq!(map.entries[0].key.to_string(), expected),
            Err(part) => assert!(map.errors[0].text.contains(part), "{key}: {map:?}"),
        }
    }
}

#[test]
fn levels_replace_what_is_published() {
    for (level, expected) in [
        ("none", Ok(Level::None)),
        ("MAY", Ok(Level::May)),
        ("encrypt", Ok(Level::Encrypt)),
        ("verify", Ok(Level::Verify)),
        ("secure", Ok(Level::Secure)),
        ("dane", Ok(Level::Dane)),
        ("DANE-only", Ok(Level::DaneOnly)),
        ("fingerprint", Err("needs match=")),
        ("half-dane", Err("is no level")),
        ("", Err("has no level")),
    ] {
        let got = one(&format!("a.example {level}\n"));
        match (got, expected) {
            (Ok(rule), Ok(level)) => {
                assert_eq!(
                    (rule.require, rule.published),
                    (Some(level), Published::Ignore)
                );
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{level}: {error}"),
            (got, expected) => panic!("{level}: {got:?}, not {expected:?}"),
        }
    }
}

#[test]
fn match_has_its_form_at_each_level() {
    let rule = one("a.example secure match=nexthop:.Example.net match=mx.example.org").unwrap();
    let name = |s| DomainName::parse(s).unwrap();
    assert_eq!(
        rule.match_names,
        [
            MatchName::NextHop,
            MatchName::Below(name("example.net")),
            MatchName::Name(name("mx.example.org"))
        ]
    );
    let colons: Vec<String> = HEX
        .as_bytes()
        .chunks(2)
        .map(|c| String::from_utf8_lossy(c).to_uppercase())
        .collect();
    let rule = one(&format!(
        "a.example fingerprint match={HEX}|{}",
        colons.join(":")
    ))
    .unwrap();
    assert_eq!(rule.fingerprints, [Fingerprint::Either(digest()); 2]);
    for (entry, part) in [
        ("encrypt match=nexthop", "does not go with level encrypt"),
        ("verify match=:", "names nothing"),
        ("verify match=a..b", "label"),
        ("verify match=", "has no value"),
        ("fingerprint match=00112233445566778899aabbccddeeff", "MD5"),
        (
            "fingerprint match=0011223344556677889900112233445566778899",
            "SHA-1",
        ),
        ("fingerprint match=x", "no SHA-256 digest"),
    ] {
        let error = one(&format!("a.example {entry}")).unwrap_err();
        assert!(error.contains(part), "{entry}: {error}");
    }
}

#[test]
fn protocols_become_the_least_version_or_an_error() {
    for (value, expected) in [
        (">=TLSv1.2", Ok(TlsVersion::V1_2)),
        (">=TLSv1", Ok(TlsVersion::V1_2)), // stricter than asked for
        (">=TLSv1.3", Ok(TlsVersion::V1_3)),
        (">=0304", Ok(TlsVersion::V1_3)),
        ("TLSv1.3", Ok(TlsVersion::V1_3)),
        ("TLSv1.2:TLSv1.3", Ok(TlsVersion::V1_2)),
        ("!SSLv2:!SSLv3", Ok(TlsVersion::V1_2)),
        (
            "!SSLv2:!SSLv3:!TLSv1:!TLSv1.1:!TLSv1.2",
            Ok(TlsVersion::V1_3),
        ),
        ("TLSv1.2", Err("forbids TLSv1.3")),
        ("<=TLSv1.2", Err("forbids TLSv1.3")),
        ("!TLSv1.3", Err("forbids TLSv1.3")),
        ("TLSv1", Err("leaves neither")),
        ("TLSv1.4", Err("no such version")),
        ("!", Err("no such version")),
    ] {
        let got = one(&format!("a.example encrypt protocols={value}"));
        match (got, expected) {
            (Ok(rule), Ok(version)) => assert_eq!(rule.min_version, Some(version), "{value}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{value}: {error}"),
            (got, expected) => panic!("{value}: {got:?}, not {expected:?}"),
        }
    }
}

#[test]
fn other_attributes_are_honoured_harmless_or_refused() {
    for (attributes, warnings, error) in [
        ("ciphers=high", 0, None),
        ("ciphers=medium exclude=aNULL:RC4-SHA:MD5", 0, None),
        ("servername=hostname enable_rpk=no", 0, None),
        ("connection_reuse=no", 1, None),
        ("ciphers=best", 0, Some("no such grade")),
        (
            "exclude=ECDHE-RSA-AES128-GCM-SHA256",
            0,
            Some("cannot be honoured"),
        ),
        ("servername=other.example", 0, Some("cannot be honoured")),
        ("enable_rpk=yes", 0, Some("not in this version")),
        ("tafile=/etc/ta.pem", 0, Some("cannot be honoured")),
        ("colour=red", 0, Some("no attribute \"colour\"")),
        ("nonsense", 0, Some("write name=value")),
    ] {
        let map = parse(&format!("a.example encrypt {attributes}"), "map");
        assert_eq!(map.warnings.len(), warnings, "{attributes}: {map:?}");
        let got = map.errors.first().map(|e| e.text.as_str());
        assert_eq!(got.is_some(), error.is_some(), "{attributes}: {map:?}");
        assert!(
            got.unwrap_or("").contains(error.unwrap_or("")),
            "{attributes}: {got:?}"
        );
    }
    for (entry, part) in [
        ("none match=nexthop", "means nothing at level none"),
        ("may protocols=TLSv1.3", "not at level may"),
    ] {
        let map = parse(&format!("a.example {entry}"), "map");
        assert!(map.warnings[0].text.contains(part), "{map:?}");
        assert_eq!((map.entries.len(), map.errors.len()), (1, 0));
    }
}

#[test]
fn comments_and_continuation_lines_are_postfix_s() {
    let text = "# comment\n\n  # indented comment\na.example\n    secure\n# in between\n\n\
                \tmatch=nexthop, protocols=>=TLSv1.3\nb.example may\r\n";
    let map = parse(text, "map");
    assert_eq!((map.errors, map.warnings), (vec![], vec![]));
    let [a, b] = map.entries.as_slice() else {
        panic!()
    };
    assert_eq!((a.line, b.line), (4, 9));
    assert_eq!(a.rule.origin, "map:4");
    assert_eq!(a.rule.match_names, [MatchName::NextHop]);
    assert_eq!(a.rule.min_version, Some(TlsVersion::V1_3));
    assert_eq!(b.rule.require, Some(Level::May));
}

#[test]
fn errors_name_their_line_and_do_not_hide_the_next() {
    let map = parse(
        " may\na.example may\nb.example\nA.example. encrypt\nc.example x\n",
        "map",
    );
    let lines: Vec<usize> = map.errors.iter().map(|e| e.line).collect();
    assert_eq!(lines, [1, 3, 4, 5]);
    assert!(map.errors[2].text.contains("stands on line 2 already"));
    assert_eq!(map.entries.len(), 1);
}

#[test]
fn nothing_grows_without_bound() {
    let long = format!("a.example secure match={}", "a.example:".repeat(20_000));
    assert!(one(&long).unwrap_err().contains("longer than"));
    let continued = format!("a.example may\n{}", "  x=y\n".repeat(100_000));
    assert!(one(&continued).unwrap_err().contains("longer than"));
    let map = parse(&"x\n".repeat(100_000), "map");
    assert_eq!(map.errors.len(), MAX_ERRORS + 1);
    let shown = one(&"z".repeat(10_000)).unwrap_err();
    assert!(shown.len() < 200, "{shown}");
}

#[test]
fn digests() {
    let colons = |n: usize| vec!["ab"; n].join(":");
    for (text, good) in [
        (HEX.to_owned(), true),
        (HEX.to_uppercase(), true),
        (colons(32), true),
        (colons(31), false),
        (colons(33), false),
        (HEX[1..].to_owned(), false),
        (format!("{}g", &HEX[1..]), false),
        (format!("{}é", &HEX[2..]), false),
        (String::new(), false),
    ] {
        assert_eq!(sha256(&text).is_some(), good, "{text}");
    }
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "[\\PC\\n\\t ]{0,300}") {
        let _ = parse(&text, "map");
    }

    #[test]
    fn damaged_maps_never_panic(at in 0_usize..200, insert in ".{0,3}") {
        let map = format!("# c\na.example fingerprint\n match={HEX}|{HEX}\n.b.example \
                           secure match=nexthop:.x protocols=!SSLv2:>=TLSv1.2\n[h]:25 may\n");
        let at = at.min(map.len());
        let _ = parse(&map[..at], "map");
        let _ = parse(&format!("{}{insert}{}", &map[..at], &map[at..]), "map");
    }
}
