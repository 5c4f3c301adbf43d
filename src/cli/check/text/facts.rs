//! What `check` tells with the words of a survey.

use crate::survey::record::{Address, Certificate, Finding, Known, Severity, Tlsrpt, TlsrptState};
use std::fmt::{Result, Write};

pub(super) fn write_tlsrpt(out: &mut String, tlsrpt: &Tlsrpt) -> Result {
    let failure = tlsrpt.failure.as_deref().unwrap_or("no reason is known");
    match tlsrpt.state {
        TlsrptState::Valid => writeln!(out, "  TLSRPT       {}", tlsrpt.rua.join(", ")),
        TlsrptState::None => writeln!(out, "  TLSRPT       no TLSRPT record"),
        TlsrptState::Invalid | TlsrptState::Several => writeln!(out, "  TLSRPT       {failure}"),
        TlsrptState::Unknown => writeln!(out, "  TLSRPT       not known: {failure}"),
        TlsrptState::NotTested => Ok(()),
    }
}

/// The certificate that was shown, and which versions are taken as far as that was tried.
pub(super) fn write_seen(out: &mut String, address: &Address) -> Result {
    if let Some(certificate) = &address.certificate {
        write_certificate(out, certificate)?;
    }
    let versions = &address.versions;
    let tried = [
        ("TLSv1.0", versions.v1_0),
        ("TLSv1.1", versions.v1_1),
        ("TLSv1.2", versions.v1_2),
        ("TLSv1.3", versions.v1_3),
        ("post-quantum", address.post_quantum),
        ("injection", address.injection),
    ];
    let tried: Vec<String> = tried
        .iter()
        .filter_map(|(what, known)| Some(format!("{what} {}", word(*known)?)))
        .collect();
    if address.connections > 1 && !tried.is_empty() {
        writeln!(out, "      accepts {}", tried.join(", "))?;
    }
    Ok(())
}

fn write_certificate(out: &mut String, certificate: &Certificate) -> Result {
    writeln!(
        out,
        "      certificate of {}, {}, until {} ({} days)",
        certificate.issuer, certificate.signature, certificate.not_after, certificate.days_left
    )
}

/// `None`: nobody tried.
fn word(known: Known) -> Option<&'static str> {
    match known {
        Known::Yes => Some("yes"),
        Known::No => Some("no"),
        Known::Unknown => Some("unknown"),
        Known::NotTested => None,
    }
}

pub(super) fn write_findings(out: &mut String, findings: &[Finding]) -> Result {
    for finding in findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        match &finding.host {
            Some(host) => writeln!(out, "  {severity:12} {host}: {}", finding.text)?,
            None => writeln!(out, "  {severity:12} {}", finding.text)?,
        }
    }
    Ok(())
}
