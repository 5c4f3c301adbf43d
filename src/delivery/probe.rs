//! A visit without mail: connect, EHLO, STARTTLS, verify, QUIT; for whoever wants to know whether mail
//! would flow.

use super::connection::{LoopCheck, Mode, Plan, establish};
use super::courier::MayBeThisHost;
use super::failure::Failure;
use super::observer::{Enforced, Observer, WouldBlock};
use super::outcome::{Channel, PolicyBlock};
use super::reach::connect;
use super::replies;
use super::settings::{DeliverySettings, PlaintextFallback};
use super::tls_memory;
use crate::clock;
use crate::discovery::ImplicitTls;
use crate::names::MxHost;
use crate::policy::{Encryption, HostPolicy, PolicySource, TlsFailure};
use crate::smtp::reply::Reply;
use crate::tls::{TlsClient, TlsSeen, TlsSession};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// For QUIT, when all is known.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);

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

/// A probe counts nothing; it only looks on.
#[derive(Debug, Default)]
struct Witness {
    session: Mutex<Option<TlsSession>>,
    dry_run: Mutex<Option<TlsFailure>>,
}

impl Observer for Witness {
    fn handshake(&self, _: &TlsSeen, _: Duration) {}
    fn presented(&self, session: &TlsSession) {
        // Nothing can panic while it is held.
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
    }
    fn tls_failure(&self, _: &TlsFailure, _: PolicySource, _: Enforced) {}
    fn would_block(&self, blocked: &WouldBlock<'_>) {
        let mut dry_run = self.dry_run.lock().unwrap_or_else(PoisonError::into_inner);
        *dry_run = Some(blocked.failure.clone());
    }
    fn connections(&self, _: usize, _: usize) {}
}

/// Visits one address.
pub async fn probe(call: &Call<'_>) -> Probed {
    let witness = Witness::default();
    let found = find(call, &witness).await;
    let session = witness.session.into_inner();
    let dry_run = witness.dry_run.into_inner();
    Probed {
        found,
        session: session.unwrap_or_else(PoisonError::into_inner),
        dry_run: dry_run.unwrap_or_else(PoisonError::into_inner),
    }
}

async fn find(call: &Call<'_>, witness: &Witness) -> Found {
    let until = Instant::now() + call.within;
    let failure = match visit(call, (Mode::Tls, witness), until).await {
        Ok(channel) => return Found::ClearToSend(channel),
        Err(failure) => failure,
    };
    let opportunistic = call.policy.enforce.encryption == Encryption::Opportunistic
        && call.implicit_tls == ImplicitTls::No;
    if let Failure::Tls(failure) = &failure
        && opportunistic
    {
        return fallback(call, failure.clone(), until).await;
    }
    refused(call, &failure)
}

/// What `relay.plaintext_fallback` makes of a TLS failure that nobody knew of before.
async fn fallback(call: &Call<'_>, failure: TlsFailure, until: Instant) -> Found {
    match call.settings.plaintext_fallback {
        PlaintextFallback::Never => refused(call, &Failure::Tls(failure)),
        PlaintextFallback::Immediate => {
            match visit(call, (Mode::PlaintextFallback, &Witness::default()), until).await {
                Ok(channel) => Found::ClearToSend(channel),
                Err(failure) => refused(call, &failure),
            }
        }
        PlaintextFallback::Delayed => {
            let plaintext_from = replies::timestamp(clock::now() + tls_memory::DELAY);
            let failure = Failure::TlsDelayed {
                failure,
                plaintext_from,
            };
            Found::Postponed(told(call, &failure).0)
        }
    }
}

fn refused(call: &Call<'_>, failure: &Failure) -> Found {
    let (reply, blocked) = told(call, failure);
    Found::Refused(reply, blocked)
}

fn told(call: &Call<'_>, failure: &Failure) -> (Reply, Option<PolicyBlock>) {
    let label = replies::host_label(call.host, call.address.ip());
    replies::failed(&label, failure, call.policy)
}

async fn visit(
    call: &Call<'_>,
    (mode, witness): (Mode, &Witness),
    until: Instant,
) -> Result<Channel, Failure> {
    let v4 = call.address.is_ipv4();
    let source = call
        .settings
        .bind
        .iter()
        .copied()
        .find(|ip: &IpAddr| ip.is_ipv4() == v4);
    let limit = call.settings.connect_timeout;
    let patience = until.min(Instant::now() + limit);
    let stream = match timeout_at(patience, connect(call.address, source)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(failure)) => return Err(failure),
        Err(_) => return Err(Failure::ConnectTimeout(limit.as_secs())),
    };
    let plan = Plan {
        hostname: &call.settings.hostname,
        host: call.host,
        address: call.address,
        policy: call.policy,
        implicit_tls: call.implicit_tls,
        tls: call.tls,
        observer: witness,
        mode,
        loops: match call.may_be_this_host {
            MayBeThisHost::Yes => LoopCheck::Greeting,
            MayBeThisHost::No => LoopCheck::Skip,
        },
    };
    let session = establish(stream, &plan, until).await?;
    let channel = session.channel.clone();
    session.quit(QUIT_PATIENCE).await;
    Ok(channel)
}
