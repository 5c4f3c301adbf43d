//! What is counted of a domain.

use super::label::{could_not_test, extent_labels, known_labels, word};
use super::tls::{Answer, answers};
use super::{Extent, Label, Property, extent, tls};
use crate::html::Tone;
use crate::survey::record::{
    Class, Dnssec, Flow, Host, HostTls, Known, Record, Severity, StsMode, StsState, TlsaState,
    TlsrptState,
};

/// Every property with its parts; none, if it does not apply.
pub(super) fn properties(record: &Record) -> Vec<(Property, Vec<Label>)> {
    let mut properties = vec![
        (Property::Starttls, vec![class(record.class)]),
        (Property::Dnssec, dnssec(record.mx.dnssec)),
        (Property::Severity, vec![severity(record)]),
        (Property::Findings, findings(record)),
    ];
    if record.class != Class::NoMail {
        properties.extend([
            (Property::Protection, vec![protection(record)]),
            (Property::Flow, vec![flow(record.verdict.flow)]),
            (Property::Level, level(record)),
            (Property::Dane, vec![dane(&record.hosts)]),
            (Property::Rollover, rollover(&record.hosts)),
            (Property::MtaSts, vec![mta_sts(record)]),
            (Property::Tlsrpt, vec![tlsrpt(record.tlsrpt.state)]),
            (
                Property::Ipv6,
                extent_labels(extent(record.hosts.iter().map(|h| h.ipv6)), Tone::Neutral),
            ),
        ]);
        if matches!(
            record.mta_sts.mode,
            Some(StsMode::Enforce | StsMode::Testing)
        ) {
            let (covers, valid) = (record.mta_sts.covers_all, record.mta_sts.certificates_valid);
            properties.extend([
                (Property::MtaStsCovers, yes_or_no(covers)),
                (Property::MtaStsCertificates, yes_or_no(valid)),
            ]);
        }
        let addresses: Vec<Answer<'_>> = record.hosts.iter().flat_map(answers).collect();
        properties.extend(tls::properties(&addresses, extent_labels));
    }
    properties
}

fn class(class: Class) -> Label {
    match class {
        Class::StarttlsOnAll => Label::new(0, "on all MX", Tone::Encrypted),
        Class::StarttlsOnSome => Label::new(1, "on some MX", Tone::Weak),
        Class::NoStarttls => Label::new(2, "on no MX", Tone::Plaintext),
        Class::CouldNotTest => could_not_test(),
        Class::NoMail => Label::new(91, "takes no mail", Tone::Neutral),
    }
}

fn flow(flow: Flow) -> Label {
    match flow {
        Flow::Deliverable => Label::new(0, "would flow", Tone::Verified),
        Flow::Temporary => Label::new(1, "not now", Tone::Weak),
        Flow::NotDeliverable => Label::new(2, "would not flow", Tone::Bad),
        Flow::NotTested => could_not_test(),
    }
}

/// How the mail would be protected on its way.
fn protection(record: &Record) -> Label {
    let verdict = &record.verdict;
    match verdict.flow {
        Flow::Temporary => return Label::new(20, "held back for now", Tone::Weak),
        Flow::NotDeliverable => return Label::new(21, "held back", Tone::Bad),
        Flow::NotTested => return could_not_test(),
        Flow::Deliverable => {}
    }
    match verdict.encrypted {
        Known::No => return Label::new(10, "in the clear", Tone::Plaintext),
        Known::Unknown | Known::NotTested => return could_not_test(),
        Known::Yes => {}
    }
    match verdict.authenticated.as_deref() {
        Some("dane") => Label::new(0, "encrypted, authenticated by DANE", Tone::Verified),
        Some("webpki") => Label::new(1, "encrypted, authenticated by WebPKI", Tone::Kind(1)),
        Some("half-dane") => Label::new(2, "encrypted, half DANE", Tone::Kind(4)),
        Some("fingerprint") => Label::new(3, "encrypted, known fingerprint", Tone::Kind(2)),
        Some(_) | None => Label::new(4, "encrypted, not authenticated", Tone::Encrypted),
    }
}

fn level(record: &Record) -> Vec<Label> {
    let (Some(level), Some(source)) = (&record.verdict.level, &record.verdict.source) else {
        return Vec::new();
    };
    vec![Label::new(0, format!("{level} ({source})"), Tone::Kind(0))]
}

/// Shared with the hosts: what DNSSEC says.
pub(super) fn dnssec(dnssec: Dnssec) -> Vec<Label> {
    let label = match dnssec {
        Dnssec::Secure => Label::new(0, "signed", Tone::Verified),
        Dnssec::Insecure => Label::new(1, "not signed", Tone::Neutral),
        Dnssec::Bogus => Label::new(2, "bogus", Tone::Bad),
        Dnssec::Failed => could_not_test(),
        Dnssec::NotTested => return Vec::new(),
    };
    vec![label]
}

/// The gravest that is true of a host comes first; none of them is "no" if it could not be found out.
fn dane(hosts: &[Host]) -> Label {
    let states = || {
        hosts
            .iter()
            .map(|host| (host.tlsa.state, host.tlsa.matching))
    };
    let any = |wanted: TlsaState| states().any(|(state, _)| state == wanted);
    let usable = states().filter(|(state, _)| *state == TlsaState::Usable);
    let usable: Vec<Known> = usable.map(|(_, matching)| matching).collect();
    let others = hosts.len() - usable.len();
    if usable.contains(&Known::No) {
        return Label::new(3, "TLSA that does not match", Tone::Bad);
    }
    if any(TlsaState::Bogus) {
        return Label::new(5, "bogus", Tone::Kind(3));
    }
    if usable.contains(&Known::Yes) {
        return if others == 0 {
            Label::new(0, "valid on all MX", Tone::Verified)
        } else {
            Label::new(1, "valid on some MX", Tone::Weak)
        };
    }
    if !usable.is_empty() {
        return Label::new(2, "TLSA, certificate not seen", Tone::Kind(0));
    }
    if any(TlsaState::NoneUsable) {
        return Label::new(4, "TLSA that cannot be used", Tone::Plaintext);
    }
    if any(TlsaState::PublishedInsecure) {
        return Label::new(6, "TLSA without DNSSEC", Tone::Kind(5));
    }
    let known = |state| matches!(state, TlsaState::Absent | TlsaState::Insecure);
    if hosts.is_empty() || !states().all(|(state, _)| known(state)) {
        return could_not_test();
    }
    Label::new(7, "none", Tone::Neutral)
}

fn rollover(hosts: &[Host]) -> Vec<Label> {
    let usable = hosts
        .iter()
        .filter(|host| host.tlsa.state == TlsaState::Usable);
    extent_labels(extent(usable.map(|host| host.tlsa.rollover)), Tone::Weak)
}

fn mta_sts(record: &Record) -> Label {
    match (record.mta_sts.state, record.mta_sts.mode) {
        (StsState::Valid, Some(StsMode::Enforce)) => Label::new(0, "enforce", Tone::Verified),
        (StsState::Valid, Some(StsMode::Testing)) => Label::new(1, "testing", Tone::Encrypted),
        (StsState::Valid, Some(StsMode::None) | None) => Label::new(2, "mode none", Tone::Neutral),
        (StsState::PolicyFailed, _) => Label::new(3, "record, but no valid policy", Tone::Bad),
        (StsState::RecordInvalid, _) => Label::new(4, "record invalid", Tone::Weak),
        (StsState::SeveralRecords, _) => Label::new(5, "several records", Tone::Plaintext),
        (StsState::RecordBogus, _) => Label::new(6, "bogus", Tone::Kind(3)),
        (StsState::None, _) => Label::new(7, "none", Tone::Neutral),
        (StsState::RecordUnknown | StsState::NotTested, _) => could_not_test(),
    }
}

fn tlsrpt(state: TlsrptState) -> Label {
    match state {
        TlsrptState::Valid => Label::new(0, "valid", Tone::Verified),
        TlsrptState::Invalid => Label::new(1, "invalid", Tone::Weak),
        TlsrptState::Several => Label::new(2, "several records", Tone::Plaintext),
        TlsrptState::None => Label::new(3, "none", Tone::Neutral),
        TlsrptState::Unknown | TlsrptState::NotTested => could_not_test(),
    }
}

fn yes_or_no(known: Known) -> Vec<Label> {
    match extent([known]) {
        // There is a policy, so that it applies.
        Extent::Nothing => vec![could_not_test()],
        found @ (Extent::All | Extent::Some | Extent::None | Extent::CouldNotTest) => {
            known_labels(found, Tone::Verified, Tone::Bad)
        }
    }
}

fn severity(record: &Record) -> Label {
    match record.findings.iter().map(|finding| finding.severity).min() {
        Some(Severity::Error) => Label::new(0, "error", Tone::Bad),
        Some(Severity::Warning) => Label::new(1, "warning", Tone::Weak),
        Some(Severity::Info) => Label::new(2, "info", Tone::Encrypted),
        None => Label::new(3, "no finding", Tone::Neutral),
    }
}

/// Each once, however many hosts it is about.
fn findings(record: &Record) -> Vec<Label> {
    let mut labels: Vec<Label> = record
        .findings
        .iter()
        .map(|finding| {
            let (rank, tone) = match finding.severity {
                Severity::Error => (0, Tone::Bad),
                Severity::Warning => (1, Tone::Weak),
                Severity::Info => (2, Tone::Encrypted),
            };
            Label::new(rank, word(&finding.code), tone)
        })
        .collect();
    labels.push(Label::silent());
    labels.sort();
    labels.dedup();
    labels
}

/// Shared with the hosts: whether TLS works there.
pub(super) fn host_tls(tls: HostTls) -> Label {
    match tls {
        HostTls::Works => Label::new(0, "works", Tone::Encrypted),
        HostTls::Broken => Label::new(1, "offered, but broken", Tone::Bad),
        HostTls::NotOffered => Label::new(2, "not offered", Tone::Plaintext),
        HostTls::CouldNotTest => could_not_test(),
    }
}
