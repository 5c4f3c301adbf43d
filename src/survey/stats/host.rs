//! What is counted of an MX host: what it is itself, whatever domain it is asked for.

use super::domain::{dnssec, host_tls};
use super::label::{could_not_test, known_labels};
use super::tls::{Answer, answers};
use super::{Extent, Label, Property, extent, tls};
use crate::html::Tone;
use crate::survey::record::{CaaState, CipherOrder, Deep, Host, Known, Tlsa, TlsaState};

/// Every property with its parts; none, if it does not apply.
pub(super) fn properties(host: &Host) -> Vec<(Property, Vec<Label>)> {
    let addresses: Vec<Answer<'_>> = answers(host).collect();
    let injection = extent(host.addresses.iter().map(|address| address.injection));
    let mut properties = vec![
        (Property::Starttls, vec![host_tls(host.tls)]),
        (Property::Dnssec, dnssec(host.dnssec)),
        (Property::Dane, vec![dane(&host.tlsa)]),
        (Property::Rollover, rollover(&host.tlsa)),
        (
            Property::Ipv6,
            known_labels(extent([host.ipv6]), Tone::Verified, Tone::Neutral),
        ),
        (Property::Caa, caa(host.caa.state)),
        (
            Property::Injection,
            known_labels(injection, Tone::Bad, Tone::Verified),
        ),
    ];
    properties.extend(tls::properties(&addresses, |found, no| {
        known_labels(found, Tone::Verified, no)
    }));
    let deep: Vec<&Deep> = host
        .addresses
        .iter()
        .filter_map(|a| a.deep.as_ref())
        .collect();
    properties.extend(in_depth(&deep));
    properties
}

fn dane(tlsa: &Tlsa) -> Label {
    match (tlsa.state, tlsa.matching) {
        (TlsaState::Usable, Known::Yes) => Label::new(0, "valid", Tone::Verified),
        (TlsaState::Usable, Known::No) => Label::new(3, "TLSA that does not match", Tone::Bad),
        (TlsaState::Usable, Known::Unknown | Known::NotTested) => {
            Label::new(2, "TLSA, certificate not seen", Tone::Kind(0))
        }
        (TlsaState::NoneUsable, _) => Label::new(4, "TLSA that cannot be used", Tone::Plaintext),
        (TlsaState::Bogus, _) => Label::new(5, "bogus", Tone::Kind(3)),
        (TlsaState::PublishedInsecure, _) => Label::new(6, "TLSA without DNSSEC", Tone::Kind(5)),
        (TlsaState::Absent | TlsaState::Insecure, _) => Label::new(7, "none", Tone::Neutral),
        (TlsaState::LookupFailed | TlsaState::NotTested, _) => could_not_test(),
    }
}

fn rollover(tlsa: &Tlsa) -> Vec<Label> {
    match tlsa.state {
        TlsaState::Usable => known_labels(extent([tlsa.rollover]), Tone::Verified, Tone::Weak),
        TlsaState::NoneUsable
        | TlsaState::Absent
        | TlsaState::Insecure
        | TlsaState::PublishedInsecure
        | TlsaState::Bogus
        | TlsaState::LookupFailed
        | TlsaState::NotTested => Vec::new(),
    }
}

fn caa(state: CaaState) -> Vec<Label> {
    let label = match state {
        CaaState::Present => Label::new(0, "present", Tone::Verified),
        CaaState::NoIssue => Label::new(1, "without issue", Tone::Weak),
        CaaState::Malformed => Label::new(2, "malformed", Tone::Plaintext),
        CaaState::None => Label::new(3, "none", Tone::Neutral),
        CaaState::Unknown => could_not_test(),
        CaaState::NotTested => return Vec::new(),
    };
    vec![label]
}

fn in_depth(deep: &[&Deep]) -> [(Property, Vec<Label>); 5] {
    let of = |property: fn(&Deep) -> Known| extent(deep.iter().map(|deep| property(deep)));
    let bad = |found| known_labels(found, Tone::Bad, Tone::Verified);
    let well = |found: Extent| known_labels(found, Tone::Verified, Tone::Weak);
    [
        (Property::WeakSuites, bad(of(|deep| deep.weak_suites))),
        (Property::CipherOrder, order(deep)),
        (Property::Compression, bad(of(|deep| deep.compression))),
        (
            Property::Renegotiation,
            well(of(|deep| deep.secure_renegotiation)),
        ),
        (
            Property::ExtendedMasterSecret,
            well(of(|deep| deep.extended_master_secret)),
        ),
    ]
}

/// The worst of the addresses.
fn order(deep: &[&Deep]) -> Vec<Label> {
    let labels = deep.iter().filter_map(|deep| match deep.cipher_order {
        CipherOrder::ServerPrefersGood => Some(Label::new(2, "prefers good ones", Tone::Verified)),
        CipherOrder::Violated => Some(Label::new(1, "gives a weak one if asked first", Tone::Weak)),
        CipherOrder::NotApplicable => Some(Label::new(3, "nothing weak accepted", Tone::Verified)),
        CipherOrder::Unknown => Some(could_not_test()),
        CipherOrder::NotTested => None,
    });
    labels.min().into_iter().collect()
}
