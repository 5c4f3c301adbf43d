//! `sealpost check`: explains the policy for a destination step by step, then visits every MX host
//! without sending mail. The same discovery, decision and connection as in delivery.

pub(super) mod describe;
mod report;
mod sources;
mod sts;
mod text;
mod tlsa;
mod visit;

use super::{CheckArgs, Connect, Output, surveyor};
use crate::config::Config;
use crate::delivery::{host_label, say};
use crate::discovery::{Discovery, Looked, Route, RouteHost, Sts, Unobserved};
use crate::dns::Dns;
use crate::mta_sts::Mode;
use crate::names::DomainName;
use crate::policy::{
    DeferReason, Demand, HostFacts, HostVerdict, Published, Rules, SeekTlsa, StsFinding,
    TlsaFinding, for_host, seek_tlsa,
};
use crate::smtp::address::MailDomain;
use crate::smtp::reply::{Reply, Severity};
use crate::survey::record::Flow;
use crate::survey::{OldVersions, Pace, Survey, flow_of_deferral};
use crate::tls::TlsClient;
use futures_util::future::join_all;
use report::{Destination, Host, Report, Source, Verdict};
use std::io::Write as _;
use std::net::IpAddr;
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
    let means = surveyor::means(config).await?;
    let pace = Pace {
        visit: VISIT_TIMEOUT,
        retry: Duration::ZERO,
        ..Pace::default()
    };
    let thorough = (options.depth.depth(), OldVersions::Leave);
    let checker = Checker {
        config,
        tls: means.tls.clone(),
        sts: means.sts.clone(),
        discovery: means.discovery.clone(),
        dns: means.dns.clone(),
        survey: Survey::new(means, surveyor::settings(config, thorough, pace)),
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
    survey: Survey,
    options: &'a CheckArgs,
}

impl Checker<'_> {
    async fn check(&self, domain: &MailDomain) -> Report {
        let rules = &self.config.policy.rules;
        let demand = demand(domain, rules);
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
            tlsrpt: None,
            findings: Vec::new(),
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
                let (story, looked) = story.unzip();
                report.mta_sts = story;
                let hosts = route
                    .hosts
                    .iter()
                    .map(|host| self.host(&demand, (&route, &sts), host));
                report.hosts = join_all(hosts).await;
                report.judge();
                self.survey(&demand, (sts, looked), &mut report).await;
                if report.sources.is_empty() {
                    report.sources = self.sources(&sources::chosen_by_kernel(&route)).await;
                }
            }
        }
        report
    }

    /// What `scan` would say of the domain, by what was seen here.
    async fn survey(
        &self,
        demand: &Demand,
        (sts, looked): (StsFinding, Option<Looked>),
        report: &mut Report,
    ) {
        let Some(domain) = &demand.recipient_domain else {
            return;
        };
        let record = self.survey.tell(domain, (sts, looked.as_ref())).await;
        report.tlsrpt = Some(record.tlsrpt);
        report.findings = record.findings;
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
                self.survey.note_host((route, host), Vec::new()).await;
            }
            HostVerdict::Use(policy) => {
                seen.policy = Some(describe::policy(&policy));
                let mut found = Vec::new();
                if self.options.connect == Connect::Yes {
                    let visits = addresses
                        .iter()
                        .map(|&ip| self.visit(demand, (route, host), &policy, ip));
                    (seen.visits, found) = join_all(visits).await.into_iter().unzip();
                }
                self.survey.note_host((route, host), found).await;
            }
        }
        seen
    }

    fn verdict_of(&self, reason: &DeferReason) -> Verdict {
        match flow_of_deferral(reason, &self.dns) {
            Flow::Deliverable => Verdict::Deliverable,
            Flow::Temporary => Verdict::Temporary,
            Flow::NotDeliverable | Flow::NotTested => Verdict::NotDeliverable,
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
}

fn demand(domain: &MailDomain, rules: &Rules) -> Demand {
    Demand {
        recipient_domain: match domain {
            MailDomain::Name { ascii, .. } => Some(ascii.clone()),
            MailDomain::Literal(_) => None,
        },
        next_hop: crate::relay::next_hop(domain, rules),
        published: Published::Honor,
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
