//! A connection to one host, from the greeting to the leave to send: each state is a type, and only
//! [`ClearToSend`] can carry mail.

mod threshold;

pub(super) use threshold::{Smuggled, threshold};

use super::failure::{Failure, Stage};
use super::judgement::{judge, observe_failure, observe_no_offer};
use super::observer::{Observer, Shelter};
use super::outcome::{Channel, PlaintextCause};
use super::wire::{Glance, Stream, Wire};
use crate::discovery::ImplicitTls;
use crate::names::{DomainName, MxHost};
use crate::policy::{Encryption, HostPolicy, PlaintextPermit, TlsFailure, TlsVersion};
use crate::smtp::extensions::{Extension, Extensions};
use crate::smtp::reply::{Reply, Severity};
use crate::tls::{Handshake, TlsClient, TlsSeen};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Time for a reply to EHLO and STARTTLS (RFC 5321 §4.5.3.2 has no figure of its own; as for MAIL).
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// RFC 5321 §4.5.3.2.1.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// A handshake that stalls is a TLS failure of its own.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that shapes the way to a ready connection.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Our EHLO name.
    pub hostname: &'a DomainName,
    pub host: Option<&'a MxHost>,
    pub address: SocketAddr,
    pub policy: &'a HostPolicy,
    pub implicit_tls: ImplicitTls,
    pub tls: &'a TlsClient,
    pub observer: &'a dyn Observer,
    pub mode: Mode,
    /// Whether a host that greets with our name is a loop; not for a rule's bracketed next hop.
    pub loops: LoopCheck,
}

/// Whether TLS is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// As the policy says.
    Tls,
    /// TLS failed at this host before; the policy's permit decides whether the clear is allowed.
    PlaintextFallback,
}

/// See [`Plan::loops`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum LoopCheck {
    Greeting,
    Skip,
}

/// The channel satisfies the policy: mail may flow.
#[derive(Debug)]
pub(super) struct ClearToSend {
    pub(super) wire: Wire,
    pub(super) offered: Extensions,
    pub(super) channel: Channel,
}

/// Before TLS: greeted, EHLO answered.
struct Greeted {
    wire: Wire,
    offered: Extensions,
}

/// Under TLS that satisfies the requirement; everything learned before is forgotten (RFC 3207 §4.2).
struct Secured {
    wire: Wire,
    seen: Arc<TlsSeen>,
    confirmed: Confirmed,
}

/// Whether the host has shown that it is content with the handshake too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confirmed {
    /// In TLS 1.3 our side is done first (RFC 8446 §2): a host that fails then says so, or leaves.
    NotYet,
    Yes,
}

/// Goes from a TCP connection to the leave to send.
pub(super) async fn establish(
    stream: TcpStream,
    plan: &Plan<'_>,
    until: Instant,
) -> Result<ClearToSend, Failure> {
    if plan.implicit_tls == ImplicitTls::Yes {
        let mut secured = secure(stream, plan, until).await?;
        greeting(&mut secured.wire, plan, until)
            .await
            .map_err(|failure| secured.explain(failure, plan))?;
        secured.confirmed = Confirmed::Yes;
        return secured.hello(plan, until).await;
    }
    let mut wire = Wire::new(Stream::Plain(stream));
    greeting(&mut wire, plan, until).await?;
    let greeted = Greeted::hello(wire, plan, until).await?;
    let encryption = match plan.mode {
        Mode::Tls => plan.policy.enforce.encryption,
        Mode::PlaintextFallback => Encryption::Never,
    };
    match encryption {
        Encryption::Never => {
            let cause = match plan.mode {
                Mode::Tls => PlaintextCause::PolicyNone,
                Mode::PlaintextFallback => PlaintextCause::TlsFailed,
            };
            greeted.stay_plaintext(plan.policy.plaintext_permit(), cause)
        }
        Encryption::Opportunistic if !greeted.offered.has(Extension::StartTls) => {
            observe_no_offer(plan);
            let cause = PlaintextCause::NoStarttls;
            greeted.stay_plaintext(plan.policy.plaintext_permit(), cause)
        }
        Encryption::Opportunistic | Encryption::Mandatory => greeted.starttls(plan, until).await,
    }
}

impl Greeted {
    /// EHLO, and HELO where no TLS is required and the host has no EHLO (RFC 5321 §3.2).
    async fn hello(mut wire: Wire, plan: &Plan<'_>, until: Instant) -> Result<Self, Failure> {
        let reply = say(&mut wire, "EHLO", plan, Stage::Ehlo, until).await?;
        if reply.is_positive() {
            plan.observer.ehlo(&reply, Shelter::Clear);
            check_name(&reply, plan)?;
            let offered = Extensions::from_ehlo(&reply);
            return Ok(Self { wire, offered });
        }
        let required = plan.policy.enforce.encryption == Encryption::Mandatory;
        if reply.severity() != Severity::Permanent || required {
            return Err(Failure::Refused {
                stage: Stage::Ehlo,
                reply,
            });
        }
        let reply = say(&mut wire, "HELO", plan, Stage::Ehlo, until).await?;
        if !reply.is_positive() {
            return Err(Failure::Refused {
                stage: Stage::Ehlo,
                reply,
            });
        }
        check_name(&reply, plan)?;
        Ok(Self {
            wire,
            offered: Extensions::default(),
        })
    }

    fn stay_plaintext(
        self,
        permit: Option<PlaintextPermit>,
        cause: PlaintextCause,
    ) -> Result<ClearToSend, Failure> {
        match permit {
            Some(permit) => Ok(ClearToSend::in_the_clear(
                self.wire,
                self.offered,
                cause,
                &permit,
            )),
            None => Err(Failure::Tls(TlsFailure::StarttlsNotOffered)),
        }
    }

    async fn starttls(mut self, plan: &Plan<'_>, until: Instant) -> Result<ClearToSend, Failure> {
        // Never sent blindly: a 502 to it would look like a permanent refusal.
        if !self.offered.has(Extension::StartTls) {
            let failure = TlsFailure::StarttlsNotOffered;
            observe_failure(&failure, plan);
            return Err(Failure::Tls(failure));
        }
        let reply = self.ask_for_tls(until).await.map_err(|failure| {
            let failure = tls_trouble(failure);
            if let Failure::Tls(failure) = &failure {
                observe_failure(failure, plan);
            }
            failure
        })?;
        if !reply.is_positive() {
            return self.starttls_refused(reply, plan);
        }
        let Some(Stream::Plain(stream)) = self.wire.into_clean_stream() else {
            let failure = TlsFailure::SurplusAfterStarttls;
            observe_failure(&failure, plan);
            return Err(Failure::Tls(failure));
        };
        secure(stream, plan, until).await?.hello(plan, until).await
    }

    async fn ask_for_tls(&mut self, until: Instant) -> Result<Reply, Failure> {
        let stage = Stage::Starttls;
        let wait = until.min(Instant::now() + COMMAND_TIMEOUT);
        self.wire.send(b"STARTTLS\r\n", stage, wait).await?;
        self.wire.reply(stage, wait).await
    }

    /// A refusal is as good as no offer: who could forge the one could strip the other.
    fn starttls_refused(self, reply: Reply, plan: &Plan<'_>) -> Result<ClearToSend, Failure> {
        if reply.code == 421 {
            return Err(Failure::Refused {
                stage: Stage::Starttls,
                reply,
            });
        }
        let failure = TlsFailure::StarttlsRefused(reply.to_string());
        observe_failure(&failure, plan);
        match plan.policy.plaintext_permit() {
            Some(permit) => {
                let cause = PlaintextCause::NoStarttls;
                Ok(ClearToSend::in_the_clear(
                    self.wire,
                    self.offered,
                    cause,
                    &permit,
                ))
            }
            None => Err(Failure::Tls(failure)),
        }
    }
}

/// A host that hangs up or falls silent when asked for TLS fails at TLS.
fn tls_trouble(failure: Failure) -> Failure {
    if matches!(failure, Failure::Lost { .. }) {
        return Failure::Tls(TlsFailure::ConnectionLost);
    }
    if matches!(failure, Failure::TimedOut { .. }) {
        return Failure::Tls(TlsFailure::HandshakeTimeout);
    }
    failure
}

impl Secured {
    /// EHLO under TLS; there is no HELO any more, the host has shown that it knows EHLO.
    async fn hello(mut self, plan: &Plan<'_>, until: Instant) -> Result<ClearToSend, Failure> {
        let said = say(&mut self.wire, "EHLO", plan, Stage::EhloAfterTls, until).await;
        let reply = said.map_err(|failure| self.explain(failure, plan))?;
        if !reply.is_positive() {
            return Err(Failure::Refused {
                stage: Stage::EhloAfterTls,
                reply,
            });
        }
        plan.observer.ehlo(&reply, Shelter::Tls);
        check_name(&reply, plan)?;
        let offered = Extensions::from_ehlo(&reply);
        Ok(ClearToSend {
            wire: self.wire,
            offered,
            channel: Channel::Tls(self.seen),
        })
    }

    /// What goes wrong at the first read belongs to the handshake.
    fn explain(&mut self, failure: Failure, plan: &Plan<'_>) -> Failure {
        let fault = match (self.wire.tls_fault.take(), self.confirmed, &failure) {
            (Some(fault), _, _) => fault,
            (None, Confirmed::NotYet, Failure::Lost { .. }) => TlsFailure::ConnectionLost,
            (None, Confirmed::NotYet | Confirmed::Yes, _) => return failure,
        };
        observe_failure(&fault, plan);
        Failure::Tls(fault)
    }
}

impl ClearToSend {
    /// Mail in the clear costs a permit, which only the policy can give.
    fn in_the_clear(
        wire: Wire,
        offered: Extensions,
        cause: PlaintextCause,
        _permit: &PlaintextPermit,
    ) -> Self {
        Self {
            wire,
            offered,
            channel: Channel::Plaintext(cause),
        }
    }

    /// Whether the connection, kept for a while, is as it was left.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.wire.glance() == Glance::Silence
    }

    pub(super) async fn quit(self, patience: Duration) {
        self.wire.quit(patience).await;
    }
}

async fn greeting(wire: &mut Wire, plan: &Plan<'_>, until: Instant) -> Result<(), Failure> {
    let began = Instant::now();
    let wait = until.min(began + GREETING_TIMEOUT);
    let reply = wire.reply(Stage::Greeting, wait).await?;
    plan.observer.greeting(&reply, began.elapsed());
    match reply.severity() {
        Severity::Positive => check_name(&reply, plan),
        Severity::Intermediate => Err(Failure::Unexpected {
            stage: Stage::Greeting,
            reply,
        }),
        Severity::Transient | Severity::Permanent => Err(Failure::Refused {
            stage: Stage::Greeting,
            reply,
        }),
    }
}

/// Our own name in a host's greeting: it is this machine.
fn check_name(reply: &Reply, plan: &Plan<'_>) -> Result<(), Failure> {
    if plan.loops == LoopCheck::Skip {
        return Ok(());
    }
    let first = reply
        .lines
        .first()
        .and_then(|line| line.split_ascii_whitespace().next());
    match first {
        Some(name) if name.eq_ignore_ascii_case(plan.hostname.as_str()) => Err(Failure::LoopsBack),
        _ => Ok(()),
    }
}

async fn say(
    wire: &mut Wire,
    verb: &str,
    plan: &Plan<'_>,
    stage: Stage,
    until: Instant,
) -> Result<Reply, Failure> {
    let wait = until.min(Instant::now() + COMMAND_TIMEOUT);
    let command = format!("{verb} {}\r\n", plan.hostname);
    match wire.send(command.as_bytes(), stage, wait).await {
        // What the host said before it left is the reason.
        Ok(()) | Err(Failure::Lost { .. }) => {}
        Err(failure) => return Err(failure),
    }
    let reply = wire.reply(stage, wait).await?;
    match reply.severity() {
        Severity::Intermediate => Err(Failure::Unexpected { stage, reply }),
        Severity::Positive | Severity::Transient | Severity::Permanent => Ok(reply),
    }
}

/// The handshake and the verdict on it, before anything is said under TLS.
async fn secure(stream: TcpStream, plan: &Plan<'_>, until: Instant) -> Result<Secured, Failure> {
    let started = Instant::now();
    let handshake = Handshake {
        server_name: plan.policy.server_name().or(plan.host.map(|host| &host.0)),
        address: plan.address,
        client_certificate: plan.policy.enforce.client_certificate,
    };
    let patience = match plan.policy.enforce.encryption {
        Encryption::Mandatory => HANDSHAKE_TIMEOUT,
        // A host that stalls must leave time for the fallback.
        Encryption::Opportunistic | Encryption::Never => {
            HANDSHAKE_TIMEOUT.min(until.saturating_duration_since(started) / 2)
        }
    };
    let limit = until.min(started + patience);
    let shaken = timeout_at(limit, plan.tls.connect(stream, &handshake)).await;
    let (stream, session) = shaken
        .unwrap_or(Err(TlsFailure::HandshakeTimeout))
        .map_err(|failure| {
            observe_failure(&failure, plan);
            Failure::Tls(failure)
        })?;
    let seen = judge(&session, plan, started.elapsed())?;
    let wire = Wire::new(Stream::Tls(Box::new(stream)));
    Ok(Secured {
        wire,
        confirmed: match seen.version {
            TlsVersion::V1_2 => Confirmed::Yes,
            TlsVersion::V1_3 => Confirmed::NotYet,
        },
        seen: Arc::new(seen),
    })
}
