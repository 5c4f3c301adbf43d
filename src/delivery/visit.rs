//! What a visit without mail sees, before anybody makes a verdict of it.

use super::connection::{LoopCheck, Mode, Plan, establish};
use super::courier::MayBeThisHost;
use super::failure::Failure;
use super::observer::{Enforced, Observer, Shelter, WouldBlock};
use super::outcome::Channel;
use super::probe::Call;
use super::reach::connect;
use crate::policy::{PolicySource, TlsFailure};
use crate::smtp::reply::Reply;
use crate::tls::{TlsSeen, TlsSession};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// For QUIT, when all is known.
pub(super) const QUIT_PATIENCE: Duration = Duration::from_secs(5);

/// What was seen and heard at an address.
#[derive(Debug, Clone)]
pub struct Visited {
    pub(super) outcome: Result<Channel, Failure>,
    pub heard: Heard,
    /// `None` if there was no handshake.
    pub session: Option<TlsSession>,
    /// Why a rule that is only tried out would have held mail back.
    pub dry_run: Option<TlsFailure>,
    /// To the answer of TCP.
    pub connected: Option<Duration>,
    pub elapsed: Duration,
}

/// What the host said; a reply's lines and their length are bounded, their octets are anything.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    pub greeting: Option<(Reply, Duration)>,
    /// To EHLO, in the clear and under TLS.
    pub ehlo: Option<Reply>,
    pub ehlo_tls: Option<Reply>,
    /// STARTTLS was offered, and answered so.
    pub starttls_refused: Option<String>,
}

/// How far one gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// EHLO (or HELO) was answered.
    Answered,
    /// Sent away by the greeting or the reply to EHLO.
    Refused,
    /// No connection, or it was lost.
    Unreachable,
    TimedOut,
    /// What was said is no SMTP.
    NoSmtp,
    /// It is this machine.
    ThisHost,
    /// A fault on our side: nothing is known.
    Untried,
}

impl Visited {
    /// The channel over which mail could go, as far as the policy of the visit is concerned.
    pub fn channel(&self) -> Option<&Channel> {
        self.outcome.as_ref().ok()
    }

    pub fn reach(&self) -> Reach {
        match &self.outcome {
            Ok(_) => Reach::Answered,
            Err(Failure::LoopsBack) => Reach::ThisHost,
            Err(_) if self.heard.ehlo.is_some() => Reach::Answered,
            Err(failure) => reach(failure),
        }
    }

    /// Why there is no channel, in words.
    pub fn failure(&self) -> Option<String> {
        self.outcome.as_ref().err().map(ToString::to_string)
    }

    /// Why there was no handshake.
    pub fn tls_failure(&self) -> Option<&TlsFailure> {
        match &self.outcome {
            Err(Failure::Tls(failure)) => Some(failure),
            Err(_) | Ok(_) => None,
        }
    }

    /// Whether another visit, a little later, may see more.
    pub fn may_pass(&self) -> bool {
        match &self.outcome {
            Ok(_) => self
                .heard
                .starttls_refused
                .as_ref()
                .is_some_and(|reply| reply.starts_with('4')),
            Err(Failure::Refused { reply, .. }) => reply.code < 500,
            Err(Failure::Tls(failure)) => matches!(
                failure,
                TlsFailure::HandshakeTimeout | TlsFailure::ConnectionLost
            ),
            Err(Failure::LoopsBack | Failure::Protocol { .. } | Failure::Unexpected { .. }) => {
                false
            }
            Err(_) => true,
        }
    }
}

fn reach(failure: &Failure) -> Reach {
    match failure {
        Failure::Refused { .. } => Reach::Refused,
        Failure::Connect(_) | Failure::Lost { .. } => Reach::Unreachable,
        Failure::ConnectTimeout(_) | Failure::TimedOut { .. } => Reach::TimedOut,
        Failure::Protocol { .. } | Failure::Unexpected { .. } => Reach::NoSmtp,
        Failure::LoopsBack => Reach::ThisHost,
        Failure::Local(_) | Failure::ConnectHurried(_) | Failure::OutOfTime | Failure::NoSlot => {
            Reach::Untried
        }
        // With implicit TLS there is a handshake before EHLO.
        Failure::Tls(_) | Failure::TlsDelayed { .. } => Reach::Answered,
        Failure::PolicyChanged
        | Failure::NoSmtpUtf8
        | Failure::NoEightBitMime
        | Failure::TooBig { .. }
        | Failure::Spool(_) => Reach::Untried,
    }
}

/// A visit counts nothing; it only looks on.
#[derive(Debug, Default)]
pub(super) struct Witness {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    heard: Heard,
    session: Option<TlsSession>,
    dry_run: Option<TlsFailure>,
    connected: Option<Duration>,
}

impl Witness {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing can panic while it is held.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Witness {
    fn greeting(&self, reply: &Reply, after: Duration) {
        self.seen().heard.greeting = Some((reply.clone(), after));
    }
    fn ehlo(&self, reply: &Reply, shelter: Shelter) {
        let heard = &mut self.seen().heard;
        match shelter {
            Shelter::Clear => heard.ehlo = Some(reply.clone()),
            Shelter::Tls => heard.ehlo_tls = Some(reply.clone()),
        }
    }
    fn handshake(&self, _: &TlsSeen, _: Duration) {}
    fn presented(&self, session: &TlsSession) {
        self.seen().session = Some(session.clone());
    }
    fn tls_failure(&self, failure: &TlsFailure, _: PolicySource, _: Enforced) {
        if let TlsFailure::StarttlsRefused(reply) = failure {
            self.seen().heard.starttls_refused = Some(reply.clone());
        }
    }
    fn would_block(&self, blocked: &WouldBlock<'_>) {
        self.seen().dry_run = Some(blocked.failure.clone());
    }
    fn connections(&self, _: usize, _: usize) {}
}

/// Visits one address: connect, EHLO, STARTTLS, the verdict of the call's policy, EHLO, QUIT.
pub async fn visit(call: &Call<'_>) -> Visited {
    let (witness, began) = (Witness::default(), Instant::now());
    let outcome = attempt(call, (Mode::Tls, &witness), began + call.within).await;
    let seen = witness.seen.into_inner();
    let seen = seen.unwrap_or_else(PoisonError::into_inner);
    Visited {
        outcome,
        heard: seen.heard,
        session: seen.session,
        dry_run: seen.dry_run,
        connected: seen.connected,
        elapsed: began.elapsed(),
    }
}

pub(super) async fn attempt(
    call: &Call<'_>,
    (mode, witness): (Mode, &Witness),
    until: Instant,
) -> Result<Channel, Failure> {
    let began = Instant::now();
    let stream = open(call, until).await?;
    witness.seen().connected = Some(began.elapsed());
    let session = establish(stream, &plan(call, (mode, witness)), until).await?;
    let channel = session.channel.clone();
    session.quit(QUIT_PATIENCE).await;
    Ok(channel)
}

/// A TCP connection from the source address that a delivery would take.
pub(super) async fn open(call: &Call<'_>, until: Instant) -> Result<TcpStream, Failure> {
    let v4 = call.address.is_ipv4();
    let bind = &call.settings.bind;
    let source = bind.iter().copied().find(|ip: &IpAddr| ip.is_ipv4() == v4);
    let limit = call.settings.connect_timeout;
    let patience = until.min(Instant::now() + limit);
    match timeout_at(patience, connect(call.address, source)).await {
        Ok(connected) => connected,
        Err(_) => Err(Failure::ConnectTimeout(limit.as_secs())),
    }
}

pub(super) fn plan<'a>(call: &Call<'a>, (mode, witness): (Mode, &'a Witness)) -> Plan<'a> {
    Plan {
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
    }
}
