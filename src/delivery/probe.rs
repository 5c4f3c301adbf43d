//! A visit without mail: connect, EHLO, STARTTLS, verify, QUIT; for whoever wants to know whether mail
//! would flow.

use super::connection::{LoopCheck, Mode, Plan, establish};
use super::courier::MayBeThisHost;
use super::failure::Failure;
use super::observer::{Enforced, Observer};
use super::outcome::Channel;
use super::reach::connect;
use super::replies;
use super::settings::DeliverySettings;
use crate::discovery::ImplicitTls;
use crate::names::MxHost;
use crate::policy::{HostPolicy, PolicySource, TlsFailure};
use crate::smtp::reply::Reply;
use crate::tls::{TlsClient, TlsSeen};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::{Instant, timeout};

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
    /// It could not, and this is what the sender would be told.
    Refused(Reply),
}

/// A probe counts nothing.
#[derive(Debug)]
struct Nobody;

impl Observer for Nobody {
    fn handshake(&self, _: &TlsSeen, _: Duration) {}
    fn tls_failure(&self, _: &TlsFailure, _: PolicySource, _: Enforced) {}
    fn would_block(&self, _: &crate::delivery::WouldBlock<'_>) {}
    fn connections(&self, _: usize, _: usize) {}
}

/// Visits one address.
pub async fn probe(call: &Call<'_>) -> Found {
    let failure = match timeout(call.within, visit(call)).await {
        Ok(Ok(channel)) => return Found::ClearToSend(channel),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::ConnectTimeout(call.within.as_secs()),
    };
    let label = replies::host_label(call.host, call.address.ip());
    Found::Refused(replies::failed(&label, &failure, call.policy).0)
}

async fn visit(call: &Call<'_>) -> Result<Channel, Failure> {
    let v4 = call.address.is_ipv4();
    let source = call
        .settings
        .bind
        .iter()
        .copied()
        .find(|ip: &IpAddr| ip.is_ipv4() == v4);
    let limit = call.settings.connect_timeout;
    let stream = match timeout(limit, connect(call.address, source)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Failure::Connect(error.to_string())),
        Err(_) => return Err(Failure::ConnectTimeout(limit.as_secs())),
    };
    let plan = Plan {
        hostname: &call.settings.hostname,
        host: call.host,
        address: call.address,
        policy: call.policy,
        implicit_tls: call.implicit_tls,
        tls: call.tls,
        observer: &Nobody,
        mode: Mode::Tls,
        loops: match call.may_be_this_host {
            MayBeThisHost::Yes => LoopCheck::Greeting,
            MayBeThisHost::No => LoopCheck::Skip,
        },
    };
    let session = establish(stream, &plan, Instant::now() + call.within).await?;
    let channel = session.channel.clone();
    session.quit(QUIT_PATIENCE).await;
    Ok(channel)
}
