//! Findings about an MX host.

use super::{Found, SOON};
use crate::survey::record::{
    Address, CaaState, Certificate, CipherOrder, Code, Deep, Dnssec, Host, Known, MxState, Offer,
    Record, Strength, TlsaState, Verification, Versions,
};

pub(super) fn dns(host: &Host, record: &Record, found: &mut Found) {
    let name = Some(host.name.as_str());
    if host.dnssec == Dnssec::Bogus || host.tlsa.state == TlsaState::Bogus {
        let text =
            "DNSSEC validation of its addresses or TLSA records fails: no mail can be sent to it";
        found.add(Code::HostBogus, name, text);
    }
    if let Some(canonical) = host
        .alias_of
        .as_ref()
        .filter(|_| record.mx.state == MxState::Present)
    {
        let text = format!("is an alias of {canonical}; an MX record must name the host itself");
        found.add(Code::MxIsCname, name, text);
    }
    if host.failure.is_some() && matches!(host.dnssec, Dnssec::NotTested) {
        let text = host.failure.as_deref().unwrap_or("has no address");
        found.add(Code::MxWithoutAddress, name, text);
    }
    if host.caa.state == CaaState::None {
        let text = "no CAA record limits who may issue certificates for it";
        found.add(Code::CaaMissing, name, text);
    }
}

pub(super) fn tls(host: &Host, found: &mut Found) {
    let name = Some(host.name.as_str());
    for address in &host.addresses {
        if address.injection == Known::Yes {
            let text = "a command that is sent in the clear behind STARTTLS is answered under TLS";
            found.add(Code::StarttlsInjection, name, text);
        }
        versions(&address.versions, name, found);
        if address.post_quantum == Known::No {
            let text = "no post-quantum key exchange: what is recorded now may be read later";
            found.add(Code::NoPostQuantum, name, text);
        }
        if let Some(deep) = &address.deep {
            weaknesses(deep, name, found);
        }
    }
    if differ(&host.addresses) {
        let text = "TLS differs between its addresses";
        found.add(Code::AddressesDiffer, name, text);
    }
}

fn versions(versions: &Versions, name: Option<&str>, found: &mut Found) {
    let old = [versions.v1_0, versions.v1_1].contains(&Known::Yes);
    // TLS 1.3 was offered by the handshake that failed.
    let refuses_new =
        versions.v1_2 == Known::No && matches!(versions.v1_3, Known::No | Known::NotTested);
    if old && refuses_new {
        let text = "accepts nothing above TLS 1.1, which senders no longer speak";
        found.add(Code::OldTlsOnly, name, text);
    } else if old {
        let text = "accepts TLS 1.0 or 1.1";
        found.add(Code::OldTlsAccepted, name, text);
    }
    if versions.v1_3 == Known::No {
        found.add(Code::NoTls13, name, "does not accept TLS 1.3");
    }
}

fn weaknesses(deep: &Deep, name: Option<&str>, found: &mut Found) {
    if deep.weak_suites == Known::Yes {
        let suites: Vec<_> = deep
            .suites
            .iter()
            .map(|suite| suite.name.as_str())
            .collect();
        let order = match deep.cipher_order {
            CipherOrder::Violated => ", and prefers them if the client does",
            CipherOrder::ServerPrefersGood
            | CipherOrder::NotApplicable
            | CipherOrder::Unknown
            | CipherOrder::NotTested => "",
        };
        let text = format!(
            "accepts weak cipher suites, such as {}{order}",
            suites.join(", ")
        );
        found.add(Code::WeakCiphers, name, text);
    }
    if deep.compression == Known::Yes {
        found.add(Code::Compression, name, "TLS compression is on (CRIME)");
    }
    if deep.secure_renegotiation == Known::No {
        let text = "has no secure renegotiation (RFC 5746)";
        found.add(Code::InsecureRenegotiation, name, text);
    }
}

/// Those that could be tested; what is not known of one is no difference.
fn differ(addresses: &[Address]) -> bool {
    let known =
        |a: Known, b: Known| matches!((a, b), (Known::Yes, Known::No) | (Known::No, Known::Yes));
    let verification = |a: &Address| a.certificate.as_ref().map(|c| c.verification);
    let two = |a: &Address, b: &Address| {
        let shown = verification(a).zip(verification(b));
        a.starttls != b.starttls
            || a.tls.is_some() != b.tls.is_some()
            || known(a.versions.v1_2, b.versions.v1_2)
            || known(a.versions.v1_3, b.versions.v1_3)
            || shown.is_some_and(|(a, b)| a != b)
    };
    let mut tested = addresses.iter().filter(|a| a.starttls != Offer::Unknown);
    let rest = tested.clone().skip(1);
    tested.any(|a| rest.clone().any(|b| two(a, b)))
}

pub(super) fn certificate(host: &Host, found: &mut Found) {
    for certificate in host.addresses.iter().filter_map(|a| a.certificate.as_ref()) {
        dates(certificate, host, found);
        strength(certificate, Some(&host.name), found);
        if !matches!(
            certificate.verification,
            Verification::Valid | Verification::Expired
        ) {
            let problem = certificate.problem.as_deref().unwrap_or("it is not valid");
            let text = format!("a full check says: {problem}");
            found.add(Code::CertificateNotValid, Some(&host.name), text);
        }
    }
}

fn dates(certificate: &Certificate, host: &Host, found: &mut Found) {
    let (end, left) = (&certificate.not_after, certificate.days_left);
    if left < 0 {
        let text = format!("its certificate has expired ({end})");
        found.add(Code::CertificateExpired, Some(&host.name), text);
    } else if left < SOON {
        let text = format!("its certificate expires in {left} days ({end})");
        found.add(Code::CertificateExpiresSoon, Some(&host.name), text);
    }
}

fn strength(certificate: &Certificate, name: Option<&str>, found: &mut Found) {
    match certificate.key_strength {
        Strength::Weak => {
            let text = "a key of its chain is too short";
            found.add(Code::WeakKey, name, text);
        }
        Strength::PhaseOut => {
            let text = "a key of its chain is RSA of less than 3072 bits";
            found.add(Code::KeyPhaseOut, name, text);
        }
        Strength::Good | Strength::Unknown => {}
    }
    if certificate.signature_strength == Strength::Weak {
        let text = "a certificate of its chain is signed with SHA-1 or MD5";
        found.add(Code::WeakSignature, name, text);
    }
}

pub(super) fn tlsa(host: &Host, record: &Record, found: &mut Found) {
    let (name, tlsa) = (Some(host.name.as_str()), &host.tlsa);
    let at = tlsa.at.as_deref().unwrap_or("its name");
    match tlsa.state {
        TlsaState::NoneUsable => {
            let text = format!("none of the TLSA records at {at} can be used");
            found.add(Code::TlsaNoneUsable, name, text);
        }
        TlsaState::PublishedInsecure => {
            let text =
                format!("the TLSA records at {at} are not secured by DNSSEC: nobody heeds them");
            found.add(Code::TlsaInsecure, name, text);
        }
        TlsaState::Usable if record.mx.dnssec == Dnssec::Insecure => {
            let text =
                "has TLSA records, but the MX records that name it are not secured by DNSSEC";
            found.add(Code::TlsaInsecure, name, text);
        }
        TlsaState::Usable
        | TlsaState::Absent
        | TlsaState::Insecure
        | TlsaState::Bogus
        | TlsaState::LookupFailed
        | TlsaState::NotTested => {}
    }
    if tlsa.matching == Known::No {
        let text = format!("none of the TLSA records at {at} matches what it shows");
        found.add(Code::TlsaMismatch, name, text);
    } else if tlsa.rollover == Known::No {
        let text =
            "one TLSA record alone: the next certificate will not match unless DNS changes first";
        found.add(Code::NoTlsaRollover, name, text);
    }
}
