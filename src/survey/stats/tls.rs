//! What is counted of TLS: at the addresses of a host, or of all hosts of a domain, at which a handshake came about.

use super::label::could_not_test;
use super::{Extent, Label, Property, extent};
use crate::html::Tone;
use crate::survey::record::{
    Address, Certificate, Host, KeyType, Known, Strength, Tls, Verification, Versions,
};

/// An address at which a handshake came about.
pub(super) struct Answer<'a> {
    tls: &'a Tls,
    address: &'a Address,
}

/// The addresses of a host that TLS was spoken with.
pub(super) fn answers(host: &Host) -> impl Iterator<Item = Answer<'_>> {
    let addresses = host.addresses.iter();
    addresses.filter_map(|address| {
        Some(Answer {
            tls: address.tls.as_ref()?,
            address,
        })
    })
}

/// `words` says in which words something is told that is so at all, some or none of them.
pub(super) fn properties(
    answers: &[Answer<'_>],
    words: impl Fn(Extent, Tone) -> Vec<Label>,
) -> Vec<(Property, Vec<Label>)> {
    if answers.is_empty() {
        return Vec::new();
    }
    let of = |known: fn(&Answer<'_>) -> Known| match extent(answers.iter().map(known)) {
        Extent::Nothing => Extent::CouldNotTest,
        found @ (Extent::All | Extent::Some | Extent::None | Extent::CouldNotTest) => found,
    };
    let certificates: Vec<&Certificate> = answers
        .iter()
        .filter_map(|answer| answer.address.certificate.as_ref())
        .collect();
    vec![
        (Property::BestVersion, best_version(answers)),
        (Property::Versions, versions(answers)),
        (
            Property::Ciphers,
            each(answers, |a| Some(&a.tls.negotiated.cipher)),
        ),
        (
            Property::Groups,
            each(answers, |a| a.tls.negotiated.group.as_deref()),
        ),
        (
            Property::ForwardSecrecy,
            words(of(|a| a.tls.forward_secrecy), Tone::Bad),
        ),
        (
            Property::PostQuantum,
            words(of(post_quantum), Tone::Neutral),
        ),
        (
            Property::RequireTls,
            words(of(|a| a.address.requiretls), Tone::Neutral),
        ),
        (
            Property::Verification,
            worst(&certificates, |c| verification(c.verification)),
        ),
        (Property::Keys, keys(&certificates)),
        (
            Property::KeyStrength,
            worst(&certificates, |c| strength(c.key_strength)),
        ),
        (Property::Signatures, signatures(&certificates)),
        (
            Property::DaysLeft,
            worst(&certificates, |c| days_left(c.days_left)),
        ),
    ]
}

/// Agreed on in a delivery's handshake, or found out later.
fn post_quantum(answer: &Answer<'_>) -> Known {
    match answer.address.post_quantum {
        Known::NotTested => answer.tls.post_quantum,
        known @ (Known::Yes | Known::No | Known::Unknown) => known,
    }
}

/// The versions that an address accepts, the best first.
fn accepted(versions: &Versions, tls: &Tls) -> Vec<&'static str> {
    let tested = [
        ("TLS 1.3", "1.3", versions.v1_3),
        ("TLS 1.2", "1.2", versions.v1_2),
        ("TLS 1.1", "1.1", versions.v1_1),
        ("TLS 1.0", "1.0", versions.v1_0),
    ];
    let negotiated = &*tls.negotiated.version;
    let accepted = tested
        .iter()
        .filter(|(_, number, known)| *known == Known::Yes || *number == negotiated);
    accepted.map(|(title, _, _)| *title).collect()
}

fn version(title: &'static str) -> Label {
    match title {
        "TLS 1.3" => Label::new(0, title, Tone::Verified),
        "TLS 1.2" => Label::new(1, title, Tone::Encrypted),
        "TLS 1.1" => Label::new(2, title, Tone::Weak),
        _ => Label::new(3, title, Tone::Bad),
    }
}

fn best_version(answers: &[Answer<'_>]) -> Vec<Label> {
    let best = answers.iter().filter_map(|answer| {
        let accepted = accepted(&answer.address.versions, answer.tls);
        accepted.first().copied().map(version)
    });
    vec![best.max().unwrap_or_else(could_not_test)]
}

fn versions(answers: &[Answer<'_>]) -> Vec<Label> {
    let all = answers.iter();
    distinct(
        all.flat_map(|answer| accepted(&answer.address.versions, answer.tls))
            .map(version),
    )
}

fn each<'a>(
    answers: &'a [Answer<'_>],
    text: impl Fn(&'a Answer<'_>) -> Option<&'a str>,
) -> Vec<Label> {
    let texts = answers.iter().filter_map(text);
    distinct(texts.map(|text| Label::new(0, text.to_owned(), Tone::Kind(0))))
}

fn keys(certificates: &[&Certificate]) -> Vec<Label> {
    distinct(certificates.iter().map(|certificate| {
        let (kind, tone) = key_kind(certificate.key, certificate.key_bits);
        Label::new(0, kind, tone)
    }))
}

/// A key as people name it, and how good it is.
fn key_kind(key: KeyType, bits: u32) -> (String, Tone) {
    let tone = match key {
        KeyType::Rsa if bits < 2048 => Tone::Bad,
        KeyType::Rsa => Tone::Encrypted,
        KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519 | KeyType::Ed448 => {
            Tone::Verified
        }
        KeyType::Other => Tone::Neutral,
    };
    (key_name(key, bits), tone)
}

/// `RSA 2048`, `P-256`.
pub fn key_name(key: KeyType, bits: u32) -> String {
    match key {
        KeyType::Rsa => format!("RSA {bits}"),
        KeyType::P256 => "P-256".to_owned(),
        KeyType::P384 => "P-384".to_owned(),
        KeyType::P521 => "P-521".to_owned(),
        KeyType::Ed25519 => "Ed25519".to_owned(),
        KeyType::Ed448 => "Ed448".to_owned(),
        KeyType::Other => "other".to_owned(),
    }
}

fn signatures(certificates: &[&Certificate]) -> Vec<Label> {
    distinct(certificates.iter().map(|certificate| {
        let tone = match certificate.chain.first().map(|own| own.signature_strength) {
            Some(Strength::Weak) => Tone::Bad,
            Some(Strength::PhaseOut) => Tone::Weak,
            Some(Strength::Good | Strength::Unknown) | None => Tone::Kind(0),
        };
        Label::new(0, certificate.signature.clone(), tone)
    }))
}

/// Ranked from well to badly: the worst is the greatest.
fn verification(verification: Verification) -> Label {
    match verification {
        Verification::Valid => Label::new(0, "valid", Tone::Verified),
        Verification::NameMismatch => Label::new(1, "name mismatch", Tone::Weak),
        Verification::Untrusted => Label::new(2, "untrusted issuer", Tone::Plaintext),
        Verification::SelfSigned => Label::new(3, "self-signed", Tone::Kind(5)),
        Verification::NotYetValid => Label::new(4, "not yet valid", Tone::Kind(2)),
        Verification::Expired => Label::new(5, "expired", Tone::Bad),
        Verification::WrongUsage => Label::new(6, "not meant for servers", Tone::Kind(3)),
        Verification::Unacceptable => Label::new(7, "malformed or too weak", Tone::Kind(6)),
        Verification::Missing => Label::new(8, "missing", Tone::Bad),
        Verification::NotTested => could_not_test(),
    }
}

fn strength(strength: Strength) -> Label {
    match strength {
        Strength::Good => Label::new(0, "good", Tone::Verified),
        Strength::PhaseOut => Label::new(1, "to be phased out", Tone::Encrypted),
        Strength::Weak => Label::new(2, "weak", Tone::Bad),
        Strength::Unknown => Label::new(90, "unknown", Tone::Neutral),
    }
}

/// Ranked so that the one that ends first is the greatest.
fn days_left(days: i64) -> Label {
    match days {
        ..0 => Label::new(6, "ended", Tone::Bad),
        0..14 => Label::new(5, "0 to 13", Tone::Plaintext),
        14..30 => Label::new(4, "14 to 29", Tone::Weak),
        30..90 => Label::new(3, "30 to 89", Tone::Encrypted),
        90..180 => Label::new(2, "90 to 179", Tone::Kind(1)),
        180..400 => Label::new(1, "180 to 399", Tone::Verified),
        400.. => Label::new(0, "400 and more", Tone::Kind(4)),
    }
}

fn worst(certificates: &[&Certificate], label: impl Fn(&Certificate) -> Label) -> Vec<Label> {
    let known = certificates.iter().map(|certificate| label(certificate));
    // What could not be tested is not the worst: it says nothing.
    let (tested, untested): (Vec<_>, Vec<_>) = known.partition(|label| label.rank < 90);
    tested
        .into_iter()
        .max()
        .or(untested.into_iter().max())
        .into_iter()
        .collect()
}

fn distinct(labels: impl Iterator<Item = Label>) -> Vec<Label> {
    let mut labels: Vec<Label> = labels.filter(|label| !label.is_silent()).collect();
    labels.push(Label::silent());
    labels.sort();
    labels.dedup();
    labels
}
