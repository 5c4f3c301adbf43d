//! A visit without mail: connect, EHLO, STARTTLS, verify, QUIT; for whoever wants to know whether mail
//! would flow.

use super::connection::Mode;
use super::courier::MayBeThisHost;
use super::failure::Failure;
use super::outcome::{Channel, PlaintextCause, PolicyBlock};
use super::replies;
use super::settings::{DeliverySettings, PlaintextFallback};
use super::tls_memory;
use super::visit::{Visited, Witness, attempt, visit};
use crate::clock;
use crate::discovery::ImplicitTls;
use crate::names::{DomainName, MxHost};
use crate::policy::{Encryption, HostPolicy, TlsFailure};
use crate::smtp::reply::Reply;
use crate::tls::{TlsClient, TlsSeen, TlsSession};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Where to and how.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub host: Option<&'a MxHost>,
    pub address: SocketAddr,
    pub implicit_tls: ImplicitTls,
    pub policy: &'a HostPolicy,
    pub settings: &'a DeliverySettings,
    pub tls: &'a TlsClient,
    pub may_be_this_host: MayBeThisHost,
    pub within: Duration,
}

impl Call<'_> {
    /// What a delivery under this policy sends as SNI.
    pub fn server_name(&self) -> Option<&DomainName> {
        let host = self.host.map(|host| &host.0);
        self.policy.server_name().or(host)
    }
}

/// What a visit found.
#[derive(Debug, Clone)]
pub enum Found {
    /// Mail could be sent over this channel.
    ClearToSend(Channel),
    /// It could not, and this is what the sender would be told; with the block that the policy put
    /// up, if it did.
    Refused(Reply, Option<PolicyBlock>),
    /// Not yet: TLS fails, and after a while plaintext would be allowed.
    Postponed(Reply),
}

/// A finding, and the chain that it was judged by.
#[derive(Debug)]
pub struct Probed {
    pub found: Found,
    /// `None` if there was no handshake.
    pub session: Option<TlsSession>,
    /// Why a rule that is only tried out would have held mail back.
    pub dry_run: Option<TlsFailure>,
}

/// Visits one address.
pub async fn probe(call: &Call<'_>) -> Probed {
    settle(&visit(call).await, call).await
}

/// What a visit that was made by the policy of `call` means; another one may have to be made for it, in the clear.
pub async fn settle(visited: &Visited, call: &Call<'_>) -> Probed {
    let found = match &visited.outcome {
        Ok(channel) => Found::ClearToSend(channel.clone()),
        Err(Failure::Tls(failure)) if is_opportunistic(call) => {
            let until = Instant::now() + call.within;
            fallback(call, failure.clone(), until).await
        }
        Err(failure) => refused(call, failure),
    };
    Probed {
        found,
        session: visited.session.clone(),
        dry_run: visited.dry_run.clone(),
    }
}

fn is_opportunistic(call: &Call<'_>) -> bool {
    call.policy.enforce.encryption == Encryption::Opportunistic
        && call.implicit_tls == ImplicitTls::No
}

/// What a visit that was made with an opportunistic policy means under the policy of `call`, without another one.
pub fn judged(visited: &Visited, call: &Call<'_>, now: SystemTime) -> Found {
    let permit = call.policy.plaintext_permit();
    let cleartext = |cause| Found::ClearToSend(Channel::Plaintext(cause));
    let never = call.policy.enforce.encryption == Encryption::Never;
    match &visited.outcome {
        // A delivery would not have tried TLS.
        Ok(_) | Err(Failure::Tls(_)) if never => cleartext(PlaintextCause::PolicyNone),
        Ok(Channel::Tls(seen)) => match &visited.session {
            Some(session) => match call.tls.judge(&call.policy.enforce, session, now) {
                Ok(authenticated) => {
                    let seen = TlsSeen {
                        authenticated,
                        ..TlsSeen::clone(seen)
                    };
                    Found::ClearToSend(Channel::Tls(Arc::new(seen)))
                }
                Err(failure) => refused(call, &Failure::Tls(failure)),
            },
            None => refused(call, &Failure::Tls(TlsFailure::ConnectionLost)),
        },
        Ok(Channel::Plaintext(_) | Channel::None) if permit.is_some() => {
            cleartext(PlaintextCause::NoStarttls)
        }
        Ok(Channel::Plaintext(_) | Channel::None) => {
            let refusal = visited.heard.starttls_refused.clone();
            let failure = refusal.map_or(TlsFailure::StarttlsNotOffered, |reply| {
                TlsFailure::StarttlsRefused(reply)
            });
            refused(call, &Failure::Tls(failure))
        }
        Err(Failure::Tls(failure)) if is_opportunistic(call) => {
            match call.settings.plaintext_fallback {
                PlaintextFallback::Never => refused(call, &Failure::Tls(failure.clone())),
                PlaintextFallback::Immediate => cleartext(PlaintextCause::TlsFailed),
                PlaintextFallback::Delayed => postponed(call, failure.clone()),
            }
        }
        Err(failure) => refused(call, failure),
    }
}

/// What `relay.plaintext_fallback` makes of a TLS failure that nobody knew of before.
async fn fallback(call: &Call<'_>, failure: TlsFailure, until: Instant) -> Found {
    match call.settings.plaintext_fallback {
        PlaintextFallback::Never => refused(call, &Failure::Tls(failure)),
        PlaintextFallback::Immediate => {
            match attempt(call, (Mode::PlaintextFallback, &Witness::default()), until).await {
                Ok(channel) => Found::ClearToSend(channel),
                Err(failure) => refused(call, &failure),
            }
        }
        PlaintextFallback::Delayed => postponed(call, failure),
    }
}

fn postponed(call: &Call<'_>, failure: TlsFailure) -> Found {
    let plaintext_from = replies::timestamp(clock::now() + tls_memory::DELAY);
    let failure = Failure::TlsDelayed {
        failure,
        plaintext_from,
    };
    Found::Postponed(told(call, &failure).0)
}

fn refused(call: &Call<'_>, failure: &Failure) -> Found {
    let (reply, blocked) = told(call, failure);
    Found::Refused(reply, blocked)
}

fn told(call: &Call<'_>, failure: &Failure) -> (Reply, Option<PolicyBlock>) {
    let label = replies::host_label(call.host, call.address.ip());
    replies::failed(&label, failure, call.policy)
}
