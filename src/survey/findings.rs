//! What does not fit together, or will not last: read off a record. Pure.

mod domain;
mod host;

use super::record::{Class, Code, Finding, Flow, MxState, Record};

/// Days before its end at which a certificate is worth a word.
const SOON: i64 = 14;

/// Everything that is to be said of a record, the gravest first.
pub(super) fn findings(record: &Record) -> Vec<Finding> {
    let mut found = Found::default();
    if record.class != Class::NoMail {
        domain::mx(record, &mut found);
        domain::encryption(record, &mut found);
        domain::mta_sts(record, &mut found);
        domain::reports(record, &mut found);
        for host in &record.hosts {
            host::dns(host, record, &mut found);
            host::tls(host, &mut found);
            host::certificate(host, &mut found);
            host::tlsa(host, record, &mut found);
        }
        flow(record, &mut found);
    }
    let mut findings = found.0;
    findings.sort_by_key(|finding| (finding.severity, finding.code));
    findings
}

/// What was found so far; one of a kind for each host.
#[derive(Debug, Default)]
struct Found(Vec<Finding>);

impl Found {
    fn add(&mut self, code: Code, host: Option<&str>, text: impl Into<String>) {
        let host = host.map(str::to_owned);
        if self.0.iter().any(|f| f.code == code && f.host == host) {
            return;
        }
        self.0.push(Finding {
            severity: code.severity(),
            code,
            host,
            text: text.into(),
        });
    }
}

fn flow(record: &Record, found: &mut Found) {
    if record.verdict.flow == Flow::NotDeliverable && record.mx.state != MxState::NullMx {
        let why = record
            .verdict
            .reply
            .as_deref()
            .unwrap_or("no MX host may be used");
        found.add(
            Code::NotDeliverable,
            None,
            format!("mail would not be delivered: {why}"),
        );
    }
}

#[cfg(test)]
mod tests;
