//! Findings about a domain.

use super::Found;
use crate::survey::record::{
    Class, Code, Dnssec, Host, HostTls, Known, Reach, Record, StsMode, StsState, TlsaState,
    TlsrptState,
};

pub(super) fn mx(record: &Record, found: &mut Found) {
    if record.mx.dnssec == Dnssec::Bogus {
        let text = "DNSSEC validation of the MX records fails";
        found.add(Code::MxBogus, None, text);
    }
    if record.mx.null_among_others == Known::Yes {
        let text = "a null MX beside other MX records means nothing";
        found.add(Code::NullMxWithOthers, None, text);
    }
    let with_address = || {
        record
            .hosts
            .iter()
            .filter(|host| !host.addresses.is_empty())
    };
    if with_address().next().is_some() && with_address().all(|host| host.ipv6 == Known::No) {
        let text = "no MX host has an IPv6 address";
        found.add(Code::Ipv6Missing, None, text);
    }
    let reached = |tls: HostTls| tls != HostTls::CouldNotTest;
    if record.hosts.iter().any(|host| reached(host.tls)) {
        let visited = |host: &Host| host.addresses.iter().any(|a| a.reach != Reach::NotTested);
        let lost = with_address().filter(|host| !reached(host.tls));
        for host in lost.filter(|host| visited(host)) {
            let text = "could not be reached, while others could";
            found.add(Code::OneMxUnreachable, Some(&host.name), text);
        }
    }
}

pub(super) fn encryption(record: &Record, found: &mut Found) {
    let of = |tls: HostTls| record.hosts.iter().filter(move |host| host.tls == tls);
    for host in of(HostTls::Broken) {
        let text = "STARTTLS is offered, and no handshake comes about";
        found.add(Code::TlsBroken, Some(&host.name), text);
    }
    match record.class {
        Class::NoStarttls if of(HostTls::NotOffered).next().is_some() => {
            let text = "no MX host offers STARTTLS: mail goes in the clear";
            found.add(Code::NoStarttls, None, text);
        }
        Class::StarttlsOnSome => {
            let without: Vec<_> = of(HostTls::NotOffered).chain(of(HostTls::Broken)).collect();
            let names: Vec<_> = without.iter().map(|host| host.name.as_str()).collect();
            let text = format!("mail to {} is not encrypted", names.join(", "));
            found.add(Code::OnlySomeMxEncrypted, None, text);
        }
        Class::NoStarttls | Class::StarttlsOnAll | Class::NoMail | Class::CouldNotTest => {}
    }
}

pub(super) fn mta_sts(record: &Record, found: &mut Found) {
    let sts = &record.mta_sts;
    let failure = sts.failure.as_deref().unwrap_or("no reason is known");
    match sts.state {
        StsState::RecordInvalid | StsState::SeveralRecords => {
            found.add(Code::MtaStsRecordInvalid, None, failure);
        }
        StsState::PolicyFailed => {
            let text = format!("there is an MTA-STS record, but no policy: {failure}");
            found.add(Code::MtaStsPolicyHostBroken, None, text);
        }
        StsState::Valid => policy(record, found),
        StsState::None | StsState::RecordUnknown | StsState::RecordBogus | StsState::NotTested => {}
    }
}

fn policy(record: &Record, found: &mut Found) {
    let sts = &record.mta_sts;
    match sts.mode {
        Some(StsMode::Testing) => {
            let text = "the MTA-STS policy is only tested: it protects nothing";
            found.add(Code::MtaStsTesting, None, text);
        }
        Some(StsMode::Enforce) => {}
        Some(StsMode::None) | None => return,
    }
    if let Some(age) = sts.max_age.filter(|age| *age < 86_400) {
        let text = format!("max_age is {age} s: the policy is forgotten in less than a day");
        found.add(Code::MtaStsMaxAgeShort, None, text);
    }
    let listed = record
        .hosts
        .iter()
        .filter(|host| host.sts_listed == Known::Yes);
    let enforced = sts.mode == Some(StsMode::Enforce);
    if !record.hosts.is_empty() && listed.clone().next().is_none() && enforced {
        let text = "the MTA-STS policy lists none of the MX hosts: nobody who heeds it can deliver";
        found.add(Code::MtaStsCoversNoMx, None, text);
        return;
    }
    for host in record
        .hosts
        .iter()
        .filter(|host| host.sts_listed == Known::No)
    {
        let text = "the MTA-STS policy does not list this MX host";
        found.add(Code::MtaStsDoesNotCoverMx, Some(&host.name), text);
    }
    for host in listed {
        if host.sts_certificate == Known::No {
            let shown = host.addresses.iter().filter_map(|a| a.certificate.as_ref());
            let problem = shown.filter_map(|c| c.problem.as_deref()).next();
            let text = format!(
                "the MTA-STS policy lists it, but {}",
                problem.unwrap_or("its certificate is not valid for it")
            );
            found.add(Code::MtaStsCertificateNotValidForMx, Some(&host.name), text);
        }
        if host.tlsa.matching == Known::No && enforced {
            let text = "the MTA-STS policy lists it, but none of its TLSA records matches: \
                who heeds DANE does not deliver to it";
            found.add(
                Code::MtaStsListsHostThatDaneContradicts,
                Some(&host.name),
                text,
            );
        }
    }
}

pub(super) fn reports(record: &Record, found: &mut Found) {
    let failure = record
        .tlsrpt
        .failure
        .as_deref()
        .unwrap_or("it is malformed");
    match record.tlsrpt.state {
        TlsrptState::Invalid | TlsrptState::Several => {
            let text = format!("the TLS reporting record does not count: {failure}");
            found.add(Code::TlsrptInvalid, None, text);
        }
        TlsrptState::None => {
            let sts = record
                .mta_sts
                .mode
                .is_some_and(|mode| mode != StsMode::None);
            let dane = |host: &Host| host.tlsa.state == TlsaState::Usable;
            if sts || record.hosts.iter().any(dane) {
                let text =
                    "there is a TLS policy, but no TLSRPT record: nobody is told when it fails";
                found.add(Code::TlsrptMissingAlthoughPolicy, None, text);
            }
        }
        TlsrptState::Valid | TlsrptState::Unknown | TlsrptState::NotTested => {}
    }
}
