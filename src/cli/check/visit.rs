//! A visit by the policy that is in force, and what it means.

use super::Checker;
use super::report::{Verdict, Visit};
use super::tlsa;
use crate::delivery::outcome::Channel;
use crate::delivery::{Found, MayBeThisHost, settle};
use crate::discovery::{Route, RouteHost};
use crate::dns::Family;
use crate::names::{NextHop, RuleTarget};
use crate::policy::{Demand, HostPolicy};
use crate::survey::{AddressSeen, Door};
use std::net::{IpAddr, SocketAddr};

impl Checker<'_> {
    pub(super) async fn visit(
        &self,
        demand: &Demand,
        (route, host): (&Route, &RouteHost),
        policy: &HostPolicy,
        ip: IpAddr,
    ) -> (Visit, AddressSeen) {
        let bracketed = match &demand.next_hop {
            NextHop::Rule(hop) => !matches!(hop.target, RuleTarget::Mx(_)),
            NextHop::Domain(_) | NextHop::Literal(_) => false,
        };
        let door = Door {
            host: host.host.as_ref(),
            address: SocketAddr::new(ip, route.port),
            implicit_tls: route.implicit_tls,
            may_be_this_host: if bracketed {
                MayBeThisHost::No
            } else {
                MayBeThisHost::Yes
            },
        };
        let family = match Family::of(ip) {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        let seen = self.survey.visit(door, policy).await;
        let call = door.call(&self.survey, policy);
        let probed = settle(&seen.visited, &call).await;
        let mut visit = Visit::new(ip, family, probed.found);
        visit.seen = Box::new(seen.told.clone());
        visit.dry_run = probed.dry_run.map(|failure| failure.to_string());
        if let (Some(dane), Some(session)) = (&policy.enforce.dane, &probed.session) {
            let matches = self.tls.explain_dane(dane, session, crate::clock::now());
            visit.tlsa_matches = matches.into_iter().map(tlsa::matched).collect();
        }
        (visit, seen)
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
            seen: Box::default(),
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
