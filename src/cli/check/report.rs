//! What a check found, as it is written in JSON and in words.

use crate::relay::MAX_HOSTS;
use crate::survey::record::{Address, Finding, Tlsrpt};
use serde::{Serialize, Serializer};

/// One destination.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub destination: Destination,
    /// Our EHLO name.
    pub hostname: String,
    /// The source addresses of `outbound.bind`, else those that the kernel takes.
    pub sources: Vec<Source>,
    /// Whether DNSSEC works, and who checks the signatures.
    pub dnssec: String,
    /// What the MX records, or their absence, are worth: `secure`, `insecure`; `null` without MX lookup.
    pub mx_proof: Option<&'static str>,
    /// The name that the domain is an alias of.
    pub expanded: Option<String>,
    /// `null` if nobody would ask.
    pub mta_sts: Option<Sts>,
    pub hosts: Vec<Host>,
    /// The TLS reporting record; `null` for an address literal.
    pub tlsrpt: Option<Tlsrpt>,
    /// What does not fit together, or will not last, the gravest first; as in `sealpost scan`.
    pub findings: Vec<Finding>,
    /// Why there is no route.
    pub reply: Option<String>,
    pub verdict: Verdict,
}

#[derive(Debug, Serialize)]
pub(super) struct Destination {
    pub domain: String,
    pub next_hop: String,
    /// Where the rule stands that applies.
    pub rule: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Source {
    pub address: String,
    /// Its PTR records.
    pub names: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Host {
    /// `null` for an address literal.
    pub host: Option<String>,
    /// After CNAMEs.
    pub canonical: Option<String>,
    pub port: u16,
    pub addresses: Vec<String>,
    /// What the addresses are worth: `secure`, `insecure`.
    pub address_proof: &'static str,
    /// `null` if nobody would ask.
    pub tlsa: Option<Tlsa>,
    /// Whether the MTA-STS policy in force lists the host; `null` without one.
    pub listed: Option<bool>,
    pub policy: Option<Policy>,
    pub visits: Vec<Visit>,
    /// Whether a delivery would come as far as this host, if those before it failed.
    pub tried: bool,
    /// Why it cannot be visited.
    #[serde(serialize_with = "first")]
    pub reply: Option<(String, Verdict)>,
}

/// The MTA-STS policy of the policy domain.
#[derive(Debug, Serialize)]
pub(super) struct Sts {
    pub domain: String,
    /// `id 20260101`, or why there is none.
    pub record: String,
    /// What the policy host says now.
    pub published: Option<StsPolicy>,
    /// Why it could not be fetched now.
    pub failure: Option<String>,
    /// RFC 8460's word for that.
    pub result: Option<&'static str>,
    /// What the daemon remembers.
    pub cached: Option<StsPolicy>,
    /// For people: since when and until when; or why it is not known what the daemon remembers.
    pub cache: String,
    /// Which of them a delivery obeys: `cached`, `published`, `preloaded`, `none`.
    pub in_force: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct StsPolicy {
    pub mode: &'static str,
    pub mx: Vec<String>,
    pub max_age: u32,
}

/// The search for TLSA records.
#[derive(Debug, Serialize)]
pub(super) struct Tlsa {
    /// `usable`, `none_usable`, `absent`, `insecure`, `bogus`, `lookup_failed`.
    pub finding: &'static str,
    /// Why the lookup failed.
    pub failure: Option<String>,
    pub asked: Vec<TlsaQuestion>,
}

#[derive(Debug, Serialize)]
pub(super) struct TlsaQuestion {
    /// `_25._tcp.mx.example.com`
    pub name: String,
    /// `secure`, `insecure`, or why there is no answer.
    pub answer: String,
    pub records: Vec<TlsaRecord>,
}

#[derive(Debug, Serialize)]
pub(super) struct TlsaRecord {
    /// As in a zone file; long data is cut.
    pub record: String,
    /// `usable`, `outranked` by a stronger digest, `unusable`.
    pub state: &'static str,
    /// Why it does not count.
    pub reason: Option<String>,
}

/// Which certificate of the chain a TLSA record stands for.
#[derive(Debug, Serialize)]
pub(super) struct TlsaMatch {
    pub record: String,
    /// `presented`: a certificate of the chain; `published`: an anchor in the record itself; `nothing`.
    pub stands_for: &'static str,
    /// Of a presented certificate: 0 is the server's own.
    pub depth: Option<usize>,
    /// The subject of that certificate.
    pub subject: Option<String>,
    /// Why the record is not satisfied; `null`: it is.
    pub problem: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Policy {
    pub level: &'static str,
    pub source: &'static str,
    pub subject: String,
    /// Names (or pins) of which the certificate must carry one; empty: anything goes.
    pub accepts: Vec<String>,
    /// Whether a TLSA record must match: `dane`, `half-dane`.
    pub dane: Option<&'static str>,
    /// Names of which a certificate under DANE-TA must carry one; empty if no record is of that usage.
    pub dane_names: Vec<String>,
    /// The MX host's name, if the authorities must vouch for it as well: an MTA-STS policy demands it.
    pub mta_sts: Option<String>,
    /// Whether mail may go in the clear: `never`, `possible`, `always`.
    pub plaintext: &'static str,
    pub min_version: &'static str,
    /// Why the rule, which is only tried out, would not use the host.
    pub dry_run: Option<String>,
    /// Why an MTA-STS policy in mode `testing` would not use the host.
    pub testing: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Visit {
    pub address: String,
    pub family: &'static str,
    /// `null`: in the clear.
    pub tls: Option<&'static str>,
    pub cipher: Option<&'static str>,
    pub group: Option<&'static str>,
    pub key: Option<String>,
    pub authenticated: Option<&'static str>,
    /// What a full check would have said, also when none was asked for.
    pub certificate_problem: Option<String>,
    /// What the TLSA records that count matched; empty where none are demanded.
    pub tlsa_matches: Vec<TlsaMatch>,
    /// Why the rule, which is only tried out, would hold mail back here.
    pub dry_run: Option<String>,
    /// What a sender would be told, if mail cannot flow.
    pub reply: Option<String>,
    pub verdict: Verdict,
    /// What was seen and heard, as in `sealpost scan`.
    pub seen: Box<Address>,
}

/// Whether mail would flow; the worst of several decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Deliverable,
    Temporary,
    NotDeliverable,
}

impl Verdict {
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Deliverable => 0,
            Self::NotDeliverable => 1,
            Self::Temporary => 3,
        }
    }
}

impl Report {
    /// Mail flows if one address of one host will do; else the mildest refusal decides.
    ///
    /// A delivery gives up after so many hosts that it can try.
    pub(super) fn judge(&mut self) {
        let mut left = MAX_HOSTS;
        for host in &mut self.hosts {
            host.tried = left > 0;
            if host.tried && host.reply.is_none() {
                left -= 1;
            }
        }
        let hosts = || self.hosts.iter().filter(|host| host.tried);
        let visits = hosts().flat_map(|host| host.visits.iter().map(|v| v.verdict));
        let failures = hosts().filter_map(|host| host.reply.as_ref().map(|r| r.1));
        let unvisited = hosts().filter(|h| h.visits.is_empty() && h.reply.is_none());
        let unvisited = unvisited.map(|_| Verdict::Deliverable);
        let all = visits.chain(failures).chain(unvisited);
        self.verdict = all.min().unwrap_or(Verdict::NotDeliverable);
    }
}

fn first<S: Serializer>(
    reply: &Option<(String, Verdict)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    reply.as_ref().map(|(text, _)| text).serialize(serializer)
}
