//! Values of the pipeline in the words of a record. What strangers wrote becomes one line of printable ASCII.

use super::record::{
    Certificate, ChainEntry, Dnssec, KeyType, Known, Negotiated, Strength, SuiteStrength, Tls,
    Verification,
};
use crate::dns::{LookupFailure, Proof};
use crate::policy::CertificateProblem;
use crate::smtp::reply::Reply;
use crate::tls::suites::{self, SuiteGrade};
use crate::tls::{CertificateFacts, Grade, KeyAlgorithm, TlsSession};
use std::time::SystemTime;

/// Longest text of a stranger, in characters.
const MAX_TEXT: usize = 500;
/// EHLO keywords that are kept, and characters of each.
const MAX_KEYWORDS: usize = 30;
const MAX_KEYWORD: usize = 100;
/// Certificates of a chain that are told.
const MAX_CHAIN: usize = 10;

/// One line of printable ASCII; anything else becomes `?`.
pub(super) fn line(text: &str) -> String {
    cut(text, MAX_TEXT)
}

pub(super) fn cut(text: &str, most: usize) -> String {
    let shown = text.chars().take(most).map(|c| match c {
        ' '..='~' => c,
        _ => '?',
    });
    shown.collect()
}

/// What EHLO lists after the host's name.
pub(super) fn keywords(reply: Option<&Reply>) -> Vec<String> {
    let lines = reply.map_or(&[][..], |reply| &reply.lines);
    let listed = lines.iter().skip(1).filter(|line| !line.is_empty());
    let listed = listed.map(|line| cut(line, MAX_KEYWORD));
    listed.take(MAX_KEYWORDS).collect()
}

pub(super) fn proof(proof: Proof) -> Dnssec {
    match proof {
        Proof::Secure => Dnssec::Secure,
        Proof::Insecure => Dnssec::Insecure,
    }
}

pub(super) fn failed(failure: &LookupFailure) -> Dnssec {
    match failure {
        LookupFailure::Bogus(_) => Dnssec::Bogus,
        LookupFailure::ServerFailure(_)
        | LookupFailure::TimedOut
        | LookupFailure::Unreachable(_)
        | LookupFailure::TooManyAliases
        | LookupFailure::Malformed(_)
        | LookupFailure::DnssecBroken => Dnssec::Failed,
    }
}

pub(super) fn timestamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |at| at.to_string())
}

pub(super) fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

pub(super) fn negotiated(session: &TlsSession) -> Negotiated {
    Negotiated {
        version: session.version.as_str().to_owned(),
        cipher: session.cipher.to_owned(),
        group: session.group.map(str::to_owned),
    }
}

pub(super) fn tls(session: &TlsSession) -> Tls {
    Tls {
        negotiated: negotiated(session),
        // No suite that is offered is without it.
        forward_secrecy: Known::Yes,
        post_quantum: match session.group {
            Some(group) => Known::from(is_post_quantum(group)),
            None => Known::Unknown,
        },
    }
}

pub(super) fn is_post_quantum(group: &str) -> bool {
    group.contains("MLKEM")
}

pub(super) fn suite(grade: SuiteGrade) -> SuiteStrength {
    match grade {
        SuiteGrade::Sufficient => SuiteStrength::Sufficient,
        SuiteGrade::PhaseOut => SuiteStrength::PhaseOut,
        SuiteGrade::Insufficient => SuiteStrength::Insufficient,
    }
}

/// IANA's name, and what it is worth.
pub(super) fn suite_name(number: u16) -> (String, SuiteStrength) {
    match suites::find(number) {
        Some(found) => (found.name.to_owned(), suite(found.grade)),
        None => (format!("0x{number:04X}"), SuiteStrength::Insufficient),
    }
}

pub(super) fn strength(grade: Grade) -> Strength {
    match grade {
        Grade::Good => Strength::Good,
        Grade::PhaseOut => Strength::PhaseOut,
        Grade::Weak => Strength::Weak,
        Grade::Unknown => Strength::Unknown,
    }
}

fn key_type(algorithm: KeyAlgorithm) -> KeyType {
    match algorithm {
        KeyAlgorithm::Rsa => KeyType::Rsa,
        KeyAlgorithm::P256 => KeyType::P256,
        KeyAlgorithm::P384 => KeyType::P384,
        KeyAlgorithm::P521 => KeyType::P521,
        KeyAlgorithm::Ed25519 => KeyType::Ed25519,
        KeyAlgorithm::Ed448 => KeyType::Ed448,
        KeyAlgorithm::Other => KeyType::Other,
    }
}

fn verification(problem: Option<&CertificateProblem>) -> Verification {
    match problem {
        None => Verification::Valid,
        Some(CertificateProblem::NameMismatch { .. }) => Verification::NameMismatch,
        Some(CertificateProblem::Expired) => Verification::Expired,
        Some(CertificateProblem::NotYetValid) => Verification::NotYetValid,
        Some(CertificateProblem::SelfSigned) => Verification::SelfSigned,
        Some(CertificateProblem::Untrusted) => Verification::Untrusted,
        Some(CertificateProblem::WrongUsage) => Verification::WrongUsage,
        Some(CertificateProblem::Missing) => Verification::Missing,
        Some(
            CertificateProblem::Unacceptable(_)
            | CertificateProblem::FingerprintMismatch
            | CertificateProblem::TlsaMismatch,
        ) => Verification::Unacceptable,
    }
}

/// The chain that was shown, and what a full check made of it; `None` if the server's own certificate cannot be
/// read.
pub(super) fn certificate(
    session: &TlsSession,
    problem: Option<&CertificateProblem>,
    now: i64,
) -> Option<Certificate> {
    let chain = session.chain.iter().take(MAX_CHAIN);
    let chain: Vec<Option<CertificateFacts>> = chain.map(CertificateFacts::of).collect();
    let leaf = chain.first()?.as_ref()?;
    let mut counting = vec![leaf];
    counting.extend(chain[1..].iter().flatten().filter(|c| !c.issuer_is_subject));
    Some(Certificate {
        key: key_type(leaf.key.algorithm),
        key_bits: leaf.key.bits,
        signature: leaf.signature.to_owned(),
        subject: leaf.subject.clone(),
        issuer: leaf.issuer.clone(),
        not_before: timestamp(leaf.not_before),
        not_after: timestamp(leaf.not_after),
        days_left: leaf.not_after.saturating_sub(now).div_euclid(86_400),
        names: leaf.names.clone(),
        self_signed: Known::from(leaf.issuer_is_subject),
        sha256: hex(&leaf.sha256),
        spki_sha256: hex(&leaf.spki_sha256),
        verification: verification(problem),
        problem: problem.map(|problem| line(&problem.to_string())),
        chain: chain.iter().flatten().map(entry).collect(),
        chain_length: session.chain.len(),
        key_strength: weakest(counting.iter().map(|c| c.key.grade())),
        signature_strength: weakest(counting.iter().map(|c| c.signature_grade)),
    })
}

fn entry(facts: &CertificateFacts) -> ChainEntry {
    ChainEntry {
        subject: facts.subject.clone(),
        key: key_type(facts.key.algorithm),
        key_bits: facts.key.bits,
        key_strength: strength(facts.key.grade()),
        signature: facts.signature.to_owned(),
        signature_strength: strength(facts.signature_grade),
    }
}

/// What is unknown is not held against the rest.
fn weakest(grades: impl Iterator<Item = Grade>) -> Strength {
    let known = grades.filter(|grade| *grade != Grade::Unknown);
    strength(known.max().unwrap_or(Grade::Unknown))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_write_is_one_harmless_line() {
        assert_eq!(line("a\u{1b}[31m\r\nb\u{202e}c\u{9b}"), "a?[31m??b?c?");
        assert_eq!(line(&"x".repeat(9999)).len(), MAX_TEXT);
        let reply = Reply {
            code: 250,
            enhanced: None,
            lines: vec!["mx\u{7}".into(); 99],
        };
        let listed = keywords(Some(&reply));
        assert_eq!((listed.len(), listed[0].as_str()), (MAX_KEYWORDS, "mx?"));
        assert!(keywords(None).is_empty());
    }

    #[test]
    fn what_is_unknown_is_not_held_against_the_rest() {
        use Grade::{Good, PhaseOut, Unknown, Weak};
        for (grades, expected) in [
            (&[Good, Weak, PhaseOut][..], Strength::Weak),
            (&[Good, Unknown], Strength::Good),
            (&[Unknown], Strength::Unknown),
        ] {
            assert_eq!(weakest(grades.iter().copied()), expected, "{grades:?}");
        }
    }
}
