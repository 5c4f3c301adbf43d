//! What changed of the MX hosts.

use super::{Finder, What};
use crate::survey::record::{Certificate, Host, Known, MxState, Record, TlsaState, Verification};
use crate::survey::stats::word;
use std::collections::BTreeSet;

pub(super) fn compare(old: &Record, new: &Record, found: &mut Finder<'_>) {
    // What DNS did not say is no change.
    if old.mx.state == MxState::Unknown || new.mx.state == MxState::Unknown {
        return;
    }
    let find = |record: &'_ Record, name: &str| {
        let mut hosts = record.hosts.iter();
        hosts.position(|host| host.name.eq_ignore_ascii_case(name))
    };
    // With more than are recorded one cannot tell which are gone.
    let whole = |record: &Record| record.mx.published <= record.hosts.len();
    for host in &new.hosts {
        match find(old, &host.name) {
            Some(at) => one_host(&old.hosts[at], host, found),
            None if whole(old) => found.add(What::MxAdded, Some(&host.name), (None, None)),
            None => {}
        }
    }
    if whole(new) {
        for host in old
            .hosts
            .iter()
            .filter(|host| find(new, &host.name).is_none())
        {
            found.add(What::MxRemoved, Some(&host.name), (None, None));
        }
    }
}

fn one_host(old: &Host, new: &Host, found: &mut Finder<'_>) {
    dane(old, new, found);
    certificate(old, new, found);
    versions(old, new, found);
}

fn dane(old: &Host, new: &Host, found: &mut Finder<'_>) {
    let (Some(before), Some(after)) = (dane_rank(old), dane_rank(new)) else {
        return;
    };
    let what = match (before, after) {
        (Dane::Broken | Dane::Valid, Dane::None) => What::DaneLost,
        (Dane::None, Dane::Valid) => What::DaneGained,
        (Dane::Valid | Dane::None, Dane::Broken) => What::DaneBroken,
        (Dane::Broken, Dane::Valid) => What::DaneMended,
        (Dane::None, Dane::None) | (Dane::Valid, Dane::Valid) | (Dane::Broken, Dane::Broken) => {
            return;
        }
    };
    let told = |host: &Host| {
        Some(format!(
            "{}, matching: {}",
            word(&host.tlsa.state),
            word(&host.tlsa.matching)
        ))
    };
    found.add(what, Some(&new.name), (told(old), told(new)));
}

enum Dane {
    None,
    Valid,
    Broken,
}

fn dane_rank(host: &Host) -> Option<Dane> {
    match (host.tlsa.state, host.tlsa.matching) {
        (TlsaState::Usable, Known::Yes) => Some(Dane::Valid),
        (TlsaState::Usable, Known::No) | (TlsaState::NoneUsable | TlsaState::Bogus, _) => {
            Some(Dane::Broken)
        }
        (TlsaState::Absent | TlsaState::Insecure | TlsaState::PublishedInsecure, _) => {
            Some(Dane::None)
        }
        (TlsaState::Usable, Known::Unknown | Known::NotTested)
        | (TlsaState::LookupFailed | TlsaState::NotTested, _) => None,
    }
}

fn certificate(old: &Host, new: &Host, found: &mut Finder<'_>) {
    let (before, after) = (certificates(old), certificates(new));
    let keys = |all: &[&Certificate]| -> BTreeSet<String> {
        let keys = all.iter().map(|one| one.spki_sha256.clone());
        keys.filter(|key| !key.is_empty()).collect()
    };
    let (old_keys, new_keys) = (keys(&before), keys(&after));
    // Several addresses have several keys, and not all can be reached each time.
    if !old_keys.is_empty() && !new_keys.is_empty() && old_keys.is_disjoint(&new_keys) {
        let one = |keys: BTreeSet<String>| keys.into_iter().next();
        found.add(
            What::KeyChanged,
            Some(&new.name),
            (one(old_keys), one(new_keys)),
        );
    }
    let (Some(was), Some(is)) = (worst(&before), worst(&after)) else {
        return;
    };
    let what = match (was, is) {
        _ if was == is => return,
        (Verification::Valid, _) => What::CertificateInvalid,
        (_, Verification::Valid) => What::CertificateValid,
        (_, _) => What::CertificateDiffers,
    };
    found.add(what, Some(&new.name), (Some(word(&was)), Some(word(&is))));
}

fn certificates(host: &Host) -> Vec<&Certificate> {
    let addresses = host.addresses.iter();
    addresses
        .filter_map(|address| address.certificate.as_ref())
        .collect()
}

/// The worst of what is known.
fn worst(certificates: &[&Certificate]) -> Option<Verification> {
    let known = certificates
        .iter()
        .map(|certificate| certificate.verification);
    known
        .filter(|found| *found != Verification::NotTested)
        .max()
}

fn versions(old: &Host, new: &Host, found: &mut Finder<'_>) {
    for (title, is_old) in [
        ("TLS 1.3", false),
        ("TLS 1.2", false),
        ("TLS 1.1", true),
        ("TLS 1.0", true),
    ] {
        let what = match (accepted(old, title), accepted(new, title)) {
            (Some(true), Some(false)) if is_old => What::OldVersionGone,
            (Some(true), Some(false)) => What::VersionLost,
            (Some(false), Some(true)) if is_old => What::OldVersionGained,
            (Some(false), Some(true)) => What::VersionGained,
            (Some(_) | None, Some(_) | None) => continue,
        };
        found.add(what, Some(&new.name), (None, Some(title.to_owned())));
    }
}

/// Whether a version is accepted at every address, or at none; `None`, if that differs or is not known.
fn accepted(host: &Host, title: &str) -> Option<bool> {
    let known = host.addresses.iter().map(|address| match title {
        "TLS 1.3" => address.versions.v1_3,
        "TLS 1.2" => address.versions.v1_2,
        "TLS 1.1" => address.versions.v1_1,
        _ => address.versions.v1_0,
    });
    let known: BTreeSet<Known> = known
        .filter(|known| matches!(known, Known::Yes | Known::No))
        .collect();
    match (known.len(), known.first()) {
        (1, Some(Known::Yes)) => Some(true),
        (1, Some(_)) => Some(false),
        _ => None,
    }
}
