//! `sealpost check`: explains the policy for a destination step by step, then visits every MX host
//! without sending mail. The same discovery, decision and connection as in delivery.

pub(super) mod describe;
mod report;
mod sources;
mod sts;
mod text;
mod tlsa;

use super::{CheckArgs, Connect, Output};
use crate::config::Config;
use crate::delivery::outcome::Channel;
use crate::delivery::{Call, Found, MayBeThisHost, host_label, probe, say};
use crate::discovery::{Discovery, Route, RouteHost, Sts, Unobserved};
use crate::dns::{Dns, DnssecStatus, Family};
use crate::mta_sts::Mode;
use crate::names::{DomainName, NextHop, RuleTarget};
use crate::policy::{
    DeferReason, Demand, HostFacts, HostPolicy, HostVerdict, Published, SeekTlsa, StsFinding,
    TlsaFinding, for_host, seek_tlsa,
};
use crate::smtp::address::MailDomain;
use crate::smtp::reply::{Reply, Severity};
use crate::tls::TlsClient;
use futures_util::future::join_all;
use report::{Destination, Host, Report, Source, Verdict, Visit};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// For one visit, in all: a person waits.
const VISIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Checks destinations one after the other and prints what it finds.
pub fn run(config: &Config, args: &CheckArgs) -> ExitCode {
    let destinations: Result<Vec<_>, String> = args
        .destinations
        .iter()
        .map(|target| parse(target))
        .collect();
    let destinations = match destinations {
        Ok(destinations) => destinations,
        Err(problem) => {
            eprintln!("sealpost: check: {problem}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sealpost: check: {error}");
            return ExitCode::from(3);
        }
    };
    match runtime.block_on(check_all(config, destinations, args)) {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(problem) => {
            eprintln!("sealpost: check: {problem}");
            ExitCode::from(2)
        }
    }
}

/// A domain, a mail address or an address literal.
fn parse(target: &str) -> Result<MailDomain, String> {
    let domain = target.rsplit_once('@').map_or(target, |(_, domain)| domain);
    if let Some(inside) = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']')) {
        let inside = inside.strip_prefix("IPv6:").unwrap_or(inside);
        let ip = inside
            .parse()
            .map_err(|_| format!("{target}: not an address literal"))?;
        return Ok(MailDomain::Literal(ip));
    }
    let ascii = DomainName::parse(domain).map_err(|error| format!("{target}: {error}"))?;
    Ok(MailDomain::Name {
        ascii,
        written: domain.to_owned(),
    })
}

async fn check_all(
    config: &Config,
    destinations: Vec<MailDomain>,
    options: &CheckArgs,
) -> Result<Verdict, String> {
    let dns = Dns::new(&config.dns, Arc::new(|_, _| {})).map_err(|e| e.to_string())?;
    let tls = TlsClient::new(&config.tls).map_err(|e| e.to_string())?;
    let sts = policies(config, &dns, &tls).await;
    let checker = Checker {
        config,
        tls,
        sts,
        discovery: Discovery::new(dns.clone()),
        dns,
        options,
    };
    let mut reports = Vec::new();
    for destination in destinations {
        let report = checker.check(&destination).await;
        if options.output == Output::Text {
            print(&text::render(&report))?;
        }
        reports.push(report);
    }
    if options.output == Output::Json {
        let json = serde_json::to_string_pretty(&reports).map_err(|e| e.to_string())?;
        print(&format!("{json}\n"))?;
    }
    Ok(reports
        .iter()
        .map(|report| report.verdict)
        .max()
        .unwrap_or(Verdict::Deliverable))
}

/// Policies that are looked up here and remembered nowhere.
pub(super) async fn policies(config: &Config, dns: &Dns, tls: &TlsClient) -> Sts {
    let (settings, tasks) = (config.sts(tls), TaskTracker::new());
    let sts = Sts::new(dns.clone(), None, settings, Arc::new(Unobserved), tasks);
    sts.preload(config.preload.clone()).await;
    sts
}

/// A reader that has gone away, such as `head`, is no reason to panic.
fn print(text: &str) -> Result<(), String> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| format!("stdout: {error}"))
}

struct Checker<'a> {
    config: &'a Config,
    tls: TlsClient,
    dns: Dns,
    discovery: Discovery,
    sts: Sts,
    options: &'a CheckArgs,
}

impl Checker<'_> {
    async fn check(&self, domain: &MailDomain) -> Report {
        let rules = &self.config.policy.rules;
        let name = match domain {
            MailDomain::Name { ascii, .. } => Some(ascii.clone()),
            MailDomain::Literal(_) => None,
        };
        let next_hop = crate::relay::next_hop(domain, rules);
        let demand = Demand {
            recipient_domain: name,
            next_hop,
            published: Published::Honor,
        };
        let rule = rules.for_demand(&demand);
        let dnssec = self.dns.probe().await;
        let mut report = Report {
            destination: Destination {
                domain: domain.to_string(),
                next_hop: demand.next_hop.to_string(),
                rule: rule.map(|rule| rule.origin.clone()),
            },
            hostname: self.config.hostname.to_string(),
            sources: self.sources(&self.config.delivery.bind).await,
            dnssec: describe::dnssec(&dnssec, self.config.dns.unavailable),
            mx_proof: None,
            expanded: None,
            mta_sts: None,
            hosts: Vec::new(),
            reply: None,
            verdict: Verdict::NotDeliverable,
        };
        match self
            .discovery
            .route(&demand.next_hop, &self.config.discovery)
            .await
        {
            Err(failure) => {
                let reply = say::no_route(&failure, &demand.next_hop);
                report.verdict = Verdict::of_reply(&reply);
                report.reply = Some(reply.to_string());
            }
            Ok(route) => {
                report.mx_proof =
                    describe::has_mx(&demand.next_hop).then(|| describe::proof(route.mx_proof));
                report.expanded = route.expanded.as_ref().map(ToString::to_string);
                let (sts, story) = self.sts(&demand).await;
                report.mta_sts = story;
                let hosts = route
                    .hosts
                    .iter()
                    .map(|host| self.host(&demand, (&route, &sts), host));
                report.hosts = join_all(hosts).await;
                report.judge();
                if report.sources.is_empty() {
                    report.sources = self.sources(&sources::chosen_by_kernel(&route)).await;
                }
            }
        }
        report
    }

    /// Our own addresses as a receiver sees them.
    async fn sources(&self, addresses: &[IpAddr]) -> Vec<Source> {
        let sources = addresses.iter().map(|&ip| async move {
            let names = match self.dns.pointer(ip).await {
                Ok(answer) => answer.records.iter().map(ToString::to_string).collect(),
                Err(_) => Vec::new(),
            };
            Source {
                address: ip.to_string(),
                names,
            }
        });
        join_all(sources).await
    }

    async fn host(
        &self,
        demand: &Demand,
        (route, sts): (&Route, &StsFinding),
        host: &RouteHost,
    ) -> Host {
        let mut seen = Host {
            host: host.host.as_ref().map(ToString::to_string),
            canonical: host.canonical.as_ref().map(ToString::to_string),
            port: route.port,
            addresses: Vec::new(),
            address_proof: describe::proof(host.proof),
            tlsa: None,
            listed: listed(sts, host),
            policy: None,
            visits: Vec::new(),
            tried: true,
            reply: None,
        };
        let addresses = match &host.addresses {
            Ok(addresses) => addresses,
            Err(failure) => {
                let name = seen.host.clone().unwrap_or_default();
                seen.fail(&say::host_without_address(&name, failure));
                return seen;
            }
        };
        seen.addresses = addresses.iter().map(ToString::to_string).collect();
        let facts = HostFacts {
            host: host.host.clone(),
            next_hop_expanded: route.expanded.clone(),
            trust: route.trust(),
            tlsa: self.tlsa(demand, (route, host), &mut seen).await,
            sts: sts.clone(),
        };
        match for_host(demand, &facts, &self.config.policy) {
            HostVerdict::Defer(deferral) | HostVerdict::Skip(deferral) => {
                let label = host_label(host.host.as_ref(), addresses);
                let reply = say::policy_defers(&label, &deferral);
                seen.policy = Some(describe::deferral(
                    &deferral,
                    self.config.policy.min_version,
                ));
                let verdict = self.verdict_of(&deferral.reason);
                seen.reply = Some((reply.to_string(), verdict));
            }
            HostVerdict::Use(policy) => {
                seen.policy = Some(describe::policy(&policy));
                if self.options.connect == Connect::Yes {
                    let visits = addresses
                        .iter()
                        .map(|&ip| self.visit(demand, (route, host), &policy, ip));
                    seen.visits = join_all(visits).await;
                }
            }
        }
        seen
    }

    /// What a deferral means: some pass, others stay until somebody mends something.
    fn verdict_of(&self, reason: &DeferReason) -> Verdict {
        match reason {
            DeferReason::TlsaLookup(_) | DeferReason::StsBogus(_) | DeferReason::StsUnknown(_) => {
                Verdict::Temporary
            }
            DeferReason::TlsaNotSought if self.dns.dnssec() != DnssecStatus::Off => {
                Verdict::Temporary
            }
            DeferReason::TlsaNotSought
            | DeferReason::NoTlsa
            | DeferReason::TlsaInsecure
            | DeferReason::NoneUsable(_)
            | DeferReason::MxInsecure
            | DeferReason::NotListed => Verdict::NotDeliverable,
        }
    }

    async fn tlsa(
        &self,
        demand: &Demand,
        (route, host): (&Route, &RouteHost),
        seen: &mut Host,
    ) -> TlsaFinding {
        match seek_tlsa(demand, &self.config.policy) {
            SeekTlsa::No => TlsaFinding::NotSought,
            SeekTlsa::ForTheRecord | SeekTlsa::Yes => {
                let search = self.discovery.tlsa(route, host).await;
                seen.tlsa = tlsa::describe(&search, route.port);
                search.finding
            }
        }
    }

    async fn visit(
        &self,
        demand: &Demand,
        (route, host): (&Route, &RouteHost),
        policy: &HostPolicy,
        ip: IpAddr,
    ) -> Visit {
        let bracketed = match &demand.next_hop {
            NextHop::Rule(hop) => !matches!(hop.target, RuleTarget::Mx(_)),
            NextHop::Domain(_) | NextHop::Literal(_) => false,
        };
        let call = Call {
            host: host.host.as_ref(),
            address: SocketAddr::new(ip, route.port),
            implicit_tls: route.implicit_tls,
            policy,
            settings: &self.config.delivery,
            tls: &self.tls,
            may_be_this_host: if bracketed {
                MayBeThisHost::No
            } else {
                MayBeThisHost::Yes
            },
            within: VISIT_TIMEOUT,
        };
        let family = match Family::of(ip) {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        let probed = probe(&call).await;
        let mut visit = Visit::new(ip, family, probed.found);
        visit.dry_run = probed.dry_run.map(|failure| failure.to_string());
        if let (Some(dane), Some(session)) = (&policy.enforce.dane, &probed.session) {
            let matches = self.tls.explain_dane(dane, session, crate::clock::now());
            visit.tlsa_matches = matches.into_iter().map(tlsa::matched).collect();
        }
        visit
    }
}

fn listed(sts: &StsFinding, host: &RouteHost) -> Option<bool> {
    match sts {
        StsFinding::Policy(policy) if policy.mode != Mode::None => {
            Some(host.host.as_ref().is_some_and(|host| policy.lists(&host.0)))
        }
        StsFinding::Policy(_)
        | StsFinding::NotSought
        | StsFinding::NoPolicy
        | StsFinding::Bogus(_)
        | StsFinding::Unknown(_) => None,
    }
}

impl Visit {
    fn new(ip: IpAddr, family: &'static str, found: Found) -> Self {
        let mut visit = Self {
            address: ip.to_string(),
            family,
            tls: None,
            cipher: None,
            group: None,
            key: None,
            authenticated: None,
            certificate_problem: None,
            tlsa_matches: Vec::new(),
            dry_run: None,
            reply: None,
            verdict: Verdict::Deliverable,
        };
        match found {
            Found::Refused(reply, blocked) => {
                // A policy that is not met stays so until somebody mends it.
                visit.verdict = match blocked {
                    Some(_) => Verdict::NotDeliverable,
                    None => Verdict::of_reply(&reply),
                };
                visit.reply = Some(reply.to_string());
            }
            Found::Postponed(reply) => {
                visit.verdict = Verdict::Temporary;
                visit.reply = Some(reply.to_string());
            }
            Found::ClearToSend(Channel::Tls(seen)) => {
                visit.tls = Some(seen.version.as_str());
                visit.cipher = Some(seen.cipher);
                visit.group = seen.group;
                visit.key = Some(seen.key.to_string());
                visit.authenticated = Some(seen.authenticated.as_str());
                visit.certificate_problem = seen.problem.as_ref().map(ToString::to_string);
            }
            Found::ClearToSend(Channel::Plaintext(_) | Channel::None) => {}
        }
        visit
    }
}

impl Host {
    fn fail(&mut self, reply: &Reply) {
        self.reply = Some((reply.to_string(), Verdict::of_reply(reply)));
    }
}

impl Verdict {
    /// What a refusal means: soft ones may pass.
    fn of_reply(reply: &Reply) -> Self {
        match reply.severity() {
            Severity::Transient => Self::Temporary,
            Severity::Permanent => Self::NotDeliverable,
            Severity::Positive | Severity::Intermediate => Self::Deliverable,
        }
    }
}
