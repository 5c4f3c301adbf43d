//! One address of an MX host: a delivery's own visit, and as many further handshakes as the depth allows.

use super::Survey;
use super::record::{Address, Failure, Family, Known, Offer, Reach, Versions};
use super::settings::{Depth, OldVersions};
use super::words::{self, line};
use crate::clock;
use crate::delivery::{self, Call, MayBeThisHost, Unmade, Visited, handshake};
use crate::discovery::ImplicitTls;
use crate::names::MxHost;
use crate::policy::{HostPolicy, TlsFailure, TlsVersion};
use crate::smtp::extensions::{Extension, Extensions};
use crate::tls::{Offering, TlsSession};
use std::net::SocketAddr;
use std::time::Duration;

/// What was found out about an address, whoever the mail is for.
#[derive(Debug)]
pub struct AddressSeen {
    pub address: SocketAddr,
    pub visited: Visited,
    /// Without what differs from domain to domain.
    pub told: Address,
}

/// Whose address it is.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    pub host: Option<&'a MxHost>,
    pub address: SocketAddr,
    pub implicit_tls: ImplicitTls,
    pub may_be_this_host: MayBeThisHost,
}

/// A visit of one address, with all that it takes.
pub(super) struct Probing<'a> {
    pub survey: &'a Survey,
    /// As MX records have it; that of the door is sent as SNI.
    pub name: Option<&'a MxHost>,
    pub door: Door<'a>,
    /// Takes whatever there is: what is found holds for all domains.
    pub policy: &'a HostPolicy,
    pub connections: u32,
    pub retry: Retry,
}

/// Whether what failed for a reason that may pass is tried once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    No,
    Once,
}

impl Door<'_> {
    /// As delivery's parts want it.
    pub fn call<'a>(&'a self, survey: &'a Survey, policy: &'a HostPolicy) -> Call<'a> {
        Call {
            host: self.host,
            address: self.address,
            implicit_tls: self.implicit_tls,
            policy,
            settings: &survey.settings.delivery,
            tls: &survey.tls,
            may_be_this_host: self.may_be_this_host,
            within: survey.settings.pace.visit,
        }
    }
}

impl Probing<'_> {
    pub(super) async fn run(mut self) -> AddressSeen {
        let mut visited = self.visit().await;
        if visited.may_pass() && self.retry == Retry::Once {
            tokio::time::sleep(self.survey.settings.pace.retry).await;
            let again = self.visit().await;
            if got_further(&again, &visited) {
                visited = again;
            }
        }
        let mut told = told(&visited, self.door.address);
        let settings = &self.survey.settings;
        if settings.depth >= Depth::Normal && self.door.implicit_tls == ImplicitTls::No {
            match &visited.session {
                Some(session) => {
                    self.other_versions(session, &mut told).await;
                    self.further(&mut told).await;
                }
                None if told.starttls == Offer::Offered => self.further_without(&mut told).await,
                None => {}
            }
        }
        if let Some(session) = &visited.session {
            self.certificate(session, &mut told);
        }
        told.connections = self.connections;
        AddressSeen {
            address: self.door.address,
            visited,
            told,
        }
    }

    async fn visit(&mut self) -> Visited {
        let _pass = self.pass().await;
        let call = self.door.call(self.survey, self.policy);
        delivery::visit(&call).await
    }

    pub(super) async fn pass(&mut self) -> super::gate::Pass {
        self.connections += 1;
        self.survey.gate.pass(self.door.address.ip()).await
    }

    pub(super) async fn handshake(&mut self, offering: Offering) -> Result<TlsSession, Unmade> {
        let _pass = self.pass().await;
        let call = self.door.call(self.survey, self.policy);
        handshake(&call, &self.survey.probes, offering).await
    }

    /// What the delivery's handshake left open.
    async fn other_versions(&mut self, session: &TlsSession, told: &mut Address) {
        match session.version {
            TlsVersion::V1_3 => {
                let older = self.handshake(Offering::OnlyTls12).await;
                told.versions.v1_2 = accepted(&older);
                told.versions.with_1_2 = older.ok().map(|session| words::negotiated(&session));
            }
            TlsVersion::V1_2 => {
                told.versions.v1_3 = accepted(&self.handshake(Offering::OnlyTls13).await);
            }
        }
        if told.post_quantum == Known::Yes {
            return;
        }
        told.post_quantum = match told.versions.v1_3 {
            Known::Yes => accepted(&self.handshake(Offering::OnlyPostQuantum).await),
            // It is a group of TLS 1.3.
            Known::No => Known::No,
            Known::Unknown | Known::NotTested => Known::Unknown,
        };
    }

    async fn further(&mut self, told: &mut Address) {
        let settings = &self.survey.settings;
        let deep = settings.depth == Depth::Deep;
        if deep || settings.old_versions == OldVersions::Try {
            self.old_versions(&mut told.versions).await;
        }
        if deep {
            self.deep(told).await;
        }
    }

    /// The delivery's handshake has failed: what would the host have had?
    async fn further_without(&mut self, told: &mut Address) {
        self.anything(&mut told.versions).await;
        self.further(told).await;
    }

    fn certificate(&self, session: &TlsSession, told: &mut Address) {
        let now = clock::now();
        let name = self.name.map(|host| &host.0);
        let problem = self.survey.tls.full_check(session, name, now);
        told.certificate = words::certificate(session, problem.as_ref(), words::unix(now));
    }
}

/// A second visit counts if it was not stopped earlier than the first.
fn got_further(again: &Visited, first: &Visited) -> bool {
    let steps = |visited: &Visited| {
        (
            visited.channel().is_some(),
            visited.session.is_some(),
            visited.heard.ehlo.is_some(),
            visited.heard.greeting.is_some(),
        )
    };
    steps(again) >= steps(first)
}

pub(super) fn accepted(made: &Result<TlsSession, Unmade>) -> Known {
    match made {
        Ok(_) => Known::Yes,
        Err(Unmade::Refused(TlsFailure::StarttlsRefused(_) | TlsFailure::StarttlsNotOffered)) => {
            Known::Unknown
        }
        Err(Unmade::Refused(_)) => Known::No,
        Err(Unmade::Untested(_)) => Known::Unknown,
    }
}

/// What the first visit says of an address.
fn told(visited: &Visited, address: SocketAddr) -> Address {
    let heard = &visited.heard;
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let session = visited.session.as_ref();
    let refused = heard.starttls_refused.as_ref();
    let put_off = refused
        .filter(|_| offer(visited) == Offer::Unknown)
        .map(|reply| format!("STARTTLS was refused for now: {reply}"));
    Address {
        address: address.ip().to_string(),
        family: if address.is_ipv4() {
            Family::Ipv4
        } else {
            Family::Ipv6
        },
        reach: reach(visited.reach()),
        failure: visited.failure().or(put_off).map(|text| line(&text)),
        connect_ms: visited.connected.map(milliseconds),
        greeting_ms: heard
            .greeting
            .as_ref()
            .map(|(_, after)| milliseconds(*after)),
        visit_ms: visited.connected.map(|_| milliseconds(visited.elapsed)),
        greeting: heard
            .greeting
            .as_ref()
            .map(|(reply, _)| line(&reply.to_string())),
        ehlo: words::keywords(heard.ehlo.as_ref()),
        ehlo_tls: words::keywords(heard.ehlo_tls.as_ref()),
        starttls: offer(visited),
        requiretls: match &heard.ehlo_tls {
            Some(reply) => Known::from(Extensions::from_ehlo(reply).has(Extension::RequireTls)),
            None => Known::NotTested,
        },
        tls: session.map(words::tls),
        tls_failure: visited.tls_failure().map(|failure| Failure {
            text: line(&failure.to_string()),
            result_type: failure.result_type().to_owned(),
        }),
        versions: versions(session),
        post_quantum: match session.and_then(|session| session.group) {
            Some(group) if words::is_post_quantum(group) => Known::Yes,
            Some(_) | None => Known::NotTested,
        },
        ..Address::default()
    }
}

fn versions(session: Option<&TlsSession>) -> Versions {
    let mut versions = Versions::default();
    match session.map(|session| session.version) {
        Some(TlsVersion::V1_3) => versions.v1_3 = Known::Yes,
        Some(TlsVersion::V1_2) => versions.v1_2 = Known::Yes,
        None => {}
    }
    versions
}

fn offer(visited: &Visited) -> Offer {
    let heard = &visited.heard;
    // This machine hangs up on itself: nothing is known of its TLS.
    if visited.reach() == delivery::Reach::ThisHost && visited.session.is_none() {
        return Offer::Unknown;
    }
    match &heard.starttls_refused {
        // It may take it another time (RFC 3207 §4): that is not known, and no "no".
        Some(reply) if reply.starts_with('4') => return Offer::Unknown,
        Some(_) => return Offer::Refused,
        None => {}
    }
    let Some(ehlo) = &heard.ehlo else {
        // A host that knows only HELO has no STARTTLS (RFC 3207 §4); one with TLS from the start needs none.
        return match (visited.channel(), &visited.session) {
            (_, Some(_)) => Offer::Offered,
            (Some(_), None) => Offer::NotOffered,
            (None, None) => Offer::Unknown,
        };
    };
    if Extensions::from_ehlo(ehlo).has(Extension::StartTls) {
        Offer::Offered
    } else {
        Offer::NotOffered
    }
}

fn reach(reach: delivery::Reach) -> Reach {
    match reach {
        delivery::Reach::Answered => Reach::Reached,
        delivery::Reach::Refused => Reach::Refused,
        delivery::Reach::Unreachable => Reach::Unreachable,
        delivery::Reach::TimedOut => Reach::TimedOut,
        delivery::Reach::NoSmtp => Reach::ProtocolError,
        delivery::Reach::ThisHost => Reach::ThisHost,
        delivery::Reach::Untried => Reach::NotTested,
    }
}
