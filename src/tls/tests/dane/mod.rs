//! What TLSA records make of a chain: the lab's table, and what that table leaves out.

mod anchors;
mod handshake;
mod names;
mod noise;
mod problems;
mod table;

use crate::dane::{TlsaRdata, usable};
use crate::names::{DomainName, TlsaBaseDomain};
use crate::policy::{CertificateProblem, DaneRequirement, DaneTrust, TlsFailure};
use crate::tls::testing::{Authority, MX, at_test, client, demand, name, session};
use crate::tls::{Authenticated, TlsClient};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha512};

/// A client that trusts no root of these tests.
fn stranger() -> TlsClient {
    client(&Authority::root("trusted"))
}

/// A record about a certificate: its fields as in a zone file, `2 0 1`.
fn tlsa(fields: &str, certificate: &CertificateDer<'_>) -> TlsaRdata {
    let fields: Vec<u8> = fields
        .split(' ')
        .map(|field| field.parse().unwrap())
        .collect();
    let selected = match fields[1] {
        0 => certificate.to_vec(),
        _ => lab::ca::spki(certificate),
    };
    let data = match fields[2] {
        0 => selected,
        1 => Sha256::digest(selected).to_vec(),
        _ => Sha512::digest(selected).to_vec(),
    };
    TlsaRdata([fields, data].concat())
}

fn dane(records: &[TlsaRdata], names: &[&str]) -> DaneRequirement {
    let names: Vec<DomainName> = names.iter().map(|text| name(text)).collect();
    DaneRequirement {
        base: TlsaBaseDomain(name(MX)),
        records: usable(records).unwrap(),
        names: names.into(),
        trust: DaneTrust::Full,
    }
}

/// What is wrong with a chain, by these records and for this name.
fn problem(chain: &[CertificateDer<'static>], records: &[TlsaRdata]) -> Option<CertificateProblem> {
    problem_for(&[MX], chain, records)
}

fn problem_for(
    names: &[&str],
    chain: &[CertificateDer<'static>],
    records: &[TlsaRdata],
) -> Option<CertificateProblem> {
    let requirement = demand(dane(records, names));
    match stranger().judge(&requirement, &session(chain), at_test()) {
        Ok(Authenticated::Dane) => None,
        Err(TlsFailure::Dane(problem)) => Some(problem),
        other => panic!("{other:?}"),
    }
}
