//! What Sealpost would do with mail for one domain, by what is known of its hosts: no connection is needed for it.

use super::Survey;
use super::address::{AddressSeen, Door};
use super::host::HostSeen;
use super::record::{Action, Dnssec, Flow, Host, Known, Policy, Verdict};
use super::words::{self, line};
use crate::clock;
use crate::delivery::outcome::Channel;
use crate::delivery::{Found, MayBeThisHost, host_label, judged, say};
use crate::discovery::{HostFailure, Route, RouteHost};
use crate::dns::{Dns, DnssecStatus};
use crate::mta_sts::Mode;
use crate::policy::{
    DeferReason, Deferral, Demand, HostFacts, HostPolicy, HostVerdict, SeekTlsa, StsFinding,
    TlsaFinding, for_host, seek_tlsa,
};
use crate::relay::MAX_HOSTS;
use crate::smtp::reply::{Reply, Severity};

/// Whose mail is judged.
pub(super) struct Judge<'a> {
    pub survey: &'a Survey,
    pub demand: &'a Demand,
    pub route: &'a Route,
    /// What counts for a delivery.
    pub sts: StsFinding,
    pub may_be_this_host: MayBeThisHost,
}

impl Judge<'_> {
    /// `published` is the domain's policy even where a rule would not ask for it.
    pub(super) fn host(
        &self,
        host: &RouteHost,
        seen: Option<&HostSeen>,
        published: &StsFinding,
    ) -> Host {
        let mut told = match seen {
            Some(seen) => seen.told.clone(),
            None => without_address(host),
        };
        told.sts_listed = listed(published, host);
        let (Some(seen), Ok(addresses)) = (seen, &host.addresses) else {
            return told;
        };
        let sought = seek_tlsa(self.demand, &self.survey.settings.policy);
        let facts = HostFacts {
            host: host.host.clone(),
            next_hop_expanded: self.route.expanded.clone(),
            trust: self.route.trust(),
            tlsa: match sought {
                SeekTlsa::No => TlsaFinding::NotSought,
                SeekTlsa::ForTheRecord | SeekTlsa::Yes => seen.tlsa.finding.clone(),
            },
            sts: self.sts.clone(),
        };
        match for_host(self.demand, &facts, &self.survey.settings.policy) {
            HostVerdict::Defer(deferral) => {
                let label = host_label(host.host.as_ref(), addresses);
                self.not_used((Action::Defer, &label), &deferral, &mut told);
            }
            HostVerdict::Skip(deferral) => {
                let label = host_label(host.host.as_ref(), addresses);
                self.not_used((Action::Skip, &label), &deferral, &mut told);
            }
            HostVerdict::Use(policy) => self.used(&policy, (host, seen), &mut told),
        }
        told
    }

    fn not_used(&self, (action, label): (Action, &str), deferral: &Deferral, told: &mut Host) {
        told.policy = Policy {
            action,
            level: Some(deferral.level.as_str().to_owned()),
            source: Some(deferral.source.as_str().to_owned()),
            reason: Some(line(&deferral.reason.to_string())),
        };
        told.flow = flow_of_deferral(&deferral.reason, &self.survey.dns);
        told.reply = Some(line(&say::policy_defers(label, deferral).to_string()));
        for address in &mut told.addresses {
            address.flow = told.flow;
        }
    }

    fn used(&self, policy: &HostPolicy, (host, seen): (&RouteHost, &HostSeen), told: &mut Host) {
        told.policy = Policy {
            action: Action::Use,
            level: Some(policy.level.as_str().to_owned()),
            source: Some(policy.source.as_str().to_owned()),
            reason: None,
        };
        if let Some(dane) = &policy.enforce.dane {
            let found = (&seen.tlsa, seen.addresses.as_slice());
            self.survey.match_tlsa(dane, found, &mut told.tlsa);
        }
        for (address, seen) in told.addresses.iter_mut().zip(&seen.addresses) {
            let reply = match self.found(policy, host, seen) {
                Found::ClearToSend(channel) => {
                    address.flow = Flow::Deliverable;
                    if let Channel::Tls(seen) = channel {
                        address.authenticated = Some(seen.authenticated.as_str().to_owned());
                    }
                    continue;
                }
                // A policy that is not met stays so until somebody mends it.
                Found::Refused(reply, Some(_)) => {
                    address.flow = Flow::NotDeliverable;
                    reply
                }
                Found::Refused(reply, None) => {
                    address.flow = flow_of_reply(&reply);
                    reply
                }
                Found::Postponed(reply) => {
                    address.flow = Flow::Temporary;
                    reply
                }
            };
            address.reply = Some(line(&reply.to_string()));
        }
        let best = told.addresses.iter().min_by_key(|address| address.flow);
        if let Some(best) = best {
            (told.flow, told.reply) = (best.flow, best.reply.clone());
        }
    }

    fn found(&self, policy: &HostPolicy, host: &RouteHost, seen: &AddressSeen) -> Found {
        let door = Door {
            host: host.host.as_ref(),
            address: seen.address,
            implicit_tls: self.route.implicit_tls,
            may_be_this_host: self.may_be_this_host,
        };
        judged(&seen.visited, &door.call(self.survey, policy), clock::now())
    }

    /// Mail flows if one of the hosts that a delivery would try will do; else the mildest refusal decides.
    /// The hosts are in the order of trying.
    pub(super) fn verdict(&self, hosts: &[Host]) -> Verdict {
        let mut left = MAX_HOSTS;
        let tried = hosts.iter().filter(|host| {
            let is_tried = left > 0;
            if is_tried && host.policy.action == Action::Use {
                left -= 1;
            }
            is_tried
        });
        let Some(best) = tried.min_by_key(|host| host.flow) else {
            return Verdict::default();
        };
        let first = best.addresses.iter().find(|a| a.flow == best.flow);
        Verdict {
            flow: best.flow,
            level: best.policy.level.clone(),
            source: best.policy.source.clone(),
            authenticated: first.and_then(|address| address.authenticated.clone()),
            encrypted: match (best.flow, first) {
                (Flow::Deliverable, Some(address)) => Known::from(address.authenticated.is_some()),
                (_, _) => Known::NotTested,
            },
            reply: best.reply.clone(),
        }
    }
}

fn without_address(host: &RouteHost) -> Host {
    let name = host
        .host
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    let Err(failure) = &host.addresses else {
        return Host::default();
    };
    let reply = say::host_without_address(&name, failure);
    Host {
        name,
        dnssec: match failure {
            HostFailure::Lookup(failure) => words::failed(failure),
            HostFailure::NoAddress | HostFailure::OnlyBlocked | HostFailure::FamilyNotUsed => {
                Dnssec::NotTested
            }
        },
        failure: Some(line(&failure.to_string())),
        flow: flow_of_reply(&reply),
        reply: Some(line(&reply.to_string())),
        ..Host::default()
    }
}

fn listed(sts: &StsFinding, host: &RouteHost) -> Known {
    match sts {
        StsFinding::Policy(policy) if policy.mode != Mode::None => {
            let name = host.host.as_ref();
            Known::from(name.is_some_and(|host| policy.lists(&host.0)))
        }
        StsFinding::Policy(_)
        | StsFinding::NotSought
        | StsFinding::NoPolicy
        | StsFinding::Bogus(_)
        | StsFinding::Unknown(_) => Known::NotTested,
    }
}

fn flow_of_reply(reply: &Reply) -> Flow {
    match reply.severity() {
        Severity::Transient => Flow::Temporary,
        Severity::Permanent => Flow::NotDeliverable,
        Severity::Positive | Severity::Intermediate => Flow::Deliverable,
    }
}

/// What a deferral means: some pass, others stay until somebody mends something.
pub fn flow_of_deferral(reason: &DeferReason, dns: &Dns) -> Flow {
    match reason {
        DeferReason::TlsaLookup(_) | DeferReason::StsBogus(_) | DeferReason::StsUnknown(_) => {
            Flow::Temporary
        }
        DeferReason::TlsaNotSought if dns.dnssec() != DnssecStatus::Off => Flow::Temporary,
        DeferReason::TlsaNotSought
        | DeferReason::NoTlsa
        | DeferReason::TlsaInsecure
        | DeferReason::NoneUsable(_)
        | DeferReason::MxInsecure
        | DeferReason::NotListed => Flow::NotDeliverable,
    }
}
