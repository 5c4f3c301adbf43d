//! Policy files as they should be, and as they are.

use super::*;
use proptest::prelude::*;

/// A policy with these lines between version and max_age.
fn with(lines: &str) -> String {
    format!("version: STSv1\n{lines}max_age: 86400\n")
}

fn said(file: &str) -> Result<String, PolicyFault> {
    Policy::parse(file.as_bytes()).map(|policy| {
        let mx: Vec<String> = policy.mx.iter().map(ToString::to_string).collect();
        format!("{} {} {}", policy.mode, mx.join(","), policy.max_age)
    })
}

const ENFORCE: &str = "mode: enforce\nmx: mx.a.test\n";

#[test]
fn policies() {
    let name = "n".repeat(32);
    for (lines, expected) in [
        (ENFORCE, "enforce mx.a.test 86400"),
        ("mode:testing  \nmx:\t*.A.Test \n", "testing *.a.test 86400"),
        (
            "mode: enforce\nmx: b.test\nmx: a.test\n",
            "enforce b.test,a.test 86400",
        ),
        ("mode: none\n", "none  86400"), // needs no mx
        ("mode: none\nmx: a.test\n", "none a.test 86400"),
        // Of two the first counts, whatever the second says.
        (
            "mode: testing\nmode: enforce\nmx: a.test\n",
            "testing a.test 86400",
        ),
        (
            "mode: testing\nmode: nonsense\nmx: a.test\n",
            "testing a.test 86400",
        ),
        ("mode: none\nmax_age: 5\n", "none  5"),
        ("mode: none\nversion: STSv2\n", "none  86400"),
        ("mode: none\nlater: any thing: ä\nempty:\n", "none  86400"),
        (&format!("mode: none\n{name}: x\n"), "none  86400"),
        ("mode: none\nmx: mx_1.a.test\n", "none mx_1.a.test 86400"), // occurs in the wild
        (
            "mode: none\nmx: xn--bcher-kva.test\n",
            "none xn--bcher-kva.test 86400",
        ),
    ] {
        assert_eq!(said(&with(lines)), Ok(expected.to_owned()), "{lines:?}");
    }
}

#[test]
fn line_ends_and_the_order_of_lines() {
    let policy = with(ENFORCE);
    for file in [
        policy.clone(),
        policy.replace('\n', "\r\n"),
        policy.trim_end().to_owned(),
        policy.clone() + "\r\n\n", // editors do that
        "max_age: 86400\nmx: mx.a.test\nmode: enforce\nversion: STSv1".into(),
    ] {
        assert_eq!(
            said(&file),
            Ok("enforce mx.a.test 86400".into()),
            "{file:?}"
        );
    }
}

#[test]
fn what_is_no_policy() {
    use PolicyFault::{BadLine, BadMaxAge, BadMode, BadVersion, Missing};
    let name = "n".repeat(33);
    for (file, fault) in [
        (String::new(), BadLine(1)),
        ("\n\n".into(), BadLine(1)),
        ("<!DOCTYPE html>".into(), BadLine(1)),
        (format!("\u{feff}{}", with(ENFORCE)), BadLine(1)),
        ("mode: none\nmax_age: 1\n".into(), Missing("version")),
        (
            "version: STSv2\nmode: none\nmax_age: 1\n".into(),
            BadVersion,
        ),
        (
            "version: stsv1\nmode: none\nmax_age: 1\n".into(),
            BadVersion,
        ),
        ("version: STSv1\nmode: none\n".into(), Missing("max_age")),
        ("version: STSv1\nmode: none\nmax_age: \n".into(), BadMaxAge),
        (
            "version: STSv1\nmode: none\nmax_age: -1\n".into(),
            BadMaxAge,
        ),
        (
            "version: STSv1\nmode: none\nmax_age: +1\n".into(),
            BadMaxAge,
        ),
        (
            "version: STSv1\nmode: none\nmax_age: 1d\n".into(),
            BadMaxAge,
        ),
        (with("mode: enforce\n"), Missing("mx")),
        (with("mode: enforce\nnmx: mx.a.test\n"), Missing("mx")), // a slip of the pen matches nothing
        (with("mode: testing\nMX: mx.a.test\n"), Missing("mx")),  // names are case-sensitive
        (with("mx: mx.a.test\n"), Missing("mode")),
        (with("Mode: enforce\nmx: a.test\n"), Missing("mode")),
        (with("mode: Enforce\nmx: a.test\n"), BadMode),
        (with("mode: report\nmx: a.test\n"), BadMode), // a draft's word
        (with("mode:\nmx: a.test\n"), BadMode),
        (with("mode: none\n\nmx: a.test\n"), BadLine(3)),
        (with("mode : none\n"), BadLine(2)),
        (with(" mode: none\n"), BadLine(2)),
        (with("mode none\n"), BadLine(2)),
        (with("mode: none\n_x: y\n"), BadLine(3)),
        (with(&format!("mode: none\n{name}: x\n")), BadLine(3)),
        (with("mode: none\nx: a\u{7}b\n"), BadLine(3)),
        (with("mode: none\rmx: a.test\n"), BadLine(2)), // a bare CR ends no line
    ] {
        assert_eq!(said(&file), Err(fault), "{file:?}");
    }
}

#[test]
fn what_names_no_mx_host() {
    for (mx, error) in [
        ("192.0.2.1", NameError::IsAddress),
        ("[192.0.2.1]", NameError::BadCharacter),
        ("bücher.test", NameError::BadCharacter),
        ("b.test.", NameError::BadLabel),
        ("a.test b.test", NameError::BadCharacter),
        ("a.test, b.test", NameError::BadCharacter),
        ("", NameError::Empty),
        ("*", NameError::BadCharacter),
        ("*.", NameError::Empty),
        (".a.test", NameError::BadLabel),
        ("*.*.a.test", NameError::BadCharacter),
        ("**.a.test", NameError::BadCharacter),
        ("mx*.a.test", NameError::BadCharacter),
    ] {
        // One that cannot be read is no policy, however many others can.
        let file = with(&format!("mode: enforce\nmx: a.test\nmx: {mx}\n"));
        let fault = PolicyFault::BadMx { line: 4, error };
        assert_eq!(said(&file), Err(fault), "{mx:?}");
    }
}

#[test]
fn a_policy_holds_a_year_at_most() {
    let huge = "9".repeat(60_000);
    for (max_age, expected) in [
        ("0", 0),
        ("0000000000000000000001", 1),
        ("31557600", 31_557_600),
        ("31557601", 31_557_600),
        ("4294967296", 31_557_600),    // would be 0 in 32 bits
        ("4294967295999", 31_557_600), // more than ten digits
        (&huge, 31_557_600),
    ] {
        let file = format!("version: STSv1\nmode: none\nmax_age: {max_age}\n");
        let policy = Policy::parse(file.as_bytes()).unwrap();
        assert_eq!(policy.max_age, expected);
    }
}

#[test]
fn size_is_bounded_and_octets_must_be_utf8() {
    let base = with("mode: enforce\nmx: a.test\n");
    let pad = |size: usize| {
        let filler = size - base.len() - "x: \n".len();
        format!("x: {}\n{base}", "p".repeat(filler))
    };
    assert!(said(&pad(65_536)).is_ok());
    assert_eq!(said(&pad(65_537)), Err(PolicyFault::TooLong));
    let mut latin = base.into_bytes();
    latin.extend(b"x: \xe4\n");
    assert_eq!(Policy::parse(&latin), Err(PolicyFault::NotUtf8));
}

#[test]
fn patterns() {
    for (pattern, host, expected) in [
        ("mx.a.test", "mx.a.test", true),
        ("MX.A.Test", "mx.a.test", true),
        ("mx.a.test", "mx1.a.test", false),
        ("a.test", "mx.a.test", false),
        ("*.a.test", "mx.a.test", true),
        ("*.a.test", "a.test", false),
        ("*.a.test", "b.mx.a.test", false), // exactly one label
        ("*.a.test", "mx.ba.test", false),
        ("*.test", "a.test", true),
    ] {
        let policy = with(&format!("mode: enforce\nmx: {pattern}\n"));
        let policy = Policy::parse(policy.as_bytes()).unwrap();
        let host = DomainName::parse(host).unwrap();
        assert_eq!(policy.lists(&host), expected, "{pattern} {host}");
    }
}

/// As short as a policy can be written, in as many lines as there is room for: its canonical form is longer.
#[test]
fn whatever_was_a_policy_can_be_read_back() {
    let mut file = String::from("version:STSv1\nmode:enforce\nmax_age:1\n");
    for number in 0.. {
        let line = format!("mx:{number:x}.b\n");
        if file.len() + line.len() > Policy::MAX_SIZE {
            break;
        }
        file.push_str(&line);
    }
    let policy = Policy::parse(file.as_bytes()).unwrap();
    let written = policy.to_string();
    assert!(written.len() > Policy::MAX_SIZE, "{}", written.len());
    assert_eq!(Policy::read(written.as_bytes()), Ok(policy));
}

#[test]
fn a_pattern_said_twice_counts_once() {
    let file = with("mode: none\nmx: b.test\nmx: a.test\nmx: B.test\nmx: *.b.test\n");
    assert_eq!(said(&file), Ok("none b.test,a.test,*.b.test 86400".into()));
}

proptest! {
    #[test]
    fn any_octets(file in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Policy::parse(&file);
    }

    /// What is written can be read, and means the same.
    #[test]
    fn the_canonical_form_is_a_policy(lines in "((mode: (enforce|testing|none)|mx: (\\*\\.)?[a-z]{1,3}\\.test|max_age: [0-9]{1,12}|[a-z]{1,3}: [ -~]{0,5})\r?\n){0,9}") {
        if let Ok(policy) = Policy::parse(format!("version: STSv1\n{lines}").as_bytes()) {
            let again = Policy::read(policy.to_string().as_bytes());
            prop_assert_eq!(again, Ok(policy));
        }
    }
}
